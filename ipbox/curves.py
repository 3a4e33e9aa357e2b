"""Pictures of a history: every quantity that was recorded against iterations or seconds."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ipbox import figures
from ipbox.checks import check_choice

AXES = {"k": "iteration", "seconds": "seconds"}
LABELS = {"data_residual": "‖Au - b‖", "gap": "relative duality gap", "psnr": "PSNR (dB)", "nrmse": "NRMSE"}
LABELS |= {"ssim": "SSIM"}
LINEAR = ("psnr", "ssim")  # a scale that is logarithmic already, and one that ends at 1

Curve = list[tuple[float, float]]


def plot_history(
    history: Sequence[dict[str, Any]],
    path: str | os.PathLike[str] | None = None,
    against: str = "k",
    title: str = "",
    block: bool | None = None,
) -> Any:
    """An axis for every quantity of a history, logarithmic where values are positive and span a factor of ten.

    Parameters
    ----------
    history : list of dict
        Rows with ``k`` or ``seconds``, and numbers; of a batch with ``samples`` and a number for each of them, which
        get a curve each.
    path : str or path, optional
        Where to save the figure; then no window opens.
    against : {"k", "seconds"}
    title : str
    block : bool, optional
        As of `ipbox.show`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        where the history has no numbers.

    Examples
    --------
    >>> from ipbox.curves import plot_history
    >>> figure = plot_history([{"k": 0, "gap": 1.0, "psnr": 20.0}, {"k": 5, "gap": 1e-2, "psnr": 30.0}])
    >>> [(ax.get_ylabel(), ax.get_yscale()) for ax in figure.axes]
    [('relative duality gap', 'log'), ('PSNR (dB)', 'linear')]
    """
    check_choice(against, "against", AXES)
    curves = _curves(history, against)
    if not curves:
        expected = "a solve with callbacks=[ip.callbacks.History()], or x_true="
        raise ValueError(f"the history has no numbers; expected {expected}")
    rows = math.ceil(len(curves) / 3)
    columns = math.ceil(len(curves) / rows)
    figure = figures.new(path, figsize=(4.4 * columns, 3.2 * rows + 0.4 * bool(title)))
    for place, (name, of_samples) in enumerate(curves.items()):
        ax = figure.add_subplot(rows, columns, place + 1)
        for curve in of_samples.values():
            ax.plot(*zip(*curve, strict=True), ".-", markersize=4, linewidth=1.2)
        values = np.array([value for curve in of_samples.values() for _, value in curve])
        known = values[np.isfinite(values)]
        if name not in LINEAR and known.size and known.min() > 0 and known.max() >= 10 * known.min():
            ax.set_yscale("log")
        ax.set_xlabel(AXES[against])
        ax.set_ylabel(LABELS.get(name, name.replace("_", " ")))
        ax.grid(alpha=0.3)
    figure.suptitle(title, fontsize=11)
    return figures.shown(figure, path, block)


def _curves(history: Sequence[dict[str, Any]], against: str) -> dict[str, dict[int, Curve]]:
    """Quantity -> sample -> curve; a run of one image is the sample 0."""
    curves: dict[str, dict[int, Curve]] = {}
    for row in history:
        samples = row.get("samples", [0])
        for name, value in row.items():
            if name in ("k", "seconds", "samples") or value is None or isinstance(value, str):
                continue
            values = np.atleast_1d(np.asarray(value))
            if values.shape == (len(samples),) and values.dtype.kind in "biuf":
                for sample, v in zip(samples, values, strict=True):
                    curves.setdefault(name, {}).setdefault(sample, []).append((float(row[against]), float(v)))
    return curves
