"""Pictures of bilevel learning: objective against work, parameters, learned filters and sampling masks."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ipbox import figures

PATH = str | os.PathLike[str] | None


def plot_objective(histories: dict[str, list[dict[str, Any]]], path: PATH = None, relative_to: float = 0.0) -> Any:
    """Objective f̃ at the current iterate against the lower level's work, shaded by its error bound.

    Parameters
    ----------
    histories : dict
        Name -> rows with ``work``, ``f`` and ``f_bound``: the ``history`` of results.
    path : path, optional
        Where to save the figure.
    relative_to : float
        Subtracted from f: with the optimal value the vertical axis shows the error.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        where there is nothing to show.

    Examples
    --------
    >>> from ipbox.bilevel.plots import plot_objective
    >>> rows = [{"work": 10, "f": 2.0, "f_bound": 0.5}, {"work": 30, "f": 1.0, "f_bound": 0.1}]
    >>> len(plot_objective({"DFO": rows}).axes)
    1
    """
    figure = figures.new(path, figsize=(6.4, 4.4))
    _objective(figure.add_subplot(), histories, relative_to)
    return figures.shown(figure, path)


def plot_history(histories: dict[str, list[dict[str, Any]]], names: Sequence[str] = (), path: PATH = None) -> Any:
    """`plot_objective`, and beside it the parameters against the work.

    Parameters
    ----------
    histories : dict
        Name -> rows with ``work``, ``f``, ``f_bound`` and ``theta``.
    names : sequence of str
        Of the parameters; more than eight are drawn as one picture of all.
    path : path, optional

    Examples
    --------
    >>> from ipbox.bilevel.plots import plot_history
    >>> rows = [{"work": 10 * k, "f": 2.0 / k, "f_bound": 0.1, "theta": [0.5 - k]} for k in (1, 2, 3)]
    >>> len(plot_history({"DFO": rows}, ["log10 weight"]).axes)
    2
    """
    figure = figures.new(path, figsize=(11.0, 4.4))
    _objective(figure.add_subplot(1, 2, 1), histories, 0.0)
    axes = figure.add_subplot(1, 2, 2)
    for i, (label, rows) in enumerate(histories.items()):
        work, theta = _column(rows, "work"), np.array([np.atleast_1d(row["theta"]) for row in rows], dtype=np.float64)
        for j in range(theta.shape[1]):
            name = names[j] if len(names) == theta.shape[1] else f"theta[{j}]"
            style = {"color": f"C{j % 10}", "linestyle": ("-", "--", ":", "-.")[i % 4]}
            shown = theta.shape[1] <= 8
            axes.plot(work, theta[:, j], label=f"{label}: {name}" if shown else None, linewidth=1.2, **style)
    axes.set_xlabel("lower-level work")
    axes.set_ylabel("parameters")
    _work_axis(axes, histories)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    return figures.shown(figure, path)


def plot_filters(filters: np.ndarray, path: PATH = None, order: Sequence[float] | None = None) -> Any:
    """Learned filters, each on its own symmetric grey scale.

    Parameters
    ----------
    filters : array, shape (K, k, k)
    path : path, optional
    order : sequence of float, optional
        Weights of the filters: shown from the largest, with the weight as title.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bilevel.plots import plot_filters
    >>> len(plot_filters(np.random.default_rng(0).standard_normal((6, 3, 3))).axes)
    6
    """
    filters = np.asarray(filters)
    if filters.ndim != 3 or len(filters) == 0:
        raise ValueError(f"filters has shape {filters.shape}; expected (K, k, k)")
    chosen = np.arange(len(filters)) if order is None else np.argsort(-np.asarray(order, dtype=np.float64))
    columns = min(12, math.ceil(math.sqrt(1.5 * len(filters))))
    rows = math.ceil(len(filters) / columns)
    figure = figures.new(path, figsize=(0.9 * columns, (0.9 if order is None else 1.1) * rows))
    for place, k in enumerate(chosen):
        axes = figure.add_subplot(rows, columns, place + 1)
        size = float(np.abs(filters[k]).max()) or 1.0
        axes.imshow(filters[k], cmap="gray", vmin=-size, vmax=size, interpolation="nearest")
        axes.set_axis_off()
        if order is not None:
            axes.set_title(f"{order[k]:.2g}", fontsize=7)
    return figures.shown(figure, path)


def plot_sampling(masks: dict[str, np.ndarray], path: PATH = None) -> Any:
    """Sampling weights: curves of one frequency axis, or pictures of two, frequency 0 in the middle.

    Parameters
    ----------
    masks : dict
        Name -> weights in [0, 1] or a boolean mask, shape (N,) or (ny, nx), centred.
    path : path, optional

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bilevel.plots import plot_sampling
    >>> len(plot_sampling({"learned": np.eye(8), "random": np.ones((8, 8))}).axes)
    2
    """
    if not masks:
        raise ValueError("masks is empty; expected at least one")
    figure = figures.new(path, figsize=(3.4 * len(masks), 3.4))
    for k, (name, mask) in enumerate(masks.items()):
        axes = figure.add_subplot(1, len(masks), k + 1)
        mask = np.asarray(mask, dtype=np.float64)
        if mask.ndim == 1:
            axes.stem(np.arange(len(mask)) - len(mask) // 2, mask, basefmt=" ", markerfmt=".")
            axes.set_xlabel("frequency")
            axes.set_ylabel("sampling weight")
        else:
            shown = axes.imshow(mask, cmap="gray", vmin=0, interpolation="nearest")
            figure.colorbar(shown, cax=axes.inset_axes([1.03, 0, 0.05, 1])).set_label("sampling weight", fontsize=9)
            axes.set_axis_off()
        axes.set_title(f"{name}: {100 * float((mask > 0).mean()):.0f} %", fontsize=10)
    return figures.shown(figure, path)


# ---------------------------------------------------------------- parts


def _objective(axes: Any, histories: dict[str, list[dict[str, Any]]], relative_to: float) -> None:
    if not histories or not all(histories.values()):
        raise ValueError("histories is empty; expected name -> rows with work, f and f_bound")
    for i, (name, rows) in enumerate(histories.items()):
        work, f, bound = (_column(rows, key) for key in ("work", "f", "f_bound"))
        f = f - relative_to
        axes.plot(work, f, color=f"C{i % 10}", label=name, linewidth=1.4, drawstyle="steps-post")
        low, high = np.maximum(f - bound, 1e-16), f + bound
        axes.fill_between(work, low, high, color=f"C{i % 10}", alpha=0.2, step="post", linewidth=0)
    if min(float((_column(rows, "f") - relative_to).min()) for rows in histories.values()) > 0:
        axes.set_yscale("log")
        values = np.concatenate([_column(rows, "f") - relative_to for rows in histories.values()])
        axes.set_ylim(0.8 * values.min(), 1.3 * values.max())
    _work_axis(axes, histories)
    figures.few_ticks(axes)
    axes.set_xlabel("lower-level work (gradients and Hessian-vector products, all images)")
    axes.set_ylabel("objective" if relative_to == 0 else "objective - optimum")
    axes.legend(fontsize=8)


def _work_axis(axes: Any, histories: dict[str, list[dict[str, Any]]]) -> None:
    if all(_column(rows, "work").min() > 0 for rows in histories.values()):
        axes.set_xscale("log")


def _column(rows: list[dict[str, Any]], key: str) -> np.ndarray:
    return np.array([row[key] for row in rows], dtype=np.float64)
