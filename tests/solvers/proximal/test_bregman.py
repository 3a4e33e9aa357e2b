"""Reconstruction by Bregman iterations: monotone residuals, what their limits are, and what they are good for."""

from __future__ import annotations

import math
from typing import Any

import cvxpy
import numpy as np
import pytest

import ipbox as ip
from ipbox.functionals import Functional
from tests.contracts.solvers.registry import dense, operator


def wide() -> np.ndarray:
    """Fewer data than unknowns."""
    return dense(0.8, columns=8, rows=12).T


@pytest.mark.parametrize("line_search", [False, True])
@pytest.mark.parametrize("R", ["l1", "tv"])
def test_limit_solves_the_regularised_equation(R: str, line_search: bool) -> None:
    """min λR(u) + ½‖u‖² subject to Au = b, by CVXPY: also where λ is too small for the sparsest u."""
    rng = np.random.default_rng(0)
    m, lam, dims = wide(), 0.4, (3, 4)
    b = m @ rng.standard_normal(12)
    f: Functional = ip.L1() if R == "l1" else ip.TV(dims, accuracy=1e-7)
    u = cvxpy.Variable(dims)
    steps = cvxpy.vstack([cvxpy.vec(a, order="C") for a in _differences(u)])
    value = cvxpy.sum(cvxpy.abs(u)) if R == "l1" else cvxpy.sum(cvxpy.norm(steps, 2, axis=0))
    exact = cvxpy.Problem(cvxpy.Minimize(lam * value + cvxpy.sum_squares(u) / 2), [m @ cvxpy.vec(u, order="C") == b])
    exact.solve(solver=cvxpy.CLARABEL)
    problem = ip.Problem(ip.L2(operator(m, np, np.float64, dims), b) + lam * f)
    solver = ip.LinearisedBregman(line_search=line_search)
    x = ip.solve(problem, solver, stop=ip.stop.residual(1e-8) | ip.stop.niter(2000)).x
    assert np.abs(x - u.value).max() <= 2e-5


def _differences(u: Any) -> list[Any]:
    """Forward differences with Neumann boundary, zero at the far edges."""
    rows = cvxpy.vstack([u[1:] - u[:-1], np.zeros((1, u.shape[1]))])
    columns = cvxpy.hstack([u[:, 1:] - u[:, :-1], np.zeros((u.shape[0], 1))])
    return [rows, columns]


@pytest.mark.parametrize("line_search", [False, True])
@pytest.mark.parametrize("name", ["ct", "mri", "blur", "inpaint"])
@pytest.mark.parametrize("regulariser", ["wavelet", "tv"])
def test_residual_falls_on_real_problems(name: str, regulariser: str, line_search: bool) -> None:
    options: dict[str, Any] = {"views": 30} if name == "ct" else {}
    A, b, _, _ = ip.problem(name, size=64, **options)
    history = ip.callbacks.History(every=1, objective=False, data_residual=True)
    given = dict(regulariser=regulariser, line_search=line_search, niter=12, callbacks=[history])
    x, info = ip.linearised_bregman(A, b, **given)
    r = np.array([record["data_residual"] for record in info.history])
    assert (np.diff(r) <= 1e-4 * r[0]).all() and r[-1] < 0.98 * r[0]  # the prox of TV is inexact
    assert x.dtype == A.dtype_in and info.stop == "niter"


@pytest.mark.parametrize("method", [ip.landweber, ip.cgls, ip.linearised_bregman], ids=lambda f: f.__name__)
def test_stopped_near_the_best_iterate(method: Any) -> None:
    A, b, x_true, info = ip.problem("ct", size=128, views=60, noise=0.01)
    delta = math.hypot(info.noise_level, info.model_error)
    x, stopped = method(A, b, delta, safety=1.0)
    _, far = method(A, b, niter=4 * stopped.niter, x_true=x_true)
    best = far.extra["best"]
    assert stopped.stop == "discrepancy" and set(best) == {"x", "k", "psnr"}
    assert best["psnr"] == ip.psnr(best["x"], x_true) > ip.psnr(far.x, x_true)
    assert 0 < stopped.niter <= best["k"] < far.niter
    assert best["psnr"] - 1 <= ip.psnr(x, x_true) <= best["psnr"]


def test_wavelets_fill_in_what_is_missing() -> None:
    A, b, x_true, info = ip.problem("inpaint", size=64)
    x, run = ip.linearised_bregman(A, b, info.noise_level, regulariser="wavelet")
    gap, _ = ip.cgls(A, b, info.noise_level)
    assert run.stop == "discrepancy" and ip.psnr(x, x_true) > ip.psnr(gap, x_true) + 8


def test_batch_of_reconstructions() -> None:
    A, b, x_true, info = ip.problem("ct", size=32, views=20)
    both = np.stack([b, 0.5 * b])
    given: dict[str, Any] = dict(regulariser="l1", niter=20, line_search=False)  # its steps depend on rounding
    x, run = ip.linearised_bregman(A, both, x_true=np.stack([x_true, 0.5 * x_true]), **given)
    assert x.shape == (2, 32, 32) and run.stop == ["niter"] * 2 and run.extra["best"]["psnr"].shape == (2,)
    alone, _ = ip.linearised_bregman(A, b, lam=run.extra["lam"], **given)
    assert np.abs(x[0] - alone).max() <= 1e-4 * np.abs(alone).max()


def test_bregman_gives_contrast_back() -> None:
    """TV takes λ·perimeter/area off a square; the second Bregman step has it back, before noise comes."""
    u = np.zeros((32, 32))
    u[10:22, 10:22] = 1.0
    rng = np.random.default_rng(0)
    b = u + 0.1 * rng.standard_normal(u.shape)
    delta = 0.1 * 32
    lam = 1.0
    tv, _ = ip.tv(None, b, lam, tol=1e-5)
    x, info = ip.bregman(ip.Identity(u.shape, "float64"), b, delta, lam=lam)
    inside = u > 0
    assert info.stop == "discrepancy" and 2 <= info.niter <= 5
    loss = 1 - tv[inside].mean() + tv[~inside].mean()
    assert 1 - x[inside].mean() + x[~inside].mean() < 0.5 * loss
    assert ip.psnr(x, u) > ip.psnr(tv, u) + 2


@pytest.mark.parametrize("method", [ip.linearised_bregman, ip.bregman], ids=lambda f: f.__name__)
def test_bad_input(method: Any) -> None:
    A, b = np.eye(4), np.ones(4)
    for lam in (0.0, -1.0, math.nan, math.inf, "tv"):
        with pytest.raises(ValueError, match="^lam is .*; expected a positive number"):
            method(A, b, regulariser="l1", lam=lam)
    with pytest.raises(ValueError, match="^regulariser is 'TV'; expected 'tv'"):
        method(A, b, regulariser="TV")
    with pytest.raises(ValueError, match="^noise_level is -1"):
        method(A, b, -1.0, regulariser="l1")
    with pytest.raises(ValueError, match="^b has shape"):
        method(A, np.ones(5), regulariser="l1")
    with pytest.raises(ValueError, match=r"^x_true has shape \(3,\)"):
        method(A, b, regulariser="l1", x_true=np.ones(3))


def test_zero_data() -> None:
    x, _ = ip.linearised_bregman(np.eye(4), np.zeros(4), regulariser="l1", niter=3)
    assert not x.any()


def test_a_regulariser_without_a_prox_is_refused() -> None:
    K = ip.Gradient((4, 4), dtype="float64")
    with pytest.raises(ValueError, match="fits no role of LinearisedBregman .*: .*it has no prox"):
        ip.linearised_bregman(ip.Identity((4, 4), "float64"), np.ones((4, 4)), regulariser=ip.L1() @ K)


def test_a_step_size_of_the_first_trial_is_checked() -> None:
    problem = ip.Problem(ip.L2(b=np.ones(3)) + ip.L1(), roles={0: "smooth"})
    for tau in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="^tau is"):
            ip.solve(problem, ip.LinearisedBregman(tau=tau, line_search=True), stop=ip.stop.niter(1))
