"""Reconstruction with generative priors, on decoders of which the answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.learned.methods.generative import PALM
from ipbox.learned.methods.generative.reduced import _ReducedObjective
from ipbox.learned.priors.generative import CovariancePrior, RangePrior, SoftRange, SparseDeviations
from tests.learned.priors.generative.linear import DIMS, LATENT, Linear, dense

LAM = 0.3
EXACT = {"accuracy": 1e-10, "tol": 1e-8}


def posed(seed: int = 0, batch: int | None = None) -> tuple[np.ndarray, ip.operators.Operator, np.ndarray]:
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((12, 20))
    return M, ip.as_operator(M, shape=DIMS), rng.standard_normal((12,) if batch is None else (batch, 12))


def minimiser(M: np.ndarray, b: np.ndarray, P: np.ndarray, mu: float, scale: float = 1.0) -> tuple[np.ndarray, ...]:
    """u, z of ½‖Mu - b‖² + λ(½ (u/s - Wz - c)ᵀP(u/s - Wz - c) + μ/2 ‖z‖²), and its least value."""
    W, c, _ = dense(Linear())
    P, W, c = P / scale**2, scale * W, scale * c
    H = np.block([[M.T @ M + LAM * P, -LAM * P @ W], [-LAM * W.T @ P, LAM * (W.T @ P @ W + mu * np.eye(LATENT))]])
    u, z = np.split(np.linalg.solve(H, np.concatenate([M.T @ b + LAM * P @ c, -LAM * W.T @ P @ c])), [20])
    dev = u - W @ z - c
    return u, z, 0.5 * np.sum((M @ u - b) ** 2) + LAM * 0.5 * (dev @ P @ dev + mu * z @ z)


def log_det(model: Linear) -> float:
    return float(-2 * model.d.detach().sum())


# ---------------------------------------------------------------- known minima


@pytest.mark.parametrize(("method", "factor"), [("lbfgs", 0.5), ("lbfgs", 1.0), ("gradient", 0.5)])
def test_covariance_has_the_minimiser_of_the_joint_quadratic(method: str, factor: float) -> None:
    M, A, b = posed()
    L = dense(Linear())[2]
    u, z, f = minimiser(M, b, L @ L.T, 1.0)
    x, info = ip.generative(A, b, Linear(), lam=LAM, log_det_factor=factor, method=method, restarts=2, **EXACT)
    np.testing.assert_allclose(x.ravel(), u, atol=1e-6)
    np.testing.assert_allclose(info.extra["z"], z, atol=1e-6)
    np.testing.assert_allclose(info.extra["objectives"], f + LAM * factor * log_det(Linear()), rtol=1e-9)
    assert info.extra["theorem"].holds == (method == "gradient")


def test_soft_range_in_other_units() -> None:
    M, A, b = posed()
    u, z, f = minimiser(M, b, np.eye(20), 0.2, scale=7.0)
    x, info = ip.generative(A, b, Linear(), prior="soft", mu=0.2, lam=LAM, scale=7.0, restarts=1, **EXACT)
    np.testing.assert_allclose(x.ravel(), u, atol=1e-5)
    np.testing.assert_allclose(info.extra["z"], z, atol=1e-6)


@pytest.mark.parametrize("method", ["lbfgs", "palm"])
def test_range_is_least_squares_in_z(method: str) -> None:
    M, A, b = posed()
    W, c, _ = dense(Linear())
    z = np.linalg.solve(W.T @ M.T @ M @ W + LAM * np.eye(LATENT), W.T @ M.T @ (b - M @ c))
    x, info = ip.generative(A, b, Linear(), prior="range", lam=LAM, method=method, tol=1e-9, restarts=2)
    np.testing.assert_allclose(info.extra["z"], z, atol=1e-6)
    np.testing.assert_allclose(x.ravel(), W @ z + c, atol=1e-5)


def test_palm_comes_near_and_never_rises() -> None:
    M, A, b = posed()
    L = dense(Linear())[2]
    u, _, f = minimiser(M, b, L @ L.T, 1.0)
    history = ip.callbacks.History(every=1)
    for method in ("palm", "ipalm"):
        x, info = ip.generative(
            A, b, Linear(), lam=LAM, log_det_factor=0.5, method=method, restarts=1, niter=200, callbacks=[history]
        )
        values = info.history["objective"]
        start = values[0] - f - LAM * 0.5 * log_det(Linear())
        assert values[-1] - f - LAM * 0.5 * log_det(Linear()) < 1e-2 * start
        if method == "palm":
            assert (np.diff(values) <= 1e-12 * np.abs(values[1:])).all() and info.extra["theorem"].holds
        else:
            assert not info.extra["theorem"].holds


@pytest.mark.parametrize("prior", ["covariance", "soft"])
def test_palm_obeys_bounds(prior: str) -> None:
    """At the minimiser the gradient in u points out of the box wherever u is at a bound."""
    M, A, b = posed()
    R = CovariancePrior(Linear()) if prior == "covariance" else SoftRange(Linear())
    x, info = ip.generative(A, b, None, prior=R, lam=LAM, nonneg=True, niter=600, tol=1e-7, restarts=1)
    assert x.min() >= 0 and (x == 0).any()
    g = ip.L2(A, b).grad(x) + LAM * R.at(info.extra["z"]).grad(x)
    size = np.abs(ip.L2(A, b).grad(x)).max()
    assert np.abs(g[x > 0]).max() < 1e-2 * size and g[x == 0].min() > -1e-2 * size


def test_sparse_deviations_are_optimal() -> None:
    """∂H: |A*(Au - b)| <= λ with equality of sign where u differs from G(z), and the gradient in z is zero."""
    M, A, b = posed()
    W, c, _ = dense(Linear())
    x, info = ip.generative(A, b, Linear(), prior="sparse", lam=2.0, mu=0.5, niter=600, tol=1e-8, restarts=1)
    z = info.extra["z"]
    v, g = x.ravel() - W @ z - c, M.T @ (M @ x.ravel() - b)
    assert 0 < np.count_nonzero(np.abs(v) > 1e-9) < 20
    assert np.abs(g).max() <= 2.0 * (1 + 1e-3)
    np.testing.assert_allclose(g[np.abs(v) > 1e-6], -2.0 * np.sign(v[np.abs(v) > 1e-6]), rtol=1e-2)
    np.testing.assert_allclose(W.T @ g + 2.0 * 0.5 * z, 0, atol=2e-2 * np.abs(W.T @ M.T @ b).max())


def test_marginal_log_determinant() -> None:
    """Of a diagonal covariance and a mask it is ½ log det(Id + ΣA*A/σ²) up to a constant; the minimiser is the same."""
    M, A, b = posed()
    L = dense(Linear())[2]
    u, z, _ = minimiser(M, b, L @ L.T, 1.0)
    x, info = ip.generative(A, b, Linear(), lam=LAM, restarts=1, **EXACT)
    np.testing.assert_allclose(x.ravel(), u, atol=1e-6)  # Σ does not depend on z
    R = CovariancePrior(Linear(features=0), scale=2.0, log_det_factor="marginal").informed(3.0)
    d = R.model.d.detach().numpy()
    t = torch.zeros(1, LATENT, dtype=torch.float64)
    with torch.no_grad():
        maps = R.maps(t)
        value = float(R.energies(maps[0], t, maps))
    np.testing.assert_allclose(value, 0.5 * np.log(1 + 4 * 3.0 * np.exp(-2 * d)).sum(), rtol=1e-10)


# ---------------------------------------------------------------- derivatives


@pytest.mark.parametrize("kind", [CovariancePrior, SoftRange, RangePrior])
def test_gradient_of_the_reduced_objective(kind: type, rng: np.random.Generator) -> None:
    _, A, b = posed()
    phi = _ReducedObjective(kind(Linear(curved=0.4), scale=1.5), LAM, ip.L2(A, b), 1e-12)
    z, h = rng.standard_normal(LATENT), 1e-5
    differences = [(phi.value(z + h * e) - phi.value(z - h * e)) / (2 * h) for e in np.eye(LATENT)]
    np.testing.assert_allclose(phi.grad(z), differences, rtol=1e-5)


@pytest.mark.parametrize("kind", [CovariancePrior, SoftRange, SparseDeviations])
def test_gradients_of_the_blocks(kind: type, rng: np.random.Generator) -> None:
    _, A, b = posed()
    solver = PALM(prior=kind(Linear(curved=0.4), scale=1.5), lam=LAM, z0=np.zeros(LATENT))
    p, h = solver.prepare(ip.Problem(ip.L2(A, b))), 1e-5
    z, w = rng.standard_normal((1, LATENT)), rng.standard_normal((1, *DIMS))
    g = solver._at(p, z, w, True)[1]
    steps = [h * e[None] for e in np.eye(LATENT)]
    differences = [(solver._at(p, z + e, w, False)[0] - solver._at(p, z - e, w, False)[0])[0] / (2 * h) for e in steps]
    np.testing.assert_allclose(g[0], differences, rtol=1e-5)
    part = solver._of_w(p, *solver._held(z))
    e = h * rng.standard_normal(w.shape)
    slope = (part(w + e, False)[0] - part(w - e, False)[0])[0] / 2
    assert slope == pytest.approx(np.sum(part(w, True)[1] * e), rel=1e-5)


# ---------------------------------------------------------------- restarts, batches, states


@pytest.mark.parametrize("method", ["lbfgs", "palm"])
def test_restarts_are_separate_runs(method: str, rng: np.random.Generator) -> None:
    _, A, b = posed()
    model, z0 = Linear(curved=0.8), rng.standard_normal((3, LATENT))
    options = dict(lam=LAM, method=method, niter=8, tol=1e-14, accuracy=1e-9)
    x, info = ip.generative(A, b, model, z0=z0, **options)
    alone = [ip.generative(A, b, model, z0=z, **options) for z in z0]
    objectives = [run.extra["objectives"][0] for _, run in alone]
    np.testing.assert_allclose(info.extra["objectives"], objectives, rtol=1e-7)
    best = int(np.argmin(objectives))
    assert info.extra["restart"] == best
    np.testing.assert_allclose(x, alone[best][0], rtol=1e-5)


@pytest.mark.parametrize("prior", ["covariance", "range", "soft", "sparse", "inverse_gan"])
def test_a_batch_is_the_loop_over_its_samples(prior: str) -> None:
    _, A, b = posed(batch=2)
    lam = None if prior == "inverse_gan" else LAM
    options = dict(prior=prior, lam=lam, restarts=2, niter=8, tol=1e-14, weight_steps=3, accuracy=1e-10)
    x, info = ip.generative(A, b, Linear(curved=0.3), **options)
    for i in range(2):
        xi, alone = ip.generative(A, b[i], Linear(curved=0.3), **options)
        np.testing.assert_allclose(x[i], xi, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(info.extra["z"][i], alone.extra["z"], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", ["lbfgs", "adam", "palm"])
def test_goes_on_bit_for_bit(method: str, tmp_path: Path) -> None:
    _, A, b = posed(batch=2)
    model = Linear(curved=0.3)
    options = dict(lam=LAM, method=method, tol=1e-14, restarts=2)
    if method == "adam":
        options["stop"] = ip.stop.niter(9)
        options["niter"] = 9
    whole, _ = ip.generative(A, b, model, **options | {"niter": 9})
    _, part = ip.generative(A, b, model, **options | ({"stop": ip.stop.niter(4)} if method == "adam" else {"niter": 4}))
    part.state.save(tmp_path / "state.npz")
    x, _ = ip.generative(A, b, model, **options | {"niter": 9 if method == "adam" else 5}, state=tmp_path / "state.npz")
    if method != "adam":
        assert x.tobytes() == whole.tobytes()
    other = Linear(curved=0.4)
    with pytest.raises(ValueError, match="^state is of another solve"):
        ip.generative(A, b, other, **options, state=tmp_path / "state.npz")


@pytest.mark.parametrize("method", ["ipalm", "adam"])
def test_an_inverse_gan_goes_on_in_its_second_phase(method: str, tmp_path: Path) -> None:
    """From a checkpoint bit for bit, without the first phase; callbacks see both."""
    _, A, b = posed(batch=2)
    model, seen = Linear(curved=0.3), []
    path = tmp_path / "state.npz"
    options = dict(prior="inverse_gan", method=method, restarts=2, niter=5, rate=0.5, weight_steps=9)
    x, info = ip.generative(A, b, model, **options, callbacks=[lambda run: seen.append(run.problem.batch)])
    assert seen.count(4) == 6 and seen.count(2) == 10
    assert info.state.latent["x"].shape[1] > LATENT and info.extra["first"].niter == 5

    class Ends(Exception):
        pass

    def end(run: ip.solvers.Run) -> None:
        if run.problem.batch == 2 and run.k == 4:
            run.whole_state().save(path)
            raise Ends

    with pytest.raises(Ends):
        ip.generative(A, b, model, **options, callbacks=[end])
    y, again = ip.generative(A, b, model, **options, state=path)  # of a batch: to the end it was meant for
    assert y.tobytes() == x.tobytes() and again.extra["first"] is None and again.niter == 9
    np.testing.assert_array_equal(again.extra["z"], info.extra["z"])
    with pytest.raises(ValueError, match="^state is of another solve"):
        ip.generative(A, b, Linear(curved=0.4), **options, state=path)


def test_complex_data_of_a_real_image_in_both_precisions() -> None:
    for dtype in ("float32", "float64"):
        mask = np.random.default_rng(0).random(DIMS) < 0.7
        A = ip.CartesianMRI(mask, None, np.result_type(dtype, "complex64"), real_image=True)
        model = Linear(getattr(torch, dtype))
        truth = model.decode(torch.ones(1, LATENT, dtype=getattr(torch, dtype)))[0, 0].detach().numpy()
        b = A.apply(truth)
        before = b.tobytes()
        ip.generative(A, b, model, prior="soft", lam=1e-2, restarts=1, niter=2)
        x, info = ip.generative(A, b, model, lam=1e-2, restarts=1, x_true=truth)
        assert x.dtype == dtype and b.tobytes() == before
        assert ip.psnr(x, truth) > 20 and len(info.history["psnr"]) == info.niter + 1


def test_weight_from_the_noise() -> None:
    """σ² of the real numbers that are measured: of a mask, those it samples."""
    mask = np.random.default_rng(0).random(DIMS) < 0.5
    A = ip.CartesianMRI(mask, None, "complex128", real_image=True)
    level = 0.1 * np.sqrt(2 * mask.sum())
    _, info = ip.generative(A, A.apply(np.ones(DIMS)), Linear(), noise_level=level, niter=1)
    assert info.extra["lam"] == pytest.approx(0.01)


def test_discrepancy_finds_the_weight() -> None:
    _, A, b = posed()
    x, info = ip.generative(A, b, Linear(), lam="discrepancy", noise_level=1.0, **EXACT, restarts=1)
    assert np.linalg.norm(A.apply(x) - b) == pytest.approx(1.0, rel=0.05)


def test_inverse_gan_fits_better_with_its_weights_and_leaves_the_model() -> None:
    _, A, b = posed()
    model = Linear()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    x, info = ip.generative(A, b, model, prior="inverse_gan", restarts=2, niter=60, weight_steps=60, rate=0.5)
    first = info.extra["first"].x
    assert np.linalg.norm(A.apply(x) - b) < 0.8 * np.linalg.norm(A.apply(first) - b)
    assert np.linalg.norm(info.extra["z"]) <= np.sqrt(LATENT) * (1 + 1e-6)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    level = 0.9 * np.linalg.norm(A.apply(first) - b)
    _, stopped = ip.generative(A, b, model, prior="inverse_gan", restarts=2, niter=60, rate=0.5, noise_level=level)
    assert stopped.stop == "discrepancy"


# ---------------------------------------------------------------- bad input


class Wrong(Linear):
    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return super().decode(z)[..., :3]


def test_one_sentence_errors() -> None:
    _, A, b = posed()
    nan = Linear()
    with torch.no_grad():
        nan.d[0, 0, 0, 0] = torch.nan
    for call, error, text in (
        (lambda: ip.generative(A, b, Linear(), z0=np.zeros(4), lam=1.0), ValueError, r"expected .*\(restarts, 3\)"),
        (lambda: ip.generative(A, b, Wrong(), lam=1.0), ValueError, "model.decode gave shape"),
        (
            lambda: ip.generative(ip.Identity((4, 4)), np.ones((4, 4), "f"), Linear(), lam=1.0),
            ValueError,
            "expected the same",
        ),
        (lambda: ip.generative(A, b, nan, lam=1.0), ValueError, "^the covariance of sample 0"),
        (lambda: ip.generative(A, b, Linear(torch.float32), lam=1.0), TypeError, "expected one dtype"),
        (lambda: ip.generative(A, b, Linear()), ValueError, "^lam is None; expected"),
        (lambda: ip.generative(A, b, Linear(), prior="soft", noise_level=1.0), ValueError, "no log-density"),
        (lambda: ip.generative(A, b, Linear(), lam=-1.0), ValueError, "^lam is -1"),
        (
            lambda: ip.generative(A, b, Linear(), prior="soft", lam=1.0, log_det_factor=1.0),
            ValueError,
            "^log_det_factor",
        ),
        (lambda: ip.generative(A, b, Linear(), prior="ranges", lam=1.0), ValueError, "did you mean 'range'"),
        (lambda: ip.generative(A, b, Linear(), lam=1.0, method="lbfgs", nonneg=True), ValueError, "expected 'palm'"),
        (
            lambda: ip.generative(A, b, torch.nn.Linear(3, 20), lam=1.0),
            TypeError,
            "expected a torch module with latent",
        ),
        (
            lambda: ip.generative(ip.Identity(DIMS, "complex64"), np.ones(DIMS, "F"), Linear(), lam=1.0),
            TypeError,
            "real_image",
        ),
    ):
        with pytest.raises(error, match=text) as caught:
            call()
        assert "\n" not in str(caught.value)
