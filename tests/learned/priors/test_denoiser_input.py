"""`Denoiser`: what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from ipbox.learned.priors import Denoiser
from ipbox.solvers.core.divergence import Diverged
from tests.learned.priors.test_denoiser import Lambda, Shrink


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((5, 7)).astype("float32")


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda x: x[..., :-1], ValueError, r"gave shape \(1, 1, 5, 6\); expected that of its input"),
        (lambda x: x.sum(1), ValueError, r"gave shape \(1, 5, 7\)"),
        (lambda x: x.double(), TypeError, "gave torch.float64; expected that of its input, torch.float32"),
        (lambda x: (x, x), TypeError, "gave tuple; expected a torch tensor"),
        (lambda x: x / 0, Diverged, "gave NaN or infinite values"),
    ],
)
def test_what_a_module_must_give(image: np.ndarray, f: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Denoiser(Lambda(f)).prox(image, 1.0)


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda x: x[1:], ValueError, r"gave shape \(4, 7\)"),
        (lambda x: x.astype("float64"), TypeError, "gave float64 for an image of float32; .* dtype='float64'"),
        (lambda x: x.tolist(), TypeError, "gave list; expected an array of numpy"),
        (lambda x: x * np.nan, Diverged, "gave NaN"),
    ],
)
def test_what_a_function_must_give(image: np.ndarray, f: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Denoiser(f).prox(image, 1.0)


def test_nan_in_the_image(image: np.ndarray) -> None:
    image[0, 0] = np.nan
    with pytest.raises(Diverged, match="was given NaN"):
        Denoiser(Shrink(), 0.1).prox(image, 1.0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(net=3), TypeError, "net is int; expected a torch module or a function"),
        (dict(net=Shrink), TypeError, r"the denoiser is the class Shrink; expected one that is made, as Shrink"),
        (dict(sigma=None), ValueError, "sigma is None, and Shrink takes a noise level"),
        (dict(sigma=-1.0), ValueError, "sigma is -1.0; expected a positive number"),
        (dict(sigma="0.1"), ValueError, "sigma is '0.1'"),
        (dict(lam=0.0, sigma=None), ValueError, "lam is 0.0"),
        (dict(net=Lambda(abs)), ValueError, "sigma is 0.1, and Lambda takes no noise level; expected None"),
        (dict(net=Lambda(abs), sigma=None, lam=2.0), ValueError, "lam is 2, and Lambda takes no noise level"),
        (dict(takes_sigma="no"), TypeError, "takes_sigma is 'no'; expected True or False"),
        (dict(lam=1.0), ValueError, "sigma and lam are both given"),
        (dict(scale=0.0), ValueError, "scale is 0.0"),
        (dict(channels="rgb"), ValueError, "channels is 'rgb'; expected one of None, 'first'"),
        (dict(axes=4), ValueError, "axes is 4"),
        (dict(strength=1.5), ValueError, r"strength is 1.5; expected a number in \(0, 1\]"),
        (dict(box=(1.0, 0.0)), ValueError, r"box is \(1.0, 0.0\)"),
        (dict(dtype="int8"), ValueError, "dtype is 'int8'; expected one of 'float16'"),
    ],
)
def test_bad_arguments(arguments: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Denoiser(**{"net": Shrink(), "sigma": 0.1, **arguments})


def test_bad_images(image: np.ndarray) -> None:
    with pytest.raises(TypeError, match="dtype complex64 and channels is None; expected 'complex'"):
        Denoiser(Shrink(), 0.1).prox(image + 0j, 1.0)
    with pytest.raises(TypeError, match="dtype float32 and channels is 'complex'; expected None"):
        Denoiser(Shrink(2), 0.1, channels="complex").prox(image, 1.0)
    with pytest.raises(ValueError, match=r"shape \(7,\); expected at least 2 axes"):
        Denoiser(Shrink(), 0.1).prox(image[0], 1.0)
    with pytest.raises(TypeError, match=r"expects channels='complex'"):
        Denoiser(lambda x: x).prox(image + 0j, 1.0)


def test_weights_of_a_fixed_noise_level() -> None:
    with pytest.raises(ValueError, match="weight 2 of Denoiser.* has no meaning, its noise level is fixed"):
        2 * Denoiser(Shrink(), 0.1)


def test_replaced() -> None:
    D = Denoiser(Shrink(), 0.1)
    assert D.replaced(lam=2.0).sigma is None and D.replaced(box=(0, 1)).sigma == 0.1 and D.box is None
    with pytest.raises(ValueError, match="sigma is 0.1, and Lambda takes no noise level"):
        Denoiser(Lambda(abs)).replaced(sigma=0.1)
    with pytest.raises(TypeError, match="replaced has scale; expected sigma, lam"):
        D.replaced(scale=2.0)
