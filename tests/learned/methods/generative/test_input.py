"""What users get wrong with generative priors, and units, precisions and modes of decoders of their own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.learned.networks.generative import Generator
from ipbox.learned.priors.generative import CovariancePrior, SoftRange

DIMS, LATENT = (4, 5), 3


class Own(torch.nn.Module):
    def __init__(self, decode: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.decode = decode

    def forward(self, z: torch.Tensor) -> object:
        return self.decode(z)


def dense(size: int = LATENT, *layers: torch.nn.Module) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(size, 20), *layers, torch.nn.Unflatten(1, (1, *DIMS)))


def reconstructed(decoder: torch.nn.Module, s: float = 1.0, **options: object) -> np.ndarray:
    b = (s * np.random.default_rng(0).standard_normal(DIMS)).astype(np.float32)
    A = ip.Identity(DIMS, "float32")
    return ip.generative(A, b, Generator(decoder, LATENT, DIMS), **({"prior": "range", "niter": 20} | options))[0]


NET = dense()


@pytest.mark.parametrize(
    ("decoder", "error", "text"),
    [
        (dense(LATENT + 1), ValueError, r"^model.decode failed on latent vectors of shape \(1, 3\): mat1"),
        (Own(lambda z: NET(z).double()), TypeError, r"^model.decode gave torch.float64; expected"),
        (Own(lambda z: NET(z) * 1j), TypeError, r"^model.decode gave torch.complex64; expected"),
        (Own(lambda z: NET(z) * torch.nan), ValueError, r"makes images that are not finite, at a z"),
        (Own(lambda z: NET(z).detach()), ValueError, r"^model.decode gave images without a gradient by z"),
        (Own(lambda z: NET(z.mul_(2))), ValueError, r"^model.decode failed on .*in-place"),
    ],
)
@pytest.mark.parametrize("prior", ["range", "soft", "sparse"])
def test_decoders_that_do_not_fit(decoder: torch.nn.Module, error: type, text: str, prior: str) -> None:
    with pytest.raises(error, match=text) as caught:
        reconstructed(decoder, prior=prior, lam=0.1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"prior": "inverse_gan", "lam": 0.1}, "^lam is 0.1, and inverse_gan has no term"),
        ({"prior": "inverse_gan", "mu": 0.1}, "^mu is 0.1, and inverse_gan has no term"),
        ({"lam": 0.1, "z0": np.zeros(3, complex)}, "^z0 has .*complex128; expected finite real numbers"),
        ({"lam": 0.1, "z0": np.zeros((0, 3))}, r"^z0 has shape \(0, 3\)"),
        ({"lam": 0.1, "x0": np.zeros(DIMS, "f")}, "^x0 is given, and method 'lbfgs'"),
    ],
)
def test_what_would_be_left_unheard_is_refused(options: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        reconstructed(NET, **options)


def test_a_prior_with_settings_of_its_own_takes_no_others() -> None:
    with pytest.raises(ValueError, match=r"^scale is 2.0, and prior is SoftRange\(Generator\), which has its own"):
        prior = SoftRange(Generator(NET, LATENT, DIMS))
        ip.generative(ip.Identity(DIMS, "float32"), np.ones(DIMS, "f"), None, prior=prior, scale=2.0, lam=1.0)


def test_a_model_without_weights_is_no_inverse_gan() -> None:
    with pytest.raises(ValueError, match="has no weights"):
        reconstructed(Own(lambda z: z.sum(1)[:, None, None, None].expand(-1, 1, *DIMS)), prior="inverse_gan", niter=2)


class OwnPrecision(Own):
    """One whose log-diagonal is 0 but at one pixel of the last sample."""

    def __init__(self, value: float) -> None:
        super().__init__(NET)
        self.latent, self.dims = LATENT, DIMS
        self.value = value

    def decode_precision(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        d = torch.zeros(len(z), 1, *DIMS)
        d[-1, 0, 1, 2] = self.value
        return d, torch.zeros(len(z), 0, *DIMS)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-np.inf, "from -inf to 0, with values that are not finite;"),
        (np.nan, "from nan to nan, with values that are not finite;"),
        (60.0, r"from 0 to 60, with exp\(2d\) or exp\(-2d\) out of the range of torch.float32;"),
        (-60.0, r"from -60 to 0, with exp\(2d\) or exp\(-2d\) out of the range of torch.float32;"),
    ],
)
def test_a_singular_covariance_is_refused(value: float, text: str) -> None:
    R = CovariancePrior(OwnPrecision(value))
    with pytest.raises(ValueError, match=f"^the covariance of sample 2 is singular: .* {text} expected finite ones"):
        R.at(np.zeros((3, LATENT), "f"))
    with pytest.raises(ValueError, match="^the covariance of sample 0 is singular"):
        ip.generative(ip.Identity(DIMS, "float32"), np.ones(DIMS, "f"), OwnPrecision(value), lam=0.1)


@pytest.mark.parametrize("s", [1e-12, 1e12])
@pytest.mark.parametrize("prior", ["range", "soft", "sparse", "inverse_gan"])
def test_units(prior: str, s: float) -> None:
    def run(s: float) -> np.ndarray:
        lam = None if prior == "inverse_gan" else 0.01 * s**2
        return reconstructed(NET, s, prior=prior, lam=lam, scale=s, restarts=2, weight_steps=20)

    np.testing.assert_allclose(run(s) / s, run(1.0), atol=2e-4)  # of stops that differ by rounding


def test_modes_and_buffers_of_a_decoder_are_left_as_they_are() -> None:
    net = dense(LATENT, torch.nn.BatchNorm1d(20), torch.nn.Dropout(0.5)).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    for prior, lam in (("soft", 0.1), ("inverse_gan", None)):
        reconstructed(net, prior=prior, lam=lam, restarts=2, weight_steps=2)
    R, z = SoftRange(Generator(net, LATENT, DIMS)), np.ones((2, LATENT), np.float32)
    u = np.zeros((2, *DIMS), np.float32)
    assert R.at(z).value(u) == R.at(z).value(u)
    assert net.training and net[1].training and all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_gcv_finds_a_weight() -> None:
    rng = np.random.default_rng(0)
    x_true = NET(torch.tensor([[1.0, -2.0, 1.5]]))[0, 0].detach().numpy() + 0.3 * rng.standard_normal(DIMS)
    b = (x_true + 0.2 * rng.standard_normal(DIMS)).astype(np.float32)
    A, model = ip.Identity(DIMS, "float32"), Generator(NET, LATENT, DIMS)
    options = {"prior": "soft", "mu": 0.01, "restarts": 1, "niter": 20}
    x, info = ip.generative(A, b, model, lam="gcv", **options)
    np.testing.assert_allclose(x, ip.generative(A, b, model, lam=info.extra["lam"], **options)[0], atol=1e-3)
