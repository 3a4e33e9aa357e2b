"""Where a figure goes: to a file, to a window, into a notebook; by matplotlib, which is imported when one is made."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from ipbox.checks import check_type
from ipbox.files import replacing

_waiting: list[Any] = []  # the last figure of the cell that runs
WITHOUT_WINDOWS = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")  # backends of matplotlib


def new(path: str | os.PathLike[str] | None, **options: Any) -> Any:
    """A figure of pyplot's, as `plt.savefig` expects; a bare one where it is only saved."""
    check_type(path, "path", str | os.PathLike | None, "a path, such as 'figure.png'")
    if path is None:
        import matplotlib.pyplot as plt

        with warnings.catch_warnings():  # a script without a screen may make many
            warnings.filterwarnings("ignore", "More than 20 figures have been opened", RuntimeWarning)
            return plt.figure(layout="constrained", **options)
    from matplotlib.figure import Figure

    return Figure(layout="constrained", **options)


def shown(figure: Any, path: str | os.PathLike[str] | None, block: bool | None = None) -> Any:
    """The figure, saved at ``path``, or seen: in a window, or once below the cell of a notebook.

    ``block`` says whether to wait until the window is closed; by default a script waits, an interactive session does
    not.  Without a screen nothing happens.
    """
    if path is not None:
        save(figure, path, bbox_inches="tight", pad_inches=0.1)
        return figure
    import matplotlib
    import matplotlib.pyplot as plt

    backend = matplotlib.get_backend().lower()
    if "inline" in backend:
        _below_the_cell(figure)
    elif backend not in WITHOUT_WINDOWS:
        plt.show(block=block)
    return figure


def few_ticks(ax: Any) -> None:
    """Plain numbers at a few places of logarithmic axes that span less than a factor of 100, where labels overlap."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        if axis.get_scale() == "log" and high < 10 * low:
            axis.set_major_locator(MaxNLocator(4))
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_locator(NullLocator())
        elif axis.get_scale() == "log" and high < 100 * low:
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())


def save(figure: Any, path: str | os.PathLike[str], **options: Any) -> None:
    """Write a figure, all of it or nothing; a path without an ending gets .png, as matplotlib has it."""
    path = Path(path)
    path = path if path.suffix else path.with_name(f"{path.name}.png")
    endings = sorted(figure.canvas.get_supported_filetypes())
    if path.suffix[1:].lower() not in endings:
        raise ValueError(f"path is {path}; expected one that ends in .{', .'.join(endings)}")
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower(), dpi=150, **options)


def _below_the_cell(figure: Any) -> None:
    """Show it when the cell ends, unless it is the cell's value, which the notebook shows by itself."""
    import matplotlib.pyplot as plt
    from IPython import get_ipython
    from IPython.display import display

    events = get_ipython().events
    plt.close(figure)  # pyplot would show it too
    if not _waiting:
        events.register("post_run_cell", _end_cell)
    for earlier in _waiting:  # not the last one, so not the value
        display(earlier)
    _waiting[:] = [figure]


def _end_cell(cell: Any) -> None:
    from IPython import get_ipython
    from IPython.display import display

    get_ipython().events.unregister("post_run_cell", _end_cell)
    if cell.result is not _waiting[0]:
        display(_waiting[0])
    _waiting.clear()
