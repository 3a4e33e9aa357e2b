"""The base class of learned reconstruction maps Φ: b ↦ u, torch modules that are called with NumPy and CuPy arrays."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.keywords import answering
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.priors.network import evaluation
from ipbox.operators import Operator, as_operator
from ipbox.reconstruct.direct.info import AnalyticInfo
from ipbox.reconstruct.domain import Domain
from ipbox.solvers.core.divergence import Diverged

__all__ = ["LearnedMap"]


@answering
class LearnedMap(torch.nn.Module):
    """A reconstruction map Φ: b ↦ u with parameters to be learned, for the operator A.

    A subclass gives `forward`, or, where Φ goes through iterates, `iterates`, of which the last is Φ(b); and
    `_set_operator` where it needs more of A than ``self.A``.

    Parameters
    ----------
    A : Operator
        Of ipbox, PyLops or SciPy, or a matrix.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    scale : float
        Size of the images' values, by which a subclass divides what its networks see: a fixed number.

    Attributes
    ----------
    A : LinearMap
        The operator on tensors.
    dims, dimsd : tuple of int
        Shapes of the image and of the data.
    dtype : torch.dtype
        Of the image.
    config : dict
        The constructor's arguments but A, which JSON can hold; set by each subclass.
    domain : Domain or None
        Where the parameters are at home, of maps that `pretrained` gives: `reconstruct` compares what it is given and
        warns of what is off.  None leaves it unchecked.

    Examples
    --------
    >>> import numpy as np, torch, ipbox as ip
    >>> from ipbox.learned.maps.base import LearnedMap
    >>> class Landweber(LearnedMap):
    ...     def __init__(self, A):
    ...         super().__init__(A)
    ...         self.tau = torch.nn.Parameter(torch.tensor(0.5))
    ...     def forward(self, b):
    ...         return self.tau * self.A.adjoint(b)
    >>> x, info = Landweber(ip.Identity((2, 2), dtype="float32")).reconstruct(np.ones((2, 2), "float32"))
    >>> x.tolist(), info.method
    ([[0.5, 0.5], [0.5, 0.5]], 'Landweber')
    """

    config: dict[str, Any]
    filter: str | Operator | None = None  # of maps that filter the data
    domain: Domain | None = None
    any_coils: ClassVar[bool] = False  # whether data of another number of coils are as good

    def __init__(self, A: Any, scale: float = 1.0, *, shape: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.scale = check_positive(scale, "scale")
        self.config = {}
        self._set_operator(as_operator(A, shape))

    def _set_operator(self, A: Operator) -> None:
        """Hold A, and what is computed from it."""
        self.A = LinearMap(A)
        self.dims, self.dimsd = tuple(A.dims), tuple(A.dimsd)
        self.dtype: torch.dtype = getattr(torch, A.dtype_in.name)

    def _as_exact_as_data(self) -> None:
        """Networks are made in single precision: those of an operator in double compute in double too."""
        if self.dtype.to_real() == torch.float64:
            self.double()

    def with_operator(self, A: Any) -> LearnedMap:
        """The same map, with the same parameters (shared, not copied), for another operator of the same shape.

        Parameters
        ----------
        A : Operator
            For example that of another patient, whose pixels have another width, or another sampling mask or other
            coils, also another number of them where the map has no weights for each (not `AUTOMAP`, `LISTA`).

        Raises
        ------
        ValueError, TypeError
            where the shapes or dtypes of A differ.
        """
        A, mine = as_operator(A), self.A.A
        if tuple(A.dims) != self.dims or not self._takes_data(tuple(A.dimsd)):
            made = f"{self.dims} to {self.dimsd}"
            raise ValueError(f"A maps {tuple(A.dims)} to {tuple(A.dimsd)}; this map was made for {made}")
        if (A.dtype_in, A.dtype_out) != (mine.dtype_in, mine.dtype_out):
            raise TypeError(f"A has dtypes {A.dtype_in}, {A.dtype_out}; expected {mine.dtype_in}, {mine.dtype_out}")
        if A is not mine and isinstance(self.filter, Operator):
            raise ValueError(
                f"filter is the operator {self.filter.name}, made for another A; expected a map that is built anew for "
                "A, with load_state_dict"
            )
        other = copy.copy(self)  # parameters are shared; what belongs to A is not
        other._modules, other._buffers = dict(self._modules), dict(self._buffers)
        other._set_operator(A)
        return other

    def _takes_data(self, dimsd: tuple[int, ...]) -> bool:
        """Whether the data's shape is that of the map's, up to the number of coils where that may be another."""
        coils = len(dimsd) == len(self.dimsd) == len(self.dims) + 1
        return dimsd == self.dimsd or (self.any_coils and coils and dimsd[1:] == self.dimsd[1:])

    # ------------------------------------------------------------ on tensors

    def __call__(self, b: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if isinstance(b, torch.Tensor) and tuple(b.shape[1:]) != self.dimsd:
            raise ValueError(f"b has shape {tuple(b.shape)}; expected (N,) + {self.dimsd}, a batch of data of A")
        return super().__call__(b, *args, **kwargs)

    def forward(self, b: torch.Tensor) -> torch.Tensor:
        """Φ(b): images of shape (N,) + dims for data of shape (N,) + dimsd."""
        for u in self.iterates(b):  # noqa: B007
            pass
        return u

    def iterates(self, b: torch.Tensor) -> Iterator[torch.Tensor]:
        """The images u⁰, u¹, ..., u^K that Φ goes through; Φ(b) alone where it goes through none."""
        if type(self).forward is LearnedMap.forward:
            raise TypeError(f"{type(self).__name__} defines neither forward nor iterates")
        yield self.forward(b)

    # ------------------------------------------------------------ on arrays

    def reconstruct(self, b: Array) -> tuple[Array, AnalyticInfo]:
        """Φ(b) of NumPy or CuPy data, in evaluation mode and without derivatives.

        Parameters
        ----------
        b : array
            Data of shape A.dimsd, or a batch (N,) + A.dimsd, of dtype A.dtype_out, on the device of the parameters.

        Returns
        -------
        x : array
            Image of shape A.dims, or a batch, of dtype A.dtype_in, on the device of ``b``.
        info : AnalyticInfo
            ``method`` is the class's name, ``seconds`` the time of the call; ``parameters["domain"]`` are the findings
            of `domain`, a `DomainCheck` for each sample, where there is one.

        Raises
        ------
        TypeError, ValueError
            where ``b`` does not fit A, is not finite, or is on another device or of another precision than the
            parameters.
        Diverged
            where the network gives values that are not finite; its ``x`` is the last finite iterate, if there is one.

        Warns
        -----
        OutsideDomain
            once of each way in which data or A are not like those of training, where `domain` tells of them.
        """
        start = time.perf_counter()
        check_fits(self.A.A, check_data(b))
        single, xp = b.shape == self.dimsd, backend.array_module(b)
        t = to_torch(b[None] if single else b, copy=True)
        self._check_parameters(t)
        with evaluation(self, gradient=False):
            u = self(t).contiguous()
            if not bool(torch.isfinite(u.abs()).all()):
                raise self._diverged(t, single, xp)
        x = from_torch(u, xp=xp)
        told = {}
        if self.domain is not None:
            told["domain"] = [
                self.domain.warn(self.A.A, *pair) for pair in zip(b[None] if single else b, x, strict=True)
            ]
        info = AnalyticInfo(type(self).__name__, time.perf_counter() - start, parameters=told)
        return x[0] if single else x, info

    def as_method(self) -> Callable[[Any, Array], tuple[Array, AnalyticInfo]]:
        """Φ as a method of `ipbox.compare`: a callable (A, b) -> (x, info), for every A of the same shape."""

        def method(A: Any, b: Array) -> tuple[Array, AnalyticInfo]:
            return (self if A is self.A.A else self.with_operator(A)).reconstruct(b)

        return method

    def extra_repr(self) -> str:
        return "" if self.domain is None else f"at home: {self.domain.words}"

    def _check_parameters(self, b: torch.Tensor) -> None:
        for name, p in self.named_parameters():
            if p.device != b.device:
                raise ValueError(f"b is on {b.device}; the map's parameter {name} is on {p.device}")
            if p.dtype != b.real.dtype:
                raise TypeError(
                    f"the map's parameter {name} has dtype {p.dtype}; expected {b.real.dtype}, as b, by "
                    f"net.to({b.real.dtype})"
                )

    def _diverged(self, b: torch.Tensor, single: bool, xp: Any) -> Diverged:
        """The error that carries the last finite iterate."""
        good = None
        for k, u in enumerate(self.iterates(b)):  # noqa: B007
            if not bool(torch.isfinite(u.abs()).all()):
                break
            good = from_torch(u, copy=True, xp=xp)
        x = good[0] if single and good is not None else good
        return Diverged(f"{type(self).__name__} gives values that are not finite, first in iterate {k}", x, k)
