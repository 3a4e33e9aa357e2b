"""Norms of operators on which Golub and Kahan's process ends early, against dense algebra."""

import numpy as np
import pylops
import pytest

import ipbox as ip
from ipbox.operators import Operator
from ipbox.operators.core.norms import golub_kahan


def of_rank(r, m, n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    U, V = rng.standard_normal((m, r)), rng.standard_normal((r, n))
    M = U @ V if np.dtype(dtype).kind == "f" else (U + 1j * rng.standard_normal((m, r))) @ V
    return M.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("r, m, n", [(1, 1, 500), (1, 500, 1), (1, 40, 30), (2, 40, 200), (5, 300, 20), (20, 20, 20)])
def test_nothing_is_lost_where_the_process_ends(dtype, r, m, n):
    M = of_rank(r, m, n, dtype)
    A, exact = ip.as_operator(M), np.linalg.norm(M.astype("complex128"), 2)
    assert 0.97 * exact <= golub_kahan(A) <= exact * (1 + 1e-5)
    assert exact * (1 - 1e-6) <= A.norm() <= 1.021 * exact


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_the_norm_follows_the_units(scale):
    M = of_rank(3, 30, 40, "float64")
    assert ip.as_operator(scale * M).norm() == pytest.approx(scale * ip.as_operator(M).norm(), rel=1e-9)


def test_an_operator_of_one_row_or_column_is_a_vector():
    a = np.arange(1.0, 13.0).reshape(3, 4)
    row = ip.operator(lambda u: (a * u).sum().reshape(1), lambda y: y[0] * a, (3, 4), (1,), "float64")
    column = ip.operator(lambda y: y[0] * a, lambda u: (a * u).sum().reshape(1), (1,), (3, 4), "float64")
    for A in (row, column, 2.0 * row, row.H, ip.as_operator(pylops.MatrixMult(a.reshape(1, -1)))):
        factor = 2.0 if A.name.startswith("2 ") else 1.0
        assert A.norm() == pytest.approx(factor * np.linalg.norm(a), rel=2e-6)
        assert A.norm_kind == "bound"


@pytest.mark.parametrize("solver", [ip.Kaczmarz(), ip.Cimmino(), ip.GradientDescent(), ip.SIRT()])
def test_blocks_of_one_row(solver):
    """Every block one row of a matrix with signs: an exact solution, reached."""
    M = np.array([[1.0, 2.0, -1.0], [0.5, -1.0, 1.0]])
    A = ip.as_operator(M)
    x = ip.solve(ip.Problem(ip.L2(A, M @ [1.0, 2.0, 3.0])), solver, stop=ip.stop.niter(3000)).x
    assert np.allclose(M @ x, M @ [1.0, 2.0, 3.0], atol=1e-6)


class Rows(Operator):
    """Rows of a matrix that keeps its entries to itself, in subsets."""

    def __init__(self, M):
        self.M = M
        super().__init__((M.shape[1],), (len(M),), M.dtype, name="rows")

    def _apply(self, x, out):
        out[...] = x @ self.M.T

    def _apply_adjoint(self, y, out):
        out[...] = y @ self.M

    def subsets(self, n):
        return [Rows(self.M[k::n]) for k in range(n)]


@pytest.mark.parametrize("solver", [ip.Kaczmarz(), ip.Cimmino(), ip.SAGA(subsets=8), ip.SVRG(subsets=8)])
def test_blocks_of_one_row_of_an_operator(solver):
    M = np.random.default_rng(0).standard_normal((8, 40))
    b = M @ np.ones(40)
    x = ip.solve(ip.Problem(ip.L2(Rows(M), b)), solver, stop=ip.stop.niter(6000)).x
    assert np.linalg.norm(M @ x - b) <= 1e-3 * np.linalg.norm(b)
