"""A*A of MRI along a trajectory as a Toeplitz operator."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.operators.core.base import ALL_DTYPES, Operator
from ipbox.operators.core.held import HeldArray
from ipbox.operators.fourier.nonuniform import toeplitz_kernel
from ipbox.operators.mri.coils import add_coils
from ipbox.operators.mri.trajectory import radians


class NonCartesianNormal(Operator):
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

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, mri: Any) -> None:
        dims = tuple(mri.dims)
        super().__init__(dims, dims, mri.dtype_in, name="NonCartesianMRI* NonCartesianMRI")
        self._maps, self._dtype = mri._maps, mri.dtype_out
        import scipy.fft as fft

        points = radians(mri.trajectory, dims)
        p = toeplitz_kernel(dims, points, np.ones(points[0].size), eps=1e-10) / math.prod(dims)
        spectrum = fft.fftn(p).real  # p(-d) is the conjugate of p(d)
        self._spectrum = HeldArray(spectrum.astype(backend.real_dtype(self._dtype)))

    def _apply(self, x: Array, out: Array) -> None:
        fft, spectrum = backend.fft_module(x), self._spectrum.like(x)
        maps = None if self._maps is None else self._maps.like(x)
        dims = tuple(self.dims)

        def convolved(b: int, c: int) -> Array:
            image = x[b].astype(self._dtype, copy=False) if maps is None else maps[c] * x[b]
            for a in reversed(range(len(dims))):  # axis by axis: lines of padding are not transformed
                image = fft.fft(image, n=2 * dims[a], axis=a)
            image *= spectrum
            for a, n in enumerate(dims):
                image = fft.ifft(image, axis=a, overwrite_x=True)[(slice(None),) * a + (slice(n),)]
            return image

        add_coils(convolved, self._maps, out)

    _apply_adjoint = _apply
