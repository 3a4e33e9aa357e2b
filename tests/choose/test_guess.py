"""The first guess of λ for counts: what it is in closed form, its units, and how near it is to the best weight."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox.choose import first_weight
from ipbox.choose.guess import COUNTS_FACTOR
from tests.contracts.support import host


def blurred(peak: float) -> tuple[ip.Operator, np.ndarray, np.ndarray]:
    """A photograph's blurred Poisson counts."""
    A = ip.GaussianBlur((48, 48), 1.0, "reflective", dtype="float64")
    x = ip.problem("denoise", size=48, dtype="float64")[2] * peak
    return A, np.random.default_rng(1).poisson(A.apply(x)).astype(float), x


def scan() -> tuple[ip.Operator, np.ndarray, np.ndarray]:
    return ip.problem("pet", size=32, views=24, counts=1e5, dtype="float64")[:3]


@pytest.mark.parametrize("m", [0.5, 20.0, 3e4])
def test_denoising_a_constant_image(m: float, xp: ModuleType) -> None:
    """The gradient of KL(b, u) is 1 - b/u, whose noise is 1/√m."""
    b = xp.asarray(np.random.default_rng(0).poisson(m, (64, 64)).astype("float64"))
    assert first_weight(ip.KL(None, b), ip.TV((64, 64))) == pytest.approx(COUNTS_FACTOR / math.sqrt(m), rel=0.05)


@pytest.mark.parametrize("make", [scan, lambda: blurred(50.0)], ids=["pet", "blur"])
def test_units(make) -> None:
    """u in units that are c times smaller: λ is c times smaller; s times the counts: √s times the weight."""
    A, b, x = make()
    R, r = ip.TV(A.dims), 0.3
    lam = first_weight(ip.KL(A, b, r), R)
    for c in (1e-6, 7.0, 1e6):
        assert first_weight(ip.KL((1 / c) * A, b, r), R) == pytest.approx(lam / c)
        assert first_weight(ip.KL(c * A, c * b, c * r), R) == pytest.approx(math.sqrt(c) * lam)
    level = float(b.sum() / A.apply_adjoint(np.ones_like(b)).sum())
    same = first_weight(ip.KL(A, b, r), ip.RelativeDifference(A.dims, 1e-2 * level))
    assert same == pytest.approx(lam)  # another penalty of degree 1


@pytest.mark.parametrize("make", [scan, lambda: blurred(10.0), lambda: blurred(1e3)], ids=["pet", "few", "many"])
def test_it_is_of_the_order_of_the_best_weight(make) -> None:
    A, b, x = make()
    lam = first_weight(ip.KL(A, b), ip.TV(A.dims))
    options = dict(fidelity="kl", nonneg=True, niter=80, tol=1e-3)
    here, less, more = (ip.psnr(ip.tv(A, b, lam * t, **options)[0], x) for t in (1.0, 0.03, 30.0))
    assert here > max(less, more) + 0.2


def test_readings_beyond_the_mask_do_not_count() -> None:
    A, b, _ = scan()
    mask = np.random.default_rng(0).random(b.shape) > 0.3
    R, spoiled = ip.TV(A.dims), np.where(mask, b, 1e6)
    lam = first_weight(ip.KL(A, b, A.background, mask), R)
    assert lam == first_weight(ip.KL(A, spoiled, A.background, mask), R)
    assert 0.5 < lam / first_weight(ip.KL(A, b), R) < 1


@pytest.mark.parametrize("R", [ip.L2(), ip.TV((8, 8)), ip.NonNegative()], ids=str)
def test_nothing_to_go_by(R: ip.Functional) -> None:
    """No counts, or a functional that says nothing of sizes: a positive number all the same."""
    A = ip.GaussianBlur((8, 8), 0.5, "reflective", dtype="float64")
    for b in (np.zeros((8, 8)), np.ones((8, 8))):
        assert 0 < first_weight(ip.KL(A, b, 0.1), R) < math.inf


def test_a_quadratic_penalty_balances_the_two_terms(xp: ModuleType) -> None:
    """m/2 = λ ½‖u‖² for an image of the counts; negative values of the start are none of an image's."""
    A, b, x = blurred(30.0)
    lam = first_weight(ip.KL(A, xp.asarray(b)), ip.L2())
    assert lam == pytest.approx(x.size / np.sum(host(x) ** 2), rel=0.1)
