"""Iterates of a run as frames: a GIF, or what a notebook plays, by matplotlib, which is imported when one is made."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ipbox import backend, metrics, panels
from ipbox.backend import Array
from ipbox.checks import check_count, check_flag, check_positive, check_type, counted, is_integer, is_number, shown
from ipbox.files import replacing
from ipbox.keywords import answering

MOST = 100  # frames
DPI = 100
ENDINGS = (".gif", ".html")


def thinned(ks: Sequence[int], most: int) -> list[int]:
    """At most that many of ascending numbers: each 2^j-th and the last.

    Examples
    --------
    >>> from ipbox.animation import thinned
    >>> thinned(range(10), 4)
    [0, 4, 8, 9]
    """
    step = 1
    while len(chosen := sorted({*ks[::step], ks[-1]})) > most:
        step *= 2
    return chosen


@answering
def animate(
    iterates: Mapping[int, Array] | Sequence[Array],
    path: str | os.PathLike[str] | None = None,
    x_true: Array | None = None,
    objective: Mapping[int, float] | Sequence[float] | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str = "gray",
    unit: str = "",
    colorbar: bool = True,
    spacing: float | Sequence[float] | None = None,
    most: int = MOST,
    fps: float = 8.0,
) -> Animation:
    """The iterates of a run, one after the other, on one scale.

    Parameters
    ----------
    iterates : dict of int to array, or sequence of array
        Images, signals or volumes as `show` takes them, all of one shape, by the number of the iteration: those of
        ``ip.callbacks.Iterates()``, or ``info.extra["iterates"]`` of a call with ``niter=[1, 2, 5, 10]``.  A sequence
        is numbered from 0.
    path : str or path, optional
        Where to save it, see `Animation.save`.
    x_true : array, optional
        The truth: drawn beside them, in grey behind signals.  Its least and greatest value are then black and white,
        instead of those of all iterates, and the PSNR is told.
    objective : dict of int to float, or sequence of float, optional
        Of each iterate, to be told.
    vmin, vmax : float, optional
        Values shown black and white.
    cmap : str
        Colour map of matplotlib; of the usual ones ``"gray"``, ``"viridis"`` and ``"cividis"`` are told apart by the
        colour-blind and in print.
    unit : str
        Of the values, beside the colour bar.
    colorbar : bool
        Its ends are pointed where values of an iterate lie beyond.
    spacing : float or sequence of float, optional
        Distances of the pixels, as of `show`.
    most : int
        Frames, at least 2: of more iterates each second, fourth, ... and the last.  They are moved to the host, and
        drawn, one by one.
    fps : float
        Frames a second.

    Returns
    -------
    Animation

    Raises
    ------
    ValueError
        for no iterates, shapes that differ, numbers that are none of iterations, objectives that are not one for each,
        or another ending of ``path``.
    TypeError
        for something else than real arrays.

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, _ = ip.problem("ct", size=32, views=20, noise=0.05, seed=0)
    >>> x, info = ip.landweber(A, b, niter=[1, 2, 4, 8, 16])
    >>> film = ip.animate(info.extra["iterates"], x_true=x_true)
    >>> film
    Animation of iterations 1 to 16: 5 frames
    >>> film.title(16)
    'iteration 16, 22.3 dB'
    """
    given = _numbered(iterates, "iterates", "array")
    if not given:
        raise ValueError("iterates is empty; expected at least one image")
    values = None if objective is None else _numbered(objective, "objective", "number")
    if values is not None and (bad := [k for k in given if not is_number(values.get(k))]):
        found = shown(values[bad[0]]) if bad[0] in values else "missing"
        raise ValueError(f"objective of iterate {bad[0]} is {found}; expected a number for each iterate")
    check_flag(colorbar, "colorbar"), check_type(unit, "unit", str, "text")
    check_type(cmap, "cmap", str, "the name of a colour map, such as 'gray'")
    ks = thinned(sorted(given), check_count(most, "most", 2))
    truth = None if x_true is None else panels.checked(x_true, "x_true")
    shape = panels.checked(given[ks[0]], f"iterate {ks[0]}").shape if truth is None else truth.shape
    frames = {k: given[k] for k in ks}
    for k, u in frames.items():
        found = panels.checked(u, f"iterate {k}").shape
        if found != shape:
            raise ValueError(
                f"iterate {k} has shape {found}; expected {shape}, as {'the others' if truth is None else 'x_true'}"
            )
    low, high = _limits(frames.values(), truth)
    for value, name in ((vmin, "vmin"), (vmax, "vmax")):
        if value is not None and not is_number(value):
            raise ValueError(f"{name} is {shown(value)}; expected a number")
    limits = (low if vmin is None else float(vmin), high if vmax is None else float(vmax))
    if not limits[0] <= limits[1]:
        raise ValueError(f"vmin is {limits[0]} and vmax is {limits[1]}; expected vmin <= vmax")
    style = {"cmap": cmap, "unit": unit, "colorbar": colorbar, "spacing": spacing}
    film = Animation(frames, truth, limits, values, check_positive(fps, "fps"), style)
    if path is not None:
        film.save(path)
    return film


class Animation:
    """Frames of one figure, made by `animate`; a notebook plays it.

    Attributes
    ----------
    ks : tuple of int
        The iterations that are shown.
    figure : matplotlib.figure.Figure

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> film = ip.animate([np.eye(8), 2 * np.eye(8)], fps=2)
    >>> film.ks, film.frame(1).shape
    ((0, 1), (370, 400, 3))
    """

    def __init__(
        self,
        frames: dict[int, Array],
        truth: np.ndarray | None,
        limits: tuple[float, float],
        objective: Mapping[int, float] | None,
        fps: float,
        style: dict[str, Any],
    ) -> None:
        self.ks, self.fps = tuple(frames), fps
        self._frames, self._truth, self._limits, self._objective = frames, truth, limits, objective
        self._style = style
        panels.steps_of(style["spacing"], self._host(self.ks[0]))  # refused here, not when it is drawn

    def title(self, k: int) -> str:
        """The number of the iteration, its objective where it is known, and its PSNR where the truth is."""
        told = [f"iteration {k}"]
        if self._objective is not None:
            told.append(f"objective {float(self._objective[k]):.4g}")
        if self._truth is not None:
            told.append(f"{metrics.psnr(self._host(k), self._truth):.1f} dB")
        return ", ".join(told)

    def frame(self, k: int) -> np.ndarray:
        """The picture of an iterate: its pixels, (rows, columns, 3) of uint8."""
        if k not in self._frames:
            raise ValueError(f"k is {shown(k)}; expected one of {shown(self.ks)}")
        self._turn_to(k)
        self.figure.canvas.draw()
        return np.array(self.figure.canvas.buffer_rgba())[..., :3]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it, all of it or nothing: a ``.gif``, which repeats for ever, or an ``.html`` page with buttons.

        The colours of a GIF are the 256 nearest of each frame; shades of grey are exact.

        Raises
        ------
        ValueError
            for another ending.
        """
        ending = Path(check_type(path, "path", str | os.PathLike, "a path, such as 'run.gif'")).suffix.lower()
        if ending not in ENDINGS:
            raise ValueError(f"path is {os.fspath(path)!r}; expected a file that ends in {' or '.join(ENDINGS)}")
        with replacing(path) as file:
            if ending == ".html":
                file.write(self.to_jshtml().encode())
                return
            pictures = self._pictures()
            options = {"duration": round(1000 / self.fps), "loop": 0, "optimize": False}
            next(pictures).save(file, format="GIF", save_all=True, append_images=pictures, **options)

    def to_jshtml(self) -> str:
        """The frames and buttons to play them, as HTML that needs no other file."""
        import matplotlib
        from matplotlib.animation import FuncAnimation

        with matplotlib.rc_context({"animation.embed_limit": math.inf, "savefig.dpi": DPI}):  # most= is the limit
            film = FuncAnimation(
                self.figure, self._turn_to, frames=self.ks, init_func=lambda: None, cache_frame_data=False
            )
            return film.to_jshtml(fps=self.fps)

    def _repr_html_(self) -> str:
        return self.to_jshtml()

    def __repr__(self) -> str:
        return f"Animation of iterations {self.ks[0]} to {self.ks[-1]}: {counted(len(self.ks), 'frame')}"

    def _host(self, k: int) -> np.ndarray:
        return panels.checked(self._frames[k], f"iterate {k}")

    @functools.cached_property
    def figure(self) -> Any:
        """The figure, which shows the first iterate."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        first = self._host(self.ks[0])
        still = [] if self._truth is None or first.ndim == 1 else list(self._panels(self._truth, "truth"))
        self._moving = list(self._panels(first, ""))
        every = still + self._moving
        columns = 3 if panels.is_volume(first) else len(every)
        rows = len(every) // columns
        bars = self._style["colorbar"] and first.ndim > 1 and not panels.is_colour(first)
        figure = Figure(layout="constrained", dpi=DPI, figsize=(3.2 * columns + 0.8 * bars, 3.4 * rows + 0.3))
        FigureCanvasAgg(figure)
        for place, panel in enumerate(every):
            axes = figure.add_subplot(rows, columns, place + 1)
            panel.draw(axes, self._style["cmap"], self._style["unit"], self._truth)
        if bars:
            extremes = [np.array([_ends(u)]) for u in self._frames.values()]
            panels.draw_bars(figure, every, extremes, rows, False, self._style["unit"])
        figure.suptitle(max(map(self.title, self.ks), key=len), fontsize=11)
        figure.draw_without_rendering()  # the layout of all frames
        figure.set_layout_engine("none")
        self._turn(figure, self.ks[0])
        return figure

    def _panels(self, u: np.ndarray, title: str) -> Iterator[panels.Panel]:
        return panels.panels_of(u, title, self._limits, panels.steps_of(self._style["spacing"], u))

    def _turn_to(self, k: int) -> None:
        self._turn(self.figure, k)

    def _turn(self, figure: Any, k: int) -> None:
        """Show iterate ``k``."""
        for panel, now in zip(self._moving, self._panels(self._host(k), ""), strict=True):
            if now.u.ndim == 1:
                panel.ax.lines[-1].set_ydata(now.u)
            else:
                panel.ax.images[0].set_data(panels.picture(now.u))
        figure._suptitle.set_text(self.title(k))

    def _pictures(self) -> Iterator[Any]:
        """The frames with palettes: of up to 256 colours, as all greys are, exact."""
        from PIL import Image

        for k in self.ks:
            pixels = self.frame(k)
            colours, index = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
            if len(colours) > 256:
                yield Image.fromarray(pixels).quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
                continue
            picture = Image.fromarray(index.reshape(pixels.shape[:2]).astype(np.uint8), mode="P")
            picture.putpalette(colours.tobytes())
            yield picture


def _numbered(values: Any, name: str, what: str) -> dict[int, Any]:
    """Values by the numbers of iterations."""
    if isinstance(values, Mapping):
        if bad := [k for k in values if not is_integer(k) or k < 0]:
            raise ValueError(f"{name} has the key {shown(bad[0])}; expected numbers of iterations")
        return {int(k): values[k] for k in values}
    if isinstance(values, str | bytes) or not isinstance(values, Sequence) and not backend.is_array(values):
        raise TypeError(f"{name} is {type(values).__name__}; expected a dict or a sequence, one {what} an iteration")
    return dict(enumerate(values))


def _ends(u: Array) -> tuple[float, float]:
    return panels.range_of(panels.checked(u, "iterate"))


def _limits(iterates: Iterable[Array], truth: np.ndarray | None) -> tuple[float, float]:
    """The scale: of signals never less than all values."""
    if truth is not None and truth.ndim > 1:
        return panels.range_of(truth)
    return panels.union([*map(_ends, iterates), *([] if truth is None else [panels.range_of(truth)])])
