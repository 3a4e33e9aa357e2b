"""MRI along any trajectory (radial, spiral, ...) with one or several coils, by a non-uniform FFT."""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_dims, check_flag
from ipbox.operators.core.base import ALL_DTYPES, Operator
from ipbox.operators.core.held import HeldArray
from ipbox.operators.core.subsets import check_subset
from ipbox.operators.fourier.nonuniform import NonuniformFFT
from ipbox.operators.fourier.transform import check_complex
from ipbox.operators.mri.coils import add_coils, check_sensitivities, dtype_of, run_parts, support_of
from ipbox.operators.mri.normal import NonCartesianNormal, convolve_coils, toeplitz_spectrum
from ipbox.operators.mri.trajectory import check_trajectory, radians

# float32: from 1.3e-5 on FINUFFT warns, and gains nothing (its error is 2e-5 on noise, 1e-5 on a head of 256 x 256)
EPS = {np.dtype("complex64"): 2e-5, np.dtype("complex128"): 1e-9}


class NonCartesianMRI(Operator):
    r"""MRI data along a trajectory k_m, as C receive coils with sensitivities S_c see them.

    .. math:: (A u)_{c,m} = \frac{1}{\sqrt N} \sum_r S_c(r)\, u(r) \exp\Bigl(-2πi \sum_a \frac{k_{m,a} r_a}{n_a}\Bigr)

    Parameters
    ----------
    dims : (ny, nx) or (nz, ny, nx)
        Image shape n_a, N pixels; r_a runs from -(n_a // 2), so the origin is pixel n_a // 2.
    trajectory : array, (..., len(dims))
        k_m in cycles per field of view, -n_a/2 <= k_a <= n_a/2, axes in the order of the image's: (ky, kx).
        `radial_trajectory` and `spiral_trajectory` give such arrays.
    sensitivities : array, (coils,) + dims, optional
        Maps S_c in ``dtype``.  Without them there is one coil with S = 1, and no coil axis.
    dtype : dtype, optional
        complex64 or complex128, of the data; by default that of the sensitivities, else complex64.
    real_image : bool
        The image is real: dtype_in is real, and the adjoint takes the real part.
    eps : float, optional
        Tolerance of the non-uniform FFT; 2e-5 in complex64, 1e-9 in complex128.

    Attributes
    ----------
    trajectory : numpy.ndarray
        float64, read only.
    coils : int
        C; 1 without sensitivities.

    Notes
    -----
    Data shape: (coils,) + trajectory.shape[:-1], such as (coils, spokes, readout).  The scale is that of the unitary
    FFT: a trajectory through all integers -(n_a // 2), ... gives the centred unitary DFT of every coil's image.

    ``A.apply_adjoint`` is the adjoint to rounding, whatever ``eps``.  `N` is A*A by its Toeplitz kernel.

    Raises
    ------
    ValueError, TypeError
        for a trajectory of the wrong shape, with NaN, or beyond the band; sensitivities that do not fit; a dtype that
        is not complex.

    References
    ----------
    Pruessmann et al., Advances in sensitivity encoding with arbitrary k-space trajectories, Magn. Reson. Med. 46
    (2001); Barnett, Magland and af Klinteberg, SIAM J. Sci. Comput. 41 (2019).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.problems.measuring.coils import simulate_sensitivities
    >>> from ipbox.problems.measuring.trajectories import radial_trajectory
    >>> k = radial_trajectory(20, 64, (32, 32))
    >>> A = ip.NonCartesianMRI((32, 32), k, simulate_sensitivities(4, (32, 32)))
    >>> A.apply(np.ones((32, 32), np.complex64)).shape
    (4, 20, 64)
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(
        self,
        dims: tuple[int, ...],
        trajectory: Array,
        sensitivities: Array | None = None,
        dtype: Any = None,
        real_image: bool = False,
        eps: float | None = None,
    ) -> None:
        dims, dtype = check_dims(dims, "dims"), check_complex(dtype_of(sensitivities) if dtype is None else dtype)
        k = check_trajectory(trajectory, dims)
        eps = EPS[dtype] if eps is None else check_between(eps, "eps", 1e-14, 1, "[)", "a relative tolerance")
        nufft = NonuniformFFT(dims, radians(k, dims), dtype, eps)
        S = None if sensitivities is None else HeldArray(check_sensitivities(sensitivities, dims, dtype))
        self._set_up(k, nufft, S, dtype, backend.real_dtype(dtype) if check_flag(real_image, "real_image") else dtype)

    def _set_up(
        self, k: np.ndarray, nufft: NonuniformFFT, S: HeldArray | None, dtype: np.dtype, dtype_in: np.dtype
    ) -> None:
        self.trajectory, self.eps, self._nufft, self._maps = k, nufft.eps, nufft, S
        self.coils = 1 if S is None else len(S.host)
        self._scale = 1 / math.sqrt(math.prod(nufft.modes))
        dimsd = k.shape[:-1] if S is None else (self.coils,) + k.shape[:-1]
        super().__init__(nufft.modes, dimsd, dtype_in, dtype, name="NonCartesianMRI")

    def _with(self, k: np.ndarray, nufft: NonuniformFFT, S: HeldArray | None, dtype_in: Any) -> NonCartesianMRI:
        new = object.__new__(NonCartesianMRI)
        new._set_up(k, nufft, S, self.dtype_out, dtype_in)
        return new

    @property
    def sensitivities(self) -> np.ndarray | None:
        """The maps S_c, on the host, or None."""
        return None if self._maps is None else self._maps.host

    # ------------------------------------------------------------ forward and adjoint

    def _apply(self, x: Array, out: Array) -> None:
        coils = self.coils
        maps = None if self._maps is None else self._maps.like(x)
        lines = out.reshape(x.shape[0] * coils, -1)

        def transform(indices: range) -> None:
            for i in indices:
                b, c = divmod(i, coils)
                image = x[b] * self._scale
                image = image.astype(self.dtype_out, copy=False) if maps is None else maps[c] * image
                self._nufft.forward(image, out=lines[i])

        run_parts(transform, len(lines), x)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        lines = y.reshape(y.shape[0], self.coils, -1)
        add_coils(lambda b, c: self._nufft.adjoint(lines[b, c]), self._maps, out)
        out *= self._scale

    @functools.cached_property
    def _spectrum(self) -> HeldArray:
        return toeplitz_spectrum(self.trajectory, tuple(self.dims), self.dtype_out)

    def _apply_normal(self, x: Array, out: Array) -> None:
        convolve_coils(x, out, self._spectrum, self._maps, self.dtype_out)

    # ------------------------------------------------------------ derived operators

    def subset(self, indices: Any) -> NonCartesianMRI:
        """The operator of some spokes or interleaves, data ``b[:, indices]``; the sensitivities are shared.

        Parameters
        ----------
        indices : slice or sequence of int
            Along the first axis of the trajectory; a slice copies nothing.

        Examples
        --------
        >>> import numpy as np, ipbox as ip
        >>> from ipbox.problems.measuring.trajectories import radial_trajectory
        >>> A = ip.NonCartesianMRI((32, 32), radial_trajectory(20, 64, (32, 32)))
        >>> tuple(A.subset(slice(0, 20, 4)).dimsd)
        (5, 64)
        """
        chosen = check_subset(indices, len(self.trajectory), "spokes or interleaves")
        part = self.trajectory[indices if isinstance(indices, slice) else chosen]
        part.flags.writeable = False
        dims = tuple(self.dims)
        nufft = NonuniformFFT(dims, radians(part, dims), self.dtype_out, self.eps)
        return self._with(part, nufft, self._maps, self.dtype_in)

    def one_coil(self) -> NonCartesianMRI:
        """The same trajectory for complex images that no sensitivities weight: coils are a batch of it."""
        return self._with(self.trajectory, self._nufft, None, self.dtype_out)

    @property
    def support(self) -> np.ndarray | None:
        """Where some coil sees the object."""
        return support_of(self._maps)

    def with_sensitivities(self, S: Array) -> NonCartesianMRI:
        """The same trajectory with other maps."""
        maps = HeldArray(check_sensitivities(S, tuple(self.dims), self.dtype_out))
        return self._with(self.trajectory, self._nufft, maps, self.dtype_in)

    def coil_images(self, b: Array) -> Array:
        """F* b_c for each coil: the adjoint before the coils are combined.

        Parameters
        ----------
        b : array
            Data of shape A.dimsd, with any leading batch axes.

        Returns
        -------
        array
            Complex images: the trajectory's axes are replaced by those of the image.
        """
        return self.one_coil().apply_adjoint(b)

    def normal(self) -> Operator:
        """A*A by its Toeplitz kernel, as `N`: two FFTs of the doubled image a coil, however long the trajectory is."""
        return NonCartesianNormal(self)
