"""Pictures, by matplotlib, which is imported when one is made."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.files import replacing

COLUMNS = 4


def show(
    *images: Array,
    titles: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str = "gray",
) -> Any:
    """Images side by side on one grey scale.

    Parameters
    ----------
    *images : array
        Real images (ny, nx), NumPy or CuPy (copied to the host here); sizes may differ.
    titles : sequence of str, optional
        One for each image.
    path : str or path, optional
        Where to save the figure; then no window opens.
    vmin, vmax : float, optional
        Values shown black and white; by default the least and greatest value of the first image, so that
        ``show(x_true, x)`` shows x on the scale of the truth.
    cmap : str
        Colour map of matplotlib.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        for no image, one that is not 2-D, or titles that are not as many.
    TypeError
        for something else than a real array.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> figure = ip.show(np.eye(8), np.ones((8, 8)), titles=["truth", "reconstruction"])
    >>> [ax.get_title() for ax in figure.axes]
    ['truth', 'reconstruction']
    """
    host = [_checked(u, k) for k, u in enumerate(images)]
    if not host:
        raise ValueError("images is empty; expected at least one image")
    if titles is not None and len(titles) != len(host):
        raise ValueError(f"titles has {len(titles)} entries; expected {len(host)}, one for each image")
    vmin = float(host[0].min()) if vmin is None else vmin
    vmax = float(host[0].max()) if vmax is None else vmax

    columns = min(len(host), COLUMNS)
    rows = math.ceil(len(host) / columns)
    figure = _figure(path, figsize=(3.2 * columns, 3.4 * rows), layout="constrained")
    for k, u in enumerate(host):
        ax = figure.add_subplot(rows, columns, k + 1)
        ax.imshow(u, vmin=vmin, vmax=vmax, cmap=cmap, interpolation="nearest")
        ax.set_axis_off()
        if titles is not None:
            ax.set_title(titles[k], fontsize=10)
    if path is not None:
        save(figure, path, bbox_inches="tight", pad_inches=0.1)
    return figure


def save(figure: Any, path: str | os.PathLike[str], **options: Any) -> None:
    """Write a figure, all of it or nothing; a path without an ending gets .png, as matplotlib has it."""
    path = Path(path)
    path = path if path.suffix else path.with_name(f"{path.name}.png")
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower(), dpi=150, **options)


def _figure(path: str | os.PathLike[str] | None, **options: Any) -> Any:
    """A figure of pyplot's, which opens a window where there is a screen; a bare one where it is only saved."""
    if path is None:
        import matplotlib.pyplot as plt

        return plt.figure(**options)
    from matplotlib.figure import Figure

    return Figure(**options)


def _checked(image: Array, k: int) -> np.ndarray:
    backend.array_module(image)
    if image.ndim != 2 or image.size == 0:
        raise ValueError(f"image {k} has shape {image.shape}; expected (ny, nx)")
    if image.dtype.kind == "c":
        raise TypeError(f"image {k} has dtype {image.dtype}; expected real values (show its abs or real part)")
    return backend.to_host(image)
