"""Volumes: regularisers that couple three axes against what is known of them, and the memory that they need."""

from __future__ import annotations

import importlib
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.reconstruct.variational import memory

ANGLES = np.pi * np.arange(9) / 9


@pytest.fixture
def stack(rng: np.random.Generator) -> Any:
    """A of a slice and of four, and the noisy data of a slice."""
    A = ip.JosephTransform((6, 8), ANGLES, dtype="float64")
    u = np.zeros((6, 8))
    u[2:5, 2:6] = 1.0
    b = A.apply(u + 0.1 * np.arange(8))
    return A, ip.SliceStack(A, 4), b + 0.3 * rng.standard_normal(b.shape)


@pytest.mark.parametrize("method", [ip.tv, ip.tgv], ids=["tv", "tgv"])
@pytest.mark.parametrize("nonneg", [False, True])
def test_what_is_the_same_in_all_slices_is_as_in_one(method: Callable[..., Any], nonneg: bool, stack: Any) -> None:
    """Of all volumes it has the least differences, and the data ask for no others."""
    A, S, b = stack
    options = {"lam": 0.8, "nonneg": nonneg, "tol": 1e-5, "niter": 2000}
    x, y = method(S, np.repeat(b[:, None], 4, axis=1), **options)[0], method(A, b, **options)[0]
    assert x.shape == (4, 6, 8) and ip.nrmse(x, np.broadcast_to(y, x.shape)) < 1e-3


def test_wavelets_of_what_is_the_same_in_all_slices(stack: Any) -> None:
    """Two slices that are equal have √2 times their coefficients in half as many places: λ counts √½ as much."""
    A, S, b = stack
    options = {"wavelet": "haar", "levels": 1, "tol": 1e-7, "niter": 4000}
    x = ip.wavelet(S, np.repeat(b[:, None], 4, axis=1), 0.4, **options)[0]
    y = ip.wavelet(A, b, 0.4 / np.sqrt(2), **options)[0]
    assert ip.nrmse(x, np.broadcast_to(y, x.shape)) < 1e-3


def test_tgv_of_an_affine_volume_is_nothing(rng: np.random.Generator) -> None:
    """So denoising leaves it as it is, and does not pull its ends in as TV does."""
    z, y, x = np.ogrid[:4, :5, :6]
    u = 0.3 * z - 0.2 * y + 0.5 * x + 1.0
    R = ip.TGV((4, 5, 6))
    assert R.value(u) < 1e-6 * ip.TV((4, 5, 6)).value(u) and R.value(u + (x > 3)) > 5
    assert ip.nrmse(ip.tgv(None, u, 2.0)[0], u) < 1e-3 < 1e-2 < ip.nrmse(ip.tv(None, u, 2.0)[0], u)


def scan() -> Any:
    """A cone beam and the data of a block that is along no axis the same."""
    n, beta = 20, 2 * np.pi * np.arange(24) / 24
    A = ip.ConeBeamTransform((n, n, n), beta, (n + 6, n + 8), 1.5, source_distance=60.0, detector_distance=30.0)
    u = np.zeros(A.dims, np.float32)
    u[4:12, 6:15, 5:11] = 1.0
    return A, A.apply(u), u


METHODS: dict[str, Callable[..., Any]] = {
    "tv": lambda A, b, **options: ip.tv(A, b, 0.3, nonneg=True, **options),
    "tgv": lambda A, b, **options: ip.tgv(A, b, 0.3, nonneg=True, **options),
    "wavelet": lambda A, b, **options: ip.wavelet(A, b, 0.3, wavelet="haar", nonneg=True, **options),
    "wavelet, signed": lambda A, b, **options: ip.wavelet(A, b, 0.3, wavelet="haar", **options),
}


@pytest.mark.parametrize("name", ["tv", "tgv", "wavelet"])
def test_cone_beam(name: str) -> None:
    """In single precision, its axes as they were, nearer than filtering."""
    A, b, u = scan()
    noisy = b + (0.05 * b.max() * np.random.default_rng(0).standard_normal(b.shape)).astype(np.float32)
    x, info = METHODS[name](A, noisy, tol=1e-3, niter=400)
    assert x.dtype == np.float32 and info.state.x.dtype == np.float32 and x.shape == u.shape
    assert ip.nrmse(x, u) < 0.8 * ip.nrmse(ip.fdk(A, noisy, "hann")[0], u)
    for axis in range(3):
        assert ip.nrmse(np.flip(x, axis), u) > 1.5 * ip.nrmse(x, u)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("large", [False, True])
def test_the_memory_that_is_told_is_what_is_taken(name: str, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not more, and not half of it."""
    monkeypatch.setattr(memory, "LARGE", 1 if large else 1 << 30)
    A, b, _ = scan()
    needs = []

    def find_room(problem: ip.Problem, solver: Any, *others: Any) -> Any:
        needs.append(memory.needed(problem, solver))
        return memory.find_room(problem, solver, *others)

    minimise = importlib.import_module("ipbox.reconstruct.variational.minimise")
    monkeypatch.setattr(minimise, "find_room", find_room)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that so few iterations end it
        METHODS[name](A, b, niter=12, tol=1e-12)  # compiles
        tracemalloc.start()
        METHODS[name](A, b, niter=12, tol=1e-12)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.6 * needs[-1] < peak < 1.02 * needs[-1], peak / needs[-1]
