"""Our operators in PyLops' solvers, as classes and functions, and PyLops' operators in our methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pylops
import pytest
from pylops.optimization import cls_basic, cls_sparsity
from pylops.optimization import leastsquares as ls
from pylops.utils import dottest

import ipbox as ip

DIMS = (9, 8)
X = np.random.default_rng(0).standard_normal(DIMS)
A = ip.VStack([ip.GaussianBlur(DIMS, 0.6, dtype="float64"), 0.5 * ip.Gradient(DIMS, dtype="float64")])
M = A.todense()
B = A.apply(X) + 0.1 * np.random.default_rng(1).standard_normal(A.dimsd)
LEAST = np.linalg.lstsq(M, B, rcond=None)[0]
ZERO = np.zeros(72)

SOLVERS = {
    "CG": lambda: cls_basic.CG(A.N).solve(A.apply_adjoint(B).ravel(), x0=ZERO, niter=100, tol=0)[0],
    "CGLS": lambda: cls_basic.CGLS(A).solve(B, x0=ZERO, niter=100, tol=0)[0],
    "LSQR": lambda: cls_basic.LSQR(A).solve(B, x0=ZERO, niter=100, atol=1e-15, btol=1e-15, conlim=0)[0],
    "normal equations": lambda: ls.normal_equations_inversion(A, B, None, rtol=1e-14, maxiter=200)[0],
    "regularised": lambda: ls.regularized_inversion(A, B, None, atol=1e-15, btol=1e-15, iter_lim=200)[0],
}


@pytest.mark.parametrize("name", SOLVERS)
def test_their_least_squares_with_our_operator(name: str) -> None:
    """Of full column rank: the solution of dense algebra."""
    given = B.copy()
    assert np.linalg.norm(SOLVERS[name]().ravel() - LEAST) < 1e-9 * np.linalg.norm(LEAST)
    assert np.array_equal(B, given) and not ZERO.any()


def test_steps_of_their_cgls_are_steps_of_ours() -> None:
    """In exact arithmetic both are the minimisers over the same Krylov spaces."""
    theirs, seen = cls_basic.CGLS(A), []
    x = theirs.setup(B, x0=ZERO, niter=12, tol=0)
    ip.cgls(A, B, stop=ip.stop.niter(12), callbacks=[lambda run: seen.append(run.x.copy())])
    for u in seen[1:]:
        x = theirs.step(x)
        assert np.linalg.norm(x - u.ravel()) < 1e-10 * np.linalg.norm(u)
    assert len(seen) == 13


@pytest.mark.parametrize("name", ["ISTA", "FISTA"])
def test_their_shrinkage_with_our_operator(name: str) -> None:
    """½‖A u - b‖² + ½ ε ‖u‖₁, as PyLops has it; strongly convex, so the objective bounds the distance."""
    eps = 0.4
    x = getattr(cls_sparsity, name)(A).solve(B, x0=ZERO, niter=400, eps=eps, alpha=1 / A.norm() ** 2, tol=0)[0]
    F = ip.L2(A, B) + eps / 2 * ip.L1()
    ours = ip.solve(ip.Problem(F), ip.FISTA(), stop=ip.stop.residual(1e-12) | ip.stop.niter(2000)).x
    mu = np.linalg.svd(M, compute_uv=False).min() ** 2
    excess = F.value(x) - F.value(ours)
    assert abs(excess) < 1e-8 * F.value(ours)
    assert np.linalg.norm(x.reshape(DIMS) - ours) ** 2 <= 2 / mu * (max(excess, 0.0) + 1e-12)


def test_our_operators_pass_their_dot_test() -> None:
    for op in (A, A.H, A.N, ip.as_operator(pylops.FirstDerivative(DIMS, axis=1)) @ ip.Identity(DIMS, "float64")):
        assert dottest(op, *op.shape, rtol=1e-12)


# ---------------------------------------------------------------- theirs in ours


def theirs() -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Operators of PyLops, and the shape of the image where they do not tell it."""
    h = np.outer([1, 2, 1], [1, 3, 1]) / 20.0
    rng = np.random.default_rng(2)
    return {
        "convolution": (pylops.signalprocessing.Convolve2D(DIMS, h, offset=(1, 1), dtype="float64"), DIMS),
        "matrix": (pylops.MatrixMult(rng.standard_normal((90, 72))), DIMS),
        "restriction": (pylops.Restriction(DIMS, np.array([0, 2, 3, 6]), axis=1, dtype="float64"), DIMS),
        "second derivative": (pylops.SecondDerivative(DIMS, axis=0, edge=True, dtype="float64"), DIMS),
        "shifted": (pylops.Roll(DIMS, axis=0, shift=2, dtype="float64"), DIMS),
    }


METHODS = {
    "cgls": lambda A, b, **o: ip.cgls(A, b, niter=6, **o)[0],
    "landweber": lambda A, b, **o: ip.landweber(A, b, niter=20, **o)[0],
    "tikhonov": lambda A, b, **o: ip.tikhonov(A, b, 0.1, tol=1e-12, **o)[0],
    "tv": lambda A, b, **o: ip.tv(A, b, 0.1, niter=100, **o)[0],
}


@pytest.mark.filterwarnings("ignore:.*ended by niter")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", theirs())
def test_their_operators_in_our_methods(name: str, method: str) -> None:
    """What their operator leads to, its matrix leads to."""
    op, shape = theirs()[name]
    dense = op.todense()
    b = dense @ X.ravel()
    A = ip.as_operator(op, shape=shape)
    x = METHODS[method](A, b.reshape(A.dimsd))
    assert x.shape == DIMS and x.dtype == np.float64
    assert np.allclose(x, METHODS[method](dense, b, shape=DIMS), rtol=1e-7, atol=1e-7)


def test_ours_after_theirs_and_theirs_after_ours() -> None:
    C, D = theirs()["convolution"][0], ip.Gradient(DIMS, dtype="float64")
    assert np.allclose((D @ C) @ X, D.apply((C @ X).reshape(DIMS)))
    S = pylops.Diagonal(np.arange(144.0))
    assert np.allclose((ip.as_operator(S) @ D) @ X.ravel(), np.arange(144.0) * D.apply(X).ravel())
    assert np.allclose((S * D) @ X.ravel(), np.arange(144.0) * D.apply(X).ravel())
