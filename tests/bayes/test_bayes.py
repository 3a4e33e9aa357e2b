"""Posterior sampling against closed-form posteriors, and the diagnostics against known series."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.backend import to_host
from ipbox.bayes import Posterior, autocorrelation, effective_sample_size, split_r_hat
from tests.contracts.solvers.registry import operator

SIGMA, PRIOR = 1.0, 1.5  # deviation of the noise, and of the prior
DIMS = (2, 3)


def gaussian(xp: ModuleType = np) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """A, b, and the precision H and mean of the posterior of N(0, PRIOR²) under b = Au + N(0, SIGMA²)."""
    rng = np.random.default_rng(3)
    M = rng.standard_normal((8, 6)) / 2
    b = M @ rng.standard_normal(6) + SIGMA * rng.standard_normal(8)
    H = M.T @ M / SIGMA**2 + np.eye(6) / PRIOR**2
    return operator(M, xp, np.float64, DIMS), xp.asarray(b), H, np.linalg.solve(H, M.T @ b / SIGMA**2)


def check_gaussian(posterior: Posterior, mean: np.ndarray, covariance: np.ndarray) -> None:
    """Mean and deviation within five Monte-Carlo errors; these are small."""
    order = posterior.pixels
    std, ess = np.sqrt(np.diag(covariance))[order], posterior.ess
    assert ess.min() > 1500
    assert (np.abs(to_host(posterior.mean).ravel()[order] - mean[order]) < 5 * std / np.sqrt(ess)).all()
    # squares of a chain mix faster than the chain, whose ess is taken here: a cautious error
    assert (np.abs(to_host(posterior.std).ravel()[order] / std - 1) < 5 / np.sqrt(2 * ess)).all()


def test_ula_has_the_stationary_law_of_its_step_size() -> None:
    """u⁺ = u - τH(u - m) + √(2τ)ξ: mean m and covariance (H(I - τH/2))⁻¹."""
    A, b, H, mean = gaussian()
    problem = ip.Problem(SIGMA**-2 * ip.L2(A, b) + PRIOR**-2 * ip.L2(), batch=50)
    tau = 1.0 / problem.assign(("smooth",)).smooth.L
    posterior = ip.sample(problem, ip.ULA(tau=tau), n=2500, burn_in=200)
    biased = np.linalg.inv(H @ (np.eye(6) - tau * H / 2))
    check_gaussian(posterior, mean, biased)
    ratio = np.sqrt(np.diag(biased) / np.diag(np.linalg.inv(H)))
    assert ratio.max() > 1.15  # the bias is seen: the test tells the two laws apart


def test_pcn_has_no_bias() -> None:
    A, b, H, mean = gaussian()
    posterior = ip.sample(ip.Problem(SIGMA**-2 * ip.L2(A, b), batch=50), ip.PCN(beta=0.3, S=PRIOR), n=3000, burn_in=300)
    check_gaussian(posterior, mean, np.linalg.inv(H))
    assert 0.05 < posterior.acceptance < 0.95


def test_pcn_with_a_correlated_prior_and_a_mean(rng: np.random.Generator) -> None:
    A, b, _, _ = gaussian()
    S, m = np.linalg.cholesky(np.diag(np.arange(1, 7.0)) + 0.5), rng.standard_normal(DIMS)
    root = Root(S)
    H = A.matrix.T @ A.matrix / SIGMA**2 + np.linalg.inv(S @ S.T)
    mean = np.linalg.solve(H, A.matrix.T @ b / SIGMA**2 + np.linalg.inv(S @ S.T) @ m.ravel())
    sampler = ip.PCN(beta=0.3, S=root, mean=m)
    posterior = ip.sample(ip.Problem(SIGMA**-2 * ip.L2(A, b), batch=50), sampler, n=3000, burn_in=300)
    check_gaussian(posterior, mean, np.linalg.inv(H))


class Root(ip.operators.Operator):
    """A square root of a covariance, from vectors to images."""

    def __init__(self, S: np.ndarray) -> None:
        self.S = S
        super().__init__((6,), DIMS, "float64", name="Root")

    def _apply(self, x: Any, out: Any) -> None:
        out[...] = (x @ self.S.T).reshape(out.shape)

    def _apply_adjoint(self, y: Any, out: Any) -> None:
        out[...] = y.reshape(len(y), -1) @ self.S


def test_myula_has_the_law_of_the_envelope() -> None:
    """½(u - 1)² + 2|u|, whose Moreau envelope has a density that quadrature gives."""
    gamma, tau = 0.1, 0.02
    problem = ip.Problem(ip.L2(b=np.ones(200)) + 2 * ip.L1(), roles={0: "smooth"})
    posterior = ip.sample(problem, ip.MYULA(tau=tau, gamma=gamma), n=5000, burn_in=500)
    u = np.linspace(-6, 6, 40_001)
    huber = np.where(np.abs(u) <= 2 * gamma, u**2 / (2 * gamma), 2 * np.abs(u) - 2 * gamma)
    density = np.exp(-((u - 1) ** 2) / 2 - huber)
    density /= density.sum()
    mean = (u * density).sum()
    std = np.sqrt(((u - mean) ** 2 * density).sum())
    # 200 independent pixels of one law: their average; the step size adds a bias of order τL = 0.22 on curvature 1/γ
    assert abs(posterior.mean.mean() - mean) < 0.02
    assert abs(posterior.std.mean() / std - 1) < 0.05
    assert posterior.error < 0.1


def test_a_smaller_step_has_a_smaller_bias() -> None:
    problem = ip.Problem(ip.L2(b=np.zeros(500)))
    coarse, fine = (ip.sample(problem, ip.ULA(tau=tau), n=5000, burn_in=100).std.mean() for tau in (1.0, 0.25))
    assert coarse == pytest.approx(np.sqrt(1 / (1 - 0.5)), abs=8e-3)
    assert fine == pytest.approx(np.sqrt(1 / (1 - 0.125)), abs=8e-3)


# ---------------------------------------------------------------- the protocol


@pytest.mark.parametrize("sampler", [ip.ULA(), ip.MYULA(gamma=0.1), ip.PCN(S=PRIOR)], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("batch", [None, 3])
def test_goes_on_bit_for_bit(sampler: Any, batch: int | None, xp: ModuleType, tmp_path: Path) -> None:
    A, b, _, _ = gaussian(xp)
    problem = ip.Problem(ip.L2(A, b) + 0.1 * ip.L2(), batch=batch)
    whole = ip.sample(problem, sampler, n=40, burn_in=5, thin=2)
    file = tmp_path / "chain.npz"
    ip.sample(problem, sampler, n=17, burn_in=5, thin=2, callbacks=[ip.callbacks.Checkpoint(file, every=1)])
    again = ip.sample(problem, sampler, n=40, burn_in=5, thin=2, state=file)
    for name in ("mean", "std", "traces", "ess", "r_hat"):
        assert to_host(getattr(whole, name)).tobytes() == to_host(getattr(again, name)).tobytes(), name
    assert whole.acceptance == again.acceptance


def test_chains_of_a_batch_are_independent_and_agree() -> None:
    A, b, _, _ = gaussian()
    problem = ip.Problem(SIGMA**-2 * ip.L2(A, b) + PRIOR**-2 * ip.L2(), batch=4)
    posterior = ip.sample(problem, ip.ULA(), n=6000, burn_in=500)
    assert posterior.traces.shape == (4, 6, 6000) and posterior.mean.shape == DIMS
    assert np.abs(np.corrcoef(posterior.traces[:, 0])[0, 1:]).max() < 0.3
    assert posterior.r_hat.max() < 1.05


def test_mean_and_deviation_are_those_of_the_samples() -> None:
    A, b, _, _ = gaussian()
    posterior = ip.sample(ip.Problem(ip.L2(A, b)), ip.ULA(), n=50, burn_in=3, thin=2)
    samples = posterior.traces[0]
    assert np.allclose(posterior.mean.ravel()[posterior.pixels], samples.mean(axis=1), rtol=1e-12)
    assert np.allclose(posterior.std.ravel()[posterior.pixels], samples.std(axis=1, ddof=1), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_dtype_is_kept(dtype: str) -> None:
    problem = ip.Problem(2 * ip.L2(b=np.ones((5, 4), dtype)))
    posterior = ip.sample(problem, ip.ULA(tau=0.05), n=4000)
    assert posterior.mean.dtype == dtype and posterior.std.dtype == "float32"
    parts = 2 if dtype == "complex64" else 1  # real and imaginary part, each with variance 1/(2(1 - τ))
    assert posterior.std.mean() == pytest.approx(np.sqrt(parts / (2 * 0.95)), rel=0.05)


def test_picture(tmp_path: Path) -> None:
    posterior = ip.sample(ip.Problem(ip.L2(b=np.ones((6, 5)))), ip.ULA(), n=20)
    posterior.show(tmp_path / "posterior.png")
    assert (tmp_path / "posterior.png").stat().st_size > 1000


# ---------------------------------------------------------------- diagnostics


def autoregressive(rho: float, n: int, chains: int = 1) -> np.ndarray:
    xi = np.random.default_rng(1).standard_normal((chains, n))
    x = np.zeros((chains, n))
    for k in range(1, n):
        x[:, k] = rho * x[:, k - 1] + xi[:, k]
    return x


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, -0.3])
def test_effective_sample_size_of_an_autoregressive_series(rho: float) -> None:
    """n(1 - ρ)/(1 + ρ)."""
    n = 40_000
    ess = effective_sample_size(autoregressive(rho, n, 20)).mean()
    assert ess == pytest.approx(n * (1 - rho) / (1 + rho), rel=0.05)


def test_autocorrelation_of_an_autoregressive_series() -> None:
    rho = autocorrelation(autoregressive(0.8, 200_000)[0])
    assert np.allclose(rho[:6], 0.8 ** np.arange(6), atol=0.02)


def test_diagnostics_of_degenerate_series() -> None:
    assert effective_sample_size(np.ones(10)) == 0
    assert np.isnan(split_r_hat(np.ones((2, 10))))
    with pytest.raises(ValueError, match="chain has 3 samples; expected at least 4"):
        effective_sample_size(np.arange(3.0))
    with pytest.raises(ValueError, match="chains have 3 samples"):
        split_r_hat(np.ones((2, 3)))


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda p: ip.sample(p, ip.PDHG()), TypeError, "sampler is PDHG.*expected a sampler"),
        (lambda p: ip.sample(p, ip.ULA(), n=3), ValueError, "n is 3; expected an integer of at least 4"),
        (lambda p: ip.sample(p, ip.ULA(), thin=0), ValueError, "thin is 0"),
        (lambda p: ip.sample(p, ip.ULA(tau=1e9)), ValueError, r"tau is 1e\+09; ULA expects a step size in \(0, 2/L\)"),
        (lambda p: ip.sample(p, ip.ULA(seed=-1)), ValueError, "seed is -1"),
        (lambda p: ip.sample(p, ip.MYULA(gamma=-1.0)), ValueError, "gamma is -1.0; expected a positive number"),
        (lambda p: ip.sample(p, ip.PCN(beta=0)), ValueError, "beta is 0; expected a number in \\(0, 1\\]"),
        (lambda p: ip.sample(p, ip.PCN(S="a")), TypeError, "S is 'a'"),
        (lambda p: ip.MYULA(seed=1.5), ValueError, "seed is 1.5; expected an integer"),
        (lambda p: ip.sample(p, ip.MYULA(gamma="1")), ValueError, "gamma is '1'; expected a positive number"),
        (lambda p: ip.sample(p, ip.PCN(beta="1")), ValueError, "beta is '1'; expected a number in \\(0, 1\\]"),
        (lambda p: ip.sample(p, ip.PCN(mean=[1.0])), TypeError, "expected a NumPy or CuPy array, got list"),
        (lambda p: ip.sample(p, ip.PCN(mean=np.full(p.dims, np.nan))), ValueError, "mean is of numpy, or not finite"),
        (
            lambda p: ip.sample(ip.Problem(ip.L2(b=np.ones(3)) + ip.NonNegative()), ip.PCN(), x0=-np.ones(3)),
            ValueError,
            r"x0 has the likelihood's value \[inf\]; expected a start where it is finite",
        ),
        (lambda p: ip.sample(p, ip.PCN(mean=np.ones(3))), ValueError, "mean has shape"),
        (
            lambda p: ip.sample(ip.Problem(ip.L2(b=np.ones(3)) + ip.L1()), ip.ULA()),
            ValueError,
            "L1 fits no role of ULA",
        ),
        (lambda p: ip.sample(ip.Problem(ip.L1(), dims=3, dtype="float64"), ip.ULA()), ValueError, "L1 fits no role"),
    ],
)
def test_bad_input(call: Any, error: type, message: str) -> None:
    A, b, _, _ = gaussian()
    with pytest.raises(error, match=message):
        call(ip.Problem(ip.L2(A, b)))


@pytest.mark.parametrize(
    ("sampler", "options"), [(ip.PCN(), {}), (ip.ULA(), {"burn_in": 0}), (ip.ULA(), {"thin": 3})], ids=str
)
def test_a_chain_goes_on_only_as_it_began(sampler: Any, options: dict, tmp_path: Path) -> None:
    problem = ip.Problem(ip.L2(b=np.ones(3)))
    state = ip.sample(problem, ip.ULA(), n=8, burn_in=5).solution.state
    state.save(tmp_path / "chain.npz")
    for given in (state, tmp_path / "chain.npz"):
        with pytest.raises(ValueError, match="state was made by ULA, burn_in=5, thin=1; it does not go on with"):
            ip.sample(problem, sampler, n=20, state=given, **{"burn_in": 5, **options})


@pytest.mark.parametrize("sampler", [ip.ULA(), ip.MYULA()], ids=str)
def test_langevin_needs_a_lipschitz_constant_that_holds_everywhere(sampler: Any) -> None:
    A = ip.as_operator(np.ones((3, 2)))
    problem = ip.Problem(ip.KL(A, np.ones(3), background=1.0) + ip.L2())
    assert "holds where Au >= 0" in sampler.is_provably_convergent(problem).reason


def test_a_callback_that_ends_the_chains_too_early_says_so() -> None:
    problem = ip.Problem(ip.L2(b=np.ones(4)))
    with pytest.raises(ValueError, match="callbacks ended the run after 6 steps, with 1 samples; expected 4"):
        ip.sample(problem, ip.ULA(), n=10, burn_in=5, callbacks=[lambda run: run.k == 6])
    assert ip.sample(problem, ip.ULA(), n=10, burn_in=5, callbacks=[lambda run: run.k == 12]).n == 7
