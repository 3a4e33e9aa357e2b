"""The base class of every linear operator: N-D arrays in and out, batches, an exact adjoint, a norm with its kind."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ipbox import backend, shares, summary
from ipbox.backend import Array
from ipbox.checks import as_dtype, check_dims, check_float, shown
from ipbox.operators.core.foreign import pylops
from ipbox.operators.core.norms import golub_kahan, norm_of_vector

counts: ContextVar[tuple[Any, ...]] = ContextVar("counts", default=())  # who counts applications, see `counting`

ALL_DTYPES = ("float32", "float64", "complex64", "complex128")


class Operator(pylops.LinearOperator):
    """Linear operator A between N-D arrays; a `pylops.LinearOperator` whose work is done by `apply`.

    A subclass gives ``_apply(x, out)`` and ``_apply_adjoint(y, out)`` for C-contiguous arrays with exactly one batch
    axis, ``x``: (B,) + dims and ``y``: (B,) + dimsd, and, where it knows them, ``_compute_norm()`` and a fast
    ``_apply_normal(x, out)`` of A*A.

    Parameters
    ----------
    dims, dimsd : tuple of int
        Shapes of the model u and of the data A u.
    dtype_in, dtype_out : dtype
        float32, float64, complex64 or complex128.  A real model with complex data is allowed; the inner product is
        then Re<., .> and the adjoint is real.
    name : str
        Short name, shown in `info`.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> D = ip.Gradient((4, 5), dtype="float64")
    >>> D.apply(np.ones((4, 5))).shape
    (2, 4, 5)
    """

    # What a class declares is what the contracts test and what the table of docs/what-runs-where.md says.
    backends: ClassVar[tuple[str, ...]] = ("numpy", "cupy")
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64")

    if TYPE_CHECKING:  # PyLops says that A @ x is an operator, and that A.H is a function
        H: Operator
        T: Operator

        def __matmul__(self, x: Any) -> Any: ...

        def __mul__(self, x: Any) -> Any: ...

    def __repr__(self) -> str:
        (dims, dtype_in), (dimsd, dtype_out) = self.ends
        kind = type(self).__name__
        kind = self.name if self.name.startswith(kind) else f"{kind} {self.name}"
        dtypes = f"{dtype_in}" if dtype_in == dtype_out else f"{dtype_in} -> {dtype_out}"
        return summary.shortened(f"{kind}: {dims} -> {dimsd}, {dtypes}")

    _repr_html_ = summary.as_html

    # What solvers and functionals ask of an operator, where it knows more than a linear map does.
    nonnegative = False  # no entry of its matrix is negative (or complex)
    is_flat = False  # made of a flat foreign operator whose image's shape nobody has told: see `as_operator`
    ranks: shares.Sharing | None = None  # who share the data; the images are whole
    by_slabs = False  # of images and data of which each of several ranks has some slices: it has no need of the others
    first_row = 0  # of the data's first axis here, among those of all ranks

    @property
    def support(self) -> np.ndarray | None:
        """Where the object may be, a mask of shape dims on the host; None: everywhere."""
        return None

    @property
    def has_subsets(self) -> bool:
        """Whether `subsets` is given."""
        return type(self).subsets is not Operator.subsets

    def subsets(self, n: int) -> list[Any]:
        """n operators of every n-th entry of the data's first axis; the data of the k-th are ``b[k::n]``."""
        raise TypeError(f"{self.name} has no subsets; expected an operator with a method subsets(n)")

    def background_like(self, y: Array) -> Array | None:
        """What is expected in data like ``y`` beside A u, such as scattered counts; None where there is nothing."""
        return None

    def mean(self, x: Array) -> Array:
        """The expected data of ``x``: A x, and the background."""
        y = self.apply(x)
        background = self.background_like(y)
        if background is not None:
            y += background
        return y

    def __init__(
        self, dims: tuple[int, ...], dimsd: tuple[int, ...], dtype_in: Any, dtype_out: Any = None, name: str = "A"
    ) -> None:
        self.dtype_in = check_dtype(dtype_in)
        self.dtype_out = self.dtype_in if dtype_out is None else check_dtype(dtype_out, "dtype_out")
        backend.real_dtype(self.dtype_in), backend.real_dtype(self.dtype_out)
        self._norm_cache: tuple[float, str] | None = None
        clinear = self.dtype_in.kind == self.dtype_out.kind
        super().__init__(
            dtype=self.dtype_out,
            dims=check_dims(dims, "dims"),
            dimsd=check_dims(dimsd, "dimsd"),
            clinear=clinear,
            name=name,
        )

    # ------------------------------------------------------------ to be given by a subclass

    def _apply(self, x: Array, out: Array) -> None:
        raise TypeError(f"{type(self).__name__} defines no _apply")

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        raise TypeError(f"{type(self).__name__} defines no _apply_adjoint")

    def _apply_normal(self, x: Array, out: Array) -> None:
        """out <- A*A x; a subclass that has a faster way than A, then A*, gives it here."""
        y = backend.array_module(x).empty((len(x), *self.dimsd), dtype=self.dtype_out)
        self._apply(x, y)
        self._apply_adjoint(y, out)

    def _compute_norm(self) -> tuple[float, str]:
        if min(self.shape) == 1 and self.dtype_in.kind == self.dtype_out.kind:
            return norm_of_vector(self), "bound"
        return 1.02 * golub_kahan(self), "estimate"

    # ------------------------------------------------------------ public

    def apply(self, x: Array, out: Array | None = None) -> Array:
        """A x for ``x`` of shape batch + dims and dtype ``dtype_in``; returns batch + dimsd (written to ``out``)."""
        return self._call(x, out, forward=True)

    def apply_adjoint(self, y: Array, out: Array | None = None) -> Array:
        """A* y for ``y`` of shape batch + dimsd and dtype ``dtype_out``; returns batch + dims (written to ``out``)."""
        return self._call(y, out, forward=False)

    @property
    def N(self) -> Operator:
        """The normal operator A*A, self-adjoint: A, then A*, or what A knows to be equal and faster.

        An application counts as one of A and one of A*.

        Examples
        --------
        >>> import numpy as np, ipbox as ip
        >>> A = ip.Gradient((3,), dtype="float64")
        >>> A.N @ np.array([0.0, 1.0, 0.0])                     # minus the Laplacian
        array([-1.,  2., -1.])
        """
        from ipbox.operators.core.algebra import Normal

        return Normal(self)

    def norm(self) -> float:
        """||A||, computed once; `norm_kind` says whether it is exact, an upper bound or an estimate."""
        return self._norm_and_kind()[0]

    @property
    def norm_kind(self) -> str:
        """``"exact"``, ``"bound"`` (from above) or ``"estimate"`` (Golub-Kahan from a seeded start, times 1.02)."""
        return self._norm_and_kind()[1]

    def _norm_and_kind(self) -> tuple[float, str]:
        if self._norm_cache is None:
            self._norm_cache = self._compute_norm()
        return self._norm_cache

    @property
    def ends(self) -> tuple[tuple[tuple[int, ...], np.dtype], tuple[tuple[int, ...], np.dtype]]:
        """(shape, dtype) of what A takes, and of what it gives."""
        return (tuple(self.dims), self.dtype_in), (tuple(self.dimsd), self.dtype_out)

    def _call(self, x: Array, out: Array | None, forward: bool) -> Array:
        (dims, dtype), (dims_to, dtype_to) = self.ends if forward else self.ends[::-1]
        work, name = (self._apply, "x") if forward else (self._apply_adjoint, "y")
        backend.check_array(x, name, f"an array of shape {dims}, NumPy or CuPy")
        if out is not None:
            backend.check_array(out, "out")
        xp = backend.array_module(x) if out is None else backend.array_module(x, out)
        check_array(x, dims, dtype, name, self.name)
        batch = x.shape[: x.ndim - len(dims)]
        if out is None:
            out = xp.empty(batch + dims_to, dtype=dtype_to)
        elif out.shape != batch + dims_to or out.dtype != dtype_to or not out.flags.c_contiguous:
            raise ValueError(
                f"out has shape {out.shape} and dtype {out.dtype}; expected a C-contiguous array of shape "
                f"{batch + dims_to} and dtype {dtype_to}"
            )
        elif xp.may_share_memory(x, out):  # sums and stacks write out before they have read all of x
            raise ValueError(f"out shares memory with {name}; expected an array of its own")
        for count in counts.get():
            count.add(self, math.prod(batch), forward)
        if out.size:  # a batch may be empty
            work(xp.ascontiguousarray(x).reshape((-1,) + dims), out.reshape((-1,) + dims_to))
        return out

    # ------------------------------------------------------------ PyLops' side: flat vectors

    def _matvec(self, x: Array) -> Array:
        return self._flat(self.apply, x, tuple(self.dims), self.dtype_in)

    def _rmatvec(self, x: Array) -> Array:
        return self._flat(self.apply_adjoint, x, tuple(self.dimsd), self.dtype_out)

    @staticmethod
    def _flat(method: Callable[[Array], Array], x: Array, dims: tuple[int, ...], dtype: np.dtype) -> Array:
        if x.dtype.kind == "c" and dtype.kind != "c":
            raise TypeError(f"x is {x.dtype}; expected real data for a real operator")
        # PyLops' solvers and scaled operators change the precision on the way: come back to the operator's own.
        return method(x.reshape(dims).astype(dtype, copy=False)).reshape(-1)

    # ------------------------------------------------------------ algebra that keeps dtype (PyLops' does not)

    def dot(self, x: Any) -> Any:
        """A applied to an array (N-D or flat), composed with an operator, or scaled by a number."""
        from ipbox.operators.core import adapters, algebra

        if adapters.is_foreign(x):
            return algebra.Composition(self, adapters.of_precision(x, self.dtype_in))
        if isinstance(x, numbers.Real):
            return algebra.Scaled(self, check_float(x, "factor"))
        if isinstance(x, numbers.Number):
            raise TypeError(f"{self.name} is multiplied by {x}; expected a real number")
        nd = len(self.dims)
        if backend.is_array(x) and x.shape[max(x.ndim - nd, 0) :] == tuple(self.dims):
            return self.apply(x)
        if not backend.is_array(x) or x.shape[:1] != self.shape[1:]:
            what = f"has shape {x.shape}" if backend.is_array(x) else f"is {type(x).__name__}"
            raise ValueError(
                f"x {what}; {self.name} expects an array of shape {tuple(self.dims)}, or the same flattened"
                + backend.instead(x, "x")
            )
        return super().dot(x)

    # so that NumPy leaves ``M @ A`` to the method below
    __array_ufunc__ = None

    def __rmatmul__(self, x: Any) -> Operator:
        """M A for a matrix (dense or sparse) M."""
        from ipbox.operators.core.adapters import as_operator

        return as_operator(x).dot(self)

    def __rmul__(self, x: Any) -> Any:
        return self.dot(x) if isinstance(x, numbers.Number) else super().__rmul__(x)

    def __truediv__(self, x: Any, **options: Any) -> Any:
        """A / c for a number c; PyLops' least-squares solve for an array, with its ``options`` (``niter``)."""
        if isinstance(x, numbers.Real):
            return self.dot(1.0 / check_float(x, "divisor"))
        return super().__truediv__(x, **options)

    def __neg__(self) -> Operator:
        return self.dot(-1.0)

    def __add__(self, other: Any) -> Operator:
        from ipbox.operators.core import adapters, algebra

        return algebra.Sum(self, adapters.matched(other, self))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Operator:
        from ipbox.operators.core.adapters import matched

        return self + matched(other, self).dot(-1.0)

    def __rsub__(self, other: Any) -> Operator:
        return self.dot(-1.0) + other

    def _adjoint(self) -> Operator:
        from ipbox.operators.core import algebra

        return algebra.Adjoint(self)

    def _transpose(self) -> Operator:
        if self.dtype_in.kind == "c" or self.dtype_out.kind == "c":
            raise TypeError(f"A.T of the complex operator {self.name} is not defined here; expected A.H, its adjoint")
        return self._adjoint()


# ---------------------------------------------------------------- what every operator shares


def count_normal(A: Any, applications: int) -> None:
    """Add what stands for so many applications of A and of A* to the counts of `ipbox.counting`."""
    for count in counts.get():
        for forward in (True, False):
            count.add(A, applications, forward)


def check_real(dtype: Any, who: str) -> np.dtype:
    """``dtype`` for an operator that takes no complex images."""
    found = check_dtype(dtype)
    if found.kind == "c":
        raise TypeError(f"dtype is {found}; {who} expects float32 or float64")
    return found


def check_dtype(dtype: Any, name: str = "dtype") -> np.dtype:
    """What is meant by the argument ``name``, which is the name of one, its type or itself."""
    try:
        return np.dtype(dtype)
    except TypeError as err:
        raise TypeError(f"{name} is {shown(dtype)}; expected float32, float64, complex64 or complex128") from err


def check_array(x: Array, dims: tuple[int, ...], dtype: np.dtype, name: str, who: str) -> None:
    """Refuse an array whose trailing shape or dtype is not what ``who`` takes."""
    if x.shape[max(x.ndim - len(dims), 0) :] != dims:
        raise ValueError(f"{name} has shape {x.shape}; {who} expects {dims}, with any leading batch axes")
    if x.dtype != dtype:
        raise TypeError(f"{name} has dtype {x.dtype}; {who} expects {dtype}{as_dtype(name, x.dtype, dtype)}")
