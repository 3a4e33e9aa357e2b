"""Commands of ``python -m ipbox`` that are killed at random moments: their files are whole or not there, and again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import ipbox as ip
from tests.cli.simulated_scans import parallel_scan
from tests.soak.kills import Outcome

ROOT = Path(__file__).resolve().parents[2]
LONG = 300.0  # seconds
TIMED = (".json", ".txt")  # files that tell how long it took


def sinograms(folder: Path) -> Path:
    """A file with a stack of six."""
    A = ip.RayTransform((64, 64), np.arange(60) * np.pi / 60)
    x = np.zeros((64, 64), "float32")
    x[20:40, 16:44] = 1.0
    b = A.apply(x)
    path = folder / "scan.npy"
    np.save(path, np.stack([b * k for k in range(1, 7)]))
    return path


def nxtomo(folder: Path) -> Path:
    """A raw scan of four slices."""
    path = folder / "scan.nxs"
    parallel_scan(path, size=48, views=60)
    return path


SINOGRAMS = "reconstruct SCAN --order slices,angles,detector --angles 0:3.14159265:60"
COMMANDS = {
    "command, tv": f"{SINOGRAMS} --method tv --lam 0.1 --niter 60 --out x.npz --json x.json".split(),
    "command, fbp": f"{SINOGRAMS} --method fbp --out x.tif --json x.json".split(),
    "command, scan": "scan NXTOMO --method tv --out x.npy".split(),
    "command, demo": "demo ct --size 64 --views 30 --out x.png --json x.json".split(),
}


def kill_and_repeat(
    name: str, folder: Path, kills: int, rng: np.random.Generator, until: float = float("inf")
) -> Outcome:
    """Kill a command so often, at any moment of its time; then let it come to its end."""
    outcome, begun = Outcome(name), time.monotonic()
    folder.mkdir(parents=True)
    inputs = {"SCAN": sinograms, "NXTOMO": nxtomo}
    words = [str(inputs[word](folder)) if word in inputs else word for word in COMMANDS[name]]
    work, expected = folder / "work", folder / "expected"
    expected.mkdir()
    _start(words, expected).wait(LONG)  # compiles
    begun_alone = time.monotonic()
    if _start(words, expected).wait(LONG) != 0:
        raise RuntimeError(f"{name} does not come to its end:\n{(expected / 'said').read_text()}")
    outcome.alone = time.monotonic() - begun_alone
    while outcome.kills < kills and time.monotonic() < until:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        for last in (False, False, True):
            process = _start(words, work)
            try:
                code = process.wait(LONG if last else rng.uniform(0, outcome.alone))
            except subprocess.TimeoutExpired:
                code = None
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                outcome.kills += 1
            if code or code is None and last:
                outcome.faults.append("hangs" if code is None else (work / "said").read_text().strip()[-200:])
            if wrong := differing(work, expected, whole=code == 0):
                outcome.faults.append(wrong)
        outcome.ends += 1
    outcome.seconds = time.monotonic() - begun
    return outcome


def _start(words: list[str], folder: Path) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    with open(folder / "said", "w") as said:
        command = [sys.executable, "-m", "ipbox", *words]
        options = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": said}
        return subprocess.Popen(command, cwd=folder, env=environment, **options)


def differing(work: Path, expected: Path, whole: bool) -> str | None:
    """What is wrong with the files; where the command was killed, those that are not there are not missed."""
    for path in sorted(expected.iterdir()):
        other = work / path.name
        if path.name == "said":
            continue
        if not other.exists():
            if whole:
                return f"{path.name} is missing"
        elif path.suffix == ".json":
            json.loads(other.read_text())
        elif path.suffix not in TIMED and not same(other, path):
            return f"{path.name} differs"
    left = {path.name for path in work.iterdir()} - {path.name for path in expected.iterdir()}
    return f"leaves {', '.join(sorted(left))}" if whole and left else None


def same(one: Path, other: Path) -> bool:
    """Whether two files are alike: the arrays of archives, whose entries have times; else every byte."""
    if one.suffix != ".npz":
        return one.read_bytes() == other.read_bytes()
    with np.load(one) as a, np.load(other) as b:
        return set(a) == set(b) and all(np.array_equal(a[key], b[key]) for key in a)
