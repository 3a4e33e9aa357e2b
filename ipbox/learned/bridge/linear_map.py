"""Operators inside networks: u -> A u as a torch operation, with derivatives of any order."""

from __future__ import annotations

import copy
import inspect
import weakref
from typing import Any

import torch

from ipbox import backend
from ipbox.checks import check_type
from ipbox.learned.bridge.arrays import DTYPES, library_name
from ipbox.operators import Operator, as_operator

__all__ = ["LinearMap"]

# u -> A u and A* u as an operation of torch's own: so torch.compile takes it as it is, and torch's older vmap (that of
# is_grads_batched=True) in turn.  Such operations take no objects: the operator goes by its id.
_OPERATORS: weakref.WeakValueDictionary[int, Operator] = weakref.WeakValueDictionary()
_LIBRARY = torch.library.Library("ipbox", "DEF")
_LIBRARY.define("linear_map(Tensor u, int key, bool adjoint, str? xp) -> Tensor")


def _empty_image(u: torch.Tensor, key: int, adjoint: bool, xp: str | None = None) -> torch.Tensor:
    """Memory for A u or A* u: torch's own, so that on a GPU no second pool of memory grows."""
    A = _OPERATORS[key]
    dims, dims_to, dtype = (A.dimsd, A.dims, A.dtype_in) if adjoint else (A.dims, A.dimsd, A.dtype_out)
    return u.new_empty((*u.shape[: u.ndim - len(dims)], *dims_to), dtype=DTYPES[dtype.char])


def _image(u: torch.Tensor, key: int, adjoint: bool, xp: str | None) -> torch.Tensor:
    A, out = _OPERATORS[key], _empty_image(u, key, adjoint)
    with backend.on_stream(*_stream(u)):
        xp = xp or ("cupy" if u.is_cuda else "numpy")
        x, y = backend.from_dlpack(u.detach().contiguous(), xp), backend.from_dlpack(out, xp)
        A.apply_adjoint(x, out=y) if adjoint else A.apply(x, out=y)
    return out


def _stream(u: torch.Tensor) -> tuple[int | None, int | None]:
    """Torch's current stream on the device of u, and that device."""
    return (torch.cuda.current_stream(u.device).cuda_stream, u.device.index) if u.is_cuda else (None, None)


_LIBRARY.impl("linear_map", _image, "CompositeExplicitAutograd")
torch.library.register_fake("ipbox::linear_map", _empty_image, lib=_LIBRARY)


class _Apply(torch.autograd.Function):
    """u ↦ A u or A* u.  The derivative of a linear map is the map, its transpose the adjoint: so for any order."""

    @staticmethod
    def forward(u: torch.Tensor, L: LinearMap, adjoint: bool) -> torch.Tensor:
        return torch.ops.ipbox.linear_map.default(u, L.key, adjoint, L.xp)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
        _, ctx.L, ctx.adjoint = inputs

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple:
        return _Apply.apply(g, ctx.L, not ctx.adjoint), None, None

    @staticmethod
    def jvp(ctx: Any, du: torch.Tensor, *_: Any) -> torch.Tensor:
        return _Apply.apply(du, ctx.L, ctx.adjoint)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, u: torch.Tensor, L: LinearMap, adjoint: bool) -> tuple:
        return _Apply.apply(u.movedim(in_dims[0], 0), L, adjoint), 0


vars(_Apply.forward)["__signature__"] = inspect.signature(_Apply.forward)  # which torch asks for at every call


class LinearMap(torch.nn.Module):
    """A linear operator A on torch tensors, with derivatives of any order, forward and reverse mode, and vmap.

    Parameters
    ----------
    A : Operator
        Of ipbox, PyLops or SciPy, or a matrix.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    xp : str or module, optional
        The array library A is applied in; by default that of the tensor's device.

    Raises
    ------
    TypeError
        for other operators, and where a tensor has not the dtype of A.
    ValueError
        where a tensor has not the shape that A takes.

    Notes
    -----
    u has shape batch + dims and dtype A.dtype_in, A u shape batch + dimsd and dtype A.dtype_out, with any leading batch
    axes.  Torch's gradients of real functions of complex variables are those of the inner product Re<., .>, so
    backward is A* also where a real model has complex data.  No tensor is copied, unless it is not contiguous; the
    result never shares memory with u.

    Like every module without parameters it has an empty ``state_dict``, and ``.to(...)`` and ``.double()`` leave the
    precision of A as it is.  Under autocast, half-precision tensors are cast to float32 for an A in float32.

    Examples
    --------
    >>> import torch, ipbox as ip
    >>> from ipbox.learned.bridge.linear_map import LinearMap
    >>> D = LinearMap(ip.Gradient((4, 4)))
    >>> u = torch.ones(2, 4, 4, requires_grad=True)     # a batch of two
    >>> D(u).square().sum().backward()                  # 2 ∇*∇u
    >>> D(u).shape, float(u.grad.abs().max())
    (torch.Size([2, 2, 4, 4]), 0.0)
    """

    def __init__(self, A: Any, xp: Any = None, *, shape: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.A = as_operator(A, shape)
        self.xp = xp
        self.dims, self.dimsd = tuple(self.A.dims), tuple(self.A.dimsd)
        self.dtype_in, self.dtype_out = DTYPES[self.A.dtype_in.char], DTYPES[self.A.dtype_out.char]
        self._register()

    @property
    def xp(self) -> str | None:
        """The name of the array library A is applied in; None for that of the tensor's device."""
        return self._xp

    @xp.setter
    def xp(self, xp: Any) -> None:
        self._xp = library_name(xp)
        if self._xp not in (None, "numpy", "cupy"):
            raise ValueError(f"xp is {xp!r}; expected 'numpy' or 'cupy'")

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """A u."""
        return _Apply.apply(self._checked(u, self.dtype_in, self.dims, "u"), self, False)

    def adjoint(self, b: torch.Tensor) -> torch.Tensor:
        """A* b."""
        return _Apply.apply(self._checked(b, self.dtype_out, self.dimsd, "b"), self, True)

    def extra_repr(self) -> str:
        return f"{self.A.name}: {self.dims} -> {self.dimsd}"

    @staticmethod
    def _checked(t: Any, dtype: torch.dtype, dims: tuple[int, ...], name: str) -> torch.Tensor:
        check_type(t, name, torch.Tensor, "a torch tensor")
        if t.dtype != dtype:
            half = t.dtype in (torch.float16, torch.bfloat16) and torch.is_autocast_enabled(t.device.type)
            if not half or dtype != torch.float32:
                raise TypeError(f"{name} has dtype {t.dtype}; expected {dtype}, that of the operator")
            t = t.float()  # as autocast does for torch's own operations that need float32
        if tuple(t.shape[max(t.ndim - len(dims), 0) :]) != dims:
            raise ValueError(f"{name} has shape {tuple(t.shape)}; expected {dims}, with any leading batch axes")
        return t

    # ------------------------------------------------------------ copies

    def _register(self) -> None:
        self.key = id(self.A)
        _OPERATORS[self.key] = self.A

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._register()

    def __deepcopy__(self, memo: dict[int, Any]) -> LinearMap:
        memo[id(self.A)] = self.A  # operators are immutable
        memo[id(self)] = other = copy.copy(self)
        other.__dict__ = copy.deepcopy(self.__dict__, memo)
        return other
