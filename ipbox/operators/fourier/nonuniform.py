"""Non-uniform FFT between an image and a fixed set of frequencies, with its exact adjoint (FINUFFT, cuFINUFFT)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.operators.core.base import check_dtype
from ipbox.operators.core.held import Local

EPS = {np.dtype("float32"): 1e-4, np.dtype("float64"): 1e-9}  # FINUFFT's tolerance; float32 warns below 2e-5


class NonuniformFFT:
    """F: f -> c_m = Σ_k f_k exp(-i k·ξ_m), k over the centred index grid, and F*: c -> f_k = Σ_m c_m exp(+i k·ξ_m).

    FINUFFT's types 2 and 1 with equal points and tolerance spread with the same kernel, so they are adjoint to
    rounding whatever the tolerance.  Plans hold scratch memory: there is one pair for each thread and device.

    Parameters
    ----------
    modes : tuple of int
        Image shape (n_1, ..., n_d); k_a runs from -(n_a // 2).
    points : list of float64 arrays
        ξ_a for each axis, in radians.
    dtype : dtype
        float32 or float64: the precision.
    eps : float, optional
        Relative tolerance; 1e-4 for float32, 1e-9 for float64.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.operators.fourier.nonuniform import NonuniformFFT
    >>> F = NonuniformFFT((4, 4), [np.zeros(1), np.zeros(1)], "float64")
    >>> round(F.forward(np.ones((4, 4), complex)).real.item(), 6)
    16.0
    """

    def __init__(
        self, modes: tuple[int, ...], points: list[np.ndarray], dtype: Any = "float32", eps: float | None = None
    ) -> None:
        self.modes = tuple(modes)
        self.dtype = backend.real_dtype(check_dtype(dtype))
        self.eps = EPS[self.dtype] if eps is None else float(eps)
        self.points = [np.ascontiguousarray(p, dtype=self.dtype) for p in points]
        self.size = self.points[0].size
        self._local = Local()

    def forward(self, f: Array, out: Array | None = None) -> Array:
        """F f for one complex image of shape ``modes``."""
        return self._plan(2, f).execute(f, out)

    def adjoint(self, c: Array, out: Array | None = None) -> Array:
        """F* c for one complex vector with an entry per point."""
        return self._plan(1, c).execute(c, out)

    def _plan(self, kind: int, like: Array) -> Any:
        # One thread: with more, FINUFFT's type 1 adds the threads' overlapping parts in the order in which they
        # finish (where the periodic grid wraps, three meet), and with upsampfac=1.25 its kernel's Fourier
        # coefficients depend on the number of threads to 1e-5.  So repeats, worker threads and forked children give
        # the same bits, and types 1 and 2 are adjoint to rounding.
        key = (kind, backend.is_device(like), backend.current_stream(like))
        plans = self._local.__dict__.setdefault("plans", {})
        if key not in plans:
            isign = -1 if kind == 2 else 1
            plan = backend.nufft_plan(like, kind, self.modes, 1, self.eps, isign)
            xp = backend.array_module(like)
            plan.setpts(*[xp.asarray(p) for p in self.points])
            plans[key] = plan
        return plans[key]


def toeplitz_kernel(dims: tuple[int, ...], points: list[np.ndarray], weights: np.ndarray, eps: float) -> np.ndarray:
    """p with (F* W F f)_i = Σ_j p(i - j) f_j: p(d) = Σ_m w_m exp(i ξ_m·d), shape 2 dims, p(0) in the corner.

    Differences of ±n, which do not occur, are 0.
    """
    F = NonuniformFFT(tuple(2 * n for n in dims), [p.astype(np.float64) for p in points], "float64", eps)
    p = np.fft.ifftshift(F.adjoint(weights.astype(np.complex128).ravel()))
    for a, n in enumerate(dims):
        np.moveaxis(p, a, 0)[n] = 0.0
    return p
