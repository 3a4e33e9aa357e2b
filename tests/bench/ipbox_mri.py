"""Cartesian MRI of ipbox beside the bare FFTs of scipy.fft, in one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import scipy.fft

import ipbox as ip
from ipbox import parallel
from ipbox.problems.measuring.coils import simulate_sensitivities


@cache
def _setup(n: int, coils: int) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """The operator, its mask and maps, an image; a quarter of the points is sampled."""
    rng = np.random.default_rng(0)
    mask = rng.random((n, n)) < 0.25
    S = None if coils == 1 else simulate_sensitivities(coils, (n, n))
    u = (rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n))).astype(np.complex64)
    return ip.CartesianMRI(mask, S), mask, S, u


def cartesian_error(n: int, coils: int) -> dict[str, Any]:
    """Relative difference of A u and A* b from the textbook's formula in double precision."""
    A, mask, S, u = _setup(n, coils)
    maps = np.ones((1, n, n)) if S is None else S.astype(np.complex128)
    axes = (1, 2)

    def centred(transform: Callable[..., np.ndarray], x: np.ndarray) -> np.ndarray:
        return np.fft.fftshift(transform(np.fft.ifftshift(x, axes), axes=axes, norm="ortho"), axes)

    b = mask * centred(np.fft.fftn, maps * u)
    v = (maps.conj() * centred(np.fft.ifftn, mask * b)).sum(axis=0)
    ours = A.apply(u)
    errors = [_relative(ours, b.reshape(A.dimsd)), _relative(A.apply_adjoint(ours), v)]
    return {"error": max(errors)}


def _relative(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.linalg.norm(x - y) / np.linalg.norm(y))


def cartesian(n: int, coils: int, seconds: float) -> dict[str, Any]:
    """Seconds of A.apply and A.apply_adjoint, and of as many FFTs and inverse FFTs, in turn.

    The bare FFTs have the data's shape and dtype, as many workers as ipbox may use or one, whichever is faster, and as
    A and A* two arrays to read.
    """
    A, _, _, u = _setup(n, coils)
    b = A.apply(u)
    x, y = np.ascontiguousarray(np.broadcast_to(u, b.shape)), b.copy()

    def bare(workers: int) -> None:
        scipy.fft.fftn(x, axes=(-2, -1), norm="ortho", workers=workers)
        scipy.fft.ifftn(y, axes=(-2, -1), norm="ortho", workers=workers)

    def ours() -> None:
        A.apply(u)
        A.apply_adjoint(b)

    threads = sorted({1, parallel.cpu_threads()})
    calls: dict[str, Callable[[], None]] = {"ipbox": ours} | {f"fft{w}": lambda w=w: bare(w) for w in threads}
    times: dict[str, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        for name, call in calls.items():  # a few in a row, after one that finds the other's arrays in the cache
            call()
            begin = time.perf_counter()
            for _ in range(4):
                call()
            times[name].append((time.perf_counter() - begin) / 4)
    medians = {name: float(np.median(t)) for name, t in times.items()}
    fft = min(medians[f"fft{w}"] for w in threads)
    return {"seconds": medians["ipbox"], "fft": fft, "by_threads": [medians[f"fft{w}"] for w in threads]}


def sense_loss(mask: str, size: int) -> dict[str, Any]:
    """PSNR of SENSE with the true sensitivities, and with those that ESPIRiT estimates from the same data."""
    A, b, x, info = ip.problem("mri", size=size, coils=8, mask=mask, acceleration=4, noise=0.01, phase=True)
    S = ip.estimate_sensitivities(b, info.extra["calibration"])
    true, estimated = (ip.sense(op, b)[0] for op in (A, ip.CartesianMRI(A.mask, S)))
    return {"true": ip.psnr(np.abs(true), np.abs(x)), "estimated": ip.psnr(np.abs(estimated), np.abs(x))}
