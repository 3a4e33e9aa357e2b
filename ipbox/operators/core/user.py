"""Operators from two functions of the user's, checked by a dot test."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_dims, check_flag, check_not_negative, check_type
from ipbox.keywords import answering
from ipbox.operators.core.base import ALL_DTYPES, Operator

TOLERANCE = {np.dtype("float32"): 1e-5, np.dtype("float64"): 1e-10}  # relative to ‖Au‖‖v‖, as in the dot test
TRIES = 3


@answering
def operator(
    forward: Callable[[Array], Array],
    adjoint: Callable[[Array], Array],
    shape_in: tuple[int, ...],
    shape_out: tuple[int, ...],
    dtype: Any = "float64",
    dtype_out: Any = None,
    *,
    check: bool = True,
    norm: float | None = None,
    batched: bool = False,
    xp: str = "numpy",
    name: str = "A",
) -> FunctionOperator:
    """An operator from two functions: ``forward`` computes A u and ``adjoint`` computes A* v.

    Parameters
    ----------
    forward : callable
        Takes an array of shape ``shape_in`` and gives one of shape ``shape_out``; must not change its argument.
    adjoint : callable
        The other way round.
    shape_in, shape_out : tuple of int
        Shapes of u and of A u.
    dtype : dtype
        Of u: float32, float64, complex64 or complex128.
    dtype_out : dtype, optional
        Of A u; that of u by default.  With a real u and complex data the inner product is Re<., .>, so ``adjoint``
        gives the real part.
    check : bool
        Test on seeded random arrays that both functions give the shapes and dtypes they should, are linear, leave
        their arguments alone, and are adjoint: <A u, v> = <u, A* v>.
    norm : float, optional
        ‖A‖, or a bound from above, where it is known; otherwise it is estimated when it is needed.
    batched : bool
        The functions take a batch axis in front and treat each array of the batch alike; otherwise they are called for
        one array after another.
    xp : str
        ``"numpy"`` or ``"cupy"``: the library of the arrays on which the check and the estimate of the norm run.
    name : str
        Short name, shown in `info`.

    Returns
    -------
    FunctionOperator

    Raises
    ------
    ValueError
        where a check fails; for a wrong adjoint the message has both inner products.
    TypeError
        for functions that are not callable, or that give something else than arrays of the dtype promised.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.operator(lambda u: np.cumsum(u), lambda v: np.cumsum(v[::-1])[::-1], (5,), (5,))
    >>> A.apply(np.ones(5))
    array([1., 2., 3., 4., 5.])
    >>> ip.operator(np.cumsum, np.cumsum, (5,), (5,))
    Traceback (most recent call last):
        ...
    ValueError: adjoint is not that of forward: <A u, v> = ... and <u, A* v> = ... on random u, v, relative error ...
    """
    A = FunctionOperator(forward, adjoint, shape_in, shape_out, dtype, dtype_out, norm, batched, xp, name)
    if check_flag(check, "check"):
        A.check()
    return A


class FunctionOperator(Operator):
    """What `operator` gives; the arguments are described there.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.operator(lambda u: u[::2], lambda v: np.repeat(v, 2) * [1, 0, 1, 0], (4,), (2,))
    >>> type(A).__name__, A.apply(np.arange(4.0))
    ('FunctionOperator', array([0., 2.]))
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(
        self,
        forward: Callable[[Array], Array],
        adjoint: Callable[[Array], Array],
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
        dtype: Any = "float64",
        dtype_out: Any = None,
        norm: float | None = None,
        batched: bool = False,
        xp: str = "numpy",
        name: str = "A",
    ) -> None:
        for what, function in (("forward", forward), ("adjoint", adjoint)):
            check_type(function, what, Callable, "a function of one array")
        self._functions, self.batched = (forward, adjoint), check_flag(batched, "batched")
        self._given_norm = None if norm is None else check_not_negative(norm, "norm")
        self._like = backend.as_module(xp).empty(0)  # also tells the estimate of the norm where to run
        check_type(name, "name", str, "text")
        super().__init__(check_dims(shape_in, "shape_in"), check_dims(shape_out, "shape_out"), dtype, dtype_out, name)
        if backend.real_dtype(self.dtype_in) != backend.real_dtype(self.dtype_out):
            raise TypeError(f"dtype is {self.dtype_in} and dtype_out {self.dtype_out}; expected one precision")

    def _apply(self, x: Array, out: Array) -> None:
        self._run(self._functions[0], "forward", x, out)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self._run(self._functions[1], "adjoint", y, out)

    def _compute_norm(self) -> tuple[float, str]:
        return super()._compute_norm() if self._given_norm is None else (self._given_norm, "bound")

    def _run(self, function: Callable[[Array], Array], what: str, x: Array, out: Array) -> None:
        pairs = [(x, out)] if self.batched else zip(x, out, strict=True)
        for source, target in pairs:
            value = function(source)
            if not backend.is_array(value) or backend.is_device(value) != backend.is_device(source):
                raise TypeError(f"{what} gave {type(value).__name__}; expected an array of {type(source).__module__}")
            if value.shape != target.shape:
                raise ValueError(f"{what} gave shape {value.shape} for {source.shape}; expected {target.shape}")
            if value.dtype != target.dtype:
                raise TypeError(f"{what} gave {value.dtype} for {source.dtype}; expected {target.dtype}")
            target[...] = value

    def check(self, seed: int = 0) -> None:
        """Test on random arrays that the two functions are linear, pure and adjoint; see `operator`.

        Raises
        ------
        ValueError, TypeError
            where they are not.

        Examples
        --------
        >>> import ipbox as ip
        >>> ip.operator(lambda u: 2 * u, lambda v: 2 * v, (3,), (3,)).check(seed=1)
        """
        rng = np.random.default_rng(seed)
        tol = TOLERANCE[backend.real_dtype(self.dtype_in)]
        for _ in range(TRIES):
            u, w = self._draw(rng, self.dims, self.dtype_in), self._draw(rng, self.dims, self.dtype_in)
            v, z = self._draw(rng, self.dimsd, self.dtype_out), self._draw(rng, self.dimsd, self.dtype_out)
            Au = self._linear("forward", self.apply, u, w, tol)
            Av = self._linear("adjoint", self.apply_adjoint, v, z, tol)
            left, right = backend.dot(Au, v), backend.dot(u, Av)
            scale = max(backend.norm(Au) * backend.norm(v), backend.norm(u) * backend.norm(Av))
            if abs(left - right) > tol * scale:
                part = "Re" if self.dtype_out.kind == "c" else ""
                raise ValueError(
                    f"adjoint is not that of forward: {part}<A u, v> = {left:.6g} and {part}<u, A* v> = {right:.6g} on "
                    f"random u, v, relative error {abs(left - right) / max(abs(left), abs(right)):.1e}; expected them "
                    f"to agree to {tol:g} ‖A u‖ ‖v‖"
                )

    def _linear(self, what: str, apply: Callable[[Array], Array], x: Array, y: Array, tol: float) -> Array:
        """``what`` at x, after a test that it is linear and does not write to its argument."""
        before = x.copy()
        Ax, Ay = apply(x), apply(y)
        if not bool((x == before).all()):
            raise ValueError(f"{what} changed its argument; expected a new array")
        if not math.isfinite(backend.norm(Ax)):
            raise ValueError(f"{what} gave NaN or infinite entries for random numbers; expected finite ones")
        error = backend.norm(apply(2.0 * x - 0.5 * y) - (2.0 * Ax - 0.5 * Ay))
        scale = 2.0 * backend.norm(Ax) + 0.5 * backend.norm(Ay)
        if error > tol * scale:
            raise ValueError(
                f"{what} is not linear: A(2x - y/2) is off 2Ax - Ay/2 by {error / scale:.1e} of its size; "
                f"expected at most {tol:g} on random x, y"
            )
        if self.batched:
            xp = backend.array_module(x)
            error = backend.norm(apply(xp.stack([x, y])) - xp.stack([Ax, Ay]))
            if error > tol * scale:
                raise ValueError(
                    f"{what} mixes the arrays of a batch: relative error {error / scale:.1e} on two random ones; "
                    f"expected each treated alone, or batched=False"
                )
        return Ax

    def _draw(self, rng: np.random.Generator, dims: tuple[int, ...], dtype: np.dtype) -> Array:
        x = rng.standard_normal(tuple(dims))
        if dtype.kind == "c":
            x = x + 1j * rng.standard_normal(tuple(dims))
        return backend.to_device(x.astype(dtype), backend.array_module(self._like))
