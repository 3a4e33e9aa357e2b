"""Data fidelities D(Au, b): what they have in common, and the least-squares one."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from ipbox import backend, summary
from ipbox.backend import Array
from ipbox.checks import as_dtype, check_positive
from ipbox.functionals.core.base import Functional, Work, buffer, child
from ipbox.functionals.core.composition import Composition, check_data
from ipbox.operators import (
    PET,
    CartesianMRI,
    ConeBeamTransform,
    ConeVectorTransform,
    FanBeamTransform,
    JosephTransform,
    NonCartesianMRI,
    Operator,
    ParallelVectorTransform,
    RayTransform,
    SliceStack,
)
from ipbox.operators.core.adapters import operator_or_none
from ipbox.operators.core.norms import norm_in_range

CT: tuple[type, ...] = (ConeBeamTransform, ConeVectorTransform, FanBeamTransform, JosephTransform, PET, RayTransform)
CT += (ParallelVectorTransform, SliceStack)
MEASURING = (CartesianMRI, NonCartesianMRI, *CT)


class Fidelity(Functional):
    """Base of the data fidelities u -> D(Au, b); without A, of the data y = u themselves.

    A subclass gives D on the data space: ``_data_value(y, batch)``, ``_data_grad(y, out, work)``,
    ``_data_prox(y, t, out, work)`` and ``_data_conj(y, weight, batch)`` as far as it has them, the Lipschitz constant
    ``_data_L`` of ∇D and its modulus of strong convexity ``_data_mu``, and sets ``data_has_prox``.

    Attributes
    ----------
    A : Operator or None
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array or None
        Data, kept, not copied.
    """

    b: Array  # None where D is the one of all data
    data_has_prox = True
    hessian_needs_x = True  # false where D is quadratic
    mask: Array | None = None  # the data that count
    _data_L = np.inf
    _data_mu = 0.0

    def __init__(self, A: Any = None, b: Array | None = None, *, shape: tuple[int, ...] | None = None) -> None:
        self.A = operator_or_none(A, shape)
        self.b = None if b is None else check_data(b)
        self.has_prox = self.A is None and self.data_has_prox
        if self.A is not None and b is not None:
            check_fits(self.A, b)
        self.ranks, self.by_slabs = (None, True) if self.A is None else (self.A.ranks, self.A.by_slabs)
        if b is None and self.A is not None and isinstance(self.A, MEASURING):
            who = type(self).__name__
            raise TypeError(f"b is None and A is {self.A.name}, which measures; expected its data too: ip.{who}(A, b)")
        super().__init__(None if self.A is None else tuple(self.A.dims))

    def _own_dtype(self) -> np.dtype | None:
        return self.A.dtype_in if self.A is not None else None if self.b is None else self.b.dtype

    @property
    def operator(self) -> Operator:
        """A, for who has seen that there is one.

        Raises
        ------
        ValueError
            where there is none.
        """
        if self.A is None:
            raise ValueError(f"{self.name} has no operator; expected {type(self).__name__}(A, b)")
        return self.A

    # ------------------------------------------------------------ to be given by a subclass, on the data space

    def _data_value(self, y: Array, batch: bool) -> Any:
        raise TypeError(f"{self.name} has no value")

    def _data_grad(self, y: Array, out: Array, work: Work) -> None:
        """out <- ∇D(y); ``out`` may be ``y``."""
        raise TypeError(f"{self.name} has no gradient")

    def _data_hessian(self, y: Array, v: Array, work: Work) -> None:
        """v <- ∇²D(y) v, in place."""
        raise TypeError(f"{self.name} has no Hessian")

    def _data_prox(self, y: Array, t: Any, out: Array, work: Work) -> None:
        """out <- prox_{tD}(y); ``out`` may be ``y``."""
        raise TypeError(f"{self.name} has no prox")

    def _data_conj(self, y: Array, weight: float, batch: bool) -> Any:
        raise TypeError(f"{self.name} has no conjugate")

    def _with_data(self, A: Any, part: Any) -> Fidelity:
        """This fidelity for the operator ``A`` and the data ``b[part]`` (and weights, background ... of the same)."""
        f = copy.copy(self)
        f.b = None if self.b is None else self.b[part]
        f.A, f.dims, f.has_prox = A, None if A is None else tuple(A.dims), A is None and self.data_has_prox
        return f

    # ------------------------------------------------------------ after the operator

    @property
    def name(self) -> str:
        return super().name + (f"({self.A.name})" if self.A is not None else "")

    def _formula(self, u: str) -> str:
        """``_form`` may name the expected data {m} and the residual {r}."""
        m = u if self.A is None else f"A{u}"
        form = self._form or f"{type(self).__name__}({{r}})"
        return form.format(u=u, m=m, r=m if self.b is None else f"{m} - b", f=self)

    def __repr__(self) -> str:
        if self.A is None:
            return super().__repr__()
        return summary.shortened(f"{type(self).__name__}: {self.formula()}, A = {self.A!r}")

    @property
    def _L(self) -> float:
        return self._data_L if self.A is None else self._data_L * norm_in_range(self.A) ** 2

    @property
    def _mu(self) -> float:
        return self._data_mu if self.A is None else 0.0

    @property
    def has_conj(self) -> bool:
        """Whether `conj` is known: that of D on the data space."""
        return self.A is None and type(self)._data_conj is not Fidelity._data_conj

    @property
    def _hessian_lipschitz(self) -> float | None:
        return None if self.hessian_needs_x else 0.0

    @property
    def has_hessian(self) -> bool:
        """Whether `hessian_apply` is known: that of D on the data space."""
        return type(self)._data_hessian is not Fidelity._data_hessian or type(self)._hessian is not Fidelity._hessian

    def on_data(self) -> Fidelity:
        """D as a functional of the data y = Au, with the weight."""
        return self if self.A is None else self._with_data(None, ...)

    def residual(self, x: Array, out: Array | None = None) -> Array:
        """Au - b, the expected data less the measured ones."""
        if self.A is not None:
            r = self.A.apply(x, out=out)
        else:
            r = backend.array_module(x).empty_like(x) if out is None else out
            r[...] = x
        if self.b is not None:
            r -= self._data(r)
        return r

    def _data(self, y: Array) -> Array:
        """b in the shape of ``y``, which may be flat or have a batch axis."""
        check_like(self.b, y, type(self).__name__)
        return self._shaped(self.b, y)

    def _shaped(self, b: Array, y: Array) -> Array:
        if b.shape in (y.shape, y.shape[1:]):
            return b
        if b.size != y.size or y.shape not in ((b.size,), b.shape[1:]):
            raise ValueError(f"x has shape {y.shape}; {type(self).__name__} with b of shape {b.shape} expects the same")
        return b.reshape(y.shape)

    def _forward(self, x: Array, work: Work) -> Array:
        if self.A is None:
            return x
        batch = x.shape[: x.ndim - len(self.A.dims)]
        return self.A.apply(x, out=buffer(work, "Ax", x, batch + tuple(self.A.dimsd), self.A.dtype_out))

    def _value(self, x: Array, batch: bool) -> Any:
        return self._data_value(self._forward(x, None), batch)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        self._pull_back(self._forward(x, work), out, work)

    def _pull_back(self, y: Array, out: Array, work: Work) -> None:
        """Write A* ∇D(y), and overwrite y where there is an operator."""
        if self.A is None:
            self._data_grad(y, out, work)
        else:
            self._data_grad(y, y, child(work, "D"))
            self.A.apply_adjoint(y, out=out)

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        """out <- A* ∇²D(Ax) A v."""
        if self.A is None:
            out[...] = v
            self._data_hessian(x, out, child(work, "D"))
        else:
            y = self._forward(x, work) if self.hessian_needs_x else None
            w = self._forward(v, child(work, "v"))
            self._data_hessian(y, w, child(work, "D"))
            self.A.apply_adjoint(w, out=out)

    def _value_grad(self, x: Array, out: Array, work: Work, batch: bool) -> Any:
        y = self._forward(x, work)
        value = self._data_value(y, batch)
        self._pull_back(y, out, work)
        return value

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        if self.A is not None:
            raise TypeError(f"{self.name} has no prox; use it as a smooth term or as a dual term")
        self._data_prox(x, t, out, work)

    def _conj(self, y: Array, weight: float, batch: bool) -> Any:
        if self.A is not None:
            raise TypeError(f"the conjugate of {self.name} is not known; use f.as_dual")
        return self._data_conj(y, weight, batch)

    def prox_conj(self, y: Array, sigma: Any, out: Array | None = None, work: Work = None) -> Array:
        if self.A is not None:
            raise TypeError(f"the conjugate's prox of {self.name} is not known; use f.as_dual")
        return super().prox_conj(y, sigma, out, work)

    # ------------------------------------------------------------ parts

    def take(self, index: np.ndarray) -> Functional:
        if self.b is None or (self.A is not None and self.b.ndim == len(self.A.dimsd)):
            return self  # one set of data for every sample
        return self._with_data(self.A, index)

    def subsets(self, n: int) -> list[Fidelity]:
        """n fidelities of every n-th entry of the data's first axis (views), whose sum is this one.

        Raises
        ------
        TypeError
            where there is no operator, or it has no subsets.
        """
        if self.A is None or not self.A.has_subsets:
            what = "no operator" if self.A is None else f"the operator {self.A.name}"
            raise TypeError(f"{self.name} has {what}, which has no subsets; expected one with a method subsets(n)")
        others = (slice(None),) * (len(self.A.dimsd) - 1)  # ...: data may have a batch axis
        first = self.A.first_row
        parts = enumerate(self.A.subsets(n))
        return [self._with_data(part, (..., slice((k - first) % n, None, n), *others)) for k, part in parts]

    def as_dual(self, like: Any) -> Any:
        return super().as_dual(like) if self.A is None else Composition(self.on_data(), self.A)


class L2(Fidelity):
    """½‖Au - b‖²; without A, ½‖u - b‖², and without b, ½‖Au‖².

    Parameters
    ----------
    A : Operator, optional
        Anything `as_operator` takes.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array, optional
        Data of shape A.dimsd, or with one leading batch axis; kept, not copied.

    Notes
    -----
    ∇ = A*(Au - b), L = ‖A‖².  Without A: μ = L = 1, prox_{τf}(x) = (x + τb)/(1 + τ), f*(y) = ½‖y‖² + <y, b>.

    Raises
    ------
    ValueError, TypeError
        where b has not A's shape or dtype, is complex for a real operator, or is not finite.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.L2(b=np.array([1.0, 2.0])).value(np.zeros(2))
    2.5
    """

    _form = "½‖{r}‖²"
    has_grad = True
    hessian_needs_x = False

    _data_L = 1.0
    _data_mu = 1.0

    def __init__(self, A: Any = None, b: Array | None = None, *, shape: tuple[int, ...] | None = None) -> None:
        super().__init__(A, b, shape=shape)
        self.finite_conj = self.A is None

    def _with_data(self, A: Any, part: Any) -> Fidelity:
        f = super()._with_data(A, part)
        f.finite_conj = A is None
        return f

    def _value(self, x: Array, batch: bool) -> Any:
        return 0.5 * backend.sum_squares(self.residual(x), batch)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        if self.A is None:
            self.residual(x, out)
        else:
            batch = x.shape[: x.ndim - len(self.A.dims)]
            r = buffer(work, "residual", x, batch + tuple(self.A.dimsd), self.A.dtype_out)
            self.A.apply_adjoint(self.residual(x, r), out=out)

    def _value_grad(self, x: Array, out: Array, work: Work, batch: bool) -> Any:
        self._grad(x, out, work)
        r = out if self.A is None else self.residual(x) if work is None else work["residual"]
        return 0.5 * backend.sum_squares(r, batch)

    def _data_hessian(self, y: Array, v: Array, work: Work) -> None:
        pass  # the identity

    def _data_prox(self, y: Array, t: Any, out: Array, work: Work) -> None:
        t = backend.per_sample(t, y)
        out[...] = (y if self.b is None else y + t * self._data(y)) / (1 + t)

    def _prox_conj(self, y: Array, sigma: Any, out: Array, work: Work) -> None:
        """prox_{σf*}(y) = (y - σb)/(1 + σ/λ)."""
        sigma = backend.per_sample(sigma, y)
        if self.b is None:
            out[...] = y
        else:
            backend.array_module(y).subtract(y, sigma * self._data(y), out=out)
        out /= 1 + sigma / self.weight

    def _data_conj(self, y: Array, weight: float, batch: bool) -> Any:
        value = backend.sum_squares(y, batch) / (2 * weight)
        if self.b is None:
            return value
        b = backend.array_module(y).broadcast_to(self._data(y), y.shape)
        return value + backend.inner(y, b, batch)  # products of single precision overflow

    def merge(self, other: Functional) -> Functional | None:
        from ipbox.functionals.sets.boxes import Box, L2Box

        if self.A is None and isinstance(other, Box):
            return L2Box(self, other)
        return None

    def pixelwise(self, x: Array) -> dict[str, Any] | None:
        if self.A is not None or self.b is None or self.b.shape != x.shape or x.dtype.kind == "c":
            return None
        return {"b": self.b, "w": self.weight}


def check_like(b: Array, x: Array, who: str, name: str = "b") -> None:
    """Refuse an image of another precision than ``b``, or a real one for a complex ``b``."""
    backend.array_module(b, x)
    if x.dtype != b.dtype and backend.complex_dtype(b.dtype) != x.dtype:
        raise TypeError(
            f"x has dtype {x.dtype}; {who} expects that of {name}, {b.dtype}{as_dtype('x', x.dtype, b.dtype, '')}"
        )


def check_fits(A: Any, b: Array) -> None:
    """Refuse data that ``A`` cannot have produced."""
    dimsd = tuple(A.dimsd)
    if b.shape != dimsd and b.shape[1:] != dimsd:
        column = ": b.ravel()" if len(dimsd) == 1 and b.shape == (*dimsd, 1) else ""
        raise ValueError(f"b has shape {b.shape}; {A.name} gives {dimsd}, with at most one leading batch axis{column}")
    if b.dtype != A.dtype_out:
        raise TypeError(f"b has dtype {b.dtype}; {A.name} gives {A.dtype_out}{as_dtype('b', b.dtype, A.dtype_out)}")


def standard_deviation(noise_level: Any, b: Array, batch: int | None = None) -> float:
    """s = noise_level/√m: the standard deviation of the noise of each of the m real data of a sample."""
    noise_level = check_positive(noise_level, "noise_level", "a positive number, the norm of the noise")
    return noise_level / math.sqrt(b.size * (2 if b.dtype.kind == "c" else 1) // (batch or 1))
