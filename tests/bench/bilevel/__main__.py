"""``python -m tests.bench.bilevel [MODULE ...]``: the required figures of bilevel learning beside the measured ones.

Exit code 0 where every figure is reached, 1 where one falls short or failed, 2 for a wrong call.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import time
import traceback
from pathlib import Path

from tests.bench import machine
from tests.bench.report import publish

MODULES = (
    "denoise_1d",
    "denoise_2d",
    "exact_dfo",
    "hypergradients",
    "maid_quadratic",
    "foe",
    "many_tiles",
    "sampling_1d",
    "sampling_2d",
    "speed",
    "vanishing_noise",
)
BUILD = Path(__file__).resolve().parents[3] / "build"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench.bilevel", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help=f"some of {', '.join(MODULES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="smaller problems: figures are indicative")
    args = parser.parse_args(argv)
    unknown = sorted(set(args.modules) - set(MODULES))
    if unknown:
        print(f"no such module: {', '.join(unknown)}; there are {', '.join(MODULES)}", file=sys.stderr)
        return 2
    print("; ".join(f"{k} {v}" for k, v in machine.describe().items()), flush=True)
    print(f"\n{'figure':48} {'required':>12} {'measured':>12}  ok", flush=True)
    results = [row for name in args.modules or MODULES for row in measured(name, args.quick)]
    asked = [r for r in results if r["ok"] is not None]
    short = [r["name"] for r in asked if not r["ok"]]
    BUILD.mkdir(exist_ok=True)
    report = {"machine": machine.describe(), "quick": args.quick, "rows": results}
    (BUILD / "bench_bilevel.json").write_text(json.dumps(report, indent=1))
    if not args.quick:
        publish("make bench-bilevel", results, whole=not args.modules)
    print(f"\n{len(asked) - len(short)} of {len(asked)} figures ok{'; short: ' * bool(short)}{', '.join(short)}")
    return 1 if short else 0


def measured(name: str, quick: bool) -> list[dict]:
    """Run one module and print its rows; a module that fails falls short."""
    start = time.perf_counter()
    try:
        rows = importlib.import_module(f".{name}", __package__).rows(quick)
    except Exception:
        failed = traceback.format_exc()
        print(failed, file=sys.stderr)
        rows = [(name, 0.0, "<=", math.nan, failed.strip().splitlines()[-1])]
    results = []
    for row, required, sense, value, note in rows:
        if math.isfinite(required):
            ok = bool(value <= required if sense == "<=" else value >= required)
            asked, verdict = f"{sense} {required:.6g}", "ok" if ok else "SHORT"
        else:  # for information
            ok, asked, verdict = None, "-", "-"
        print(f"{row:48} {asked:>12} {value:12.6g}  {verdict:5}  {note}", flush=True)
        told = "" if ok is None else asked
        results.append({"name": row, "required": required, "asked": told, "value": value, "ok": ok, "note": note})
    print(f"  ({name}: {time.perf_counter() - start:.0f} s)", flush=True)
    return results


if __name__ == "__main__":
    sys.exit(main())
