"""One training step of an unrolled network on CT against the same through deepinv's Tomography.

``PEERS_PYTHON`` is the Python of `tests/bench/setup_peers.sh`; the step is that of `peers_training_step`, the same file
for both, each in a process of its own, in turn.  What is saved is in the operators: the slower the network, the less
it shows.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROUNDS, REPEATS, THREADS = 2, 3, 2
REQUIRED = {"256 x 256, 90 views, mixed precision": 3.0}  # the others are printed


def compute() -> dict[str, Any]:
    """Seconds of each step in each setting, and the error of the filtered back-projection."""
    peers = os.environ.get("PEERS_PYTHON")
    if not peers:
        raise RuntimeError("PEERS_PYTHON is not set; expected the Python that tests/bench/setup_peers.sh made")
    found: dict[str, Any] = {}
    for _ in range(ROUNDS):
        for python, which in ((sys.executable, "ipbox"), (peers, "deepinv")):
            for setting, variants in steps(python, which).items():
                for name, m in variants.items():
                    kept = found.setdefault(setting, {}).setdefault(name, {"seconds": []})
                    kept["seconds"] += m["seconds"]
                    kept["fbp_error"] = m["fbp_error"]
    return found


def steps(python: str, which: str) -> dict[str, Any]:
    # threads that wait asleep: where other processes run, spinning ones would be what is measured
    threads = {"OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "passive"}
    environment = os.environ | threads | {"PYTHONPATH": str(HERE.parents[2])}
    command = [python, str(HERE / "peers_training_step.py"), which, str(REPEATS), str(THREADS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    """Required beside measured: medians, and the faster of deepinv's two ways."""
    found = []
    for setting, variants in result.items():
        medians = {name: statistics.median(m["seconds"]) for name, m in variants.items()}
        name = min((name for name in medians if name != "ipbox"), key=medians.get)
        worst = max(m["fbp_error"] for m in variants.values())
        note = (
            f"ipbox {medians['ipbox']:.3f} s, {name} {medians[name]:.3f} s; FBP of a disc is off by at most {worst:.0e}"
        )
        ratio = medians[name] / medians["ipbox"]
        found.append((f"training step: deepinv/ipbox, {setting}", REQUIRED.get(setting, -math.inf), ">=", ratio, note))
    return found
