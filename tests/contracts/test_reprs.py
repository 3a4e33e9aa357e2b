"""What operators, functionals, problems and solutions say they are: formulas and shapes on a line, no addresses."""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from tests.contracts.functionals.registry import FunctionalCase
from tests.contracts.operators.case import OperatorCase
from tests.contracts.solvers import registry as solvers
from tests.contracts.solvers.registry import Case
from tests.contracts.support import listed

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
ARRAY = re.compile(r"array\(\[|\[\[")


def check(obj: Any, in_notebooks: bool = True) -> str:
    """On one line, and in HTML the same as text."""
    text = repr(obj)
    assert 0 < len(text) <= 400 and "\n" not in text, text
    assert not ADDRESS.search(text) and not ARRAY.search(text), text
    if in_notebooks:
        assert obj._repr_html_() == f"<pre>{html.escape(text)}</pre>"
    return text


@pytest.mark.parametrize("case", listed("operators"), ids=repr)
def test_operators(case: OperatorCase) -> None:
    A = case.make(np.dtype(case.cls.dtypes[0]), np)
    assert f": {tuple(A.dims)} -> {tuple(A.dimsd)}, {A.dtype_in}" in check(A)
    check(A.N), check(2.0 * A.H)


@pytest.mark.parametrize("case", listed("functionals"), ids=repr)
def test_functionals(case: FunctionalCase) -> None:
    f = case.make(np.dtype("float64"), np)
    assert check(f).startswith(f"{type(f).__name__}: {f.formula()}"[:300])
    assert "{" not in f.formula()


@pytest.mark.parametrize("case", solvers.one_each(), ids=lambda case: case.id)
def test_problems_and_solutions(case: Case) -> None:
    problem = case.family.problem(case.family.draw(np, "float64"), np, "float64")
    assert check(problem).startswith("Problem: min ")
    solution = ip.solve(problem, case.solver, stop=ip.stop.niter(3))
    check(case.solver, in_notebooks=False), check(solution.state, in_notebooks=False)
    assert check(solution).startswith(f"Solution by {type(case.solver).__name__}: {solution.niter} iterations, stopped")


def test_settings() -> None:
    assert repr(ip.GradientDescent(tau=0.123456789)) == "GradientDescent(tau=0.123456789)"
    assert repr(ip.Cimmino(weights=np.ones(3))).startswith("Cimmino(relaxation=1.0, weights=array (3,) float64")
    assert repr(ip.PCN(mean=np.ones((2, 2)))) == "PCN(beta=0.2, S=1.0, mean=array (2, 2) float64, seed=0)"


def test_formulas() -> None:
    A, b = ip.RayTransform((8, 8), np.linspace(0, 3, 5), dtype="float64"), np.ones((5, 12))
    f = 2 * ip.L2(A, b) - ip.L2() + 0.1 * ip.TV((8, 8)) + ip.L1() @ ip.Gradient((8, 8), dtype="float64") + ip.Box(0, 1)
    assert f.formula() == "2·½‖Au - b‖² - 1·½‖u‖² + 0.1·TV(u) + ‖∇u‖₁ + ι(0 ≤ u ≤ 1)"
    assert repr(ip.L2(A, b)) == "L2: ½‖Au - b‖², A = RayTransform: (8, 8) -> (5, 12), float64"
    assert (
        repr(ip.Problem(ip.L2(b=b) + 0.1 * ip.TV(b.shape))) == "Problem: min ½‖u - b‖² + 0.1·TV(u), u: (5, 12) float64"
    )
    assert ip.Tikhonov((3,), order=2).formula() == "½‖Δu‖²"
    assert ip.L2Ball((3,), 2.0, centre=np.ones(3)).formula() == "ι(‖u - c‖ ≤ 2)"
    assert (0.5 * ip.functional(abs, prox=lambda x, tau: x, name="my f")).formula() == "0.5·my f(u)"
    assert ip.KL(None, b, background=0.5).formula() == "KL(b, u + r)"


def test_a_batch_tells_how_many_samples_each_rule_stopped() -> None:
    b = np.stack([np.eye(6), np.zeros((6, 6))])
    problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV((6, 6)), batch=2)
    assert repr(problem).endswith("u: (6, 6) float64, 2 samples")
    solution = ip.solve(problem, ip.PDHG(), stop=ip.stop.gap(1e-9) | ip.stop.niter(2))
    assert "stopped by niter (1 samples), gap (1 samples)" in check(solution)
