"""The record of what crosses between host and device, and of what makes the host wait."""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """``kind`` is ``"H2D"``, ``"D2H"`` or ``"sync"``; ``detail`` the shape moved or the call that waits."""

    kind: str
    detail: object


_log: list[Event] = []


def record(kind: str, detail: object) -> None:
    _log.append(Event(kind, detail))


def transfers(kind: str | None = None) -> list[Event]:
    """The events since the last ``clear_transfers()``, of one kind or all."""
    return [event for event in _log if kind in (None, event.kind)]


def clear_transfers() -> None:
    _log.clear()
