"""Resampling by permutations of registers, against matrices of hat functions; and that it stays where it should."""

from __future__ import annotations

import llvmlite.binding
import numba
import numpy as np
import pytest

from ipbox.kernels.core import lanes
from ipbox.kernels.core.compile import OPTIONS

# registers per W samples: one, two, none; forwards and backwards; the last of each kind
STEPS = [0.3, 0.5, 0.73, 14 / 15, 1.0, 15 / 14, 1.6, 2.0, 2.7, -0.4, -0.5, -0.73, -1.0, -1.6, -2.7]
V, W = 0.3, 0.7


@numba.njit(**OPTIONS)
def resampled(acc, start, rows, a, b, size, v, w, z0, dz, lo, hi):
    lanes.resample(acc, start, rows, a, b, size, v, w, z0, dz, lo, hi)


@numba.njit(**OPTIONS)
def spread(rows, a, b, size, v, w, q, start, length, z0, dz):
    lanes.spread(rows, a, b, size, v, w, q, start, length, z0, dz)


def hats(n: int, nz: int, z0: float, dz: float) -> np.ndarray:
    """(n, nz): the weights of entries 1 to nz of a framed row at z0 + r dz."""
    z = z0 + dz * np.arange(n)
    return np.clip(1 - abs(z[:, None] - np.arange(1, nz + 1)), 0, None)


def start(n: int, nz: int, dz: float) -> float:
    """A z0 for which the row's middle is sampled in the middle."""
    return 0.5 * (nz + 1) - dz * 0.5 * (n - 1) + 0.21


@pytest.mark.parametrize("dtype, tol", [("float32", 2e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("n, nz", [(1, 1), (6, 5), (40, 33), (75, 64), (64, 14)])
@pytest.mark.parametrize("dz", STEPS)
def test_samples_and_their_transpose(dz: float, n: int, nz: int, dtype: str, tol: float) -> None:
    rng, real = np.random.default_rng(n), np.dtype(dtype).type
    z0 = start(n, nz, dz)
    H, item = hats(n, nz, float(real(z0)), float(real(dz))), np.dtype(dtype).itemsize
    size, height, length = lanes.framed(nz, item), lanes.padded(n, item), lanes.surrounded(n, item)
    rows = np.full(4 * size, np.nan, dtype)  # whatever is read from others shows
    rows[size : 3 * size] = 0
    u = rng.random((2, nz))
    rows[size + 1 : size + 1 + nz], rows[2 * size + 1 : 2 * size + 1 + nz] = u
    acc = np.full(3 * height, 7.0, dtype)
    acc[height : 2 * height] = 1
    resampled(acc, height, rows, size, 2 * size, size, real(V), real(W), real(z0), real(dz), 0, n)
    assert np.abs(acc[height : height + n] - 1 - H @ (V * u[0] + W * u[1])).max() < tol
    assert (acc[:height] == 7).all() and (acc[2 * height :] == 7).all()

    q = np.full(3 * length, np.nan, dtype)
    q[length : 2 * length] = 0
    y = rng.random(n)
    q[length + lanes.AROUND : length + lanes.AROUND + n] = y
    found = np.full(4 * size, 7.0, dtype)
    found[size : 3 * size] = 1
    spread(found, size, 2 * size, size, real(V), real(W), q, length, length, real(z0), real(dz))
    for of, weight in ((1, V), (2, W)):
        assert np.abs(found[of * size + 1 : of * size + 1 + nz] - 1 - weight * (H.T @ y)).max() < 2 * tol
    assert (found[:size] == 7).all() and (found[3 * size :] == 7).all()


@pytest.mark.parametrize("dz", [0.73, 1.6, -0.73, 2.7])
def test_samples_beyond_the_row_are_zero(dz: float) -> None:
    n, nz = 96, 20
    size = lanes.framed(nz, 4)
    rows, acc = np.zeros(2 * size, np.float32), np.zeros(lanes.padded(n, 4), np.float32)
    rows[1 : nz + 1] = rows[size + 1 : size + nz + 1] = 1
    z0 = start(n, nz, dz)
    resampled(acc, 0, rows, 0, size, size, *map(np.float32, (V, W, z0, dz)), 0, n)
    z = z0 + dz * np.arange(n)
    assert not acc[:n][(z < -1e-3) | (z > nz + 1 + 1e-3)].any() and acc.max() == pytest.approx(1)


def test_registers_are_those_of_the_cpu_that_numba_compiles_for(monkeypatch) -> None:
    has, wide = llvmlite.binding.get_host_cpu_features(), (0, 0)
    if has.get("avx2") and has.get("fma"):
        wide = (16, 8) if has.get("avx512f") else (8, 0)
    for name, features, expected in (
        (None, None, wide),
        ("haswell", "+avx2,+fma,-avx512f", (8, 0)),
        ("x86-64", "+sse2", (0, 0)),
        ("x86-64", None, (0, 0)),
    ):
        monkeypatch.setattr(numba.config, "CPU_NAME", name)
        monkeypatch.setattr(numba.config, "CPU_FEATURES", features)
        assert lanes._lanes() == expected
