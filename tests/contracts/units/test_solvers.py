"""Every solver: data in other units give the same iterates in those units, to the bit where the unit is a power of two.

½‖Au - b‖² + λ R(u) keeps its minimiser, in the new unit, where λ grows with b for an R of degree 1, and stays for one
of degree 2; with KL, which is of degree 1 itself, it stays.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

import ipbox as ip
from tests.contracts.solvers.registry import Case, cases
from tests.contracts.units.scales import DECADES, POWERS, Scales, error

SMOOTH = (ip.BarzilaiBorwein, ip.NonlinearCG, ip.LBFGS, ip.ArmijoGradientDescent)  # decisions on differences of values


def solved(case: Case, scales: Scales) -> ip.solvers.Solution:
    """At most 25 iterations on the data of the case, until a tolerance that few of them need."""
    b = scales.data(case.family.draw(np, scales.dtype))
    problem = case.family.problem(b, np, scales.dtype)
    quadratic = not any(isinstance(f, ip.KL) for f in problem.terms)
    first, *rest = (scales.weight(1.0) * f if quadratic and isinstance(f, ip.L1 | ip.TV) else f for f in problem.terms)
    tol = 1e-6 if scales.dtype == "float64" else 1e-3
    stop = ip.stop.residual(tol, every=1) | ip.stop.niter(25)
    return ip.solve(ip.Problem(sum(rest, first)), in_unit(case, scales.weight(1.0)), stop=stop)


def in_unit(case: Case, c: float) -> ip.solvers.Solver:
    """The solver; with images c times as large and λ in proportion beside a latent vector, which has no unit.

    Adam's rate is a length in the unit of the image.
    """
    if type(case.solver).__name__ == "Adam":
        return dataclasses.replace(case.solver, lr=case.solver.lr * c)
    if not case.latent:
        return case.solver
    prior = copy.copy(case.solver.prior)
    prior.scale *= c
    return dataclasses.replace(case.solver, prior=prior, lam=case.solver.lam * c**2)


def within(case: Case, c: float, dtype: str) -> float:
    """c, or its root where gradients by a latent vector, c² times as large, would be beyond the dtype's range."""
    return c**0.5 if case.latent and dtype == "float32" else c


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_powers_of_two(case: Case) -> None:
    for dtype, c in POWERS:
        c = within(case, c, dtype)
        one, other = solved(case, Scales(dtype=dtype)), solved(case, Scales(c, dtype=dtype))
        assert (other.niter, other.stop) == (one.niter, one.stop), c
        assert error(other.x, one.x, c) <= 8 * np.finfo(dtype).eps, c


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_powers_of_ten(case: Case) -> None:
    """Data are rounded: the iterates agree to rounding, as far as a method decides nothing by its last bits."""
    for dtype, c in DECADES:
        c = within(case, c, dtype)
        one, other = solved(case, Scales(dtype=dtype)), solved(case, Scales(c, dtype=dtype))
        allowed = 1e4 * np.finfo(dtype).eps if not isinstance(case.solver, SMOOTH) else 1e-3
        assert error(other.x, one.x, c) <= allowed, c
