"""Operators, functionals, problems and solutions can be copied and pickled, and the copies give the same values."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import ipbox as ip
from tests.contracts.functionals.registry import FunctionalCase, array
from tests.contracts.operators.case import OperatorCase
from tests.contracts.solvers import registry as solvers
from tests.contracts.solvers.registry import Case
from tests.contracts.support import draw, listed

COPIES = [copy.copy, copy.deepcopy, lambda of: pickle.loads(pickle.dumps(of))]


@pytest.mark.parametrize("case", listed("operators"), ids=repr)
def test_operators(case: OperatorCase, rng: np.random.Generator) -> None:
    A = case.make(np.dtype(case.cls.dtypes[0]), np)
    u = draw(rng, tuple(A.dims), A.dtype_in, np)
    functions = vars(A).get("_functions", ())  # of the user's; Python cannot pickle those defined in functions
    local = any("<locals>" in repr(f) for f in functions)
    for make in COPIES[:2] if local else COPIES:
        assert np.array_equal(make(A).apply(u), A.apply(u))


@pytest.mark.parametrize("case", listed("functionals"), ids=repr)
def test_functionals(case: FunctionalCase) -> None:
    f, x = case.make(np.dtype("float64"), np), array("float64", np, case.dims)
    for make in COPIES[:2] if case.cls.__name__ == "TorchEnergy" else COPIES:  # of a function that its case defines
        assert not f.explicit or make(f).value(x) == f.value(x)


@pytest.mark.parametrize("case", solvers.one_each(), ids=lambda case: case.id)
def test_problems_and_solutions(case: Case) -> None:
    problem = case.family.problem(case.family.draw(np, "float64"), np, "float64")
    sol = ip.solve(problem, case.solver, stop=ip.stop.niter(3))
    more = ip.solve(problem, case.solver, state=copy.deepcopy(sol.state), stop=ip.stop.niter(2))
    for make in COPIES[1:]:
        again = ip.solve(make(problem), make(case.solver), state=make(sol).state, stop=ip.stop.niter(2))
        assert np.array_equal(again.x, more.x)
