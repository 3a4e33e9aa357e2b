"""The parent's side of a run: two workers, a folder for the arrays, and interleaved repeats."""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"


class Worker:
    """A side's process; `call` runs one task in it."""

    def __init__(self, side: str, python: str) -> None:
        self.side = side
        self.process = subprocess.Popen(
            [python, "-m", "tests.bench.worker", side],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )  # fmt: skip

    def call(self, task: str, **args: Any) -> dict[str, Any]:
        """The result of ``task``.

        Raises
        ------
        RuntimeError
            with the worker's traceback where the task failed, or where the process ended.
        """
        self.process.stdin.write(json.dumps({"task": task, "args": args}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self.side} process ended (code {self.process.wait()}) in task {task}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"task {task} failed on the side of {self.side}:\n{answer['error']}")
        return answer["result"]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Session:
    """What a row's function gets: the two sides, shared arrays, results kept within the run and across runs.

    Parameters
    ----------
    peers_python : str
        Python of the peers' environment.
    repeats : int
        Interleaved repeats of each measurement.
    quick : bool
        Smaller searches, for trying the benchmark out; its figures are not the required ones.
    """

    def __init__(self, peers_python: str, repeats: int = 5, quick: bool = False) -> None:
        self.repeats, self.quick = repeats, quick
        self._python = {"ipbox": sys.executable, "peers": peers_python}
        self._workers: dict[str, Worker] = {}
        self._once: dict[str, Any] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="ipbox-bench-")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: Any) -> None:
        for worker in self._workers.values():
            worker.close()
        self._folder.cleanup()

    def children(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid for worker in self._workers.values()]

    def forget(self) -> None:
        """Drop what `once` keeps, so that a row can be measured anew."""
        self._once.clear()

    def call(self, side: str, task: str, **args: Any) -> dict[str, Any]:
        """Run a task on one side; its process starts with the first one."""
        if side not in self._workers:
            self._workers[side] = Worker(side, self._python[side])
        return self._workers[side].call(task, **args)

    def interleave(self, task: str, ipbox: dict[str, Any], peers: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """Results of ``task`` on both sides, A B A B ..., after one warm-up each that is thrown away."""
        results: dict[str, list[dict[str, Any]]] = {"ipbox": [], "peers": []}
        for repeat in range(self.repeats + 1):
            for side, args in (("ipbox", ipbox), ("peers", peers)):
                result = self.call(side, task, **args)
                if repeat > 0:
                    results[side].append(result)
        return results

    def path(self, name: str) -> str:
        """A file in the run's folder, through which the sides exchange arrays."""
        return str(Path(self._folder.name) / name)

    def once(self, key: str, compute: Callable[[], Any]) -> Any:
        """``compute()``, kept for the other rows of this run."""
        if key not in self._once:
            self._once[key] = compute()
        return self._once[key]

    def cached(self, name: str, settings: dict[str, Any], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """``compute()``, kept in build/ for later runs with the same settings (JSON values)."""
        text = json.dumps(settings, sort_keys=True)
        file = BUILD / "bench-cache" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        if not file.exists():
            result = compute()
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps({"settings": settings, "result": result}, indent=1))
            os.replace(part, file)
        return json.loads(file.read_text())["result"]


def median_of(results: list[dict[str, Any]], key: str = "seconds") -> float:
    """The median of one number over the repeats."""
    return statistics.median(r[key] for r in results)


def seconds_of(results: dict[str, list[dict[str, Any]]]) -> dict[str, list[float]]:
    """The raw seconds of both sides, for the JSON file."""
    return {side: [r["seconds"] for r in rs] for side, rs in results.items()}
