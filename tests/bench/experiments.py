"""Experiments whose required figures stand beside the measured ones, by a folder of modules with stored results.

A module has ``compute()``, which gives what JSON can hold, and ``rows(result)``: (name, required, "<=" or ">=",
measured, note), where what is required is infinite in rows that are only printed.  Results are ``results/*.json``
beside the modules; with RECOMPUTE=1 in the environment everything is trained and measured again, and stored.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import machine
from tests.bench.report import publish


@dataclass(frozen=True)
class Experiments:
    """The experiments of one folder.

    Attributes
    ----------
    package : str
        Of the modules.
    modules : tuple of str
    command : str
        What fills the table in the documentation.
    about : str
        A line for the help.
    """

    package: str
    modules: tuple[str, ...]
    command: str
    about: str

    def main(self, argv: list[str] | None = None) -> int:
        """Exit code 0 where every figure is reached, 1 where one falls short or failed, 2 for a wrong call."""
        parser = argparse.ArgumentParser(f"python -m {self.package}", description=self.about)
        parser.add_argument("modules", nargs="*", help=f"some of {', '.join(self.modules)}; all by default")
        args = parser.parse_args(argv)
        unknown = sorted(set(args.modules) - set(self.modules))
        if unknown:
            print(f"no such module: {', '.join(unknown)}; there are {', '.join(self.modules)}", file=sys.stderr)
            return 2
        print(f"{'figure':64} {'required':>12} {'measured':>12}  ok", flush=True)
        rows = [row for name in args.modules or self.modules for row in self.reported(name)]
        asked = [row for row in rows if math.isfinite(row["required"])]
        short = [row["name"] for row in asked if not row["ok"]]
        publish(self.command, rows, whole=not args.modules)
        print(f"\n{len(asked) - len(short)} of {len(asked)} figures ok{'; short: ' * bool(short)}{', '.join(short)}")
        return 1 if short else 0

    def reported(self, name: str) -> list[dict[str, Any]]:
        """Print the rows of one module; one that fails falls short, one that asks for infinity is only printed."""
        try:
            module = importlib.import_module(f".{name}", self.package)
            rows = module.rows(self.result_of(name, module))
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

    def result_of(self, name: str, module: Any) -> dict[str, Any]:
        """The stored result of an experiment, or with RECOMPUTE=1 a new one, which is stored."""
        results = Path(__file__).parents[2].joinpath(*self.package.split("."), "results")
        path = results / f"{name}.json"
        if os.environ.get("RECOMPUTE") != "1":
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path.name} is not stored; expected RECOMPUTE=1, which trains and measures again"
                )
            return json.loads(path.read_text())["result"]
        start = time.perf_counter()
        result = module.compute()
        print(f"  ({name}: {time.perf_counter() - start:.0f} s)", flush=True)
        results.mkdir(exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"machine": machine.describe(), "result": result}, indent=1) + "\n")
        temporary.replace(path)
        return result
