"""What the analytical methods report."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import backend, reports, summary
from ipbox.backend import Array


@dataclass(frozen=True)
class AnalyticInfo:
    """What an analytical method reports.

    Attributes
    ----------
    method : str
    seconds : float
    filter : str or None
        The window of a filter, where the method has one.
    niter, stop
        As iterative methods report them.
    parameters : dict
        What the method chose or was given beside.
    """

    method: str
    seconds: float
    filter: str | None = None
    niter: int = 0
    stop: str = "direct"
    parameters: dict[str, Any] = field(default_factory=dict)

    __repr__ = summary.of_fields
    report = reports.of_fields


def reported(x: Array, method: str, start: float, **told: Any) -> tuple[Array, AnalyticInfo]:
    """The image, which has to be finite, and its report; ``start`` is when the method began on the clock."""
    if not np.isfinite(backend.norm(x)):
        raise FloatingPointError(f"{method}: the image is not finite; b or the inverse is beyond {x.dtype}")
    return x, AnalyticInfo(method, time.perf_counter() - start, **told)
