"""What one core runs as ``python -m tests.distributed.script OUT CASE``, and n ranks below ``mpiexec -n``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

import ipbox as ip
from ipbox import backend, files
from ipbox.bilevel import (
    DFO,
    HOAG,
    ISGD,
    LBFGSB,
    MAID,
    BilevelProblem,
    LowerLevel,
    Piggyback,
    SmoothedTVRegulariser,
    Unrolled,
)
from ipbox.distributed import Ranks, RanksCheckpoint, world
from tests.distributed.cases import CASES, ONE, SLAB_CASES, SLICES, N, by_coils, by_slices, by_views, scan, volume

START, BOUNDS = [-1.0, -1.5, -1.5], (-4.0, 0.0)
STEPS = {"iterations": 4}
METHODS = {
    "dfo": (DFO(evaluations=12), {"bounds": BOUNDS}),
    "maid": (MAID(), STEPS),
    "certified": (MAID(certified=True), STEPS),
    "hoag": (HOAG(), STEPS),
    "lbfgsb": (LBFGSB(accuracy=1e-5), STEPS),
    "isgd": (ISGD(5), STEPS),
    "piggyback": (Piggyback(), STEPS),
    "batches": (MAID(batch=4), STEPS),
    "unrolled": (Unrolled(30), STEPS),
}


def problem(n: int = 7, size: int = 12) -> BilevelProblem:
    rng = np.random.default_rng(0)
    truths = np.repeat(np.repeat(rng.random((n, 3, 3)), size // 3, axis=1), size // 3, axis=2)
    data = truths + 0.1 * rng.standard_normal(truths.shape)
    return BilevelProblem(truths, LowerLevel(None, data, SmoothedTVRegulariser((size, size))))


def learned(name: str, ranks: Ranks | int, **options) -> dict[str, np.ndarray]:
    """θ, f and work of every row."""
    method, given = METHODS[name]
    found = method.minimise(problem().evaluator(n_jobs=ranks), START, **given, **options)
    names = ("theta", "point", "f", "point_f", "work")
    return {key: np.array([row[key] for row in found.history]) for key in names if key in found.history[0]}


def denoised(ranks: Ranks | int) -> dict[str, np.ndarray]:
    """A batch by total variation, each sample until its own gap is small."""
    b = problem(5).lower.b

    def solve(part: np.ndarray) -> np.ndarray:
        posed = ip.Problem(ip.L2(b=part) + 0.1 * ip.TV(part.shape[1:]), batch=len(part))
        return ip.solve(posed, ip.PDHG(), stop=ip.stop.gap(1e-6)).x

    return {"x": ranks.solve(solve, b) if isinstance(ranks, Ranks) else solve(b)}


def shared(ranks: Ranks) -> dict[str, np.ndarray]:
    """All solvers, on views, slices and coils that ranks share."""
    found = {f"views {name}": by_views(ranks, name) for name in CASES}
    found |= {f"slices {name}": by_slices(ranks, name) for name in SLAB_CASES} | {"coils": by_coils(ranks)}
    return {f"{case} {key}": value for case, values in found.items() for key, value in values.items()}


def peers(ranks: Ranks) -> dict[str, np.ndarray]:
    """What operators and CGLS of PyLops-MPI make of the same parts, and ours: pairs ``name`` and ``name theirs``."""
    import pylops_mpi as theirs

    rng = np.random.default_rng(0)
    A, b = ranks.views(ONE, scan()[1])
    V = theirs.MPIVStack([A.A])
    u = theirs.DistributedArray(global_shape=N * N, partition=theirs.Partition.BROADCAST)
    u[:] = rng.standard_normal(N * N)
    data = theirs.DistributedArray(global_shape=ONE.shape[0], local_shapes=[(n * ONE.dimsd[1],) for n in A.rows])
    data[:] = b.ravel()
    x = ip.solve(ip.Problem(ip.L2(A, b)), ip.CGLS(), stop=ip.stop.niter(6)).x
    zero = theirs.DistributedArray(global_shape=N * N, partition=theirs.Partition.BROADCAST)
    zero[:] = 0
    own = ranks.own(SLICES)
    B = ranks.blockdiag(ip.SliceStack(ONE, len(own)))
    D = theirs.MPIBlockDiag([B.A])
    w = theirs.DistributedArray(
        global_shape=SLICES * N * N, local_shapes=[(n * N * N,) for n in ranks.comm.told(len(own))]
    )
    slices = rng.standard_normal((SLICES, N, N))
    w[:] = slices[own].ravel()
    G = theirs.MPIGradient((SLICES, N, N), kind="forward", edge=False)
    with ranks.slabs():
        K = ip.TV((len(own), N, N)).gradient
        field = K.forward(slices[own], np.empty(K.field_dims))
        norm = backend.norm(slices[own])
    gradient = [part.asarray() for part in (G @ w).distarrays]
    return {
        "A": ranks.gather(A.apply(u.local_array.reshape(N, N))),
        "A theirs": (V @ u).asarray().reshape(ONE.dimsd),
        "A*": A.apply_adjoint(b),
        "A* theirs": (V.H @ data).asarray().reshape(N, N),
        "cgls": x,
        "cgls theirs": theirs.cgls(V, data, x0=zero, niter=6)[0].asarray().reshape(N, N),
        "blocks": ranks.gather(B.apply(slices[own]).reshape(len(own), -1)).ravel(),
        "blocks theirs": (D @ w).asarray(),
        "gradient": ranks.gather(np.moveaxis(field, 0, 1)),
        "gradient theirs": np.stack([part.reshape(SLICES, N, N) for part in gradient], axis=1),
        "norm": norm,
        "norm theirs": w.norm(),
    }


def streamed(ranks: Ranks, folder: Path) -> None:
    """A solve of slices that goes on from its checkpoint; one rank dies where there is the file ``folder/kill``."""
    own = ranks.own(SLICES)
    keep = RanksCheckpoint(ranks, folder / "run.npz", every=4)

    def die(run: Any) -> None:
        if run.k == 10 and ranks.rank == ranks.size - 1 and (folder / "kill").is_file():
            os.kill(os.getpid(), signal.SIGKILL)

    with ranks.slabs():
        A = ranks.blockdiag(ip.SliceStack(ONE, len(own)))
        problem = ip.Problem(ip.L2(A, volume()[1][:, own]) + 0.1 * ip.TV(A.dims) + ip.NonNegative())
        state = keep.newest() if list(folder.glob("run.*.npz")) else None
        rule = ip.stop.niter(16, total=True)
        sol = ip.solve(problem, ip.PDHG(), state=state, stop=rule, callbacks=[keep, die])
    x = ranks.gather(sol.x)
    if ranks.leads:
        np.savez(folder / "found.npz", x=x)


def main(out: str, case: str) -> None:
    ranks = world()
    if case == "fails":  # on one rank, while the others wait
        if ranks.rank == ranks.size - 1:
            raise FloatingPointError("a rank has failed")
        ranks.gathered(np.zeros((len(ranks.own(4)), 3)), 4)
    elif case == "killed":

        def stop(row: dict) -> None:
            if row["iteration"] == 2 and ranks.rank == ranks.size - 1:
                os.kill(os.getpid(), signal.SIGKILL)

        files.SHARE = 1.0  # a checkpoint of every step
        learned("maid", ranks, checkpoint=Path(out), callback=stop)
    elif case == "streamed":
        streamed(ranks, Path(out))
    else:
        given = {"checkpoint": Path(out).with_suffix(".run.npz")} if case == "resumed" else {}
        whole = {"batch": denoised, "shared": shared, "peers": peers}
        found = whole[case](ranks) if case in whole else learned("maid" if case == "resumed" else case, ranks, **given)
        if ranks.leads:
            np.savez(out, sent=ranks.sent, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
