"""The tables of `docs/measured.md`, from what a benchmark has measured."""

from __future__ import annotations

import math
import re
from typing import Any

from tests import docs


def table(rows: list[dict[str, Any]]) -> str:
    """Rows with ``name``, ``asked`` (a text, empty where nothing is), ``value``, ``ok`` and ``note``."""
    lines = ["| | required | measured | |", "|---|---|---|---|"]
    for row in rows:
        value = "failed" if row["value"] is None or math.isnan(row["value"]) else f"{row['value']:.4g}"
        short = " (short)" if row["asked"] and not row["ok"] else ""
        name, note = (str(row[key]).replace("|", "\\|") for key in ("name", "note"))
        lines.append(f"| {name} | {row['asked']} | {value}{short} | {note} |")
    return "\n".join(lines)


def publish(command: str, rows: list[dict[str, Any]], whole: bool, told: str = "") -> None:
    """Write the table into the documentation: all of it after a ``whole`` run, else the rows that were measured.

    ``told`` is what the machine was and when, a line below the table.
    """
    new = table(rows).splitlines()
    before = docs.blocks().get(command, "").strip().splitlines()
    if not whole and (old := [line for line in before if line.startswith("|")]):
        measured = {_name(line): line for line in new[2:]}
        kept = [measured.pop(_name(line), line) for line in old[2:]]
        new = [*new[:2], *kept, *measured.values()]
    docs.fill(command, "\n".join([*new, *(["", told] if told else [])]))


def _name(line: str) -> str:
    return re.split(r"(?<!\\)\|", line)[1].strip()
