"""One side of the benchmark: a process that stays alive and runs a task for each line of JSON on its input.

``python -m tests.bench.worker SIDE``: SIDE is ipbox or peers; the tasks are the functions of ``SIDE_*.py``.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def repeat_for(call: Callable[[], Any], seconds: float) -> float:
    """Seconds per call, from as many calls as fill ``seconds`` (at least one)."""
    calls, start = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - start < seconds:
        call()
        calls += 1
    return (time.perf_counter() - start) / calls


def tasks(side: str) -> Callable[[str], Callable[..., dict[str, Any]]]:
    """The functions of ``SIDE_*.py`` by ``family.name``; a family is imported with its first task."""
    found: dict[str, Any] = {}

    def lookup(name: str) -> Callable[..., dict[str, Any]]:
        if name not in found:
            family, _, function = name.partition(".")
            if not (Path(__file__).parent / f"{side}_{family}.py").is_file():
                raise ValueError(f"there is no {side}_{family}.py for task {name!r}")
            found[name] = getattr(import_module(f"{__package__}.{side}_{family}"), function)
        return found[name]

    return lookup


def serve(side: str) -> None:
    """Answer tasks until the input ends; what libraries print goes to stderr, not between the answers."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lookup = tasks(side)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": lookup(request["task"])(**request["args"])}
        except Exception:  # the parent raises it
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
