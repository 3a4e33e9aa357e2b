"""Cartesian magnetic resonance imaging, with one coil or several (SENSE)."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ipbox import backend, parallel
from ipbox.backend import Array
from ipbox.checks import check_dims, check_flag, check_no_picture
from ipbox.operators.core.base import ALL_DTYPES, Operator, check_array
from ipbox.operators.core.held import HeldArray, host_array
from ipbox.operators.core.norms import golub_kahan
from ipbox.operators.fourier.transform import WeightedFourier, check_complex, in_place, phases, shares, weighted
from ipbox.operators.mri.coils import check_sensitivities, dtype_of, sum_of_squares, support_of
from ipbox.warning import warn

CACHED = 1 << 17  # pixels of the coils that a thread takes at once


class CartesianMRI(Operator):
    r"""Cartesian MRI: samples of the Fourier transform of the image, as each coil sees it.

    .. math:: (A u)_c = W F (S_c u), \qquad A^* y = \sum_c \overline{S_c}\, F^* W y_c

    F is the centred orthonormal transform of `FourierTransform` (zero frequency at index n // 2, as in fastMRI and
    ISMRMRD), W the sampling mask.  The data fill the whole k-space grid, with zeros where nothing is sampled.

    Parameters
    ----------
    mask : array of bool, or of real weights >= 0
        Of the image's shape, zero frequency in the middle: what is sampled, or how much it counts (learned weights).
    sensitivities : array, (coils,) + image shape, optional
        Complex maps S_c of the dtype ``dtype``; without them one coil sees the image as it is.
    dtype : dtype, optional
        complex64 or complex128; by default that of the sensitivities, else complex64.
    real_image : bool
        The image is real: dtype_in is real, and the adjoint takes the real part.

    Notes
    -----
    Data shape: (coils,) + dims, or dims without maps.  Norm: without maps exact, max w (of a real image
    √(max_k (w_k² + w_{-k}²)/2)); with maps the bound max w √(max_x Σ_c |S_c(x)|²) where it is within 5 % of an
    estimate from below, else the estimate.

    Raises
    ------
    ValueError, TypeError
        for a mask that is zero everywhere, negative, not finite or not real, sensitivities of another shape or dtype
        or that vanish, or a dtype that is not complex.

    References
    ----------
    Pruessmann et al., SENSE: sensitivity encoding for fast MRI, Magn. Reson. Med. 42 (1999).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> mask = np.zeros((8, 6), dtype=bool)
    >>> mask[:, ::2] = True
    >>> A = ip.CartesianMRI(mask, dtype="complex128")
    >>> b = A.apply(np.ones((8, 6), complex))
    >>> b.shape, bool(b[:, 1::2].any()), A.norm()
    ((8, 6), False, 1.0)
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(
        self, mask: Array, sensitivities: Array | None = None, dtype: Any = None, real_image: bool = False
    ) -> None:
        W, dtype = check_mask(mask), check_complex(dtype_of(sensitivities) if dtype is None else dtype)
        if W.max() > np.finfo(dtype).max:
            raise ValueError(f"mask has weights up to {W.max():g}; expected weights within the range of {dtype}")
        dims = W.shape
        self._one_coil = WeightedFourier(W, dtype)
        self._maps: HeldArray | None = None
        dimsd = dims
        if sensitivities is not None:  # with the phase that F has on the image's side
            maps = check_sensitivities(sensitivities, dims, dtype) * phases(dims)[0].astype(dtype)
            self._maps, dimsd = HeldArray(maps), maps.shape
        image_dtype = backend.real_dtype(dtype) if check_flag(real_image, "real_image") else dtype
        super().__init__(dims, dimsd, image_dtype, dtype, name="CartesianMRI")
        self._mask = W

    @property
    def mask(self) -> np.ndarray:
        """The mask as float64 weights, on the host; read only."""
        return self._mask

    @property
    def sensitivities(self) -> np.ndarray | None:
        """The maps S_c, on the host (a new array), or None."""
        return (
            None if self._maps is None else self._maps.host * phases(tuple(self.dims))[0].conj().astype(self.dtype_out)
        )

    @property
    def support(self) -> np.ndarray | None:
        """Where some coil sees the object."""
        return support_of(self._maps)

    def with_sensitivities(self, S: Array) -> CartesianMRI:
        """The same sampling with other maps."""
        return CartesianMRI(self._mask, S, self.dtype_out, self.dtype_in.kind == "f")

    def coil_images(self, b: Array) -> Array:
        """F* W y_c for each coil: the adjoint before the coils are combined.

        Parameters
        ----------
        b : array
            Data of shape A.dimsd, with any leading batch axes.

        Returns
        -------
        array
            Complex images of the shape of ``b``.
        """
        xp, dims, dimsd = backend.array_module(b), tuple(self.dims), tuple(self.dimsd)
        check_array(b, dimsd, self.dtype_out, "b", self.name)
        out = xp.empty(b.shape, dtype=b.dtype)
        self._one_coil.adjoint(xp.ascontiguousarray(b).reshape((-1,) + dims), out.reshape((-1,) + dims))
        return out

    # ------------------------------------------------------------ forward and adjoint

    def _apply(self, x: Array, out: Array) -> None:
        S = None if self._maps is None else self._maps.like(x)
        if S is None:
            self._one_coil.forward(x, out)
        elif backend.is_device(x):
            weighted("fftn", S, self._one_coil.full[2].like(x), x[:, None], out)
        else:
            parts = shares(len(S), out[0].size)
            for u, y in zip(x, out, strict=True):
                parallel.run_all([partial(self._coils_forward, S[part], u, y[part]) for part in parts])

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        if self._maps is None:
            self._one_coil.adjoint(y, out)
            return
        S = self._maps.like(y)
        if backend.is_device(y):
            xp = backend.array_module(y)
            images = in_place("ifftn", y * self._one_coil.full[3].like(y), len(self.dims))
            images *= xp.conj(S)
            xp.sum(images if out.dtype.kind == "c" else images.real, axis=1, out=out)
            return
        parts = shares(len(S), y[0].size)
        for b, u in zip(y, out, strict=True):  # the same sums where the parts run in turn
            sums = [np.empty_like(S[0]) for _ in parts]
            parallel.run_all([partial(self._coils_adjoint, S[p], b[p], s) for p, s in zip(parts, sums, strict=True)])
            for s in sums[1:]:
                sums[0] += s
            u[...] = sums[0] if u.dtype.kind == "c" else sums[0].real

    def _apply_normal(self, x: Array, out: Array) -> None:
        if self._maps is None:
            self._one_coil.normal(x, out)
        else:
            super()._apply_normal(x, out)

    # Threads share the coils.  Each takes a few at a time, which stay in the cache of its core.

    def _few(self, count: int) -> list[slice]:
        step = math.ceil(CACHED / math.prod(self.dims))
        return [slice(i, i + step) for i in range(0, count, step)]

    def _coils_forward(self, S: np.ndarray, u: np.ndarray, y: np.ndarray) -> None:
        """y_c <- W F S_c u."""
        for part in self._few(len(S)):
            z = y[part]
            np.multiply(S[part], u, out=z)
            self._one_coil.weigh.in_place(in_place("fftn", z, u.ndim), z)

    def _coils_adjoint(self, S: np.ndarray, y: np.ndarray, u: np.ndarray) -> None:
        """u <- Σ_c conj(S_c) F* W y_c."""
        from ipbox.kernels.products.weights import combine_coils

        for part in self._few(len(S)):
            z = np.empty_like(y[part])
            self._one_coil.weigh_conj(y[part], z)
            combine_coils(S[part], in_place("ifftn", z, u.ndim), u, add=part.start > 0)

    # ------------------------------------------------------------ norm

    def _compute_norm(self) -> tuple[float, str]:
        w = self._mask
        if self._maps is None:
            if self.dtype_in.kind == "c":
                return float(w.max()), "exact"
            mirrored = w[np.ix_(*(-(np.arange(n) - 2 * (n // 2)) % n for n in w.shape))]  # of a real image,
            return math.sqrt(float((w**2 + mirrored**2).max()) / 2), "exact"  # |(Fu)_k| = |(Fu)_{-k}|
        bound = float(w.max()) * math.sqrt(float(sum_of_squares(self._maps.host).max()))
        below = golub_kahan(self)
        return (bound * (1 + 1e-6), "bound") if bound <= 1.05 * below else (1.02 * below, "estimate")


def check_mask(mask: Array) -> np.ndarray:
    """A sampling mask as a read-only float64 copy on the host."""
    W = host_array(mask, "mask", "a NumPy or CuPy array of bool or of weights", "biuf", "bool or real weights")
    check_dims(W.shape, "mask's shape")
    if W.min() < 0:
        raise ValueError("mask has negative entries; expected weights >= 0")
    if not W.any():
        raise ValueError("mask samples nothing; expected an entry that is not zero")
    check_no_picture(W)
    _check_middle(W)
    return W


def _check_middle(W: np.ndarray) -> None:
    """Warn of a mask whose fully sampled part lies at index 0, where unshifted transforms have zero frequency."""
    sampled, reach = W != 0, [max(4, n // 64) for n in W.shape]
    everywhere = float(sampled.mean())
    if max(W.shape) < 32 or everywhere > 0.5:
        return
    first, middle = (
        np.roll(sampled, [r - at for r, at in zip(reach, where, strict=True)], range(W.ndim))[
            tuple(slice(2 * r + 1) for r in reach)
        ]
        for where in ([0] * W.ndim, [n // 2 for n in W.shape])
    )
    if first.all() and middle.mean() < 0.75:
        warn(
            f"mask samples all around index 0 and {middle.mean():.0%} around its middle, where zero frequency is "
            "expected: if it begins with zero frequency, np.fft.fftshift(mask) is the one",
            UserWarning,
        )
