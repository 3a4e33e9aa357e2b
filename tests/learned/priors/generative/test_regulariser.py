"""inf_z F(u/s, z) + S(z) as a functional: closed forms for linear decoders, differences for curved ones."""

from __future__ import annotations

import numpy as np
import pytest

import ipbox as ip
from ipbox.learned.priors.generative import (
    CovariancePrior,
    GenerativeRegulariser,
    RangePrior,
    SoftRange,
    SparseDeviations,
)
from tests.learned.priors.generative.linear import DIMS, LATENT, Linear, dense

EXACT = {"accuracy": 1e-10, "restarts": 1}
KINDS = (SoftRange, RangePrior, SparseDeviations, CovariancePrior)


def schur(mu: float, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """P and m with R(u) = ½(u - m)ᵀP(u - m)/s² + const: W eliminated from ½‖u/s - Wz - c‖² + μ/2 ‖z‖²."""
    W, c, _ = dense(Linear())
    return (np.eye(20) - W @ np.linalg.solve(W.T @ W + mu * np.eye(LATENT), W.T)) / scale**2, scale * c


@pytest.mark.parametrize(("kind", "mu"), [(SoftRange, 0.7), (RangePrior, 0.0)])
def test_value_gradient_and_prox_of_a_linear_decoder(kind: type, mu: float, rng: np.random.Generator) -> None:
    """With μ = 0 R is ½ dist²(u/s, range), and ∇R its residual."""
    P, m = schur(mu, 3.0)
    f = 0.5 * GenerativeRegulariser(kind(Linear(), scale=3.0, mu=mu), **EXACT)
    u = 3.0 * rng.standard_normal(DIMS)
    d = u.ravel() - m
    assert f.value(u) == pytest.approx(0.25 * d @ P @ d, rel=1e-9)
    np.testing.assert_allclose(f.grad(u).ravel(), 0.5 * P @ d, atol=1e-8)
    exact = np.linalg.solve(np.eye(20) + 2.0 * P, u.ravel() + 2.0 * P @ m)
    np.testing.assert_allclose(f.prox(u, 4.0).ravel(), exact, atol=1e-8)
    assert f.L == pytest.approx(0.5 / 9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_gradient_against_differences(kind: type, scale: float, rng: np.random.Generator) -> None:
    f = GenerativeRegulariser(kind(Linear(curved=0.4), scale=scale), **EXACT, delta=0.3)
    u, h = scale * rng.standard_normal(DIMS), 1e-5 * scale
    work: dict = {}
    value, g = f.value_grad(u, work=work)
    assert value == pytest.approx(f.value(u), rel=1e-12) and work.keys() == {"z"}
    for _ in range(3):
        d = rng.standard_normal(DIMS)
        slope = (f.value(u + h * d) - f.value(u - h * d)) / (2 * h)
        assert np.sum(g * d) == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("kind", [SoftRange, SparseDeviations])
def test_it_lies_below_its_quadratic_models(kind: type, rng: np.random.Generator) -> None:
    """So that steps 1/L decrease: R(u + d) <= R(u) + <∇R(u), d> + L/2 ‖d‖², however curved the decoder is."""
    f = GenerativeRegulariser(kind(Linear(curved=1.5), mu=0.1), delta=0.5, accuracy=1e-8, restarts=8)
    for size in (0.1, 1.0, 3.0):
        u, d = rng.standard_normal(DIMS), size * rng.standard_normal(DIMS)
        value, g = f.value_grad(u)
        assert f.value(u + d) <= value + np.sum(g * d) + 0.5 * f.L * np.sum(d * d) + 1e-9


def test_hubers_function_is_near_the_modulus(rng: np.random.Generator) -> None:
    """0 <= ‖v‖₁ - Σ h_δ(v) <= nδ/2, and so of the infima."""
    import scipy.optimize

    W, c, _ = dense(Linear())
    u, delta = rng.standard_normal(DIMS), 1e-2
    f = GenerativeRegulariser(SparseDeviations(Linear(), mu=0.0), delta=delta, accuracy=1e-6, restarts=1, niter=2000)
    n, A = 20, np.block([[-W, -np.eye(20)], [W, -np.eye(20)]])  # min Σ t: |u - Wz - c| <= t
    b, cost = np.concatenate([-(u.ravel() - c), u.ravel() - c]), np.concatenate([np.zeros(LATENT), np.ones(20)])
    exact = scipy.optimize.linprog(cost, A, b, bounds=[(None, None)] * (LATENT + n)).fun
    assert exact - n * delta / 2 - 1e-6 <= f.value(u) <= exact + 1e-6


def test_classical_solvers_find_the_joint_minimum(rng: np.random.Generator) -> None:
    """L-BFGS, forward-backward and FISTA on ½‖Au - b‖² + λR(u) come to where `generative` comes."""
    M, b = np.eye(20) + 0.1 * rng.standard_normal((20, 20)), rng.standard_normal(20)
    A, lam, model = ip.as_operator(M, shape=DIMS), 2.0, Linear(curved=0.2)
    x, info = ip.generative(A, b, model, prior="soft", lam=lam, restarts=1, accuracy=1e-12, tol=1e-9)
    R = GenerativeRegulariser(SoftRange(model), accuracy=1e-7, restarts=1)
    problem = ip.Problem(ip.L2(A, b) + lam * R)
    assert problem.objective(x) == pytest.approx(info.extra["objectives"][0], rel=1e-8)
    for solver in (ip.LBFGS(), ip.FISTA(restart="gradient"), ip.ForwardBackward(tau=0.3)):
        run = ip.solve(problem, solver, stop=ip.stop.residual(1e-6, every=1) | ip.stop.niter(300))
        np.testing.assert_allclose(run.x, x, atol=1e-4)
        assert "convex" in solver.is_provably_convergent(problem).reason
    y, run = ip.variational(A, b, R, lam, tol=1e-6)
    assert isinstance(run.solver, ip.LBFGS)
    np.testing.assert_allclose(y, x, atol=1e-4)


def test_goes_on_bit_for_bit_and_keeps_one_vector(rng: np.random.Generator, tmp_path) -> None:
    b = rng.standard_normal((3, *DIMS))
    R = GenerativeRegulariser(SoftRange(Linear(curved=0.5)), restarts=3)
    problem = ip.Problem(ip.L2(b=b) + 2.0 * R, batch=3)
    whole = ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(9))
    part = ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(4))
    part.state.save(tmp_path / "s.npz")
    again = ip.solve(problem, ip.FISTA(), state=tmp_path / "s.npz", stop=ip.stop.niter(5))
    assert again.x.tobytes() == whole.x.tobytes()
    assert [a.shape for path, a in whole.state.arrays().items() if path.endswith("/z")] == [(3, LATENT)]
    for i in range(3):
        alone = ip.solve(ip.Problem(ip.L2(b=b[i]) + 2.0 * R), ip.FISTA(), stop=ip.stop.niter(9))
        np.testing.assert_allclose(whole.x[i], alone.x, atol=1e-6)


def test_the_latent_vector_is_the_best_of_the_starts(rng: np.random.Generator) -> None:
    model = Linear(curved=2.5)
    u = rng.standard_normal((2, *DIMS))
    z0 = rng.standard_normal((6, LATENT))
    f = GenerativeRegulariser(SoftRange(model), z0=z0, accuracy=1e-8)
    alone = [GenerativeRegulariser(SoftRange(model), z0=z, accuracy=1e-8).value(u, batch=True) for z in z0]
    np.testing.assert_allclose(f.value(u, batch=True), np.min(alone, axis=0), rtol=1e-9)
    assert f.latent(u).shape == (2, LATENT) and f.latent(u[0]).shape == (LATENT,)


def test_bad_input() -> None:
    R = GenerativeRegulariser(SparseDeviations(Linear()))
    for call, error, text in (
        (lambda: GenerativeRegulariser(Linear()), TypeError, "^prior is "),
        (lambda: GenerativeRegulariser(SoftRange(Linear()), delta=0.0), ValueError, "^delta is 0"),
        (lambda: GenerativeRegulariser(SoftRange(Linear()), z0=np.zeros(4)), ValueError, "^z0 has shape"),
        (lambda: R.value(np.zeros((4, 4))), ValueError, r"expects \(5, 4\)"),
        (lambda: R.value(np.zeros(DIMS, complex)), TypeError, "real image"),
        (lambda: R.value(np.zeros(DIMS, "f")), TypeError, "expected one dtype"),
        (lambda: R.prox(np.zeros(DIMS), 1.0), TypeError, "has no prox"),
    ):
        with pytest.raises(error, match=text) as caught:
            call()
        assert "\n" not in str(caught.value)
    with pytest.warns(RuntimeWarning, match="stopped after niter=1"):
        GenerativeRegulariser(SoftRange(Linear(curved=0.5)), niter=1, accuracy=1e-9).value(np.ones(DIMS))
