"""Adjoints, multiples, sums, compositions and stacks of operators, all keeping their dtype."""

from __future__ import annotations

from typing import Any, ClassVar

from ipbox import backend
from ipbox.backend import Array
from ipbox.operators.core.adapters import PyLopsOperator, as_operator, matched_image
from ipbox.operators.core.base import ALL_DTYPES, Operator, count_normal


class Identity(Operator):
    """The identity on arrays of shape ``dims``.

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.Identity((2, 3)).norm()
    1.0
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, dims: tuple[int, ...], dtype: Any = "float32") -> None:
        super().__init__(dims, dims, dtype, name="Id")

    def _apply(self, x: Array, out: Array) -> None:
        out[...] = x

    _apply_adjoint = _apply_normal = _apply  # type: ignore[assignment]  # its argument has another name

    def _compute_norm(self) -> tuple[float, str]:
        return 1.0, "exact"


class Adjoint(Operator):
    """A*, with Re<A u, v> = Re<u, A* v>.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> D = ip.FiniteDifference((4,), axis=0, dtype="float64")
    >>> D.H.apply(np.array([1.0, 0.0, 0.0, 0.0]))
    array([-1.,  1.,  0.,  0.])
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, op: Operator) -> None:
        self.op = op
        self.is_flat = op.is_flat
        super().__init__(op.dimsd, op.dims, op.dtype_out, op.dtype_in, name=f"{op.name}*")

    def _apply(self, x: Array, out: Array) -> None:
        self.op._apply_adjoint(x, out)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self.op._apply(y, out)

    def _compute_norm(self) -> tuple[float, str]:
        return self.op.norm(), self.op.norm_kind

    def _adjoint(self) -> Operator:
        return self.op


class Scaled(Operator):
    """c A for a real number c.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = -2 * ip.Identity((2,), "float32")
    >>> A.apply(np.ones(2, "float32")), A.norm()
    (array([-2., -2.], dtype=float32), 2.0)
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, op: Operator, c: float) -> None:
        self.op, self.c, self.is_flat = op, c, op.is_flat
        super().__init__(op.dims, op.dimsd, op.dtype_in, op.dtype_out, name=f"{c:g} {op.name}")

    def _apply(self, x: Array, out: Array) -> None:
        self.op._apply(x, out)
        out *= self.c

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self.op._apply_adjoint(y, out)
        out *= self.c

    def _apply_normal(self, x: Array, out: Array) -> None:
        self.op._apply_normal(x, out)
        out *= self.c**2

    def _compute_norm(self) -> tuple[float, str]:
        return abs(self.c) * self.op.norm(), self.op.norm_kind


class Composition(Operator):
    """A B: first B, then A; where one of them is flat (a matrix), what B gives is reshaped to what A takes.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.Mask(np.array([True, False]), dtype="float64") @ ip.as_operator(np.array([[1.0, 1.0], [0.0, 2.0]]))
    >>> A.apply(np.ones(2))
    array([2., 0.])
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, a: Operator, b: Operator) -> None:
        flat = 1 in (len(a.dims), len(b.dimsd)) and a.shape[1] == b.shape[0]
        if not (tuple(a.dims) == tuple(b.dimsd) or flat) or a.dtype_in != b.dtype_out:
            raise ValueError(f"A B needs what B gives to be what A takes; A is {_ends(a)}, B is {_ends(b)}")
        self.a, self.b, self.is_flat = a, b, b.is_flat
        super().__init__(b.dims, a.dimsd, b.dtype_in, a.dtype_out, name=f"{a.name} {b.name}")

    def _apply(self, x: Array, out: Array) -> None:
        self.a._apply(self.b.apply(x).reshape(-1, *self.a.dims), out)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self.b._apply_adjoint(self.a.apply_adjoint(y).reshape(-1, *self.b.dimsd), out)

    def _compute_norm(self) -> tuple[float, str]:
        """||A*A|| = ||AA*|| = ||A||², exact where ||A|| is; otherwise an estimate."""
        a, b = self.a, self.b
        squared = (isinstance(a, Adjoint) and a.op is b) or (isinstance(b, Adjoint) and b.op is a)
        return (b.norm() ** 2, "exact") if squared and b.norm_kind == "exact" else super()._compute_norm()


class Normal(Composition):
    """A*A, as `Operator.N` gives it.

    Examples
    --------
    >>> import ipbox as ip
    >>> A = ip.Gradient((3, 4))
    >>> N = A.N
    >>> N.H is N, N.norm() == A.norm() ** 2
    (True, True)
    """

    def __init__(self, op: Operator) -> None:
        super().__init__(op.H, op)

    def _apply(self, x: Array, out: Array) -> None:
        count_normal(self.b, len(x))
        self.b._apply_normal(x, out)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self._apply(y, out)

    def _adjoint(self) -> Operator:
        return self


class Sum(Operator):
    """A + B.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.Identity((2,), "float64") + 2 * ip.Identity((2,), "float64")
    >>> A.apply(np.ones(2))
    array([3., 3.])
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, a: Operator, b: Operator) -> None:
        if a.ends != b.ends:
            raise ValueError(f"A + B needs equal shapes and dtypes; A is {_ends(a)}, B is {_ends(b)}")
        self.a, self.b, self.is_flat = a, b, a.is_flat and b.is_flat
        super().__init__(a.dims, a.dimsd, a.dtype_in, a.dtype_out, name=f"({a.name} + {b.name})")

    def _apply(self, x: Array, out: Array) -> None:
        self.a._apply(x, out)
        out += self.b.apply(x)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self.a._apply_adjoint(y, out)
        out += self.b.apply_adjoint(y)


class VStack(Operator):
    """(A_1; ...; A_n): u -> (A_1 u, ..., A_n u), each part flattened and laid end to end.

    Foreign operators that are flat take the image's shape and dtype from those that have one.

    Examples
    --------
    >>> import ipbox as ip
    >>> D = ip.Gradient((4, 5))
    >>> tuple(ip.VStack([ip.Identity((4, 5)), D]).dimsd)
    (60,)
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, ops: list[Any]) -> None:
        if not ops:
            raise ValueError("ops is empty; expected at least one operator")
        self.ops = [as_operator(op) for op in ops]
        a = min(self.ops, key=lambda op: (isinstance(op, PyLopsOperator), op.is_flat))
        self.ops = [matched_image(op, a) for op in self.ops]
        for op in self.ops:
            if op.ends[0] != a.ends[0] or op.dtype_out != a.dtype_out:
                raise ValueError(f"ops take other arrays: {_ends(a)} and {_ends(op)}; expected one shape and dtype")
        self._sizes, self.is_flat = [op.shape[0] for op in self.ops], a.is_flat
        super().__init__(a.dims, (sum(self._sizes),), a.dtype_in, a.dtype_out, name="VStack")

    def split(self, y: Array) -> list[Array]:
        """The parts of ``y`` (batch + (n,)), each in its operator's own shape; views where y is contiguous."""
        batch, parts, start = y.shape[:-1], [], 0
        for op, size in zip(self.ops, self._sizes, strict=True):
            parts.append(y[..., start : start + size].reshape(batch + tuple(op.dimsd)))
            start += size
        return parts

    def _apply(self, x: Array, out: Array) -> None:
        xp = backend.array_module(x)
        parts = [op.apply(x).reshape(x.shape[0], n) for op, n in zip(self.ops, self._sizes, strict=True)]
        xp.concatenate(parts, axis=1, out=out)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        out[...] = 0
        for op, part in zip(self.ops, self.split(y), strict=True):
            out += op.apply_adjoint(part)

    def _apply_normal(self, x: Array, out: Array) -> None:
        out[...] = 0
        for op in self.ops:
            out += op.N.apply(x)


def _ends(A: Operator) -> str:
    """What A takes and gives, for messages."""
    return f"{tuple(A.dims)} {A.dtype_in} -> {tuple(A.dimsd)} {A.dtype_out}"
