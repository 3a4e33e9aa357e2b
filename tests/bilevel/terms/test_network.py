"""Networks that prove their constants as regularisers of the lower level: what is certified, learned and refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.bilevel import MAID, BilevelProblem, LowerLevel, NetworkTerm, TorchTerm, hypergradient, solve_lower
from ipbox.bilevel.methods.unrolled import unrolled_gradient
from ipbox.learned.networks import ConvexRidge, FieldsOfExperts, InputConvex, LipschitzCritic, WeaklyConvexRidge

DIMS = (7, 6)
NETWORKS = {  # with λ, and whether it is convex
    "CRR": (lambda: ConvexRidge((2, 4), kernel=3, knots=9, span=0.3), 0.8),
    "WCRR": (lambda: WeaklyConvexRidge((2, 4), kernel=3, knots=9, span=0.3), 0.8),
    "input-convex": (lambda: InputConvex(width=2, layers=2, kernel=3, filters=2, eps=0.5, nu=0.2), 0.8),
    "critic": (lambda: LipschitzCritic((2, 3), (1, 2), kernel=3, eps=0.5, modulus=0.9), 0.8),
    "FoE": (lambda: FieldsOfExperts(4, 3), 0.8),
}


def network_term(name: str, spread: float = 0.2) -> tuple[NetworkTerm, np.ndarray]:
    """In double precision, and θ near its start, which is random."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        build, lam = NETWORKS[name]
        own = NetworkTerm(build().double(), DIMS, lam)
    theta = own.initial()
    return own, theta + spread * np.random.default_rng(2).standard_normal(theta.size)


def images() -> tuple[np.ndarray, np.ndarray]:
    truths = np.zeros((3, *DIMS))
    truths[:, 2:5, 1:4] = np.array([0.5, 1.0, -0.7])[:, None, None]
    return truths, truths + 0.2 * np.random.default_rng(0).standard_normal(truths.shape)


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


def test_constants_are_those_of_the_network_and_their_derivatives_those_of_differences(name):
    own, theta = network_term(name)
    net, lam = own.module(theta), own.weight
    f = own.functional(theta)
    assert f.mu == pytest.approx(lam * (net.strong_convexity - net.weak_convexity), rel=1e-12)
    assert f.L == pytest.approx(lam * net.lipschitz, rel=1e-12) and not own.estimates
    d, h = np.random.default_rng(3).standard_normal(theta.size), 1e-6
    up, down = (own.functional(theta + s * h * d) for s in (1, -1))
    for slope, a, b in zip(own.constants_gradient(theta), (up.mu, up.L), (down.mu, down.L), strict=True):
        assert slope @ d == pytest.approx((a - b) / (2 * h), rel=1e-4, abs=1e-7)


def test_the_weight_multiplies(name):
    own, theta = network_term(name)
    plain = TorchTerm(own.module(theta), DIMS, L=1.0)
    u, q = np.random.default_rng(4).standard_normal((2, 2, *DIMS))
    np.testing.assert_allclose(own.functional(theta).grad(u), 0.8 * plain.functional(theta).grad(u), rtol=1e-12)
    np.testing.assert_allclose(own.mixed(theta, u, q), 0.8 * plain.mixed(theta, u, q), rtol=1e-12)
    d = np.random.default_rng(5).standard_normal(theta.size)
    np.testing.assert_allclose(own.mixed_apply(theta, u, d), 0.8 * plain.mixed_apply(theta, u, d), rtol=1e-12)


def test_what_the_lower_level_certifies_holds(name):
    """The error of a rough solution against a fine one."""
    own, theta = network_term(name)
    lower = LowerLevel(None, images()[1], own)
    exact = solve_lower(lower, theta, 1e-10).u
    rough = solve_lower(lower, theta, 1e-2)
    errors = np.linalg.norm((rough.u - exact).reshape(3, -1), axis=1)
    assert (errors <= rough.certificate + 1e-10).all() and (rough.certificate <= 1e-2).all()


def test_hypergradients_against_differences(name):
    """By the implicit function, and unrolled, through the step sizes too."""
    own, theta = network_term(name, 0.1)
    truths, data = images()
    p = BilevelProblem(truths, LowerLevel(None, data, own))
    d, h = np.random.default_rng(6).standard_normal(theta.size), 1e-4

    def f(t: np.ndarray) -> float:
        return float(((solve_lower(p.lower, t, 1e-11).u - truths) ** 2).sum() / 3)

    slope = (f(theta + h * d) - f(theta - h * d)) / (2 * h)
    assert hypergradient(p.evaluator(), theta, 1e-9).z @ d == pytest.approx(slope, rel=1e-3, abs=1e-6)
    ends = [unrolled_gradient(p, theta + s * h * d, 8).f for s in (1, -1)]
    assert unrolled_gradient(p, theta, 8).z @ d == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-3, abs=1e-6)


def test_learning_lowers_the_error_and_gives_the_network_back(name):
    own, _ = network_term(name, 0.0)
    truths, data = images()
    found = MAID(eps0=1e-3).minimise(BilevelProblem(truths, LowerLevel(None, data, own)).evaluator(), iterations=3)
    first = found.history[0]
    assert found.f + found.bound < first["f"] - first["f_bound"]
    net = own.module(found.theta)
    assert type(net) is type(NETWORKS[name][0]())
    R = ip.LearnedRegulariser(net, dims=DIMS)
    u = ip.variational(None, data[0], R, own.weight, tol=1e-8, niter=5000)[0]
    np.testing.assert_allclose(u, solve_lower(LowerLevel(None, data, own), found.theta, 1e-7).u[0], atol=1e-5)


def test_what_is_not_convex_enough_is_refused():
    data = images()[1]
    critic = NetworkTerm(LipschitzCritic((2, 3), (1, 2), kernel=3, modulus=1.5), DIMS)
    with pytest.raises(ValueError, match="the lower level has μ = 0 and L = "):
        solve_lower(LowerLevel(None, data, critic), critic.initial(), 1e-3)
    rho = NetworkTerm(LipschitzCritic((2, 3), (1, 2), kernel=3, modulus=1.5), DIMS, weight=0.5)
    assert LowerLevel(None, data, rho).constants(rho.initial())[0] == pytest.approx(0.25)
    with pytest.raises(TypeError, match="energy is Linear; expected an Energy, which proves its constants"):
        NetworkTerm(torch.nn.Linear(6, 1), DIMS)
    for dims in (8, (8,), (8, 8, 8)):
        with pytest.raises(ValueError, match="^dims is .*; expected rows and columns"):
            NetworkTerm(ConvexRidge((2, 4), kernel=3), dims)
    for weight in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="weight is"):
            NetworkTerm(ConvexRidge((2, 4), kernel=3), DIMS, weight)


def test_errors_of_many_parameters_are_one_sentence():
    """Not the list of all of them."""
    term = NetworkTerm(ConvexRidge((2, 4), kernel=3), DIMS)
    lower, theta = LowerLevel(None, images()[1], term), term.initial()
    spoiled = theta.copy()
    spoiled[1] = np.nan
    for given, text in (
        (theta[:-1], r"^theta has shape .*, \.\.\.$"),
        (spoiled, r"^theta is nan for log_alpha\[1\]; exp"),
    ):
        with pytest.raises(ValueError, match=text) as caught:
            solve_lower(lower, given, 1e-3)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 200
    steep = TorchTerm(lambda u, theta: theta.sum() * u.square().sum(1), (4,), tuple("abcdefghi"), L=1e300)
    with pytest.raises(ValueError, match="^theta is 9 numbers from 1 to 9, far too large") as caught:
        LowerLevel(None, np.ones((1, 4)), steep).constants(np.arange(1.0, 10.0))
    assert "\n" not in str(caught.value)
