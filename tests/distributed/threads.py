"""Ranks that are threads of one process: what ranks of MPI do, without MPI."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox.distributed import Communicator, Ranks


class Meeting:
    """Where the threads lay down what they say, and wait for each other."""

    def __init__(self, size: int) -> None:
        self.size, self.said = size, [None] * size
        self.barrier = threading.Barrier(size, timeout=60)

    def all_said(self, rank: int, value: Any) -> list[Any]:
        self.said[rank] = value
        self.barrier.wait()
        found = list(self.said)
        self.barrier.wait()
        return found


class ThreadCommunicator(Communicator):
    def __init__(self, rank: int, meeting: Meeting) -> None:
        super().__init__(rank, meeting.size)
        self.meeting = meeting

    def told(self, value: Any) -> list[Any]:
        return self.meeting.all_said(self.rank, copy.deepcopy(value))

    def _gather(self, part: np.ndarray, whole: np.ndarray, sizes: list[int]) -> None:
        parts = self.meeting.all_said(self.rank, part.copy())
        assert [a.nbytes for a in parts] == list(sizes)
        whole[...] = np.concatenate(parts)

    def _add(self, x: np.ndarray) -> None:
        x[...] = sum(self.meeting.all_said(self.rank, x.copy()))

    def _pass(self, given: np.ndarray | None, to: int, taken: np.ndarray | None, of: int) -> None:
        raise NotImplementedError("shift meets all")

    def shift(self, a: np.ndarray, by: int) -> np.ndarray | None:
        if 0 <= self.rank + by < self.size:
            self._count(a)
        parts = self.meeting.all_said(self.rank, a.copy())
        return parts[self.rank - by] if 0 <= self.rank - by < self.size else None

    def wait(self) -> None:
        self.meeting.barrier.wait()


def on_ranks(size: int, work: Callable[[Ranks], Any]) -> list[Any]:
    """What ``work`` returns on each of so many ranks."""
    meeting, found, errors = Meeting(size), [None] * size, []

    def run(rank: int) -> None:
        try:
            found[rank] = work(Ranks(ThreadCommunicator(rank, meeting)))
        except BaseException as err:
            errors.append(err)
            meeting.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for err in errors:
        if not isinstance(err, threading.BrokenBarrierError):
            raise err
    assert not errors, errors
    return found
