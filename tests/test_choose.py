"""The TV weight from the noise."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox.choose import TV_FACTOR, tv_weight


def problem(n: int = 32, views: int = 20, h: float = 1.0, dtype: str = "float64") -> tuple[ip.RayTransform, np.ndarray]:
    A = ip.RayTransform((n, n), np.arange(views) * (math.pi / views), pixel_size=h, dtype=dtype)
    return A, np.ones(A.dimsd, dtype=dtype)


def test_denoising_weight_is_the_standard_deviation() -> None:
    """For A = I the noise in the gradient is the noise itself: λ = c σ."""
    A, b = ip.Identity((200, 200), "float64"), np.ones((200, 200))
    assert tv_weight(A, b, 0.1 * 200, factor=1.0) == pytest.approx(0.1, rel=0.02)


def test_scales_as_its_units() -> None:
    """Proportional to the noise and to c, and with the pixel size h as A*n: h for the ray transform."""
    A, b = problem()
    lam = tv_weight(A, b, 2.0)
    assert lam > 0 and type(lam) is float
    assert tv_weight(A, b, 6.0) == pytest.approx(3 * lam, rel=1e-12)
    assert tv_weight(A, b, 2.0, factor=2 * TV_FACTOR) == pytest.approx(2 * lam, rel=1e-12)
    assert tv_weight(problem(h=2.5)[0], b, 2.0) == pytest.approx(2.5 * lam, rel=1e-9)


def test_four_times_the_views_at_one_noise_per_datum_double_it() -> None:
    A, b = problem(64, 30)
    B, c = problem(64, 120)
    few, many = (tv_weight(op, data, 0.1 * math.sqrt(data.size)) for op, data in ((A, b), (B, c)))
    assert many == pytest.approx(2 * few, rel=0.05)


def test_same_on_float32_and_for_any_batch() -> None:
    A, b = problem()
    A32, b32 = problem(dtype="float32")
    lam = tv_weight(A, b, 2.0)
    assert tv_weight(A32, b32, 2.0) == pytest.approx(lam, rel=0.05)  # another draw of the noise
    assert tv_weight(A, np.stack([b, b]), 2.0) == lam


def test_on_any_device(xp: ModuleType) -> None:
    A, b = problem(dtype="float32")
    lam = tv_weight(A, xp.asarray(b), 2.0)
    assert lam == pytest.approx(tv_weight(A, b, 2.0), rel=0.1)  # each library draws its own noise


def test_values_of_the_data_play_no_part() -> None:
    A, b = problem()
    before = b.copy()
    assert tv_weight(A, b, 2.0) == tv_weight(A, 3 * b, 2.0) and np.array_equal(b, before)


@pytest.mark.parametrize(("name", "value"), [("noise_level", 0.0), ("noise_level", math.nan), ("factor", -1.0)])
def test_bad_arguments(name: str, value: float) -> None:
    A, b = problem()
    with pytest.raises(ValueError, match=f"{name} is .*; expected a positive number"):
        tv_weight(A, b, **({"noise_level": 1.0} | {name: value}))


def test_data_that_do_not_fit() -> None:
    A, b = problem()
    with pytest.raises(ValueError, match="b has shape"):
        tv_weight(A, b[1:], 1.0)
