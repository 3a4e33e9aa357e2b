"""Where figures go: files, windows, notebooks."""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from ipbox import figures, plot


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def test_saved_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "eye.png"
    plot.show(np.eye(16), path=path)
    assert path.read_bytes().startswith(b"\x89PNG")
    picture = plt.imread(path)[..., :3]
    assert picture.min() == 0 and picture.max() == 1
    assert not plt.get_fignums()  # no window, nothing for pyplot to keep


@pytest.mark.parametrize("name", ["a.png", "a.PDF", "a.svg", "a"])
def test_formats(tmp_path: Path, name: str) -> None:
    plot.show(np.eye(16), path=tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name if "." in name else "a.png"]


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^path is .*nowhere/a\.png, which cannot be written: No such file"):
        plot.show(np.eye(16), path=tmp_path / "nowhere" / "a.png")
    with pytest.raises(ValueError, match=r"a\.xyz; expected one that ends in \..*\.png"):
        plot.show(np.eye(16), path=tmp_path / "a.xyz")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `plt.show` is called with."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(plt, "show", lambda **options: calls.append(options))
    return calls


def test_a_window_where_there_is_a_screen(windows: list, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(matplotlib, "get_backend", lambda: "QtAgg")
    plot.show(np.eye(3))
    plot.show(np.eye(3), block=False)
    plot.show(np.eye(3), path=tmp_path / "a.png")
    assert windows == [{"block": None}, {"block": False}]


def test_nothing_happens_without_a_screen(windows: list) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(22):  # pyplot warns of more than 20
            figure = plot.show(np.eye(3))
    assert windows == []
    assert plt.gcf() is figure  # so that plt.savefig saves it


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """IPython's events and display, by their interface: ``end`` ends a cell of some value."""
    at_the_end: list[Callable[[Any], None]] = []
    displayed: list[Any] = []
    events = SimpleNamespace(
        register=lambda name, call: at_the_end.append(call), unregister=lambda name, call: at_the_end.remove(call)
    )
    shell, IPython, display = SimpleNamespace(events=events), ModuleType("IPython"), ModuleType("IPython.display")
    IPython.get_ipython, display.display = lambda: shell, displayed.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", IPython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(matplotlib, "get_backend", lambda: "module://matplotlib_inline.backend_inline")

    def end(value: Any) -> list[Any]:
        for call in list(at_the_end):
            call(SimpleNamespace(result=value))
        assert not at_the_end  # the next cell is another one's
        return displayed

    return SimpleNamespace(end=end, displayed=displayed)


def test_once_below_a_notebooks_cell(notebook: SimpleNamespace, windows: list) -> None:
    """A notebook shows the value of a cell by itself, and pyplot what is open."""
    figure = plot.show(np.eye(3))
    assert not plt.get_fignums() and not notebook.displayed and windows == []
    assert notebook.end(None) == [figure]
    figure = plot.show(np.eye(3))
    assert notebook.end(figure) == notebook.displayed[:1]


def test_several_in_a_notebooks_cell_in_their_order(notebook: SimpleNamespace) -> None:
    figures = [plot.show(np.eye(3)) for _ in range(3)]
    assert notebook.displayed == figures[:2]
    assert notebook.end(figures[2]) == figures[:2]


def test_a_bare_figure_for_a_file() -> None:
    figure = figures.new("a.png", figsize=(1, 1))
    assert not plt.get_fignums() and tuple(figure.get_size_inches()) == (1, 1)


def test_few_plain_ticks_where_a_logarithmic_axis_is_short() -> None:
    ax = figures.new("a.png").add_subplot()
    ax.loglog([0.7, 1.4], [1.0, 1e3])
    figures.few_ticks(ax)
    ax.figure.draw_without_rendering()
    labels = [tick.get_text() for tick in ax.get_xticklabels()]
    assert 2 <= len(labels) <= 6 and not ax.xaxis.get_minorticklocs().size
    assert all("10^" not in label for label in labels)
    assert ax.yaxis.get_major_formatter().__class__.__name__ == "LogFormatterSciNotation"


def test_labels_of_less_than_two_decades_do_not_overlap() -> None:
    ax = figures.new("a.png").add_subplot()
    ax.loglog([0.015, 0.4], [1.0, 1e3])
    figures.few_ticks(ax)
    ax.figure.draw_without_rendering()
    low, high = ax.get_xlim()
    labels = [
        tick for tick in ax.get_xticklabels(which="both") if low <= tick.get_position()[0] <= high and tick.get_text()
    ]
    ends = [tick.get_window_extent() for tick in labels]
    assert [tick.get_text() for tick in labels] == ["0.02", "0.05", "0.1", "0.2"]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(ends))
