"""The orthogonal discrete wavelet transform with periodic boundary."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_axes, check_dims, check_integer
from ipbox.operators.core.base import ALL_DTYPES, Operator
from ipbox.operators.core.held import HeldArray
from ipbox.operators.images.daubechies import scaling_filter

Direction = Callable[["_Step", Array, bool], Array]  # of a step, an array, and whether its last axis is meant

PIECE = 2**16  # entries transformed at once
BLOCK = 8  # coefficients of each band that one window gives: more waste time on zeros, fewer on overlaps


class Wavelet(Operator):
    r"""Orthogonal discrete wavelet transform W, separable in any number of axes, periodic: W* W = W W* = I.

    .. math:: a_k = \sum_i h_i u_{2k + i - N + 1}, \qquad d_k = \sum_i (-1)^i h_{2N-1-i}\, u_{2k + i - N + 1}

    along every axis, indices modulo its size, h with 2N taps; each further level transforms the block of the a's.
    Where the size is odd, the last entry is left out, and becomes the last a.  Of a constant image it is then smaller
    than the others, by a factor q; where the next size is even, the last two entries, x and y, become the last a,
    (x + qy)/(1 + q²)^½, and d, (qx - y)/(1 + q²)^½.  So W is orthogonal for any size, and constants have no details.

    Parameters
    ----------
    dims : tuple of int
        Image shape, any.
    wavelet : str
        ``"haar"``, Daubechies' ``"db1"`` to ``"db10"``, or their least asymmetric ``"sym2"`` to ``"sym10"``.
    levels : int, optional
        By default as many as leave every axis of the coarsest block no shorter than the filter, as PyWavelets'
        ``dwt_max_level`` does, at least one.
    dtype : dtype
        float32, float64, complex64 or complex128.
    axes : tuple of int, optional
        Those that are coupled, all by default; along the others the image is a stack, such as of slices or channels.

    Notes
    -----
    Coefficients have the image's shape, in Mallat's layout: the coarsest block is in the corner of index 0, details
    of level j start at n/2^j, rounded up, along the axes they are detail of.  `coefficients` gives the subbands as
    views.  For sizes divisible by 2^levels, signs and positions are those of PyWavelets' mode ``"periodization"``; of
    odd sizes, that one repeats the last entry, so that its transform is not orthogonal.  ``W.apply_adjoint`` is the
    inverse.

    Raises
    ------
    ValueError
        for an unknown wavelet, an image of one pixel, or levels beyond that at which an axis is one entry.

    References
    ----------
    Mallat, A Wavelet Tour of Signal Processing, 2009, chapter 7; Daubechies, Ten Lectures on Wavelets, SIAM 1992.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> W = ip.Wavelet((4, 4), "haar", levels=1, dtype="float64")
    >>> W.apply(np.ones((4, 4))).round(6)
    array([[2., 2., 0., 0.],
           [2., 2., 0., 0.],
           [0., 0., 0., 0.],
           [0., 0., 0., 0.]])
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(
        self,
        dims: tuple[int, ...],
        wavelet: str = "db4",
        levels: int | None = None,
        dtype: Any = "float32",
        axes: tuple[int, ...] | None = None,
    ) -> None:
        dims = check_dims(dims, "dims")
        self.coupled = check_axes(axes, len(dims))
        lengths = tuple(dims[a] for a in self.coupled)
        self.wavelet, self.levels = wavelet, _check_levels(lengths, levels, len(scaling_filter(wavelet)))
        super().__init__(dims, dims, dtype, name=f"Wavelet({wavelet})")

    def coefficients(self, c: Array) -> list[Any]:
        """The subbands of coefficients ``c`` (batch + dims) as views.

        Returns
        -------
        list
            The coarsest approximation, then for each level, coarse to fine, a dictionary of the details: the key has a
            letter for each axis that is coupled, ``"a"`` for approximation and ``"d"`` for detail, as in PyWavelets'
            ``wavedecn``.

        Raises
        ------
        ValueError
            where the shape is not batch + dims.

        Examples
        --------
        >>> import numpy as np, ipbox as ip
        >>> W = ip.Wavelet((8, 8), "haar", levels=2)
        >>> a, coarse, fine = W.coefficients(np.zeros((8, 8)))
        >>> a.shape, sorted(coarse), fine["dd"].shape
        ((2, 2), ['ad', 'da', 'dd'], (4, 4))
        """
        backend.array_module(c)
        dims = tuple(self.dims)
        if c.shape[max(c.ndim - len(dims), 0) :] != dims:
            raise ValueError(f"c has shape {c.shape}; expected {dims}, with any leading batch axes")
        coupled = self.coupled
        bands = [c[(..., *self._block(self.levels))]]
        for level in range(self.levels, 0, -1):
            ends = [(halved(dims[a], level), halved(dims[a], level - 1)) for a in coupled]
            sides = {"a": [slice(middle) for middle, _ in ends], "d": [slice(*middle_end) for middle_end in ends]}
            details = {}
            for key in itertools.islice(itertools.product("ad", repeat=len(coupled)), 1, None):  # not all approximation
                part = dict(zip(coupled, (sides[s][i] for i, s in enumerate(key)), strict=True))
                details["".join(key)] = c[(..., *(part.get(a, slice(None)) for a in range(len(dims))))]
            bands.append(details)
        return bands

    def _block(self, level: int) -> tuple[slice, ...]:
        """Where the approximations after so many levels are."""
        return tuple(slice(halved(n, level) if a in self.coupled else n) for a, n in enumerate(self.dims))

    def _apply(self, x: Array, out: Array) -> None:
        self._transform(x, out, range(self.levels), _Step.analyse)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self._transform(y, out, range(self.levels - 1, -1, -1), _Step.synthesise)

    def _transform(self, x: Array, out: Array, levels: range, direction: Direction) -> None:
        if x.dtype.kind == "c":  # the filters are real
            xp = backend.array_module(x)
            parts = xp.concatenate([x.real, x.imag])
        else:
            out[...] = x
            parts = out
        for level in levels:
            block = parts[(slice(None), *self._block(level))]
            for axis in (1 + a for a in self.coupled):
                last = _last(parts.shape[axis], level)
                for piece in _pieces(block, axis) if block.shape[axis] > 1 else ():
                    piece[...] = self._along(piece, axis, direction, last)
        if x.dtype.kind == "c":
            out.real, out.imag = parts[: len(x)], parts[len(x) :]

    def _along(self, v: Array, axis: int, direction: Direction, last: float) -> Array:
        """One level of the transform, or of its inverse, along one axis; ``last`` as by `_last`."""
        xp, n = backend.array_module(v), v.shape[axis]
        if n % 2 or last != 1.0:  # the last entries, at the end before, are the last a, between a and d, and the last d
            apart = 2 - n % 2
            before, after = (n - apart, (n - apart) // 2)[:: 1 if direction is _Step.analyse else -1]
            low, x, high, y = xp.split(v, [before, before + 1, n + 1 - apart], axis=axis)
            rest = xp.concatenate([low, high], axis=axis)
            if rest.shape[axis]:
                rest = self._along(rest, axis, direction, 1.0)
            if apart == 2:
                x, y = (x + last * y) / math.hypot(1.0, last), (last * x - y) / math.hypot(1.0, last)
            low, high = xp.split(rest, [after], axis=axis)
            return xp.concatenate([low, x, high, y], axis=axis)
        step = _step(self.wavelet, n, v.dtype)
        if axis == v.ndim - 1:
            return direction(step, v, True)
        return xp.moveaxis(direction(step, xp.moveaxis(v, axis, -2), False), -2, axis)

    def _apply_normal(self, x: Array, out: Array) -> None:
        out[...] = x

    def _compute_norm(self) -> tuple[float, str]:
        return 1.0, "exact"


def _pieces(u: Array, axis: int) -> list[Array]:
    """``u`` cut across another axis than ``axis``; on the host into pieces whose temporaries stay in the cache."""
    across = u.ndim - 1 if axis < u.ndim - 1 else axis - 1
    n = u.shape[across]
    length = n if backend.is_device(u) else max(16, PIECE * n // u.size)
    return [u[(slice(None),) * across + (slice(i, i + length),)] for i in range(0, n, length)]


@functools.lru_cache(maxsize=256)
def _step(wavelet: str, n: int, dtype: np.dtype) -> _Step:
    return _Step(scaling_filter(wavelet), n, dtype)


class _Step:
    """One level along an axis of n entries: products of a small banded matrix with overlapping windows of the entries.

    Each window gives ``BLOCK`` approximations and as many details.  For short axes the matrix is that of all of it.
    """

    def __init__(self, h: np.ndarray, n: int, dtype: np.dtype) -> None:
        self.n, self.half, self.taps = n, n // 2, len(h)
        self.filters = np.stack([h, (-1.0) ** np.arange(len(h)) * h[::-1]])
        self.before = len(h) // 2 - 1  # how far the filter reaches to the left
        self.reach = len(h) // 4  # how many coefficients beyond its own a window of the inverse needs, on each side
        self.count = -(-self.half // BLOCK)  # windows; what the last one has too much is cut off
        self.spare = self.count * BLOCK - self.half
        self.whole = n < 2 * BLOCK + 2 * len(h)
        matrices = self._whole() if self.whole else (self._analysis(), self._synthesis())
        self.analysis, self.synthesis = (HeldArray(np.ascontiguousarray(m, dtype)) for m in matrices)

    def _whole(self) -> tuple[np.ndarray, np.ndarray]:
        W = np.zeros((2, self.half, self.n))
        for k, i in itertools.product(range(self.half), range(self.taps)):
            W[:, k, (2 * k + i - self.before) % self.n] += self.filters[:, i]
        W = W.reshape(self.n, self.n)
        return W, W.T

    def _analysis(self) -> np.ndarray:
        """Approximations, then details, from the 2 BLOCK + taps - 2 entries they depend on."""
        M = np.zeros((2, BLOCK, 2 * BLOCK + self.taps - 2))
        for k in range(BLOCK):
            M[:, k, 2 * k : 2 * k + self.taps] = self.filters
        return M.reshape(2 * BLOCK, -1)

    def _synthesis(self) -> np.ndarray:
        """2 BLOCK entries from the approximations, then the details, that they depend on."""
        i = np.arange(2 * BLOCK)[:, None] - 2 * (np.arange(BLOCK + 2 * self.reach) - self.reach) + self.before
        used = (i >= 0) & (i < self.taps)
        return np.concatenate([np.where(used, g[np.clip(i, 0, self.taps - 1)], 0.0) for g in self.filters], axis=1)

    def analyse(self, u: Array, last: bool) -> Array:
        """(a, d) along the last axis of ``u``, or the last but one."""
        M = self.analysis.like(u)
        if self.whole:
            return _product(M, u, last)
        out = backend.array_module(u).empty_like(u)
        u = _wrapped(u, self.before, self.taps - 2 - self.before + 2 * self.spare, last)
        y = _product(M, _windows(u, M.shape[1], 2 * BLOCK, last), last)
        for band in (0, 1):
            part = y[..., band * BLOCK : (band + 1) * BLOCK] if last else y[..., band * BLOCK : (band + 1) * BLOCK, :]
            _part(out, band * self.half, (band + 1) * self.half, last)[...] = self._joined(part, self.half, last)
        return out

    def synthesise(self, c: Array, last: bool) -> Array:
        """The inverse of `analyse`."""
        M, r = self.synthesis.like(c), self.reach
        if self.whole:
            return _product(M, c, last)
        bands = [_part(c, 0, self.half, last), _part(c, self.half, self.n, last)]
        windows = [_windows(_wrapped(band, r, r + self.spare, last), BLOCK + 2 * r, BLOCK, last) for band in bands]
        windows = backend.array_module(c).concatenate(windows, axis=-1 if last else -2)
        return self._joined(_product(M, windows, last), self.n, last)

    @staticmethod
    def _joined(y: Array, length: int, last: bool) -> Array:
        """Blocks (..., count, block), or (..., count, block, m), end to end, the first ``length`` entries."""
        shape = y.shape[:-2] + (-1,) if last else y.shape[:-3] + (-1, y.shape[-1])
        return _part(y.reshape(shape), 0, length, last)


def _part(u: Array, start: int, stop: int, last: bool) -> Array:
    return u[..., start:stop] if last else u[..., start:stop, :]


def _wrapped(u: Array, before: int, after: int, last: bool) -> Array:
    """``u`` with entries from its other end put before and after it."""
    n = u.shape[-1 if last else -2]
    parts = [_part(u, n - before, n, last), u, _part(u, 0, after, last)]
    return backend.array_module(u).concatenate(parts, axis=-1 if last else -2)


def _windows(u: Array, width: int, stride: int, last: bool) -> Array:
    """Overlapping windows of ``u``: (..., count, width), or (..., count, width, m) of the last axis but one."""
    xp = backend.array_module(u)
    view = xp.lib.stride_tricks.sliding_window_view(u, width, axis=-1 if last else -2)
    if last:
        return xp.ascontiguousarray(view[..., ::stride, :])
    return view[..., ::stride, :, :].swapaxes(-1, -2)


def _product(M: Array, u: Array, last: bool) -> Array:
    """M along the last axis, or the last but one."""
    return u @ M.T if last else backend.array_module(u).matmul(M, u)


def halved(n: int, level: int) -> int:
    """How many of n entries are approximations after some levels: half of them each time, rounded up."""
    return -(-n >> level)


def _last(n: int, level: int) -> float:
    """The last of n entries after some levels, relative to the others, of a constant image."""
    last = 1.0
    for before in (halved(n, k) for k in range(level)):
        last = last / math.sqrt(2) if before % 2 else math.hypot(1.0, last) / math.sqrt(2)
    return last


def _check_levels(dims: tuple[int, ...], levels: int | None, taps: int) -> int:
    most = min(((n - 1).bit_length() for n in dims if n > 1), default=0)  # until an axis has one approximation
    if most == 0:
        raise ValueError(f"dims is {dims}; Wavelet expects an axis of more than one entry")
    if levels is None:
        shortest = min(n for n in dims if n > 1)
        return max(1, min(most, int(math.log2(max(1.0, shortest / (taps - 1))))))
    return check_integer(levels, "levels", 1, most, f", where the shortest axis of {dims} is one entry")
