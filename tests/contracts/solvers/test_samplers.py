"""What every sampler promises: a chain that goes on bit for bit, leaves its inputs alone and knows its law."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.backend import to_host
from tests.contracts.solvers.registry import DIMS, LAM, Family, dense, operator
from tests.contracts.solvers.test_contract import assert_same
from tests.contracts.support import public_classes

SMOOTH = Family("smooth", (17,), lambda b, xp, dtype: ip.L2(operator(dense(), xp, dtype), b) + LAM * ip.L2(), None)
SPARSE = Family("sparse", (17,), lambda b, xp, dtype: ip.L2(operator(dense(), xp, dtype), b) + LAM * ip.L1(), None)
CASES = [(ip.ULA(seed=1), SMOOTH), (ip.MYULA(gamma=0.1), SPARSE), (ip.PCN(beta=0.3, S=1.5), SMOOTH)]
every = pytest.mark.parametrize(("sampler", "family"), CASES, ids=["ULA", "MYULA", "PCN"])


def chain(sampler: Any, problem: ip.Problem, n: int, **options: Any) -> ip.solvers.Solution:
    return ip.solve(problem, sampler, stop=ip.stop.niter(n), **options)


def test_every_class_is_listed() -> None:
    """Samplers by diffusion, which have no stationary law, are listed with their own tests."""
    assert {cls for cls in public_classes("sampler") if cls.stationary} == {type(sampler) for sampler, _ in CASES}


@every
def test_goes_on_from_a_state(sampler: Any, family: Family, xp: ModuleType, dtype: np.dtype, tmp_path: Path) -> None:
    problem = family.problem(family.draw(xp, dtype), xp, dtype)
    whole, part = chain(sampler, problem, 9), chain(sampler, problem, 4)
    part.state.save(tmp_path / "state.npz")
    assert_same(chain(sampler, problem, 5, state=part.state).state, whole.state)
    assert_same(chain(sampler, problem, 5, state=tmp_path / "state.npz").state, whole.state)


@every
def test_inputs_dtype_and_device_are_kept(sampler: Any, family: Family, xp: ModuleType, dtype: np.dtype) -> None:
    b, x0 = family.draw(xp, dtype), xp.ones(DIMS, dtype=dtype)
    before = to_host(b).tobytes(), to_host(x0).tobytes()
    sol = chain(sampler, family.problem(b, xp, dtype), 5, x0=x0)
    assert (to_host(b).tobytes(), to_host(x0).tobytes()) == before
    assert isinstance(sol.x, xp.ndarray) and (sol.x.dtype, sol.x.shape) == (dtype, DIMS)
    assert xp.__name__ in sampler.backends


@every
def test_chains_of_a_batch_are_independent_and_the_seed_tells_them(sampler: Any, family: Family) -> None:
    b = family.draw(np, np.float64)
    problem = ip.Problem(family.objective(b, np, np.float64), batch=3)
    sol, again = (chain(sampler, problem, 6).x for _ in range(2))
    other = chain(type(sampler)(**vars(sampler) | {"seed": 5}), problem, 6).x
    assert np.array_equal(sol, again) and not np.array_equal(sol, other)
    assert not np.array_equal(sol[0], sol[1])


@every
def test_its_law_is_known(sampler: Any, family: Family) -> None:
    verdict = sampler.is_provably_convergent(family.problem(family.draw(np, np.float64), np, np.float64))
    assert verdict and len(verdict.reason) > 20


@pytest.mark.parametrize("sampler", [ip.ULA(tau=10.0), ip.MYULA(tau=10.0, gamma=0.1)], ids=["ULA", "MYULA"])
def test_step_size_beyond_its_bound_is_refused(sampler: Any) -> None:
    family = SPARSE if isinstance(sampler, ip.MYULA) else SMOOTH
    problem = family.problem(family.draw(np, np.float64), np, np.float64)
    assert not sampler.is_provably_convergent(problem)
    with pytest.raises(ValueError, match=r"^tau is [^\n]*expect"):
        chain(sampler, problem, 1)
