"""Coil sensitivities of parallel MRI: u -> (S_c u)_c."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ipbox import backend, parallel
from ipbox.backend import Array
from ipbox.checks import as_dtype, check_flag
from ipbox.operators.core.base import ALL_DTYPES, Operator
from ipbox.operators.core.held import HeldArray, host_array


class CoilSensitivities(Operator):
    r"""The image as each receive coil sees it.

    .. math:: (A u)_c = S_c u, \qquad A^* y = \sum_c \overline{S_c} y_c

    Parameters
    ----------
    sensitivities : array, (coils,) + dims
        Maps S_c, complex64 or complex128 (NumPy or CuPy); copied.
    real_image : bool
        The image is real: dtype_in is real, and the adjoint takes the real part.

    Notes
    -----
    The norm is exact: √(max_x Σ_c |S_c(x)|²).

    Raises
    ------
    ValueError, TypeError
        for maps that are not complex, not finite, or zero everywhere.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.operators import CoilSensitivities
    >>> S = np.array([[[1.0, 1j]], [[0.0, 1.0]]])
    >>> A = CoilSensitivities(S)
    >>> A.apply_adjoint(A.apply(np.array([[1.0 + 0j, 1.0]]))).real
    array([[1., 2.]])
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, sensitivities: Array, real_image: bool = False) -> None:
        S = check_sensitivities(sensitivities)
        self._maps = HeldArray(S)
        dtype = backend.real_dtype(S.dtype) if check_flag(real_image, "real_image") else S.dtype
        super().__init__(S.shape[1:], S.shape, dtype, S.dtype, name="S")

    @property
    def sensitivities(self) -> np.ndarray:
        """The maps S_c, (coils,) + dims, on the host; read only."""
        return self._maps.host

    def _apply(self, x: Array, out: Array) -> None:
        backend.array_module(x).multiply(self._maps.like(x), x[:, None], out=out)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        xp = backend.array_module(y)
        products = xp.conj(self._maps.like(y))[None] * y
        xp.sum(products if out.dtype.kind == "c" else products.real, axis=1, out=out)

    def _apply_normal(self, x: Array, out: Array) -> None:
        backend.array_module(x).multiply(sum_of_squares(self._maps.like(x)), x, out=out)

    def _compute_norm(self) -> tuple[float, str]:
        return float(np.sqrt(sum_of_squares(self._maps.host).max())), "exact"


def support_of(maps: HeldArray | None) -> np.ndarray | None:
    """Where some coil sees the object, dims; None for no maps, or where that is everywhere."""
    seen = None if maps is None else (maps.host != 0).any(axis=0)
    return None if seen is None or seen.all() else seen


def dtype_of(sensitivities: Any) -> str:
    """The dtype of an operator that is made without one: that of its maps, else complex64."""
    double = backend.is_array(sensitivities) and sensitivities.dtype == np.complex128
    return "complex128" if double else "complex64"


def check_sensitivities(S: Array, dims: tuple[int, ...] | None = None, dtype: Any = None) -> np.ndarray:
    """``S`` as a read-only copy on the host, after the checks below.

    Parameters
    ----------
    S : array, (coils,) + dims
        Complex maps (NumPy or CuPy).
    dims : tuple of int, optional
        Shape of the image.
    dtype : dtype, optional
        What ``S`` has to be: complex64 or complex128 (or their real counterparts).

    Raises
    ------
    ValueError
        for another shape, NaN or infinite entries, or maps that are zero in every pixel.
    TypeError
        for what is no array, or of another dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.operators.mri.coils import check_sensitivities
    >>> check_sensitivities(np.ones((2, 4, 5), complex), (4, 5)).shape
    (2, 4, 5)
    """
    expected = "complex64 or complex128" if dtype is None else backend.complex_dtype(dtype)
    S = host_array(S, "sensitivities", "a NumPy or CuPy array (coils,) + dims", "c", expected, dtype=None)
    if dims is not None and S.shape[1:] != tuple(dims):
        raise ValueError(f"sensitivities has shape {S.shape}; expected (coils,) + {tuple(dims)}")
    if S.ndim < 2 or S.size == 0:
        raise ValueError(f"sensitivities has shape {S.shape}; expected (coils,) + dims")
    if S.dtype not in (np.complex64, np.complex128) or (dtype is not None and S.dtype != expected):
        advice = "" if dtype is None else as_dtype("sensitivities", S.dtype, dtype)
        raise TypeError(f"sensitivities has dtype {S.dtype}; expected {expected}{advice}")
    if not S.any():
        raise ValueError("sensitivities vanish: every coil is zero in every pixel")
    with np.errstate(over="ignore"):
        largest = float(sum_of_squares(S).max())
    if not 0 < largest < np.inf:
        raise ValueError(f"sensitivities reach {abs(S).max():g}, whose square is beyond the range of {S.dtype}")
    return S


def sum_of_squares(S: Array) -> Array:
    """Σ_c |S_c|² over the first axis, real."""
    return (S.real**2 + S.imag**2).sum(axis=0)


def root_of_squares(images: Array) -> Array:
    """(Σ_c |u_c|²)^½ over the first axis; squares in double precision, since in single they overflow beyond 2^64."""
    squares = (abs(images).astype(np.float64) ** 2).sum(axis=0)
    return backend.array_module(images).sqrt(squares).astype(backend.real_dtype(images.dtype))


def inverse_sum_of_squares(S: np.ndarray) -> np.ndarray:
    """1 / Σ_c |S_c|², and 0 where no coil sees anything but rounding."""
    squares = sum_of_squares(S)
    seen = squares > np.finfo(squares.dtype).eps * squares.max()
    return np.where(seen, 1 / np.where(seen, squares, 1), 0).astype(squares.dtype)


# ---------------------------------------------------------------- coils, shared between threads


def run_parts(work: Callable[[range], None], count: int, like: Array) -> None:
    """``work`` on the parts of range(count), each in a thread of its own; the whole on a GPU."""
    parts = [slice(0, count)] if backend.is_device(like) else parallel.parts(count)
    parallel.run_all([partial(work, range(part.start, part.stop)) for part in parts])


def add_coils(coil_image: Callable[[int, int], Array], S: HeldArray | None, out: Array) -> None:
    """out[b] <- Σ_c conj(S_c) coil_image(b, c), or its real part where ``out`` is real; 1 without maps.

    Each part of the coils has a sum of its own, added in order, also where the parts run in turn.
    """

    def keep(b: int, image: Array) -> None:
        out[b] = image if out.dtype.kind == "c" else image.real

    def keep_each(part: range) -> None:
        for b in part:
            keep(b, coil_image(b, 0))

    if S is None:
        run_parts(keep_each, len(out), out)
        return
    maps = S.like(out)
    for b in range(len(out)):
        keep(b, _coil_sum(partial(coil_image, b), maps))


def _coil_sum(coil_image: Callable[[int], Array], maps: Array) -> Array:
    sums: dict[int, Array] = {}

    def add(part: range) -> None:
        for c in part:
            image = coil_image(c)
            image *= maps[c].conj()
            if part.start in sums:
                sums[part.start] += image
            else:
                sums[part.start] = image

    run_parts(add, len(maps), maps)
    first, *rest = (sums[start] for start in sorted(sums))
    for image in rest:
        first += image
    return first
