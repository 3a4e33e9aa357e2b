"""The solvers behind `generative` by themselves: where they start, what their objective is, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import ipbox as ip
from ipbox.learned.methods.generative import PALM, TwoBlockPALM, VariableProjection
from ipbox.learned.priors.generative import SoftRange
from tests.learned.priors.generative.linear import DIMS, LATENT, Linear, dense

LAM, MU = 0.3, 0.2


def posed() -> tuple[ip.Problem, SoftRange, np.ndarray, np.ndarray, float]:
    """A problem, its prior, the minimiser u, z and the least value, by dense algebra."""
    rng = np.random.default_rng(0)
    M, b, (W, c, _) = rng.standard_normal((12, 20)), rng.standard_normal(12), dense(Linear())
    H = np.block([[M.T @ M + LAM * np.eye(20), -LAM * W], [-LAM * W.T, LAM * (W.T @ W + MU * np.eye(LATENT))]])
    u, z = np.split(np.linalg.solve(H, np.concatenate([M.T @ b + LAM * c, -LAM * W.T @ c])), [20])
    value = 0.5 * np.sum((M @ u - b) ** 2) + LAM * 0.5 * (np.sum((u - W @ z - c) ** 2) + MU * z @ z)
    problem = ip.Problem(ip.L2(ip.as_operator(M, shape=DIMS), b))
    return problem, SoftRange(Linear(), mu=MU), u.reshape(DIMS), z, value


@pytest.mark.parametrize("kind", [PALM, VariableProjection])
def test_started_at_the_minimiser_it_stays(kind: type) -> None:
    problem, prior, u, z, value = posed()
    # PALM's first step is as long as values allow, which tell nothing of what is less than the root of their rounding
    exact, apart = ({"accuracy": 1e-13}, 1e-9) if kind is VariableProjection else ({}, 1e-7)
    for run in ip.iterate(problem, kind(prior=prior, lam=LAM, z0=z, **exact), x0=u, stop=ip.stop.niter(3)):
        np.testing.assert_allclose(run.x, u, rtol=0, atol=apart)
        assert run.objective() == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("kind", [PALM, VariableProjection])
def test_it_refuses_images_that_are_not_the_models(kind: type) -> None:
    solver = kind(prior=SoftRange(Linear()), lam=LAM, z0=np.zeros(LATENT))
    for b in (np.ones((5, 5)), np.ones(DIMS, complex)):
        with pytest.raises(ValueError, match=r"^prior is SoftRange\(Linear\) of real images \(5, 4\); expected"):
            ip.solve(ip.Problem(ip.L2(b=b)), solver)


@pytest.mark.parametrize("kind", [PALM, VariableProjection])
def test_bad_settings(kind: type) -> None:
    given = dict(prior=SoftRange(Linear()), lam=LAM, z0=np.zeros(LATENT))
    for changed, text in (
        ({"prior": "soft"}, "^prior is str; expected a prior of"),
        ({"lam": -1.0}, "^lam is -1.0; expected a positive number"),
        ({"lam": np.nan}, "^lam is nan; expected a positive number"),
        ({"z0": [0.0] * LATENT}, "^z0 is list; expected a NumPy"),
        (
            {"inertia": 1.0} if kind is PALM else {"accuracy": 0.0},
            r"^(inertia is 1.0|accuracy is 0.0); expected a number",
        ),
        ({"inertia": "a"} if kind is PALM else {"inner": "lbfgs"}, "^(inertia is 'a'|inner is str); expected"),
    ):
        with pytest.raises((TypeError, ValueError), match=text):
            kind(**given | changed)


@pytest.mark.parametrize("kind", [PALM, VariableProjection])
@pytest.mark.parametrize("shape", [(), (0,), (LATENT + 1,), (1, LATENT), (3, LATENT)])
def test_starts_of_another_shape(kind: type, shape: tuple[int, ...]) -> None:
    problem, prior, *_ = posed()
    with pytest.raises(ValueError, match=rf"^z0 has shape \({', '.join(map(str, shape))},?\); expected \({LATENT},\)$"):
        ip.solve(problem, kind(prior=prior, lam=LAM, z0=np.zeros(shape)), stop=ip.stop.niter(1))


def test_inertia_of_two_blocks_is_a_number() -> None:
    for inertia in (1.0, -0.1, "a", None):
        with pytest.raises(ValueError, match="^inertia is .*; expected a number in"):
            TwoBlockPALM(inertia=inertia)
