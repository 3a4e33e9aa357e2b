"""The only file that knows which array library an array belongs to.

An array is a NumPy or a CuPy array.  Everything above this layer asks here for the library of an array, for
inner products, in-place updates, FFTs, random numbers and the current stream, and names no library itself.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from ipbox import shares
from ipbox.checks import counted, held_array
from ipbox.parallel import short_spins

Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray

BLOCK = 1 << 16  # entries whose products are held at a time
_REAL = {"f": np.float32, "d": np.float64, "F": np.float32, "D": np.float64}
_COMPLEX = {"f": np.complex64, "d": np.complex128, "F": np.complex64, "D": np.complex128}


def _cupy() -> ModuleType:
    """CuPy, imported on first use; ImportError names the extra that brings it."""
    try:
        import cupy
    except ImportError as err:
        raise ImportError("CuPy is not installed: pip install 'ipbox[gpu]' brings it") from err
    return cupy


def as_module(name: str) -> ModuleType:
    """The array library called ``name``: ``"numpy"`` or ``"cupy"``.

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.backend.as_module("numpy").__name__
    'numpy'
    """
    if name == "numpy":
        return np
    if name == "cupy":
        return _cupy()
    raise ValueError(f"xp is {name!r}; expected 'numpy' or 'cupy'")


def is_device(x: Array) -> bool:
    """Whether ``x`` is a CuPy array (CuPy is not imported to find out).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.is_device(np.ones(1))
    False
    """
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(x, cupy.ndarray)


def is_array(x: Any) -> bool:
    """Whether ``x`` is a NumPy or CuPy array.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.is_array(np.ones(1)), ip.backend.is_array([1.0])
    (True, False)
    """
    foreign = np.ma.MaskedArray | np.matrix  # a mask would be lost, a matrix multiplies otherwise
    return (isinstance(x, np.ndarray) and not isinstance(x, foreign)) or is_device(x)


def check_array(x: Any, name: str, what: str = "a NumPy or CuPy array") -> Array:
    """``x``, which has to be an array; ``what`` says in words which.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.check_array(np.ones(2), "b")
    array([1., 1.])
    >>> ip.backend.check_array([1, 1], "b")
    Traceback (most recent call last):
        ...
    TypeError: b is list; expected a NumPy or CuPy array
    """
    if not is_array(x):
        raise TypeError(f"{name} is {type(x).__name__}; expected {what}{instead(x, name)}")
    return x


def instead(x: Any, name: str) -> str:
    """What to type for ``x``, which is no array: the half of what a method returned, or the array that it holds.

    Examples
    --------
    >>> import torch, ipbox as ip
    >>> ip.backend.instead(torch.ones(2), "b"), ip.backend.instead([1.0], "b")
    ('; numpy.asarray(b) gives its values', '')
    """
    is_pair = isinstance(x, tuple) and len(x) == 2 and is_array(x[0])
    return "; a method returns two things: x, run = ip.fbp(A, b)" if is_pair else held_array(x, name)


def array_module(*arrays: Array) -> ModuleType:
    """The library all ``arrays`` belong to.

    Raises
    ------
    TypeError
        if one of them is not an array, or host and device arrays are mixed.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.array_module(np.zeros(3)).__name__
    'numpy'
    """
    kinds = set()
    for x in arrays:
        if not is_array(x):
            raise TypeError(f"expected a NumPy or CuPy array, got {type(x).__name__}{instead(x, '')}")
        kinds.add(is_device(x))
    if len(kinds) > 1:
        raise TypeError("NumPy and CuPy arrays are mixed; expected all on the host or all on the device")
    return _cupy() if True in kinds else np


def to_host(x: Array) -> np.ndarray:
    """``x`` as a NumPy array: a device array is copied, a host array is returned as it is.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> x = np.ones(3)
    >>> ip.backend.to_host(x) is x
    True
    """
    return x.get() if is_device(x) else np.asarray(x)


def to_device(x: Array, xp: str | ModuleType) -> Array:
    """``x`` in the library ``xp`` (``"numpy"``, ``"cupy"`` or the module); copied only where it has to move.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> x = np.ones(3)
    >>> ip.backend.to_device(x, "numpy") is x
    True
    """
    module = as_module(xp) if isinstance(xp, str) else xp
    return to_host(x) if module is np else module.asarray(x)


def from_dlpack(x: Any, xp: str | ModuleType) -> Array:
    """The array behind ``x`` (anything with ``__dlpack__``) in the library ``xp``, without a copy.

    Examples
    --------
    >>> import numpy as np, torch, ipbox as ip
    >>> x = torch.ones(3)
    >>> ip.backend.from_dlpack(x, "numpy")[0] = 2.0
    >>> x
    tensor([2., 1., 1.])
    """
    module = as_module(xp) if isinstance(xp, str) else xp
    return module.from_dlpack(x)


# ---------------------------------------------------------------- dtypes


def real_dtype(dtype: Any) -> np.dtype:
    """float32 or float64: the real counterpart of a floating dtype (no other is accepted).

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.backend.real_dtype("complex64").name
    'float32'
    """
    return np.dtype(_lookup(_REAL, dtype))


def complex_dtype(dtype: Any) -> np.dtype:
    """complex64 or complex128: the complex counterpart of a floating dtype (no other is accepted).

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.backend.complex_dtype("float32").name
    'complex64'
    """
    return np.dtype(_lookup(_COMPLEX, dtype))


def _lookup(table: dict[str, Any], dtype: Any) -> Any:
    char = np.dtype(dtype).char
    if char not in table or not np.dtype(dtype).isnative:
        raise TypeError(f"dtype is {np.dtype(dtype)}; expected float32, float64, complex64 or complex128")
    return table[char]


# ---------------------------------------------------------------- linear algebra on whole arrays


def dot(x: Array, y: Array) -> float:
    """Real inner product Re<x, y> of two arrays of one shape, as a Python float.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.dot(np.array([1.0, 1j]), np.array([2.0, 3j]))
    5.0
    """
    return shares.sum_of(_dot(x, y))


def _dot(x: Array, y: Array) -> float:
    """Re<x, y> of what is here."""
    vdot = array_module(x, y).vdot
    value = float(vdot(x, y).real)
    in_range = 1e-30 < abs(value) < np.inf or real_dtype(x.dtype) != np.float32
    if not in_range and x.any() and y.any():  # products leave the range of single precision, the entries do not
        value = float(vdot(x.astype(np.result_type(x, np.float64)), y.astype(np.result_type(y, np.float64))).real)
    return value


def dots(x: Array, y: Array, batch: bool = False) -> Any:
    """Re<x, y>: a float, or for ``batch`` a NumPy float64 array with one entry per sample of the first axis.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.dots(np.ones((2, 3)), np.arange(6.0).reshape(2, 3), batch=True)
    array([ 3., 12.])
    """
    if not batch:
        return dot(x, y)
    return shares.sum_of(np.array([_dot(a, b) for a, b in zip(x, y, strict=True)], dtype=np.float64))


def inner(x: Array, y: Array, batch: bool = False) -> Any:
    """Re<x, y> with products and sum in float64, in blocks: a float, or for ``batch`` one for each sample.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.inner(np.ones((2, 3)), np.arange(6.0).reshape(2, 3), batch=True)
    array([ 3., 12.])
    """
    if batch:
        return shares.sum_of(np.array([_inner(a, b) for a, b in zip(x, y, strict=True)], dtype=np.float64))
    return shares.sum_of(_inner(x, y))


def _inner(x: Array, y: Array) -> float:
    xp, total = array_module(x, y), 0.0
    x, y = (xp.ascontiguousarray(a).reshape(-1) for a in (x, y))
    step = BLOCK if xp is np else max(x.size, 1)
    for start in range(0, x.size, step):
        a, b = x[start : start + step], y[start : start + step]
        total += float(xp.sum(xp.multiply(a.real, b.real, dtype=np.float64)))
        if a.dtype.kind == "c" and b.dtype.kind == "c":
            total += float(xp.sum(xp.multiply(a.imag, b.imag, dtype=np.float64)))
    return total


def distance(x: Array, y: Array, batch: bool = False) -> Any:
    """‖x - y‖ summed in float64, in blocks: a float, or for ``batch`` one for each sample.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.distance(np.zeros((2, 2)), np.array([[3.0, 4.0], [0.0, 2.0]]), batch=True)
    array([5., 2.])
    """
    if batch:
        return np.sqrt(shares.sum_of(np.array([_square(a, b) for a, b in zip(x, y, strict=True)], dtype=np.float64)))
    return math.sqrt(shares.sum_of(_square(x, y)))


def _square(x: Array, y: Array) -> float:
    """‖x - y‖² of what is here."""
    xp, total = array_module(x, y), 0.0
    x, y = (xp.ascontiguousarray(a).reshape(-1) for a in (x, y))
    step = BLOCK if xp is np else max(x.size, 1)
    for start in range(0, x.size, step):
        d = xp.subtract(x[start : start + step], y[start : start + step], dtype=np.result_type(x, np.float64))
        total += _dot(d, d)
    return total


def norm(x: Array) -> float:
    """Euclidean norm ||x|| of the whole array, as a Python float.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.norm(np.array([[3.0], [4.0]]))
    5.0
    """
    return float(np.sqrt(dot(x, x)))


def sum_squares(x: Array, batch: bool = False) -> Any:
    """||x||²: a float, or for ``batch`` a NumPy float64 array with one entry per sample of the first axis.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.sum_squares(np.array([[3.0, 4.0], [0.0, 1.0]]), batch=True)
    array([25.,  1.])
    """
    return dots(x, x, batch)


def reduce_sum(values: Array, batch: bool = False) -> Any:
    """Sum in float64: a float, or for ``batch`` a NumPy float64 array with one entry per sample.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.reduce_sum(np.ones((2, 3), "float32"), batch=True)
    array([3., 3.])
    """
    xp = array_module(values)
    if not batch:
        return shares.sum_of(float(xp.sum(values, dtype=np.float64)))
    return shares.sum_of(to_host(xp.sum(values.reshape(values.shape[0], -1), axis=1, dtype=np.float64)))


def mean(x: Array) -> float:
    """The mean of all entries, summed in float64.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.mean(np.array([1.0, 2.0, 6.0]))
    3.0
    """
    return reduce_sum(x) / count(x)


def count(x: Array) -> int:
    """The number of entries.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.count(np.ones((2, 3)))
    6
    """
    return int(shares.sum_of(float(x.size)))


def largest(x: Array, batch: bool = False) -> Any:
    """The largest entry of a real array: a float, or for ``batch`` a NumPy float64 array of one per sample.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.largest(np.array([[1.0, 2.0], [0.0, -1.0]]), batch=True)
    array([2., 0.])
    """
    if not batch:
        return shares.largest_of(float(x.max()))
    return shares.largest_of(to_host(x.reshape(len(x), -1).max(axis=1)).astype(np.float64))


def smallest(x: Array) -> float:
    """The smallest entry of a real array.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.smallest(np.array([1.0, -2.0]))
    -2.0
    """
    return -shares.largest_of(-float(x.min()))


def every(mask: Array, batch: bool = False) -> Any:
    """Whether all entries are true: a bool, or for ``batch`` a NumPy array of one per sample.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.every(np.array([[True, True], [True, False]]), batch=True)
    array([ True, False])
    """
    if not batch:
        return not shares.largest_of(float(not mask.all()))
    return shares.largest_of((~to_host(mask.reshape(len(mask), -1).all(axis=1))).astype(np.float64)) == 0


def some(mask: Array) -> bool:
    """Whether an entry is true (or, of numbers, not 0).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.some(np.array([0.0, 1.0]))
    True
    """
    return bool(shares.largest_of(float(bool(mask.any()))))


# ---------------------------------------------------------------- updates in place


def axpy(a: Any, x: Array, y: Array) -> None:
    """y += a x, in place (no temporary on the host for contiguous arrays); ``a`` may have one entry per sample.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> y = np.ones(3)
    >>> ip.backend.axpy(2.0, np.arange(3.0), y)
    >>> y
    array([1., 3., 5.])
    """
    if np.ndim(a):
        y += per_sample(a, x) * x
    elif array_module(x, y) is np and x.dtype == y.dtype and x.flags.c_contiguous and y.flags.c_contiguous:
        from scipy.linalg.blas import get_blas_funcs

        get_blas_funcs("axpy", (x, y))(x.reshape(-1), y.reshape(-1), a=a)
    else:
        y += a * x


def per_sample(a: Any, x: Array) -> Any:
    """A coefficient ready to multiply ``x``: a Python float, or one number per sample along the first axis.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.per_sample(np.array([1.0, 2.0]), np.ones((2, 3))) * np.ones((2, 3))
    array([[1., 1., 1.],
           [2., 2., 2.]])
    """
    if np.ndim(a) == 0:
        return float(a)
    if len(a) != len(x):
        raise ValueError(
            f"{counted(len(a), 'number')} for {counted(len(x), 'sample')}; expected one for each, or one for all"
        )
    shape = (-1,) + (1,) * (x.ndim - 1)
    return array_module(x).asarray(np.asarray(a, dtype=real_dtype(x.dtype))).reshape(shape)


# ---------------------------------------------------------------- FFT, random numbers, stream


def fft_module(x: Array) -> ModuleType:
    """``scipy.fft`` or ``cupyx.scipy.fft``: both keep float32.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.fft_module(np.ones(4)).rfft(np.ones(4, "float32")).dtype.name
    'complex64'
    """
    if is_device(x):
        import cupyx.scipy.fft as module
    else:
        import scipy.fft as module
    return module


def ndimage_module(x: Array) -> ModuleType:
    """``scipy.ndimage`` or ``cupyx.scipy.ndimage``: filters of images.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.ndimage_module(np.ones(3)).__name__
    'scipy.ndimage'
    """
    if is_device(x):
        import cupyx.scipy.ndimage as module
    else:
        import scipy.ndimage as module
    return module


def generator(seed: int, like: Array | ModuleType | None = None) -> Any:
    """A seeded random generator of the library of ``like`` (NumPy's where nothing is given).

    Examples
    --------
    >>> import ipbox as ip
    >>> bool(ip.backend.generator(0).random() == ip.backend.generator(0).random())
    True
    """
    module = like if isinstance(like, ModuleType) else (np if like is None else array_module(like))
    return module.random.default_rng(seed)


def current_stream(x: Array) -> int:
    """Pointer of CuPy's current stream, 0 for host arrays.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.backend.current_stream(np.ones(3))
    0
    """
    return int(_cupy().cuda.get_current_stream().ptr) if is_device(x) else 0


@contextlib.contextmanager
def on_stream(pointer: int | None, device: int | None = None) -> Iterator[None]:
    """Make the CUDA stream at ``pointer``, of device number ``device``, CuPy's current one; nothing for None.

    A stream is current on its own device only, which is therefore made the current one first.

    Examples
    --------
    >>> import ipbox as ip
    >>> with ip.backend.on_stream(None):
    ...     print("no stream")
    no stream
    """
    if pointer is None:
        yield
        return
    cuda = _cupy().cuda
    with cuda.Device(device), cuda.ExternalStream(pointer, -1 if device is None else device):
        yield


def on_device_of(x: Array) -> contextlib.AbstractContextManager:
    """Make the device that holds ``x`` the current one; nothing for host arrays.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> with ip.backend.on_device_of(np.ones(1)):
    ...     print("on the host")
    on the host
    """
    return x.device if is_device(x) else contextlib.nullcontext()


def nufft_plan(like: Array, kind: int, modes: tuple[int, ...], n_trans: int, eps: float, isign: int) -> Any:
    """A FINUFFT plan (type ``kind``) for host arrays, or a cuFINUFFT plan on the current stream for device arrays.

    ``like`` tells the device and the precision.  On the host: ``fftw=64`` is FFTW_ESTIMATE, so that no plan search
    makes results depend on timing; the upsampling factor 1.25 is several times faster than 2 at image sizes; and one
    thread, because with more type 1 adds the threads' overlapping parts in the order in which they finish.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> c, k = np.ones(1, complex), np.zeros(1)
    >>> plan = ip.backend.nufft_plan(c, 1, (4,), 1, 1e-9, -1)
    >>> _ = plan.setpts(k)
    >>> plan.execute(c).round(6)
    array([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j])
    """
    dtype = complex_dtype(like.dtype).name
    if is_device(like):
        try:
            import cufinufft
        except (ImportError, OSError) as err:  # its wheels ask for CUDA 12's libraries, and say so to nobody
            raise ImportError(
                "cufinufft, which non-uniform FFTs on the device need, cannot be loaded: pip install 'ipbox[gpu]' "
                "brings it, for CUDA 12 alone (2.5.1); without it JosephTransform projects on the device"
            ) from err
        return cufinufft.Plan(kind, modes, n_trans, eps, isign, dtype=dtype, gpu_stream=current_stream(like))
    with short_spins():
        import finufft

    options = dict(nthreads=1, upsampfac=upsampling(eps), fftw=64)
    return finufft.Plan(kind, modes, n_trans, eps, isign, dtype=dtype, **options)


def upsampling(eps: float) -> float:
    """How much finer than the image's FINUFFT's grid is, for a tolerance: no kernel for 1.25 goes below 1e-9.

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.backend.upsampling(1e-4), ip.backend.upsampling(1e-12)
    (1.25, 2.0)
    """
    return 1.25 if eps >= 1e-9 else 2.0


def spreading_plan(kind: int, grid: tuple[int, ...], eps: float, dtype: Any) -> Any:
    """A plan of FINUFFT's that only spreads (``kind`` 1) or interpolates (2) between a grid and points; host only.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> plan = ip.backend.spreading_plan(2, (32, 32), 1e-6, "complex128")
    >>> _ = plan.setpts(np.zeros(1), np.zeros(1))
    >>> plan.execute(np.ones((32, 32), complex)).shape
    (1,)
    """
    with short_spins():
        import finufft

    options = dict(nthreads=1, upsampfac=upsampling(eps), fftw=64, spreadinterponly=1)
    return finufft.Plan(kind, grid, 1, eps, 1, dtype=np.dtype(dtype).name, **options)
