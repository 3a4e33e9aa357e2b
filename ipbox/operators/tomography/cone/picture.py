"""The picture of a scan's geometry, by matplotlib, which is imported when it is made."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ipbox import figures

AWAY = 1.35  # times the volume's reach: where parallel beams are drawn to come from, and to go to
PANELS = 9  # views of which the panel is drawn


def draw(g: Any, path: str | os.PathLike[str] | None, unit: str, block: bool | None) -> Any:
    """The figure of `show` of a `ScanGeometry` g."""
    flat = g.dims[0] == g.n_det[0] == 1
    figure = figures.new(path, figsize=(6.4, 6.0) if flat else (11.5, 5.6))
    above = figure.add_subplot(1, 1 if flat else 2, 1)
    sources, shift = _drawn(g)
    points = _from_above(above, g, sources, shift)
    above.set(xlabel=f"x ({unit})", ylabel=f"y ({unit})", title="from above")
    if not flat:
        side = figure.add_subplot(1, 2, 2)
        _from_the_side(side, g, sources, shift)
        side.set(xlabel=f"along the first view ({unit})", ylabel=f"z ({unit})", title="from the side")
    if len(g.panels) > 1:
        bar = figure.colorbar(points, ax=figure.axes, shrink=0.6, pad=0.02)
        bar.set_label("view", fontsize=9)
    handles, labels = above.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    figure.suptitle(g.told(unit).replace(", volume", ",\nvolume").replace(", image", ",\nimage"), fontsize=10)
    return figures.shown(figure, path, block)


def _drawn(g: Any) -> tuple[np.ndarray, np.ndarray]:
    """Where the beams are drawn to come from, and by how much panels are moved: those of parallel beams are nowhere."""
    if g.sources is not None:
        return g.sources, np.zeros_like(g.panels)
    half = 0.5 * np.array(g.dims) * g.voxel_widths
    reach = AWAY * float(np.linalg.norm(half if g.dims[0] > 1 else half[1:]))
    centre, rays = np.array(g.volume_centre), g.directions
    at = ((g.panels - centre) * rays).sum(axis=1, keepdims=True)
    return centre - reach * rays, (reach - at) * rays


def _from_above(ax: Any, g: Any, sources: np.ndarray, shift: np.ndarray) -> Any:
    """x to the right and y up; what belongs to the first view is strong."""
    from matplotlib.patches import Circle, Rectangle

    (_, ny, nx), (_, hy, hx), (_, y0, x0) = g.dims, g.voxel_widths, g.volume_centre
    corner = x0 - 0.5 * nx * hx, y0 - 0.5 * ny * hy
    kind = "image" if g.dims[0] == g.n_det[0] == 1 else "volume"
    ax.add_patch(Rectangle(corner, nx * hx, ny * hy, facecolor="0.88", edgecolor="0.5", label=kind))
    near, far = g.fields_of_view()
    limit = 1.5 * max(nx * hx, ny * hy)
    if 0 < near < limit:
        ax.add_patch(Circle((0.0, 0.0), near, fill=False, color="C2", label="field of view"))
    if near * (1 + 1e-6) + np.linalg.norm(g.along_rows[0]) < far < limit:
        ax.add_patch(Circle((0.0, 0.0), far, fill=False, color="C2", linestyle="--", label="field of view of one side"))
    order = np.arange(len(sources))
    name = "source" if g.sources is not None else "where the beam comes from"
    points = ax.scatter(sources[:, 2], sources[:, 1], c=order, cmap="viridis", s=12, zorder=3, label=name)
    for k in np.unique(np.linspace(0, len(sources) - 1, PANELS).astype(int))[::-1]:
        panel = g.across(k, 30) + shift[k]
        first = k == 0
        label = ("detector" if kind == "image" else "panel") + " of the first view" if first else None
        ax.plot(panel[:, 2], panel[:, 1], color="C3", alpha=1 if first else 0.25, lw=3 if first else 1.5, label=label)
    for end in g.across(0) + shift[0]:
        start = _starts(g, sources, end)
        ax.plot([start[2], end[2]], [start[1], end[1]], color="C1", lw=1)
    ax.plot(0, 0, "k+", ms=8)
    ax.set_aspect("equal")
    ax.margins(0.05)
    return points


def _starts(g: Any, sources: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Where the ray of the first view to ``end`` is drawn from."""
    if g.sources is not None:
        return sources[0]
    return end - 2 * float(np.linalg.norm(sources[0] - np.array(g.volume_centre))) * g.directions[0]


def _from_the_side(ax: Any, g: Any, sources: np.ndarray, shift: np.ndarray) -> None:
    """The plane of the z axis and of the first view's central ray."""
    from matplotlib.patches import Rectangle

    ray = g.directions[0] * (0, 1, 1)
    along = ray / (np.linalg.norm(ray) or 1.0) if ray.any() else np.array([0.0, 1.0, 0.0])

    def seen(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return points @ along, points[..., 0]

    half, centre = 0.5 * np.array(g.dims) * g.voxel_widths, np.array(g.volume_centre)
    wide, middle = float(abs(along) @ half), float(centre @ along)
    ax.add_patch(
        Rectangle((middle - wide, centre[0] - half[0]), 2 * wide, 2 * half[0], facecolor="0.88", edgecolor="0.5")
    )
    u, z = seen(sources)
    ax.scatter(u, z, c=np.arange(len(sources)), cmap="viridis", s=12, zorder=3)
    for k in np.unique(np.linspace(0, len(sources) - 1, PANELS).astype(int))[::-1]:
        ends = g.panels[k] + shift[k] + np.array([[-0.5], [0.5]]) * g.n_det[0] * g.along_columns[k]
        first = k == 0
        ax.plot(*seen(ends), color="C3", alpha=1 if first else 0.25, lw=3 if first else 1.5)
        for end in ends if first else ():
            ax.plot(*seen(np.stack([_starts(g, sources, end), end])), color="C1", lw=1)
    ax.axvline(0, color="k", lw=0.8, ls=":")
    ax.set_aspect("equal")
    ax.margins(0.05)
