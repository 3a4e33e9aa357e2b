"""Grid and scalar search: the best of what they look at, budgets, restarts."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import tqdm.auto

import ipbox as ip
from ipbox.bilevel import (
    LBFGSB,
    BilevelProblem,
    GridSearch,
    LowerLevel,
    ScalarSearch,
    SmoothedTVRegulariser,
    Unrolled,
    Weight,
)


def problem(parameters: int = 1) -> BilevelProblem:
    x = np.repeat(np.array([0.0, 1.0, 0.4, 0.8]), 8)[None] * np.array([[1.0], [0.5], [-0.7]])
    b = x + 0.1 * np.random.default_rng(0).standard_normal(x.shape)
    terms = {
        1: Weight(ip.SmoothedTV((32,), eps=0.05)),
        2: SmoothedTVRegulariser((32,), learn=("alpha", "nu")),
        3: SmoothedTVRegulariser((32,)),
        4: None,
    }
    if parameters == 4:
        return BilevelProblem(x, LowerLevel(None, b, terms[3], terms[1]))
    return BilevelProblem(x, LowerLevel(None, b, terms[parameters]))


@pytest.mark.parametrize(("parameters", "points"), [(1, 7), (2, (4, 3)), (3, (2, 3, 2)), (2, (1, 4))])
def test_the_grid_is_whole_and_its_best_is_the_result(parameters: int, points: int | tuple[int, ...]) -> None:
    p = problem(parameters)
    low, high = np.full(parameters, -2.0), np.full(parameters, -0.5)
    found = GridSearch(points, accuracy=1e-4).minimise(p.evaluator(), bounds=(low, high))
    counts = np.broadcast_to(points, (parameters,))
    axes = [np.linspace(-2.0, -0.5, k) if k > 1 else [-1.25] for k in counts]
    assert sorted(tuple(row["theta"]) for row in found.history) == sorted(itertools.product(*axes))
    assert found.f == min(row["f"] for row in found.history)
    assert found.stop == "grid"
    values = {tuple(row["theta"]): row["f"] for row in found.history}
    assert values[tuple(found.theta)] == found.f
    cold = p.evaluator(warm=False)
    for row in found.history[:3]:
        exact = cold.evaluate(row["theta"], 1e-9)
        assert abs(row["f"] - exact.f) <= row["f_bound"] + exact.bound


def test_the_grid_is_walked_from_neighbour_to_neighbour() -> None:
    found = GridSearch((3, 4, 3)).minimise(problem(3).evaluator(), bounds=(-2.0, -0.5))
    theta = np.array([row["theta"] for row in found.history])
    step = np.array([1.5 / 2, 1.5 / 3, 1.5 / 2])
    assert np.allclose(np.abs(np.diff(theta, axis=0) / step).sum(axis=1), 1.0)


def test_scalar_search_finds_the_stationary_point() -> None:
    p = problem()
    found = ScalarSearch(tol=1e-6, accuracy=1e-9).minimise(p.evaluator(), bounds=(-4.0, 1.0))
    exact = LBFGSB().minimise(p.evaluator(), [-2.0], (-4.0, 1.0))
    assert abs(found.theta[0] - exact.theta[0]) < 1e-4
    assert len(found.history) < 40
    assert found.stop == "tol"


def test_scalar_search_of_an_interval_without_length() -> None:
    found = ScalarSearch().minimise(problem().evaluator(), bounds=(-1.0, -1.0))
    assert found.theta.tolist() == [-1.0]


class Killed(Exception):
    pass


@pytest.mark.parametrize("method", [GridSearch(8), ScalarSearch()])
def test_a_callback_that_returns_true_ends_the_search(method: GridSearch | ScalarSearch, tmp_path: Path) -> None:
    p, path = problem(), tmp_path / "search.npz"
    whole = method.minimise(p.evaluator(), bounds=(-3.0, 0.0))
    stopped = method.minimise(
        p.evaluator(), bounds=(-3.0, 0.0), checkpoint=path, callback=lambda row: row["iteration"] == 3
    )
    assert stopped.stop == "callback"
    assert [r["f"] for r in stopped.history] == [r["f"] for r in whole.history[:4]]
    resumed = method.minimise(p.evaluator(), bounds=(-3.0, 0.0), checkpoint=path)
    assert np.array_equal(resumed.theta, whole.theta) and vars(resumed.cost) == vars(whole.cost)


@pytest.mark.parametrize("method", [GridSearch(8), ScalarSearch()])
def test_a_killed_search_loses_nothing(method: GridSearch | ScalarSearch, tmp_path: Path) -> None:
    p, path = problem(), tmp_path / "search.npz"

    def kill(row: dict) -> None:
        if row["iteration"] == 4:
            raise Killed

    whole = method.minimise(p.evaluator(), bounds=(-3.0, 0.0))
    with pytest.raises(Killed):
        method.minimise(p.evaluator(), bounds=(-3.0, 0.0), checkpoint=path, callback=kill)
    rows: list[dict] = []
    resumed = method.minimise(p.evaluator(), bounds=(-3.0, 0.0), checkpoint=path, callback=rows.append)
    assert len(rows) == len(whole.history) - 5
    assert [r["f"] for r in resumed.history] == [r["f"] for r in whole.history]
    assert np.array_equal(resumed.theta, whole.theta)
    assert vars(resumed.cost) == vars(whole.cost)
    with pytest.raises(ValueError, match="of another run"):
        method.minimise(p.evaluator(), bounds=(-3.0, 1.0), checkpoint=path)
    again = method.minimise(p.evaluator(), bounds=(-3.0, 0.0), checkpoint=path)  # of a run that was done
    assert again.f == whole.f


def test_a_checkpoint_of_other_data_is_found_out(tmp_path: Path) -> None:
    path, p = tmp_path / "search.npz", problem()
    ScalarSearch().minimise(p.evaluator(), bounds=(-3.0, 0.0), iterations=6, checkpoint=path)
    saved = ip.solvers.State.load(path)
    saved.log[3]["theta"] = saved.log[3]["theta"] + 0.1
    saved.save(path)
    with pytest.raises(ValueError, match="is due"):
        ScalarSearch().minimise(p.evaluator(), bounds=(-3.0, 0.0), iterations=9, checkpoint=path)


def test_budgets() -> None:
    p = problem()
    found = GridSearch(20).minimise(p.evaluator(), bounds=(-3.0, 0.0), work=100.0)
    assert found.stop == "work"
    assert found.history[-2]["work"] < 100 <= found.history[-1]["work"]
    found = ScalarSearch().minimise(p.evaluator(), bounds=(-3.0, 0.0), iterations=5)
    assert found.stop == "iterations"
    assert len(found.history) == 5


def test_progress_shows_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    GridSearch(3).minimise(problem().evaluator(), bounds=(-3.0, 0.0), progress=True)
    assert "GridSearch" in capsys.readouterr().err


@pytest.mark.parametrize("method", [GridSearch(3), ScalarSearch(), Unrolled(5)])
def test_the_bar_is_closed_whatever_happens(method: object, monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[object] = []

    class Bar(tqdm.auto.tqdm):
        def close(self) -> None:
            bars.append(self)
            super().close()

    def kill(row: dict) -> None:
        raise Killed

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    with pytest.raises(Killed) as info:
        method.minimise(problem().evaluator(), [-1.0], (-3.0, 0.0), callback=kill, progress=True)
    assert len(bars) == 1 and info.tb is not None  # whose frames keep the bar from closing when it is collected


def test_bad_input() -> None:
    p = problem()
    for points in (0, -3, 2.5, True, (3, 0)):
        with pytest.raises(ValueError, match="points is"):
            GridSearch(points)
    with pytest.raises(ValueError, match="accuracy is 0"):
        GridSearch(3, accuracy=0)
    with pytest.raises(ValueError, match="tol is -1"):
        ScalarSearch(tol=-1)
    with pytest.raises(ValueError, match="bounds is None"):
        GridSearch(3).minimise(p.evaluator())
    with pytest.raises(ValueError, match="expected finite numbers"):
        GridSearch(3).minimise(p.evaluator(), bounds=(-np.inf, 0.0))
    with pytest.raises(ValueError, match="bounds cross"):
        ScalarSearch().minimise(p.evaluator(), [0.0], bounds=(0.0, -1.0))
    with pytest.raises(ValueError, match="outside its bounds"):
        GridSearch(3).minimise(p.evaluator(), [1.0], bounds=(-2.0, 0.0))
    with pytest.raises(ValueError, match="points is .3, 3.; expected an integer, or 1"):
        GridSearch((3, 3)).minimise(p.evaluator(), bounds=(-2.0, 0.0))
    with pytest.raises(ValueError, match="theta has 4 entries; expected at most 3"):
        GridSearch(2).minimise(problem(4).evaluator(), bounds=(-2.0, 0.0))
    with pytest.raises(ValueError, match="theta has 2 entries; ScalarSearch expects one"):
        ScalarSearch().minimise(problem(2).evaluator(), bounds=(-2.0, 0.0))
    with pytest.raises(TypeError, match="evaluator is BilevelProblem"):
        GridSearch(3).minimise(p, bounds=(-2.0, 0.0))
    with pytest.raises(ValueError, match="work is -1"):
        GridSearch(3).minimise(p.evaluator(), bounds=(-2.0, 0.0), work=-1)
