"""Conformal intervals: the guarantee by repetition, its bounds, and which images are refused."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ipbox.backend import to_host
from ipbox.evaluate import calibrate

DIMS = (6, 5)


def pairs(rng: np.random.Generator, n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images that differ in contrast, so that some are missed by far more than others; errors are correlated."""
    found = []
    for contrast in rng.gamma(1.0, 1.0, n):
        u = contrast * np.cumsum(rng.standard_normal(DIMS), axis=1)
        found.append((u + contrast * rng.standard_normal(DIMS), u))
    return found


def phi(b: np.ndarray) -> np.ndarray:
    return 0.7 * b


@pytest.mark.parametrize(("alpha", "n"), [(0.1, 12), (0.3, 7)])
@pytest.mark.parametrize("method", ["risk", "pixel"])
def test_guarantee(alpha: float, n: int, method: str) -> None:
    """The mean over 1500 calibrations and new images, each with one image that is exchangeable with n others."""
    rng, outside = np.random.default_rng(1), []
    for _ in range(1500):
        *known, (b, u) = pairs(rng, n + 1)
        low, high = calibrate(phi, known, alpha, method=method).interval(b)
        outside.append(((u < low) | (u > high)).mean())
    mean, error = np.mean(outside), np.std(outside) / math.sqrt(len(outside))
    assert mean < alpha + 3 * error
    if method == "risk":
        assert mean > alpha - 2 / (n + 1) - 3 * error
    else:  # no margin
        assert abs(mean - alpha) < 3 * error + 1 / 30


def test_without_the_correction_it_would_not_hold() -> None:
    """The test above can tell: the plain quantile of all scores misses more, by more than its error."""
    rng, outside = np.random.default_rng(2), []
    for _ in range(1500):
        *known, (b, u) = pairs(rng, 5)
        scores = np.abs([v - phi(c) for c, v in known])
        outside.append((np.abs(u - phi(b)) > np.quantile(scores, 0.7)).mean())
    assert np.mean(outside) > 0.3 + 3 * np.std(outside) / math.sqrt(1500)


def test_risk_is_the_least_number_that_its_formula_allows() -> None:
    known = pairs(np.random.default_rng(3), 20)
    q, n = calibrate(phi, known, 0.1).q, 20
    scores = np.abs([u - phi(b) for b, u in known])

    def bound(q: float) -> float:
        return n / (n + 1) * (scores > q).mean() + 1 / (n + 1)

    assert bound(q) <= 0.1 < bound(q * (1 - 1e-12))


def test_pixels_have_order_statistics_of_their_own() -> None:
    known = pairs(np.random.default_rng(4), 20)
    scores = np.sort(np.abs([u - phi(b) for b, u in known]), axis=0)
    q = calibrate(phi, known, 0.1, method="pixel").q
    k = 1 + (scores < q).sum(axis=0)
    assert set(k.ravel()) == {18, 19} and k.mean() / 21 == pytest.approx(0.9, abs=1 / 600)


def test_deviation_makes_intervals_narrow_where_errors_are_small() -> None:
    rng = np.random.default_rng(5)
    s = np.where(np.arange(5) < 2, 0.1, 2.0) * np.ones(DIMS)
    known = [(u + s * rng.standard_normal(DIMS), u) for u in rng.standard_normal((60, *DIMS))]
    even, fitted = (calibrate(lambda b: b, known[:40], 0.2, deviation=d) for d in (None, lambda b: s))
    assert np.allclose(fitted.width(known[0][0]), 2 * fitted.q * s) and np.allclose(even.width(known[0][0]), 2 * even.q)
    by = [c.coverage(known[40:]) for c in (even, fitted)]
    assert all(0.74 < c.mean < 0.88 for c in by) and by[1].width < 0.9 * by[0].width


def test_interval_keeps_dtype_and_library(xp: ModuleType) -> None:
    known = [
        (xp.asarray(b.astype("float32")), xp.asarray(u.astype("float32")))
        for b, u in pairs(np.random.default_rng(6), 9)
    ]
    for method in ("risk", "pixel"):
        intervals = calibrate(phi, known, 0.1, method=method)
        low, high = intervals.interval(known[0][0])
        assert type(low) is type(known[0][0]) and low.dtype == high.dtype == "float32"
        assert np.allclose(to_host(high - low), to_host(intervals.width(known[0][0])), atol=1e-5)


def test_calibration_images_are_no_test_images() -> None:
    known = pairs(np.random.default_rng(7), 12)
    intervals = calibrate(phi, known[:9], 0.1)
    b, u = known[4]
    with pytest.raises(ValueError, match=r"test\[1\] is training\[4\], maybe flipped or turned"):
        intervals.coverage([known[10], (b[:, ::-1], u[:, ::-1])])
    found = intervals.coverage(known[9:])
    assert found.shares.shape == (3,) and found.mean == pytest.approx(found.shares.mean())
    assert found.error == pytest.approx(found.shares.std(ddof=1) / math.sqrt(3))


def test_picture(tmp_path: Any) -> None:
    known = pairs(np.random.default_rng(8), 9)
    intervals, file = calibrate(phi, known, 0.1), tmp_path / "intervals.png"
    intervals.show(*known[0], path=file)
    assert file.stat().st_size > 5000


GOOD = {"phi": phi, "pairs": pairs(np.random.default_rng(9), 9), "alpha": 0.1}


@pytest.mark.parametrize(
    ("changed", "error", "sentence"),
    [
        ({"pairs": GOOD["pairs"][:8]}, ValueError, "pairs has 8; expected at least 9 pairs, for alpha 0.1"),
        ({"pairs": [u for _, u in GOOD["pairs"]]}, ValueError, "pairs has an entry that is no pair; expected"),
        ({"pairs": [*GOOD["pairs"], (np.zeros((2, 2)),) * 2]}, ValueError, r"images of shapes \(6, 5\) and \(2, 2\)"),
        ({"alpha": 1}, ValueError, "alpha is 1; expected a number in"),
        ({"method": "slice"}, ValueError, "method is 'slice'; expected one of 'risk', 'pixel'"),
        ({"phi": 3}, TypeError, "phi is int; expected a function of the data"),
        ({"phi": lambda b: b[:2]}, ValueError, r"the image of phi has shape \(2, 5\) float64; expected a real one"),
        ({"deviation": lambda b: 0 * abs(b)}, ValueError, "what deviation gives is from 0 to 0; expected finite"),
        (
            {"deviation": lambda b: b[0] ** 2},
            ValueError,
            r"what deviation gives has shape \(5,\); expected that of the",
        ),
        ({"deviation": lambda b: b + np.inf}, ValueError, "what deviation gives is from inf to inf; expected finite"),
        ({"phi": lambda b: b * np.nan}, ValueError, "the image of phi has NaN or infinite entries; expected finite"),
        ({"pairs": [(b, u * np.nan) for b, u in GOOD["pairs"]]}, ValueError, "u has shape .* and NaN or infinite"),
        ({"pairs": [(b, [1.0]) for b, _ in GOOD["pairs"]]}, TypeError, "u is list; expected a NumPy or CuPy array"),
        ({"pairs": 3}, TypeError, r"pairs is int; expected a sequence of \(b, u\)"),
        ({"deviation": 2.0}, TypeError, "deviation is float; expected a function of the data"),
        ({"pairs": [(b, u + 0j) for b, u in GOOD["pairs"]]}, TypeError, "u has dtype complex128; expected real images"),
    ],
)
def test_bad_input(changed: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        calibrate(**GOOD | changed)


def test_images_that_change_later_are_not_forgotten() -> None:
    """What was calibrated by is refused in tests, also where the caller has used its memory again."""
    known = [(b.copy(), u.copy()) for b, u in GOOD["pairs"]]
    intervals = calibrate(phi, known)
    for _, u in known:
        u[...] = 0
    with pytest.raises(ValueError, match="expected images that were not trained on"):
        intervals.coverage(GOOD["pairs"][:1])
    with pytest.raises(ValueError, match=r"u has shape \(2, 2\); expected that of the image of phi"):
        intervals.show(known[0][0], np.ones((2, 2)))
