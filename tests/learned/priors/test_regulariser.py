"""Learned regularisers in solvers: same minimisers, certificates, moduli, scales; a user's own network; bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import ipbox as ip
from ipbox.learned.networks import ConvexRidge, InputConvex, LipschitzCritic, WeaklyConvexRidge
from ipbox.learned.priors import NETT, LearnedRegulariser
from ipbox.learned.weights.modules import save_weights

DIMS = (12, 11)


def seeded(make, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().to(dtype)


def ridge(**options) -> LearnedRegulariser:
    return LearnedRegulariser(seeded(lambda: ConvexRidge((2,), 3, knots=9, span=0.3)), dims=DIMS, **options)


def weak(**options) -> LearnedRegulariser:
    """A weakly convex ridge: profiles with slopes of -1 after the first interval."""
    R = seeded(lambda: WeaklyConvexRidge((2,), 3, knots=9, span=0.6))
    with torch.no_grad():
        R.raw.fill_(-2.0)
        R.raw[:, 0] = 3.0
    return LearnedRegulariser(R, dims=DIMS, **options)


def icnn(**options) -> LearnedRegulariser:
    return LearnedRegulariser(seeded(lambda: InputConvex(3, 2, 3, 2, eps=0.5, nu=0.2)), dims=DIMS, **options)


def problem(dims: tuple[int, int] = DIMS, noise: float = 0.1, seed: int = 0):
    """A blurred square with noise."""
    x = np.zeros(dims)
    x[3:8, 4:9] = 1.0
    A = ip.GaussianBlur(dims, 0.5, dtype="float64")
    n = np.random.default_rng(seed).standard_normal(dims)
    return A, A.apply(x) + noise * n, x


# ---------------------------------------------------------------- in solvers


@pytest.mark.parametrize("make", [ridge, icnn])
def test_solvers_agree_on_the_minimiser(make):
    A, b, _ = problem()
    R = make(accuracy=1e-6)
    objective = ip.L2(A, b) + 0.2 * R
    exact = ip.solve(ip.Problem(objective), ip.LBFGS(), stop=ip.stop.residual(1e-9) | ip.stop.niter(2000)).x
    smooth, proximal = ip.Problem(objective), ip.Problem(objective, roles={1: "prox"})
    for solver, stated in (
        (ip.FISTA(backtracking=True, restart="gradient"), smooth),
        (ip.FISTA(restart="gradient"), proximal),
        (ip.AdaptivePDHG(), ip.Problem(objective)),
        (ip.ADMM(), proximal),
    ):
        run = ip.solve(stated, solver, x0=b, stop=ip.stop.relative_change(1e-5) | ip.stop.niter(200))
        assert np.linalg.norm(run.x - exact) <= 2e-3 * np.linalg.norm(exact), type(solver).__name__


@pytest.mark.parametrize("make", [ridge, icnn])
def test_two_starts_agree_and_the_objective_decreases(make):
    A, b, _ = problem()
    p = ip.Problem(ip.L2(A, b) + 0.2 * make())
    ends = []
    for start in (np.zeros(DIMS), 5 * np.random.default_rng(1).standard_normal(DIMS)):
        values: list[float] = []
        ip.solve(
            p,
            ip.ForwardBackward(),
            x0=start,
            stop=ip.stop.niter(100),
            callbacks=[lambda run, values=values: values.append(p.objective(run.x))],
        )
        assert (np.diff(values) <= 1e-12 * abs(values[0])).all()
        assert ip.ForwardBackward().is_provably_convergent(p)
        end = ip.solve(p, ip.LBFGS(), x0=start, stop=ip.stop.residual(1e-8) | ip.stop.niter(2000))
        ends.append(end.x)
    assert np.linalg.norm(ends[0] - ends[1]) <= 1e-3 * np.linalg.norm(ends[1])


def test_denoising_with_a_weakly_convex_regulariser_is_convex():
    b, R = problem()[1], weak()
    assert 0.5 < R.weak_convexity <= 1.0 and not R.is_convex and not R.has_prox
    p = ip.Problem(ip.L2(b=b) + 0.9 * R)
    assert ip.FISTA().is_provably_convergent(p) and ip.Problem(ip.L2(b=b) + 0.9 * R).objective(b) > 0
    assert not ip.FISTA().is_provably_convergent(ip.Problem(ip.L2(b=b) + 4 * R))
    runs = [
        ip.solve(p, ip.FISTA(), x0=x0, stop=ip.stop.residual(1e-8) | ip.stop.niter(3000))
        for x0 in (0 * b, 3 * np.random.default_rng(2).standard_normal(DIMS))
    ]
    assert np.linalg.norm(runs[0].x - runs[1].x) <= 1e-4 * np.linalg.norm(b)
    assert runs[0].certificate is not None and np.linalg.norm(runs[0].x - runs[1].x) <= 2 * runs[0].certificate.bound


@pytest.mark.parametrize(("make", "solver"), [(ridge, "FISTA"), (weak, "LBFGS")])
def test_variational_chooses_methods_by_gradients(make, solver):
    A, b, _ = problem()
    R = make()
    objective = ip.L2(A, b) + 0.1 * R
    u, info = ip.variational(A, b, R, 0.1)
    assert type(info.solver).__name__ == solver
    assert np.linalg.norm(objective.grad(u)) < 5e-3 * np.linalg.norm(objective.grad(0 * u))
    v, info = ip.variational(A, b, R, 0.1, nonneg=True)
    constrained = ("FISTA", "ForwardBackward") if solver == "FISTA" else ("NonMonotoneAPG",)
    assert v.min() >= 0 and type(info.solver).__name__ in constrained
    assert objective.value(v) <= objective.value(np.maximum(u, 0))


@pytest.mark.parametrize("make", [ridge, weak])
def test_the_discrepancy_principle_chooses_the_weight(make):
    A, b, _ = problem()
    level = 0.1 * np.sqrt(b.size)
    u, info = ip.variational(A, b, make(), "discrepancy", level)
    assert abs(np.linalg.norm(A.apply(u) - b) / level - 1) < 0.05 and info.extra["lam"] > 0


# ---------------------------------------------------------------- prox


@pytest.mark.parametrize(("make", "tau"), [(ridge, 2.0), (icnn, 2.0), (weak, 0.9)])
def test_prox_against_scipy_and_its_certificate(make, tau):
    R, z, work = make(accuracy=1e-7), problem()[1], {}
    p = R.prox(z, tau, work=work)

    def h(v):
        value, g = R.value_grad(v.reshape(DIMS))
        d = v - z.ravel()
        return tau * value + 0.5 * d @ d, tau * g.ravel() + d

    exact = minimize(h, z.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-11})
    error = np.linalg.norm(p.ravel() - exact.x)
    assert error <= work["bound"][0] + 1e-9 and work["bound"][0] <= 1e-6 * np.linalg.norm(z)


def test_prox_of_a_weakly_convex_regulariser_where_there_is_one():
    R, z = weak(), problem()[1]
    with pytest.raises(ValueError, match=r"^tau times the weight is 2, and WeaklyConvexRidge is .*weakly convex"):
        (2 * R).prox(z, 1.0)
    with pytest.raises(TypeError, match="is not convex"):
        R.prox_conj(z, 1.0)
    critic = LearnedRegulariser(seeded(lambda: LipschitzCritic((2,), (1,), 3)), dims=DIMS)
    assert critic.prox(z, 0.5 / critic.weak_convexity).shape == DIMS


def test_warm_starts_save_iterations(monkeypatch):
    R, z, calls = ridge(accuracy=1e-6), problem()[1], []
    gradient = LearnedRegulariser._grad
    monkeypatch.setattr(LearnedRegulariser, "_grad", lambda *a: (calls.append(1), gradient(*a))[1])
    work = {}
    R.prox(z, 1.0, work=work)
    cold = len(calls)
    R.prox(z + 1e-5, 1.0, work=work)
    assert len(calls) - cold < cold / 2


def test_a_prox_that_stops_early_says_so():
    R, z = ridge(accuracy=1e-12, niter=2), problem()[1]
    with pytest.warns(RuntimeWarning, match="prox stopped after niter=2 with a certified error"):
        R.prox(z, 5.0)


# ---------------------------------------------------------------- constants, scale


@pytest.mark.parametrize("make", [ridge, weak, icnn])
def test_scale_moves_the_regulariser_and_no_constant(make):
    R, S, u = make(), make(scale=3.0), problem()[1]
    assert S.value(3 * u) == pytest.approx(9 * R.value(u), rel=1e-12)
    np.testing.assert_allclose(S.grad(3 * u), 3 * R.grad(u), rtol=1e-10, atol=1e-12)
    assert (S.L, S.mu, S.weak_convexity) == (R.L, R.mu, R.weak_convexity)
    assert S.formula() == "3²·R(u/3)" and R.formula() == "R(u)"


def test_weights_are_those_of_the_time_it_was_made():
    net = seeded(lambda: ConvexRidge((2,), 3))
    R, u = LearnedRegulariser(net, dims=DIMS), problem()[1]
    before = R.value(u)
    with torch.no_grad():
        net.raw += 1.0
    assert R.value(u) == before and all(p.requires_grad for p in net.parameters())


def test_complex_images_have_both_parts():
    R = LearnedRegulariser(seeded(lambda: ConvexRidge((2,), 3)), channels="separate")
    u, v = np.random.default_rng(0).standard_normal((2, *DIMS))
    assert R.value(u + 1j * v) == pytest.approx(ridge_value(u) + ridge_value(v))


def ridge_value(u: np.ndarray) -> float:
    return LearnedRegulariser(seeded(lambda: ConvexRidge((2,), 3))).value(u)


# ---------------------------------------------------------------- a network of one's own


class Own(torch.nn.Module):
    """Σ (|∂u|² + ε)^½ of a convolution that learned nothing yet; concave where asked to be."""

    def __init__(self, sign: float = 1.0) -> None:
        super().__init__()
        self.conv, self.sign = torch.nn.Conv2d(1, 2, 3, padding=1, bias=False), sign

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return self.sign * (self.conv(u).square() + 0.01).sqrt().sum((1, 2, 3))


def test_a_network_of_ones_own_in_ten_lines():
    A, b, _ = problem()
    R = ip.LearnedRegulariser(seeded(Own))  # any module that gives a number for each image
    u, info = ip.variational(A, b, R, 0.02)
    g = (ip.L2(A, b) + 0.02 * R).grad(u)
    assert np.linalg.norm(g) < 5e-3 * np.linalg.norm(A.apply_adjoint(b)) and type(info.solver).__name__ == "LBFGS"
    assert not info.solver.is_provably_convergent(ip.Problem(ip.L2(A, b) + 0.02 * R))  # nothing is known of it
    known = ip.LearnedRegulariser(seeded(Own), convex=True, L=1e3, dims=DIMS)
    assert ip.FISTA().is_provably_convergent(ip.Problem(ip.L2(A, b) + known)) and known.has_prox


class Bumps(torch.nn.Module):
    """Convex but for small images."""

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return (u.square() + (3 * u).cos()).sum((1, 2, 3))


@pytest.mark.parametrize("net", [lambda: Own(-1.0), Bumps])
def test_what_is_not_convex_is_refused_as_convex(net):
    with pytest.raises(ValueError, match=r"^convex is True, and \w+ is .* where the chord is .*; expected a convex"):
        LearnedRegulariser(seeded(net), convex=True, dims=DIMS)


def test_network_tikhonov():
    A, b, x = problem()
    smooth = seeded(lambda: torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate", bias=False))
    torch.nn.init.constant_(smooth.weight, 1 / 9)
    for R in (NETT(smooth), NETT(seeded(lambda: torch.nn.Conv2d(1, 3, 3, padding=1, bias=False)), p=1.5)):
        d, h, u = np.random.default_rng(0).standard_normal(DIMS), 1e-6, b
        slope = (R.value(u + h * d) - R.value(u - h * d)) / (2 * h)
        assert (R.grad(u) * d).sum() == pytest.approx(slope, rel=1e-5)
    R = NETT(smooth)
    u, info = ip.variational(A, b, R, 1.0)
    assert R(u) < R(b) and type(info.solver).__name__ == "LBFGS"


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: LearnedRegulariser(ConvexRidge((2,), 3), convex=True), ValueError, "^convex is True, and ConvexRidge"),
        (lambda: LearnedRegulariser(ConvexRidge((2,), 3), L=1.0), ValueError, "^L is 1.0, and ConvexRidge knows"),
        (lambda: LearnedRegulariser(lambda u: u), TypeError, "^module is"),
        (lambda: LearnedRegulariser(Own(), convex=True), ValueError, "^convex is True and dims is None"),
        (lambda: LearnedRegulariser(Own(), weak_convexity=-1.0), ValueError, "^weak_convexity is -1"),
        (lambda: ridge(scale=0.0), ValueError, "^scale is 0"),
        (lambda: ridge(accuracy=-1.0), ValueError, "^accuracy is -1"),
        (lambda: ridge(niter=0), ValueError, "^niter is 0"),
        (lambda: NETT(lambda u: u), TypeError, "^net is"),
        (lambda: NETT(torch.nn.Identity(), p=1.0), ValueError, "^p is 1.0; expected"),
        (lambda: NETT(torch.nn.Conv2d(1, 2, 3)).value(np.ones((5, 5), "float32")), ValueError, "gave shape"),
        (lambda: ridge().value(np.ones((5, 5))), ValueError, r"^x has shape \(5, 5\)"),
        (lambda: ridge().value(np.ones(DIMS, "float32")), TypeError, "has .* in torch.float64, the image is"),
    ],
)
def test_bad_input(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize("cut", [torch.Tensor.detach, lambda e: torch.zeros(len(e))])
def test_numbers_without_a_gradient_are_refused(cut):
    class Cut(torch.nn.Module):
        def forward(self, u):
            return cut(u.sum((1, 2, 3)))

    with pytest.raises(ValueError, match="^Cut gave numbers without a gradient"):
        LearnedRegulariser(Cut()).grad(np.ones((3, 4), np.float32))
    with pytest.raises(TypeError, match="^convex is 'yes'"):
        LearnedRegulariser(Own(), convex="yes", dims=(3, 4))


def test_weights_of_another_architecture(tmp_path):
    save_weights(tmp_path / "icnn.safetensors", seeded(lambda: InputConvex(2, 2, 3, 2)), {})
    with pytest.raises(ValueError, match="does not fit ConvexRidge"):
        ip.learned.load_weights(tmp_path / "icnn.safetensors", ConvexRidge((2,), 3).double())
