"""What every solver promises, on the cases of `registry_solvers`."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.backend import to_host
from tests.contracts.solvers.registry import LAM, NONNEG, RIDGE, Case, Family, cases, one_each, operator
from tests.contracts.support import public_classes

ROOT = Path(__file__).resolve().parents[3]

every_case = pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
every_solver = pytest.mark.parametrize("case", one_each(), ids=lambda case: case.id)


def posed(case: Case, xp: Any, dtype: Any, seed: int = 0) -> tuple[ip.Problem, Any, np.ndarray]:
    """The case's problem, its data and its solution."""
    b = case.family.draw(xp, dtype, seed=seed)
    exact = case.family.solution(to_host(b).astype(np.float64), dtype)
    return case.family.problem(b, xp, dtype), b, exact


def run(case: Case, problem: ip.Problem, n: int, **options: Any) -> ip.solvers.Solution:
    return ip.solve(problem, case.solver, stop=ip.stop.niter(n), **options)


def relative_error(x: Any, exact: np.ndarray) -> float:
    return np.linalg.norm(to_host(x) - exact) / np.linalg.norm(exact)


def assert_same(a: ip.solvers.State, b: ip.solvers.State) -> None:
    """Every array and number of two states, bit for bit (but the clock)."""
    arrays, others = a.arrays(), b.arrays()
    assert arrays.keys() == others.keys()
    for path, value in arrays.items():
        assert to_host(value).tobytes() == to_host(others[path]).tobytes(), path
    for key, value in vars(a).items():
        if isinstance(value, int | float):
            assert value == vars(b)[key], key


# ---------------------------------------------------------------- the registry


def test_every_class_is_listed() -> None:
    assert public_classes("solver") == {type(case.solver) for case in cases()}


def test_every_solver_with_a_step_size_has_a_case_beyond_its_bound() -> None:
    with_tau = {type(case.solver) for case in cases() if "tau" in vars(case.solver)}
    assert with_tau == {type(case.too_large) for case in cases() if case.too_large}


# ---------------------------------------------------------------- the solution, and what is said about it


@every_case
def test_reaches_the_solution(case: Case, xp: Any, dtype: np.dtype) -> None:
    problem, _, exact = posed(case, xp, dtype)
    x = run(case, problem, case.niter).x
    assert relative_error(x, exact) <= (case.accuracy if dtype == np.float64 else 2e-6)


@every_case
def test_certificate_bounds_the_error(case: Case, xp: Any, dtype: np.dtype) -> None:
    """At every stage, up to the rounding of the image itself."""
    problem, _, exact = posed(case, xp, dtype, seed=1)
    rounding = 10 * np.finfo(dtype).eps * np.linalg.norm(exact)
    state, bounds = None, []
    for n in (1, 2, 4, 8, max(case.niter - 15, 1)):
        sol = run(case, problem, n, state=state)
        state = sol.state
        if not case.certified:
            assert sol.certificate.bound is None and sol.certificate.kind.startswith("none: ")
            continue
        bounds.append(sol.certificate.bound)
        assert np.linalg.norm(to_host(sol.x) - exact) <= sol.certificate.bound + rounding
    if case.certified and dtype == np.float64:  # and it is worth something: it shrinks with the error
        assert bounds[-1] <= 1e-3 * bounds[0]


def test_certificate_of_a_large_float32_image_is_no_promise_of_exactness() -> None:
    """The primal and dual value cancel to rounding long before the image is exact."""
    b = (np.random.default_rng(0).standard_normal((64, 64)) + 3).astype(np.float32)
    exact = ip.Problem(ip.L2(b=b.astype(np.float64)) + LAM * ip.TV(b.shape))
    reference = ip.solve(exact, ip.PDHG(), stop=ip.stop.niter(3000))
    assert reference.certificate.bound < 1e-5
    problem, state = ip.Problem(ip.L2(b=b) + LAM * ip.TV(b.shape)), None
    for _ in range(6):
        sol = ip.solve(problem, ip.PDHG(), state=state, stop=ip.stop.niter(100))
        state = sol.state
        assert np.linalg.norm(sol.x - reference.x) <= sol.certificate.bound + reference.certificate.bound


@pytest.mark.parametrize("family", [RIDGE, NONNEG], ids=lambda family: family.name)
def test_solvers_agree(family: Family, xp: Any) -> None:
    of_family = [case for case in cases() if case.family is family]
    assert len({type(case.solver) for case in of_family}) >= 3
    b = family.draw(xp, np.float64, seed=2)
    solutions = [to_host(run(case, family.problem(b, xp, np.float64), case.niter).x) for case in of_family]
    for case, x in zip(of_family, solutions, strict=True):
        assert np.abs(x - solutions[0]).max() <= max(1e-9, 2 * case.accuracy), case.id


def test_primal_and_primal_dual_solvers_agree_on_tv(rng: np.random.Generator) -> None:
    """FISTA on ½‖Au - b‖² + prox of TV against PDHG on A and ∇."""
    A = operator(rng.standard_normal((40, 30)) / 5, np, np.float64, (5, 6))
    b = A.apply(rng.standard_normal((5, 6)))
    problem = ip.Problem(ip.L2(A, b) + LAM * ip.TV((5, 6)))
    x = ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(150)).x
    y = ip.solve(problem, ip.PDHG(balance=0.1), stop=ip.stop.niter(1500)).x
    assert np.linalg.norm(x - y) <= 1e-6 * np.linalg.norm(y)


# ---------------------------------------------------------------- resume


@every_case
def test_goes_on_from_a_state(case: Case, xp: Any, dtype: np.dtype, tmp_path: Path) -> None:
    problem, _, _ = posed(case, xp, dtype)
    whole = run(case, problem, 9)
    part = run(case, problem, 4)
    part.state.save(tmp_path / "state.npz")
    assert_same(run(case, problem, 5, state=part.state).state, whole.state)
    resumed = run(case, problem, 5, state=tmp_path / "state.npz")
    assert_same(resumed.state, whole.state)
    assert resumed.niter == 9
    assert resumed.certificate.bound == whole.certificate.bound


@every_solver
def test_looking_at_a_run_does_not_change_it(case: Case, xp: Any) -> None:
    """Objective, residuals, gap and certificate at every step, and the bits stay the same."""
    problem, _, _ = posed(case, xp, np.float32)
    history = ip.callbacks.History(every=1, data_residual=True, objective=case.explicit)
    certify = [lambda r: r.solver.certificate(r.parts, r.state), lambda r: r.residual()]
    watched = run(case, problem, 6, callbacks=[history, *certify])
    assert_same(watched.state, run(case, problem, 6).state)
    assert [record["k"] for record in watched.history] == list(range(7))
    if case.explicit and not case.latent:
        assert np.isclose(watched.history[-1]["objective"], problem.objective(watched.x))


_IN_A_NEW_PROCESS = """
import sys
import numpy as np, ipbox as ip
from tests.contracts.solvers.registry import one_each
for case in one_each():
    problem = case.family.problem(case.family.draw(np, "float32"), np, "float32")
    folder = sys.argv[1] + "/" + case.id
    ip.solve(problem, case.solver, state=folder + "-4.npz", stop=ip.stop.niter(5)).state.save(folder + "-9.npz")
"""


def test_goes_on_in_a_new_process(tmp_path: Path) -> None:
    for case in one_each():
        run(case, posed(case, np, np.float32)[0], 4).state.save(tmp_path / f"{case.id}-4.npz")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _IN_A_NEW_PROCESS, str(tmp_path)]
    subprocess.run(command, env=environment, check=True, timeout=120)
    for case in one_each():
        resumed = ip.solvers.State.load(tmp_path / f"{case.id}-9.npz")
        assert_same(resumed, run(case, posed(case, np, np.float32)[0], 9).state)


# ---------------------------------------------------------------- arrays


@every_case
def test_inputs_are_not_modified(case: Case, xp: Any, dtype: np.dtype) -> None:
    problem, b, exact = posed(case, xp, dtype)
    x0 = xp.asarray((exact + 1).astype(dtype))
    before = to_host(b).tobytes(), to_host(x0).tobytes()
    sol = run(case, problem, 5, x0=x0)
    assert (to_host(b).tobytes(), to_host(x0).tobytes()) == before
    assert not any(np.shares_memory(to_host(a), to_host(x0)) for a in sol.state.arrays().values())


@pytest.mark.parametrize("case", [c for c in cases() if not c.latent], ids=lambda case: case.id)
def test_starts_at_x0(case: Case, xp: Any) -> None:
    """Started at the solution it stays there.

    But dual variables have to be found first, hybrid LSQR damps u - x0, and Adam's steps have a length of their own.
    """
    problem, _, exact = posed(case, xp, np.float64)
    x0 = xp.asarray(exact)
    first = next(ip.iterate(problem, case.solver, x0=x0))
    assert np.array_equal(to_host(first.x), exact)
    if "dual" not in case.solver.takes and type(case.solver).__name__ not in ("HybridLSQR", "Adam"):
        assert relative_error(run(case, problem, 3, x0=x0).x, exact) <= 1e-13


@every_case
def test_dtype_and_device_are_kept(case: Case, xp: Any, dtype: np.dtype) -> None:
    problem, _, _ = posed(case, xp, dtype)
    for n in (0, 3):
        sol = run(case, problem, n)
        assert isinstance(sol.x, xp.ndarray)
        for path, a in sol.state.arrays().items():
            assert isinstance(a, xp.ndarray) and a.dtype == dtype, path


@every_case
def test_a_step_allocates_no_array(case: Case) -> None:
    """The state owns every buffer: after the first step they are the same objects (or views of the same memory)."""
    problem, _, _ = posed(case, np, np.float32)
    memory = []
    for r in ip.iterate(problem, case.solver, stop=ip.stop.niter(4)):
        owned = {path: a for path, a in r.state.arrays().items() if "denoised" not in path}  # which is the network's
        memory.append({path: a.__array_interface__["data"][0] for path, a in owned.items()})
    assert memory[1] == memory[2] == memory[4]


@pytest.mark.device
@every_case
def test_no_image_leaves_the_device(case: Case) -> None:
    """The stand-in's log of transfers: nothing but numbers, and those only where a step needs them."""
    import cupy

    from tests import standin

    problem, _, _ = posed(case, cupy, np.float32)
    state = run(case, problem, 2).state
    runs = ip.iterate(problem, case.solver, state=state, stop=ip.stop.niter(5))
    next(runs)
    standin.clear_transfers()
    assert len(list(runs)) == 5
    moved = [event for event in standin.transfers() if event.kind != "sync"]
    # the coefficients of a Krylov basis are numbers too, one for each of the 7 steps
    assert all(math.prod(event.detail) <= 7 < math.prod(problem.dims) for event in moved)
    assert len(standin.transfers("sync")) <= 5 * case.numbers + 3  # the loop looks at the norm after 1, 2 and 4 steps


# ---------------------------------------------------------------- theorems and step sizes


@every_case
def test_convergence_is_proved(case: Case, xp: Any) -> None:
    problem, _, _ = posed(case, xp, np.float64)
    verdict = case.solver.is_provably_convergent(problem)
    assert verdict.holds == bool(verdict) == case.proved and len(verdict.reason) > 20


@pytest.mark.parametrize("case", [c for c in cases() if c.too_large], ids=lambda case: case.id)
def test_step_size_beyond_its_bound_is_refused(case: Case, xp: Any) -> None:
    problem, _, _ = posed(case, xp, np.float64)
    with pytest.raises(ValueError, match=r"^tau is [^\n]*expect") as refusal:
        ip.solve(problem, case.too_large, stop=ip.stop.niter(1))
    verdict = case.too_large.is_provably_convergent(problem)
    assert not verdict and verdict.reason.startswith("tau is")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("case", [c for c in cases() if c.too_large], ids=lambda case: case.id)
@pytest.mark.parametrize("tau", [0.0, -0.1, float("nan"), float("inf")])
def test_impossible_step_size_is_refused(case: Case, tau: float) -> None:
    problem, _, _ = posed(case, np, np.float64)
    solver = type(case.solver)(tau=tau)
    assert not solver.is_provably_convergent(problem)
    with pytest.raises(ValueError, match="^tau is"):
        ip.solve(problem, solver, stop=ip.stop.niter(1))


@every_solver
def test_no_theorem_without_convexity(case: Case) -> None:
    b = np.ones((6, 4))
    problem = ip.Problem(ip.L2(b=b) - 0.5 * ip.L2(b=2 * b))
    verdict = case.solver.is_provably_convergent(problem)
    if isinstance(case.solver, ip.NonMonotoneAPG):  # what it proves then is less
        assert verdict and "critical points" in verdict.reason
        return
    assert not verdict
    assert "convex" in verdict.reason or "positive weights" in verdict.reason


@every_solver
def test_zero_data_is_solved_at_once(case: Case, xp: Any) -> None:
    """u = 0, and no division by the size of nothing."""
    b = 0 * case.family.draw(xp, np.float32)
    stop = ip.stop.residual(1e-6, every=1) | ip.stop.niter(5)
    sol = ip.solve(case.family.problem(b, xp, np.float32), case.solver, stop=stop)
    assert sol.stop == "residual" and not to_host(sol.x).any()


@every_case
def test_residual_falls_to_rounding(case: Case, xp: Any) -> None:
    problem, _, _ = posed(case, xp, np.float64)
    parts = case.solver.prepare(problem)
    values = [case.solver.residual(parts, run(case, problem, n).state) for n in (1, case.niter)]
    assert np.isfinite(values).all() and values[1] <= max(1e-5 * values[0], 1e-8)


# ---------------------------------------------------------------- batches and threads


@every_case
def test_batch_equals_the_loop_over_its_samples(case: Case, xp: Any, dtype: np.dtype) -> None:
    """To rounding: a product of matrices adds in another order than one of a matrix and a vector."""
    b = case.family.draw(xp, dtype, batch=3)
    if not case.batches:
        with pytest.raises(ValueError, match=f"batch is 3.*{type(case.solver).__name__} expects"):
            run(case, case.family.problem(b, xp, dtype), 7)
        return
    together = run(case, case.family.problem(b, xp, dtype), 7)
    assert together.stop == ["niter"] * 3 and together.x.shape[0] == 3
    for i in range(3):
        alone = run(case, case.family.problem(b[i], xp, dtype), 7)
        assert relative_error(together.x[i], to_host(alone.x)) <= 20 * np.finfo(dtype).eps
        if case.certified:
            slack = 100 * np.finfo(dtype).eps
            assert np.isclose(together.certificate.bound[i], alone.certificate.bound, rtol=1e-4, atol=slack**0.5)


@every_solver
def test_four_threads_give_what_one_gives(case: Case) -> None:
    problem, _, _ = posed(case, np, np.float32)
    alone = run(case, problem, 40)
    results: list[Any] = [None] * 4

    def work(i: int) -> None:
        results[i] = run(case, problem, 40).x

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for x in results:
        assert relative_error(x, alone.x) <= 4 * np.finfo(np.float32).eps
