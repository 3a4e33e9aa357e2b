"""Batches: every sample stops by itself, freezes, and ends where it would have ended alone."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.backend import to_host
from ipbox.solvers import State
from tests.contracts.solvers.registry import LASSO, NONNEG, RIDGE, STEP, Family

EVERY_SOLVER = [
    (ip.GradientDescent(), RIDGE),
    (ip.CGLS(), RIDGE),
    (ip.ForwardBackward(), NONNEG),
    (ip.FISTA(), NONNEG),
    (ip.PDHG(), LASSO),
    (ip.PDHG(), STEP),
    (ip.PDHG(accelerate=False), RIDGE),
]
every_solver = pytest.mark.parametrize(
    ("solver", "family"), EVERY_SOLVER, ids=[f"{type(s).__name__}-{f.name}" for s, f in EVERY_SOLVER]
)
RULE = ip.stop.residual(1e-2, every=2) | ip.stop.niter(60)


def samples(family: Family, xp: ModuleType = np) -> Any:
    """Data whose solves end at different iterations: one sample is zero and is done at once."""
    b = family.draw(np, "float64", batch=4, seed=7)
    b[1] = 0
    return xp.asarray(b * np.array([1.0, 1.0, 3.0, 0.2]).reshape((-1,) + (1,) * (b.ndim - 1)))


class Interrupt(Exception):
    pass


class StopAt:
    """Raises at iteration k, as Ctrl-C does."""

    def __init__(self, k: int) -> None:
        self.k = k

    def __call__(self, run: Any) -> None:
        if run.k == self.k:
            raise Interrupt


# ---------------------------------------------------------------- against the loop


@every_solver
@pytest.mark.parametrize(
    "rule",
    [
        RULE,
        ip.stop.relative_change(3e-2) | ip.stop.niter(60),
        ip.stop.relative_change(3e-2, every=3) & ip.stop.niter(5),
    ],
    ids=["residual", "change", "change & niter"],
)
def test_each_sample_stops_where_it_stops_alone(solver: Any, family: Family, rule: Any, xp: ModuleType) -> None:
    b = samples(family, xp)
    sol = ip.solve(family.problem(b, xp, np.float64), solver, stop=rule)
    certificate = np.broadcast_to(np.asarray(sol.certificate.bound, dtype=object), (4,))
    for i in range(4):
        alone = ip.solve(family.problem(b[i], xp, np.float64), solver, stop=rule)
        assert (sol.stop[i], sol.extra["niter_per_sample"][i]) == (alone.stop, alone.niter)
        assert np.allclose(to_host(sol.x[i]), to_host(alone.x), rtol=1e-9, atol=1e-12)
        if alone.certificate.bound is not None:
            assert np.isclose(float(certificate[i]), float(alone.certificate.bound), rtol=1e-6, atol=1e-6)
    assert len(set(sol.extra["niter_per_sample"])) > 1
    assert sol.niter == max(sol.extra["niter_per_sample"])


@every_solver
def test_done_samples_keep_their_values(solver: Any, family: Family, xp: ModuleType) -> None:
    """Bit for bit, from the moment they stop to the end."""
    seen: dict[int, bytes] = {}

    def watch(run: Any) -> None:
        for i, sample in enumerate(run.samples):
            seen[int(sample)] = to_host(run.x[i]).tobytes()

    sol = ip.solve(family.problem(samples(family, xp), xp, np.float64), solver, stop=RULE, callbacks=[watch])
    assert [seen[i] for i in range(4)] == [to_host(x).tobytes() for x in sol.x]


@every_solver
def test_done_samples_cost_nothing(solver: Any, family: Family) -> None:
    sizes = []
    ip.solve(
        family.problem(samples(family), np, np.float64),
        solver,
        stop=RULE,
        callbacks=[lambda run: sizes.append(len(run.x))],
    )
    assert sizes[0] == 4 and sizes[-1] <= 3
    assert sizes == sorted(sizes, reverse=True)


def test_a_batch_of_one() -> None:
    b = samples(RIDGE)[:1]
    sol = ip.solve(RIDGE.problem(b, np, np.float64), ip.CGLS(), stop=RULE)
    alone = ip.solve(RIDGE.problem(b[0], np, np.float64), ip.CGLS(), stop=RULE)
    assert sol.x.shape == (1, 3, 4) and np.allclose(sol.x[0], alone.x, rtol=1e-12)


def test_one_set_of_data_for_every_sample() -> None:
    """Shared data, and a start for each sample."""
    b, x0 = RIDGE.draw(np, np.float64), np.random.default_rng(0).standard_normal((3, 3, 4))
    problem = ip.Problem(RIDGE.objective(b, np, np.float64), batch=3)
    sol = ip.solve(problem, ip.CGLS(), x0=x0, stop=ip.stop.residual(1e-10, every=1))
    assert np.allclose(sol.x, RIDGE.solution(b, np.float64), rtol=1e-8)


def test_warm_started_prox_in_a_batch() -> None:
    """The dual variables that TV.prox keeps belong to the samples, also when some are done before the first step."""
    b = samples(STEP)
    rule = ip.stop.relative_change(1e-3) | ip.stop.niter(30)

    def problem(i: Any, batch: int | None) -> ip.Problem:
        return ip.Problem(ip.L2(b=b if i is None else b[i]) + 0.3 * ip.TV((6, 4)), batch=batch)

    solver = ip.ForwardBackward(tau=0.7)
    sol = ip.solve(problem(None, 4), solver, stop=rule)
    for i in range(4):
        alone = ip.solve(problem(i, None), solver, stop=rule)
        assert sol.extra["niter_per_sample"][i] == alone.niter
        assert np.allclose(sol.x[i], alone.x, atol=1e-12)
    again = ip.solve(problem(None, 4), solver, state=sol.state, stop=ip.stop.niter(2))
    assert np.isfinite(again.x).all() and np.allclose(again.x, sol.x, atol=1e-2)


# ---------------------------------------------------------------- resume


@every_solver
@pytest.mark.parametrize("k", [1, 5, 9])
def test_a_checkpoint_between_the_stops_goes_on_to_the_same_end(
    solver: Any, family: Family, k: int, tmp_path: Path, xp: ModuleType
) -> None:
    """Interrupted when some samples are done and others are not."""
    problem = family.problem(samples(family, xp), xp, np.float64)
    whole = ip.solve(problem, solver, stop=RULE)
    assert min(whole.extra["niter_per_sample"]) < 1
    path = tmp_path / "state.npz"
    calls = [ip.callbacks.Checkpoint(path, every=1), StopAt(min(k, whole.niter))]
    with pytest.raises(Interrupt):
        ip.solve(problem, solver, stop=RULE, callbacks=calls)
    saved = State.load(path, xp.__name__)
    assert saved.x.shape == problem.shape and saved.loop["stops"][1] == "residual"
    resumed = ip.solve(problem, solver, state=path, stop=RULE)
    assert resumed.stop == whole.stop
    assert resumed.extra["niter_per_sample"] == whole.extra["niter_per_sample"]
    assert to_host(resumed.x).tobytes() == to_host(whole.x).tobytes()
    if whole.certificate.bound is not None:
        assert np.array_equal(resumed.certificate.bound, whole.certificate.bound)


@every_solver
def test_a_finished_batch_goes_on_with_all_samples(solver: Any, family: Family) -> None:
    problem = family.problem(samples(family), np, np.float64)
    first = ip.solve(problem, solver, stop=ip.stop.niter(4))
    assert first.stop == ["niter"] * 4
    second = ip.solve(problem, solver, state=first.state, stop=ip.stop.niter(3))
    whole = ip.solve(problem, solver, stop=ip.stop.niter(7))
    assert second.extra["niter_per_sample"] == [7] * 4
    assert second.x.tobytes() == whole.x.tobytes()


def test_checkpoint_at_the_end_of_a_batch_whose_last_samples_end_together(tmp_path: Path) -> None:
    problem = RIDGE.problem(samples(RIDGE), np, np.float64)
    rule = ip.stop.residual(1e-9, every=1) | ip.stop.niter(3)
    sol = ip.solve(problem, ip.CGLS(), stop=rule, callbacks=[ip.callbacks.Checkpoint(tmp_path / "s.npz", every=2)])
    assert sol.stop == ["niter", "residual", "niter", "niter"]
    assert State.load(tmp_path / "s.npz").x.tobytes() == sol.x.tobytes()


def test_state_of_another_batch_is_refused() -> None:
    sol = ip.solve(RIDGE.problem(samples(RIDGE), np, np.float64), ip.CGLS(), stop=ip.stop.niter(2))
    with pytest.raises(ValueError, match=r"^state holds an image of shape \(4, 3, 4\)"):
        ip.solve(RIDGE.problem(samples(RIDGE)[:3], np, np.float64), ip.CGLS(), state=sol.state)


# ---------------------------------------------------------------- callbacks


def test_history_names_the_samples_it_is_about(xp: ModuleType) -> None:
    problem = RIDGE.problem(samples(RIDGE, xp), xp, np.float64)
    history = ip.callbacks.History(every=2, data_residual=True)
    sol = ip.solve(problem, ip.CGLS(), stop=RULE, callbacks=[history])
    steps = [record["k"] for record in sol.history]
    assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == sol.niter
    assert sol.history[0]["samples"] == [0, 1, 2, 3] and sol.history[-1]["samples"] != [0, 1, 2, 3]
    for record in sol.history:
        assert len(record["samples"]) == len(record["objective"]) == len(record["data_residual"])
    last = {i: value for record in sol.history for i, value in zip(record["samples"], record["objective"], strict=True)}
    assert np.allclose([last[i] for i in range(4)], problem.objective(sol.x))


def test_history_of_a_batch_is_not_evaluated_in_every_iteration() -> None:
    problem = RIDGE.problem(samples(RIDGE), np, np.float64)
    sol = ip.solve(problem, ip.CGLS(), stop=ip.stop.niter(9), callbacks=[ip.callbacks.History(every=4)])
    assert [record["k"] for record in sol.history] == [0, 4, 8, 9]


def test_metrics_of_a_batch() -> None:
    b = samples(RIDGE)
    truth = np.stack([RIDGE.solution(bi, np.float64) for bi in b]) + 1
    error = ip.callbacks.Metrics(truth, every=3, metrics={"error": lambda x, y: float(np.abs(x - y).max())})
    sol = ip.solve(RIDGE.problem(b, np, np.float64), ip.CGLS(), stop=RULE, callbacks=[error])
    assert sol.history[0]["error"].shape == (4,)
    last = sol.history[-1]
    for i, value in zip(last["samples"], last["error"], strict=True):
        assert np.isclose(value, np.abs(sol.x[i] - truth[i]).max())


@pytest.mark.parametrize("stop", ["gap", 3])
def test_no_stop_rule(stop: Any) -> None:
    with pytest.raises(TypeError, match="^stop is"):
        ip.solve(RIDGE.problem(samples(RIDGE), np, np.float64), ip.CGLS(), stop=stop)


def test_a_foreign_functional_in_a_batch_is_taken_sample_by_sample() -> None:
    """PyProximal's L21 groups the entries of one flat vector: a whole batch at once would be grouped wrongly."""
    import pyproximal

    dims, b = (2, 3, 4), np.random.default_rng(5).standard_normal((3, 2, 3, 4))
    foreign = pyproximal.L21(ndim=2, sigma=0.3)
    with pytest.raises(ValueError, match="as_functional"):
        ip.Problem(ip.L2(b=b) + ip.as_functional(foreign), batch=3)
    problem = ip.Problem(ip.L2(b=b) + ip.as_functional(foreign, dims), batch=3)
    x = ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(3)).x
    exact = 0.3 * ip.L21()
    np.testing.assert_allclose(x, [exact.prox(sample, 1.0) for sample in b], atol=1e-12)


@pytest.mark.parametrize(
    "solver", [ip.BarzilaiBorwein(), ip.LBFGS(), ip.CG(), ip.CGLS(), ip.LSQR(), ip.HybridLSQR(), ip.SIRT()], ids=str
)
def test_a_checkpoint_with_samples_that_are_done(solver: ip.solvers.Solver, tmp_path: Path) -> None:
    """One sample is done at the start, where a state may hold one array under two names."""
    A = ip.as_operator(np.random.default_rng(0).standard_normal((9, 6)))
    problem = ip.Problem(
        ip.L2(A, np.random.default_rng(1).standard_normal((3, 9)) * np.array([[1.0], [0], [3]])), batch=3
    )

    def save(run: Any) -> None:
        run.whole_state().save(tmp_path / "run.npz")

    rule = ip.stop.residual(1e-30, every=1)
    whole = ip.solve(problem, solver, stop=rule | ip.stop.niter(5))
    with pytest.raises(Interrupt):
        ip.solve(problem, solver, stop=rule | ip.stop.niter(5), callbacks=[save, StopAt(3)])
    again = ip.solve(problem, solver, state=tmp_path / "run.npz", stop=rule | ip.stop.niter(5, total=True))
    assert whole.extra["niter_per_sample"] == [5, 0, 5] and again.x.tobytes() == whole.x.tobytes()


ROWS, COLUMNS = 6, 5
as_many_samples_as_rows = pytest.mark.parametrize(
    ("solver", "objective"),
    [
        (ip.PDHG(), lambda b: ip.L2(b=b) + 0.3 * ip.InfConvTV((ROWS, COLUMNS))),
        (ip.PDHG(), lambda b: ip.L2(b=b) + 0.3 * ip.TV((ROWS, COLUMNS), symmetric=True)),
        (ip.PDHG(tau=0.2), lambda b: ip.L2(b=b) + 0.3 * ip.TGV((ROWS, COLUMNS))),
        (ip.ForwardBackward(tau=0.7), lambda b: ip.L2(b=b) + 0.3 * ip.TV((ROWS, COLUMNS), symmetric=True)),
        (
            ip.PreconditionedPDHG(),
            lambda b: ip.L2(ip.Identity((ROWS, COLUMNS), "float64"), b) + 0.3 * ip.TV((ROWS, COLUMNS)),
        ),
        (ip.ADMM(), lambda b: ip.L2(b=b) + 0.3 * ip.TV((ROWS, COLUMNS))),
        (ip.LinearisedADMM(), lambda b: ip.L2(b=b) + 0.3 * ip.TV((ROWS, COLUMNS))),
        (ip.LBFGS(memory=ROWS), lambda b: ip.L2(b=b) + 0.3 * ip.SmoothedTV((ROWS, COLUMNS), eps=0.1)),
        (ip.CGLS(), lambda b: ip.L2(ip.Blur((ROWS, COLUMNS), np.ones((3, 3)) / 9, dtype="float64"), b) + 0.1 * ip.L2()),
        (ip.HybridLSQR(basis=ROWS), lambda b: ip.L2(ip.as_operator(MATRIX), b)),
        (ip.SIRT(), lambda b: ip.L2(ip.as_operator(MATRIX), b)),
        (ip.SPDHG(subsets=2), lambda b: ip.L2(ip.as_operator(MATRIX), b) + ip.NonNegative()),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, ip.solvers.Solver) else "",
)
VECTORS = (ip.HybridLSQR, ip.SIRT, ip.SPDHG)
MATRIX = np.random.default_rng(3).standard_normal((ROWS, ROWS)) + 3 * np.eye(ROWS)


@as_many_samples_as_rows
def test_as_many_samples_as_rows(solver: Any, objective: Any) -> None:
    """What belongs to no sample is declared, and not taken for one entry per sample when its first axis fits."""
    b = np.random.default_rng(4).standard_normal((ROWS, ROWS, COLUMNS))
    b *= np.array([1.0, 0.0, 3.0, 0.2, 1.0, 2.0]).reshape(-1, 1, 1)
    b = b[..., 0] if isinstance(solver, VECTORS) else b
    rule = ip.stop.relative_change(1e-3) | ip.stop.niter(6)
    together = ip.solve(ip.Problem(objective(b), batch=ROWS), solver, stop=rule)
    for i in range(ROWS):
        alone = ip.solve(ip.Problem(objective(b[i])), solver, stop=rule)
        assert together.extra["niter_per_sample"][i] == alone.niter
        assert np.allclose(together.x[i], alone.x, rtol=1e-8, atol=1e-10)
