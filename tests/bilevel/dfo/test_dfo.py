"""Dynamic-accuracy derivative-free optimisation: certificates, models, steps, convergence, resumption, bad input."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ipbox as ip
from ipbox.bilevel import (
    DFO,
    LBFGSB,
    BilevelProblem,
    ConditionPenalty,
    L1Penalty,
    LowerLevel,
    SamplingWeights,
    SmoothedTVRegulariser,
    dfo,
)
from ipbox.bilevel.dfo.algorithm import Algorithm, reduction
from ipbox.bilevel.dfo.model import Point, objective_bound
from ipbox.problems.simulated.pairs import interval_pairs
from ipbox.solvers.core.state import State
from tests.bench.bilevel import mgh

SEEDS = st.integers(0, 2**32 - 1)


class Inexact:
    """Residuals with errors of at most what is asked for, and no less than ``floor``; reproducible, with a state."""

    def __init__(self, exact, seed=0, floor=0.0, free=0):
        self.exact, self.floor, self.free = exact, floor, free  # the last ``free`` entries are exact
        self.random, self.calls, self.asked = np.random.default_rng(seed), 0, []

    def __call__(self, theta, accuracy):
        self.calls += 1
        self.asked.append(accuracy)
        r = self.exact(theta)
        delta = np.full(len(r), max(accuracy, self.floor))
        delta[len(r) - self.free :] = 0.0
        return r + delta * self.random.uniform(-1, 1, len(r)), delta

    def work(self):
        return 10.0 * self.calls

    def get_state(self):
        state = self.random.bit_generator.state["state"]
        return {"calls": self.calls, "state": str(state["state"]), "inc": str(state["inc"])}

    def set_state(self, saved):
        state = self.random.bit_generator.state
        state["state"] = {"state": int(saved["state"]), "inc": int(saved["inc"])}
        self.random.bit_generator.state, self.calls = state, saved["calls"]


def curved(theta):
    """Residuals that are large at the minimum, as distances between images are."""
    x, y = theta
    return np.array([2.0 + (x - 0.5) ** 2 + 0.3 * y, 1.0 + np.exp(y - 0.2) - 0.3 * x, 0.5 + (x - y) ** 2])


def exact_only(f):
    return lambda theta, accuracy: f(theta)


# ---------------------------------------------------------------- certificates


@given(SEEDS)
def test_certificate_implies_decrease(seed):
    """f̃(θ') < f̃(θ) - ε - ε' implies f(θ') < f(θ)."""
    random = np.random.default_rng(seed)
    algorithm = Algorithm(DFO(), np.full(2, 0.5), np.zeros(2), np.ones(2))
    pairs = []
    for _ in range(2):
        r, delta = random.standard_normal(4), 10.0 ** random.uniform(-6, 0) * np.array([1, 1, 1, 0])
        noisy = r + delta * random.choice([-1.0, 1.0, random.uniform(-1, 1)], 4)
        pairs.append((r @ r, Point(np.zeros(2), noisy, delta, 1.0)))
    (f, old), (f_new, new) = pairs
    if algorithm.is_lower(new, old):
        assert f_new < f


@given(SEEDS)
def test_steps_decrease_the_objective_whatever_the_errors(seed):
    residuals = Inexact(curved, seed)
    found = dfo(residuals, [-0.7, 0.9], ([-2, -2], [2, 2]), evaluations=40)
    values = [float(curved(row["theta"]) @ curved(row["theta"])) for row in found.history]
    assert all(after <= before for before, after in itertools.pairwise(values))
    for row in found.history:
        exact = float(curved(row["point"]) @ curved(row["point"]))
        assert abs(row["point_f"] - exact) <= row["point_bound"] * (1 + 1e-12)
    r = curved(found.theta)
    assert abs(found.f - r @ r) <= found.bound
    assert (np.abs(found.residuals - r) <= found.delta).all()


def test_accuracy_is_never_asked_below_the_floor():
    residuals = Inexact(curved)
    found = dfo(residuals, [-0.7, 0.9], ([-2, -2], [2, 2]), accuracy_floor=1e-5)
    assert min(residuals.asked) >= 1e-5
    assert found.stop in ("accuracy", "radius")


# ---------------------------------------------------------------- convergence


@given(SEEDS)
def test_linear_residuals_are_solved(seed):
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 5))
    A, b = random.standard_normal((n + 3, n)), random.standard_normal(n + 3)
    best, (f,), *_ = np.linalg.lstsq(A, b, rcond=None)
    found = dfo(exact_only(lambda x: A @ x - b), np.zeros(n), accuracy=None)
    assert found.f == pytest.approx(f, rel=1e-9)
    np.testing.assert_allclose(found.theta, best, atol=1e-4 * (1 + np.abs(best).max()))
    assert found.bound == 0 and found.stop in ("radius", "zero", "evaluations")


def test_rosenbrock_and_other_problems_of_more_garbow_hillstrom():
    solved = {
        p.name: dfo(exact_only(p.residuals), p.start, accuracy=None).f <= p.target
        for p in mgh.problems()
        if p.name.split()[0] in ("rosenbrock", "wood", "helical_valley", "brown_dennis", "kowalik_osborne", "chebyquad")
    }
    assert len(solved) == 8 and all(solved.values()), solved


@pytest.mark.parametrize("accuracy", ["dynamic", None])
def test_bounds_that_are_active(accuracy):
    scipy = pytest.importorskip("scipy.optimize")
    bounds = ([-2.0, 0.4], [0.1, 2.0])
    best = scipy.minimize(lambda x: curved(x) @ curved(x), [0.0, 1.0], bounds=list(zip(*bounds, strict=True)))
    found = dfo(exact_only(curved), [-1.0, 1.5], bounds, accuracy=accuracy)
    assert found.f == pytest.approx(best.fun, rel=1e-8)
    for row in found.history:
        assert (row["point"] >= bounds[0]).all() and (row["point"] <= bounds[1]).all()
    assert found.theta[1] == 0.4


def test_start_in_a_corner_and_half_open_bounds():
    found = dfo(exact_only(lambda x: np.array([x[0] - 3, x[1] - 5.0])), [0.0, 1.0], ([0, -np.inf], [np.inf, 1.0]))
    np.testing.assert_allclose(found.theta, [3.0, 1.0], atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_inexact_residuals_reach_the_minimum(seed):
    best = dfo(exact_only(curved), [-0.7, 0.9], ([-2, -2], [2, 2]), accuracy=None)
    found = dfo(Inexact(curved, seed), [-0.7, 0.9], ([-2, -2], [2, 2]))
    exact = curved(found.theta) @ curved(found.theta)
    assert exact - best.f <= 1e-6 * best.f
    np.testing.assert_allclose(found.theta, best.theta, atol=3e-3)
    assert min(row["requested"] for row in found.history) < 1e-5 < found.history[0]["requested"]


@pytest.mark.parametrize("floor", [1e-2, 1e-4])
def test_residuals_that_come_no_more_accurate(floor):
    """What is delivered counts, not what was asked for; where that tells of no decrease, it ends and says why."""
    best = dfo(exact_only(curved), [-0.7, 0.9], ([-2, -2], [2, 2]), accuracy=None).f
    found = dfo(Inexact(curved, 1, floor=floor), [-0.7, 0.9], ([-2, -2], [2, 2]))
    assert found.stop == "accuracy" and found.evaluations < 60
    assert found.bound > 0 and (found.delta >= floor).all()
    # the model, which may be wrong, promised less than the errors of two values
    assert curved(found.theta) @ curved(found.theta) - best <= 2 * found.bound / 0.05


@pytest.mark.parametrize("seed", range(8))
def test_where_accuracy_ends_a_decrease_that_is_certain_is_still_taken(seed):
    """Where (32) cannot be had, (33) decides alone: else most of what could be gained would be left."""
    best = dfo(exact_only(curved), [-0.7, 0.9], ([-2, -2], [2, 2]), accuracy=None).f
    found = dfo(Inexact(curved, seed, floor=1e-4), [-0.7, 0.9], ([-2, -2], [2, 2]))
    assert curved(found.theta) @ curved(found.theta) - best <= 5 * found.bound


def test_fixed_accuracy_and_exact_entries():
    residuals = Inexact(curved, 2, free=1)
    found = dfo(residuals, [-0.7, 0.9], ([-2, -2], [2, 2]), accuracy=1e-3, evaluations=30)
    assert set(residuals.asked) == {1e-3} and found.delta[-1] == 0 and found.delta[0] == 1e-3
    assert found.bound == pytest.approx(objective_bound(found.residuals, found.delta))


def test_dynamic_accuracy_leaves_exact_entries_out():
    found = dfo(Inexact(curved, 2, free=3), [-0.7, 0.9], ([-2, -2], [2, 2]))
    assert found.bound == 0 and not any(row["kind"] == "accuracy" for row in found.history)


def test_many_variables():
    A = np.diag(np.linspace(1, 3, 30)) + 0.1 * np.random.default_rng(0).standard_normal((30, 30))
    target = A @ np.linspace(0.1, 0.9, 30)
    found = dfo(exact_only(lambda x: A @ x - target), np.full(30, 0.5), (0.0, 1.0), accuracy=None, evaluations=200)
    assert found.f <= 1e-10


# ---------------------------------------------------------------- budgets, history, callbacks


def test_budgets_and_history():
    residuals, seen = Inexact(curved), []
    found = dfo(residuals, [-0.7, 0.9], ([-2, -2], [2, 2]), evaluations=12, callback=seen.append)
    assert found.stop == "evaluations" and found.evaluations == residuals.calls == len(found.history) == 12
    assert seen == found.history
    assert [row["evaluation"] for row in found.history] == list(range(1, 13))
    assert [row["kind"] for row in found.history[:3]] == ["start"] * 3
    assert [row["work"] for row in found.history] == [10.0 * k for k in range(1, 13)]
    np.testing.assert_array_equal(found.history[-1]["theta"], found.theta)
    stopped = dfo(Inexact(curved), [-0.7, 0.9], ([-2, -2], [2, 2]), callback=lambda row: row["evaluation"] == 6)
    assert stopped.stop == "callback" and stopped.evaluations == 6
    spent = dfo(Inexact(curved), [-0.7, 0.9], ([-2, -2], [2, 2]), work=65)
    assert spent.stop == "work" and spent.evaluations == 7
    assert "evaluations=7" in repr(spent)


def test_work_counts_from_the_start_of_the_run():
    residuals = Inexact(curved)
    residuals.calls = 100
    found = dfo(residuals, [-0.7, 0.9], evaluations=5, work=1000)
    assert found.history[-1]["work"] == 50
    counted = dfo(exact_only(curved), [-0.7, 0.9], evaluations=5, work_done=lambda: 7.0)
    assert counted.history[-1]["work"] == 0


def test_first_points_alone_give_the_certain_best():
    found = dfo(exact_only(lambda x: x - 1.0), [0.0, 0.0], accuracy=None, evaluations=2)
    np.testing.assert_allclose(found.theta, [0.1, 0.0])
    assert dfo(exact_only(lambda x: x), [0.0, 0.0], accuracy=None).stop == "zero"


def test_progress_bar(capsys):
    dfo(exact_only(curved), [-0.7, 0.9], evaluations=5, progress=True)
    assert "5/5" in capsys.readouterr().err


# ---------------------------------------------------------------- checkpoints


class Killed(Exception):
    pass


def test_killed_after_every_evaluation_and_resumed_bit_for_bit(tmp_path):
    start, bounds, most = [-0.7, 0.9], ([-2, -2], [2, 2]), 25
    whole = dfo(Inexact(curved, 4), start, bounds, evaluations=most)
    for k in range(1, most, 3):
        path, count = tmp_path / f"{k}.npz", itertools.count(1)

        def kill(row, k=k, count=count):
            if next(count) == k:
                raise Killed

        with pytest.raises(Killed):
            dfo(Inexact(curved, 4), start, bounds, evaluations=most, checkpoint=path, callback=kill)
        residuals = Inexact(curved, 999)  # its state comes from the checkpoint
        found = dfo(residuals, start, bounds, evaluations=most, checkpoint=path)
        assert len(residuals.asked) == most - k
        assert found.f == whole.f and found.bound == whole.bound and found.stop == whole.stop
        for row, expected in zip(found.history, whole.history, strict=True):
            assert row.keys() == expected.keys()
            assert all(np.array_equal(row[key], expected[key]) for key in row), (row, expected)


def test_bilevel_problem_is_learned_and_resumed_with_its_warm_starts(tmp_path):
    truths = np.repeat(np.array([[0.0] * 12 + [1.0] * 12]), 4, axis=0)
    data = truths + 0.2 * np.random.default_rng(0).standard_normal(truths.shape)
    lower = LowerLevel(None, data, SmoothedTVRegulariser((24,)))
    problem = BilevelProblem(truths, lower, ConditionPenalty(1e-7))
    start, bounds, path = [-1.0, -1.0, -1.0], ([-4.0, -4, -4], [2.0, 0, 0]), tmp_path / "dfo.npz"
    whole = DFO(evaluations=14).minimise(problem.evaluator(), start, bounds)
    assert whole.f < 0.8 * whole.history[0]["f"]
    DFO(evaluations=6).minimise(problem.evaluator(), start, bounds, checkpoint=path)
    evaluator = problem.evaluator()
    found = DFO(evaluations=14).minimise(evaluator, start, bounds, checkpoint=path)
    for row, expected in zip(found.history, whole.history, strict=True):
        assert all(np.array_equal(row[key], expected[key]) for key in row)
    assert evaluator.work() == whole.history[-1]["work"]


def test_a_finished_run_goes_on_with_a_larger_budget(tmp_path):
    path = tmp_path / "dfo.npz"
    whole = dfo(exact_only(curved), [-0.7, 0.9], evaluations=20)
    dfo(exact_only(curved), [-0.7, 0.9], evaluations=8, checkpoint=path)
    seen = []
    found = dfo(exact_only(curved), [-0.7, 0.9], evaluations=20, checkpoint=path, callback=seen.append)
    assert np.array_equal(found.theta, whole.theta) and len(seen) == 12


def test_checkpoints_of_something_else(tmp_path):
    path = tmp_path / "dfo.npz"
    dfo(exact_only(curved), [-0.7, 0.9], evaluations=6, checkpoint=path)
    again = dict(residuals=exact_only(curved), theta0=[-0.7, 0.9], checkpoint=path, evaluations=8)
    for other in (
        dict(theta0=[-0.6, 0.9]),
        dict(accuracy=1e-3),
        dict(radius_final=1e-3),  # would have been the same so far
        dict(bounds=([-9.0, -9.0], [9.0, 9.0])),
        dict(residuals=lambda theta, accuracy: curved(theta)),
    ):
        with pytest.raises(ValueError, match="checkpoint is .*, of another run; expected one of DFO"):
            dfo(**again | other)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no complete checkpoint"):
        dfo(exact_only(curved), [-0.7, 0.9], checkpoint=path)
    from ipbox.solvers import State

    State(x=np.zeros(2)).save(path)
    with pytest.raises(ValueError, match="of another run; expected one of DFO"):
        dfo(exact_only(curved), [-0.7, 0.9], checkpoint=path)
    path.unlink()
    dfo(Inexact(curved), [-0.7, 0.9], evaluations=4, checkpoint=path)
    with pytest.raises(TypeError, match="residuals has no set_state"):
        dfo(
            type("Inexact", (), {"__call__": lambda self, theta, accuracy: curved(theta)})(),
            [-0.7, 0.9],
            checkpoint=path,
        )


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"accuracy": -1.0}, "accuracy is -1.0"),
        ({"accuracy": 0.0}, "accuracy is 0.0"),
        ({"accuracy": "fixed"}, "accuracy is 'fixed'"),
        ({"accuracy": True}, "accuracy is True"),
        ({"evaluations": 0}, "evaluations is 0"),
        ({"evaluations": 2.5}, "evaluations is 2.5"),
        ({"work": -1}, "work is -1"),
        ({"radius": 0}, "radius is 0"),
        ({"radius": 1e-7}, "radius is 1e-07"),
        ({"radius": 1, "radius_max": 0.5}, "radius is 1"),
        ({"radius_final": math.nan}, "radius_final is nan"),
        ({"eta1": 0.8}, "eta1_prime is"),
        ({"eta1_prime": 0.1}, "eta1_prime is 0.1"),
        ({"eta2": 1.0}, "eta2 is 1.0"),
        ({"gamma_inc": 1.0}, "gamma_inc is 1.0"),
        ({"gamma_dec": 1.0}, "gamma_dec is 1.0"),
        ({"c": 0.0}, "c is 0.0"),
        ({"epsilon": -1.0}, "epsilon is -1.0"),
        ({"reach": "2"}, "reach is '2'"),
        ({"poisedness": 0}, "poisedness is 0"),
        ({"accuracy_floor": 0.0}, "accuracy_floor is 0.0"),
    ],
)
def test_settings_of_no_use(settings, match):
    with pytest.raises(ValueError, match=match):
        DFO(**settings)


def test_settings_of_another_kind():
    with pytest.raises(TypeError, match="curvature is 1"):
        DFO(curvature=1)
    with pytest.raises(TypeError, match="tolerance"):
        dfo(exact_only(curved), [0.0, 0.0], tolerance=1)
    with pytest.raises(ValueError, match="work is '10'"):
        DFO().minimise(exact_only(curved), [0.0, 0.0], work="10")


@pytest.mark.parametrize(
    ("theta0", "bounds", "match"),
    [
        ([0.0, 3.0], ([-1, -1], [1, 1]), "outside its bounds"),
        ([0.0, 0.0], ([1, -1], [-1, 1]), "bounds cross"),
        ([0.0, 0.0], ([0, -1], [0, 1]), "lower < upper"),
        ([0.0, 0.0], ([-1, -1, -1], [1, 1, 1]), "bounds is"),
        ([0.0, 0.0], ([-1, np.nan], [1, 1]), "bounds cross"),
        ([0.0, np.nan], None, "theta0 is"),
        ([[0.0, 0.0]], None, "theta0 is"),
        ([], None, "theta0 is"),
        (1.0, None, "theta0 is"),
    ],
)
def test_starts_and_bounds_of_no_use(theta0, bounds, match):
    with pytest.raises(ValueError, match=match):
        dfo(exact_only(curved), theta0, bounds)


# ---------------------------------------------------------------- vectors


def sampled(n: int = 16) -> BilevelProblem:
    """Weights of n frequencies of ten signals, as in `tests.bench.bilevel.sampling_1d`."""
    truths, _ = interval_pairs(10, n, 0.0, 0)
    rng = np.random.default_rng(0)
    F = ip.FourierTransform((n,), dtype="complex128")
    b = F.apply(truths.astype(complex)) + 0.05 / 2**0.5 * (rng.standard_normal((2, 10, n)).T @ [1, 1j]).T
    regulariser = 1e-2 * ip.SmoothedTV((n,), eps=1e-2) + 1e-4 * ip.Tikhonov((n,), order=0)
    return BilevelProblem(truths, LowerLevel(F, b, regulariser, fidelity=SamplingWeights(F)), L1Penalty(0.1), "sum")


def test_an_evaluator_tells_the_vectors_of_few_entries():
    evaluator = sampled().evaluator()
    r, delta, vectors = evaluator(np.full(16, 0.5), 1e-3)
    assert vectors.shape == (10, 32) and r.shape == delta.shape == (11,)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), r[:10], rtol=1e-12)
    images = np.zeros((2, 48, 48), dtype=np.float32)
    lower = LowerLevel(None, images + 1, SmoothedTVRegulariser((48, 48)))
    assert BilevelProblem(images, lower).evaluator()(np.array([-1.0, -1.0, -1.0]), 1.0)[2] is None
    r, _, vectors = BilevelProblem(images[:, :32, :32], lower.with_data(images[:, :32, :32] + 1)).evaluator()(
        np.array([-1.0, -1.0, -1.0]), 1e-2
    )
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), r, rtol=1e-6)


def test_vectors_save_evaluations():
    """To 1.05 of what L-BFGS-B reaches, of 32 weights."""
    start, bounds = np.full(32, 0.5), (np.full(32, 0.001), np.full(32, 0.99))
    best = LBFGSB(accuracy=1e-5, tol=1e-5, ftol=1e-10).minimise(sampled(32).evaluator(), start, bounds).f
    took = {}
    for told in (True, False):
        evaluator = sampled(32).evaluator()
        residuals = evaluator if told else lambda theta, accuracy, of=evaluator: of(theta, accuracy)[:2]
        found = DFO(evaluations=500).minimise(
            residuals, start, bounds, work_done=evaluator.work, callback=lambda row: row["f"] <= 1.05 * best
        )
        assert found.stop == "callback"
        took[told] = np.array([found.evaluations, found.history[-1]["work"]])
    assert (took[True] <= 0.7 * took[False]).all(), took


def curved_exactly(theta, accuracy):
    return curved(theta)


def test_a_checkpoint_from_before_vectors_goes_on_or_is_refused(tmp_path):
    def older(path):
        state = State.load(path, "numpy")
        del state.source["shape"]
        state.log = [{name: v for name, v in row.items() if name != "vectors"} for row in state.log]
        state.save(path)

    path, start, bounds = tmp_path / "run.npz", [-0.7, 0.9], ([-2, -2], [2, 2])
    whole = dfo(curved_exactly, start, bounds, evaluations=20)
    dfo(curved_exactly, start, bounds, evaluations=9, checkpoint=path)
    older(path)
    again = dfo(curved_exactly, start, bounds, evaluations=20, checkpoint=path)
    assert np.array_equal(again.theta, whole.theta) and again.f == whole.f
    path, start, bounds = tmp_path / "other.npz", np.full(16, 0.5), (np.full(16, 0.001), np.full(16, 0.99))
    DFO(evaluations=9).minimise(sampled().evaluator(), start, bounds, checkpoint=path)
    older(path)
    with pytest.raises(ValueError, match=r"(?s)gave vectors of shape \[10, 32\] at .* expected no vectors, as before"):
        DFO(evaluations=20).minimise(sampled().evaluator(), start, bounds, checkpoint=path)


@given(st.floats(-10, -0.1), st.floats(-5, 50), st.floats(0.1, 0.6))
def test_a_failed_step_is_reduced_to_the_minimum_of_its_parabola(slope, change, least):
    found, most = reduction(slope, change, least, 0.5), 0.5
    assert min(least, most) <= found <= most  # gamma_dec counts where both bounds do not agree
    t = np.linspace(min(least, most), most, 401)
    parabola = slope * t + (change - slope) * t**2
    assert slope * found + (change - slope) * found**2 <= parabola.min() + 1e-12 * (1 + np.abs(parabola).max())


# ---------------------------------------------------------------- of no use


@pytest.mark.parametrize(
    ("residuals", "error", "match"),
    [
        (lambda x, a: np.array([np.nan, 1.0]), FloatingPointError, "NaN or infinity at theta"),
        (lambda x, a: np.array([np.inf]), FloatingPointError, "NaN or infinity at theta"),
        (lambda x, a: 1.0, ValueError, r"r of shape \(\)"),
        (lambda x, a: np.ones((2, 2)), ValueError, r"r of shape \(2, 2\)"),
        (lambda x, a: np.ones(0), ValueError, r"r of shape \(0,\)"),
        (lambda x, a: (np.ones(2), -1.0), ValueError, "delta = -1.0"),
        (lambda x, a: "none", TypeError, "residuals gave 'none' at theta"),
        (lambda x, a: [1j], TypeError, r"residuals gave \[1j\] at theta"),
        (lambda x, a: ([1.0], "small"), TypeError, r"expected r, or \(r, delta\), of numbers"),
        (lambda x, a: ([1.0], 0.1, 2), TypeError, r"expected r, or \(r, delta\), of numbers"),
        (lambda x, a: (np.ones(2), np.nan), ValueError, "delta = nan"),
        (lambda x, a: (np.ones(2), np.ones(3)), ValueError, "delta ="),
        (lambda x, a: np.ones(2 if x[0] == 0 else 3), ValueError, "gave 3 numbers"),
        (lambda x, a: (np.ones(2), 0.1, np.ones(2)), ValueError, r"vectors of shape \(2,\)"),
        (lambda x, a: (np.ones(2), 0.1, np.ones((3, 1))), ValueError, r"vectors of shape \(3, 1\)"),
        (lambda x, a: (np.ones(2), 0.1, np.ones((2, 0))), ValueError, r"vectors of shape \(2, 0\)"),
        (
            lambda x, a: (np.ones(2), 0.1, np.ones((2, 4))),
            ValueError,
            r"vectors of norms \[2. 2.\].*expected \[1. 1.\]",
        ),
        (lambda x, a: (np.ones(2), 0.1, np.full((2, 4), np.nan)), ValueError, r"vectors of norms \[nan nan\]"),
        (lambda x, a: (np.ones(2), 0.1, np.full((2, 1), 1j)), TypeError, "vectors is"),
        (
            lambda x, a: (np.ones(1), 0.1, None if x[0] == 0 else np.ones((1, 1))),
            ValueError,
            r"vectors of shape \[1, 1\]",
        ),
        (3, TypeError, "residuals is int"),
    ],
)
def test_residuals_of_no_use(residuals, error, match):
    with pytest.raises(error, match=match):
        dfo(residuals, [0.0, 0.0])


def test_other_arguments_of_no_use():
    with pytest.raises(TypeError, match="callback is int"):
        dfo(exact_only(curved), [0.0, 0.0], callback=3)
    with pytest.raises(TypeError, match="work_done is float"):
        dfo(exact_only(curved), [0.0, 0.0], work_done=3.0)


def test_theta_is_not_the_callers_to_change():
    def residuals(theta, accuracy):
        r = curved(theta)
        theta[:] = np.nan
        return r

    start = np.array([-0.7, 0.9])
    found = dfo(residuals, start, accuracy=None, evaluations=30)
    assert np.isfinite(found.theta).all() and np.array_equal(start, [-0.7, 0.9])
