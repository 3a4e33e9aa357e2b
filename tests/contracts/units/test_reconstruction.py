"""Every reconstruct function: data and operator in other units give the same image in the units that follow."""

from __future__ import annotations

import functools
import re

import numpy as np
import pytest

import ipbox as ip
from ipbox.solvers import Diverged
from tests.contracts.units.reconstruction import CASES, Case
from tests.contracts.units.scales import DECADES, POWERS, Scales, error

OF_A = [("float64", 2.0**20), ("float64", 2.0**-20), ("float32", 2.0**60), ("float32", 2.0**-60)]
BOTH = [pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.slow else []) for case in CASES]
pytestmark = pytest.mark.filterwarnings("ignore:.*(was ended by|no extremum|not .* accurate):RuntimeWarning")


@functools.cache
def unscaled(case: Case, dtype: str) -> np.ndarray:
    return case.call(Scales(dtype=dtype))


def check(case: Case, scales: Scales, allowed: float) -> None:
    off = error(case.call(scales), unscaled(case, scales.dtype), scales.image**case.degree)
    assert off <= allowed, (scales, off)


def test_every_function_is_listed() -> None:
    assert {case.function for case in CASES} == set(ip.reconstruct.__all__)


@pytest.mark.parametrize("case", BOTH)
def test_powers_of_two(case: Case) -> None:
    for dtype, c in POWERS:
        if case.single or dtype == "float64":
            check(case, Scales(c, dtype=dtype), case.exact(dtype))


@pytest.mark.parametrize("case", [param for param in BOTH if param.values[0].scaled])
def test_operators_times_a_power_of_two(case: Case) -> None:
    for dtype, s in OF_A:
        check(case, Scales(s=s, dtype=dtype), case.exact(dtype))


SQUARES = ("tv ", "wavelet nonneg", "tikhonov", "landweber", "cgls", "lsqr", "sirt", "bregman", "bregman l1", "mlem")
SQUARES += ("linearised_bregman", "kaczmarz", "cimmino", "pseudo_inverse svd", "pseudo_inverse cgls")


@pytest.mark.filterwarnings("ignore:.*encountered in matmul:RuntimeWarning")
@pytest.mark.parametrize("case", [case for case in CASES if case.name in SQUARES], ids=lambda case: case.name)
def test_operators_whose_square_single_precision_does_not_have(case: Case) -> None:
    """‖A‖² = 2^±140: the same image, or one sentence."""
    for s in (2.0**70, 2.0**-70):
        try:
            check(case, Scales(s=s, dtype="float32"), case.accuracy)
        except (ValueError, Diverged) as error:
            assert re.search("beyond the range of float32|diverged: .*", str(error)), error


@pytest.mark.slow
@pytest.mark.parametrize("case", BOTH)
def test_powers_of_ten(case: Case) -> None:
    """Data are rounded, and so are decisions: within the accuracy of the method."""
    for dtype, c in DECADES:
        if case.single or dtype == "float64":
            check(case, Scales(c, dtype=dtype), max(case.accuracy, 1e4 * np.finfo(dtype).eps))
    for s in (1e-6, 1e6):
        if case.scaled:
            check(case, Scales(s=s), case.accuracy)
