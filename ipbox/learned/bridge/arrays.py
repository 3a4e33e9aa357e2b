"""The only place where arrays cross between torch and the rest: by DLPack, without a copy.

Who shares memory sees what the other writes, and torch's automatic differentiation does not notice: a tensor that is
needed for a backward pass must not be written to through its array.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_flag, check_type
from ipbox.keywords import answering

__all__ = ["from_torch", "to_torch"]

DTYPES = {"f": torch.float32, "d": torch.float64, "F": torch.complex64, "D": torch.complex128}
LONGEST = 300  # of what an error says
_SUPPORTED = frozenset(DTYPES.values())
_EXPECTED = "expected float32, float64, complex64 or complex128"


@answering
def to_torch(x: Array, copy: bool | None = False) -> torch.Tensor:
    """The NumPy or CuPy array ``x`` as a torch tensor that shares its memory.

    Parameters
    ----------
    x : array
        float32, float64, complex64 or complex128, on the host or on the device, any shape.
    copy : bool, optional
        True: copy, in C order.  None: only what cannot be shared, which is arrays that are not C-contiguous, read-only,
        misaligned or not in native byte order.  False: refuse those.

    Returns
    -------
    torch.Tensor
        Of the same shape and dtype, on the device of ``x``.  Where memory is shared, both see what either writes.

    Raises
    ------
    TypeError
        where ``x`` is no array, or of another dtype.
    ValueError
        where ``x`` cannot be shared and ``copy`` is False.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.learned.bridge.arrays import to_torch
    >>> u = np.zeros(3, "float32")
    >>> to_torch(u).add_(1).tolist(), u.tolist()
    ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    """
    backend.check_array(x, "x")
    if copy is not None:
        check_flag(copy, "copy")
    if x.dtype.char not in DTYPES:
        raise TypeError(f"x has dtype {x.dtype}; {_EXPECTED}")
    why = _not_shareable(x)
    if copy or (copy is None and why):
        with backend.on_device_of(x):
            x = backend.array_module(x).array(x, dtype=x.dtype.newbyteorder("="), order="C")
    elif why:
        raise ValueError(f"x is {why}, which torch cannot share; expected a C-contiguous array, or copy=True")
    return torch.from_dlpack(x)


def _not_shareable(x: Array) -> str | None:
    """Why ``x`` cannot be shared: torch aborts on negative strides, and would write into read-only memory."""
    if not x.dtype.isnative:
        return f"in byte order {x.dtype.byteorder!r}"
    if not x.flags.c_contiguous or (min(x.strides, default=0) < 0 and backend.is_device(x)):  # of an axis of length 1
        return f"not C-contiguous (shape {x.shape}, strides {x.strides})"
    if isinstance(x, np.ndarray) and not x.flags.aligned:  # CuPy's flags know neither
        return "misaligned"
    return None if writeable(x) else "read-only"


def writeable(x: Array) -> bool:
    """Whether ``x`` may be written to; arrays on a device always may."""
    return not isinstance(x, np.ndarray) or x.flags.writeable


def library_name(xp: Any) -> Any:
    """The name of an array library that is given as a module; a name as it is."""
    return xp.__name__ if isinstance(xp, ModuleType) else xp


def name_of(function: Any) -> str:
    """What messages call a function or a module."""
    return function.__name__ if inspect.isroutine(function) else type(function).__name__


def said(err: BaseException) -> str:
    """What an error says, in one line: torch adds whole tracebacks, of which scripts tell the cause at the end."""
    lines = [line for line in str(err).splitlines() if line.strip()] or [type(err).__name__]
    line = lines[-1 if "TorchScript" in lines[0] else 0].strip()
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


@answering
def from_torch(t: torch.Tensor, copy: bool | None = False, xp: Any = None) -> Array:
    """The tensor ``t``, detached, as an array that shares its memory: of NumPy on the CPU, of CuPy on a GPU.

    Parameters
    ----------
    t : torch.Tensor
        float32, float64, complex64 or complex128.
    copy : bool, optional
        True: copy, in C order.  None: only what cannot be shared, which is tensors that are not contiguous, or whose
        conjugate or negative is not carried out.  False: refuse those.
    xp : str or module, optional
        The array library; by default that of the tensor's device.  NumPy for a tensor on a GPU needs ``copy=True``.

    Returns
    -------
    array
        Of the same shape and dtype, on the device of ``t``.  Where memory is shared, both see what either writes.

    Raises
    ------
    TypeError
        where ``t`` is no tensor, sparse, nested, a subclass without values of its own, inside a transform of
        `torch.func`, on another kind of device than ``xp``, or of another dtype.
    ValueError
        where ``t`` cannot be shared and ``copy`` is False.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.bridge.arrays import from_torch
    >>> from_torch(torch.arange(3.0, requires_grad=True))
    array([0., 1., 2.], dtype=float32)
    """
    check_type(t, "t", torch.Tensor, "a torch tensor")
    if copy is not None:
        check_flag(copy, "copy")
    if type(t).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        raise TypeError(f"t is a {type(t).__name__}, whose memory does not hold its values; expected a plain tensor")
    if t.is_nested or t.layout != torch.strided or t.device.type not in ("cpu", "cuda"):
        kind = "nested" if t.is_nested else t.layout
        raise TypeError(f"t is {kind} on {t.device}; expected a dense tensor on a CPU or a CUDA device")
    if t.dtype not in _SUPPORTED:
        advice = ", as t.float()" if t.dtype in (torch.float16, torch.bfloat16) else ""
        raise TypeError(f"t has dtype {t.dtype}; {_EXPECTED}{advice}")
    if xp is not None and library_name(xp) not in ("numpy", "cupy"):
        raise ValueError(f"xp is {repr(xp) if isinstance(xp, str) else type(xp).__name__}; expected 'numpy' or 'cupy'")
    xp = xp or ("cupy" if t.is_cuda else "numpy")
    if t.is_cuda and library_name(xp) == "numpy":
        if not copy:
            raise TypeError(f"t is on {t.device} and xp is numpy; expected xp='cupy', or copy=True for a host copy")
        t = t.detach().cpu()
    why = None
    if t.is_conj() or t.is_neg() or t._is_zerotensor():  # zeros without memory occur as tangents
        why = "t is a conjugate or negative that is not carried out; expected t.resolve_conj().resolve_neg()"
    elif not t.is_contiguous():
        why = f"t is not contiguous (strides {t.stride()}); expected t.contiguous()"
    if why and copy is False:
        raise ValueError(f"{why}, or copy=True")
    try:
        return backend.from_dlpack(_plain_copy(t) if copy or why else t.detach(), xp)
    except RuntimeError as err:
        if "storage" not in str(err) and "Batching rule" not in str(err):
            raise
        raise TypeError("t is inside a transform of torch.func, such as vmap; expected a LinearMap there") from err


def _plain_copy(t: torch.Tensor) -> torch.Tensor:
    """A contiguous copy, with conjugate and negative carried out, in one pass."""
    with torch.no_grad():
        return torch.empty(t.shape, dtype=t.dtype, device=t.device).copy_(t)
