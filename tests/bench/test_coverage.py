"""Regions by order statistics of samples: they hold what they should where truth and samples have one law."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.diffusion import coverage, ct_data

SIZE = ct_data.SIZE


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Independent pixels of one law, a truth and samples."""
    return np.random.default_rng(0).standard_normal((coverage.SAMPLES + 1, SIZE, SIZE))


def test_exact_samples_hold_what_they_should(images: np.ndarray) -> None:
    """3,200 pixels in the field: shares within three standard errors; a flat histogram; widths in closed form."""
    found = coverage.measured(images[0], images[1:])["pixel"]
    n = sum(found["histogram"])
    for level in coverage.EDGES:
        share = found[f"{level:g}"][0]
        assert abs(share - level) < 3 * np.sqrt(level * (1 - level) / n)
    counts = np.array(found["histogram"])
    assert abs(counts / n - 0.1).max() < 4 * np.sqrt(0.09 / n)
    assert found["0.9"][1] == pytest.approx(2 * 1.84448, rel=0.01)  # the mean of the largest of 19 normal numbers


def test_samples_that_are_too_sure_hold_less(images: np.ndarray) -> None:
    narrow = coverage.measured(images[0], 0.5 * images[1:])
    assert narrow["pixel"]["0.9"][0] < 0.7 and narrow["pixel"]["0.5"][0] < 0.35
    ends = np.array(narrow["pixel"]["histogram"])[[0, -1]]
    assert (ends > 2 * sum(narrow["pixel"]["histogram"]) / coverage.BINS).all()


def test_patches_are_means_inside_of_the_field() -> None:
    u = np.random.default_rng(1).random((SIZE, SIZE))
    found, n = coverage.patches(u), coverage.PATCH
    first = u[SIZE // 2 : SIZE // 2 + n, SIZE // 2 : SIZE // 2 + n].mean()
    assert np.isclose(found, first).sum() == 1 and u[:n, :n].mean() not in found
    assert np.allclose(coverage.patches(np.stack([u, 2 * u])), [found, 2 * found])
