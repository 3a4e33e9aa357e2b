"""Many reconstructions at once, in threads and in processes, give what they give one after the other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np

import ipbox as ip

SIZE = 48


def scene(seed: int = 0) -> np.ndarray:
    x = np.zeros((SIZE, SIZE), "float32")
    x[10:30, 12:36] = 1.0
    return x + 0.05 * np.random.default_rng(seed).standard_normal(x.shape).astype("float32")


def _scan() -> tuple[Any, np.ndarray]:
    A = ip.RayTransform((SIZE, SIZE), np.arange(30) * np.pi / 30)
    return A, A.apply(scene())


def tv() -> np.ndarray:
    A, b = _scan()
    return ip.tv(A, b, lam=0.1, niter=60)[0]


def fbp() -> np.ndarray:
    return ip.fbp(*_scan())[0]


def cgls() -> np.ndarray:
    return ip.cgls(*_scan(), niter=15)[0]


def sirt() -> np.ndarray:
    return ip.sirt(*_scan(), niter=15)[0]


def fan() -> np.ndarray:
    A, b, *_ = ip.problem("fan", size=SIZE, views=30, seed=0)
    return ip.tv(A, b, lam=0.1, niter=30)[0]


def denoised() -> np.ndarray:
    problem = ip.Problem(ip.L2(b=scene()) + 0.1 * ip.TGV((SIZE, SIZE)))
    return ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(60)).x


def blur() -> np.ndarray:
    A, b, *_ = ip.problem("blur", size=SIZE, seed=0)
    return ip.tv(A, b, lam=0.01, niter=30)[0]


def mri() -> np.ndarray:
    A, b, *_ = ip.problem("mri", size=SIZE, seed=0)
    return ip.tv(A, b, lam=0.01, niter=30)[0]


WORKS: tuple[Callable[[], np.ndarray], ...] = (tv, fbp, cgls, sirt, fan, denoised, blur, mri)


def work(k: int) -> np.ndarray:
    return WORKS[k]()


def in_turn() -> list[np.ndarray]:
    return [work(k) for k in range(len(WORKS))]


def in_threads() -> list[np.ndarray]:
    with ThreadPoolExecutor(len(WORKS)) as pool:
        return list(pool.map(work, range(len(WORKS))))


def in_processes(how: str) -> list[np.ndarray]:
    context = multiprocessing.get_context(how)
    with ProcessPoolExecutor(len(WORKS), mp_context=context) as pool:
        return list(pool.map(work, range(len(WORKS))))


def on_a_rank(folder: str) -> None:
    """Below ``mpiexec -n 8``: the reconstruction of the rank's number, written to a file; all begin at once."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    if comm.size != len(WORKS):
        raise RuntimeError(f"there are {comm.size} ranks; expected {len(WORKS)}")
    comm.Barrier()
    np.save(os.path.join(folder, f"{comm.rank}.npy"), work(comm.rank))


def differing(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> list[str]:
    """Which of them are not the same, bit for bit."""
    pairs = zip(WORKS, found, expected, strict=True)
    return [of.__name__ for of, a, b in pairs if a.dtype != b.dtype or not np.array_equal(a, b)]


def forked(seconds: float = 60.0) -> str | None:
    """What is wrong with a process that is forked after everything has been used, and uses it too; None if nothing."""
    expected = in_turn()
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(3 if differing(in_turn(), expected) else 0)
        finally:
            os._exit(4)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return None if code == 0 else f"the forked process ended with {code}"
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return f"the forked process did not end within {seconds:g} s"


def resident() -> int:
    """Bytes of memory that this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(count: int, warm: int) -> float:
    """Bytes a solve adds to what the process holds, after ``warm`` of them, over ``count`` more."""
    A, b = _scan()

    def once() -> None:
        ip.tv(A, b, lam=0.1, niter=3)
        ip.cgls(A, b, niter=3)
        ip.fbp(A, b)
        ip.RayTransform((SIZE, SIZE), np.arange(30) * np.pi / 30).apply(scene())

    for _ in range(warm):
        once()
    before = resident()
    for _ in range(count):
        once()
    return (resident() - before) / count
