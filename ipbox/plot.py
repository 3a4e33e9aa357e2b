"""Pictures of images, signals and volumes, by matplotlib, which is imported when one is made."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ipbox import figures, metrics
from ipbox.backend import Array
from ipbox.checks import check_choice, check_flag, check_type, counted, is_number, shown
from ipbox.keywords import answering
from ipbox.panels import (
    Panel,
    check_zoom,
    checked,
    draw_bars,
    is_colour,
    is_volume,
    panels_of,
    range_of,
    steps_of,
    union,
)

COLUMNS = 4
ERRORS = "PuOr"  # orange and purple about white, which the colour-blind tell apart
SCALES = ("first", "shared", "own")


@answering
def show(
    *images: Array,
    titles: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    vmin: float | Sequence[float] | None = None,
    vmax: float | Sequence[float] | None = None,
    cmap: str = "gray",
    x_true: Array | None = None,
    scale: str = "first",
    unit: str = "",
    colorbar: bool = True,
    block: bool | None = None,
    spacing: float | Sequence[float] | None = None,
    errors: bool = False,
    zoom: tuple[slice, slice] | None = None,
) -> Any:
    """Images side by side, with colour bars: in a window, below a notebook's cell, or in a file.

    Parameters
    ----------
    *images : array
        Real arrays, NumPy or CuPy (copied to the host here); shapes may differ.  (ny, nx): an image; (ny, nx, 3) or
        (ny, nx, 4), or with the colours first as `read_image` gives them: one in colours, of [0, 1] or uint8; (n,): a
        signal; any other (nz, ny, nx): a volume, of which the three planes through its middle are shown.
    titles : sequence of str, optional
        One for each image.
    path : str or path, optional
        Where to save the figure; then no window opens.
    vmin, vmax : float or sequence of float, optional
        Values shown black and white, instead of those of ``scale``; with scale ``"own"`` also one for each image.
    cmap : str
        Colour map of matplotlib.
    x_true : array, optional
        The truth: shown first, where it is none of the images, and in grey behind signals; the PSNR stands above each
        image of its shape.
    scale : {"first", "shared", "own"}
        From the least to the greatest value of the first image, so that ``show(x_true, x)`` shows x on the scale of
        the truth; of all images; or of each image, with a colour bar for each.
    unit : str
        Of the values, beside the colour bar, such as ``"1/mm"``: the ``unit`` of a problem's ``info``.
    colorbar : bool
        Whether to draw colour bars.  Their ends are pointed where values lie beyond.
    block : bool, optional
        Whether to wait until the window is closed.  By default a script waits, an interactive session does not.
    spacing : float or sequence of float, optional
        Distances of the pixels along the last axes, as `read_image` gives them: pixels and voxels have their shape.
        One for images, (dy, dx) or (dz, dy, dx); of volumes all three.
    errors : bool
        Whether to show below each image (ny, nx) its difference to ``x_true``, white where it is 0, on one scale.
    zoom : pair of slices, optional
        Rows and columns of the images (ny, nx) that are shown enlarged in a corner too.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        for no image, one of another shape, an ``x_true`` of none of their shapes, titles that are not as many, an
        unknown scale, vmin above vmax, not one for each image, a spacing that is not positive or has not a number for
        each axis, errors without a truth of the images' shape, or a zoom that is not inside them.
    TypeError
        for something else than a real array, or than a pair of slices.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> figure = ip.show(np.eye(8), np.ones((8, 8)), titles=["truth", "reconstruction"])
    >>> [ax.get_title() for ax in figure.axes[:2]]
    ['truth', 'reconstruction']
    >>> ip.show(0.9 * np.eye(8), x_true=np.eye(8)).axes[1].get_title()
    '29.0 dB'
    >>> [ax.get_title() for ax in ip.show(0.9 * np.eye(8), x_true=np.eye(8), errors=True).axes[:3]]
    ['truth', '29.0 dB', 'error, up to 0.1']
    """
    if not images:
        raise ValueError("images is empty; expected at least one image")
    check_choice(scale, "scale", SCALES)
    check_flag(colorbar, "colorbar"), check_flag(errors, "errors")
    check_type(unit, "unit", str, "text")
    if block is not None:
        check_flag(block, "block")
    check_type(cmap, "cmap", str, "the name of a colour map, such as 'gray'")
    if titles is not None and not all(isinstance(title, str) for title in titles):
        raise TypeError(f"titles is {shown(titles)}; expected texts")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"titles has {counted(len(titles), 'entry')}; expected {len(images)}, one for each image")
    host = [checked(u, f"image {k}") for k, u in enumerate(images)]
    ends = [_ends(v, name, len(host), scale) for v, name in ((vmin, "vmin"), (vmax, "vmax"))]
    for low, high in zip(*ends, strict=True):
        if low is not None and high is not None and not low <= high:
            raise ValueError(f"vmin is {low} and vmax is {high}; expected vmin <= vmax")
    steps = [steps_of(spacing, u) for u in host]
    names = [""] * len(host) if titles is None else list(titles)
    truth = None if x_true is None else checked(x_true, "x_true")
    is_truth = [given is x_true for given in images]
    if truth is not None:
        if all(u.shape != truth.shape for u in host):
            raise ValueError(f"x_true has shape {truth.shape}; expected that of an image, {host[0].shape}")
        names = [_caption(name, u, truth, given is x_true) for name, u, given in zip(names, host, images, strict=True)]
        if not any(is_truth):
            is_truth = [True, *is_truth]
            host, names, steps = [truth, *host], ["truth", *names], [steps_of(spacing, truth), *steps]
            ends = [[v[0], *v] for v in ends]

    limits = _limits(host, scale, *ends)
    panels = [p for told in zip(host, names, limits, steps, strict=True) for p in panels_of(*told)]
    below = _errors(host, is_truth, truth, steps) if errors else []
    maps = [p for p in below if p is not None]
    if zoom is not None:
        inside = check_zoom(zoom, host)
        for panel in (*panels, *maps):
            panel.zoom = inside
    rows = 1 if errors else math.ceil(len(panels) / _across(host))
    columns = math.ceil(len(panels) / rows)
    width = 3.2 * columns + (0.8 * columns if scale == "own" else 0.8) * colorbar
    figure = figures.new(path, figsize=(width, 3.4 * (rows + errors)))
    for k, one in enumerate([*panels, *below]):
        if one is not None:
            one.draw(figure.add_subplot(rows + errors, columns, k + 1), cmap, unit, truth)
    if colorbar:
        draw_bars(figure, panels, host, rows, scale == "own", unit)
        draw_bars(figure, maps, [p.u for p in maps], rows, False, unit)
    return figures.shown(figure, path, block)


def _errors(
    host: list[np.ndarray], is_truth: list[bool], truth: np.ndarray | None, steps: list[tuple[float, ...]]
) -> list[Panel | None]:
    """Of each image its difference to the truth, on one scale; none of the truth itself."""
    if truth is None:
        raise ValueError("errors is True and x_true is None; expected the truth")
    if bad := [u.shape for u in host if u.ndim != 2 or u.shape != truth.shape]:
        raise ValueError(f"errors is True with an image of shape {bad[0]}; expected (ny, nx), as x_true {truth.shape}")
    differences = [None if same else u.astype(np.float64) - truth for u, same in zip(host, is_truth, strict=True)]
    sizes = [max(map(abs, range_of(e))) for e in differences if e is not None]
    most = max(sizes, default=0.0) or 1.0
    return [
        None
        if e is None
        else Panel(e, f"error, up to {max(map(abs, range_of(e))):.3g}", (-most, most), h[0] / h[1], ERRORS)
        for e, h in zip(differences, steps, strict=True)
    ]


def _across(host: list[np.ndarray]) -> int:
    """Panels beside each other: the planes of a volume, or of two where there are many."""
    volumes = sum(map(is_volume, host))
    return 6 if volumes == len(host) > 5 else 3 if volumes else COLUMNS


def _ends(value: Any, name: str, n: int, scale: str) -> list[float | None]:
    """``vmin`` or ``vmax`` of each image."""
    if value is None or is_number(value):
        return [value] * n
    found = list(value) if np.iterable(value) else []
    if scale != "own" or len(found) != n or not all(map(is_number, found)):
        expected = f"a number, or with scale 'own' one for each of {n} images"
        raise ValueError(f"{name} is {shown(value)} with scale {scale!r}; expected {expected}")
    return found


def _limits(
    host: list[np.ndarray], scale: str, vmin: list[float | None], vmax: list[float | None]
) -> list[tuple[float, float]]:
    """Of each image, the values shown black and white; signals have an axis of values, so they are never cut off."""
    ranges = [range_of(u) for u in host]
    signals = [r for r, u in zip(ranges, host, strict=True) if u.ndim == 1]
    grey = [r for r, u in zip(ranges, host, strict=True) if u.ndim > 1 and not is_colour(u)]
    if scale != "own":
        of_signals, of_images = union(signals), union(grey if scale == "shared" else grey[:1])
        ranges = [of_signals if u.ndim == 1 else of_images for u in host]
    told = zip(ranges, vmin, vmax, strict=True)
    return [(own[0] if low is None else low, own[1] if high is None else high) for own, low, high in told]


def _caption(title: str, u: np.ndarray, truth: np.ndarray, is_truth: bool) -> str:
    if is_truth:
        return title or "truth"
    if u.shape != truth.shape:
        return title
    quality = f"{metrics.psnr(u, truth):.1f} dB"
    return f"{title}: {quality}" if title else quality
