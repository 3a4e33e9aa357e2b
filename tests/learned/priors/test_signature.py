"""Noise levels reach every kind of network, whatever its argument is called; where that is not clear, the user says."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from skimage import restoration

from ipbox.learned.priors import Denoiser
from ipbox.learned.priors.signature import NoiseArgument, noise_argument

SECOND = NoiseArgument()


class Wavelets(torch.nn.Module):
    """The signature of deepinv's wavelet denoisers: what it is not given by its name is not missed."""

    def forward(self, x: torch.Tensor, ths: float = 0.1, **kwargs: object) -> torch.Tensor:
        return x / (1 + ths)


class Optional(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        return self.weight * x if noise is None else self.weight * x / (1 + noise)


class ByKeyword(torch.nn.Module):
    def forward(self, x: torch.Tensor, verbose: bool = False, *, std: float = 1.0) -> torch.Tensor:
        return x / (1 + std)


class Anything(torch.nn.Module):
    """The signature of wrappers, such as deepinv's for equivariance."""

    def forward(self, x: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        return x / (1 + args[0]) if args else x


class Number(torch.nn.Module):
    def forward(self, x: torch.Tensor, strength: float = 0.5) -> torch.Tensor:
        return x / (1 + strength)


class Flag(torch.nn.Module):
    def forward(self, x: torch.Tensor, training: bool = False, mode: str = "reflect") -> torch.Tensor:
        return 2 * x


class Scripted(torch.nn.Module):
    def forward(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return x / (1 + sigma)


def traced(net: torch.nn.Module, *level: torch.Tensor) -> torch.nn.Module:
    return torch.jit.trace(net, (torch.zeros(1, 1, 4, 4), *level))


def in_parallel(net: torch.nn.Module) -> torch.nn.Module:
    return torch.nn.DataParallel(net)


def compiled(net: torch.nn.Module) -> torch.nn.Module:
    return torch.compile(net, backend="eager")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: torch.nn.Sequential(), None),
        (Wavelets, SECOND),
        (Optional, SECOND),
        (ByKeyword, NoiseArgument("std")),
        (Flag, None),
        (lambda: lambda x: x, None),
        (lambda: lambda x, s: x, SECOND),
        (lambda: lambda x, Sigma=1.0: x, SECOND),
        (lambda: restoration.denoise_nl_means, NoiseArgument("sigma")),
        (lambda: functools.partial(restoration.denoise_nl_means, patch_size=3), NoiseArgument("sigma")),
        (lambda: in_parallel(Optional()), SECOND),
        (lambda: in_parallel(torch.nn.ReLU()), None),
        (lambda: compiled(Optional()), SECOND),
        (lambda: compiled(in_parallel(ByKeyword())), NoiseArgument("std")),
        (lambda: traced(torch.nn.ReLU()), None),
        (lambda: traced(Optional(), torch.tensor(0.1)), NoiseArgument(None, 0)),
        (lambda: traced(Optional(), torch.full((1, 1, 1, 1), 0.1)), NoiseArgument(None, 4)),
        (lambda: torch.jit.script(Scripted()), SECOND),
        (lambda: torch.jit.script(Optional()), NoiseArgument(None, 0)),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_where_a_noise_level_goes(make: object, expected: NoiseArgument | None) -> None:
    assert noise_argument(make()) == expected


@pytest.mark.parametrize(
    "net", [Anything(), Number(), restoration.denoise_tv_chambolle, torch.relu, in_parallel(Number())]
)
def test_the_user_is_asked_where_the_signature_does_not_tell(net: object) -> None:
    with pytest.raises(
        TypeError, match=r"^(Anything|Number|denoise_tv_chambolle|relu).*takes_sigma=True or False"
    ) as err:
        noise_argument(net)
    assert "\n" not in str(err.value) and len(str(err.value)) < 200  # no dump of a network
    assert noise_argument(net, False) is None and noise_argument(net, True) == SECOND


def test_nothing_is_asked_where_there_is_no_level_to_lose() -> None:
    x = np.ones((4, 4), "float32")
    np.testing.assert_allclose(Denoiser(Number()).prox(x, 1.0), x / 1.5, rtol=1e-6)
    with pytest.raises(TypeError, match=r"^Number\(x, strength\) does not tell whether it takes a noise level"):
        Denoiser(Number(), 1.0)
    np.testing.assert_allclose(Denoiser(Number(), 1.0, takes_sigma=True).prox(x, 1.0), x / 2, rtol=1e-6)


def test_the_name_is_found_where_the_user_says_that_there_is_a_level() -> None:
    assert noise_argument(ByKeyword(), True) == NoiseArgument("std")  # not as the second, a flag
    assert noise_argument(lambda x, **options: x, True) == NoiseArgument("sigma")
    with pytest.raises(TypeError, match="takes_sigma is True, and Sequential has no second argument"):
        noise_argument(torch.nn.Sequential(), True)


@pytest.mark.parametrize(
    "make",
    [
        Optional,
        lambda: compiled(Optional()),
        lambda: in_parallel(Optional()),
        lambda: traced(Optional(), torch.tensor(0.1)),
        lambda: traced(Optional(), torch.full((1,), 0.1)),
        lambda: torch.jit.script(Optional()),
        lambda: torch.jit.script(Scripted()),
        Wavelets,
        ByKeyword,
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_level_arrives(make: object) -> None:
    x, net = np.ones((4, 4), "float32"), make()
    for level in np.linspace(0.1, 2.0, 12):  # more than a compiled module is compiled for
        np.testing.assert_allclose(Denoiser(net, level, scale=2.0).prox(x, 1.0), x / (1 + level / 2), rtol=1e-6)


def test_messages_name_the_network_inside() -> None:
    net = in_parallel(Optional().double())
    with pytest.raises(TypeError, match=r"^Optional has module.weight in torch.float64"):
        Denoiser(net, 0.1).prox(np.ones((4, 4), "float32"), 1.0)


# ---------------------------------------------------------------- networks that remember


class WarmStart(torch.nn.Module):
    """As deepinv's TV: unless it is told to start anew, the last image is where it starts from, and what it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.restart, self.x2, self.u2 = True, None, None

    def forward(self, y: torch.Tensor, ths: float | None = None) -> torch.Tensor:
        start = y if self.restart or self.x2 is None else self.x2
        self.restart, self.x2, self.u2 = False, y.clone(), 0 * y
        return 0.5 * (y + start)


def test_the_last_image_is_forgotten(rng: np.random.Generator) -> None:
    x, z = rng.standard_normal((2, 4, 4)).astype("float32")
    for D in (Denoiser(WarmStart(), 0.1), Denoiser(in_parallel(WarmStart()), 0.1)):
        D.prox(z, 1.0)
        np.testing.assert_array_equal(D.prox(x, 1.0), x)
