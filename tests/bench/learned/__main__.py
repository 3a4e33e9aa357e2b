"""``python -m tests.bench.learned [MODULE ...]``: the required figures of learned methods beside the measured ones.

Figures come from stored results (``results/*.json``); with RECOMPUTE=1 in the environment everything is trained and
measured again, which takes hours, and the results are stored.  Exit code 0 where every figure is reached, 1 where one
falls short or failed, 2 for a wrong call.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.bench import machine
from tests.bench.report import publish

MODULES = (
    "bridge",
    "denoisers",
    "plug_and_play",
    "ct",
    "unrolled",
    "automap",
    "equilibrium",
    "supervision",
    "stability",
    "stability_pseudoinverse",
    "overhead",
    "training_step",
)
RESULTS = Path(__file__).parent / "results"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench.learned", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help=f"some of {', '.join(MODULES)}; all by default")
    args = parser.parse_args(argv)
    unknown = sorted(set(args.modules) - set(MODULES))
    if unknown:
        print(f"no such module: {', '.join(unknown)}; there are {', '.join(MODULES)}", file=sys.stderr)
        return 2
    print(f"{'figure':64} {'required':>12} {'measured':>12}  ok", flush=True)
    rows = [row for name in args.modules or MODULES for row in reported(name)]
    asked = [row for row in rows if math.isfinite(row["required"])]
    short = [row["name"] for row in asked if not row["ok"]]
    publish("make experiments-learned", rows, whole=not args.modules)
    print(f"\n{len(asked) - len(short)} of {len(asked)} figures ok{'; short: ' * bool(short)}{', '.join(short)}")
    return 1 if short else 0


def reported(name: str) -> list[dict[str, Any]]:
    """Print the rows of one module; one that fails falls short, one with an infinite requirement is only printed."""
    try:
        module = importlib.import_module(f".{name}", __package__)
        rows = module.rows(result_of(name, module))
    except Exception:
        failed = traceback.format_exc()
        print(failed, file=sys.stderr)
        rows = [(name, 0.0, "<=", math.nan, failed.strip().splitlines()[-1])]
    report = []
    for row, required, sense, value, note in rows:
        ok = bool(value <= required if sense == "<=" else value >= required)
        free = not math.isfinite(required)
        asked, verdict = ("", "-") if free else (f"{sense} {required:.6g}", "ok" if ok else "SHORT")
        print(f"{row:64} {asked:>12} {value:12.6g}  {verdict:5}  {note}", flush=True)
        report.append({"name": row, "required": required, "asked": asked, "value": value, "ok": ok, "note": note})
    return report


def result_of(name: str, module: Any) -> dict[str, Any]:
    """The stored result of an experiment, or with RECOMPUTE=1 a new one, which is stored."""
    path = RESULTS / f"{name}.json"
    if os.environ.get("RECOMPUTE") != "1":
        if not path.is_file():
            raise FileNotFoundError(f"{path.name} is not stored; expected RECOMPUTE=1, which trains and measures again")
        return json.loads(path.read_text())["result"]
    start = time.perf_counter()
    result = module.compute()
    print(f"  ({name}: {time.perf_counter() - start:.0f} s)", flush=True)
    RESULTS.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"machine": machine.describe(), "result": result}, indent=1) + "\n")
    temporary.replace(path)
    return result


if __name__ == "__main__":
    sys.exit(main())
