"""Plug-and-play: known fixed points, agreement with variational solutions, schedules, stopping, and what it refuses."""

from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox import backend
from ipbox.learned.methods.plug_and_play import pnp
from ipbox.learned.priors import Denoiser
from ipbox.operators import Operator
from ipbox.solvers.core.divergence import Diverged

DIMS = (6, 5)
METHODS = ("hqs", "forward_backward", "fista", "admm", "pdhg")
TIGHT = ip.stop.residual(1e-11, every=1)


class Smoother(torch.nn.Module):
    """W = Id - strength ∇*∇ with periodic ends: linear, symmetric, 0 < W <= Id; stronger with sigma."""

    def __init__(self, strength: float = 0.1, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        laplacian = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=dtype)
        self.register_buffer("kernel", strength * laplacian[None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.nn.functional.conv2d(torch.nn.functional.pad(x, (1, 1, 1, 1), mode="circular"), self.kernel)


class Noisy(Smoother):
    """The same, sigma² times as strong."""

    def forward(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return x + sigma**2 * (super().forward(x) - x)


class Expansive(torch.nn.Module):
    """x + gain · sin(x/width): Lipschitz constant of D - Id gain/width, no limit where that is large."""

    def __init__(self, gain: float, width: float) -> None:
        super().__init__()
        self.gain, self.width = gain, width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.gain * torch.sin(x / self.width)


class NaNLater(torch.nn.Module):
    def __init__(self, after: int) -> None:
        super().__init__()
        self.calls, self.after = 0, after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return 0.9 * x if self.calls <= self.after else x * math.nan


def matrix_of(net: torch.nn.Module) -> np.ndarray:
    n = math.prod(DIMS)
    with torch.no_grad():
        return net(torch.eye(n, dtype=torch.float64).reshape(n, 1, *DIMS)).reshape(n, n).numpy().T


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[Operator, np.ndarray, np.ndarray]:
    """A well-conditioned operator from 6 x 5 images to 40 data, its matrix, and data."""
    n = math.prod(DIMS)
    M = rng.standard_normal((40, n)) / math.sqrt(n)
    return as_image_operator(M), M, rng.standard_normal(40)


def as_image_operator(M: np.ndarray) -> Operator:
    class Matrix(Operator):
        def __init__(self) -> None:
            super().__init__(DIMS, (len(M),), "float64")

        def _apply(self, x: np.ndarray, out: np.ndarray) -> None:
            out[...] = x.reshape(len(x), -1) @ M.T

        def _apply_adjoint(self, y: np.ndarray, out: np.ndarray) -> None:
            out[...] = (y @ M).reshape(out.shape)

    return Matrix()


# ---------------------------------------------------------------- fixed points that are known


@pytest.mark.parametrize("method", ["forward_backward", "fista", "admm", "pdhg"])
def test_fixed_point_with_a_linear_denoiser(problem: tuple, method: str) -> None:
    """x = W (x - τ A*(Ax - b)): (Id - W + τ W A*A) x = τ W A*b, whatever the method."""
    A, M, b = problem
    W, tau = matrix_of(Smoother()), 0.9 / np.linalg.norm(M, 2) ** 2
    expected = np.linalg.solve(np.eye(len(W)) - W + tau * W @ M.T @ M, tau * W @ M.T @ b)
    step = {"rho": 1 / tau} if method == "admm" else {"tau": tau}
    x, info = pnp(A, b, Smoother(), method=method, niter=20000, stop=TIGHT, **step)
    assert info.stop == "residual"
    np.testing.assert_allclose(x.ravel(), expected, rtol=1e-7, atol=1e-8)


def test_fixed_point_of_half_quadratic_splitting(problem: tuple) -> None:
    """(A*A + ρ(Id - W)) u = A*b and x = W u."""
    A, M, b = problem
    W = matrix_of(Smoother())
    u = np.linalg.solve(M.T @ M + 0.7 * (np.eye(len(W)) - W), M.T @ b)
    x, info = pnp(A, b, Smoother(), method="hqs", rho=0.7, niter=3000, stop=TIGHT)
    assert info.stop == "residual"
    np.testing.assert_allclose(x.ravel(), W @ u, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(info.state.u.ravel(), u, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("method", ["forward_backward", "fista", "admm", "pdhg"])
def test_a_true_prox_gives_the_variational_solution(problem: tuple, method: str) -> None:
    """The prox of λ‖·‖₁ as a denoiser, a plain function of the image, and as the functional itself."""
    A, M, b = problem
    lam, tau = 0.3, 0.9 / np.linalg.norm(M, 2) ** 2
    reference = ip.solve(ip.Problem(ip.L2(A, b) + lam * ip.L1()), ip.FISTA(), stop=TIGHT | ip.stop.niter(20000)).x
    step = {"rho": 1 / tau} if method == "admm" else {"tau": tau}

    def soft(x: np.ndarray) -> np.ndarray:
        return np.sign(x) * np.maximum(abs(x) - tau * lam, 0)

    x, info = pnp(A, b, soft, method=method, niter=20000, stop=TIGHT, **step)
    assert info.stop == "residual" and info.state is not None
    np.testing.assert_allclose(x, reference, atol=1e-8)
    x, info = pnp(A, b, lam * ip.L1(), method=method, niter=20000, stop=TIGHT, **step)
    np.testing.assert_allclose(x, reference, atol=1e-7)
    report = info.extra["monitor"]
    assert report.applies or "norm is only an estimate" in report.reason


def test_tv_prox_as_a_denoiser_gives_tv(rng: np.random.Generator) -> None:
    """sigma = √(lam τ) is the noise level of prox_{τ lam TV}: forward-backward finds the TV reconstruction."""
    A, b, _, _ = ip.problem("blur", size=12, kernel="gaussian", sigma=0.7, dtype="float64")
    lam, TV = 1e-2, ip.TV(A.dims, accuracy=1e-6)
    D = Denoiser(lambda x, sigma: TV.prox(x, sigma**2), lam=lam)
    x, _ = pnp(A, b, D, method="fista", niter=100)
    reference, _ = ip.tv(A, b, lam, tol=1e-7, niter=20000)
    assert np.linalg.norm(x - reference) < 1e-3 * np.linalg.norm(reference)


def test_nonneg_and_box(problem: tuple) -> None:
    A, _, b = problem
    for limits, (lo, hi) in ((dict(nonneg=True), (0, math.inf)), (dict(box=(-0.1, 0.2)), (-0.1, 0.2))):
        x, _ = pnp(A, b, Smoother(), method="forward_backward", niter=30, **limits)
        assert x.min() >= lo and x.max() <= hi


# ---------------------------------------------------------------- theory


@pytest.mark.parametrize("seed", range(3))
def test_averaged_denoisers_converge(problem: tuple, seed: int) -> None:
    """Non-expansive D, averaged, and τ < 2/L: ‖u⁺ - u‖ never grows, and tends to 0."""
    A, M, b = problem
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((30, 30)))

    def rotation(x: np.ndarray) -> np.ndarray:
        return (q @ x.ravel()).reshape(x.shape)

    moves, last = [], []

    def watch(run: ip.solvers.core.loop.Run) -> None:
        if last:
            moves.append(np.linalg.norm(run.x - last[-1]))
        last.append(run.x.copy())

    tau = 1.9 / np.linalg.norm(M, 2) ** 2
    D = Denoiser(rotation, strength=0.5)
    _, info = pnp(A, b, D, method="forward_backward", tau=tau, niter=2000, stop=TIGHT, callbacks=[watch])
    moves = np.array(moves)
    assert (moves[1:] <= moves[:-1] * (1 + 1e-12) + 1e-13).all() and moves[-1] < 1e-9 * moves[0]
    report = info.extra["monitor"]
    assert report.applies and report.lipschitz <= 1 + 1e-9 and "if D is averaged" in report.reason


def test_an_expansive_denoiser_never_settles(problem: tuple) -> None:
    """Where D is far from non-expansive the residual stays large, and the monitor says why."""
    A, _, b = problem
    net = Expansive(1.0, 0.05)
    _, info = pnp(A, b, net, method="forward_backward", niter=400, tol=1e-3)
    report = info.extra["monitor"]
    assert info.stop == "niter" and info.solver.residual(info.solver.prepare(_problem(A, b, net)), info.state) > 0.05
    assert not report.applies and report.residual_lipschitz > 1 and "expansive" in str(report)
    assert "no theorem applies" in str(report)


def _problem(A: Operator, b: np.ndarray, net: torch.nn.Module) -> ip.Problem:
    return ip.Problem(ip.L2(A, b) + Denoiser(net))


def test_a_denoiser_that_amplifies_diverges(problem: tuple) -> None:
    A, _, b = problem
    with pytest.raises(Diverged, match="diverged") as caught:
        pnp(A, b, lambda x: 3 * x, method="forward_backward", niter=5000)
    assert np.isfinite(caught.value.x).all()


def test_the_discrepancy_rule_may_never_fire(problem: tuple) -> None:
    """E(u) tends to its value at the fixed point, which a strong denoiser keeps above any small δ."""
    A, M, b = problem
    W, tau = matrix_of(Smoother()), 1 / np.linalg.norm(M, 2) ** 2
    fixed = np.linalg.solve(np.eye(len(W)) - W + tau * W @ M.T @ M, tau * W @ M.T @ b)
    least, delta = np.linalg.norm(M @ np.linalg.lstsq(M, b, rcond=None)[0] - b), np.linalg.norm(M @ fixed - b)
    assert delta > 1.05 * least
    given = dict(method="forward_backward", tau=tau, niter=500, x0=np.zeros(DIMS))
    for level, stop in ((0.5 * (least + delta), "niter"), (1.05 * delta, "discrepancy")):
        _, info = pnp(A, b, Smoother(), stop=ip.stop.discrepancy(level, safety=1.0), **given)
        assert info.stop == stop


def test_no_objective(problem: tuple) -> None:
    A, _, b = problem
    history = ip.callbacks.History(every=1)
    _, info = pnp(A, b, Smoother(), method="forward_backward", niter=3, callbacks=[history])
    assert [r["objective"] for r in info.history] == [None] * len(info.history) != []
    assert "none" in info.certificate.kind and info.certificate.bound is None


# ---------------------------------------------------------------- noise levels and weights


def test_schedule_of_dpir(problem: tuple) -> None:
    """σ_k from 49/255 to the noise's by a constant factor, ρ_k = lam s²/σ_k²; the k-th denoiser sees σ_k exactly."""
    A, M, b = problem
    seen: list[float] = []

    def denoise(x: np.ndarray, sigma: float) -> np.ndarray:
        seen.append(sigma)
        return x

    s = 0.02
    _, info = pnp(A, b, denoise, noise_level=s * math.sqrt(b.size), lam=0.3, scale=1.0)
    expected = np.geomspace(49 / 255, s / A.norm(), 8)
    np.testing.assert_allclose(seen, expected, rtol=1e-12)
    np.testing.assert_allclose(info.extra["sigma"], expected, rtol=1e-12)
    np.testing.assert_allclose(info.solver.schedule, 0.3 * s**2 / expected**2, rtol=1e-12)
    assert info.niter == 8 and info.stop == "niter"
    assert "noise level of the denoiser changes" in info.extra["monitor"].reason


def test_dpir_by_hand(problem: tuple) -> None:
    """Four steps against the formulas: u = (A*A + ρ_k)⁻¹ (A*b + ρ_k x), x = D_σk(u)."""
    A, M, b = problem
    sigmas, lam, s = [0.4, 0.2, 0.1, 0.05], 0.23, 0.03
    net = Noisy(1.0)
    x0 = np.ones(DIMS)
    x, info = pnp(A, b, net, sigma=sigmas, noise_level=s * math.sqrt(b.size), lam=lam, x0=x0)
    z = x0.ravel()
    for sigma in sigmas:
        rho = lam * s**2 / sigma**2
        u = np.linalg.solve(M.T @ M + rho * np.eye(z.size), M.T @ b + rho * z)
        with torch.no_grad():
            z = net(torch.from_numpy(u.reshape(1, 1, *DIMS)), sigma).numpy().ravel()
    assert info.niter == 4
    np.testing.assert_allclose(x.ravel(), z, rtol=2e-3, atol=2e-3 * abs(z).max())  # inner solves to 1e-3
    exact = ip.HQS(schedule=info.solver.schedule, accuracy=1e-12)
    D = Denoiser(net, lam=lam * s**2)
    got = ip.solve(ip.Problem(ip.L2(A, b) + D), exact, x0=x0, stop=ip.stop.niter(4)).x
    np.testing.assert_allclose(got.ravel(), z, rtol=1e-9)


def test_default_strengths(problem: tuple) -> None:
    A, _, b = problem
    s, norm = 0.05, A.norm()
    given = dict(noise_level=s * math.sqrt(b.size), niter=2)
    for method in ("forward_backward", "fista", "admm", "pdhg"):
        _, info = pnp(A, b, Noisy(), method=method, **given)
        assert info.extra["sigma"] == pytest.approx(2 * s / norm, rel=1e-12)
    _, info = pnp(A, b, Noisy(), method="admm", **given)
    assert info.solver.rho == pytest.approx(0.23 * norm**2 / 4)
    _, info = pnp(A, b, Noisy(), method="pdhg", **given)
    assert info.solver.tau == pytest.approx(4 / (0.23 * norm**2))
    _, info = pnp(A, b, Noisy(), scale=2.0, **given)
    assert info.extra["sigma"] == pytest.approx([2 * 49 / 255, s / norm])


def test_complex_data_count_twice() -> None:
    from ipbox.functionals.fidelities.l2 import standard_deviation

    assert standard_deviation(4.0, np.zeros(8, "complex64"), None) == 1.0
    assert standard_deviation(4.0, np.zeros((2, 16), "float32"), 2) == 1.0


# ---------------------------------------------------------------- batches, resuming, errors that keep the iterate


@pytest.mark.parametrize("method", METHODS)
def test_batches_are_loops(problem: tuple, method: str, rng: np.random.Generator) -> None:
    A, _, b = problem
    batch = np.stack([b, 2 * b + 0.1, rng.standard_normal(b.shape)])
    step = {"rho": 0.5} if method in ("hqs", "admm") else {}
    given = dict(method=method, niter=12, stop=ip.stop.niter(12), **step)
    x, info = pnp(A, batch, Smoother(), **given)
    assert info.stop == ["niter"] * 3
    for got, data in zip(x, batch, strict=True):
        np.testing.assert_allclose(got, pnp(A, data, Smoother(), **given)[0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_resuming_is_exact(problem: tuple, method: str, tmp_path: Path) -> None:
    A, _, b = problem
    given = dict(method=method, sigma=0.5, noise_level=0.1 * math.sqrt(b.size), stop=ip.stop.niter(100))
    if method == "hqs":
        given["sigma"] = [0.9, 0.7, 0.5, 0.3, 0.2, 0.1]
    whole, _ = pnp(A, b, Noisy(), niter=6, **given)
    _, half = pnp(A, b, Noisy(), niter=3, **given)
    half.state.save(tmp_path / "half.npz")
    for state in (half.state, tmp_path / "half.npz"):
        x, info = pnp(A, b, Noisy(), niter=3, state=state, **given)
        assert info.niter == 6
        np.testing.assert_array_equal(x, whole)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("after", [0, 3])
def test_nan_keeps_the_last_good_iterate(problem: tuple, method: str, after: int) -> None:
    A, _, b = problem
    step = {"rho": 0.5} if method in ("hqs", "admm") else {}
    x0 = np.ones(DIMS)
    given = dict(method=method, stop=ip.stop.niter(100), x0=x0, **step)
    with pytest.raises(Diverged, match="NaNLater.* gave NaN or infinite values after") as caught:
        pnp(A, b, NaNLater(after), niter=10, **given)
    assert caught.value.k == after
    expected = x0 if after == 0 else pnp(A, b, NaNLater(after), niter=after, **given)[0]
    np.testing.assert_array_equal(caught.value.x, expected)


def test_nan_seen_by_a_stop_rule(problem: tuple) -> None:
    """The residual's own evaluation of the denoiser gives NaN: the iterate is kept too."""
    A, _, b = problem
    with pytest.raises(Diverged, match="gave NaN") as caught:
        pnp(A, b, NaNLater(2), method="forward_backward", stop=ip.stop.residual(1e-9, every=2), niter=9)
    assert np.isfinite(caught.value.x).all() and caught.value.k is not None


def test_module_is_left_as_it_was(problem: tuple) -> None:
    A, _, b = problem
    net = Smoother().train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    data = b.copy()
    pnp(A, b, net, method="forward_backward", niter=3)
    assert net.training and all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    np.testing.assert_array_equal(b, data)


# ---------------------------------------------------------------- starts


def test_starts() -> None:
    from ipbox.learned.methods.start import starting_image

    A, b, x, info = ip.problem("ct", image="shepp-logan", size=32, views=20)
    np.testing.assert_array_equal(starting_image(A, b), ip.fbp(A, b, "hann")[0])
    A, b, x, info = ip.problem("blur", size=32)
    start = starting_image(A, b, info.noise_level)
    assert ip.psnr(start, x) > ip.psnr(b, x)


# ---------------------------------------------------------------- explicit terms, device


def test_schedule_of_explicit_terms(problem: tuple) -> None:
    """A schedule of half-quadratic splitting with dual terms: a constant one is the penalty method at that ρ."""
    A, M, b = problem
    p = ip.Problem(ip.L2(A, b) + 0.2 * ip.TV(DIMS))
    tight = dict(stop=ip.stop.niter(600))
    fixed = ip.solve(p, ip.HQS(rho=3.0, growth=1.0, accuracy=1e-3), **tight).x
    scheduled = ip.solve(p, ip.HQS(schedule=(0.1, 1.0, 3.0), accuracy=1e-3), **tight).x
    np.testing.assert_allclose(scheduled, fixed, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_on_the_device(xp: ModuleType, method: str) -> None:
    """A stand-in for a GPU: the same images, and nothing but numbers leaves the device."""
    A, b, _, info = ip.problem("blur", size=16, kernel="gaussian", sigma=1.0, xp=xp.__name__)
    host_A, host_b, _, _ = ip.problem("blur", size=16, kernel="gaussian", sigma=1.0)
    given = dict(noise_level=info.noise_level, method=method, niter=3, stop=ip.stop.niter(3))
    A.norm()
    net, log = Noisy(0.2, torch.float32), sys.modules.get("tests.standin.transfers")
    x0 = A.apply_adjoint(b)
    if log:
        log.clear_transfers()
    x, _ = pnp(A, b, net, x0=x0, **given)
    moved = [e for e in log.transfers("D2H") if e.detail not in ((), None)] if log else []
    assert moved == []
    expected, _ = pnp(host_A, host_b, net, x0=host_A.apply_adjoint(host_b), **given)
    # one rounding of b may end the inner conjugate gradients a step earlier, which moves HQS at its small ρ by 4e-3
    share = 1e-2 if method == "hqs" else 1e-3
    assert np.linalg.norm(backend.to_host(x) - expected) < share * np.linalg.norm(expected)


@pytest.mark.parametrize(("unit", "tolerance"), [(2.0**-40, 1e-4), (2.0**40, 1e-4), (1e-3, 1e-2), (1e12, 1e-2)])
@pytest.mark.parametrize("method", ["hqs", "admm"])
def test_data_in_other_units_give_the_image_in_those_units(unit: float, tolerance: float, method: str) -> None:
    """Of a homogeneous denoiser, D_cσ(cx) = c D_σ(x), without a scale; inner solves end where rounding may tell."""
    _, b, _, info = ip.problem("blur", size=24)
    A, b = ip.Blur((24, 24), np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25]), dtype="float64"), b.astype("float64")

    def shrink(x: np.ndarray, sigma: float) -> np.ndarray:
        mean = x.mean()
        return mean + np.sign(x - mean) * np.maximum(np.abs(x - mean) - 0.3 * sigma, 0)

    given = dict(method=method, niter=8, **({"tol": 1e-12} if method == "admm" else {}))
    x, run = pnp(A, b, shrink, noise_level=info.noise_level, **given)
    y, scaled = pnp(A, unit * b, shrink, noise_level=unit * info.noise_level, **given)
    np.testing.assert_allclose(y / unit, x, rtol=0, atol=tolerance * np.abs(x).max())
    np.testing.assert_allclose(np.asarray(scaled.extra["sigma"]) / unit, run.extra["sigma"], rtol=1e-6)


# ---------------------------------------------------------------- what a user's network gets, and what is reported


class Heard(Smoother):
    """Remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list = []

    def forward(self, x: torch.Tensor, ths: float = 0.1) -> torch.Tensor:
        self.levels.append(ths)
        return super().forward(x)


@pytest.mark.parametrize("method", METHODS)
def test_the_reported_levels_are_those_that_arrived(problem: tuple, method: str) -> None:
    A, _, b = problem
    given = {"noise_level": 0.5} | ({"scale": 2.0} if method == "hqs" else {})
    net = Heard()
    _, info = pnp(A, b, net, method=method, niter=5, **given)
    heard = np.array(net.levels) * given.get("scale", 1.0)
    assert len(set(net.levels)) == (5 if method == "hqs" else 1)
    np.testing.assert_allclose(info.extra["sigma"], heard[:5] if method == "hqs" else heard[0], rtol=1e-12)


def test_levels_that_were_not_reached_are_not_reported(problem: tuple) -> None:
    A, _, b = problem
    net = Heard()
    _, info = pnp(A, b, net, sigma=[0.4, 0.3, 0.2, 0.1], noise_level=0.5, niter=2)
    np.testing.assert_allclose(info.extra["sigma"], [0.4, 0.3], rtol=1e-12)
    assert pnp(A, b, Smoother(), sigma=0.1, noise_level=0.5, niter=2)[1].extra["sigma"] is None


def test_a_network_is_asked_about_and_told(problem: tuple) -> None:
    A, _, b = problem

    class Unclear(Heard):
        def forward(self, x: torch.Tensor, strength: float = 0.1) -> torch.Tensor:
            return super().forward(x, strength)

    for run in (pnp, lambda A, b, net, **given: ip.red(A, b, net, 0.1, given.pop("noise_level"), **given)):
        with pytest.raises(TypeError, match=r"^Unclear\(x, strength\) does not tell whether it takes a noise level"):
            run(A, b, Unclear(), noise_level=0.5, niter=2)
        net = Unclear()
        _, info = run(A, b, net, noise_level=0.5, niter=1, takes_sigma=True)
        assert net.levels[0] == pytest.approx(info.extra["sigma"], rel=1e-12)
    assert pnp(A, b, Unclear(), noise_level=0.5, niter=2, takes_sigma=False)[1].extra["sigma"] is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_parallel_and_traced_networks(problem: tuple) -> None:
    A, _, b = problem
    example = torch.zeros(1, 1, *DIMS, dtype=torch.float64), torch.tensor(0.1, dtype=torch.float64)
    given = {"noise_level": 0.5, "scale": 2.0}
    for run in (pnp, lambda A, b, net, noise_level, scale: ip.red(A, b, net, 0.1, 0.2, niter=9, scale=scale)):
        expected, _ = run(A, b, Noisy(), **given)
        wrapped = (
            torch.compile(Noisy(), backend="eager"),
            torch.nn.DataParallel(Noisy()),
            torch.jit.trace(Noisy(), example),
        )
        for net in wrapped:
            np.testing.assert_allclose(run(A, b, net, **given)[0], expected, rtol=1e-9, atol=1e-12)


def test_the_few_steps_of_its_start_are_no_warning() -> None:
    A, b, _, info = ip.problem("blur", size=32)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        pnp(A, b, Smoother(dtype=torch.float32), niter=1, noise_level=info.noise_level)
    assert not [w for w in seen if "CGLS" in str(w.message)]
