"""Files with a few bytes changed, each read in a child process: read, or refused in one sentence, in bounded time.

A child is forked for many of them; where it is killed by a signal, or does not get on, the mutation it was at is to
blame, and another child goes on behind it.
"""

from __future__ import annotations

import gc
import mmap
import os
import re
import resource
import signal
import struct
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.soak.formats import Format

SECONDS = 25.0  # for one file: HDF5 has 20 for an object, after which the file is refused
MEMORY = 2**30  # beside what the process has when it begins
LONGEST = 700  # characters of a sentence
PLACE = struct.Struct("qqqd")  # where a child is: the mutation's number, how many were read and refused, the slowest
SPECIAL = (0, 1, -1, 2, 127, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31 - 1, -(2**31), 2**32 - 1, 2**48, 2**63 - 1)


# ---------------------------------------------------------------- how a file is changed


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """``content`` with one of the faults of `WAYS`."""
    way = WAYS[rng.integers(len(WAYS))]
    return way(content, rng) if content else content


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(len(content))]


def _bytes(content: bytes, rng: np.random.Generator, reach: int | None = None) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        changed[rng.integers(min(len(changed), reach or len(changed)))] = rng.integers(256)
    return bytes(changed)


def _header(content: bytes, rng: np.random.Generator) -> bytes:
    return _bytes(content, rng, 512)


def _bit(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _block(content: bytes, rng: np.random.Generator) -> bytes:
    at, n = int(rng.integers(len(content))), int(rng.integers(1, 40))
    return content[:at] + rng.bytes(min(n, len(content) - at)) + content[at + n :]


def _moved(content: bytes, rng: np.random.Generator) -> bytes:
    """A piece left out, or in twice, or followed by something else."""
    at, n = int(rng.integers(len(content))), int(rng.integers(1, 64))
    piece = (b"", 2 * content[at : at + n], content[at : at + n] + rng.bytes(n))[rng.integers(3)]
    return content[:at] + piece + content[at + n :]


def _number(content: bytes, rng: np.random.Generator) -> bytes:
    """A binary number, mostly of the header, that became another, often an extreme one."""
    size, order = int(rng.choice([2, 4, 8])), rng.choice(["little", "big"])
    reach = min(len(content), 4096) if rng.random() < 0.8 else len(content)
    at = int(rng.integers(max(1, reach - size))) // size * size
    value = int(rng.choice(SPECIAL)) if rng.random() < 0.7 else int(rng.integers(2**31))
    return content[:at] + (value % 2 ** (8 * size)).to_bytes(size, str(order)) + content[at + size :]


def _digits(content: bytes, rng: np.random.Generator) -> bytes:
    """A number in text that became another; bytes, where the file has none."""
    found = list(re.finditer(rb"\d+", content[:8192]))
    if not found:
        return _bytes(content, rng)
    place = found[rng.integers(len(found))]
    text = (b"0", b"1", b"-1", b"99999999999999999999", b"1e400", b"nan", b"", b"%d" % rng.integers(2**40), b"\xff")
    return content[: place.start()] + text[rng.integers(len(text))] + content[place.end() :]


WAYS = (_cut, _bytes, _header, _header, _bit, _block, _moved, _number, _number, _digits)


# ---------------------------------------------------------------- what became of it


@dataclass
class Outcome:
    """How many files were read and refused, and what was neither, with the number of the mutation."""

    name: str
    read: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    faults: list[str] = field(default_factory=list)

    def row(self) -> str:
        return (
            f"{self.name:18} {self.read + self.refused:7d} {self.read:7d} {self.refused:7d} {len(self.faults):6d} "
            f"{self.seconds:7.1f} {self.slowest:8.3f}"
        )


HEAD = f"{'format':18} {'files':>7} {'read':>7} {'refused':>7} {'faults':>6} {'seconds':>7} {'slowest':>8}"


def soak(form: Format, folder: Path, count: int, seed: int = 0, start: int = 0, until: float = float("inf")) -> Outcome:
    """Read ``count`` mutations of the file of a format, the first number ``start``, or as many as the time allows."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = form.write(folder)
    content = whole.read_bytes()
    outcome, begun, at, told = Outcome(form.name), time.monotonic(), start, folder.parent / f"{folder.name}.told"
    place = mmap.mmap(-1, PLACE.size)
    while at < start + count and time.monotonic() < until:
        whole.write_bytes(content)
        told.write_bytes(b"")
        PLACE.pack_into(place, 0, at, 0, 0, 0.0)
        child = os.fork()
        if child == 0:
            _child(form, whole, content, range(at, start + count), seed, place, told, until)
        at = _watched(child, place, outcome)
        _, read, refused, slowest = PLACE.unpack_from(place)
        outcome.read, outcome.refused = outcome.read + read, outcome.refused + refused
        outcome.slowest = max(outcome.slowest, slowest)
        outcome.faults += told.read_text().splitlines()
    outcome.seconds = time.monotonic() - begun
    return outcome


def _watched(child: int, place: mmap.mmap, outcome: Outcome) -> int:
    """Wait for a child; the number at which the next one begins."""
    last, since = -1, time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        now = PLACE.unpack_from(place)[0]
        if ended:
            if os.WIFSIGNALED(status):
                outcome.faults.append(f"{now}: ended the process by {signal.Signals(os.WTERMSIG(status)).name}")
                return now + 1
            if os.WEXITSTATUS(status):
                raise RuntimeError(f"the child that reads {outcome.name} ended with {os.WEXITSTATUS(status)}")
            return now + 1
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > SECONDS:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            outcome.faults.append(f"{now}: took more than {SECONDS:g} s")
            return now + 1
        time.sleep(0.02)


def _child(
    form: Format, whole: Path, content: bytes, numbers: range, seed: int, place: mmap.mmap, told: Path, until: float
) -> None:
    """Read one after the other, and end the process."""
    code, counts, slowest = 1, Counter(), 0.0
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries write what they think of a file
    try:
        expected = form.read(whole)
        gc.collect()
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
        for k in numbers:
            PLACE.pack_into(place, 0, k, counts["read"], counts["refused"], slowest)
            if time.monotonic() > until:
                break
            whole.write_bytes(form.changed(content, np.random.default_rng([seed, k])))
            begun = time.monotonic()
            kind, text = judged(form, whole, expected)
            slowest = max(slowest, time.monotonic() - begun)
            counts[kind] += 1
            if kind == "fault":
                with open(told, "a") as log:
                    log.write(f"{k}: {text}\n")
        PLACE.pack_into(place, 0, numbers[-1], counts["read"], counts["refused"], slowest)
        code = 0
    except BaseException:
        with open(told.with_suffix(".error"), "w") as file:
            traceback.print_exc(file=file)
    finally:
        os._exit(code)


def judged(form: Format, path: Path, expected: object) -> tuple[str, str]:
    """``"read"``, ``"refused"`` or ``"fault"``, and the sentence."""
    try:
        found = form.read(path)
    except (ValueError, OSError, TypeError) as err:
        return _sentence(err, path)
    except BaseException as err:
        return "fault", f"{type(err).__name__}: {_short(err)} {_where(err)}"
    if form.sealed and not form.same(found, expected):
        return "fault", "read with other numbers"
    return "read", ""


def _sentence(err: BaseException, path: Path) -> tuple[str, str]:
    text, cause = str(err), err
    while cause is not None:
        if isinstance(cause, MemoryError):
            return "fault", f"took all memory: {_short(err)} {_where(cause)}"
        cause = cause.__cause__ or cause.__context__
    if "\n" in text or len(text) > LONGEST:
        return "fault", f"not one sentence: {_short(err)}"
    if path.name not in text and str(path.parent) not in text:
        return "fault", f"{type(err).__name__} does not name the file: {_short(err)} {_where(err)}"
    return "refused", text


def _short(err: BaseException) -> str:
    return " ".join(str(err).split())[:160]


def _where(err: BaseException) -> str:
    frames = traceback.extract_tb(err.__traceback__)
    return f"({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
