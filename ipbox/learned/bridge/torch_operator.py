"""A linear torch module as an operator: the opposite direction of `LinearMap`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_flag, check_type
from ipbox.learned.bridge.arrays import from_torch, name_of, said, to_torch
from ipbox.operators.core.base import ALL_DTYPES, check_dims, check_dtype
from ipbox.operators.core.user import FunctionOperator

__all__ = ["TorchOperator"]


class TorchOperator(FunctionOperator):
    """A linear torch module as an operator, with A* by automatic differentiation (a vector-Jacobian product at 0).

    Parameters
    ----------
    module : torch.nn.Module or callable
        Takes a tensor of shape (N,) + dims and gives one of shape (N,) + dimsd, each sample alone; on the device and in
        the precision of the arrays.  It is used as it is: its mode and parameters are not changed, and must not
        change meanwhile.
    dims, dimsd : tuple of int
        Shapes of u and of A u, without the batch axis.
    dtype : dtype
        Of u: float32, float64, complex64 or complex128.
    dtype_out : dtype, optional
        Of A u; that of u by default.  With a real u and complex data the inner product is Re<., .>.
    adjoint : callable, optional
        A* on tensors, where it is known.
    check : bool
        Test on seeded random arrays that the module is linear, leaves its argument alone, treats samples alike, and
        that the adjoint is its adjoint.
    norm : float, optional
        ‖A‖, or a bound from above, where it is known; otherwise it is estimated when it is needed.
    xp : str
        ``"numpy"`` or ``"cupy"``: the library of the arrays on which the check and the estimate of the norm run.
    name : str, optional
        Short name, shown in `info`; that of the module's class by default.

    Raises
    ------
    TypeError
        where the module is not callable, gives something else than tensors of the dtype promised, or cannot be
        differentiated.
    ValueError
        where the check fails, or the module on a tensor of that shape and dtype.

    Examples
    --------
    A blur of torch's (or a physics of deepinv's, ``TorchOperator(physics.A, dims, dimsd, adjoint=physics.A_adjoint)``)
    in a classical solver:

    >>> import numpy as np, torch, ipbox as ip
    >>> from ipbox.learned.bridge.torch_operator import TorchOperator
    >>> blur = torch.nn.AvgPool2d(3, stride=1, padding=1)
    >>> A = TorchOperator(blur, (1, 8, 8), (1, 8, 8), "float64")
    >>> x, info = ip.cgls(A, A.apply(np.ones((1, 8, 8))), niter=50)
    >>> bool(abs(x - 1).max() < 1e-3)
    True
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(
        self,
        module: Callable[[torch.Tensor], torch.Tensor],
        dims: tuple[int, ...],
        dimsd: tuple[int, ...],
        dtype: Any = "float32",
        dtype_out: Any = None,
        *,
        adjoint: Callable[[torch.Tensor], torch.Tensor] | None = None,
        check: bool = True,
        norm: float | None = None,
        xp: str = "numpy",
        name: str | None = None,
    ) -> None:
        check_type(module, "module", Callable, "a torch module, or a function of one tensor")
        check_type(adjoint, "adjoint", Callable | None, "a function of one tensor")
        dims, dimsd = check_dims(dims, "dims"), check_dims(dimsd, "dimsd")

        name = name or name_of(module)
        forward = partial(_applied, module, "module")  # no functions defined here: they could not be pickled
        back = partial(_transposed, module, dims, check_dtype(dtype))
        if adjoint is not None:
            back = partial(_applied, adjoint, "adjoint")
        super().__init__(forward, back, dims, dimsd, dtype, dtype_out, norm, True, xp, name)
        if check_flag(check, "check"):
            self.check()


def _applied(function: Callable[[torch.Tensor], torch.Tensor], what: str, x: Array) -> Array:
    with torch.no_grad():
        t = _called(function, what, to_torch(x, copy=None))
    if not isinstance(t, torch.Tensor):
        raise TypeError(f"{what} gave {type(t).__name__}; expected a torch tensor")
    return from_torch(t, copy=None, xp=backend.array_module(x))


def _called(function: Callable[[torch.Tensor], torch.Tensor], what: str, t: torch.Tensor) -> torch.Tensor:
    try:
        return function(t)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as err:  # torch names neither the module nor what it was given
        raise ValueError(f"{what} failed on a tensor of shape {tuple(t.shape)} and {t.dtype}: {said(err)}") from err


def _transposed(module: Callable, dims: tuple[int, ...], dtype: np.dtype, y: Array) -> Array:
    u = _transpose(module, to_torch(y, copy=None), dims, getattr(torch, dtype.name))
    return from_torch(u, copy=None, xp=backend.array_module(y))


def _transpose(module: Callable, v: torch.Tensor, dims: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Aᵀ v (A* v where complex) for linear A: the derivative of Re<A u, v> by u, taken at u = 0."""
    with torch.inference_mode(False), torch.enable_grad():
        u = torch.zeros((len(v), *dims), dtype=dtype, device=v.device, requires_grad=True)
        Au = _called(module, "module", u)
        if not (isinstance(Au, torch.Tensor) and Au.requires_grad):
            raise TypeError(
                "module gave a result that torch cannot differentiate; expected torch operations, or adjoint="
            )
        if (Au.shape, Au.dtype) != (v.shape, v.dtype):
            made = f"shape {tuple(Au.shape)} and dtype {Au.dtype}"
            raise ValueError(f"module gave {made}; expected {tuple(v.shape)} and {v.dtype}")
        return torch.autograd.grad(Au, u, v)[0]
