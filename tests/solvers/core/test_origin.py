"""What a state is of: other data, operators, terms and settings are refused, before the first step."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.solvers import State
from ipbox.solvers.core.divergence import Diverged

RNG = np.random.default_rng(0)
M = RNG.random((30, 12))
X = np.ones(12)


def least_squares(A: Any = M, x: Any = X, unit: float = 1.0, *more: Any) -> ip.Problem:
    A = ip.as_operator(A)
    return ip.Problem(ip.functionals.Sum([ip.L2(A, unit * A.apply(x)), *more]))


def saddle(A: Any = M, x: Any = X, unit: float = 1.0, lam: float = 0.1) -> ip.Problem:
    return least_squares(A, x, unit, lam * ip.TV((12,)), ip.Box(0, 5))


KRYLOV = [ip.CG(), ip.CGLS(), ip.LSQR(), ip.HybridLSQR(), ip.GradientDescent(), ip.SIRT(), ip.Kaczmarz(), ip.LBFGS()]
SADDLE = [ip.PDHG(), ip.CondatVu(), ip.PD3O(), ip.ADMM()]
CASES = [(s, least_squares) for s in KRYLOV] + [(s, saddle) for s in SADDLE]
EVERY = pytest.mark.parametrize(("solver", "problem"), CASES, ids=lambda v: type(v).__name__)


def started(solver: Any, problem: ip.Problem, path: Path) -> list[Any]:
    """The state of a run of four steps, held and saved."""
    state = ip.solve(problem, solver, stop=ip.stop.niter(4)).state
    state.save(path)
    return [state, path]


@EVERY
@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_other_data_and_operators_are_refused(solver: Any, problem: Any, unit: float, tmp_path: Path) -> None:
    """Same shapes: nothing but the numbers tells."""
    other = X + 1e-3 * np.arange(12)
    for state in started(solver, problem(unit=unit), tmp_path / "c.npz"):
        with pytest.raises(ValueError, match=r"state is of another solve: its data of .* differs; expected the same"):
            ip.solve(problem(x=other, unit=unit), solver, state=state, stop=ip.stop.niter(60))
        with pytest.raises(ValueError, match="state is of another solve: its operator of"):
            ip.solve(problem(M[:, ::-1].copy(), unit=unit), solver, state=state, stop=ip.stop.niter(60))


@EVERY
def test_the_same_problem_made_anew_is_taken(solver: Any, problem: Any, tmp_path: Path) -> None:
    """Another object, and rounding of another machine."""
    whole = ip.solve(problem(), solver, stop=ip.stop.niter(9))
    _, path = started(solver, problem(), tmp_path / "c.npz")
    assert np.array_equal(ip.solve(problem(), solver, state=path, stop=ip.stop.niter(5)).x, whole.x)
    near = ip.solve(problem(M * (1 + 1e-14)), solver, state=path, stop=ip.stop.niter(5)).x
    assert np.allclose(near, whole.x, rtol=1e-8)


def test_other_terms_weights_and_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    for state in started(ip.PDHG(), saddle(), path):
        with pytest.raises(ValueError, match="its term .*TV differs"):
            ip.solve(saddle(lam=0.2), ip.PDHG(), state=state)
        with pytest.raises(ValueError, match="its setting tau differs"):
            ip.solve(saddle(), ip.PDHG(tau=0.01), state=state)
        with pytest.raises(ValueError, match="its objective differs"):
            ip.solve(least_squares(M, X, 1.0, 0.1 * ip.TV((12,)), ip.NonNegative(), ip.L2()), ip.PDHG(), state=state)
        with pytest.raises(ValueError, match="state was made by PDHG; expected one of ADMM"):
            ip.solve(saddle(), ip.ADMM(), state=state)


@pytest.mark.parametrize("delta", [1e-5, 1.0, 1e5])
def test_thresholds_of_any_size_tell(delta: float, tmp_path: Path) -> None:
    def problem(d: float) -> ip.Problem:
        return least_squares(M, X, 1.0, ip.Huber(delta=d))

    _, path = started(ip.LBFGS(), problem(delta), tmp_path / "c.npz")
    ip.solve(problem(delta), ip.LBFGS(), state=path, stop=ip.stop.niter(2))
    with pytest.raises(ValueError, match="its term Huber differs"):
        ip.solve(problem(2 * delta), ip.LBFGS(), state=path, stop=ip.stop.niter(2))


def test_samples_of_a_batch_are_compared_one_by_one(tmp_path: Path) -> None:
    """One is far smaller than the others."""
    A, b = ip.as_operator(M), np.stack([1e6 * (M @ X), M @ X, 1e-6 * (M @ X)])
    problem = ip.Problem(ip.L2(A, b), batch=3)
    _, path = started(ip.CGLS(), problem, tmp_path / "c.npz")
    ip.solve(ip.Problem(ip.L2(A, b.copy()), batch=3), ip.CGLS(), state=path, stop=ip.stop.niter(2))
    b[2] *= 1.001
    with pytest.raises(ValueError, match="its data of L2"):
        ip.solve(ip.Problem(ip.L2(A, b), batch=3), ip.CGLS(), state=path, stop=ip.stop.niter(2))


def test_samplers_do_not_mix_posteriors(tmp_path: Path) -> None:
    def posterior(m: float) -> ip.Problem:
        return ip.Problem(ip.L2(b=m * np.ones(5)))

    path = tmp_path / "c.npz"
    first = ip.sample(posterior(1.0), ip.ULA(), n=20, burn_in=2, callbacks=[ip.callbacks.Checkpoint(path)])
    for state in (path, first.solution.state):
        with pytest.raises(ValueError, match="its data of L2 differs"):
            ip.sample(posterior(2.0), ip.ULA(), n=40, burn_in=2, state=state)
        with pytest.raises(ValueError, match="its setting sampler differs"):
            ip.sample(posterior(1.0), ip.ULA(seed=1), n=40, burn_in=2, state=state)
    mean = first.mean.copy()
    ip.sample(posterior(1.0), ip.ULA(), n=40, burn_in=2, state=first.solution.state)
    assert np.array_equal(first.mean, mean)


# ---------------------------------------------------------------- states of unknown origin


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"r": 1.0, "d": np.ones(12), "gamma": 1.0},
        {"r": [np.ones(30)], "g": np.ones(11)},
        {"loop": {"solver": "CGLS"}, "g": np.ones((12, 1))},
    ],
)
def test_a_foreign_state_ends_in_one_sentence(fields: dict[str, Any], tmp_path: Path) -> None:
    state = State(x=np.zeros(12), **fields)
    state.save(tmp_path / "c.npz")
    for given in (state, tmp_path / "c.npz"):
        with pytest.raises(ValueError, match="state is of no CGLS on this problem: its field"):
            ip.solve(least_squares(), ip.CGLS(), state=given)


@pytest.mark.parametrize("fields", [{"loop": 3.0}, {"k": "7"}, {"scratch": [1.0]}])
def test_a_file_whose_fields_are_none_of_a_state(fields: dict[str, Any], tmp_path: Path) -> None:
    State(x=np.zeros(12), **fields).save(tmp_path / "c.npz")
    with pytest.raises(ValueError, match="which is no complete checkpoint"):
        ip.solve(least_squares(), ip.CGLS(), state=tmp_path / "c.npz")


def test_a_state_from_init_is_taken() -> None:
    problem, solver = saddle(), ip.PDHG()
    state = solver.init(solver.prepare(problem), np.zeros(12))
    run = ip.solve(problem, solver, state=state, stop=ip.stop.niter(3))
    assert np.array_equal(run.x, ip.solve(problem, solver, stop=ip.stop.niter(3)).x)


def test_copies_know_what_they_are_of() -> None:
    state = ip.solve(least_squares(), ip.CGLS(), stop=ip.stop.niter(4)).state
    for copied in (copy.copy(state), copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        with pytest.raises(ValueError, match="its data of"):
            ip.solve(least_squares(x=2 * X), ip.CGLS(), state=copied)


# ---------------------------------------------------------------- what was returned before, and growth


@EVERY
def test_going_on_leaves_the_image_returned_before(solver: Any, problem: Any) -> None:
    first = ip.solve(problem(x=np.arange(12.0) / 4), solver, stop=ip.stop.niter(2))
    x = first.x.copy()
    second = ip.solve(problem(x=np.arange(12.0) / 4), solver, state=first.state, stop=ip.stop.niter(5))
    assert np.array_equal(first.x, x) and not np.array_equal(second.x, x)


def test_best_iterates_returned_before_are_left() -> None:
    best = ip.callbacks.Best(X)
    first = ip.solve(least_squares(), ip.GradientDescent(), stop=ip.stop.niter(3), callbacks=[best])
    x, k = best.x.copy(), best.k
    more = {"state": first.state, "stop": ip.stop.niter(50), "callbacks": [ip.callbacks.Best(X)]}
    ip.solve(least_squares(), ip.GradientDescent(), **more)
    assert np.array_equal(best.x, x) and best.k == k


@pytest.mark.parametrize("excess", [1.005, 1.02, 1.5, 10.0])
def test_growth_that_is_slow_but_endless_is_seen(excess: float) -> None:
    """A norm given too small: u grows by a factor 2 excess - 1 in every step."""
    A = ip.operator(lambda u: u, lambda v: v, (8,), (8,), norm=(1 / excess) ** 0.5)
    solver = ip.GradientDescent(tau=1.999999 * excess)
    with pytest.raises(Diverged, match="grows without end"):
        ip.solve(ip.Problem(ip.L2(A, np.ones(8))), solver, stop=ip.stop.niter(1000))


@pytest.mark.parametrize("start", [1e-30, 1e-8])
def test_a_small_start_is_no_divergence(start: float) -> None:
    A = ip.JosephTransform((8, 8), np.arange(12) * np.pi / 12, dtype="float64")
    b = A.apply(np.ones((8, 8)))
    for solver, x0 in ((ip.MLEM(), start * np.ones((8, 8))), (ip.GradientDescent(), start * np.ones((8, 8)))):
        f = ip.KL(A, b) if isinstance(solver, ip.MLEM) else ip.L2(A, b)
        ip.solve(ip.Problem(f), solver, x0=x0, stop=ip.stop.niter(1000))
