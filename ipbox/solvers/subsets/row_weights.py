"""The weights of algebraic reconstruction: one over sums, or norms, of the rows and columns of A."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.kernels.core.layout import unit_of
from ipbox.operators import MatrixOperator, Operator
from ipbox.operators.core.norms import golub_kahan
from ipbox.operators.core.weighted import Weighted
from ipbox.solvers.core.problem import Parts

PROBES = 8
SEEN = 1e-5  # of the largest sum: rows and columns that are less than this are nothing but rounding


def is_known(A: Operator) -> bool:
    """Whether sums of |a_ij| are at hand: of a matrix, or of an operator without negative entries."""
    return isinstance(A, MatrixOperator) or A.nonnegative


def has_estimates(blocks: list[Operator]) -> bool:
    """Whether `of_blocks` has nothing better than an estimate of some ‖A_i‖."""
    return not _nonnegative(blocks) and any(A.norm_kind == "estimate" for A in blocks)


def of_blocks(blocks: list[Operator], p: Parts) -> tuple[list[Any], Any]:
    """R_i and C with ‖C^½ A_i* R_i A_i C^½‖ <= 1: SART's for non-negative blocks, else 1/‖A_i‖² and 1.

    Where blocks are weighted, the largest ‖A_i‖ is that of all: by its own, a block's weight would cancel.
    """
    lone = all(isinstance(A, MatrixOperator) and A.shape[0] == 1 for A in blocks)
    if lone or not _nonnegative(blocks):
        squares = [float(_row_squares(A)[0]) if lone else A.norm() ** 2 for A in blocks]
        if any(isinstance(A, Weighted) for A in blocks):
            squares = [max(squares)] * len(squares)
        unit = _unit(max(squares))
        return [_inverse(square) / unit for square in squares], unit
    R, largest = [], None
    for A in blocks:
        rows, columns = _sums(A, p)
        R.append(_with_batch(_inverse(rows), p))
        largest = columns if largest is None else p.xp.maximum(largest, columns)
    return R, _with_batch(_inverse(largest), p)


def of_sums(A: Operator, p: Parts) -> tuple[Array, Array]:
    """R and C, one over the row and the column sums of |A|, with C A* R A of a spectral radius of at most 1."""
    rows, columns = _sums(A, p)
    if is_known(A):
        return _with_batch(_inverse(rows), p), _with_batch(_inverse(columns), p)
    if A.dtype_in.kind == "c" or A.dtype_out.kind == "c":
        raise ValueError(f"A is {A.name}, which is complex; SIRT expects a real operator, or a matrix")
    R, C = (_inverse(p.xp.where(v > SEEN * v.max(), v, 0)) for v in (rows, columns))
    R /= (1.02 * golub_kahan(_Weighted(A, R**0.5, C**0.5)) or 1.0) ** 2
    return _with_batch(R, p), _with_batch(C, p)


def of_equations(A: Operator, p: Parts, weights: Array | None = None) -> tuple[Any, float]:
    """R and C of Cimmino's method, R C = v_i/(Σv ‖a_i‖²) for the m rows or blocks; v_i = 1, or its largest weight."""
    v = p.xp.ones(tuple(A.dimsd)) if weights is None else p.xp.asarray(backend.to_host(weights), dtype=np.float64)
    if isinstance(A, MatrixOperator):
        squares, v, total = _row_squares(A), v.reshape(-1), float(v.sum())
    else:
        n, total = A.dimsd[0] if is_known(A) else min(20, A.dimsd[0]), 0.0
        squares, v = p.xp.empty(tuple(A.dimsd)), v.copy()
        for k, B in enumerate(A.subsets(n)):
            squares[k::n], v[k::n] = _block_norm(B, p) ** 2, v[k::n].max()
            total += float(v[k::n].max())
    unit = _unit(float(squares.max()))
    R = (v * _inverse(squares) / (total * unit)).astype(backend.real_dtype(A.dtype_out))
    return _with_batch(R.reshape(tuple(A.dimsd)), p), unit


def _row_squares(A: MatrixOperator) -> Array:
    """‖a_i‖² of the rows in double precision, of entries whose own squares A's precision may not have."""
    unit = unit_of(float(A.entry_sums(1, rows=True).max()), backend.real_dtype(A.dtype_out).type)
    return MatrixOperator(A.matrix * unit).entry_sums(2, rows=True).astype(np.float64) / float(unit) ** 2


def _unit(square: float) -> float:
    """The power of two next to 1/√square: R and C share a 1/‖A‖² so, and no product with either leaves the range."""
    return float(unit_of(square**0.5, np.float64))


def _block_norm(A: Operator, p: Parts) -> float:
    """‖A‖, for a non-negative block a bound: ‖A A*‖ <= max_i (A A* 1)_i (Collatz and Wielandt)."""
    if not A.nonnegative:
        return A.norm()
    bound = A.apply(A.apply_adjoint(p.xp.ones(tuple(A.dimsd), dtype=A.dtype_out))).max()
    return float(bound) ** 0.5 * (1 + 1e-5)  # room for rounding


def _nonnegative(blocks: list[Operator]) -> bool:
    return all(A.nonnegative for A in blocks)


def _sums(A: Operator, p: Parts) -> tuple[Array, Array]:
    if isinstance(A, MatrixOperator):
        return A.entry_sums(1, rows=True), A.entry_sums(1, rows=False)
    images, data = (_probes(end, p, PROBES * (not is_known(A))) for end in A.ends)
    rows, columns = abs(A.apply(next(images))), abs(A.apply_adjoint(next(data)))
    for u in images:
        p.xp.maximum(rows, abs(A.apply(u)), out=rows)
    for y in data:
        p.xp.maximum(columns, abs(A.apply_adjoint(y)), out=columns)
    return rows, columns


def _probes(end: tuple[tuple[int, ...], Any], p: Parts, n: int) -> Iterator[Array]:
    """Ones, and n random arrays with entries of at most 1: no |A v| is larger than the sums of |a_ij|.

    Ones alone tell nothing where signs cancel, as in the rows of a gradient.
    """
    shape, dtype = end
    yield p.xp.ones(shape, dtype=dtype)
    rng = backend.generator(0, like=p.xp)
    for _ in range(n):
        yield (2 * rng.random(shape) - 1).astype(dtype)


def _inverse(v: Any) -> Any:
    """1/v, and 0 where v = 0: an equation, or a pixel, that nothing is known of."""
    if isinstance(v, float):
        return 1 / v if v > 0 else 0.0
    xp = backend.array_module(v)
    return xp.where(v > 0, 1 / xp.where(v > 0, v, 1), 0).astype(v.dtype)


def _with_batch(v: Array, p: Parts) -> Array:
    """With an axis of length 1 in a batch, so that it is not taken for one entry per sample."""
    return v if p.batch is None else v[None]


class _Weighted(Operator):
    """R^½ A C^½."""

    def __init__(self, A: Operator, left: Array, right: Array) -> None:
        self.A, self.left, self.right = A, left, right
        super().__init__(tuple(A.dims), tuple(A.dimsd), A.dtype_in, A.dtype_out, name=A.name)

    def _apply(self, x: Array, out: Array) -> None:
        self.A.apply(x * self.right, out=out)
        out *= self.left

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self.A.apply_adjoint(y * self.left, out=out)
        out *= self.right
