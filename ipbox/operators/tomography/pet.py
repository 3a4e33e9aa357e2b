"""The forward model of positron emission tomography: a non-negative matrix with its exact transpose."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_finite, check_not_negative, check_type, is_number
from ipbox.operators.core.base import Operator
from ipbox.operators.core.held import HeldArray, host_array
from ipbox.operators.core.positive import collatz_wielandt
from ipbox.operators.core.subsets import OrderedSubsets, check_subset
from ipbox.operators.tomography.joseph import LineTransform
from ipbox.operators.tomography.nonnegative_blur import NonnegativeBlur


class PET(OrderedSubsets, Operator):
    r"""Expected coincidences of an activity image u, without the background: A u = n a P H u.

    .. math:: E\,b = A u + r, \qquad a = \exp\Bigl(-\int μ\Bigr)

    Parameters
    ----------
    projector : LineTransform
        P: `JosephTransform`, or another non-negative projector with its matched transpose.
    attenuation : array, P.dims, optional
        The map μ >= 0 in 1/length, in the unit of the projector's ``pixel_size``; none attenuates nothing.
    attenuation_factors : array, P.dimsd, optional
        a in [0, 1] where it is known from a transmission scan, in place of the map.
    normalisation : float or array, P.dimsd, optional
        n >= 0: detector efficiencies, times the measuring time; 1 by default.
    blur_fwhm : float
        Full width at half maximum of the Gaussian H, the resolution of the scanner; 0 blurs nothing.
    background : float or array, P.dimsd, optional
        r >= 0: expected randoms and scatter, as they are among the data; 0 by default.

    Attributes
    ----------
    factors, background : numpy.ndarray
        n a and r, read only; those of subsets are views.

    Notes
    -----
    dtype is that of the projector, into which the arrays are converted; they may be on either device, and are used on
    that of the data.  H blurs the image: by the Fourier slice theorem that is the same blur along every detector row.
    All sums have non-negative terms (no FFT), so A u >= 0 for u >= 0 and A* y >= 0 for y >= 0 to the last bit, which
    the Kullback-Leibler divergence and MLEM need.  `norm` is a bound by Collatz and Wielandt.

    Raises
    ------
    TypeError
        for a projector that is not non-negative (a Fourier projector rings), or arrays that are not floating.
    ValueError
        for arrays of another shape, negative, not finite, or n a = 0 everywhere; or both ways to give a.

    References
    ----------
    Qi and Leahy, Iterative reconstruction techniques in emission computed tomography, Phys. Med. Biol. 51 (2006).

    Examples
    --------
    MLEM is one line for each iteration:

    >>> import numpy as np, ipbox as ip
    >>> P = ip.JosephTransform((32, 32), np.arange(24) * np.pi / 24, pixel_size=4.0)
    >>> A = ip.PET(P, attenuation=np.full((32, 32), 0.0096), blur_fwhm=5.0, background=0.5)
    >>> b = A.mean(np.ones((32, 32), "float32"))
    >>> u = np.full((32, 32), 2.0, dtype="float32")
    >>> for _ in range(5):
    ...     u *= A.apply_adjoint(b / A.mean(u)) / A.sensitivity()
    >>> bool(abs(u[16, 16] - 1) < 0.01)
    True
    """

    nonnegative = True  # no entry of the matrix is negative

    def __init__(
        self,
        projector: LineTransform,
        attenuation: Array | None = None,
        *,
        attenuation_factors: Array | None = None,
        normalisation: float | Array | None = None,
        blur_fwhm: float = 0.0,
        background: float | Array | None = None,
    ) -> None:
        check_type(projector, "projector", LineTransform, "a non-negative one as JosephTransform")
        if attenuation is not None and attenuation_factors is not None:
            raise ValueError("attenuation and attenuation_factors are both given; expected at most one of them")
        P, dims, dimsd, dtype = projector, tuple(projector.dims), tuple(projector.dimsd), projector.dtype_in
        blur_fwhm = check_not_negative(blur_fwhm, "blur_fwhm", "zero or a positive width")
        if attenuation is not None:
            a = np.exp(-P.apply(nonnegative(attenuation, dims, "attenuation", dtype)))
        else:
            a = nonnegative(attenuation_factors, dimsd, "attenuation_factors", dtype, default=1.0)
            if a.max() > 1:
                raise ValueError(f"attenuation_factors reach {a.max():g}; expected a share from 0 to 1")
        n = nonnegative(normalisation, dimsd, "normalisation", dtype, default=1.0)
        r = nonnegative(background, dimsd, "background", dtype, default=0.0)
        factors = n * a
        if not factors.any():
            raise ValueError(
                "normalisation and attenuation leave no counts: n a is 0 everywhere; expected some n a > 0"
            )
        if not np.isfinite(factors).all():
            raise ValueError(f"normalisation reaches {n.max():g}, beyond the range of {dtype}")
        for array in (factors, r):
            array.flags.writeable = False
        self._set_up(P, blur_fwhm, HeldArray(factors), HeldArray(r))

    def _set_up(self, projector: LineTransform, blur_fwhm: float, factors: HeldArray, background: HeldArray) -> None:
        super().__init__(tuple(projector.dims), tuple(projector.dimsd), projector.dtype_in, name="PET")
        self.projector, self.blur_fwhm, self._factors, self._background = projector, blur_fwhm, factors, background
        sigma = blur_fwhm / math.sqrt(8 * math.log(2)) / projector.square_pixel() if blur_fwhm > 0 else 0.0
        self.blur = NonnegativeBlur(tuple(self.dims), sigma)
        self._sensitivity: dict[bool, Array] = {}

    @property
    def factors(self) -> np.ndarray:
        return self._factors.host

    @property
    def background(self) -> np.ndarray:
        return self._background.host

    # ------------------------------------------------------------ forward and adjoint

    def _apply(self, x: Array, out: Array) -> None:
        self.projector.apply(self.blur.convolve(x), out=out)
        out *= self._factors.like(x)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self.projector.apply_adjoint(y * self._factors.like(y), out=out)
        if self.blur_fwhm > 0:
            out[...] = self.blur.convolve(out)

    def background_like(self, x: Array) -> Array:
        """r in the library of ``x``."""
        return self._background.like(x)

    def factors_like(self, x: Array) -> Array:
        """n a in the library of ``x``."""
        return self._factors.like(x)

    def sensitivity(self, like: Array | None = None) -> Array:
        """A* 1, the expected counts of a unit of activity in each pixel; in the library of ``like``, kept.

        Not to be written to.
        """
        xp = np if like is None else backend.array_module(like)
        key = xp is not np
        if key not in self._sensitivity:
            s = self.apply_adjoint(xp.ones(tuple(self.dimsd), dtype=self.dtype_out))
            if xp is np:
                s.flags.writeable = False
            self._sensitivity[key] = s
        return self._sensitivity[key]

    # ------------------------------------------------------------ subsets

    def subset(self, indices: Any) -> PET:
        """The same model at some of the angles: for data ``b``, its data are ``b[indices]``.

        Parameters
        ----------
        indices : slice or array of int
            For a slice, n a and r are views.

        Raises
        ------
        ValueError, TypeError
            for no angles, an index out of range, or indices that are not integers.
        """
        chosen = check_subset(indices, self.dimsd[0])
        if not isinstance(indices, slice):
            indices = chosen  # a tuple would index two axes of n a and r
        part = object.__new__(PET)
        rows = (_HeldPart(held, indices) for held in (self._factors, self._background))
        part._set_up(self.projector.subset(indices), self.blur_fwhm, *rows)
        return part

    def _compute_norm(self) -> tuple[float, str]:
        return math.sqrt(collatz_wielandt(self)), "bound"

    def __getstate__(self) -> dict[str, Any]:
        """Without what is kept on the device."""
        return self.__dict__ | {"_sensitivity": {}}


class _HeldPart(HeldArray):
    """Some rows of a `HeldArray`, on either device: views where ``indices`` is a slice."""

    def __init__(self, whole: HeldArray, indices: Any) -> None:
        rows = whole.host[indices]
        rows.flags.writeable = False
        super().__init__(rows)
        self.whole, self.indices = whole, indices

    def like(self, x: Array) -> Array:
        if backend.is_device(x) and self._device is None:
            self._device = self.whole.like(x)[self.indices]
        return super().like(x)


def nonnegative(
    value: Any, shape: tuple[int, ...], name: str, dtype: np.dtype, default: float | None = None
) -> np.ndarray:
    """A non-negative array of ``shape`` on the host, a copy in ``dtype``; a number fills it where there is a default.

    Raises
    ------
    ValueError, TypeError
        for another shape, entries that are negative or not finite, or no floating dtype.
    """
    if default is not None and (value is None or is_number(value)):
        array = np.full(shape, check_finite(default if value is None else value, name))
    else:
        number = "a number or " if default is not None else ""
        array = host_array(
            value, name, f"{number}an array of shape {shape}", "f", numbers="float32 or float64", dtype=None
        )
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}; expected {shape}")
    with np.errstate(over="ignore"):  # it is refused below
        array = array.astype(dtype)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has NaN or infinite entries in {dtype}; expected finite values")
    if array.min() < 0:
        raise ValueError(f"{name} has negative entries, down to {array.min():g}; expected values >= 0")
    return array
