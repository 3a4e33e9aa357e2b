"""SIRT's weights of operators whose entries are not at hand: signs that cancel, faint pixels, units."""

from __future__ import annotations

import numpy as np
import pytest

import ipbox as ip


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_rows_that_sum_to_zero(unit: float) -> None:
    """A gradient of ones is 0, and tells nothing."""
    A = ip.Gradient((6, 6), dtype="float64")
    u = unit * np.random.default_rng(0).standard_normal((6, 6))
    x, info = ip.sirt(A, A.apply(u), niter=1500)
    assert info.stop == "niter" and np.allclose(x - x.mean(), u - u.mean(), atol=1e-6 * unit)


@pytest.mark.parametrize("faint", [1e-1, 1e-2, 1e-3, 1e-4])
def test_faint_pixels_are_kept(faint: float) -> None:
    w = np.array([[1.0, -0.9, 0.8, faint]])
    assert np.allclose(ip.sirt(ip.Mask(w, dtype="float64"), 0.7 * w)[0], 0.7, rtol=1e-2)


def test_no_operator_at_all() -> None:
    assert not ip.sirt(0.0 * ip.Gradient((4, 4), dtype="float64"), np.ones((2, 4, 4)), niter=3)[0].any()


def test_of_a_projector_with_signs_it_converges_as_with_sums() -> None:
    A = ip.RayTransform((32, 32), np.arange(30) * np.pi / 30, dtype="float64")
    u = np.zeros((32, 32))
    u[10:20, 10:25] = 1
    x = ip.sirt(A, A.apply(u), niter=200)[0]
    assert np.linalg.norm(x - u) <= 0.06 * np.linalg.norm(u)
