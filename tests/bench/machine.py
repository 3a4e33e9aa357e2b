"""What the benchmark runs on, and whether the machine is quiet enough to measure."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BUSY_FRACTION = 0.05  # of one core, taken by others
SPIN_LOSS = 0.05  # of a spin's wall time not spent on the CPU
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Quietness:
    """Cores that others keep busy, and the part of a spin's time lost to them."""

    busy: float
    lost: float

    @property
    def quiet(self) -> bool:
        return self.busy <= BUSY_FRACTION * CORES and self.lost <= SPIN_LOSS

    def __str__(self) -> str:
        return f"others use {self.busy:.2f} cores, a spin loses {100 * self.lost:.0f} % of its time"


def describe() -> dict[str, str]:
    """Processor, cores, memory, system and Python."""
    memory = _field("/proc/meminfo", "MemTotal")
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        "cores": str(CORES),
        "memory": f"{int(memory.split()[0]) / 2**20:.0f} GiB" if memory else "unknown",
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def measure_quietness(seconds: float = 2.0) -> Quietness:
    """Sleep and see what others use; then spin and see what others take."""
    before = busy_seconds()
    time.sleep(seconds)
    after = busy_seconds()
    busy = os.getloadavg()[0] if before is None or after is None else (after - before) / seconds
    wall, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < 0.5 * seconds:
        pass
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Quietness(busy, max(0.0, 1 - cpu / wall))


def wait_for_quiet(pause: float = 30.0) -> Quietness:
    """The machine's quietness; where it is busy, waits and measures once more."""
    state = measure_quietness()
    if not state.quiet:
        print(f"the machine is not quiet ({state}); waiting {pause:.0f} s", flush=True)
        time.sleep(pause)
        state = measure_quietness()
    return state


def busy_seconds() -> float | None:
    """CPU seconds used so far by everyone and by the hypervisor; None where the system does not say."""
    try:
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    except OSError:
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds(children: list[int]) -> float:
    """CPU seconds used so far by this process, its ended children, and the running ones of these ids."""
    ended, own = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
    seconds = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
    for pid in children:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:  # a peer that ended by itself: it is among the ended ones
            continue
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime, stime
    return seconds


class Watch:
    """Cores that others kept busy while something was measured: everyone's CPU time less our own."""

    def __init__(self, children: Callable[[], list[int]]) -> None:
        self._children, self._wall = children, time.perf_counter()
        self._busy, self._own = busy_seconds(), own_seconds(children()) if busy_seconds() is not None else 0.0

    def others(self) -> float | None:
        """None where the system does not say."""
        busy = busy_seconds()
        if busy is None or self._busy is None:
            return None
        own = own_seconds(self._children()) - self._own
        return max(0.0, busy - self._busy - own) / (time.perf_counter() - self._wall)


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
