"""The tables of `docs/measured.md`, from what a benchmark has measured."""

from __future__ import annotations

import math
from typing import Any

from tests import docs


def table(rows: list[dict[str, Any]]) -> str:
    """Rows with ``name``, ``asked`` (a text, empty where nothing is), ``value``, ``ok`` and ``note``."""
    lines = ["| | required | measured | |", "|---|---|---|---|"]
    for row in rows:
        value = "failed" if row["value"] is None or math.isnan(row["value"]) else f"{row['value']:.4g}"
        short = " (short)" if row["asked"] and not row["ok"] else ""
        note = str(row["note"]).replace("|", "\\|")
        lines.append(f"| {row['name']} | {row['asked']} | {value}{short} | {note} |")
    return "\n".join(lines)


def publish(command: str, rows: list[dict[str, Any]], whole: bool) -> None:
    """Write the table into the documentation after a ``whole`` run, at full size; a part of one is only printed."""
    if whole:
        docs.fill(command, table(rows))
