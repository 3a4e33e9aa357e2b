"""Generative models: the sparse Cholesky factor against dense algebra, special cases, training, bad input."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from ipbox.learned import fit, load_weights, save_weights
from ipbox.learned.networks.generative import VAE, WGAN, Autoencoder, CovarianceVAE, Generator, cholesky
from ipbox.learned.networks.generative.cholesky import StructuredPrecision
from ipbox.learned.training.generative import ELBO, Reconstruction, WassersteinGP, kl_divergence

H, W = 5, 7
SMALL = {"latent": 3, "dims": (8, 12), "widths": (4, 6)}


def maps(count: int, n: int = 2, size: tuple[int, int] = (H, W)) -> StructuredPrecision:
    generator = torch.Generator().manual_seed(count)
    d = torch.randn(n, 1, *size, generator=generator, dtype=torch.float64) + 1
    return StructuredPrecision(d, torch.randn(n, count, *size, generator=generator, dtype=torch.float64))


def dense(d: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """L, written down pixel by pixel from its definition."""
    _, steps = cholesky.neighbours(len(w))
    rows, columns = d.shape[-2:]
    L = torch.zeros(rows * columns, rows * columns, dtype=d.dtype)
    for i in range(rows):
        for j in range(columns):
            L[i * columns + j, i * columns + j] = d[0, i, j].exp()
            for f, (dy, dx) in enumerate(steps):
                if i + dy < rows and 0 <= j + dx < columns:
                    L[(i + dy) * columns + j + dx, i * columns + j] = w[f, i, j]
    return L


@pytest.mark.parametrize("count", [0, 4, 12])
def test_against_dense_algebra(count: int) -> None:
    precision = maps(count)
    x = torch.randn(2, 1, H, W, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    for k in range(2):
        L, flat = dense(precision.log_diagonal[k], precision.off_diagonal[k]), x[k].flatten()
        assert torch.equal(L, L.tril())
        covariance = torch.linalg.inv(L @ L.T)
        close = {
            "Lᵀx": (precision.lt_apply(x), L.T @ flat),
            "Lx": (precision.l_apply(x), L @ flat),
            "Σ⁻¹x": (precision.apply(x), L @ L.T @ flat),
            "L⁻ᵀx": (cholesky.solve_lt(x, *precision), torch.linalg.solve(L.T, flat)),
            "L⁻¹x": (cholesky.solve_l(x, *precision), torch.linalg.solve(L, flat)),
            "Σx": (precision.solve(x), covariance @ flat),
            "Σe": (precision.column(2, 6), covariance[:, 2 * W + 6]),
        }
        for name, (found, expected) in close.items():
            error = (found[k].flatten() - expected).norm() / expected.norm()
            assert error < 1e-9, name
        assert precision.log_det()[k].item() == pytest.approx(-torch.logdet(L @ L.T).item(), rel=1e-9)
        assert precision.energy(x)[k].item() == pytest.approx(float(flat @ L @ L.T @ flat) / 2, rel=1e-9)
        gaussian = torch.distributions.MultivariateNormal(0 * flat, precision_matrix=L @ L.T)
        assert precision.log_density(x)[k].item() == pytest.approx(gaussian.log_prob(flat).item(), rel=1e-9)


@pytest.mark.parametrize("count", [0, 4, 12])
def test_sampling_is_linear_in_white_noise(count: int) -> None:
    """The covariance of L⁻ᵀε is L⁻ᵀL⁻¹ exactly: no statistics are needed."""
    d, w = (t[:1] for t in maps(count, size=(4, 5)))
    identity = torch.eye(20, dtype=torch.float64).reshape(20, 1, 4, 5)
    root = cholesky.solve_lt(identity, d, w).flatten(1)  # row p: L⁻ᵀe_p
    L = dense(d[0], w[0])
    assert torch.allclose(root.T @ root, torch.linalg.inv(L @ L.T), rtol=1e-9, atol=0)
    sampled = [cholesky.sample(d, w, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    noise = torch.randn(d.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert torch.equal(*sampled)
    assert torch.allclose(cholesky.lt_apply(sampled[0], d, w), noise)


@pytest.mark.parametrize("count", [4, 12])
def test_adjoint_and_nothing_wraps_around(count: int) -> None:
    precision = maps(count, n=1)
    x, y = torch.randn(2, 3, 1, H, W, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    left, right = (precision.lt_apply(x) * y).sum(), (x * precision.l_apply(y)).sum()
    assert abs(left - right) < 1e-12 * precision.lt_apply(x).norm() * y.norm()
    e = torch.zeros(1, 1, H, W, dtype=torch.float64)
    e[..., 2, 0] = 1  # pixels that see it are near, and none at the other end of a row
    reached = precision.lt_apply(e)[0, 0] != 0
    k = math.isqrt(count // 2)
    assert not reached[:, k + 1 :].any() and not reached[3:].any() and reached[2, 0]


def test_gradients() -> None:
    d, w = (t[:1, :, :3, :3].clone().requires_grad_() for t in maps(4))
    x = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda d, w, x: StructuredPrecision(d, w).log_density(x), (d, w, x))
    assert torch.autograd.gradcheck(lambda d, w, x: cholesky.l_apply(x, d, w), (d, w, x))


def test_identity_and_diagonal_are_special_cases() -> None:
    z, u = torch.randn(2, 3), torch.rand(2, 1, 8, 12)
    models = {}
    for structure in ("identity", "diagonal", "3x3", "5x5"):
        torch.manual_seed(0)
        models[structure] = CovarianceVAE(**SMALL, noise=0.2, structure=structure, head=(2, 2))
    torch.manual_seed(0)
    vae = VAE(**SMALL, noise=0.2)
    expected = torch.distributions.Normal(vae.decode(z), 0.2).log_prob(u).sum(dim=(1, 2, 3))
    assert torch.allclose(vae.log_likelihood(u, z), expected)
    assert torch.allclose(models["identity"].log_likelihood(u, z), expected)
    for structure, count in (("identity", 0), ("diagonal", 0), ("3x3", 4), ("5x5", 12)):
        d, w = models[structure].decode_precision(z)
        assert d.shape == (2, 1, 8, 12) and w.shape == (2, count, 8, 12)
        assert torch.allclose(d, torch.tensor(-math.log(0.2)), rtol=1e-2)  # where the head starts
        assert (w.abs() < 0.1).all()
    d, w = models["diagonal"].decode_precision(z)
    deviation = torch.distributions.Normal(models["diagonal"].decode(z), (-d).exp())
    assert torch.allclose(models["diagonal"].log_likelihood(u, z), deviation.log_prob(u).sum(dim=(1, 2, 3)))


@pytest.mark.parametrize("model", [VAE(**SMALL), CovarianceVAE(**SMALL, head=(2, 2)), Autoencoder(**SMALL)])
def test_encode_decode_in_float64_and_by_weights(model: torch.nn.Module, tmp_path: Path) -> None:
    u = torch.rand(2, 1, 8, 12)
    save_weights(tmp_path / "m.safetensors", model, {})
    again = load_weights(tmp_path / "m.safetensors")
    assert torch.equal(again.decode(again.encode(u)), model.decode(model.encode(u)))
    double = again.double()
    found = double(u.double())
    assert found.dtype == torch.float64 and torch.allclose(found.float(), model(u), atol=1e-5)


def test_elbo_is_a_bound() -> None:
    """One latent number, a linear decoder: the evidence is known, and the bound is tight at the true posterior."""
    torch.manual_seed(0)
    model = VAE(latent=1, dims=(2, 2), widths=(2,), noise=0.5).double()
    a = torch.randn(4, dtype=torch.float64)
    model.decoder = torch.nn.Sequential(torch.nn.Linear(1, 4, bias=False), torch.nn.Unflatten(1, (1, 2, 2))).double()
    model.decoder[0].weight.data = a[:, None]
    u = torch.randn(1, 1, 2, 2, dtype=torch.float64)
    evidence = torch.distributions.MultivariateNormal(
        torch.zeros(4, dtype=torch.float64), torch.outer(a, a) + 0.25 * torch.eye(4)
    ).log_prob(u.flatten())
    variance = 1 / (1 + a.square().sum() / 0.25)
    moments = variance * (a @ u.flatten()) / 0.25, variance.log()

    class Known(torch.nn.Module):
        def forward(self, u: torch.Tensor) -> torch.Tensor:
            return torch.stack(moments).expand(len(u), 2)

    def bound() -> float:
        with torch.no_grad():
            return -4 * float(ELBO()(model, (u.expand(20000, 1, 2, 2),), torch.Generator().manual_seed(0)))

    model.encoder = Known()
    assert bound() == pytest.approx(evidence.item(), abs=0.02)
    moments = moments[0] + 0.5, moments[1] + 0.5
    gap = torch.distributions.kl_divergence(
        torch.distributions.Normal(moments[0], (moments[1] / 2).exp()),
        torch.distributions.Normal(moments[0] - 0.5, variance.sqrt()),
    )
    assert bound() == pytest.approx((evidence - gap).item(), abs=0.1)


def test_kl_divergence() -> None:
    m, v = torch.randn(2, 4, 3)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(m, (v / 2).exp()), torch.distributions.Normal(0.0, 1.0)
    ).sum(1)
    assert torch.allclose(kl_divergence(m, v), expected, rtol=1e-5)


def stripes(generator: torch.Generator) -> torch.Tensor:
    """Smooth images of two parameters, with noise that is correlated along rows."""
    a = torch.rand(16, 2, 1, 1, generator=generator)
    noise = torch.randn(16, 1, 8, 13, generator=generator)
    i, j = torch.arange(8.0)[:, None] / 8, torch.arange(12.0) / 12
    return (a[:, :1] * i + a[:, 1:] * j) + 0.1 * (noise[..., 1:] + noise[..., :-1])


def test_training_finds_the_correlation() -> None:
    """Mean first, then the head alone: the structured model beats the diagonal one in likelihood."""
    bounds = {}
    held = torch.cat([stripes(torch.Generator().manual_seed(100 + k)) for k in range(5)])
    for structure in ("diagonal", "3x3"):
        torch.manual_seed(0)
        model = CovarianceVAE(**SMALL, structure=structure, head=(2, 2))
        fit(model, ELBO(), stripes, steps=60, lr=5e-3)
        model.requires_grad_(False)
        for p in model.covariance_parameters():
            p.requires_grad_(True)
        before = model.decode(torch.ones(1, 3))
        fit(model, ELBO(), stripes, steps=60, lr=2e-2)
        assert torch.equal(before, model.decode(torch.ones(1, 3)))
        with torch.no_grad():
            bounds[structure] = -float(ELBO()(model, (held,), torch.Generator().manual_seed(0)))
    assert bounds["3x3"] > bounds["diagonal"] + 0.1


def test_wgan_takes_turns_and_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def trained(*stops: int) -> WGAN:
        torch.manual_seed(0)
        model = WGAN(**SMALL)
        for steps in stops:
            adam = dict(optimizer=lambda p: torch.optim.Adam(p, lr=1e-3, betas=(0.0, 0.9)), schedule=None)
            path = tmp_path / f"{len(stops)}.safetensors"
            fit(model, WassersteinGP(critic_steps=2), stripes, steps=steps, validate_every=1, checkpoint=path, **adam)
        return model

    torch.manual_seed(0)
    start = WGAN(**SMALL).state_dict()
    two, three = trained(2).state_dict(), trained(3).state_dict()
    changed = [{k.partition(".")[0] for k, t in end.items() if not torch.equal(t, start[k])} for end in (two, three)]
    assert changed == [{"critic", "turn"}, {"critic", "generator", "turn"}]
    at_once, in_parts = trained(7), WGAN(**SMALL)
    (tmp_path / "1.safetensors").unlink()
    in_parts = trained(4, 7)
    for key, t in at_once.state_dict().items():
        assert torch.equal(t, in_parts.state_dict()[key]), key


def test_reconstruction_trains() -> None:
    torch.manual_seed(0)
    model = Autoencoder(**SMALL)
    history = fit(model, Reconstruction(1e-3, 0.1), stripes, steps=40, lr=1e-2, validate_every=20).history
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]


# ---------------------------------------------------------------- bad input


def test_wrong_sizes() -> None:
    model = VAE(**SMALL)
    with pytest.raises(ValueError, match=r"^z has shape \(2, 4\); expected \(N, 3\), the latent size of the model$"):
        model.decode(torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"^z has shape \(2, 4\)"):
        CovarianceVAE(**SMALL, head=(2, 2)).decode_precision(torch.zeros(2, 4))
    with pytest.raises(TypeError, match=r"^z has dtype torch.int64; expected a real floating one$"):
        model.decode(torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"^u has images of \(8, 8\); expected \(8, 12\), the dims of the model$"):
        model.encode(torch.zeros(1, 1, 8, 8))
    net = Generator(torch.nn.Linear(3, 4), latent=3, dims=(2, 2))
    with pytest.raises(
        ValueError, match=r"^the decoder gives shape \(2, 4\); expected \(2, 1, 2, 2\), images of dims$"
    ):
        net.decode(torch.zeros(2, 3))
    with pytest.raises(TypeError, match=r"^Generator has no encoder"):
        net.encode(torch.zeros(1, 1, 2, 2))
    with pytest.raises(
        ValueError, match=r"^dims is \(10, 12\) with 2 widths; expected at least one, and multiples of 4"
    ):
        VAE(latent=3, dims=(10, 12), widths=(4, 6))
    with pytest.raises(TypeError, match="^widths is int; expected a sequence"):
        VAE(latent=3, dims=(8, 12), widths=4)
    with pytest.raises(ValueError, match=r"^pixel is \(1.5, 0\); expected"):
        CovarianceVAE(**SMALL, head=(2, 2)).decode_precision(torch.zeros(1, 3)).column(1.5, 0)
    with pytest.raises(ValueError, match="structure is '7x7'"):
        CovarianceVAE(structure="7x7")
    with pytest.raises(TypeError, match=r"^model is WGAN; expected a VAE or CovarianceVAE$"):
        ELBO()(WGAN(**SMALL), (torch.zeros(1, 1, 8, 12),), torch.Generator())


@pytest.mark.parametrize("value", [-math.inf, math.inf, math.nan])
def test_singular_covariance(value: float) -> None:
    d, w = maps(4)
    d[1, 0, 2, 3] = value
    message = "^log_diagonal has values that are not finite, a singular covariance; expected finite ones$"
    for use in (cholesky.log_det, lambda d: cholesky.sample(d, w), lambda d: cholesky.solve_l(d, d, w)):
        with pytest.raises(ValueError, match=message):
            use(d)
    model = CovarianceVAE(**SMALL, head=(2, 2))
    model.level.data.fill_(value)
    with pytest.raises(ValueError, match=message):
        model.decode_precision(torch.zeros(1, 3))


def test_maps_that_do_not_fit() -> None:
    d, w = maps(4)
    with pytest.raises(ValueError, match=r"^off_diagonal has 3 maps; expected 0, 4 \(3 x 3\) or 12 \(5 x 5\)$"):
        cholesky.lt_apply(d, d, w[:, :3])
    with pytest.raises(ValueError, match=r"^image, log_diagonal and off_diagonal have shapes \(2, 1, 5, 7\)"):
        cholesky.lt_apply(d, d, w[..., :3])
    with pytest.raises(ValueError, match=r"^pixel is \(5, 0\); expected \(row, column\) of an image of 5 x 7$"):
        cholesky.covariance_column((5, 0), d, w)


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_weights(path, CovarianceVAE(**SMALL, head=(2, 2), structure="3x3"), {})
    with pytest.raises(ValueError, match=r"m\.safetensors does not fit VAE: 0 tensors are missing, \d+ unexpected"):
        load_weights(path, VAE(**SMALL))
    with pytest.raises(ValueError, match=r"m\.safetensors has head\.body\.7\.weight of shape"):
        load_weights(path, CovarianceVAE(**SMALL, head=(2, 2), structure="5x5"))
