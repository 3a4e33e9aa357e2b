"""A*A of MRI along a trajectory by its Toeplitz kernel."""

from __future__ import annotations

import math

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.operators.core.algebra import Normal
from ipbox.operators.core.held import HeldArray
from ipbox.operators.fourier.nonuniform import toeplitz_kernel
from ipbox.operators.mri.coils import add_coils
from ipbox.operators.mri.trajectory import radians


class NonCartesianNormal(Normal):
    r"""A*A of `NonCartesianMRI`: each coil's image is convolved with the point spread function, by two FFTs.

    .. math:: A^*A u = \sum_c \overline{S_c}\, \bigl(p * (S_c u)\bigr), \qquad
              p(d) = \frac1N \sum_m \exp\Bigl(2πi \sum_a \frac{k_{m,a} d_a}{n_a}\Bigr)

    Self-adjoint.  p is computed in double precision, so it differs from `apply_adjoint` after `apply` by the tolerance
    of their non-uniform FFT.

    References
    ----------
    Wajer and Pruessmann, Major speedup of reconstruction for sensitivity encoding with arbitrary trajectories,
    Proc. ISMRM 2001.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.problems.measuring.trajectories import radial_trajectory
    >>> A = ip.NonCartesianMRI((32, 32), radial_trajectory(20, 64, (32, 32)), dtype="complex128")
    >>> u = np.random.default_rng(0).standard_normal((32, 32)) + 0j
    >>> bool(np.allclose(A.normal().apply(u), A.apply_adjoint(A.apply(u)), rtol=0, atol=1e-6))
    True
    """


def toeplitz_spectrum(trajectory: np.ndarray, dims: tuple[int, ...], dtype: np.dtype) -> HeldArray:
    """p̂, on the frequencies of the doubled image."""
    import scipy.fft as fft

    points = radians(trajectory, dims)
    p = toeplitz_kernel(dims, points, np.ones(points[0].size), eps=1e-10) / math.prod(dims)
    return HeldArray(fft.fftn(p).real.astype(backend.real_dtype(dtype)))  # p(-d) is the conjugate of p(d)


def convolve_coils(x: Array, out: Array, spectrum: HeldArray, S: HeldArray | None, dtype: np.dtype) -> None:
    """out <- Σ_c conj(S_c) (p * (S_c x)), computed in ``dtype``; the real part where ``out`` is real."""
    fft, factors, dims = backend.fft_module(x), spectrum.like(x), x.shape[1:]
    maps = None if S is None else S.like(x)

    def convolved(b: int, c: int) -> Array:
        image = x[b].astype(dtype, copy=False) if maps is None else maps[c] * x[b]
        for a in reversed(range(len(dims))):  # axis by axis: lines of padding are not transformed
            image = fft.fft(image, n=2 * dims[a], axis=a)
        image *= factors
        for a, n in enumerate(dims):
            image = fft.ifft(image, axis=a, overwrite_x=True)[(slice(None),) * a + (slice(n),)]
        return image

    add_coils(convolved, S, out)
