"""Our operators in scipy.sparse.linalg and scipy.optimize, and SciPy's operators in our methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.optimize
import scipy.sparse.linalg as spla

import ipbox as ip

DIMS = (9, 8)
RNG = np.random.default_rng(0)
X = RNG.standard_normal(DIMS)
MASK = RNG.random(DIMS) < 0.7


def spectrum(u: np.ndarray) -> np.ndarray:
    return scipy.fft.fft2(u, norm="ortho")


def of_spectrum(v: np.ndarray) -> np.ndarray:
    """The adjoint in Re⟨·,·⟩, of real images."""
    return scipy.fft.ifft2(v, norm="ortho").real


def operators(double: bool) -> dict[str, ip.operators.Operator]:
    real, cplx = ("float64", "complex128") if double else ("float32", "complex64")
    return {
        "ray transform": ip.RayTransform(DIMS, np.arange(20) * np.pi / 20, dtype=real),
        "gradient and image": ip.VStack([ip.Gradient(DIMS, dtype=real), ip.Identity(DIMS, real)]),
        "complex image": ip.CartesianMRI(np.ones(DIMS, bool), dtype=cplx),
        "real image, complex data": ip.operator(spectrum, of_spectrum, DIMS, DIMS, real, cplx),
    }


def image(A: Any) -> np.ndarray:
    return (X + (1j * X[::-1] if A.dtype_in.kind == "c" else 0)).astype(A.dtype_in)


NAMES = pytest.mark.parametrize("name", operators(True))


@NAMES
@pytest.mark.parametrize("double", [True, False])
def test_an_operator_is_one_of_scipys(name: str, double: bool) -> None:
    """Flat vectors, ⟨A u, v⟩ = ⟨u, A* v⟩ through SciPy's hands, in the operator's own precision."""
    A = operators(double)[name]
    S = spla.aslinearoperator(A)
    u = image(A)
    v = A.apply(u[::-1].copy())
    assert S.shape == A.shape and np.array_equal(S.matvec(u.ravel()), A.apply(u).ravel())
    assert S.rmatvec(v.ravel()).dtype == A.dtype_in
    left, right = np.vdot(S.matvec(u.ravel()), v).real, np.vdot(u, S.rmatvec(v.ravel())).real
    assert abs(left - right) <= (1e-12 if double else 1e-5) * abs(left)


@NAMES
@pytest.mark.parametrize("solver", ["lsqr", "lsmr"])
def test_their_least_squares_are_ours(name: str, solver: str) -> None:
    """From consistent data of a full column rank both find the image; a real image stays real with complex data."""
    A = operators(True)[name]
    b = A.apply(image(A))
    given = b.copy()
    limits = dict(atol=1e-14, btol=1e-14, conlim=0)
    limits |= {"iter_lim" if solver == "lsqr" else "maxiter": 2000}
    theirs = getattr(spla, solver)(A, b.ravel(), **limits)[0].reshape(DIMS)
    ours = ip.cgls(A, b, niter=400)[0]
    assert np.array_equal(b, given) and (A.dtype_in.kind == "c" or not np.any(theirs.imag))
    assert np.linalg.norm(theirs - image(A)) < 1e-8 * np.linalg.norm(X)
    assert np.linalg.norm(ours - image(A)) < 1e-8 * np.linalg.norm(X)


@pytest.mark.parametrize("solver", ["cg", "minres", "gmres", "bicgstab"])
def test_their_solvers_of_square_systems_take_our_normal_operator(solver: str) -> None:
    """(A*A + λ) u = A*b, against dense algebra and our Tikhonov regularisation."""
    A, lam = operators(True)["ray transform"], 2.0
    b = A.apply(X) + 0.1 * RNG.standard_normal(A.dimsd)
    H = A.N + lam * ip.Identity(DIMS, "float64")
    x, failed = getattr(spla, solver)(H, A.apply_adjoint(b).ravel(), rtol=1e-12, maxiter=500)
    M = A.todense()
    exact = np.linalg.solve(M.T @ M + lam * np.eye(72), M.T @ b.ravel())
    assert not failed and np.linalg.norm(x - exact) < 1e-9 * np.linalg.norm(exact)
    assert np.linalg.norm(ip.tikhonov(A, b, lam, tol=1e-13)[0].ravel() - exact) < 1e-9 * np.linalg.norm(exact)


def test_their_singular_values_are_our_norm() -> None:
    A = operators(True)["ray transform"]
    largest = spla.svds(A, k=1, return_singular_vectors=False, random_state=0)[0]
    assert largest <= A.norm() * (1 + 1e-12) and A.norm_kind == "bound" and A.norm() < 1.05 * largest
    assert abs(spla.eigsh(A.N, k=1, return_eigenvectors=False, v0=np.ones(72))[0] - largest**2) < 1e-9 * largest**2


def test_bounded_least_squares_of_scipy() -> None:
    """`lsq_linear`, an interior method, and our FISTA with a box.  scipy.optimize takes SciPy's operators alone."""
    A = operators(True)["gradient and image"]
    b = A.apply(X) + RNG.standard_normal(A.dimsd)
    S = spla.aslinearoperator(A)
    theirs = scipy.optimize.lsq_linear(S, b.ravel(), (0, 0.5), tol=1e-13, lsq_solver="lsmr", lsmr_tol=1e-14)
    problem = ip.Problem(ip.L2(A, b) + ip.Box(0, 0.5))
    ours = ip.solve(problem, ip.FISTA(), stop=ip.stop.residual(1e-13) | ip.stop.niter(3000)).x
    assert np.abs(theirs.x.reshape(DIMS) - ours).max() < 1e-6


MINIMISERS = {
    "L-BFGS-B": {"gtol": 1e-10, "ftol": 1e-15},
    "CG": {"gtol": 1e-8},
    "Newton-CG": {"xtol": 1e-12},
    "trust-ncg": {"gtol": 1e-8},
}


@pytest.mark.parametrize("method", MINIMISERS)
def test_our_smooth_functionals_in_scipys_minimize(method: str) -> None:
    """Value, gradient and Hessian of flat vectors.  F is 1-convex: ‖u - u*‖ <= ‖∇F(u)‖ for both."""
    F = ip.L2(b=X) + 0.5 * ip.SmoothedTV(DIMS, eps=0.1)
    hessian = {"hessp": F.hessian_apply} if method in ("Newton-CG", "trust-ncg") else {}
    options = {"maxiter": 2000, **MINIMISERS[method]}
    found = scipy.optimize.minimize(F.value_grad, np.zeros(72), jac=True, method=method, options=options, **hessian)
    ours = ip.solve(ip.Problem(F), ip.LBFGS(), stop=ip.stop.residual(1e-12) | ip.stop.niter(2000)).x
    x = found.x.reshape(DIMS)
    assert max(np.linalg.norm(F.grad(u)) for u in (x, ours)) < 1e-5
    assert np.linalg.norm(x - ours) <= np.linalg.norm(F.grad(x)) + np.linalg.norm(F.grad(ours))


# ---------------------------------------------------------------- theirs in ours


def foreign() -> tuple[spla.LinearOperator, np.ndarray, np.ndarray]:
    """A SciPy operator of two functions, the matrix it has, and data."""
    M = np.abs(np.random.default_rng(1).standard_normal((80, 72)))
    S = spla.LinearOperator(M.shape, matvec=lambda u: M @ u, rmatvec=lambda v: M.T @ v, dtype=np.float64)
    return S, M, M @ np.abs(X).ravel()


METHODS = {
    "cgls": lambda A, b: ip.cgls(A, b, niter=8, shape=DIMS)[0],
    "lsqr": lambda A, b: ip.lsqr(A, b, niter=8, shape=DIMS)[0],
    "landweber": lambda A, b: ip.landweber(A, b, niter=50, shape=DIMS)[0],
    "tikhonov": lambda A, b: ip.tikhonov(A, b, 0.1, shape=DIMS)[0],
    "tv": lambda A, b: ip.tv(A, b, 0.1, shape=DIMS, tol=1e-6, niter=3000)[0],
    "fista": lambda A, b: (
        ip.solve(ip.Problem(ip.L2(A, b, shape=DIMS) + 0.1 * ip.L1()), ip.FISTA(), stop=ip.stop.niter(100)).x
    ),
}


@pytest.mark.filterwarnings("ignore:.*ended by niter")
@pytest.mark.parametrize("method", METHODS)
def test_their_operators_in_our_methods(method: str) -> None:
    """A SciPy operator does what its matrix does."""
    S, M, b = foreign()
    x = METHODS[method](S, b)
    assert x.shape == DIMS and np.allclose(x, METHODS[method](M, b), rtol=1e-8, atol=1e-8)


def test_products_and_sums_with_theirs() -> None:
    S, M, _ = foreign()
    D = ip.Gradient(DIMS, dtype="float64")
    both = ip.VStack([ip.as_operator(S, shape=DIMS), D])
    assert np.allclose(both @ X, np.concatenate([M @ X.ravel(), (D @ X).ravel()]))
    assert np.allclose((ip.as_operator(S) @ ip.as_operator(M.T)) @ M[:, 0], M @ (M.T @ M[:, 0]))
