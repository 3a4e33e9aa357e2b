"""MLEM and OSEM: the literal formula, monotone likelihood, counts, the limit, masks, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize

import ipbox as ip
from ipbox.backend import to_host


@pytest.fixture
def poisson(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    A = rng.random((24, 9)) * (rng.random((24, 9)) < 0.6)
    return A, rng.poisson(A @ rng.uniform(5, 20, 9) + 1).astype(np.float64)


def test_mlem_is_its_formula(poisson: Any, xp: Any) -> None:
    A, b = poisson
    u = np.full(9, 3.0)
    for _ in range(7):
        u = u / A.sum(0) * (A.T @ (b / (A @ u + 1)))
    x, _ = ip.mlem(xp.asarray(A), xp.asarray(b), background=1.0, niter=7, x0=xp.full(9, 3.0))
    assert np.allclose(to_host(x), u, rtol=1e-13)


def test_osem_is_the_loop_over_subsets(poisson: Any, xp: Any) -> None:
    A, b = poisson
    u = np.full(9, 3.0)
    for _ in range(3):
        for k in (0, 2, 1, 3):
            u = u / A[k::4].sum(0) * (A[k::4].T @ (b[k::4] / (A[k::4] @ u + 1)))
    x, _ = ip.osem(xp.asarray(A), xp.asarray(b), 4, background=1.0, niter=3, x0=xp.full(9, 3.0))
    assert np.allclose(to_host(x), u, rtol=1e-13)


def test_the_limit_is_the_maximum_of_the_likelihood(poisson: Any) -> None:
    """Against SciPy's L-BFGS-B with bounds on the same function, and by the Kuhn-Tucker conditions."""
    A, b = poisson

    def divergence(u: np.ndarray) -> tuple[float, np.ndarray]:
        m = A @ u + 1
        return float((m - b * np.log(m)).sum()), A.T @ (1 - b / m)

    options = {"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-10}
    exact = scipy.optimize.minimize(
        divergence, np.ones(9), jac=True, bounds=[(0, None)] * 9, method="L-BFGS-B", options=options
    )
    u, _ = ip.mlem(A, b, background=1.0, niter=12000)
    assert np.allclose(u, exact.x, atol=1e-4)
    gradient = divergence(u)[1]
    assert abs(u * gradient).max() < 1e-5 and gradient.min() > -1e-5


@pytest.mark.parametrize("background", [0.0, 2.0])
def test_the_likelihood_rises_in_each_iteration(poisson: Any, background: float) -> None:
    A, b = poisson
    problem = ip.Problem(ip.KL(ip.as_operator(A), b, background))
    values = [run.objective() for run in ip.iterate(problem, ip.MLEM(), stop=ip.stop.niter(60))]
    assert (np.diff(values) < 0).all()


def test_counts_are_kept() -> None:
    """For r = 0 the projection has the counts of b after each iteration, the first included."""
    A, b, _, _ = ip.problem("pet", size=32, views=24, counts=1e5, dtype="float64", randoms=0.0, scatter=0.0)
    for run in ip.iterate(ip.Problem(ip.KL(A, b)), ip.MLEM(), stop=ip.stop.niter(5)):
        assert np.isclose((A.sensitivity() * run.x).sum(), b.sum(), rtol=1e-12)


def test_a_mask_leaves_data_out(poisson: Any) -> None:
    A, b = poisson
    mask = np.random.default_rng(1).random(24) < 0.7
    options = {"background": 1.0, "niter": 9, "x0": np.ones(9)}
    assert np.allclose(ip.mlem(A, b, mask=mask, **options)[0], ip.mlem(A[mask], b[mask], **options)[0], rtol=1e-12)


def test_pixels_that_no_ray_sees_are_zero_and_those_that_a_subset_misses_stay() -> None:
    A = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    assert np.allclose(ip.mlem(A, np.array([3.0, 4.0]), niter=3)[0], [3, 2, 0])
    assert np.allclose(ip.osem(A, np.array([3.0, 4.0]), 2, niter=3)[0], [3, 2, 0])


def test_no_counts_give_zero() -> None:
    x, _ = ip.mlem(np.eye(3), np.zeros(3), niter=2)
    assert not x.any()


def test_batch_with_one_background_for_all(poisson: Any) -> None:
    A, b = poisson
    stack = np.stack([b, b[::-1]]).copy()
    background = np.linspace(0.5, 1.5, 24)
    x, info = ip.osem(A, stack, 4, background=background, noise_level="poisson", niter=30)
    for i in range(2):
        alone, single = ip.osem(A, stack[i], 4, background=background, noise_level="poisson", niter=30)
        assert single.stop == info.stop[i] and single.niter == info.extra["niter_per_sample"][i]
        assert np.allclose(x[i], alone, rtol=1e-12)


def test_osem_is_mlem_in_a_fraction_of_the_applications() -> None:
    A, b, x, _ = ip.problem("pet", size=64, views=60, counts=3e5)
    D = ip.KL(A, b)
    with ip.counting(A) as many:
        u, _ = ip.mlem(A, b, niter=40)
    with ip.counting(A) as few:
        v, _ = ip.osem(A, b, 10, niter=5)
    assert D.value(v) <= D.value(u) and few.total <= 0.2 * many.total
    assert abs(ip.psnr(v, x) - ip.psnr(u, x)) < 1


def test_verdicts(poisson: Any) -> None:
    A, b = poisson
    problem = ip.Problem(ip.KL(ip.as_operator(A), b, 1.0) + ip.NonNegative())
    assert ip.MLEM().is_provably_convergent(problem)
    assert "cycle" in ip.OSEM(4).is_provably_convergent(problem).reason
    signs = ip.Problem(ip.KL(ip.as_operator(A - 1e-3), b, 1.0))
    assert "non-negative" in ip.MLEM().is_provably_convergent(signs).reason


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda A, b: ip.mlem(A, b, x0=np.zeros(9) - 1), ValueError, "x0 has negative entries, down to -1"),
        (lambda A, b: ip.mlem(A, b, x0=np.arange(9.0)), ValueError, "x0 is 0 at pixels that A sees"),
        (lambda A, b: ip.osem(A, b, 0), ValueError, "subsets is 0; expected a positive integer"),
        (lambda A, b: ip.osem(A, b, 25), ValueError, "to take 25 subsets"),
        (lambda A, b: ip.mlem(A, b, noise_level="gauss"), ValueError, "noise_level is 'gauss'; expected a number or"),
        (lambda A, b: ip.mlem(-A, b), ValueError, "A is M, whose columns have sums down to"),
        (lambda A, b: ip.mlem(A, -b - 1), ValueError, "b has negative entries"),
        (lambda A, b: ip.mlem(A, b, noise_level="poisson", safety=0), ValueError, "safety is 0"),
        (lambda A, b: ip.solve(ip.Problem(ip.L2(ip.as_operator(A), b)), ip.MLEM()), ValueError, "no likelihood of"),
        (
            lambda A, b: ip.solve(ip.Problem(ip.KL(ip.as_operator(A), b) + ip.Box(0, 1)), ip.MLEM()),
            ValueError,
            r"Box fits no role of MLEM: beside KL\(A, b\) it takes NonNegative\(\) only",
        ),
    ],
)
def test_refuses(poisson: Any, call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(*poisson)


@pytest.mark.parametrize("scale", [1e-18, 1e9, 1e25])
@pytest.mark.parametrize("solver", [ip.MLEM(), ip.OSEM(2)])
def test_counts_in_any_unit_also_those_that_no_pixel_explains(solver: Any, scale: float) -> None:
    """The third row is zero: its counts are noise, whose ratio to a mean of 0 must not overflow."""
    A = ip.as_operator(np.array([[1, 1], [0, 2], [0, 0], [1, 0]], "float32"))
    b = np.array([3, 4, 5, 1], "float32")
    one, scaled = (
        ip.solve(ip.Problem(ip.KL(A, b * np.float32(a))), solver, stop=ip.stop.niter(20)).x for a in (1, scale)
    )
    assert np.isfinite(scaled).all() and np.allclose(scaled.astype("float64") / scale, one, rtol=1e-4)


def test_negative_weights_are_told() -> None:
    """The band-limited ray transform has some; without a word MLEM diverges on data that Joseph's projector takes."""
    angles = np.linspace(0, np.pi, 20, endpoint=False)
    x = np.pad(np.full((12, 12), 5, "float32"), 10)
    A, J = ip.RayTransform((32, 32), angles), ip.JosephTransform((32, 32), angles)
    b = J.apply(x)
    with pytest.warns(RuntimeWarning, match="^A is RayTransform, which has negative .* MLEM may diverge"):
        try:
            ip.mlem(A, b, niter=2)
        except ip.solvers.Diverged:
            pass
    with pytest.warns(RuntimeWarning, match="negative weights, with which OSEM may diverge; expected a matrix without"):
        ip.osem(np.array([[1.0, 2.0], [1.0, -0.1]]), np.array([3.0, 0.9]), 1, niter=2)
    assert ip.psnr(ip.mlem(J, b, niter=50)[0], x) > 20
