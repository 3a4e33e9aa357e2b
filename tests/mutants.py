"""How many of the faults that could be in the code the tests find: ``make mutants``.

Cosmic Ray lists every small change of the source (an operator, a comparison, a number, a loop that ends early ...) in
the rooms of the mathematics; a seeded draw of them is made, one at a time, in copies of the tree, and the tests that
run the changed line are run until one fails.  Which tests those are is known from the coverage of each, recorded first.
``exhaustive`` tests, which only `make test-slow` runs, come after the others, so that both suites are judged at once.
Of the fast tests a mutant has to survive the quickest ones, a minute in all: what is found is a bound from below.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("solvers", "functionals", "operators", "bilevel", "choose")
COPIED = ("ipbox", "tests", "tutorials", "data", "pyproject.toml", "setup.cfg", "README.md", "docs", "Makefile")
# no `x * y` to `x >> y`: what is not even defined for floats is found by any test
IDLE = ("RShift", "LShift", "BitOr", "BitAnd", "BitXor", "FloorDiv", "Mod", "Pow", "Invert")
FAST = "not slow and not bench and not exhaustive and not peers"
LONGEST = 300  # seconds beyond what the tests took unchanged, ten times: a test that never ends is noticed, too


@dataclass(frozen=True)
class Mutant:
    path: str
    operator: str
    occurrence: int
    line: int


# ---------------------------------------------------------------- the mutants


def every_mutant() -> list[Mutant]:
    """All of them, in the order of files, operators and lines."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    found = []
    for path in (path for room in ROOMS for path in sorted((ROOT / "ipbox" / room).rglob("*.py"))):
        text = path.read_text(encoding="utf-8")
        nodes, idle = list(ast_nodes(get_ast(text))), _never_run(text)
        for name in operator_names():
            operator = get_operator(name)
            if operator.arguments() or name.endswith(IDLE):
                continue
            positions = [position for node in nodes for position in operator().mutation_positions(node)]
            for occurrence, (start, _) in enumerate(positions):
                if not any(low <= start < high for low, high in idle):
                    found.append(Mutant(path.relative_to(ROOT).as_posix(), name, occurrence, start[0]))
    return found


def _never_run(text: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations stand: they are never evaluated."""
    spots = []
    for node in ast.walk(ast.parse(text)):
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(part, ast.AST):
                spots.append(((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)))
    return spots


def changed(mutant: Mutant) -> str:
    """The source with the mutant in it."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    text = (ROOT / mutant.path).read_text(encoding="utf-8")
    return mutate_code(text, get_operator(mutant.operator)(), mutant.occurrence)


# ---------------------------------------------------------------- which tests run a line


def record(folder: Path, jobs: int, marks: str) -> None:
    """Run the tests with these marks with the coverage of each, and keep who ran what, and how long each took."""
    command = [sys.executable, "-m", "pytest", "-q", f"-n{jobs}", "-m", marks]
    command += [
        "--cov=ipbox",
        "--cov-branch",
        "--cov-context=test",
        "--cov-report=",
        "--durations=0",
        "-o",
        "addopts=--doctest-modules",
        "--ignore=tests/kernels/test_processes.py",  # forked children would write to the same record
    ]
    environment = os.environ | {"COVERAGE_FILE": str(folder / "coverage")}
    log = folder / "record.log"
    with log.open("w") as out:
        subprocess.run(command, cwd=ROOT, env=environment, stdout=out, check=False)
    import coverage

    data = coverage.CoverageData(str(folder / "coverage"))
    data.read()
    lines: dict[str, dict[int, list[str]]] = {}
    for file in data.measured_files():
        contexts = data.contexts_by_lineno(file)
        named = {line: sorted({c.rpartition("|")[0] for c in of if c}) for line, of in contexts.items()}
        lines[Path(file).relative_to(ROOT).as_posix()] = {line: of for line, of in named.items() if of}
    seconds: dict[str, float] = {}
    for text in log.read_text().splitlines():
        parts = text.split(maxsplit=2)
        if len(parts) == 3 and parts[1] in ("call", "setup", "teardown") and parts[0].endswith("s"):
            seconds[parts[2]] = seconds.get(parts[2], 0.0) + float(parts[0][:-1])
    listed = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-m", "exhaustive", "-o", "addopts="]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    exhaustive = [name for name in names if "::" in name]
    (folder / "lines.json").write_text(json.dumps({"lines": lines, "seconds": seconds, "exhaustive": exhaustive}))


def tests_of(mutant: Mutant, known: dict[str, Any]) -> list[str]:
    """The tests that run the mutant's line, the fastest first."""
    of = known["lines"].get(mutant.path, {}).get(str(mutant.line), [])
    return sorted(of, key=lambda test: (known["seconds"].get(test, 0.0), test))


def within(tests: list[str], known: dict[str, Any], most: float) -> list[str]:
    """The fastest of them, ``most`` seconds in all: what a longer run would find in addition is left out."""
    sums = itertools.accumulate(known["seconds"].get(test, 0.0) + 0.01 for test in tests)
    return [test for test, until in zip(tests, sums, strict=True) if until <= most] or tests[:1]


# ---------------------------------------------------------------- running them


def _forked(target: Any, *args: Any, longest: float = LONGEST) -> str:
    """What ``target`` answers in a child of this process, which has imported the libraries; else how it ended."""
    context = multiprocessing.get_context("fork")
    read, write = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(write, *args))
    process.start()
    write.close()
    try:
        answer = read.recv() if read.poll(longest) else "a test that never ends"
    except EOFError:
        answer = "a crash"
    if process.is_alive():
        os.killpg(process.pid, signal.SIGKILL) if os.getpgid(process.pid) == process.pid else process.kill()
    process.join()
    return answer


class FirstFailure:
    """A plugin that remembers the first test to fail, or the first file that cannot be collected."""

    name = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.name = self.name or report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.name = self.name or f"collection of {report.nodeid}"


def _run(answer: Any, copy: Path, tests: list[str], marks: str, without: set[str]) -> None:
    """pytest in ``copy`` until a test fails; answers its name, or "" where none does."""
    os.setpgid(0, 0)
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    for name in [m for m in sys.modules if m.partition(".")[0] in ("ipbox", "tests")]:
        del sys.modules[name]  # they are to come from the copy
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", marks, "-o", "addopts=--doctest-modules"]
    options += [f"--deselect={test}" for test in without]
    first = FirstFailure()
    code = pytest.main([*options, *tests], plugins=[first])
    passed = code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    if not passed and not first.name:
        first.name = f"pytest itself, {code}"
    answer.send(first.name)
    answer.close()
    os._exit(0)


def judge(mutant: Mutant, copy: Path, known: dict[str, Any], most: float, useless: set[str]) -> tuple[str, str]:
    """The suite that finds it, ``"fast"`` or ``"exhaustive"``, and its test; ``"none"``; ``"unrun"``: no test there."""
    tests, exhaustive = tests_of(mutant, known), set(known["exhaustive"])
    of = {
        "fast": within([test for test in tests if test not in exhaustive], known, most),
        "exhaustive": [test for test in tests if test in exhaustive],
    }
    for suite, chosen in of.items():
        longest = LONGEST + 10 * sum(known["seconds"].get(test, 0.0) for test in chosen)
        if failed := found(mutant, copy, chosen, longest, useless):
            return suite, failed
    return ("none" if tests else "unrun"), ""


def lost(mutant: Mutant, copy: Path, known: dict[str, Any], most: float, useless: set[str]) -> tuple[str, str]:
    """Of what `make test` leaves out: ``"lost"`` where an exhaustive test finds the mutant and no fast one does.

    ``"fast"`` where both do, ``"none"`` where no exhaustive test does, ``"unrun"`` where none runs the line.  The fast
    tests are those of the mutant's own room, in order, and what classes of its kind must keep.
    """
    tests = tests_of(mutant, known)
    if not (test := found(mutant, copy, tests, LONGEST, useless)):
        return ("none" if tests else "unrun"), ""
    room = Path(mutant.path).parent.relative_to("ipbox")
    folders = [f"tests/{room}", f"tests/{room.parts[0]}", f"tests/contracts/{room.parts[0]}"]
    fast = found(mutant, copy, [f for f in folders if (copy / f).is_dir()], 10 * LONGEST, set(), FAST)
    return ("fast" if fast else "lost"), fast or test


def found(mutant: Mutant, copy: Path, tests: list[str], longest: float, useless: set[str], marks: str = "") -> str:
    """The first of the tests that finds the mutant, or "".

    A test that fails on the unchanged source, too, finds nothing: it joins ``useless``, and the others go on.
    """
    file = copy / mutant.path
    original = file.read_bytes()
    while left := [test for test in tests if test not in useless]:
        try:
            file.write_text(changed(mutant), encoding="utf-8")
            failed = _forked(_run, copy, left, marks, useless, longest=longest)
        finally:
            file.write_bytes(original)
        if "::" not in failed or not _forked(_run, copy, [failed], marks, set()):
            return failed
        useless.add(failed)
    return ""


def work(share: list[Mutant], known: dict[str, Any], most: float, what: Any, results: Any) -> None:
    """Judge a share of the mutants by `judge` or `lost`, in a copy of the tree."""
    for name in ("numpy", "scipy.sparse.linalg", "numba", "torch", "pylops", "pyproximal"):
        __import__(name)
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != ROOT]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        copy.mkdir()
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name)
            elif source.exists():
                shutil.copy2(source, copy / name)
        useless: set[str] = set()
        for mutant in share:
            start = time.perf_counter()
            suite, test = what(mutant, copy, known, most, useless)
            seconds = round(time.perf_counter() - start, 1)
            results.put(asdict(mutant) | {"found by": suite, "test": test, "seconds": seconds})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--most", type=float, default=60.0, help="seconds of fast tests a mutant has to survive")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/mutants", help="what is recorded, and the result")
    parser.add_argument(
        "--lost", action="store_true", help="only what `make test` loses by leaving out exhaustive tests"
    )
    parser.add_argument("--again", action="store_true", help="record the coverage anew")
    args = parser.parse_args()
    args.folder /= "lost" if args.lost else ""
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.again or not (args.folder / "lines.json").exists():
        record(args.folder, args.jobs, "exhaustive" if args.lost else "not slow and not bench and not peers")
    known = json.loads((args.folder / "lines.json").read_text())
    drawn = random.Random(args.seed).sample(every_mutant(), args.count)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    shares = [drawn[i :: args.jobs] for i in range(args.jobs)]
    workers = [
        context.Process(target=work, args=(share, known, args.most, lost if args.lost else judge, results))
        for share in shares
    ]
    for worker in workers:
        worker.start()
    rows: list[dict[str, Any]] = []
    while len(rows) < len(drawn):
        rows.append(results.get())
        row = rows[-1]
        where = f"{row['path']}:{row['line']} {row['operator']}"
        print(f"{len(rows):4d} {row['found by']:10} {row['seconds']:6} s  {where}  {row['test']}", flush=True)
    for worker in workers:
        worker.join()
    (args.folder / "result.json").write_text(json.dumps(rows, indent=1))
    of = {
        suite: sum(row["found by"] == suite for row in rows)
        for suite in ("fast", "exhaustive", "none", "unrun", "lost")
    }
    if args.lost:
        print(
            f"{len(rows)} mutants of seed {args.seed}: exhaustive tests run {len(rows) - of['unrun']} of them and find "
            f"{of['fast'] + of['lost']}, of which fast tests of the same room find {of['fast']}; lost: {of['lost']}"
        )
        return
    print(
        f"{len(rows)} mutants of seed {args.seed}: `make test` finds at least {of['fast']}, its exhaustive part in "
        f"`make test-slow` {of['exhaustive']} more; {of['none']} live, {of['unrun']} are on lines no test runs"
    )


if __name__ == "__main__":
    main()
