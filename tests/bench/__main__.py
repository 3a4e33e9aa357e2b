"""``python -m tests.bench [PATTERN ...]``: measure the rows, print the table, write build/bench.json.

Exit code 0 where every required figure is reached, 1 where one falls short or failed, 2 for a wrong call.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from . import machine
from .registry import Figure, Row, select
from .report import publish
from .session import BUILD, ROOT, Session


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        rows = select(args.patterns)
    except ValueError as err:
        print(err, file=sys.stderr)
        return 2
    if args.list:
        for r in rows:
            print(f"{r.name:34} {requirement(r)}")
        return 0
    if any(r.peers for r in rows) and not Path(args.peers_python).exists():
        print(f"{args.peers_python} is missing; `sh tests/bench/setup_peers.sh` makes it", file=sys.stderr)
        return 2
    about = machine.describe()
    print("; ".join(f"{k} {v}" for k, v in about.items()), flush=True)
    quiet = machine.wait_for_quiet()
    print(f"{'quiet' if quiet.quiet else 'NOT QUIET, figures may be off'}: {quiet}", flush=True)
    with Session(args.peers_python, args.repeats, args.quick) as session:
        versions = {"ipbox side": session.call("ipbox", "about.versions")}
        if any(r.peers for r in rows):
            versions["peers"] = session.call("peers", "about.versions")
        for side, found in versions.items():
            print(f"{side}: " + ", ".join(f"{k} {v}" for k, v in found.items()), flush=True)
        print(f"\n{'row':34} {'required':>12} {'measured':>10}  ok", flush=True)
        results = [measured(r, session) for r in rows]
    short = [r["name"] for r in results if not r["ok"]]
    BUILD.mkdir(exist_ok=True)
    report = {
        "machine": about, "quiet": quiet.quiet, "quietness": str(quiet), "versions": versions,
        "repeats": args.repeats, "quick": args.quick, "rows": results,
    }  # fmt: skip
    args.out.write_text(json.dumps(report, indent=1))
    told = [{**r, "asked": asked(r), "value": r["measured"]} for r in results]
    if not args.quick and args.repeats >= 5:  # what is no time does not depend on who else is there
        told = [r for r in told if quiet.quiet or r["unit"] not in ("x", "ms", "s")]
        whole = quiet.quiet and not args.patterns
        on = f"{about['cpu']}, {about['cores']} cores, {about['memory']}, Python {about['python']}"
        which = "All rows" if whole else "The rows measured last"
        publish("make bench", told, whole, f"{which}: {datetime.date.today():%d %B %Y}, on {on}.")
    print(f"\n{len(results) - len(short)} of {len(results)} rows ok{'; short: ' if short else ''}{', '.join(short)}")
    return 1 if short else 0


def measured(r: Row, session: Session) -> dict[str, Any]:
    """Measure a row and print its line; where others disturbed it, pass or not, once more, and that counts."""
    result = attempt(r, session)
    others = result["others"]
    if others is None or others <= machine.BUSY_FRACTION * machine.CORES:
        return result
    print(f"  disturbed: others used {others:.2f} cores; measured once more", flush=True)
    machine.wait_for_quiet()
    session.forget()
    return {**attempt(r, session), "disturbed": result}


def attempt(r: Row, session: Session) -> dict[str, Any]:
    """Measure a row once; a row that fails is a row that falls short."""
    start, watch = time.perf_counter(), machine.Watch(session.children)
    try:
        figure, failed = r.measure(session), None
    except Exception:
        failed = traceback.format_exc()
        figure = Figure(float("nan"), failed.strip().splitlines()[-1])
    ok = failed is None and r.ok(figure.value)
    verdict = "SHORT" if not ok else "-" if r.required is None else "ok"
    print(f"{r.name:34} {requirement(r):>12} {figure.value:10.4g}  {verdict:5}  {figure.note}", flush=True)
    if failed:
        print(failed, file=sys.stderr)
    return {
        "name": r.name, "required": r.required, "compare": r.compare, "unit": r.unit,
        "measured": None if failed else figure.value, "ok": ok, "note": figure.note, "raw": figure.raw,
        "error": failed, "seconds": time.perf_counter() - start, "others": watch.others(),
    }  # fmt: skip


def requirement(r: Row) -> str:
    return asked({"required": r.required, "compare": r.compare, "unit": r.unit}) or "-"


def asked(r: dict[str, Any]) -> str:
    if r["required"] is None:
        return ""
    return f"{'>=' if r['compare'] == 'min' else '<='} {r['required']:g} {r['unit']}".strip()


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure ipbox against its peers.")
    p.add_argument("patterns", nargs="*", help="rows by name, part of a name or pattern; all by default")
    p.add_argument("--repeats", type=int, default=5, help="interleaved repeats; required figures ask for 5")
    p.add_argument("--quick", action="store_true", help="smaller searches, to try the benchmark out")
    p.add_argument("--list", action="store_true", help="print the rows and their requirements only")
    p.add_argument("--peers-python", default=str(ROOT / ".venv-peers" / "bin" / "python"))
    p.add_argument("--out", type=Path, default=BUILD / "bench.json")
    return p


if __name__ == "__main__":
    sys.exit(main())
