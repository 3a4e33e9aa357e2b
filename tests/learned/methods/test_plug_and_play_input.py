"""Plug-and-play: what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import ipbox as ip
from ipbox.learned.methods.plug_and_play import pnp
from ipbox.learned.priors import Denoiser
from ipbox.operators import Operator
from tests.learned.methods.test_plug_and_play import Noisy, Smoother, as_image_operator


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[Operator, np.ndarray]:
    return as_image_operator(rng.standard_normal((40, 30)) / 6), rng.standard_normal(40)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(method="newton"), ValueError, "method is 'newton'; expected one of 'hqs', 'forward_backward'"),
        (dict(sigma=None, noise_level=None), ValueError, "sigma and noise_level are both None"),
        (dict(noise_level=None), ValueError, "rho and noise_level are both None"),
        (dict(noise_level=-1.0), ValueError, "noise_level is -1.0; expected a positive number"),
        (dict(sigma=0.0), ValueError, "sigma is 0.0; expected a positive number"),
        (dict(sigma=[]), ValueError, "sigma is empty"),
        (dict(sigma=[0.1, -0.1]), ValueError, "sigma is -0.1"),
        (dict(sigma=[0.1, 0.2], method="admm"), ValueError, "sigma is"),
        (dict(lam=0.0), ValueError, "lam is 0.0"),
        (dict(rho=-1.0), ValueError, "rho is -1.0"),
        (dict(tau=1.0), ValueError, "tau is 1.0, and hqs has none; expected rho"),
        (dict(rho=1.0, method="fista"), ValueError, "rho is 1.0, and fista has none; expected tau"),
        (dict(tau=1e9, method="forward_backward"), ValueError, "tau is 1e[+]09; expected a step size"),
        (dict(nonneg=True, box=(0, 1)), ValueError, "nonneg and box are both given"),
        (dict(niter=-1), ValueError, "niter is -1"),
        (dict(tol=0.0, method="fista"), ValueError, "tol is 0.0"),
        (dict(stop=3), TypeError, "expected another stop rule|int"),
        (dict(denoiser=3), TypeError, "net is int"),
        (dict(x0=np.zeros((3, 3))), ValueError, "x0 has shape"),
        (dict(denoiser=0.1 * ip.L1(), sigma=0.1), ValueError, "a functional; expected sigma, scale"),
        (dict(denoiser=0.1 * ip.L1(), sigma=None, nonneg=True), ValueError, "expected a Denoiser, or what one is made"),
        (dict(denoiser=Denoiser(Noisy(), 0.1), sigma=None, scale=2.0), ValueError, "expected sigma, scale"),
    ],
)
def test_bad_arguments(problem: tuple, arguments: dict, error: type, message: str) -> None:
    A, b = problem
    given = {"denoiser": Noisy(), "sigma": 0.1, "noise_level": 0.5, **arguments}
    with pytest.raises(error, match=message):
        pnp(A, b, **given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(schedule=(1.0, -1.0)), "schedule is"),
        (dict(schedule=()), "schedule is"),
        (dict(schedule=(1.0,), rho=1.0), "schedule is given, and rho or rho_max too"),
        (dict(accuracy=1.0), "accuracy is 1.0"),
    ],
)
def test_bad_schedules(problem: tuple, arguments: dict, message: str) -> None:
    A, b = problem
    with pytest.raises(ValueError, match=message):
        ip.solve(ip.Problem(ip.L2(A, b) + Denoiser(Smoother())), ip.HQS(**arguments))
