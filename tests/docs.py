"""Tables in ``README.md`` and ``docs/`` are what commands print: ``python -m tests.docs [PART OF A COMMAND ...]``.

A block that begins with ``<!-- printed by: COMMAND -->`` and ends with ``<!-- end -->`` is filled with the lines that
COMMAND prints.  Blocks of ``make`` (benchmarks, which want a quiet machine) are filled by the benchmark itself.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"<!-- printed by: (?P<command>[^\n]+?) -->\n(?P<text>.*?)<!-- end -->", re.DOTALL)


def pages(root: Path = ROOT) -> list[Path]:
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def blocks(root: Path = ROOT) -> dict[str, str]:
    """The commands, and what their blocks hold."""
    return {m["command"]: m["text"] for page in pages(root) for m in BLOCK.finditer(page.read_text(encoding="utf-8"))}


def fenced(page: Path, kind: str) -> list[tuple[int, str]]:
    """Line and text of each block of code of a kind, ``""`` for commands; not those that commands have printed."""
    text = page.read_text(encoding="utf-8")
    written = BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
    found = [(written.count("\n", 0, m.start()) + 1, m) for m in FENCE.finditer(written)]
    return [(line, m["text"]) for line, m in found if m["kind"] == kind]


def fill(command: str, text: str, root: Path = ROOT) -> None:
    """Write what ``command`` has printed into its blocks; Markdown tables as they are, all else as a code block."""
    body = text.strip("\n") if text.lstrip().startswith("|") else f"```\n{text.strip(chr(10))}\n```"

    def block(found: re.Match[str]) -> str:
        same = found["command"] == command
        return f"<!-- printed by: {command} -->\n{body}\n<!-- end -->" if same else found[0]

    for page in pages(root):
        old = page.read_text(encoding="utf-8")
        new = BLOCK.sub(block, old)
        if new != old:
            page.write_text(new, encoding="utf-8")


def main(wanted: list[str]) -> int:
    for command in blocks():
        if command.startswith("make ") or not all(word in command for word in wanted):
            continue
        words = [sys.executable if word == "python" else word for word in shlex.split(command)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{command}: exit code {done.returncode}\n{done.stderr}", file=sys.stderr)
            return 1
        fill(command, done.stdout)
        print(f"{command}: {len(done.stdout.splitlines())} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
