"""``make soak``, ``python -m tests.soak [PART ...]``: kills, damaged files, full disks and load, for so many minutes.

Exit code 0 where everything was as undisturbed, 1 where something was not.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.soak import commands, disks, kills, loads, mutations, ranks, shares
from tests.soak.formats import FORMATS
from tests.soak.runs import RUNS


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    check(args)
    parts = args.parts or list(PARTS)
    until, faults = time.monotonic() + 60 * args.minutes, 0
    memory = Path("/dev/shm")  # files of memory, where there are some: thousands of them are written
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for k, part in enumerate(parts):
            share = time.monotonic() + (until - time.monotonic()) / (len(parts) - k)
            faults += PARTS[part](args, Path(folder) / part, share)
    print(f"\n{faults} faults" if faults else "\nno faults")
    return min(faults, 1)


def check(args: argparse.Namespace) -> None:
    """Exit with code 2 where nothing would be tried: that has no faults either."""
    for name, wanted, known in (
        ("PART", args.parts, PARTS),
        ("--only", args.only, {**FORMATS, **RUNS, **ranks.RUNS, **commands.COMMANDS}),
    ):
        for word in wanted:
            if word not in known:
                parser().error(f"{name} is {word!r}; expected of {', '.join(map(str, known))}")
    for name in ("minutes", "count", "kills"):
        if not 0 < getattr(args, name) < math.inf:
            parser().error(f"--{name} is {getattr(args, name)}; expected a positive number")


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0])
    out.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    out.add_argument("--minutes", type=float, default=60.0, help="in all (60)")
    out.add_argument("--count", type=int, default=10_000, help="damaged files of each format (10000)")
    out.add_argument("--kills", type=int, default=50, help="of each run (50)")
    out.add_argument("--only", nargs="*", default=[], metavar="NAME", help="of formats and runs")
    out.add_argument("--seed", type=int, default=0)
    return out


def _kills(args: argparse.Namespace, folder: Path, until: float) -> int:
    print(f"\n{kills.HEAD}", flush=True)
    return sum(
        _told(kills.kill_and_resume(name, RUNS[name], folder / name, args.kills, rng, end))
        for name, rng, end in _shared(RUNS, args, until)
    )


def _ranks(args: argparse.Namespace, folder: Path, until: float) -> int:
    """A rank of a job of MPI is killed, where there is MPI."""
    if missing := ranks.why_not():
        print(f"\nranks: not run, as {missing}", flush=True)
        return 0
    print(f"\n{kills.HEAD}", flush=True)
    return sum(
        _told(ranks.kill_and_resume(name, folder / name.rpartition(" ")[2], args.kills, rng, end))
        for name, rng, end in _shared(ranks.RUNS, args, until)
    )


def _commands(args: argparse.Namespace, folder: Path, until: float) -> int:
    print(f"\n{kills.HEAD}", flush=True)
    return sum(
        _told(commands.kill_and_repeat(name, folder / name.rpartition(" ")[2], args.kills, rng, end))
        for name, rng, end in _shared(commands.COMMANDS, args, until)
    )


def _files(args: argparse.Namespace, folder: Path, until: float) -> int:
    print(f"\n{mutations.HEAD}", flush=True)
    folder.mkdir(parents=True)
    return sum(
        _told(mutations.soak(FORMATS[name], folder / name.replace(" ", "_"), args.count, args.seed, until=end))
        for name, _, end in _shared(FORMATS, args, until)
    )


def _shared(
    names: dict[str, object], args: argparse.Namespace, until: float
) -> list[tuple[str, np.random.Generator, float]]:
    """Each name with random numbers of its own, and when it is to end: what one leaves of its time, the next has."""
    wanted = [name for name in names if not args.only or name in args.only]
    begun = time.monotonic()
    ends = [begun + (until - begun) * (k + 1) / len(wanted) for k in range(len(wanted))]
    return [(name, np.random.default_rng([args.seed, k]), ends[k]) for k, name in enumerate(wanted)]


def _told(outcome: kills.Outcome | mutations.Outcome) -> int:
    print(outcome.row(), flush=True)
    for fault in outcome.faults[:10]:
        print(f"    {fault}", flush=True)
    return len(outcome.faults)


def _disks(args: argparse.Namespace, folder: Path, until: float) -> int:
    """Every writer with every fault, and full after any number of bytes."""
    rng, wrong, tried = np.random.default_rng(args.seed), [], 0
    folder.mkdir(parents=True)
    for writer in disks.WRITERS:
        faults = [*disks.FAULTS.values(), *(disks.full_at(part) for part in rng.random(10))]
        for fault in faults:
            wrong += [found] if (found := disks.refused(writer, folder, fault)) else []
            tried += 1
        (folder / writer.name).unlink(missing_ok=True)
    print(f"\ndisks: {len(disks.WRITERS)} writers, {tried} faults of disks, {len(wrong)} met badly", flush=True)
    print(*(f"    {line}\n" for line in wrong), sep="", end="", flush=True)
    return len(wrong)


def _load(args: argparse.Namespace, folder: Path, until: float) -> int:
    expected, wrong = loads.in_turn(), 0
    ways: dict[str, Callable[[], list[np.ndarray]]] = {
        "threads": loads.in_threads,
        "spawned": lambda: loads.in_processes("spawn"),
        "forked": lambda: loads.in_processes("fork"),
    }
    print(f"\nload: {len(loads.WORKS)} reconstructions at once", flush=True)
    for name, way in ways.items():
        differ = loads.differing(way(), expected)
        wrong += len(differ)
        print(f"    {name:8} {', '.join(differ) + ' differ' if differ else 'as in turn, bit for bit'}", flush=True)
    added = loads.growth(1000, 200)
    print(f"    memory   {added:.0f} bytes more after each of 1000 rounds of solves", flush=True)
    return wrong + (added > 1000)


def _shares(args: argparse.Namespace, folder: Path, until: float) -> int:
    """A minute and a half of each, or what there is: the default interval is a minute."""
    seconds, wrong = min(90.0, (until - time.monotonic()) / len(shares.RUNS)), 0
    print(f"\n{'checkpoints':14} {'share/%':>8} {'writes':>7} {'ms':>8}   of {seconds:.0f} s each", flush=True)
    for name in shares.RUNS:
        found, writes, each = shares.share(name, folder / name, seconds)
        wrong += found > 0.02
        print(f"{name:14} {100 * found:8.2f} {writes:7d} {1e3 * each:8.1f}", flush=True)
    return wrong


PARTS: dict[str, Callable[[argparse.Namespace, Path, float], int]] = {
    "kills": _kills,
    "ranks": _ranks,
    "commands": _commands,
    "files": _files,
    "disks": _disks,
    "load": _load,
    "shares": _shares,
}

if __name__ == "__main__":
    sys.exit(main())
