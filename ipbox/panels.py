"""Panels of a figure: images, the planes of volumes, signals, and the colour bars beside them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive, is_integer, is_number, shown

INSET = 0.45  # of the shorter side of an image
FRAME = "#009E73"  # green, which the colour-blind tell from grey, orange and purple
LINE = 42  # characters of a title above one image


@dataclass
class Panel:
    """One picture of the figure: an image, a plane of a volume, or a signal."""

    u: np.ndarray
    title: str
    limits: tuple[float, float]
    aspect: float = 1.0  # height over width of a pixel
    cmap: str | None = None  # where it has one of its own
    zoom: tuple[slice, slice] | None = None  # rows and columns that are shown enlarged too
    ax: Any = None
    drawn: Any = None  # what a colour bar explains

    def draw(self, ax: Any, cmap: str, unit: str, truth: np.ndarray | None) -> None:
        self.ax = ax
        ax.set_title("\n".join(textwrap.wrap(self.title, LINE)), fontsize=10)
        if self.u.ndim == 1:
            if truth is not None and truth.shape == self.u.shape:
                ax.plot(truth, color="0.6", linewidth=2.5)
            ax.plot(self.u, color="C0", linewidth=1)
            low, high = self.limits
            edge = 0.05 * (high - low or 1.0)
            ax.set_ylim(low - edge, high + edge)
            ax.set_ylabel(unit)
            return
        ax.set_axis_off()
        if self.u.ndim == 3:
            ax.imshow(picture(self.u), interpolation="nearest", aspect=self.aspect)
            return
        low, high = self.limits
        style = {"vmin": low, "vmax": high, "cmap": self.cmap or cmap, "interpolation": "nearest"}
        self.drawn = ax.imshow(self.u, aspect=self.aspect, **style)
        if self.zoom is not None:
            self._enlarge(ax, self.zoom, style)

    def _enlarge(self, ax: Any, zoom: tuple[slice, slice], style: dict[str, Any]) -> None:
        """The part of the image in the corner that is farthest from it, with a frame about both."""
        from matplotlib.patches import Rectangle

        rows, columns = zoom
        (ny, nx), part = self.u.shape, self.u[zoom]
        h, w = part.shape[0] * self.aspect, part.shape[1]
        tall, wide = INSET * min(1.0, h / w), INSET * min(1.0, w / h)  # of the image's height and width, were it square
        side = min(ny * self.aspect, nx)
        tall, wide = tall * side / (ny * self.aspect), wide * side / nx
        left = 0.0 if rows_middle(columns) > nx / 2 else 1.0 - wide
        bottom = 0.0 if rows_middle(rows) < ny / 2 else 1.0 - tall  # rows go down
        inset = ax.inset_axes([left, bottom, wide, tall])
        inset.imshow(part, aspect="auto", **style)
        inset.set(xticks=[], yticks=[])
        for edge in inset.spines.values():
            edge.set(color=FRAME, linewidth=1.5)
        corner = columns.start - 0.5, rows.start - 0.5
        ax.add_patch(Rectangle(corner, part.shape[1], part.shape[0], fill=False, edgecolor=FRAME, linewidth=1.5))


def panels_of(u: np.ndarray, title: str, limits: tuple[float, float], steps: tuple[float, ...]) -> Iterator[Panel]:
    if not is_volume(u):
        yield Panel(u, title, limits, steps[0] / steps[1])
        return
    for axis, name in enumerate("zyx"):
        middle = u.shape[axis] // 2
        where = f"{name} = {middle}"
        down, across = (h for k, h in enumerate(steps) if k != axis)
        yield Panel(u.take(middle, axis), f"{title}, {where}" if title and axis == 0 else where, limits, down / across)


def rows_middle(part: slice) -> float:
    return 0.5 * (part.start + part.stop)


def check_zoom(zoom: Any, host: list[np.ndarray]) -> tuple[slice, slice]:
    """Rows and columns inside all images, each of (ny, nx)."""
    for k, u in enumerate(host):
        if u.ndim != 2:
            raise ValueError(f"zoom is given with image {k} of shape {u.shape}; expected images (ny, nx)")
    if not isinstance(zoom, tuple) or len(zoom) != 2 or not all(isinstance(part, slice) for part in zoom):
        raise TypeError(
            f"zoom is {shown(zoom)}; expected slices of rows and columns, such as (slice(9, 30), slice(9, 30))"
        )
    found = []
    for part, axis in zip(zoom, (0, 1), strict=True):
        n = min(u.shape[axis] for u in host)
        start, stop = (part.start or 0), (n if part.stop is None else part.stop)
        if part.step not in (None, 1) or not (is_integer(start) and is_integer(stop) and 0 <= start < stop <= n):
            raise ValueError(f"zoom is {shown(zoom)}; expected slices with 0 <= start < stop <= {n} along axis {axis}")
        found.append(slice(int(start), int(stop)))
    return found[0], found[1]


def steps_of(spacing: Any, u: np.ndarray) -> tuple[float, ...]:
    """Distances of the pixels along the axes of an image or a volume; (1, 1) for a signal."""
    axes = 3 if is_volume(u) else 2
    if spacing is None or u.ndim == 1:
        return (1.0,) * axes
    given = (spacing,) * axes if is_number(spacing) else tuple(spacing) if np.iterable(spacing) else ()
    if len(given) != axes:
        raise ValueError(f"spacing is {shown(spacing)}; expected a positive number, or one for each of {axes} axes")
    return tuple(check_positive(h, "spacing", "positive distances") for h in given)


def draw_bars(figure: Any, panels: list[Panel], host: list[np.ndarray], rows: int, own: bool, unit: str) -> None:
    """A bar for all panels, or one for each; pointed where values lie beyond."""
    drawn = [p for p in panels if p.drawn is not None]
    for group in [[p] for p in drawn] if own else [drawn] if drawn else []:
        low, high = group[0].limits
        values = [p.u for p in group] if own else [u for u in host if not is_colour(u) and u.ndim > 1]
        below, above = any(bool((u < low).any()) for u in values), any(bool((u > high).any()) for u in values)
        extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")
        if own:
            place = {"cax": group[0].ax.inset_axes([1.03, 0, 0.05, 1])}
        else:  # as wide, and as pointed, beside many rows as beside one
            place = {"ax": [p.ax for p in group], "pad": 0.02, "aspect": 25 * rows, "extendfrac": 0.05 / rows}
        bar = figure.colorbar(group[0].drawn, extend=extend, **place)
        bar.set_label(unit, fontsize=9)
        bar.ax.tick_params(labelsize=8)


def union(ranges: list[tuple[float, float]]) -> tuple[float, float]:
    return min((low for low, _ in ranges), default=0.0), max((high for _, high in ranges), default=1.0)


def range_of(u: np.ndarray) -> tuple[float, float]:
    finite = u[np.isfinite(u)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def picture(u: np.ndarray) -> np.ndarray:
    """As it is drawn: colours from 0 to 1."""
    return u if u.ndim < 3 or u.dtype == np.uint8 else np.clip(u, 0, 1)


def is_colour(u: np.ndarray) -> bool:
    return u.ndim == 3 and u.shape[-1] in (3, 4)


def is_volume(u: np.ndarray) -> bool:
    return u.ndim == 3 and not is_colour(u)


def checked(image: Array, name: str) -> np.ndarray:
    backend.check_array(image, name)
    backend.array_module(image)
    if image.ndim not in (1, 2, 3) or image.size == 0:
        raise ValueError(
            f"{name} has shape {image.shape}; expected (ny, nx), (ny, nx, 3) in colours, a signal (n,) or a volume "
            "(nz, ny, nx)"
        )
    if image.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {image.dtype}; expected real values (show its abs or real part)")
    host = backend.to_host(image)
    first = host.ndim == 3 and host.shape[0] in (3, 4) and not is_colour(host)
    return np.moveaxis(host, 0, -1) if first else host
