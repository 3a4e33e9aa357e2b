"""Learning with sampling weights: hypergradients, penalties, and exchanging the samples of a mask."""

import numpy as np
import pytest

import ipbox as ip
from ipbox.bilevel import (
    LBFGSB,
    BilevelProblem,
    L1Penalty,
    LowerLevel,
    SamplingPenalty,
    Weight,
    exchange_samples,
    hypergradient,
)
from tests.bilevel.terms.test_sampling import WAYS, lower_level, signals

# ---------------------------------------------------------------- learning weights


@pytest.mark.parametrize("way", WAYS)
def test_hypergradient_agrees_with_differences(way):
    F, truths, b = signals()
    problem = BilevelProblem(truths, lower_level(F, b, way=way), L1Penalty(0.1), "sum")
    rng = np.random.default_rng(3)
    theta, d = rng.uniform(0.2, 0.7, 24), rng.standard_normal(24)
    d /= np.linalg.norm(d)
    g = hypergradient(problem.evaluator(), theta, 1e-10)
    f = [problem.evaluator().evaluate(theta + k * d, 1e-10).f for k in (2e-4, 1e-4, -1e-4, -2e-4)]
    slope = (8 * (f[1] - f[2]) - (f[0] - f[3])) / 12e-4  # of fourth order
    assert abs(g.z @ d - slope) <= g.bound + 1e-7


def test_hypergradient_of_the_quadratic_case_in_closed_form():
    """Without TV û = (s b + 0)/(s + ξ) in k-space, so f(θ) and ∇f(θ) are explicit."""
    F, truths, b = signals()
    xi, theta = 0.3, np.random.default_rng(0).uniform(0.2, 0.9, 24)
    problem = BilevelProblem(truths, lower_level(F, b, xi * ip.Tikhonov((24,), order=0), way="linear"), None, "mean")
    x = F.apply(truths.astype(complex))
    e = theta / (theta + xi) * b - x
    exact = 2 / len(b) * (e.conj() * b * xi / (theta + xi) ** 2).real.sum(axis=0)
    g = hypergradient(problem.evaluator(), theta, 1e-9)
    assert np.linalg.norm(g.z - exact) <= g.bound + 1e-12
    assert g.f == pytest.approx((abs(e) ** 2).sum() / len(b), abs=g.f_bound + 1e-12)


def test_learned_weights_of_the_quadratic_case():
    """f separates over the frequencies: s/(s + ξ) is the Wiener filter of the pairs, within the bounds."""
    F, truths, b = signals(n=8)
    xi = 0.5
    problem = BilevelProblem(truths, lower_level(F, b, xi * ip.Tikhonov((24,), order=0), way="linear"))
    found = LBFGSB(accuracy=1e-10, tol=1e-9, ftol=0.0).minimise(
        problem.evaluator(), np.full(24, 0.5), (np.zeros(24), np.full(24, 2.0)), iterations=300
    )
    x = F.apply(truths.astype(complex))
    wiener = np.clip((b.conj() * x).real.sum(axis=0) / (abs(b) ** 2).sum(axis=0), 0, 2.0 / 2.5)
    np.testing.assert_allclose(found.theta / (found.theta + xi), wiener, atol=1e-5)


def test_sampling_penalty():
    F, _, b = signals()
    lower = lower_level(F, b, Weight(ip.SmoothedTV((24,), eps=1e-2)), 1e-2 * ip.Tikhonov((24,), order=0), way="linear")
    theta = np.append(np.linspace(0, 1, 24), -3.0)
    J = SamplingPenalty(0.2, 0.3)
    assert J.value(theta, lower) == pytest.approx((0.2 * theta[:-1] + 0.3 * theta[:-1] * (1 - theta[:-1])).sum())
    d, h = np.random.default_rng(0).standard_normal(25), 1e-6
    slope = (J.value(theta + h * d, lower) - J.value(theta - h * d, lower)) / (2 * h)
    assert J.grad(theta, lower) @ d == pytest.approx(slope, rel=1e-8)
    assert J.grad(theta, lower)[-1] == 0
    plain = LowerLevel(None, np.ones((1, 4)), Weight(ip.SmoothedTV((4,), eps=0.1)))
    with pytest.raises(ValueError, match="no parameters of its fidelity"):
        J.value(np.array([-1.0]), plain)


# ---------------------------------------------------------------- exchanging samples


def quadratic(n=6, seed=0):
    """A problem without TV, where f is a sum over the frequencies, and what each of them gains when sampled."""
    F, truths, b = signals(n=n, seed=seed)
    xi = 0.1
    problem = BilevelProblem(truths, lower_level(F, b, xi * ip.Tikhonov((24,), order=0), way="linear"))
    x = F.apply(truths.astype(complex))
    return problem, ((abs(x) ** 2 - abs(b / (1 + xi) - x) ** 2).sum(axis=0)) / n


def test_exchanges_end_at_the_best_mask_where_frequencies_do_not_interact():
    problem, gain = quadratic()
    start = np.zeros(24)
    start[:6] = 1
    seen = []
    found = exchange_samples(problem.evaluator(), start, 1e-8, candidates=18, callback=seen.append)
    best = np.isin(np.arange(24), np.argsort(-gain)[:6])
    np.testing.assert_array_equal(found.theta, best.astype(float))
    assert found.stop == "none better"
    assert seen == found.history
    values = [row["f"] for row in found.history]
    assert (np.diff(values) < 0).all()
    assert found.f == values[-1]
    assert start[:6].all()  # not changed
    few = exchange_samples(problem.evaluator(), start, 1e-8, rounds=2)
    assert (few.stop, len(few.history)) == ("rounds", 2)


def test_exchanges_lower_the_objective_with_total_variation():
    F, truths, b = signals(n=3)
    d = (24,)
    lower = lower_level(F, b, Weight(ip.SmoothedTV(d, eps=1e-2)), 1e-2 * ip.Tikhonov(d, order=0), way="linear")
    problem = BilevelProblem(truths, lower)
    start = np.append(np.isin(np.arange(24), [2, 5, 11, 12, 13, 20, 23]).astype(float), -2.0)
    found = exchange_samples(problem.evaluator(), start, 1e-4, candidates=4)
    before, after = (problem.evaluator().evaluate(theta, 1e-8) for theta in (start, found.theta))
    assert after.f + after.bound < before.f - before.bound
    assert found.theta[:-1].sum() == 7
    assert found.theta[-1] == -2.0
    assert abs(found.f - after.f) <= found.bound + after.bound


def test_exchange_refuses_what_is_no_mask():
    problem, _ = quadratic()
    evaluator, mask = problem.evaluator(), np.arange(24) % 2.0
    for theta in (np.zeros(24), np.ones(24), np.full(24, 0.5)):
        with pytest.raises(ValueError, match="expected ones and zeros"):
            exchange_samples(evaluator, theta, 1e-3)
    with pytest.raises(ValueError, match="accuracy is 0"):
        exchange_samples(evaluator, mask, 0)
    for name in ("candidates", "removals", "rounds"):
        with pytest.raises(ValueError, match=f"{name} is 0"):
            exchange_samples(evaluator, mask, 1e-3, **{name: 0})
