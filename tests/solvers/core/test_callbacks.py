"""Callbacks: what they see, when they are called, and that they end with the run."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox import files
from ipbox.backend import to_host
from ipbox.solvers import State
from ipbox.solvers.krylov import cgls as krylov
from tests.contracts.solvers.registry import RIDGE, STEP, operator


def ridge(xp: ModuleType = np) -> ip.Problem:
    return RIDGE.problem(RIDGE.draw(xp, "float64"), xp, "float64")


def solve(n: int, *callbacks: Any, problem: ip.Problem | None = None, **options: Any) -> ip.solvers.Solution:
    stop = ip.stop.niter(n)
    return ip.solve(problem or ridge(), ip.GradientDescent(), stop=stop, callbacks=callbacks, **options)


def test_called_before_the_first_step_and_after_every_one(xp: ModuleType) -> None:
    seen: list[tuple[int, float]] = []
    problem = ridge(xp)
    solve(3, lambda run: seen.append((run.k, run.objective())), problem=problem)
    xs = [problem.objective(run.x) for run in ip.iterate(problem, ip.GradientDescent(), stop=ip.stop.niter(3))]
    assert seen == list(enumerate(xs))


def test_a_quantity_is_computed_once_in_a_step_and_only_when_asked() -> None:
    calls = []
    problem = ridge()
    evaluate = problem.objective
    problem.objective = lambda x: calls.append(1) or evaluate(x)
    solve(5, problem=problem)
    assert calls == []
    solve(4, lambda run: run.objective(), lambda run: run.objective(), problem=problem)
    assert len(calls) == 5


# ---------------------------------------------------------------- history and metrics


def test_history(xp: ModuleType) -> None:
    problem = ridge(xp)
    sol = solve(7, ip.callbacks.History(every=3, data_residual=True), problem=problem)
    assert [set(r) for r in sol.history] == [{"k", "seconds", "objective", "data_residual"}] * 4
    assert [r["k"] for r in sol.history] == [0, 3, 6, 7]
    assert sol.history[-1]["objective"] == problem.objective(sol.x)
    assert np.isclose(sol.history[-1]["data_residual"], problem.residual_norm(sol.x))
    assert (np.diff([r["seconds"] for r in sol.history]) > 0).all()


def test_history_of_the_gap() -> None:
    problem = STEP.problem(STEP.draw(np, "float64"), np, "float64")
    history = ip.callbacks.History(every=10, objective=False, gap=True)
    sol = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(40), callbacks=[history])
    gaps = [r["gap"] for r in sol.history]
    assert [set(r) for r in sol.history] == [{"k", "seconds", "gap"}] * 5
    assert gaps[-1] < 1e-3 * gaps[0]


def test_history_of_a_resumed_run_begins_where_that_begins() -> None:
    first = solve(4)
    sol = solve(4, ip.callbacks.History(every=2), state=first.state)
    assert [r["k"] for r in sol.history] == [4, 6, 8]


def test_columns_of_the_history() -> None:
    x_true = np.ones((8, 8))
    problem = ip.Problem(ip.L2(b=x_true))
    both = ip.callbacks.History(every=2), ip.callbacks.Metrics(x_true, every=1)
    sol = ip.solve(problem, ip.GradientDescent(tau=0.5), stop=ip.stop.niter(4), callbacks=both)
    assert sol.history["k"].tolist() == [0, 1, 2, 3, 4] and len(sol.history) == 5
    assert np.isnan(sol.history["objective"]).tolist() == [False, True, False, True, False]
    np.testing.assert_allclose(sol.history["nrmse"], 0.5 ** np.arange(5))
    with pytest.raises(KeyError, match="'error' is in no record of the history; expected one of k, nrmse, objective"):
        sol.history["error"]
    with pytest.raises(KeyError, match="expected one of none"):
        ip.solve(problem, ip.GradientDescent(), stop=ip.stop.niter(1)).history["psnr"]


def test_columns_of_the_history_of_a_batch() -> None:
    b = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    x0 = np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    metrics = ip.callbacks.Metrics(b, every=1, metrics={"error": ip.nrmse})
    stop = ip.stop.residual(1e-12, every=1) | ip.stop.niter(3)
    sol = ip.solve(ip.Problem(ip.L2(b=b), batch=3), ip.GradientDescent(tau=0.5), x0=x0, stop=stop, callbacks=[metrics])
    errors = [[0, 1, 1], [np.nan, 0.5, 0.5], [np.nan, 0.25, 0.25], [np.nan, 0.125, 0.125]]
    np.testing.assert_allclose(sol.history["error"], errors)


def test_metrics_against_a_known_truth() -> None:
    x_true = np.add.outer(np.arange(8.0), np.arange(8.0)) / 14
    problem = ip.Problem(ip.L2(b=x_true))
    sol = ip.solve(
        problem, ip.GradientDescent(tau=0.5), stop=ip.stop.niter(6), callbacks=[ip.callbacks.Metrics(x_true, every=2)]
    )
    assert [r["k"] for r in sol.history] == [0, 2, 4, 6]
    assert np.allclose(
        [r["nrmse"] for r in sol.history], [ip.nrmse(x_true * (1 - 0.5**k), x_true) for k in (0, 2, 4, 6)]
    )
    assert (np.diff([r["psnr"] for r in sol.history]) > 0).all()


@pytest.mark.parametrize("make", [ip.callbacks.History, lambda every: ip.callbacks.Metrics(np.ones(2), every)])
@pytest.mark.parametrize("every", [0, -1, 2.5, "3"])
def test_bad_interval(make: Any, every: Any) -> None:
    with pytest.raises(ValueError, match="^every is .*; expected a positive integer"):
        make(every)


# ---------------------------------------------------------------- the best iterate


def semiconvergent(xp: ModuleType = np, batch: int | None = None) -> tuple[ip.Problem, Any]:
    """Ill-conditioned least squares with noise, from a known truth: the error falls, then rises."""
    rng = np.random.default_rng(4)
    m = np.linalg.qr(rng.standard_normal((8, 8)))[0] * np.geomspace(1, 1e-3, 8)
    x = rng.standard_normal((batch or 1, 8))
    b = x @ m.T + 0.3 * rng.standard_normal(x.shape)
    x, b = (x[0], b[0]) if batch is None else (x, b)
    A = operator(m, xp, np.float64, (8,))
    return ip.Problem(ip.L2(A, xp.asarray(b)), batch=batch), xp.asarray(x)


def errors(problem: ip.Problem, x_true: Any, n: int) -> np.ndarray:
    runs = ip.iterate(problem, ip.GradientDescent(), stop=ip.stop.niter(n))
    return np.array([np.linalg.norm(to_host(run.x - x_true), axis=-1) for run in runs])


def test_best_iterate_is_that_of_the_least_error(xp: ModuleType) -> None:
    problem, x_true = semiconvergent(xp)
    error = errors(problem, x_true, 3000)
    best = ip.callbacks.Best(x_true)
    sol = solve(3000, best, problem=problem)
    assert best.k == error.argmin() and 0 < best.k < 3000
    assert np.isclose(np.linalg.norm(to_host(best.x - x_true)), error.min())
    assert best.value == ip.psnr(best.x, x_true) > ip.psnr(sol.x, x_true)


def test_best_iterate_of_another_metric() -> None:
    problem, x_true = semiconvergent()
    best = ip.callbacks.Best(x_true, metric=lambda x, y: -abs(x - y).max())
    solve(200, best, problem=problem)
    xs = [run.x.copy() for run in ip.iterate(problem, ip.GradientDescent(), stop=ip.stop.niter(200))]
    assert best.k == np.argmin([abs(x - x_true).max() for x in xs])


def test_best_iterate_survives_a_checkpoint(tmp_path: Path) -> None:
    problem, x_true = semiconvergent()
    whole = ip.callbacks.Best(x_true)
    solve(3000, whole, problem=problem)
    first, second = ip.callbacks.Best(x_true), ip.callbacks.Best(x_true)
    solve(2900, first, ip.callbacks.Checkpoint(tmp_path / "s.npz", every=3000), problem=problem)
    solve(100, second, problem=problem, state=tmp_path / "s.npz")
    assert (second.k, second.value) == (first.k, first.value) == (whole.k, whole.value)
    assert np.array_equal(second.x, whole.x)


def test_best_iterates_of_a_batch_whose_samples_stop_apart() -> None:
    problem, x_true = semiconvergent(batch=3)
    alone = errors(problem, x_true, 3000)
    levels = np.array([1.0, 0.2, 0.5])
    best = ip.callbacks.Best(x_true)
    stop = ip.stop.discrepancy(levels, 1.0) | ip.stop.niter(3000)
    sol = ip.solve(problem, ip.GradientDescent(), stop=stop, callbacks=[best])
    steps = sol.extra["niter_per_sample"]
    assert len(set(steps)) > 1
    for i, n in enumerate(steps):
        assert best.k[i] == alone[: n + 1, i].argmin()
        assert np.isclose(np.linalg.norm(best.x[i] - x_true[i]), alone[: n + 1, i].min(), rtol=1e-9)
        assert np.isclose(best.value[i], ip.psnr(best.x[i], x_true[i]))


def test_best_iterate_of_a_truth_that_does_not_fit() -> None:
    with pytest.raises(TypeError, match="^x_true is list; expected an array"):
        ip.callbacks.Best([1.0])
    with pytest.raises(ValueError, match=r"^x_true has shape \(5,\); expected"):
        solve(3, ip.callbacks.Best(np.ones(5)))


# ---------------------------------------------------------------- progress


def test_progress_names_the_solver_and_the_rule_that_fired(capsys: pytest.CaptureFixture) -> None:
    sol = solve(5, progress=True)
    shown = capsys.readouterr().err
    assert "GradientDescent" in shown and "stop: niter" in shown and "5it" in shown
    solve(2, ip.callbacks.Progress("my solve"), state=sol.state)
    assert "my solve" in capsys.readouterr().err


def test_progress_of_a_batch(capsys: pytest.CaptureFixture) -> None:
    b = RIDGE.draw(np, "float64", batch=2)
    ip.solve(RIDGE.problem(b, np, "float64"), ip.CGLS(), stop=ip.stop.niter(3), progress=True)
    assert "3it" in capsys.readouterr().err


def test_the_bar_is_closed_after_an_error(capsys: pytest.CaptureFixture) -> None:
    bar = ip.callbacks.Progress()

    def fail(run: Any) -> None:
        if run.k == 2:
            raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        solve(5, bar, fail)
    assert bar._bar is None


# ---------------------------------------------------------------- checkpoints


def test_checkpoint_every_few_iterations(tmp_path: Path) -> None:
    path, saved = tmp_path / "run.npz", []
    solve(7, ip.callbacks.Checkpoint(path, every=3), lambda run: saved.append(State.load(path).k))
    assert saved == [0, 0, 0, 3, 3, 3, 6, 6]
    assert State.load(path).k == 7  # and at the end


def test_checkpoint_after_some_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SHARE", 1.0)  # what saving takes is not too much
    path = tmp_path / "run.npz"
    solve(2, ip.callbacks.Checkpoint(path, seconds=3600), lambda run: path.exists() and pytest.fail("too early"))
    assert State.load(path).k == 2
    saved = []
    solve(2, ip.callbacks.Checkpoint(path, seconds=1e-9), lambda run: saved.append(State.load(path).k))
    assert saved == [0, 1, 2]


def test_a_run_that_was_interrupted_goes_on(tmp_path: Path, xp: ModuleType) -> None:
    path, problem = tmp_path / "run.npz", ridge(xp)

    def interrupt(run: Any) -> None:
        if run.k == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve(9, ip.callbacks.Checkpoint(path, every=100), interrupt, problem=problem)
    assert State.load(path, xp.__name__).k == 5
    assert to_host(solve(4, state=path, problem=problem).x).tobytes() == to_host(solve(9, problem=problem).x).tobytes()


def test_an_interrupt_within_a_step_leaves_the_last_whole_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """x is already new and the residual still old: this state must not be saved."""
    path, problem = tmp_path / "run.npz", ridge()
    adjoint, calls = krylov.adjoint, []

    def interrupt(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 6:  # once at the start and once in each step: in the fifth
            raise KeyboardInterrupt
        adjoint(*args)

    monkeypatch.setattr(krylov, "adjoint", interrupt)
    stop, save = ip.stop.niter(9), ip.callbacks.Checkpoint(path, every=1)
    with pytest.raises(KeyboardInterrupt):
        ip.solve(problem, ip.CGLS(), stop=stop, callbacks=[save])
    monkeypatch.undo()
    assert State.load(path).k == 4
    resumed = ip.solve(problem, ip.CGLS(), state=path, stop=ip.stop.niter(9, total=True))
    assert resumed.x.tobytes() == ip.solve(problem, ip.CGLS(), stop=stop).x.tobytes()


@pytest.mark.parametrize(
    ("path", "options", "error", "message"),
    [
        ("run.h5", {}, ValueError, r"^path is .*run\.h5; expected a file that ends in \.npz"),
        ("nowhere/run.npz", {}, FileNotFoundError, "^path is .*; its folder does not exist"),
        ("run.npz", {"every": 0}, ValueError, "^every is 0"),
        ("run.npz", {"seconds": -1.0}, ValueError, "^seconds is -1.0; expected a positive number"),
        ("run.npz", {"seconds": float("nan")}, ValueError, "^seconds is nan"),
    ],
)
def test_bad_checkpoint(path: str, options: dict, error: type, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        ip.callbacks.Checkpoint(tmp_path / path, **options)


# ---------------------------------------------------------------- divergence


def test_divergence_is_an_error_that_names_what_to_check() -> None:
    """A step size that passes the check because the operator's norm is wrong."""
    problem = ridge()
    matrix = problem.terms[0].A.matrix
    matrix *= 1e5
    with np.errstate(all="ignore"), pytest.raises(ip.solvers.Diverged, match="Descent diverged.*check the step"):
        ip.solve(problem, ip.GradientDescent(tau=0.5), stop=ip.stop.niter(1000))


def test_divergence_keeps_the_last_good_iterate() -> None:
    """A step of 2.2/L: the error grows by 1.2 in a step, so the image doubles in a few of them."""
    problem = ridge()
    L = problem.terms[0].A.norm() ** 2
    matrix = problem.terms[0].A.matrix
    matrix *= 2.2**0.5  # behind the operator's back
    seen = {}
    record = lambda run: seen.setdefault(run.k, run.x.copy())  # noqa: E731
    with np.errstate(all="ignore"), pytest.raises(ip.solvers.Diverged) as caught:
        ip.solve(problem, ip.GradientDescent(tau=1.5 / L), stop=ip.stop.niter(5000), callbacks=[record])
    error = caught.value
    assert error.k >= 1 and np.array_equal(error.x, seen[error.k])
    assert np.linalg.norm(error.x) < 100 * np.linalg.norm(seen[1])
    assert max(seen) < 5000


@pytest.mark.parametrize("solver", [ip.GradientDescent(), ip.CGLS(), ip.LSQR(), ip.SIRT(), ip.Kaczmarz(), ip.SPDHG(3)])
@pytest.mark.parametrize(("dtype", "start"), [("float64", 1e-15), ("float64", 1e-200), ("float32", 1e-25)])
def test_a_start_that_is_far_too_small_is_no_divergence(solver: ip.solvers.Solver, dtype: str, start: float) -> None:
    b = RIDGE.draw(np, dtype)
    A = ip.as_operator(np.random.default_rng(0).uniform(0.1, 1, (len(b), 5)).astype(dtype))
    problem = ip.Problem(ip.L2(A, b))
    tiny, zero = (ip.solve(problem, solver, x0=np.full(5, x, dtype), stop=ip.stop.niter(40)).x for x in (start, 0.0))
    assert np.linalg.norm(zero) > 0 and np.allclose(tiny, zero, rtol=1e-3)


@pytest.mark.parametrize("solver", [ip.GradientDescent(), ip.CGLS(), ip.LSQR(), ip.LBFGS(), ip.SIRT()])
@pytest.mark.parametrize("scale", [1e-24, 1e20])
def test_single_precision_at_every_scale_of_the_data(solver: ip.solvers.Solver, scale: float) -> None:
    """Squares leave the range of float32; the images do not."""
    A = ip.as_operator(np.random.default_rng(0).uniform(0.1, 1, (12, 5)).astype("float32"))
    b = A.apply(np.arange(1, 6, dtype="float32"))
    found = [ip.solve(ip.Problem(ip.L2(A, b * np.float32(a))), solver, stop=ip.stop.niter(2)).x for a in (1, scale)]
    assert np.allclose(found[1].astype("float64") / scale, found[0], rtol=2e-3, atol=2e-3)


def test_a_resumed_run_that_diverges_is_stopped() -> None:
    problem = ridge()
    state = ip.solve(problem, ip.GradientDescent(tau=0.5), stop=ip.stop.niter(1000)).state
    matrix = problem.terms[0].A.matrix
    matrix *= 30.0  # behind the operator's back
    with np.errstate(all="ignore"), pytest.raises(ip.solvers.Diverged) as caught:
        ip.solve(problem, ip.GradientDescent(tau=0.5), state=state, stop=ip.stop.niter(40))
    assert 1000 <= caught.value.k < 1040 and np.isfinite(caught.value.x).all()


# ---------------------------------------------------------------- a callback that returns True


@pytest.mark.parametrize("yes", [True, np.True_, np.array(True)])
def test_a_callback_that_returns_true_ends_the_run(yes: Any, xp: ModuleType) -> None:
    answer = xp.asarray(yes) if isinstance(yes, np.ndarray) else yes
    sol = solve(9, lambda run: answer if run.k == 4 else None, problem=ridge(xp))
    assert (sol.stop, sol.niter) == ("callback", 4)
    assert bool((sol.x == solve(4, problem=ridge(xp)).x).all())
    assert solve(3, state=sol.state, problem=ridge(xp)).niter == 7


@pytest.mark.parametrize("other", [None, False, 1, "stop", np.ones(2, bool), np.False_])
def test_what_else_a_callback_returns_is_nothing(other: Any) -> None:
    assert solve(3, lambda run: other).stop == "niter"


def test_every_callback_is_called_and_the_last_iterate_recorded() -> None:
    seen: list[int] = []
    callbacks = ip.callbacks.History(every=10), lambda run: run.k == 3, lambda run: seen.append(run.k)
    sol = solve(9, *callbacks)
    assert seen == [0, 1, 2, 3]
    assert [r["k"] for r in sol.history] == [0, 3]
    assert sol.history[-1]["objective"] == ridge().objective(sol.x)


def test_a_callback_ends_all_samples_of_a_batch() -> None:
    b = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
    problem = ip.Problem(ip.L2(b=b), batch=3)
    stop = ip.stop.residual(1e-12, every=1) | ip.stop.niter(50)
    history = ip.callbacks.History(every=40)
    sol = ip.solve(
        problem, ip.GradientDescent(tau=0.5), stop=stop, callbacks=[history, lambda run: run.k == 5], x0=0.0 * b
    )
    assert sol.stop == ["residual", "callback", "callback"]
    assert sol.extra["niter_per_sample"] == [0, 5, 5]
    assert sol.history[-1]["k"] == 5 and sol.history[-1]["samples"] == [1, 2]


def test_a_rule_for_the_weight_goes_on_after_solves_that_a_callback_ends() -> None:
    b = np.random.default_rng(0).random((12, 12))
    _, info = ip.tv(None, b, "l_curve", callbacks=[lambda run: run.k == 5])
    assert info.niter == 5 and info.stop == "callback"


def test_a_function_for_a_list_of_them() -> None:
    with pytest.raises(TypeError, match=r"^callbacks is a function; expected a list of them: callbacks=\[function\]$"):
        ip.cgls(np.eye(2), np.ones(2), niter=1, callbacks=lambda run: None)
