"""Bilevel learning whose samples ranks share gives what one process gives; here the ranks are threads."""

import numpy as np
import pytest

import ipbox as ip
from ipbox.bilevel import DFO, HOAG, BilevelProblem, LowerLevel, SmoothedTVRegulariser, Weight, hypergradient
from ipbox.bilevel.problem.error_constants import ErrorConstants
from ipbox.distributed import cost_of_samples
from tests.distributed.script import METHODS, START, learned, problem
from tests.distributed.threads import on_ranks


@pytest.mark.parametrize("name", METHODS)
def test_ranks_that_share_the_samples_give_what_one_process_gives(name):
    expected = learned(name, 1)
    for size in (1, 2, 4):
        found = on_ranks(size, lambda ranks: learned(name, ranks))
        for one in found:
            assert set(one) == set(expected)
            for key, value in expected.items():
                np.testing.assert_allclose(one[key], value, rtol=1e-10, atol=1e-12, err_msg=key)
                assert np.array_equal(one[key], found[0][key])  # or they would go apart


@pytest.mark.parametrize("name", ["maid", "hoag"])
def test_ranks_beyond_the_samples_change_nothing(name):
    expected = learned(name, 1)
    for one in on_ranks(8, lambda ranks: learned(name, ranks)):
        for key, value in expected.items():
            np.testing.assert_allclose(one[key], value, rtol=1e-10, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("name", ["maid", "certified"])
def test_the_power_method_of_many_parameters_is_that_of_all_samples(name, monkeypatch):
    monkeypatch.setattr("ipbox.bilevel.problem.error_constants.FEW", 0)
    expected = learned(name, 1)
    for one in on_ranks(3, lambda ranks: learned(name, ranks)):
        for key, value in expected.items():
            np.testing.assert_allclose(one[key], value, rtol=1e-10, atol=1e-12, err_msg=key)


def test_samples_without_an_adjoint_have_the_directions_that_they_have_on_one_rank():
    """Images that vanish, and so do their data: q_i = 0, for which a random direction stands."""

    def work(ranks):
        whole = problem()
        truths, b = whole.truths.copy(), whole.lower.b.copy()
        truths[[1, 5]] = b[[1, 5]] = 0
        black = BilevelProblem(truths, LowerLevel(None, b, SmoothedTVRegulariser(b.shape[1:])))
        found = hypergradient(black.evaluator(n_jobs=ranks), np.array(START), 1e-3, constants=ErrorConstants(False))
        assert (found.q.reshape(len(found.q), -1).any(axis=1)).sum() < len(found.q) or ranks != 1
        return np.array([*found.z, found.bound, found.f, found.f_bound, *vars(found.cost).values()])

    expected = work(1)
    for size in (2, 3):
        for found in on_ranks(size, work):
            np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_bytes_and_messages_of_dfo_are_those_of_the_cost_model(size):
    """Seven images of 12² are few: ranks tell each other of û - u."""

    def work(ranks):
        told = []
        callback = lambda row: told.append((ranks.sent, ranks.messages))  # noqa: E731
        evaluator = problem().evaluator(n_jobs=ranks)
        DFO(evaluations=3).minimise(evaluator, START, (-4.0, 0.0), callback=callback)
        return tuple(b - a for a, b in zip(told[1], told[2], strict=True))

    cost = cost_of_samples((12, 12), 7, 3, size, gradients=0, vectors=True)
    agreed = (8, 1) if size > 1 else (0, 0)  # of the callback
    assert max(on_ranks(size, work)) == (cost.sent + agreed[0], cost.messages + agreed[1])


def test_images_stay_with_their_ranks():
    def work(ranks):
        evaluator = problem().evaluator(n_jobs=ranks)
        found = hypergradient(evaluator, np.array(START), 1e-3)
        assert len(found.u) == len(found.q) == len(found.residual) == len(evaluator.u) == len(ranks.own(7))
        assert len(found.evaluation.r) == 7
        return evaluator.share.whole(found.u)

    one, *_ = on_ranks(1, work)
    for u in on_ranks(3, work):
        np.testing.assert_allclose(u, one, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("p", [3, 40])
def test_bytes_and_messages_of_a_step_are_those_of_the_cost_model(size, p):
    """The second step of HOAG: where there are many parameters, its hypergradient takes two of the power method."""

    def work(ranks):
        posed, told = problem(), []
        if p > 3:
            terms = [Weight(ip.SmoothedTV((12, 12), eps=0.1 * (k + 1))) for k in range(p)]
            posed = BilevelProblem(posed.truths, LowerLevel(None, posed.lower.b, *terms))
        callback = lambda row: told.append((ranks.sent, ranks.messages))  # noqa: E731
        HOAG(L=1e3).minimise(posed.evaluator(n_jobs=ranks), np.full(p, -2.0), iterations=2, callback=callback)
        return tuple(b - a for a, b in zip(told[1], told[2], strict=True))

    cost = cost_of_samples((12, 12), 7, p, size)
    agreed = (8, 1) if size > 1 else (0, 0)  # of the callback
    assert max(on_ranks(size, work)) == (cost.sent + agreed[0], cost.messages + agreed[1])
