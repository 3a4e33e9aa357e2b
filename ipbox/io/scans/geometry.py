"""Where source, axis and panel of a scan were."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ipbox import summary
from ipbox.checks import check_choice, check_finite, check_not_negative, check_positive, has_shape, shown

BEAMS = ("parallel", "cone")


@dataclass(frozen=True)
class ScanGeometry:
    """Geometry of a scan about an upright axis: the panel's columns run along a, its rows along v; lengths in mm.

    Attributes
    ----------
    beam : str
        ``"parallel"`` or ``"cone"``.
    pixel_size : (float, float) or None
        Height and width of the panel's pixels; None where the file does not tell.
    source_distance, detector_distance : float or None
        From the axis to the source and to the panel.
    det_shift : (float, float) or None
        Position (v, a) of the panel's middle, 0 where the ray through the axis at right angles to the panel meets it,
        as the operators take it; None where the file does not tell where the axis is.
    """

    beam: str = "parallel"
    pixel_size: tuple[float, float] | None = None
    source_distance: float | None = None
    detector_distance: float | None = None
    det_shift: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_choice(self.beam, "beam", BEAMS)
        if self.pixel_size is not None:
            self._set(pixel_size=_pair(self.pixel_size, "pixel_size", check_positive, "(height, width)"))
        if self.det_shift is not None:
            self._set(det_shift=_pair(self.det_shift, "det_shift", check_finite, "(v, a)"))
        if self.source_distance is not None:
            self._set(source_distance=check_positive(self.source_distance, "source_distance"))
        if self.detector_distance is not None:
            self._set(detector_distance=check_not_negative(self.detector_distance, "detector_distance"))

    def _set(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def magnification(self) -> float | None:
        """Of the axis on the panel; 1 for parallel beam, None where distances are not known."""
        if self.beam == "parallel":
            return 1.0
        if self.source_distance is None or self.detector_distance is None:
            return None
        return (self.source_distance + self.detector_distance) / self.source_distance

    def of_part(self, shape: tuple[int, int], rows: slice, columns: slice) -> ScanGeometry:
        """That of a part of a panel of ``shape``, every n-th row or column left where the slices have a step."""
        from dataclasses import replace

        made = self
        if self.pixel_size is not None:
            height, width = self.pixel_size
            made = replace(made, pixel_size=(height * (rows.step or 1), width * (columns.step or 1)))
            if self.det_shift is not None:
                moved = (_moved(k, n) * h for k, n, h in zip((rows, columns), shape, self.pixel_size, strict=True))
                up, along = (s + d for s, d in zip(self.det_shift, moved, strict=True))
                made = replace(made, det_shift=(up, along))
        return made

    __repr__ = summary.of_fields


def _moved(part: slice, n: int) -> float:
    """By how many pixels the middle of a part of n is away from the middle of all."""
    chosen = range(n)[part]
    return (chosen[0] + chosen[-1]) / 2 - (n - 1) / 2


def _pair(value: Any, name: str, check: Any, what: str) -> tuple[float, float]:
    if has_shape(value, ()) and name == "pixel_size":
        return (check(value, name),) * 2
    if not has_shape(value, (2,)):
        raise ValueError(f"{name} is {shown(value)}; expected two numbers {what}")
    first, second = (check(number, name) for number in value)
    return first, second


def looks_parallel(shape: tuple[int, ...], pixel_width: float, source: float, detector: float) -> bool:
    """Whether no ray leaves the direction of the central one by half a pixel while it crosses the object.

    At a synchrotron the source is a hundred metres away: its distance is in the file, and plays no part.
    """
    half = 0.5 * shape[-1]
    length = source + detector
    return length > 0 and math.isfinite(length) and half * pixel_width / length * half < 0.5
