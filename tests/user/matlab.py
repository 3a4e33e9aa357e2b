"""The scripts of `tasks/` as the body of docs/matlab.md: ``python -m tests.user.matlab``."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

TASKS = Path(__file__).parent / "tasks"
START, END = "# %% now the five lines\n", "\n# %% and what came of them\n"


@dataclass(frozen=True)
class Task:
    """A script: what it does, the call in MATLAB, and the lines that do it here once A and b exist."""

    path: Path
    title: str
    matlab: str
    lines: str

    @classmethod
    def read(cls, path: Path) -> Task:
        text = path.read_text(encoding="utf-8")
        doc = ast.get_docstring(ast.parse(text)) or ""
        title, _, matlab = doc.partition("\n\nMATLAB: ")
        return cls(path, title.strip().rstrip("."), matlab.strip(), text.split(START)[1].split(END)[0].strip("\n"))

    @property
    def statements(self) -> int:
        """How many lines of code there are to type, of a statement over several lines each."""
        return sum(1 for line in self.lines.splitlines() if line.strip() and not line.lstrip().startswith("#"))


def tasks() -> list[Task]:
    return [Task.read(path) for path in sorted(TASKS.glob("[0-9]*.py"))]


def markdown() -> str:
    rows = ["| | in MATLAB, IR Tools, AIR Tools II |", "|---|---|"]
    parts = []
    for number, task in enumerate(tasks(), 1):
        calls = [call.strip() for call in task.matlab.split("  ")]
        known = " ".join(call if call == "or" or call.startswith("(") else f"`{call}`" for call in calls)
        rows.append(f"| {number}. {task.title} | {known} |")
        parts.append(f"**{number}. {task.title}**\n\n```python\n{task.lines}\n```\n")
    return "\n".join(rows) + "\n\n" + "\n".join(parts)


if __name__ == "__main__":
    print(markdown())
