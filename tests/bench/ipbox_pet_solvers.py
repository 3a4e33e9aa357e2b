"""PET: applications of the projector that stochastic and ordered-subsets methods need, against whole-data ones."""

from __future__ import annotations

from typing import Any

import ipbox as ip

LAM = 0.1  # weight of TV beside the likelihood


def _penalised(size: int) -> tuple[Any, ip.Problem]:
    A, b, _, _ = ip.problem("pet", size=size)
    return A, ip.Problem(ip.KL(A, b) + LAM * ip.TV(A.dims) + ip.NonNegative())


def _until(A: Any, problem: ip.Problem, solver: Any, target: float, every: int, limit: int) -> dict[str, Any]:
    """Applications of A and A*, step sizes included, until the objective, looked at without counting, is at most it."""
    looks = 0.0
    with ip.counting(A) as count:
        for run in ip.iterate(problem, solver, stop=ip.stop.niter(limit)):
            if run.k % every:
                continue
            before = count.total
            objective = run.objective()
            looks += count.total - before
            if objective <= target:
                return {"niter": run.k, "applications": count.total - looks, "objective": objective}
    return {"niter": None, "applications": count.total - looks, "objective": objective}


def spdhg(size: int, niter: int, subsets: int, seeds: int) -> dict[str, Any]:
    """SPDHG until it is as good as PDHG after ``niter`` iterations: by default, and at the best of several balances."""
    A, problem = _penalised(size)
    solver = ip.SPDHG(subsets=subsets)
    gamma = solver.step_sizes(solver.prepare(problem))[1][0] * A.subsets(subsets)[0].norm()
    K, T = A.norm(), ip.TV(A.dims).term_norm()
    reference = {}
    for name, pdhg in [("default", ip.PDHG())] + [
        (f"gamma {f:g}", ip.PDHG(1 / (2 * f * gamma * K), [f * gamma / K, f * gamma * K / T**2])) for f in (0.3, 1, 3)
    ]:
        with ip.counting(A) as count:
            x = ip.solve(problem, pdhg, stop=ip.stop.niter(niter)).x
        reference[name] = {"objective": problem.objective(x), "applications": 2.0 * niter, "counted": count.total}
    found: dict[str, Any] = {"pdhg": reference, "spdhg": {}}
    best = min(reference, key=lambda name: reference[name]["objective"])
    for name in {"default", best}:
        target = reference[name]["objective"]
        runs = []
        for seed in range(seeds):
            A, problem = _penalised(size)  # norms of the subsets are not known yet, and count
            runs.append(_until(A, problem, ip.SPDHG(subsets=subsets, seed=seed), target, 10, 8 * niter * subsets))
        found["spdhg"][name] = runs
    return {**found, "best": best}


def osem(size: int, niter: int, subsets: int) -> dict[str, Any]:
    """OSEM until its likelihood is that of MLEM after ``niter`` iterations."""
    A, b, _, _ = ip.problem("pet", size=size)
    problem = ip.Problem(ip.KL(A, b))
    with ip.counting(A) as count:
        target = problem.objective(ip.solve(problem, ip.MLEM(), stop=ip.stop.niter(niter)).x)
        applications = count.total - 1  # the objective's
    found = _until(A, problem, ip.OSEM(subsets), target, 1, niter)
    return {"mlem": {"objective": target, "applications": applications}, "osem": found}
