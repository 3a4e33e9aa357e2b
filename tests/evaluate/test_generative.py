"""Evaluation of generative models, where a linear one has answers in closed form."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ipbox.evaluate import (
    covariance_columns,
    earth_mover,
    evaluate_generator,
    interpolation,
    log_likelihood,
    range_error,
    samples,
)
from ipbox.learned import VAE, WGAN, CovarianceVAE, Generator
from ipbox.learned.networks.generative.stacks import Encoder

DIMS, NOISE = (3, 4), 0.4
G = np.random.default_rng(0).standard_normal((12, 2))
IMAGES = np.random.default_rng(1).standard_normal((3, *DIMS))


def decoder() -> torch.nn.Module:
    linear = torch.nn.Linear(2, 12, bias=False, dtype=torch.float64)
    linear.weight.data = torch.tensor(G)
    return torch.nn.Sequential(linear, torch.nn.Unflatten(1, (1, *DIMS)))


class Posterior(torch.nn.Module):
    """The true one of a linear decoder, as far as one with independent entries can be."""

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        precision = np.eye(2) + G.T @ G / NOISE**2
        m = u.flatten(1) @ torch.tensor(G @ np.linalg.inv(precision)) / NOISE**2
        return torch.cat([m, torch.tensor(-np.log(np.diag(precision))).expand(len(u), 2)], 1)


def linear_vae() -> VAE:
    model = VAE(latent=2, dims=(4, 4), widths=(2,), noise=NOISE).double()
    model.dims, model.decoder, model.encoder = DIMS, decoder(), Posterior()
    return model


def test_range_error_of_a_zero_image() -> None:
    """Relative to nothing it is infinite; 0 where the generator makes it."""
    zero = np.zeros((1, *DIMS))
    found = range_error(Generator(decoder(), 2, DIMS), zero, niter=5)
    assert found.error[0] > 0 and found.relative[0] == np.inf
    net = decoder()
    for p in net.parameters():
        p.data.zero_()
    assert range_error(Generator(net, 2, DIMS), zero, niter=5).relative[0] == 0


def test_range_error_is_the_distance_to_the_range() -> None:
    found = range_error(Generator(decoder(), 2, DIMS), IMAGES, niter=200, lr=0.1)
    z = np.linalg.lstsq(G, IMAGES.reshape(3, 12).T, rcond=None)[0].T
    expected = np.linalg.norm(IMAGES.reshape(3, 12) - z @ G.T, axis=1)
    assert found.error == pytest.approx(expected, rel=1e-6)
    assert found.relative == pytest.approx(expected / np.linalg.norm(IMAGES, axis=(1, 2)), rel=1e-6)
    assert found.z == pytest.approx(z, rel=1e-2, abs=1e-2 * abs(z).max())
    assert found.nearest.shape == IMAGES.shape and found.history == sorted(found.history, reverse=True)
    shorter = range_error(Generator(decoder(), 2, DIMS), IMAGES, niter=200, restarts=1, lr=0.1, lam=10.0)
    ridge = np.linalg.solve(G.T @ G + 10 * np.eye(2), G.T @ IMAGES.reshape(3, 12).T).T
    assert shorter.z == pytest.approx(ridge, rel=1e-2, abs=1e-2 * abs(ridge).max())


def test_the_encoder_gives_a_start() -> None:
    found = range_error(linear_vae(), IMAGES, niter=1, restarts=0, lr=1e-9)
    z = Posterior()(torch.tensor(IMAGES))[:, :2].tolist()
    assert found.z == pytest.approx(np.array(z), rel=1e-6)


def test_likelihood_is_below_the_evidence_and_near_it() -> None:
    evidence = torch.distributions.MultivariateNormal(
        torch.zeros(12, dtype=torch.float64), torch.tensor(G @ G.T + NOISE**2 * np.eye(12))
    ).log_prob(torch.tensor(IMAGES.reshape(3, 12)))
    found = log_likelihood(linear_vae(), IMAGES, samples=2000)
    expected = np.array(evidence.tolist()) / 12
    assert found.importance_weighted == pytest.approx(expected, abs=2e-3)
    assert (found.elbo < expected + 1e-3).all() and (found.elbo > expected - 0.05).all()


def test_samples_have_the_covariance_of_the_model() -> None:
    u = samples(linear_vae(), 20000, noise=True, seed=3).reshape(-1, 12)
    expected = G @ G.T + NOISE**2 * np.eye(12)
    assert np.linalg.norm(np.cov(u.T) - expected) < 0.04 * np.linalg.norm(expected)
    means = samples(linear_vae(), 5, seed=3).reshape(5, 12)
    assert means == pytest.approx(means @ G @ np.linalg.pinv(G), rel=1e-6, abs=1e-6 * abs(means).max())
    assert np.array_equal(means, samples(linear_vae(), 5, seed=3).reshape(5, 12))


def test_interpolation_begins_and_ends_at_the_images() -> None:
    images = (np.random.default_rng(0).standard_normal((2, 2)) @ G.T).reshape(2, *DIMS)  # in the range
    found = interpolation(Generator(decoder(), 2, DIMS), *images, n=3)
    assert found[[0, 2]] == pytest.approx(images, rel=1e-3, abs=1e-3 * abs(images).max())
    assert found[1] == pytest.approx((found[0] + found[2]) / 2)


def test_columns_are_those_of_the_inverse_precision() -> None:
    torch.manual_seed(0)
    model = CovarianceVAE(latent=2, dims=(4, 4), widths=(2,), head=(2,), noise=0.5).double()
    with torch.no_grad():
        model.head.body[-1].weight *= 1000
    image = np.random.default_rng(0).standard_normal((4, 4))
    found = covariance_columns(model, image, [(i, j) for i in range(4) for j in range(4)]).reshape(16, 16)
    precision = model.decode_precision(model.encode(torch.tensor(image)[None, None]))
    identity = torch.eye(16, dtype=torch.float64).reshape(16, 1, 4, 4)
    inverse = np.array(precision.apply(identity).detach().flatten(1).tolist())
    assert found @ inverse == pytest.approx(np.eye(16), abs=1e-9)
    assert abs(found - np.diag(np.diag(found))).max() > 1e-3 * found.max()


def test_report(tmp_path: Path) -> None:
    torch.manual_seed(0)
    u = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
    full = evaluate_generator(CovarianceVAE(3, (8, 8), (2, 4), head=(2, 2)), u, n=2, niter=5)
    bare = evaluate_generator(WGAN(3, (8, 8), (2, 4)), u, n=2, niter=5)
    assert "importance weighted" in full.table() and "importance weighted" not in bare.table()
    assert "earth mover" in bare.table() and full.earth_mover.count == 1
    assert bare.noisy is None and bare.columns is None and full.samples.dtype == np.float32
    for k, (report, rows) in enumerate(((full, 7), (bare, 5))):
        assert len(report.plot(tmp_path / f"{k}.png").axes) == 2 * rows
        assert (tmp_path / f"{k}.png").stat().st_size > 5000


def test_earth_mover_of_a_shift_is_its_length() -> None:
    """Images that are the samples moved by one vector each half: the best pairing finds who belongs to whom."""
    model, c = Generator(decoder(), 2, DIMS), np.full(DIMS, 5.0)
    drawn, order = samples(model, 6, seed=3), np.random.default_rng(3).permutation(7)
    images = np.zeros((7, *DIMS))
    images[order[:3]], images[order[3:6]] = drawn[2::-1] + c, drawn[3:] - 2 * c  # the seventh is in no half
    found = earth_mover(model, images, seed=3)
    size = np.linalg.norm(c)
    assert found.count == 3 and found.distance == pytest.approx(1.5 * size, rel=1e-12)
    assert earth_mover(model, np.repeat(images[:1], 4, axis=0)).floor == pytest.approx(0, abs=1e-6)
    far = np.zeros((4, *DIMS))
    far[np.random.default_rng(0).permutation(4)[:2]] = c
    assert earth_mover(model, far).floor == pytest.approx(size, rel=1e-12)


def test_earth_mover_of_a_line() -> None:
    """On a line W_1 is the area between the distribution functions: of halves a and b, mean |sort a - sort b|."""
    images = np.random.default_rng(4).standard_normal((40, 1, 1)) * np.ones(DIMS)
    order = np.random.default_rng(1).permutation(40)
    a, b = np.sort(images[order[:20], 0, 0]), np.sort(images[order[20:], 0, 0])
    found = earth_mover(Generator(decoder(), 2, DIMS), images, seed=1)
    assert found.floor == pytest.approx(np.abs(a - b).mean() * math.sqrt(12), rel=1e-12)


def test_bad_input() -> None:
    model = Generator(decoder(), 2, DIMS)
    for images in (np.zeros(DIMS), np.zeros((1, *DIMS))):
        with pytest.raises(ValueError, match=r"^images has shape .*; expected \(N, H, W\) with two images at least$"):
            earth_mover(model, images)
    with pytest.raises(TypeError, match=r"^model is Generator, which has no covariance; expected a VAE"):
        earth_mover(model, IMAGES, noise=True)
    with pytest.raises(ValueError, match=r"^images has shape \(4, 3\); expected images of \(3, 4\), the model.s dims$"):
        range_error(model, np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"^images has shape \(4,\) and dtype float64; expected real \(N, H, W\)"):
        range_error(model, np.zeros(4))
    with pytest.raises(ValueError, match=r"^images has values that are NaN or infinite; expected finite ones$"):
        range_error(model, np.full(DIMS, np.nan))
    for dtype in ("float32", "uint8"):  # never cast in silence: integers may be in other units, too
        with pytest.raises(
            TypeError, match=rf"^images has dtype {dtype} and the model float64; expected images\.astype"
        ):
            range_error(model, np.zeros(DIMS, dtype))
    with pytest.raises(ValueError, match=r"^restarts is 0 and the model has no encoder; expected a start$"):
        range_error(model, np.zeros(DIMS), restarts=0)
    with pytest.raises(TypeError, match=r"^model is Encoder; expected a generative model, or a network of your own"):
        samples(Encoder((4, 4), 2, (2,), "elu"))
    with pytest.raises(
        TypeError, match=r"^model is Generator; expected a VAE or CovarianceVAE, which have a likelihood"
    ):
        log_likelihood(model, np.zeros(DIMS))
    with pytest.raises(
        TypeError, match=r"^model is Generator, which has no covariance; expected a VAE or CovarianceVAE$"
    ):
        samples(model, noise=True)
    with pytest.raises(ValueError, match=r"^images has shape \(3, 4\); expected \(N, H, W\) with two images at least$"):
        evaluate_generator(model, np.zeros(DIMS))
