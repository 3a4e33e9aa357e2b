"""The scans of ``demo cone``: a full circle, a short scan, and a panel that is set to one side.

Nothing heavy is imported before a demonstration runs.
"""

from __future__ import annotations

import math
from typing import Any

import ipbox

Scan = tuple[tuple[Any, ...], float]  # a problem, and the norm of what its data hold beyond A u


def cone_scans(problem: tuple[Any, ...], delta: float) -> dict[str, Scan]:
    """By their names, the scan itself and two of its parts, with as much noise in each reading."""
    A, b, x_true, info = problem
    views, columns = short_scan(A), offset_panel(A)
    middle = float(A.positions()[1][columns].mean())
    parts = {
        "short scan": (A.subset(views), b[views]),
        "offset panel": (
            A.with_columns(len(range(*columns.indices(b.shape[2]))), middle),
            ipbox.backend.array_module(b).ascontiguousarray(b[:, :, columns]),
        ),
    }
    scans = {"circle": (problem, delta)}
    for name, (of, data) in parts.items():
        scans[name] = (of, data, x_true, info), delta * math.sqrt(data.size / b.size)
    return scans


def short_scan(A: Any) -> slice:
    """The views over π and the opening angle of the fan, which see every line of the plane of the source."""
    opening = 2 * math.atan(float(abs(A.positions()[1]).max()) / (A.source_distance + A.detector_distance))
    views = len(A.angles)
    return slice(0, min(views, math.ceil((math.pi + opening) / (2 * math.pi) * views) + 1))


def offset_panel(A: Any) -> slice:
    """The columns from a little before the axis on: what they miss, they see from the other side."""
    columns = A.n_det[1]
    return slice(columns // 2 - columns // 16, columns)


def told(problem: tuple[Any, ...], scans: dict[str, Scan]) -> str:
    """How much of the readings the parts have."""
    views, _, columns = problem[1].shape
    short, offset = (scans[name][0][1].shape for name in ("short scan", "offset panel"))
    return f"; short scan: {short[0]} of {views} views; offset panel: {offset[2]} of {columns} columns"
