"""A small step is no convergence: residuals are per unit of step."""

from __future__ import annotations

import numpy as np
import pytest

import ipbox as ip

SHAPE = (12, 12)
TINY = 1e-8
SOLVERS = {
    "gradient descent": ip.GradientDescent(tau=TINY),
    "forward-backward": ip.ForwardBackward(tau=TINY),
    "FISTA": ip.FISTA(tau=TINY),
    "proximal point": ip.ProximalPoint(gamma=TINY),
    "Douglas-Rachford": ip.DouglasRachford(gamma=TINY),
    "Davis-Yin": ip.DavisYin(tau=TINY),
    "PDHG": ip.PDHG(tau=TINY, sigma=1.0),
    "PDHG, short in y": ip.PDHG(tau=1e-3, sigma=TINY),
    "Condat-Vu": ip.CondatVu(tau=TINY, sigma=1.0),
    "ADMM": ip.ADMM(rho=1 / TINY),
    "ADMM, short in y": ip.ADMM(rho=TINY),
    "HQS": ip.HQS(rho=1e-3, rho_max=10.0),
}


def objective(name: str) -> ip.functionals.Functional:
    b = np.random.default_rng(0).standard_normal(SHAPE)
    data = ip.L2(b=b)
    if name in ("gradient descent", "proximal point"):
        return data
    if name in ("forward-backward", "FISTA", "Douglas-Rachford", "Davis-Yin"):
        return data + 0.1 * ip.L1()
    return data + 0.1 * ip.TV(SHAPE)


@pytest.mark.parametrize("name", SOLVERS)
def test_short_steps_do_not_converge(name: str) -> None:
    """Far from the minimiser every step is tiny, and no rule of the residual may take that for the end."""
    problem = ip.Problem(objective(name))
    exact = ip.solve(problem, ip.AdaptivePDHG(), stop=ip.stop.gap(1e-10) | ip.stop.niter(5000)).x
    stop = ip.stop.residual(1e-3, every=1) | ip.stop.niter(5)
    run = ip.solve(problem, SOLVERS[name], x0=np.full(SHAPE, 3.0), stop=stop)
    error = np.linalg.norm(run.x - exact) / np.linalg.norm(exact)
    assert run.stop == "niter" or error <= 3e-2, (run.stop, error)


@pytest.mark.parametrize("name", ["proximal point", "Douglas-Rachford", "Davis-Yin", "HQS"])
def test_residual_falls_to_zero_at_the_minimiser(name: str) -> None:
    solver = {
        "proximal point": ip.ProximalPoint(gamma=0.01),
        "Douglas-Rachford": ip.DouglasRachford(gamma=0.05),
        "Davis-Yin": ip.DavisYin(tau=0.05),
        "HQS": ip.HQS(rho=10.0, growth=1.0, rho_max=10.0),
    }[name]
    problem = ip.Problem(objective(name))
    exact = ip.solve(problem, ip.AdaptivePDHG(), stop=ip.stop.gap(1e-10) | ip.stop.niter(5000)).x
    run = ip.solve(problem, solver, stop=ip.stop.residual(1e-6) | ip.stop.niter(20_000))
    assert run.stop == "residual"
    # HQS: the Moreau envelope is below TV by at most λ² n/(2ρ), n the number of gradients
    assert np.linalg.norm(run.x - exact) <= (5e-2 if name == "HQS" else 1e-4) * np.linalg.norm(exact)
