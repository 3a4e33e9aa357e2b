"""Docstrings as Sphinx reads them: |u| is a modulus and A* an adjoint, no markup."""

from __future__ import annotations

import re
from typing import Any

# what stands for itself: ``code``, `name`, :math:`...`, and what is escaped already
KEPT = re.compile(r"(``.*?``|:\w+:`[^`]*`|`[^`]*`|\\.)")


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", _escape, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _escape(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = escaped(lines)


def escaped(lines: list[str]) -> list[str]:
    """Strokes and stars escaped, outside of formulas, literal blocks, tables and examples."""
    out, literal = [], None
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and depth <= literal:
            literal = None
        starts = line.lstrip().startswith((".. math::", ".. rubric", ".. index", ".. only", ".. [", "+-", ">>>"))
        verbatim = literal is not None or starts or bool(re.fullmatch(r"\s*\|.*\|\s*", line))
        if literal is None and (line.lstrip().startswith(".. math::") or line.rstrip().endswith("::")):
            literal = depth
        if line.lstrip().startswith(">>>"):
            literal = depth - 1
        out.append(line if verbatim else _line(line))
        if not line.strip() and literal is not None and literal == depth - 1:
            literal = None
    return out


def _line(line: str) -> str:
    parts = KEPT.split(line)
    for k in range(1, len(parts), 2):
        if parts[k].endswith("`") and parts[k + 1][:1].isalnum():  # ``value``s
            parts[k] += "\\ "
    for k in range(0, len(parts), 2):
        parts[k] = re.sub(r"(?<!\*)\*(?!\*)|\||(?<=\w)_(?=\W|$)", r"\\\g<0>", parts[k])
    return "".join(parts)
