"""Denoising, inpainting, super-resolution and compressed sensing: data, noise, masks, images, and refusals."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox.problems.measuring.masks import inpainting_mask
from ipbox.problems.truths.photographs import photograph
from tests.contracts.support import host

NAMES = ("denoise", "inpaint", "super-resolution", "compressed-sensing")


@pytest.mark.parametrize("name", NAMES)
def test_what_every_problem_gives(name: str, xp: ModuleType, dtype: np.dtype) -> None:
    A, b, x, info = ip.problem(name, size=32, noise=0.05, seed=4, dtype=dtype, xp=xp.__name__)
    assert isinstance(b, xp.ndarray) and isinstance(x, xp.ndarray) and b.dtype == x.dtype == A.dtype_in == dtype
    assert b.shape == tuple(A.dimsd) and x.shape == tuple(A.dims) == (32, 32)
    clean = A.apply(x)
    assert info.name == name and info.seed == 4 and info.model_error == 0.0 and "scikit-image" in info.source
    assert info.noise_level == pytest.approx(0.05 * np.linalg.norm(host(clean)), rel=1e-5)
    m = np.count_nonzero(host(b))
    assert abs(np.linalg.norm(host(b - clean)) / info.noise_level - 1) < 5 / math.sqrt(2 * m)
    assert info.peak == pytest.approx(float(x.max())) and info.extra["image"] == "camera"
    again, other = (ip.problem(name, size=32, noise=0.05, seed=s, dtype=dtype, xp=xp.__name__) for s in (4, 5))
    assert np.array_equal(host(again[1]), host(b)) and not np.array_equal(host(other[1]), host(b))


@pytest.mark.parametrize("name", NAMES)
def test_images(name: str) -> None:
    own = np.random.default_rng(0).random((12, 16))
    A, b, x, info = ip.problem(name, image=own, noise=0.0, dtype="float64")
    np.testing.assert_array_equal(x, own)
    assert info.source == "given by the user" and info.noise_level == 0.0
    np.testing.assert_allclose(b, A.apply(x), atol=1e-14)
    test, train = (ip.problem(name, size=32, image="brain", slice=9, patient=p) for p in ("test", "train"))
    assert test[3].extra["patient"] == "test" and not np.array_equal(test[2], train[2])
    lung = ip.problem(name, size=32, image="lung", slice=2)
    assert lung[3].units.startswith("x in 1/mm") and 0.01 < lung[3].peak < 0.06
    np.testing.assert_allclose(ip.problem(name, size=32, image="coins")[2], photograph("coins", 32), atol=1e-7)


# ---------------------------------------------------------------- denoise


def test_poisson_noise_is_in_units_of_the_image() -> None:
    _, b, x, info = ip.problem("denoise", size=128, noise="poisson", photons=50, image="coins", dtype="float64")
    counts = b * 50 / x.max()
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    assert np.linalg.norm(b - x) == pytest.approx(info.noise_level, rel=0.03) and info.extra["noise"] == "poisson"
    # signal dependent: the bright half has more
    bright = x > np.median(x)
    assert (b - x)[bright].std() > 1.3 * (b - x)[~bright].std()


def test_salt_and_pepper() -> None:
    _, b, x, info = ip.problem("denoise", size=128, noise="salt-and-pepper", fraction=0.2)
    lost = b != x
    assert lost.mean() == pytest.approx(0.2, abs=0.02) and set(np.unique(b[lost])) <= {x.min(), x.max()}
    assert np.linalg.norm(b - x) == pytest.approx(info.noise_level, rel=0.05)


# ---------------------------------------------------------------- inpaint


def test_masks() -> None:
    random = inpainting_mask("random", (20, 30), 0.3, seed=1)
    assert (~random).sum() == 180 and not np.array_equal(random, inpainting_mask("random", (20, 30), 0.3, seed=2))
    block = inpainting_mask("block", (40, 60), 0.25)
    rows, columns = np.nonzero(~block)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 29, 15, 44) and (~block).sum() == 600
    text = inpainting_mask("text", (128, 128))
    assert 0.05 < (~text).mean() < 0.4 and (~text).any(axis=1).mean() > 0.3  # lines of letters over all of it
    assert (~text)[:, :64].any() and (~text)[:, 64:].any() and (~text)[64:].any()


@pytest.mark.parametrize("kind", ["random", "block", "text"])
def test_nothing_is_known_where_pixels_are_missing(kind: str) -> None:
    A, b, x, info = ip.problem("inpaint", size=64, mask=kind, noise=0.1)
    known = info.extra["mask"]
    assert not b[~known].any() and np.array_equal(A.mask > 0, known)
    m = known.sum()
    assert abs(np.linalg.norm((b - x)[known]) / info.noise_level - 1) < 5 / math.sqrt(2 * m)


def test_a_mask_of_your_own(xp: ModuleType) -> None:
    known = np.eye(32) == 0
    A, b, _, info = ip.problem("inpaint", size=32, mask=xp.asarray(known), xp=xp.__name__)
    assert np.array_equal(info.extra["mask"], known) and not host(b)[~known].any()


# ---------------------------------------------------------------- super-resolution and compressed sensing


def test_super_resolution() -> None:
    A, b, x, _ = ip.problem("super-resolution", size=64, factor=4, noise=0.0, dtype="float64")
    np.testing.assert_allclose(b, x.reshape(16, 4, 16, 4).mean(axis=(1, 3)), atol=1e-14)
    A, b, x, info = ip.problem("super-resolution", size=64, factor=2, blur=1.0, noise=0.0, dtype="float64")
    blurred = ip.GaussianBlur((64, 64), 1.0, "reflective", dtype="float64").apply(x)
    np.testing.assert_allclose(b, blurred[::2, ::2], atol=1e-14)
    assert info.extra["factor"] == 2 and A.norm() <= 1.05


def test_compressed_sensing() -> None:
    A, b, x, _ = ip.problem("compressed-sensing", size=16, ratio=0.5)
    assert b.shape == (128,) and A.seed == 0 and x.shape == (16, 16)
    assert ip.problem("compressed-sensing", ratio=0.01)[2].shape == (64, 64)


# ---------------------------------------------------------------- refusals

BAD = {
    "noise's name": ("denoise", {"noise": "pink"}, ValueError, "^noise is 'pink'; expected one of .*, or a level"),
    "negative noise": ("denoise", {"noise": -0.1}, ValueError, "level is -0.1"),
    "photons": ("denoise", {"noise": "poisson", "photons": 0}, ValueError, "^photons is 0; expected a positive number"),
    "dark image": (
        "denoise", {"noise": "poisson", "image": np.zeros((4, 4))}, ValueError, "^image has values from 0 to 0; photon"
    ),
    "negative image": (
        "denoise", {"noise": "poisson", "image": -np.eye(4)}, ValueError, "^image has values from -1 to"
    ),
    "fraction": ("denoise", {"noise": "salt-and-pepper", "fraction": 2}, ValueError, "^fraction is 2"),
    "image": ("denoise", {"image": "lena"}, ValueError, "^image is 'lena'; expected one of 'astronaut'"),
    "integer image": ("denoise", {"image": np.eye(4, dtype=int)}, TypeError, "^image has dtype int64"),
    "NaN image": ("denoise", {"image": np.eye(4) * np.nan}, ValueError, "^image has NaN"),
    "image as list": ("denoise", {"image": [[1.0]]}, TypeError, "^image is list"),
    "size": ("denoise", {"size": 0}, ValueError, "^size is 0"),
    "large": ("denoise", {"size": 4096}, ValueError, "^size is 4096"),
    "slice": ("denoise", {"image": "brain", "slice": 99}, ValueError, "^slice is 99"),
    "patient": ("denoise", {"image": "lung", "patient": "both"}, ValueError, "^patient is 'both'"),
    "dtype": ("denoise", {"dtype": int}, TypeError, "^dtype is int64; expected float32 or float64"),
    "complex": ("inpaint", {"dtype": "complex64"}, TypeError, "^dtype is complex64"),
    "xp": ("denoise", {"xp": "torch"}, ValueError, "^xp is 'torch'"),
    "seed": ("denoise", {"seed": -1}, ValueError, "^seed is -1"),
    "mask's name": ("inpaint", {"mask": "holes"}, ValueError, "^mask is 'holes'; expected one of 'random', 'block'"),
    "mask's seed": ("inpaint", {"seed": 0.5}, ValueError, "^seed is 0.5"),
    "missing": ("inpaint", {"missing": 1.0}, ValueError, "^missing is 1.0; expected a share in"),
    "missing text": ("inpaint", {"missing": "half"}, ValueError, "^missing is 'half'"),
    "missing of a text": ("inpaint", {"mask": "text", "missing": 0.2}, ValueError, "^missing is 0.2; expected none"),
    "nothing left": ("inpaint", {"size": 2, "missing": 0.9}, ValueError, "leaves none known or none missing"),
    "mask of another shape": ("inpaint", {"mask": np.ones((4, 4), bool)}, ValueError, "^mask has dtype bool and shape"),
    "mask of weights": ("inpaint", {"size": 4, "mask": np.ones((4, 4))}, ValueError, "^mask has dtype float64"),
    "empty mask": ("inpaint", {"size": 4, "mask": np.zeros((4, 4), bool)}, ValueError, "is zero everywhere"),
    "own mask and share": (
        "inpaint", {"size": 4, "mask": np.ones((4, 4), bool), "missing": 0.5}, ValueError, "^missing is 0.5"
    ),
    "factor": ("super-resolution", {"size": 64, "factor": 3}, ValueError, "^factor is 3; expected a divisor"),
    "no factor": ("super-resolution", {"factor": 0}, ValueError, "^factor is"),
    "factors": ("super-resolution", {"factor": (2, 2)}, ValueError, r"^factor is \(2, 2\)"),
    "blur": ("super-resolution", {"blur": -1.0}, ValueError, "^blur is -1.0"),
    "ratio": ("compressed-sensing", {"ratio": 1.5}, ValueError, "^ratio is 1.5"),
    "no ratio": ("compressed-sensing", {"ratio": 0}, ValueError, "^ratio is 0"),
    "huge": ("compressed-sensing", {"size": 512}, ValueError, "at most 2\\^28 entries"),
    "option": ("inpaint", {"factor": 2}, TypeError, "^problem 'inpaint' has no keyword 'factor'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    name, options, error, message = BAD[case]
    with pytest.raises(error, match=message):
        ip.problem(name, **options)


@pytest.mark.parametrize(
    "name, how", [("ct", "photons=1e5"), ("fan", "photons=1e5"), ("blur", r"noise.poisson\(A.app")]
)
def test_poisson_noise_says_how_to_have_it(name: str, how: str) -> None:
    with pytest.raises(ValueError, match=f"noise is 'poisson'; expected zero or a positive number, or .*{how}.* for"):
        ip.problem(name, size=16, noise="poisson")
