"""A*A of the ray transform as a Toeplitz operator, and a certified bound on its norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.operators.base import Operator
from ipbox.operators.nonuniform import NonuniformFFT

if TYPE_CHECKING:
    from ipbox.operators.tomography import RayTransform


def ray_kernel(ray: RayTransform, window: np.ndarray | float = 1.0, eps: float = 1e-9) -> np.ndarray:
    """k with (A*A u)_i = Σ_j k(i - j) u_j, on the grid of differences: shape (2 ny, 2 nx), k(0) at [0, 0], float64.

    With the whole period of every line kept, A*A is exactly Toeplitz: k(d) = Σ_{θ,k} c_k/N |w_k|² cos(ω_k θ·d), with
    c_0 = 1, c_k = 2 (Parseval for the real FFT of length N).  A detector that covers the image cuts off only the
    band-limited projections' far tails, and cutting cannot raise the norm.  ``window`` multiplies the sum's terms.
    """
    ny, nx = ray.dims
    strengths = np.broadcast_to(ray.magnitudes() ** 2 * ray.counts() * window, (ray.angles.size, ray.n_freq))
    points = [p.astype(np.float64) for p in ray.points]
    k = NonuniformFFT((2 * ny, 2 * nx), points, "float64", eps).adjoint(strengths.ravel().astype(np.complex128)).real
    k = np.fft.ifftshift(k)
    k[ny, :] = k[:, nx] = 0.0  # differences of ±n do not occur
    return k


def norm_bound(ray: RayTransform) -> float:
    """An upper bound on ||A*A||, a few per cent above it at 30 views or more.

    The kernel is split by g(ω) = exp(-ω²/2) into a low-pass part, whose kernel is almost non-negative and has nearly
    all of the norm, and a rest: ||T|| <= || |T_g| || + ||T_{1-g}||.  The first is bounded by Collatz and Wielandt's
    quotient, the second by the largest eigenvalue of the circulant matrix that holds T_{1-g} as a block.
    """
    import scipy.fft as fft

    oy, ox = (p.reshape(ray.angles.size, -1).astype(np.float64) for p in ray.points)
    g = np.exp(-(ox**2 + oy**2) / 2)
    rest = float(np.abs(fft.rfft2(ray_kernel(ray, 1 - g), workers=backend.cpu_threads())).max())
    bound = collatz_wielandt(ray_kernel(ray, g), tuple(ray.dims)) + rest
    return bound * (1 + 1e-7)  # room for the FFTs' and the kernel's rounding


def collatz_wielandt(kernel: np.ndarray, dims: tuple[int, ...], steps: int = 40, rtol: float = 0.003) -> float:
    """||T|| <= || |T| || <= max_i (|T| v)_i / v_i, for every v > 0, T the Toeplitz matrix of ``kernel``.

    ``v`` follows the power iteration, whose smallest quotient bounds || |T| || from below: it ends when the two are
    within ``rtol``.
    """
    import scipy.fft as fft

    workers = backend.cpu_threads()
    spectrum = fft.rfft2(np.abs(kernel), workers=workers)
    v = np.ones(dims)
    best = np.inf
    for _ in range(steps):
        w = fft.irfft2(spectrum * fft.rfft2(v, s=kernel.shape, workers=workers), s=kernel.shape, workers=workers)
        w = w[tuple(slice(n) for n in dims)]
        ratio = w / v
        best = min(best, float(ratio.max()))
        if best <= (1 + rtol) * ratio.min():
            break
        v = w / w.max()
    return best


class RayNormal(Operator):
    """A*A of a ray transform whose detector covers the image: a convolution, by two real FFTs of the doubled image.

    Self-adjoint; it differs from `apply_adjoint` after `apply` by the tails that the detector cuts off.
    """

    def __init__(self, ray: RayTransform) -> None:
        if not ray.covers:
            raise ValueError(
                f"A has a truncated detector ({ray.n_det} pixels of {ray.det_spacing:g}); expected one that covers the "
                f"image, since otherwise A*A is not Toeplitz"
            )
        super().__init__(ray.dims, ray.dims, ray.dtype_in, name="RayTransform* RayTransform")
        import scipy.fft as fft

        self._doubled = tuple(2 * n for n in ray.dims)
        self._ray = ray
        spectrum = fft.rfft2(ray_kernel(ray)).real  # the kernel is even, so its spectrum is real
        self._spectra = {False: spectrum.astype(self.dtype_in)}

    def _apply(self, x: Array, out: Array) -> None:
        fft, key = backend.fft_module(x), backend.is_device(x)
        if key not in self._spectra:
            self._spectra[key] = backend.array_module(x).asarray(self._spectra[False])
        ny, nx = self.dims
        for u, v in zip(x, out, strict=True):
            transform = fft.rfft2(u, s=self._doubled)
            transform *= self._spectra[key]
            v[...] = fft.irfft2(transform, s=self._doubled)[:ny, :nx]

    _apply_adjoint = _apply

    def _compute_norm(self) -> tuple[float, str]:
        return norm_bound(self._ray), "bound"
