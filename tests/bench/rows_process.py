"""What is measured in processes of its own: memory, import time, the command line's start."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from .registry import Figure, row
from .session import ROOT, Session

HEAVY = ("torch", "cupy", "pylops", "scipy", "numba", "matplotlib")


def _memory(session: Session) -> dict[str, Any]:
    def measure() -> dict[str, Any]:
        run = subprocess.run(
            [sys.executable, "-m", "tests.bench.memory"], cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        )  # fmt: skip
        if run.returncode != 0:
            raise RuntimeError(f"python -m tests.bench.memory failed:\n{run.stderr}")
        return json.loads(run.stdout.splitlines()[-1])

    return session.once("memory", measure)


@row("memory-pdhg-tv-state", required=8, compare="max", unit="images")
def state(session: Session) -> Figure:
    found = _memory(session)
    note = "denoising: " + ", ".join(f"{path} {tuple(shape)}" for path, shape in found["arrays"].items())
    return Figure(found["denoising_state"], note, found)


@row("memory-tvct-growth", required=16, compare="max", unit="images")
def growth(session: Session) -> Figure:
    found = _memory(session)
    note = (
        f"peak resident size over that before the solve; state {found['state']:.1f} images (a sinogram is "
        f"{found['sinogram']:.1f}); operator's workspace apart: {found['operator']:.1f}"
    )
    return Figure(found["growth"], note, found)


def _seconds(*command: str) -> float:
    start = time.perf_counter()
    run = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if run.returncode != 0:
        raise RuntimeError(f"python {' '.join(command)} failed:\n{run.stderr}")
    return seconds


@row("import-time", required=150, compare="max", unit="ms")
def import_time(session: Session) -> Figure:
    """Median of 9 cold processes above the bare interpreter's."""
    check = f"import ipbox, sys; found = [m for m in {HEAVY!r} if m in sys.modules]; assert not found, found"
    _seconds("-c", check)  # also writes the bytecode
    pairs = [(_seconds("-c", "pass"), _seconds("-c", "import ipbox")) for _ in range(9)]
    bare, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    note = f"bare {1e3 * bare:.0f} ms, with import ipbox {1e3 * ours:.0f} ms; none of {', '.join(HEAVY)} imported"
    return Figure(1e3 * (ours - bare), note, {"pairs": pairs})


@row("help-time", required=0.5, compare="max", unit="s")
def help_time(session: Session) -> Figure:
    times = [_seconds("-m", "ipbox", "--help") for _ in range(9)]
    return Figure(statistics.median(times), "python -m ipbox --help, median of 9", {"seconds": times})
