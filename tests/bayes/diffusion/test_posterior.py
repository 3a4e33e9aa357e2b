"""Posterior samplers on Gaussian priors: laws by dense recursions, the closed-form posterior, gradients, and errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.backend import to_host
from ipbox.bayes.diffusion import DAPS, DPS, DiffPIR, Projection, geometric_levels
from ipbox.bayes.diffusion.base import data_proximal
from ipbox.bayes.diffusion.sampling import METHODS, PRIOR
from tests.bayes.diffusion.test_prior import C, White
from tests.bayes.diffusion.test_score import Pair
from tests.contracts.solvers.registry import operator
from tests.contracts.support import public_classes

NOISE, DIMS = 0.3, (2, 3)
LEVELS = geometric_levels(10.0, 0.05, 12)


class Wide(White):
    """Of another variance, in an attribute."""

    def __init__(self, variance: float) -> None:
        super().__init__()
        self.variance = variance

    def _denoise(self, x: Any, sigma: float) -> Any:
        return self.variance * x / (self.variance + sigma**2)


def posed(xp: ModuleType = np, samples: int = 4, rows: int = 4) -> tuple[ip.Problem, np.ndarray, np.ndarray]:
    """A problem with fewer data than pixels, its matrix and its data."""
    rng = np.random.default_rng(3)
    M = rng.standard_normal((rows, 6)) / 2
    b = M @ (1 + C**0.5 * rng.standard_normal(6)) + NOISE * rng.standard_normal(rows)
    A = operator(M, xp, np.float64, DIMS)
    return ip.Problem(NOISE**-2 * ip.L2(A, xp.asarray(b)), batch=samples), M, b


def exact_posterior(M: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of N(1, C I)."""
    S = np.linalg.inv(M.T @ M / NOISE**2 + np.eye(6) / C)
    return S @ (M.T @ b / NOISE**2 + 1 / C), S


def check_law(sampler: Any, mean: np.ndarray, covariance: np.ndarray, samples: int = 2000) -> None:
    """Within five Monte-Carlo errors."""
    problem, _, _ = posed(samples=samples)
    x = ip.solve(problem, sampler).x.reshape(samples, -1)
    assert (np.abs(x.mean(axis=0) - mean) < 5 * np.sqrt(np.diag(covariance) / samples)).all()
    d = np.sqrt(np.diag(covariance))
    # a product of two normal variables has variance Σ_ii Σ_jj + Σ_ij² <= 2 Σ_ii Σ_jj
    assert (np.abs(np.cov(x.T) - covariance) < 5 * np.sqrt(2 / samples) * np.outer(d, d)).all()


Map = Callable[[float, float], tuple[np.ndarray, np.ndarray, np.ndarray]]


def recursion(step: Map) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance after x ← Fx + f + N(0, Q) at every level, F, f and Q by ``step(σ, σ₊)``."""
    mean, S = np.zeros(6), LEVELS[0] ** 2 * np.eye(6)
    for sigma, after in zip(LEVELS, (*LEVELS[1:], 0.0), strict=True):
        F, f, Q = step(sigma, after)
        mean, S = F @ mean + f, F @ S @ F.T + Q
    return mean, S


def test_daps_is_exact_where_its_assumption_is() -> None:
    """Given x at level σ, x_0 of a white Gaussian prior is N(D_σ(x), Cσ²/(C + σ²) I): ``spread`` = √C."""
    _, M, b = posed()
    check_law(DAPS(White(), LEVELS, flow=1, spread=C**0.5, accuracy=1e-8), *exact_posterior(M, b))


def test_langevins_steps_have_the_same_law() -> None:
    _, M, b = posed()
    sampler = DAPS(White(), geometric_levels(3.0, 0.3, 4), flow=1, spread=C**0.5, langevin=200)
    mean, S = exact_posterior(M, b)
    problem, _, _ = posed(samples=500)
    x = ip.solve(problem, sampler).x.reshape(500, -1)
    assert (np.abs(x.mean(axis=0) - mean) < 5 * np.sqrt(np.diag(S) / 500)).all()
    # steps of size 1/L double the variance along the stiffest direction, at most
    assert (np.diag(np.cov(x.T)) > 0.7 * np.diag(S)).all() and (np.diag(np.cov(x.T)) < 2.6 * np.diag(S)).all()


@pytest.mark.parametrize("zeta", [0.0, 0.4, 1.0])
def test_the_law_of_diffpir(zeta: float) -> None:
    lam = 0.8
    _, M, b = posed()

    def step(sigma: float, after: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rho = lam * NOISE**2 / sigma**2
        P = np.linalg.inv(M.T @ M + rho * np.eye(6))
        U, u = P * rho * C / (C + sigma**2), P @ (M.T @ b + rho * sigma**2 / (C + sigma**2))
        g = after / sigma * np.sqrt(1 - zeta)
        return (1 - g) * U + g * np.eye(6), (1 - g) * u, after**2 * zeta * np.eye(6)

    check_law(DiffPIR(White(), LEVELS, lam=lam, zeta=zeta, accuracy=1e-9), *recursion(step))


@pytest.mark.parametrize("lam", [None, 0.6, 1.0])
def test_the_law_of_projection(lam: float | None) -> None:
    _, M, b = posed()
    size = np.linalg.norm(M, 2) ** 2

    def step(sigma: float, after: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rho = NOISE**2 / sigma**2 if lam is None else size * (1 - lam) / lam
        if rho:
            P = np.linalg.inv(M.T @ M + rho * np.eye(6))
            G, g = rho * P, P @ M.T
        else:
            g = np.linalg.pinv(M)
            G = np.eye(6) - g @ M
        r = (after / sigma) ** 2
        h = r + (1 - r) * C / (C + sigma**2)
        noise = h**2 * sigma**2 * g @ M @ M.T @ g.T + r * (sigma**2 - after**2) * np.eye(6)
        return h * G, h * g @ b + (1 - r) * sigma**2 / (C + sigma**2), noise

    check_law(Projection(White(), LEVELS, lam=lam, inner=50), *recursion(step))


def test_dps_goes_down_the_misfit_through_the_score() -> None:
    """The step less the ancestral one, which is that of data without weight, is -ζ/(‖A‖² + s²/σ²) ∇½‖A D(x) - b‖²."""
    problem, M, b = posed(samples=3)
    far = ip.Problem(1e-30 * problem.terms[0], batch=3)
    sampler, rng = DPS(Pair(), (0.9, 0.5), zeta=0.7, seed=2), np.random.default_rng(0)
    x0 = rng.standard_normal((3, *DIMS))
    start, with_data, without = (
        ip.solve(f, sampler, x0=x0, stop=ip.stop.niter(n)).x for f, n in ((problem, 0), (problem, 1), (far, 1))
    )

    def misfit(x: np.ndarray) -> np.ndarray:
        return ((np.tanh(x / 0.9**2).reshape(3, -1) @ M.T - b) ** 2).sum(axis=1) / 2

    slope, h = np.zeros_like(start), 1e-6
    for index in np.ndindex(*DIMS):
        e = np.zeros((1, *DIMS))
        e[0, *index] = h
        slope[:, *index] = (misfit(start + e) - misfit(start - e)) / (2 * h)
    expected = -0.7 / (np.linalg.norm(M, 2) ** 2 + NOISE**2 / 0.9**2) * slope
    np.testing.assert_allclose(with_data - without, expected, rtol=1e-6, atol=1e-9)


def test_dps_meets_the_data_and_more_closely_than_the_posterior_where_a_is_well_conditioned() -> None:
    problem, M, b = posed(samples=200)
    mean, S = exact_posterior(M, b)
    drawn = np.random.default_rng(0).multivariate_normal(mean, S, 200)
    posterior = np.median(np.linalg.norm(drawn @ M.T - b, axis=1) / (NOISE * 2))
    x = ip.solve(problem, DPS(White(), geometric_levels(10.0, 0.02, 200))).x.reshape(200, -1)
    residual = np.linalg.norm(x @ M.T - b, axis=1) / (NOISE * 2)
    assert 0.05 * posterior < np.median(residual) < 0.5 * posterior


# ---------------------------------------------------------------- the quadratic problem


@pytest.mark.parametrize("rho", [0.05, 3.0])
def test_data_proximal_is_the_minimiser(rho: float, xp: ModuleType) -> None:
    problem, M, b = posed(xp)
    z = np.random.default_rng(1).standard_normal((4, *DIMS))
    u = to_host(data_proximal(problem.assign(("smooth",)), xp.asarray(z), rho, accuracy=1e-10)).reshape(4, -1)
    exact = np.linalg.solve(M.T @ M + rho * np.eye(6), (M.T @ b)[:, None] + rho * z.reshape(4, -1).T).T
    np.testing.assert_allclose(u, exact, rtol=1e-8, atol=1e-10)


def test_one_iteration_is_enough_for_masks() -> None:
    mask = np.random.default_rng(0).random((8, 8)) < 0.4
    A = ip.Mask(mask, dtype="float64")
    b, z = np.ones(A.dimsd), np.random.default_rng(1).standard_normal((2, 8, 8))
    p = ip.Problem(ip.L2(A, b), batch=2).assign(("smooth",))
    with ip.counting(A) as count:
        u = data_proximal(p, z, 0.3, accuracy=1e-9)
    assert (count.forward, count.adjoint) == (4, 4)  # of two samples: the residual, and one direction
    np.testing.assert_allclose(u, np.where(mask, (1 + 0.3 * z) / 1.3, z), rtol=1e-12)


# ---------------------------------------------------------------- the function


@pytest.mark.parametrize("method", ["diffpir", "dps", "daps", "projection"])
def test_goes_on_from_its_checkpoint_bit_for_bit(method: str, xp: ModuleType, tmp_path: Path) -> None:
    problem, _, _ = posed(xp)
    f = problem.terms[0]
    given = dict(noise_level=2 * NOISE, method=method, samples=3, steps=8, sigma_max=5.0, sigma_min=0.05)
    whole = ip.diffusion(f.A, f.b, White(), **given)
    file = tmp_path / "samples.npz"
    part = ip.diffusion(f.A, f.b, White(), checkpoint=file, callbacks=[lambda run: run.k == 3], **given)
    assert part.solution.niter == 3
    again = ip.diffusion(f.A, f.b, White(), checkpoint=file, **given)
    np.testing.assert_array_equal(to_host(again.samples), to_host(whole.samples))
    np.testing.assert_allclose(to_host(whole.mean), to_host(whole.samples).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(to_host(whole.std), to_host(whole.samples).std(axis=0, ddof=1), rtol=1e-10)
    with pytest.raises(ValueError, match="state is of another solve"):
        ip.diffusion(f.A, 2 * f.b, White(), checkpoint=file, **given)
    with pytest.raises(TypeError, match="callbacks is a function; expected a list"):
        ip.diffusion(f.A, f.b, White(), checkpoint=file, callbacks=lambda run: None, **given)
    with pytest.raises(ValueError, match="x0 and state are both given"):
        ip.diffusion(f.A, f.b, White(), x0=whole.samples, state=whole.solution.state, **given)
    problem, sampler = posed(xp)[0], DAPS(White(), (5.0, 0.1))
    assert set(ip.solve(problem, sampler).stop) == {"last_level"}


def test_a_checkpoint_knows_its_score(xp: ModuleType, tmp_path: Path) -> None:
    """By what it gives: networks of one class with other weights are other priors."""
    f, file = posed(xp)[0].terms[0], tmp_path / "samples.npz"
    given = dict(noise_level=2 * NOISE, samples=3, steps=8, sigma_max=5.0, sigma_min=0.05, checkpoint=file)
    ip.diffusion(f.A, f.b, Wide(1.0), callbacks=[lambda run: run.k == 3], **given)
    with pytest.raises(ValueError, match="state is of another solve: its score differs"):
        ip.diffusion(f.A, f.b, Wide(1.1), **given)
    ip.diffusion(f.A, f.b, Wide(1.0), **given)


def test_samples_are_shown_on_the_scale_of_the_mean(tmp_path: Path) -> None:
    f = posed()[0].terms[0]
    posterior = ip.diffusion(f.A, f.b, White(), noise_level=0.6, steps=3, sigma_max=5.0, sigma_min=0.05)
    figure = posterior.show(tmp_path / "posterior.png", unit="1/mm")
    assert (tmp_path / "posterior.png").stat().st_size > 5000
    mean, deviation, *samples = [ax.images[0] for ax in figure.axes if ax.images]
    assert [s.get_clim() for s in samples] == [mean.get_clim()] * 2 and deviation.get_clim()[0] == 0.0
    shown = dict(zip((mean, deviation, *samples), (posterior.mean, posterior.std, *posterior.samples), strict=False))
    assert all(np.array_equal(image.get_array(), u) for image, u in shown.items())  # in the units of the image
    assert {image.colorbar.ax.get_ylabel() for image in shown} == {"1/mm"}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (dict(samples=0), ValueError, "samples is 0; expected a positive integer"),
        (dict(sigma_min=9.0), ValueError, "sigma_min is 9 and sigma_max 5; expected sigma_min < sigma_max"),
        (dict(method="ddrm"), ValueError, "method is 'ddrm'; expected one of 'diffpir', 'dps', 'daps', 'projection'"),
        (dict(score=White((3, 3))), ValueError, r"score is of images \(3, 3\); expected \(2, 3\), those of the prob"),
        (dict(score=White(dtype="float32")), TypeError, "score is of float32, the problem of float64; expected one"),
        (dict(b=np.ones((2, 4))), ValueError, r"b has shape \(2, 4\); expected \(4,\), the data of one image"),
        (dict(noise_level=0.0), ValueError, "noise_level is 0.0; expected a positive number, the norm of the noise"),
        (dict(flow=2), TypeError, "flow is given, and diffpir has none; expected of its param"),
        (dict(zeta=1.5), ValueError, r"zeta is 1.5; expected a number in \[0, 1\]"),
        (dict(A=ip.Identity((2, 3), "complex128"), b=np.ones((2, 3), complex)), TypeError, "has images of complex128"),
    ],
)
def test_bad_input(given: dict[str, Any], error: type[Exception], message: str) -> None:
    f = posed()[0].terms[0]
    arguments = dict(A=f.A, b=f.b, score=White(), noise_level=0.6, sigma_max=5.0, sigma_min=0.05)
    with pytest.raises(error, match=message):
        ip.diffusion(**arguments | given)


def test_every_class_has_a_name() -> None:
    """Those of other samplers are listed with the contracts of solvers."""
    known = {cls for cls in public_classes("sampler") if not cls.stationary}
    assert known == {*METHODS.values(), *PRIOR.values()}


def test_problems_that_do_not_fit() -> None:
    f = posed()[0].terms[0]
    sampler = DiffPIR(White(), LEVELS)
    for problem, message in [
        (ip.Problem(f + ip.L2(), batch=2), r"the problem has .* expects one term s\*\*-2"),
        (ip.Problem(f), "batch is None; DiffPIR expects a number of samples"),
        (ip.Problem(ip.L2(f.A, np.ones((2, 4))), batch=2), r"the problem has b of shape \(2, 4\) for several images"),
    ]:
        with pytest.raises(ValueError, match=message):
            ip.solve(problem, sampler)
    with pytest.raises(
        TypeError, match="sampler is DiffPIR, whose law changes from step to step; expected ip.diffusion"
    ):
        ip.sample(ip.Problem(f, batch=2), sampler)
