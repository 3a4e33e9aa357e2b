"""Cropping, binning and padding, with where the pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend, summary
from ipbox.backend import Array
from ipbox.checks import check_choice, check_count, check_dims, check_integer, has_shape, is_integer
from ipbox.keywords import answering
from ipbox.measured.readings import check_readings


@dataclass(frozen=True)
class Panel:
    """Where the pixels of a panel are, (rows, columns), or of one row, (columns,).

    Attributes
    ----------
    shape : tuple of int
    det_spacing, det_shift : tuple of float
        Width of the pixels, and position of the panel's middle, along each axis: what the operators take.  The pixels
        are at (j - (n - 1)/2) det_spacing + det_shift.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> panel = ip.measured.Panel((10,), (0.5,), (0.0,))
    >>> x, fewer = ip.measured.crop(np.arange(10.0)[None], panel, columns=(4, 10))
    >>> x, fewer.det_shift
    (array([[4., 5., 6., 7., 8., 9.]]), (1.0,))
    """

    shape: tuple[int, ...]
    det_spacing: tuple[float, ...]
    det_shift: tuple[float, ...]

    __repr__ = summary.of_fields

    def __post_init__(self) -> None:
        if not isinstance(self.shape, tuple) or len(check_dims(self.shape, "shape")) > 2:
            raise ValueError(f"shape is {self.shape!r}; expected (rows, columns) or (columns,)")
        for name in ("det_spacing", "det_shift"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != (len(self.shape),) or not np.isfinite(values).all():
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected {len(self.shape)} finite numbers")
        if min(self.det_spacing) <= 0:
            raise ValueError(f"det_spacing is {self.det_spacing!r}; expected positive numbers")

    def positions(self, axis: int = -1) -> np.ndarray:
        """Where the pixels are along an axis."""
        n = self.shape[axis]
        return (np.arange(n) - 0.5 * (n - 1)) * self.det_spacing[axis] + self.det_shift[axis]

    def part(self, first: Sequence[float], count: Sequence[int], by: int = 1) -> Panel:
        """The panel of ``count`` pixels along each axis, ``by`` old ones wide, from the old pixel ``first`` on."""
        shift = tuple(
            old + (lo + 0.5 * (by * m - 1) - 0.5 * (n - 1)) * h
            for old, lo, m, n, h in zip(self.det_shift, first, count, self.shape, self.det_spacing, strict=True)
        )
        return Panel(tuple(count), tuple(by * h for h in self.det_spacing), shift)


@answering
def crop(
    x: Array, panel: Panel, *, rows: tuple[int, int] | None = None, columns: tuple[int, int] | None = None
) -> tuple[Array, Panel]:
    """Rows and columns from the first one to before the last one, as slices have it.

    Parameters
    ----------
    x : array
        (views, rows, columns) or (views, columns): projections, flat or dark fields.
    panel : Panel
    rows, columns : (int, int), optional
        By default all of them.

    Returns
    -------
    x : array
        A view of the data.
    panel : Panel
        Where its pixels are.

    Raises
    ------
    TypeError, ValueError
        for data that are not of the panel, or ranges that are not on it.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> panel = ip.measured.Panel((4, 6), (1.0, 1.0), (0.0, 0.0))
    >>> x, part = ip.measured.crop(np.zeros((9, 4, 6)), panel, rows=(1, 3), columns=(0, 4))
    >>> x.shape, part.det_shift
    ((9, 2, 4), (0.0, -1.0))
    """
    check_readings(_of(panel, x), "x")
    ranges = [_range(columns, "columns", panel.shape[-1])]
    if len(panel.shape) == 2:
        ranges = [_range(rows, "rows", panel.shape[0]), *ranges]
    elif rows is not None:
        raise ValueError(f"rows is {rows!r}; the panel has one row, expected columns only")
    part = panel.part([lo for lo, _ in ranges], [hi - lo for lo, hi in ranges])
    return x[(slice(None), *(slice(lo, hi) for lo, hi in ranges))], part


@answering
def bin_pixels(x: Array, panel: Panel, by: int) -> tuple[Array, Panel]:
    """Means over ``by`` x ``by`` pixels; those that are left over at the ends are dropped.

    Counts should be binned, with their fields, before the logarithm.

    Parameters
    ----------
    x : array
        (views, rows, columns) or (views, columns).
    panel : Panel
    by : int

    Returns
    -------
    x : array
        A new one, float32 for integers.
    panel : Panel
        With wider pixels, in their places.

    Raises
    ------
    TypeError, ValueError
        for data that are not of the panel, or ``by`` beyond it.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> panel = ip.measured.Panel((5,), (1.0,), (0.0,))
    >>> x, wide = ip.measured.bin_pixels(np.arange(5.0)[None], panel, 2)
    >>> x, wide.det_spacing, wide.det_shift
    (array([[0.5, 2.5]]), (2.0,), (-0.5,))
    """
    check_readings(_of(panel, x), "x")
    check_integer(by, "by", 1, min(panel.shape), " of the panel")
    count = [n // by for n in panel.shape]
    to = np.float32 if x.dtype.kind in "iub" else x.dtype
    inner = x[(slice(None), *(slice(0, m * by) for m in count))]
    split = inner.reshape(len(x), *(k for m in count for k in (m, by)))
    mean = split.mean(axis=tuple(range(2, 2 * len(count) + 1, 2)), dtype=np.float64)
    return mean.astype(to), panel.part([0] * len(count), count, by)


@answering
def pad(x: Array, panel: Panel, columns: int | tuple[int, int], *, mode: str = "edge") -> tuple[Array, Panel]:
    """Columns before and behind, for methods that need the panel to reach beyond the object.

    Parameters
    ----------
    x : array
        (views, rows, columns) or (views, columns).
    panel : Panel
    columns : int or (int, int)
        How many on either side, or before and behind.
    mode : {"edge", "constant", "reflect"}
        What they hold: what the last column does, 0, or its mirror image.

    Returns
    -------
    x : array
        A new one.
    panel : Panel
        Where its pixels are.

    Raises
    ------
    TypeError, ValueError
        for data that are not of the panel, a negative number of columns, or an unknown mode.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> x, wide = ip.measured.pad(np.ones((1, 3)), ip.measured.Panel((3,), (1.0,), (0.0,)), (0, 2), mode="constant")
    >>> x, wide.det_shift
    (array([[1., 1., 1., 0., 0.]]), (1.0,))
    """
    check_readings(_of(panel, x), "x")
    check_choice(mode, "mode", ("edge", "constant", "reflect"))
    before, behind = (columns, columns) if is_integer(columns) else _pair(columns)
    check_count(before, "columns", 0), check_count(behind, "columns", 0)
    pads = [(0, 0)] * (x.ndim - 1) + [(before, behind)]
    first, count = [0] * len(panel.shape), list(panel.shape)
    first[-1], count[-1] = -before, count[-1] + before + behind
    return backend.array_module(x).pad(x, pads, mode=mode), panel.part(first, count)


def _of(panel: Any, x: Any) -> Any:
    if not isinstance(panel, Panel):
        raise TypeError(f"panel is {type(panel).__name__}; expected a Panel")
    if backend.is_array(x) and x.shape[1:] != panel.shape:
        raise ValueError(f"x has shape {x.shape}; the panel is {panel.shape}, expected (views, *{panel.shape})")
    return x


def _pair(values: Any) -> tuple[Any, Any]:
    if not has_shape(values, (2,)):
        raise ValueError(f"columns is {values!r}; expected a number, or two (before, behind)")
    return tuple(values)


def _range(values: Any, name: str, n: int) -> tuple[int, int]:
    if values is None:
        return 0, n
    if not has_shape(values, (2,)) or not all(map(is_integer, values)) or not 0 <= values[0] < values[1] <= n:
        raise ValueError(f"{name} is {values!r}; expected (first, last) with 0 <= first < last <= {n}")
    return int(values[0]), int(values[1])
