"""`plot_history`: what it draws of a history, and `Solution.plot`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import numpy as np
import pytest

import ipbox as ip
from ipbox.curves import plot_history


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def test_every_quantity_has_an_axis() -> None:
    """Rows of several callbacks follow each other; what is unknown or no number is left out."""
    history = [
        {"k": 0, "seconds": 0.0, "objective": 100.0, "step": None, "note": "start", "theta": [1.0, 2.0]},
        {"k": 0, "seconds": 0.0, "psnr": 10.0},
        {"k": 10, "seconds": 2.0, "objective": 1.0, "step": 0.5},
        {"k": 10, "seconds": 2.0, "psnr": 200.0},
        {"k": 20, "seconds": 3.0, "objective": np.float32(0.5), "step": np.inf},
    ]
    axes = {ax.get_ylabel(): ax for ax in plot_history(history).axes}
    assert list(axes) == ["objective", "PSNR (dB)", "step"]
    assert axes["objective"].lines[0].get_xydata().tolist() == [[0, 100], [10, 1], [20, 0.5]]
    assert [ax.get_yscale() for ax in axes.values()] == ["log", "linear", "linear"]
    seconds = plot_history(history, against="seconds").axes[1]
    assert seconds.lines[0].get_xydata().tolist() == [[0, 10], [2, 200]] and seconds.get_xlabel() == "seconds"


def test_a_scale_is_logarithmic_where_values_allow_it() -> None:
    scales = {}
    for name, values in {"a": [1.0, 20.0], "b": [0.0, 20.0], "c": [1.0, 2.0], "d": [-1.0, -20.0]}.items():
        (ax,) = plot_history([{"k": k, name: v} for k, v in enumerate(values)]).axes
        scales[name] = ax.get_yscale()
    assert scales == {"a": "log", "b": "linear", "c": "linear", "d": "linear"}


def test_a_curve_for_every_sample_of_a_batch() -> None:
    """Samples that are done are no longer among those recorded."""
    history = [
        {"k": 0, "samples": [0, 1], "objective": np.array([4.0, 2.0])},
        {"k": 1, "samples": [1], "objective": np.array([1.0])},
    ]
    (ax,) = plot_history(history).axes
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[0, 4]], [[0, 2], [1, 1]]]


def test_of_a_solution(xp: ModuleType, tmp_path: Path) -> None:
    b = xp.eye(6)
    problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV((6, 6)))
    recorded = [ip.callbacks.History(5, gap=True), ip.callbacks.Metrics(b, every=5)]
    solution = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(20), callbacks=recorded)
    figure = solution.plot(tmp_path / "a.png")
    assert [ax.get_ylabel() for ax in figure.axes] == ["objective", "relative duality gap", "PSNR (dB)", "NRMSE"]
    assert figure.get_suptitle() == "PDHG: 20 iterations, stopped by niter"
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_of_a_batch() -> None:
    b = np.stack([np.eye(6), np.zeros((6, 6))])
    problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV((6, 6)), batch=2)
    solution = ip.solve(problem, ip.PDHG(), stop=ip.stop.gap(1e-3), callbacks=[ip.callbacks.History(1)])
    (ax,) = solution.plot().axes
    assert len(ax.lines) == 2


def test_nothing_recorded() -> None:
    solution = ip.solve(ip.Problem(ip.L2(b=np.eye(3))), ip.CG())
    with pytest.raises(ValueError, match=r"the history has no numbers; expected a solve with callbacks=\[ip\.callb"):
        solution.plot()
    with pytest.raises(ValueError, match="against is 'time'; expected one of 'k', 'seconds'"):
        solution.plot(against="time")
