"""Non-uniform FFT of real images on the CPU: half the FFT, and its points shared between threads."""

from __future__ import annotations

import functools
import math
from functools import partial
from typing import Any

import numpy as np
from scipy import fft

from ipbox import backend, parallel
from ipbox.operators.fourier.nonuniform import EPS

SPLIT_FROM = 30_000  # points: below, a second thread gains less than waking it costs
FFT_SPLIT_FROM = 1 << 18  # pixels: the same for its FFTs
OVERSAMPLING = 16  # samples a grid cell, of the kernel for the quadrature of its Fourier transform


class RealNonuniformFFT:
    """F: u -> c_m = Σ_k u_k exp(-i k·ξ_m) for a real image u, k over its centred index grid, and Re F*: c -> u.

    The steps of a NUFFT of type 2 (Barnett et al. 2019), each with about half the work of the complex one: divide u
    by the Fourier transform φ^ of the kernel; real FFT on a frequency grid 1.25 times as fine (2 times for tolerances
    below 1e-9); interpolation at ξ by FINUFFT, points with ξ_x < 0 being taken at -ξ and conjugated.  The adjoint runs
    them backwards, so it is exact to rounding.  Running its threads in turn does not change the result: parts of the
    points have grids of their own, added in order.

    An instance holds scratch memory: one for each thread.

    Parameters
    ----------
    dims : (ny, nx)
    points : [ξ_y, ξ_x]
        float64 vectors, in radians per pixel.
    dtype : dtype
        float32 or float64.
    eps : float, optional
        Relative tolerance; that of `NonuniformFFT` by default.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.operators.fourier.nonuniform_real import RealNonuniformFFT
    >>> F = RealNonuniformFFT((4, 6), [np.zeros(1), np.zeros(1)], "float64")
    >>> round(F.forward(np.ones((4, 6))).real.item(), 6)
    24.0
    """

    def __init__(
        self, dims: tuple[int, int], points: list[np.ndarray], dtype: Any = "float32", eps: float | None = None
    ) -> None:
        self.dtype, self.dims = np.dtype(dtype), tuple(dims)
        eps = EPS[self.dtype] if eps is None else float(eps)
        offsets, phi = _kernel(eps, backend.complex_dtype(self.dtype))
        g = math.ceil(np.abs(offsets).max()) + 1  # columns of the other half plane that a kernel reaches
        ny, nx = self.grid = tuple(_grid_length(n * backend.upsampling(eps), g) for n in self.dims)
        self.ghosts = g
        self.corrections = [
            (1.0 / _transform(offsets, phi, 2 * np.pi * (np.arange(n) - n // 2) / m)).astype(self.dtype)
            for n, m in zip(self.dims, self.grid, strict=True)
        ]
        complex_dtype = backend.complex_dtype(self.dtype)
        self.rows = np.zeros((self.dims[0], nx), self.dtype)
        self.lines = np.zeros((self.dims[0], nx // 2 + 1), complex_dtype)
        mirrored = np.signbit(points[1])  # of -0.0 too, so that a view is one run
        signs = np.where(mirrored, -1.0, 1.0)
        self.conjugate = _runs(mirrored)
        y, x = signs * points[0], signs * points[1] * (nx / (2 * np.pi))  # x in columns, 0 <= x <= nx / 2
        self.parts = [
            _Part(part, y[part], x[part], (ny, nx // 2 + 1 + 2 * g), g, complex_dtype, eps)
            for part in parallel.parts(y.size, most=2 * y.size // SPLIT_FROM)
        ]

    def forward(self, u: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """F u."""
        (qy, qx), g, (ny, nx) = self.corrections, self.ghosts, self.dims
        plane = self.parts[0].plane
        columns = plane[:, g:-g]
        out = np.empty(self.parts[-1].points.stop, plane.dtype) if out is None else out
        for image, grid in _wrapped(nx, self.grid[1]):
            np.multiply(u[:, image], qx[image], out=self.rows[:, grid])
        lines = fft.rfft(self.rows, axis=1, workers=self.workers)
        for image, grid in _wrapped(ny, self.grid[0]):
            np.multiply(lines[image], qy[image, None], out=columns[grid])
        columns[ny - ny // 2 : self.grid[0] - ny // 2] = 0
        self._in_place(fft.fft, columns)
        for ghost, source in _mirrors(g, columns.shape[1]):  # û(-ω) is the conjugate of û(ω)
            np.conjugate(columns[0, source], out=plane[0, ghost])
            np.conjugate(columns[:0:-1, source], out=plane[1:, ghost])
        parallel.run_all([partial(part.interpolate, plane, out) for part in self.parts])
        for run in self.conjugate:
            np.conjugate(out[run], out=out[run])
        return out

    def adjoint(self, c: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Re F* c; ``c`` is scratch memory, and changed."""
        (qy, qx), g, (ny, nx) = self.corrections, self.ghosts, self.dims
        out = np.empty(self.dims, self.dtype) if out is None else out
        for run in self.conjugate:
            np.conjugate(c[run], out=c[run])
        parallel.run_all([partial(part.spread, c) for part in self.parts])
        plane = self.parts[0].plane
        for part in self.parts[1:]:
            plane += part.plane
        columns, lines = plane[:, g:-g], self.lines
        for ghost, source in _mirrors(g, columns.shape[1]):
            columns[0, source] += plane[0, ghost].conj()
            columns[:0:-1, source] += plane[1:, ghost].conj()
        self._in_place(partial(fft.ifft, norm="forward"), columns)
        for image, grid in _wrapped(ny, self.grid[0]):
            np.multiply(columns[grid], 0.5 * qy[image, None], out=lines[image])
        lines[:, [0, -1]] *= 2.0  # irfft counts every column twice but the first and the last
        rows = fft.irfft(lines, n=self.grid[1], axis=1, norm="forward", workers=self.workers)
        for image, grid in _wrapped(nx, self.grid[1]):
            np.multiply(rows[:, grid], qx[image], out=out[:, image])
        return out

    @property
    def workers(self) -> int:
        """Threads of one FFT: a second one has to be worth waking."""
        return parallel.cpu_threads() if self.rows.size >= FFT_SPLIT_FROM else 1

    def _in_place(self, transform: Any, columns: np.ndarray) -> None:
        """FFT of every column; SciPy may overwrite its input, but does not have to."""
        result = transform(columns, axis=0, overwrite_x=True, workers=self.workers)
        if not np.may_share_memory(result, columns):
            columns[...] = result


class _Part:
    """Some of the points, with FINUFFT's plans that only spread and interpolate, and a plane to spread on."""

    def __init__(
        self,
        points: slice,
        y: np.ndarray,
        x: np.ndarray,
        shape: tuple[int, int],
        ghosts: int,
        dtype: np.dtype,
        eps: float,
    ) -> None:
        self.points = points
        self.plane = np.zeros(shape, dtype)
        # FINUFFT's grid is periodic, and its index 0 is at -π
        x = (x + ghosts) * (2 * np.pi / shape[1]) - np.pi
        y = np.mod(y, 2 * np.pi) - np.pi
        self.coordinates = [v.astype(backend.real_dtype(dtype)) for v in (y, x)]  # the plans only point to them
        self.plans = {}
        for kind in (1, 2):
            self.plans[kind] = backend.spreading_plan(kind, shape, eps, dtype)
            self.plans[kind].setpts(*self.coordinates)

    def interpolate(self, plane: np.ndarray, out: np.ndarray) -> None:
        self.plans[2].execute(plane, out[self.points])

    def spread(self, c: np.ndarray) -> None:
        self.plans[1].execute(c[self.points], self.plane)


# ---------------------------------------------------------------- grids


def _grid_length(least: float, ghosts: int) -> int:
    """An even FFT length, at least ``least``, that has room for a kernel's width."""
    return 2 * fft.next_fast_len(max(math.ceil(0.5 * least), 2 * ghosts), real=True)


def _wrapped(n: int, m: int) -> list[tuple[slice, slice]]:
    """Where the centred indices -(n // 2), ..., stand in the image and on a periodic grid of length m."""
    left = n // 2
    return [(slice(left, n), slice(0, n - left)), (slice(0, left), slice(m - left, m))]


def _mirrors(g: int, columns: int) -> list[tuple[slice, slice]]:
    """The g columns beside each end of the half plane (of a plane with g more on both sides), and their mirrors."""
    return [(slice(0, g), slice(g, 0, -1)), (slice(g + columns, None), slice(columns - 2, columns - 2 - g, -1))]


def _runs(mask: np.ndarray) -> list[slice]:
    """The runs of True: whole views, since a view is a line through 0."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [slice(a, b) for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)]


# ---------------------------------------------------------------- the kernel


@functools.cache
def _kernel(eps: float, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """FINUFFT's spreading kernel φ in grid cells, offsets and values, as its plans in two dimensions have it.

    Its width depends on the tolerance, the precision and the dimension.  A point on a row of the grid spreads
    φ(0) φ(t) along it.
    """
    n = 64
    plan = backend.spreading_plan(1, (n, n), eps, dtype)
    offsets, values = [], []
    for shift in np.arange(OVERSAMPLING) / OVERSAMPLING:
        y, x = (np.array([v * (2 * np.pi / n)], backend.real_dtype(dtype)) for v in (0.0, shift))
        plan.setpts(y, x)
        row = plan.execute(np.ones(1, dtype))[n // 2].real.astype(np.float64)
        touched = np.flatnonzero(row)
        offsets.append(touched - n // 2 - shift)
        values.append(row[touched])
    return np.concatenate(offsets), np.concatenate(values) / math.sqrt(values[0].max())


def _transform(offsets: np.ndarray, phi: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """φ^(ω) = ∫ φ(t) cos(ωt) dt by the trapezoidal rule: φ is smooth, and next to nothing at its ends."""
    return np.cos(np.outer(omega, offsets)) @ phi / OVERSAMPLING
