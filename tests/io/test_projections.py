"""Counts, flat and dark fields, and the logarithm."""

from __future__ import annotations

import numpy as np
import pytest

import ipbox as ip
from ipbox.io.raw.projections import looks_like_counts

B = np.random.default_rng(0).uniform(0, 3, (4, 5, 6))  # (slices, angles, detector)
FLAT = np.random.default_rng(1).uniform(900, 1100, (4, 6))
DARK = np.random.default_rng(2).uniform(90, 110, (4, 6))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_undoes_the_law_of_beer_and_lambert(dtype: str) -> None:
    counts = (DARK[:, None] + (FLAT - DARK)[:, None] * np.exp(-B)).astype(dtype)
    before = counts.copy()
    b, clamped = ip.line_integrals(counts, FLAT, DARK)
    assert b.dtype == dtype and clamped == 0 and np.array_equal(counts, before)
    assert np.allclose(b, B, atol=1e-4 if dtype == "float32" else 1e-12)
    frames = np.stack([FLAT - 3, FLAT + 3], axis=1)  # (slices, frames, detector)
    assert np.allclose(ip.line_integrals(counts, frames, DARK)[0], b)
    assert np.allclose(ip.line_integrals(counts[1], frames[1], DARK[1:2])[0], b[1])
    assert np.allclose(ip.line_integrals(counts[1], FLAT[1], DARK[1])[0], b[1])


def test_floor_and_unsigned_counts() -> None:
    counts = np.array([[0, 100, 101, 1100]], dtype=np.uint16)  # below the dark field, at it, above it, all light
    b, clamped = ip.line_integrals(counts, 1100, 100, floor=0.01)
    assert clamped == 3 and b.dtype == np.float32 and np.allclose(b, [[-np.log(0.01)] * 3 + [0]])
    assert ip.line_integrals(counts, 1100, 100, dtype="float64")[0].dtype == np.float64


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((B, FLAT[:, :5]), {}, r"flat has shape \(4, 5\); counts have \(4, 5, 6\), expected"),
        ((B, FLAT[:3]), {}, "flat has shape"),
        ((B, FLAT, FLAT), {}, "flat is not above dark in 24 of 24 detector pixels"),
        ((B, np.nan), {}, "flat is nan; expected"),
        ((B, FLAT, "none"), {}, "dark is 'none'; expected"),
        ((B * 1j, FLAT), {}, "counts has dtype complex128; expected real numbers"),
        ((np.where(B > 2, np.inf, B), FLAT), {}, "counts has NaN or infinite entries"),
        ((B, FLAT), {"floor": 0}, "floor is 0; expected"),
        ((B, FLAT), {"dtype": "int16"}, "dtype is int16; expected float32 or float64"),
        ((B.tolist(), FLAT), {}, "counts is list; expected an array"),
    ],
)
def test_refused(arguments: tuple, options: dict, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        ip.line_integrals(*arguments, **options)


def test_what_looks_like_counts() -> None:
    """Real data are told apart: a measured tilt series and sinograms of CT and PET, and their transmissions."""
    for name in ("ct", "tomography-measured"):
        _, b, _, _ = ip.problem(name)
        b = b / b.max() * 3
        assert not looks_like_counts(b) and looks_like_counts(1e4 * np.exp(-b.astype(np.float64)))
    assert not looks_like_counts(ip.problem("pet")[1])
