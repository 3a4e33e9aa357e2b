"""The centred orthonormal discrete Fourier transform; the shifts are phases, which go into products made anyway."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ipbox import backend, parallel
from ipbox.backend import Array
from ipbox.checks import check_flag
from ipbox.operators.core.base import Operator, check_dims, check_dtype
from ipbox.operators.core.held import HeldArray

Work = Callable[[Array, Array], None]

SPLIT_FROM = 1 << 15  # pixels of all images: below, handing half of them to another thread costs more than it saves


class FourierTransform(Operator):
    r"""The centred orthonormal discrete Fourier transform of an image, zero frequency in the middle.

    .. math:: (F u)_k = \frac{1}{\sqrt{N}} \sum_j u_j \exp\Big(-2π i \sum_a (k_a - c_a)(j_a - c_a) / n_a\Big),
              \quad c_a = \lfloor n_a / 2 \rfloor

    This is ``fftshift(fftn(ifftshift(u), norm="ortho"))``, the convention of fastMRI and ISMRMRD.

    Parameters
    ----------
    dims : tuple of int
        Image shape, N pixels.
    dtype : dtype
        complex64 or complex128.
    real_image : bool
        The image is real: dtype_in is real, and the adjoint takes the real part.

    Notes
    -----
    F is unitary: its adjoint is its inverse (of a real image: its left inverse), and its norm is exactly 1.

    Raises
    ------
    ValueError, TypeError
        for dims that are not positive integers, or a dtype that is not complex.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> F = ip.FourierTransform((4, 6), dtype="complex128")
    >>> abs(F.apply(np.ones((4, 6), complex))[2, 3]).round(6)
    np.float64(4.898979)
    """

    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "complex64", "complex128")

    def __init__(self, dims: tuple[int, ...], dtype: Any = "complex64", real_image: bool = False) -> None:
        dims, dtype = check_dims(dims, "dims"), check_complex(dtype)
        image_dtype = backend.real_dtype(dtype) if check_flag(real_image, "real_image") else dtype
        super().__init__(dims, dims, image_dtype, dtype, name="F")
        self._transform = WeightedFourier(np.ones(dims), dtype)

    def _apply(self, x: Array, out: Array) -> None:
        self._transform.forward(x, out)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self._transform.adjoint(y, out)

    def _apply_normal(self, x: Array, out: Array) -> None:
        out[...] = x

    def _compute_norm(self) -> tuple[float, str]:
        return 1.0, "exact"


class WeightedFourier:
    """W F and F* W for real weights W on the frequencies, of images with one batch axis.

    With D the plain transform, (F u)_k = Q_k D_{k - c}: the phase Q and the shift by c go into the pass that multiplies
    with W.  On a device, where a pass costs little, and for coils, whose maps are multiplied with anyway, the shift is
    a phase P of the image: F u = Q FFT(P u).
    """

    def __init__(self, weights: np.ndarray, dtype: np.dtype) -> None:
        dims = weights.shape
        self._weights, self._dtype = weights, dtype
        still, middle = (0,) * len(dims), tuple(n // 2 for n in dims)
        back = tuple((-c) % n for c, n in zip(middle, dims, strict=True))
        p, v = (_compact(a, dtype) for a in (phases(dims)[0], weights * phases(dims)[1]))
        self._shift_phase = WeighingPass(p, still)
        self.weigh, self.weigh_conj = WeighingPass(v, still), WeighingPass(v.conj(), still)
        self._shifting = WeighingPass(v, middle)
        self._shifting_back = WeighingPass(np.roll(v.conj(), back, axis=tuple(range(len(dims)))), back)

    @functools.cached_property
    def full(self) -> tuple[HeldArray, ...]:
        """P, W Q and their conjugates, in full."""
        inner, outer = phases(self._weights.shape)
        return tuple(HeldArray(a.astype(self._dtype)) for v in (inner, self._weights * outer) for a in (v, v.conj()))

    @functools.cached_property
    def _squares(self) -> HeldArray:
        squares = np.fft.ifftshift(self._weights**2)
        return HeldArray(squares.astype(backend.real_dtype(self._dtype)))

    def forward(self, x: Array, out: Array) -> None:
        """out <- W F x."""
        self._run(self._forward, partial(self._on_device, "fftn", 0, 2), x, out)

    def adjoint(self, y: Array, out: Array) -> None:
        """out <- F* W y, or its real part where ``out`` is real."""
        self._run(self._adjoint, partial(self._on_device, "ifftn", 3, 1), y, out)

    def normal(self, x: Array, out: Array) -> None:
        """out <- F* W² F x, in which the phases cancel, or its real part where ``out`` is real."""
        self._run(self._normal, self._normal, x, out)

    @staticmethod
    def _run(host: Work, device: Work, x: Array, out: Array) -> None:
        device(x, out) if backend.is_device(x) else each_image(host, x, out)

    def _on_device(self, transform: str, inner: int, outer: int, x: Array, out: Array) -> None:
        weighted(transform, self.full[inner].like(x), self.full[outer].like(x), x, out)

    def _normal(self, x: Array, out: Array) -> None:
        z = backend.fft_module(x).fftn(x, axes=tuple(range(-self._weights.ndim, 0)), norm="ortho")
        z *= self._squares.like(x)
        image = in_place("ifftn", z, self._weights.ndim)
        out[...] = image if out.dtype.kind == "c" else image.real

    def _forward(self, u: np.ndarray, y: np.ndarray) -> None:
        if u.dtype.kind == "c":  # in place: there is less to keep in the cache
            self._shift_phase(u, y)
            self.weigh.in_place(in_place("fftn", y, y.ndim), y)
        else:  # half a transform
            self._shifting(backend.fft_module(u).fftn(u, norm="ortho"), y)

    def _adjoint(self, y: np.ndarray, u: np.ndarray) -> None:
        z = u if u.dtype.kind == "c" else np.empty_like(y)
        self._shifting_back(y, z)
        image = in_place("ifftn", z, z.ndim)
        if not np.may_share_memory(image, u):
            u[...] = image if u.dtype.kind == "c" else image.real


def _compact(v: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """``v`` as real numbers where it is real, as for even sizes: half as much to read."""
    return v.astype(dtype) if v.imag.any() else v.real.astype(backend.real_dtype(dtype))


class WeighingPass:
    """x -> v x, shifted cyclically, for host arrays (coils,) + dims; the weights v as the result has them."""

    def __init__(self, v: np.ndarray, shift: tuple[int, ...]) -> None:
        *height, width = v.shape
        rows = np.zeros(1, dtype=np.int64)  # where each row goes
        for n, s in zip(height, shift[:-1], strict=True):
            rows = (rows[:, None] * n + (np.arange(n) + s) % n).reshape(-1)
        self._shape = (-1, len(rows), width)
        self._arguments = np.ascontiguousarray(v).reshape(-1, width), rows, shift[-1]

    def __call__(self, x: np.ndarray, out: np.ndarray) -> None:
        from ipbox.kernels.products.weights import weigh

        weigh(x.reshape(self._shape), *self._arguments, out.reshape(self._shape))

    def in_place(self, x: np.ndarray, out: np.ndarray) -> None:
        """The pass without a shift, for an ``x`` in the memory of ``out``, or of its own where an FFT took another."""
        from ipbox.kernels.products.weights import weigh_in_place

        if not np.may_share_memory(x, out):
            out[...] = x
        weigh_in_place(out.reshape(self._shape), self._arguments[0])


# ---------------------------------------------------------------- the shifts' phases


def phases(dims: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """P and Q, complex128 of shape ``dims``, with F u = Q FFT(P u): exactly ±1 for even sizes.

    Along each axis (k - c)(j - c) = k j - c j - c (k - c), so P_j = exp(2πi c j / n), Q_k = exp(2πi c (k - c) / n).
    """
    return _outer([_phase(n, 0) for n in dims]), _outer([_phase(n, n // 2) for n in dims])


def _phase(n: int, shift: int) -> np.ndarray:
    turns = (n // 2 * (np.arange(n) - shift)) % n  # integers: exact for any size
    phase = np.exp(2j * np.pi * turns / n)
    return phase.real.round().astype(complex) if n % 2 == 0 else phase


def _outer(vectors: list[np.ndarray]) -> np.ndarray:
    return math.prod(np.ix_(*vectors), start=np.ones((), dtype=complex))


def weighted(transform: str, inner: Array, outer: Array, x: Array, out: Array) -> None:
    """out <- outer · transform(inner · x) over the last axes; its real part where ``out`` is real."""
    xp = backend.array_module(x)
    y = out if out.dtype.kind == "c" else xp.empty(x.shape, dtype=inner.dtype)
    xp.multiply(x, inner, out=y)
    transformed = in_place(transform, y, outer.ndim)
    if out.dtype.kind == "c":
        xp.multiply(transformed, outer, out=out)
    else:
        transformed *= outer
        out[...] = transformed.real


def in_place(transform: str, x: Array, ndim: int) -> Array:
    """``fftn`` or ``ifftn`` over the last ``ndim`` axes, orthonormal, in the memory of ``x`` where the library can."""
    function = getattr(backend.fft_module(x), transform)
    return function(x, axes=tuple(range(-ndim, 0)), norm="ortho", overwrite_x=True)


def each_image(work: Work, x: np.ndarray, out: np.ndarray) -> None:
    """``work(x_i, out_i)`` for each image of a batch, which threads share.

    One transform after the other stays in the cache of its core, which several threads in one transform do not.
    """
    if len(x) == 1:
        work(x[0], out[0])
    else:
        parallel.run_all([partial(_in_turn, work, x[part], out[part]) for part in shares(len(x), x.size)])


def shares(count: int, size: int) -> list[slice]:
    """What of ``count`` items each thread takes: all of them where ``size`` numbers are few."""
    return parallel.parts(count, most=2 * size // SPLIT_FROM)


def _in_turn(work: Work, x: np.ndarray, out: np.ndarray) -> None:
    for xi, oi in zip(x, out, strict=True):
        work(xi, oi)


def check_complex(dtype: Any) -> np.dtype:
    """complex64 or complex128."""
    dtype = check_dtype(dtype)
    if dtype != backend.complex_dtype(dtype):
        raise TypeError(f"dtype is {dtype}; expected complex64 or complex128")
    return dtype
