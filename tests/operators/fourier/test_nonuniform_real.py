"""The non-uniform FFT of real images: the sum itself, its adjoint, and the same bits on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from ipbox import backend, parallel
from ipbox.operators.fourier.nonuniform_real import SPLIT_FROM, RealNonuniformFFT


def direct(u: np.ndarray, points: list[np.ndarray]) -> np.ndarray:
    """Σ_k u_k exp(-i k·ξ_m), k over the centred grid."""
    y, x = (np.exp(-1j * np.outer(p, np.arange(n) - n // 2)) for p, n in zip(points, u.shape, strict=True))
    return np.einsum("yx,my,mx->m", u, y, x)


def some(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Points all over the square, its corners, edges and middle among them."""
    y, x = rng.uniform(-np.pi, np.pi, (2, count))
    y[:6], x[:6] = [np.pi, -np.pi, 0, 0, -0.0, np.pi], [np.pi, np.pi, -np.pi, 0, -0.0, -1e-12]
    return [y, x]


@pytest.mark.parametrize("dims", [(7, 5), (8, 6), (6, 9), (1, 6), (33, 40), (64, 47)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-4), ("float64", 4e-9)])
def test_against_the_sum(dims: tuple[int, int], dtype: str, tolerance: float, rng: np.random.Generator) -> None:
    points = some(rng, SPLIT_FROM + 1 if dims == (64, 47) else 301)
    F, u = RealNonuniformFFT(dims, points, dtype), rng.standard_normal(dims).astype(dtype)
    expected, found = direct(u.astype(np.float64), points), F.forward(u)
    assert found.dtype == backend.complex_dtype(np.dtype(dtype))
    assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)
    c = (rng.standard_normal(found.size) + 1j * rng.standard_normal(found.size)).astype(found.dtype)
    right = np.vdot(c, found.astype(np.complex128)).real
    left = float(np.sum(F.adjoint(c.copy()).astype(np.float64) * u))
    bound = {"float32": 1e-6, "float64": 1e-12}[dtype] * np.linalg.norm(found) * np.linalg.norm(c)
    assert abs(left - right) <= bound


@pytest.mark.parametrize("eps", [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12])
def test_the_tolerance_is_kept(eps: float, rng: np.random.Generator) -> None:
    """With kernels of even and odd width; below 1e-9 the grid is twice as fine."""
    points, u = some(rng, 50), rng.standard_normal((20, 11))
    expected = direct(u, points)
    found = RealNonuniformFFT(u.shape, points, "float64", eps).forward(u)
    assert np.linalg.norm(found - expected) <= 5 * eps * np.linalg.norm(expected)


def test_the_same_bits_on_one_thread(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    points, u = some(rng, 2 * SPLIT_FROM), rng.standard_normal((24, 30)).astype(np.float32)
    monkeypatch.setattr(parallel, "allowed_threads", lambda: 2)
    F = RealNonuniformFFT(u.shape, points)
    assert len(F.parts) == 2
    c = F.forward(u)
    v = F.adjoint(c.copy())
    monkeypatch.setattr(parallel, "cpu_threads", lambda: 1)
    assert np.array_equal(F.forward(u), c) and np.array_equal(F.adjoint(c.copy()), v)
