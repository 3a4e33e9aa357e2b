"""Tutorials as sphinx-gallery reads them: a title with a line under it, headings in cells, text as reStructuredText.

In `tutorials/` they are plain scripts: a docstring whose first sentence is the title, and ``# %% Heading`` cells whose
comments are prose with `code` and formulas that are indented.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

CELL = re.compile(r"^# %%(?P<heading>.*)\n(?P<text>(?:#.*\n)*)", re.MULTILINE)
README = """Tutorials
=========

Scripts of ``tutorials/``, in their fast mode.  Each has a picture, asserts its headline figure, and opens as a
notebook.
"""


def write(source: Path, folder: Path, only: list[str] | None = None) -> list[Path]:
    """The tutorials, of ``only`` some numbers, with the page that heads the gallery."""
    folder.mkdir(parents=True)
    (folder / "GALLERY_HEADER.rst").write_text(README, encoding="utf-8")
    made = []
    for path in sorted(source.glob("[0-9]*.py")):
        if only is None or path.name[:2] in only:
            made.append(folder / path.name)
            made[-1].write_text(staged(path.read_text(encoding="utf-8")), encoding="utf-8")
    return made


def staged(text: str) -> str:
    """One tutorial; its code is as it was."""
    doc = ast.parse(text).body[0]
    title, _, rest = ast.get_docstring(ast.parse(text)).partition("\n\n")
    body = "".join(text.splitlines(keepends=True)[doc.end_lineno :])
    head, mark, tail = re.fullmatch(r"(.+?)(?:([:?]) (.*)|$)", " ".join(title.split())).groups()
    name = head.rstrip(".") + ("?" if mark == "?" else "")
    said = [prose(f"{tail[:1].upper()}{tail[1:]}")] if tail else []
    parts = [name, "=" * (len(name) + 2), "", *said, *([""] if said else []), prose(rest.replace("\n", " "))]
    return f'r"""\n{chr(10).join(parts).rstrip()}\n"""\n{CELL.sub(_cell, body)}'


def _cell(found: re.Match[str]) -> str:
    heading = prose(found["heading"].strip())
    lines = [line[1:].removeprefix(" ") for line in found["text"].splitlines()]
    text = [heading, "-" * (len(heading) + 2), "", *_blocks(lines)] if heading else _blocks(lines)
    return "# %%\n" + "".join(f"# {line}".rstrip() + "\n" for line in text)


def _blocks(lines: list[str]) -> list[str]:
    """Paragraphs, and what is indented as it stands."""
    out: list[str] = []
    inside = False
    for line in lines:
        indented = line.startswith("    ")
        if indented and not inside:
            out += ["", "::", ""] if out and out[-1] else ["::", ""]
        elif inside and line and not indented:
            out += [""] if out[-1] else []
        inside = indented or (inside and not line)
        out.append(line if indented else prose(line))
    return out


def prose(text: str) -> str:
    """Stars, strokes and trailing underscores mean themselves; `code` is code."""
    parts = re.split(r"(`+[^`]*`+)", text)
    for k, part in enumerate(parts):
        if k % 2:
            parts[k] = f"``{part.strip('`')}``"
        else:
            parts[k] = re.sub(r"(?<=\w)_(?=\W|$)", r"\\_", re.sub(r"([*|\\])", r"\\\1", part))
    return "".join(parts)
