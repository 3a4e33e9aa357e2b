"""PyProximal 0.13's solvers as classes (setup, step, run, solve) on our functionals, and its functionals in ours.

The problems, min F(u) = ½‖Au - b‖² + λ‖u‖₁ or + λ TV(u), are split as each solver wants them.  They are strongly
convex, so what a solver gives is as far from the minimiser as its objective says: μ/2 ‖u - u*‖² <= F(u) - F(u*),
μ = σ_min(A)².
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cvxpy as cp
import numpy as np
import pylops
import pyproximal
import pytest
from pylops.optimization.callback import Callbacks
from pyproximal.optimization import cls_primal as primal
from pyproximal.optimization import cls_primaldual as primaldual

import ipbox as ip

DIMS, LAM = (9, 8), 0.15
N = math.prod(DIMS)


def data(dtype: str = "float64") -> tuple[Any, np.ndarray]:
    """A blur that keeps all frequencies, and noisy data of a square."""
    A = 0.6 * ip.Identity(DIMS, dtype) + 0.4 * ip.GaussianBlur(DIMS, 0.6, dtype=dtype)
    x = np.zeros(DIMS, dtype)
    x[2:6, 3:7] = 1.0
    return A, A.apply(x) + 0.05 * np.random.default_rng(0).standard_normal(DIMS).astype(dtype)


A, B = data()
K = ip.Gradient(DIMS, dtype="float64")
D, L1, FIELD = ip.L2(A, B), LAM * ip.L1(), LAM * ip.L21()
SPARSE, SLOPES = D + L1, D + LAM * ip.TV(DIMS)
MU = float(np.linalg.svd(A.todense(), compute_uv=False).min()) ** 2


@pytest.fixture(scope="module")
def best() -> dict[Any, np.ndarray]:
    """Minimisers by an interior point method that shares no code with either package."""
    u = cp.Variable(N)
    slopes = cp.reshape(cp.Constant(K.todense()) @ u, (N, 2), order="F")  # K gives (2,) + DIMS, flattened
    found = {}
    for F, g in ((SPARSE, cp.norm1(u)), (SLOPES, cp.sum(cp.norm(slopes, 2, axis=1)))):
        objective = cp.Minimize(cp.sum_squares(A.todense() @ u - B.ravel()) / 2 + LAM * g)
        cp.Problem(objective).solve(cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
        found[F] = u.value.reshape(DIMS)
    return found


# PyProximal's data term, whose prox is ours to give: of least squares with our operator, by LSQR
DATA = pyproximal.L2(A, B.ravel(), niter=50, kwargs_solver=dict(atol=1e-13, btol=1e-13))
FACTORISED = pyproximal.L2(pylops.MatrixMult(A.todense()), B.ravel(), densesolver="factorize")
TAU = float(np.float32(0.99 / D.L))  # PyProximal keeps step sizes in single precision
SIGMA, START = 0.9 / K.norm() ** 2, np.zeros(N)
SOLVERS: dict[str, tuple[Any, Callable[[], Any]]] = {
    "ProximalGradient": (SPARSE, lambda: primal.ProximalGradient().solve(D, L1, START, tau=TAU, niter=60)),
    "ProximalGradient, FISTA": (
        SPARSE,
        lambda: primal.ProximalGradient().solve(D, L1, START, tau=TAU, niter=80, acceleration="fista"),
    ),
    "ProximalGradient, backtracking": (SPARSE, lambda: primal.ProximalGradient().solve(D, L1, START, niter=60)),
    "AndersonProximalGradient": (
        SPARSE,
        lambda: primal.AndersonProximalGradient().solve(D, L1, START, tau=TAU, niter=40),
    ),
    "GeneralizedProximalGradient": (
        SPARSE,
        lambda: primal.GeneralizedProximalGradient().solve([D], [L1], START, tau=TAU, niter=60),
    ),
    "ADMM": (SPARSE, lambda: primal.ADMM().solve(DATA, L1, START, tau=1.0, niter=60)),
    "TwIST": (SPARSE, lambda: primal.TwIST().solve(L1, A, B.ravel(), START, niter=60, eigs=(MU, D.L))),
    "DouglasRachfordSplitting": (
        SPARSE,
        lambda: primal.DouglasRachfordSplitting().solve(DATA, L1, START, tau=1.0, niter=60),
    ),
    "PPXA": (SPARSE, lambda: primal.PPXA().solve([DATA, L1], START, tau=1.0, niter=100)),
    "ConsensusADMM": (SPARSE, lambda: primal.ConsensusADMM().solve([DATA, L1], START, tau=1.0, niter=100)[1:]),
    "ProximalGradient, TV": (
        SLOPES,
        lambda: primal.ProximalGradient().solve(D, LAM * ip.TV(DIMS), START, tau=TAU, niter=30),
    ),
    "ADMML2": (
        SLOPES,
        lambda: primal.ADMML2().solve(
            FIELD, A, B.ravel(), K, START, tau=0.3, niter=250, iter_lim=25, atol=1e-12, btol=1e-12
        ),
    ),
    "LinearizedADMM": (
        SLOPES,
        lambda: primal.LinearizedADMM().solve(FACTORISED, FIELD, K, START, tau=1.0, mu=SIGMA, niter=1500),
    ),
    "PrimalDual": (
        SLOPES,
        lambda: primaldual.PrimalDual().solve(FACTORISED, FIELD, K, START, tau=0.1, mu=SIGMA / 0.1, niter=1500),
    ),
    "AdaptivePrimalDual": (
        SLOPES,
        lambda: primaldual.AdaptivePrimalDual().solve(FACTORISED, FIELD, K, START, tau=1.0, mu=SIGMA, niter=1500),
    ),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_each_of_their_solvers_finds_the_minimiser(name: str, best: dict[Any, np.ndarray]) -> None:
    F, solve = SOLVERS[name]
    x = solve()[0].reshape(DIMS)
    excess = F.value(x) - F.value(best[F])
    assert excess <= 1e-8 * F.value(best[F])
    assert np.linalg.norm(x - best[F]) ** 2 <= 2 / MU * (max(excess, 0.0) + 1e-9)  # 1e-9: of the interior point method
    assert not START.any()


def test_every_solver_that_is_a_class_is_tried() -> None:
    tried = {name.partition(",")[0] for name in SOLVERS} | {"ProximalPoint", "HQS"}  # these two: below
    theirs = [c for room in (primal, primaldual) for c in vars(room).values() if isinstance(c, type)]
    assert {c.__name__ for c in theirs if c.__module__.startswith("pyproximal.optimization.cls")} == tried


def test_half_quadratic_splitting_has_the_fixed_point_of_its_penalty() -> None:
    """min D(u) + g(z) + ‖u - z‖²/(2τ) over u, for D = ½‖u - b‖²: z minimises ½‖z - b‖² + (1 + τ) g(z)."""
    b, tau = B.ravel(), 0.75  # exact in single precision
    z = primal.HQS().solve(ip.L2(b=b), L1, START, tau=tau, niter=200)[1]
    assert np.allclose(z, ((1 + tau) * L1).prox(b, 1.0), rtol=0, atol=1e-12)


def test_the_proximal_point_method_finds_a_zero_of_the_subdifferential() -> None:
    """Of ½‖u - b‖² within bounds, one functional of ours with a prox."""
    g = ip.L2(b=B).merge(ip.Box(0.2, 0.8))
    x = primal.ProximalPoint().solve(g, B.ravel(), tau=1.0, niter=60)[0]
    assert np.allclose(x, B.ravel().clip(0.2, 0.8), rtol=0, atol=1e-12)


def test_steps_of_theirs_are_steps_of_ours() -> None:
    """u ← prox_{τg}(u - τ∇D(u)), one by one: the iterates agree to rounding, and `solve` is a loop of `step`."""
    theirs, seen = primal.ProximalGradient(), []
    x, y = theirs.setup(D, L1, START, tau=TAU)
    ours = ip.solve(
        ip.Problem(SPARSE),
        ip.ForwardBackward(tau=TAU),
        x0=np.zeros(DIMS),
        stop=ip.stop.niter(20),
        callbacks=[lambda run: seen.append(run.x.copy())],
    )
    for u in seen[1:]:  # the first is where it starts
        x, y = theirs.step(x, y)
        assert np.allclose(x.reshape(DIMS), u, rtol=0, atol=1e-13)
    assert len(seen) == 21 and np.array_equal(seen[-1], ours.x)
    assert np.array_equal(x, primal.ProximalGradient().solve(D, L1, START, tau=TAU, niter=20)[0])


def test_their_callbacks_see_our_objective() -> None:
    class Objective(Callbacks):
        def __init__(self) -> None:
            self.values = [SPARSE.value(START)]

        def on_step_end(self, solver: Any, x: np.ndarray) -> None:
            self.values.append(SPARSE.value(x))

    seen = Objective()
    primal.ProximalGradient(callbacks=[seen]).solve(D, L1, START, tau=TAU, niter=15)
    assert len(seen.values) == 16 and (np.diff(seen.values) <= 0).all()  # τ = 1/L: each step descends


@pytest.mark.parametrize("name", ["ProximalGradient", "PrimalDual"])
def test_single_precision_is_kept_and_nothing_is_changed(name: str) -> None:
    (A32, b), x0 = data("float32"), np.zeros(N, "float32")
    given, D32, K32 = b.copy(), ip.L2(A32, b), ip.Gradient(DIMS)

    def solve(D: Any, K: Any, x0: np.ndarray) -> np.ndarray:
        if name == "ProximalGradient":
            return primal.ProximalGradient().solve(D, L1, x0, tau=TAU, niter=60)[0]
        return primaldual.PrimalDual().solve(ip.L2(b=D.b), FIELD, K, x0, tau=0.3, mu=3 * SIGMA, niter=150)[0]

    x = solve(D32, K32, x0)
    assert x.dtype == np.float32 and np.array_equal(b, given) and not x0.any()
    double = solve(ip.L2(A, given.astype("float64")), K, START)
    assert np.abs(x - double).max() < 2e-5 and double.dtype == np.float64


# ---------------------------------------------------------------- theirs in ours


SAME: dict[str, tuple[Any, Any]] = {
    "L1": (pyproximal.L1(sigma=LAM), LAM * ip.L1()),
    "L1 from g": (pyproximal.L1(sigma=LAM, g=B.ravel()), LAM * ip.L1Data(None, B)),
    "L2": (pyproximal.L2(sigma=LAM), LAM * ip.L2()),
    "L2 from b": (pyproximal.L2(b=B.ravel(), sigma=LAM), LAM * ip.L2(b=B)),
    "box": (pyproximal.Box(0.1, 0.7), ip.Box(0.1, 0.7)),
    "ball": (pyproximal.EuclideanBall(np.zeros(N), 2.0), ip.L2Ball(DIMS, 2.0)),
    "simplex": (pyproximal.Simplex(N, 3.0, engine="numpy", maxiter=200, ftol=1e-14, xtol=1e-14), ip.Simplex(DIMS, 3.0)),
    "nuclear norm": (pyproximal.Nuclear(DIMS, LAM), LAM * ip.NuclearNorm(DIMS)),
    "TV": (pyproximal.TV(DIMS, LAM, niter=1000, rtol=0.0), LAM * ip.TV(DIMS)),
}


@pytest.mark.parametrize("name", SAME)
def test_their_functionals_lead_our_solver_to_the_same_image(name: str) -> None:
    """By the same steps: a prox that is off shows in each.  TV's is an inner iteration on both sides."""
    theirs, ours = SAME[name]
    stop = ip.stop.niter(3 if name == "TV" else 30)
    found = [
        ip.solve(ip.Problem(D + g, roles={0: "smooth", 1: "prox"}), ip.ForwardBackward(tau=TAU), stop=stop).x
        for g in (theirs, ours)
    ]
    assert found[0].dtype == np.float64 and found[0].shape == DIMS
    assert np.allclose(*found, rtol=0, atol=1e-5 if name == "TV" else 1e-9)


@pytest.mark.parametrize("solver", [ip.PDHG(), ip.ADMM(), ip.LinearisedADMM(), ip.CondatVu()], ids=repr)
def test_their_l21_of_our_gradient(solver: Any) -> None:
    """The same steps as with our L21, in every solver that has dual terms."""
    theirs = ip.as_functional(pyproximal.L21(ndim=2, sigma=LAM))
    found = [ip.solve(ip.Problem(D + g @ K), solver, stop=ip.stop.niter(150)).x for g in (theirs, FIELD)]
    assert np.abs(found[0] - B).max() > 0.1 and np.allclose(*found, rtol=0, atol=1e-10)
