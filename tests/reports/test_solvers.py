"""Solvers, proximal maps and weights: what users of other packages reported in public, and what we give there."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from tests.contracts.support import host

SHAPE = (6, 7)


def noisy(rng: np.random.Generator, *lead: int, dtype: Any = "float64") -> np.ndarray:
    return (np.add.outer(np.arange(6) > 2, np.arange(7) > 3) + 0.3 * rng.standard_normal((*lead, *SHAPE))).astype(dtype)


# ---------------------------------------------------------------- proximal maps


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
def test_total_variation_of_channels(dtype: str, rng: np.random.Generator) -> None:
    """scikit-image #372, #4427: channels that are smoothed into each other, or by another amount than each alone."""
    b = noisy(rng, 3, dtype=dtype)
    if dtype == "complex64":
        b = b * np.exp(1j * np.arange(3)).astype(dtype)[:, None, None]
    R = ip.TV((3, *SHAPE), axes=(-2, -1), accuracy=1e-3)
    alone = np.stack([ip.TV(SHAPE, accuracy=1e-3).prox(u, 0.2) for u in b])
    assert np.abs(R.prox(b, 0.2) - alone).max() < 5e-3
    assert R.value(b) == pytest.approx(sum(ip.TV(SHAPE).value(u) for u in b), rel=1e-5)
    last = np.ascontiguousarray(np.moveaxis(b, 0, -1))
    assert np.abs(np.moveaxis(ip.tv(None, last, 0.2, axes=(0, 1))[0], -1, 0) - alone).max() < 5e-3
    same = np.stack([b[0]] * 4)  # of one grey image four times |(∇u, ∇u, ∇u, ∇u)| = 2 |∇u|
    assert ip.TV((4, *SHAPE), channels=True).value(same) == pytest.approx(2 * ip.TV(SHAPE).value(b[0]), rel=1e-5)
    with pytest.raises(ValueError, match="axes"):
        ip.tv(None, last, 0.2)


METHODS = {
    "tv": lambda b, lam: ip.tv(None, b, lam)[0],
    "tgv": lambda b, lam: ip.tgv(None, b, lam)[0],
    "tikhonov": lambda b, lam: ip.tikhonov(ip.Identity(b.shape, b.dtype), b, lam, gradient=True)[0],
    "wavelet": lambda b, lam: ip.wavelet(None, b, lam)[0],
    "prox of TV": lambda b, lam: ip.TV(b.shape).prox(b, lam),
    "prox of SmoothedTV": lambda b, lam: ip.variational(None, b, ip.SmoothedTV(b.shape, 0.01), lam)[0],
}


@pytest.mark.parametrize("method", METHODS)
def test_more_weight_smooths_more(method: str, rng: np.random.Generator) -> None:
    """scikit-image #5379: of two functions for the same minimiser one took the weight for its inverse."""
    b = noisy(rng)
    distances = [np.linalg.norm(METHODS[method](b, lam) - b) for lam in (1e-3, 0.02, 0.2)]
    assert distances[0] < 0.1 * distances[2] and distances[0] < distances[1] < distances[2]


def test_one_weight_in_every_way_to_denoise(rng: np.random.Generator) -> None:
    """The same: ½‖u - b‖² + λ TV(u) by function, prox, solver and weight."""
    b, lam = noisy(rng), 0.15
    p = ip.TV(SHAPE, accuracy=1e-8).prox(b, lam)
    solved = ip.solve(ip.Problem(ip.L2(b=b) + lam * ip.TV(SHAPE)), ip.PDHG(), stop=ip.stop.gap(1e-10)).x
    others = [ip.tv(None, b, lam, tol=1e-8)[0], ip.variational(None, b, ip.TV(SHAPE), lam, tol=1e-8)[0], solved]
    others.append((lam * ip.TV(SHAPE, accuracy=1e-8)).prox(b, 1.0))
    assert max(np.abs(x - p).max() for x in others) < 1e-4


FUNCTIONALS = {
    "TV": lambda: ip.TV(SHAPE),
    "symmetric TV": lambda: ip.TV(SHAPE, symmetric=True, accuracy=1e-3),
    "TGV": lambda: ip.TGV(SHAPE, accuracy=1e-3),
    "L1": lambda: ip.L1(),
    "WaveletL1": lambda: ip.WaveletL1(SHAPE),
    "NonNegative": lambda: ip.NonNegative(),
    "L2": lambda: ip.L2(b=np.ones(SHAPE)),
}


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_prox_into_its_own_input(name: str, rng: np.random.Generator) -> None:
    """CIL #1172, #1650: another result where ``out`` is the input; so too for the conjugate's."""
    f, x = FUNCTIONALS[name](), noisy(rng)
    expected = f.prox(x, 0.3)
    z = x.copy()
    p = f.prox(z, 0.3, out=z)
    assert np.shares_memory(p, z) and np.array_equal(z, expected)
    conj, z = f.prox_conj(x, 0.7), x.copy()
    p = f.prox_conj(z, 0.7, out=z)
    assert np.shares_memory(p, z) and np.array_equal(z, conj)


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_a_step_for_each_sample(name: str, xp: ModuleType, rng: np.random.Generator) -> None:
    """CIL #608: proximal maps with an array of step sizes.  Here one a sample, or a refusal in one sentence."""
    f = FUNCTIONALS[name]()
    if name == "L2":
        f = ip.L2(b=xp.ones(SHAPE))
    x, tau = noisy(rng, 3), np.array([0.02, 0.05, 0.1])
    batch = host(f.prox(xp.asarray(x), tau))
    alone = np.stack([host(f.prox(xp.asarray(u), float(t))) for u, t in zip(x, tau, strict=True)])
    assert np.abs(batch - alone).max() < 1e-3 * np.abs(alone).max()
    with pytest.raises((ValueError, TypeError), match="tau"):
        f.prox(xp.asarray(x[0]), np.full(SHAPE, 0.1))


@pytest.mark.parametrize("name", ["TV", "symmetric TV", "TGV"])
def test_a_warm_start_is_only_a_start(name: str, rng: np.random.Generator) -> None:
    """CIL #1587: a warm-started proximal map that gives other values at its second call, or after another image."""
    f = {"TV": ip.TV(SHAPE, accuracy=1e-5)}.get(name) or FUNCTIONALS[name]()
    x, other = noisy(rng), 1e3 * noisy(rng)
    cold, work = f.prox(x, 0.1), {}
    for z, tau in ((x, 0.1), (x, 0.1), (other, 7.0), (x, 0.1), (x, 0.1)):
        p = f.prox(z, tau, work=work)
    assert np.linalg.norm(p - cold) < 3 * f.accuracy * np.linalg.norm(x)
    assert np.array_equal(f.prox(x, 0.1), cold)  # and nothing is left behind without ``work``


# ---------------------------------------------------------------- solvers


def test_empty_rows_and_columns(xp: ModuleType) -> None:
    """CIL pull 1163: weights that are infinite for rays that miss the image and pixels that no ray meets."""
    M = xp.asarray(np.array([[1.0, 2, 0], [0, 0, 0], [3, 1, 0]]))
    b = xp.asarray(np.array([5.0, 9.0, 5.0]))
    for method in (ip.sirt, ip.kaczmarz, ip.cimmino):
        x, info = method(M, b, niter=500)
        assert np.abs(host(x) - [1, 2, 0]).max() < 1e-3, info.solver


@pytest.mark.parametrize("nonneg", [False, True])
def test_two_solvers_one_image(nonneg: bool, rng: np.random.Generator) -> None:
    """CIL-Demos #196: PDHG and FISTA that end at different images of one problem."""
    A = ip.Blur(SHAPE, np.full((1, 3), [0.2, 0.6, 0.2]), dtype="float64")
    b = A.apply(noisy(rng)) - 0.4 * nonneg
    options = {"nonneg": nonneg, "tol": 1e-5, "niter": 20000}
    R = ip.TV(SHAPE, accuracy=1e-6)
    solvers = [ip.PDHG(), ip.CondatVu()] + ([] if nonneg else [ip.FISTA()])
    images = [ip.variational(A, b, R, 0.05, solver=s, **options)[0] for s in solvers]
    assert max(np.abs(x - images[0]).max() for x in images) < 2e-3 and (not nonneg or images[0].min() == 0)


def test_a_norm_is_computed_once_at_most() -> None:
    """CIL #1103: a norm by power iterations at every set-up though the steps are given.  Here they are checked against
    the norm, so that steps that diverge are refused; the operator keeps it for every solver and problem."""
    P = ip.JosephTransform((8, 8), np.linspace(0, 3, 9), dtype="float64")
    A = ip.operator(P.apply, P.apply_adjoint, (8, 8), P.dimsd, "float64")
    b = P.apply(np.ones((8, 8)))
    A.norm()
    pdhg = ip.PDHG(tau=1e-2, sigma=1e-2)
    for solver, terms in ((ip.GradientDescent(tau=1e-3), ()), (pdhg, (0.1 * ip.TV((8, 8)),)), (pdhg, (ip.L1(),))):
        with ip.counting(A) as count:
            ip.solve(ip.Problem(sum(terms, ip.L2(A, b))), solver, stop=ip.stop.niter(1))
        assert count.total <= 5, solver
    with pytest.raises(ValueError, match="expected at most 1"):
        ip.solve(ip.Problem(ip.L2(A, b) + ip.L1()), ip.PDHG(tau=1.0, sigma=1.0), stop=ip.stop.niter(1))


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_default_steps_of_pdhg(size: float, rng: np.random.Generator) -> None:
    """PTB-MR/mrpro pull 999: default steps from ‖K‖ where ‖K‖² belongs, and an extrapolation of the wrong sign.  Steps
    for every size of A, and two iterations against the paper's."""
    M = size * rng.standard_normal((12, 9))
    b, lam = M @ rng.standard_normal(9), 0.1 * size**2
    problem = ip.Problem(ip.L2(M, b) + lam * ip.L1())
    run = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(1))
    tau, sigma = run.state.tau, run.state.sigma[0]
    norm = np.linalg.norm(M, 2)
    assert 0.9 < tau * sigma * norm**2 <= 1 + 1e-6
    x, x_bar, y = np.zeros(9), np.zeros(9), np.zeros(12)
    for _ in range(2):
        y = (y + sigma * (M @ x_bar - b)) / (1 + sigma)
        new = x - tau * M.T @ y
        new = np.sign(new) * np.maximum(np.abs(new) - tau * lam, 0)
        x, x_bar = new, 2 * new - x
    assert np.allclose(ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(2)).x, x, rtol=1e-6, atol=1e-9)
    x = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(4000)).x
    gradient = M.T @ (M @ x - b) / lam  # optimal: -sign(x) where x is not 0, at most 1 elsewhere
    assert np.abs(gradient).max() < 1 + 1e-4 and np.allclose(gradient[x != 0], -np.sign(x[x != 0]), atol=1e-4)


@pytest.mark.parametrize("method", ["lsqr", "cgls", "pseudo_inverse"])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_a_singular_badly_conditioned_square_matrix(method: str, scale: float, rng: np.random.Generator) -> None:
    """scipy #7219: an image of enormous values and no sign of it.  Singular values from 1 to 1e-4, two of 0, and data
    that no image has: the solution of least norm, at any number of iterations."""
    U, V = (np.linalg.qr(rng.standard_normal((8, 8)))[0] for _ in range(2))
    s = np.array([1, 0.3, 0.1, 0.03, 1e-3, 1e-4, 0, 0])
    b = U @ np.ones(8)
    expected = V[:, :6] @ (1 / s[:6])
    options = {"niter": 500}
    x, _ = getattr(ip, method)(scale * (U * s) @ V.T, b, **options)
    assert np.linalg.norm(scale * x - expected) < 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("unit", [1e-12, 1e-5, 1.0, 1e12])
def test_tolerances_are_relative(unit: float, rng: np.random.Generator) -> None:
    """scipy #8493: an absolute tolerance that ends at once for data in small units, and never for those in large."""
    M = rng.standard_normal((9, 9))
    M = M @ M.T + np.eye(9)
    b = rng.standard_normal(9)
    for solver, problem in ((ip.CG(), ip.Quadratic(M, unit * b)), (ip.CGLS(), ip.L2(M, unit * b))):
        run = ip.solve(ip.Problem(problem), solver, stop=ip.stop.residual(1e-10, every=1) | ip.stop.niter(200))
        assert run.stop == "residual" and run.niter > 3
        assert np.allclose(run.x / unit, np.linalg.solve(M, b), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("solver", ["CGLS", "LSQR", "GradientDescent", "Nesterov", "FISTA", "LBFGS", "Kaczmarz"])
def test_data_that_no_image_has(solver: str, rng: np.random.Generator) -> None:
    """py-econometrics/within #362: a gradient of 0 at the start that is told as a solution whatever the data.  Here A*b
    = 0: nothing is the best image from 0, and found from elsewhere."""
    M = np.array([[1.0, 2.0], [2.0, 4.0], [1.0, -1.0], [0.0, 0.0]])
    b = np.array([2.0, -1.0, 0.0, 3.0])
    assert not (M.T @ b).any()
    for start in (None, np.array([3.0, -1.0])):
        stop = ip.stop.residual(1e-9) | ip.stop.niter(3000)
        run = ip.solve(ip.Problem(ip.L2(M, b)), getattr(ip, solver)(), x0=start, stop=stop)
        residual = np.linalg.norm(M @ run.x - b)
        assert np.isfinite(run.x).all()
        if solver != "Kaczmarz":  # goes round between the equations, which contradict each other
            assert np.linalg.norm(run.x) < 1e-5
            assert residual == pytest.approx(np.linalg.norm(b), rel=1e-9)
