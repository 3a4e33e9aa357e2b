"""What the analytical methods report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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
