"""The noise estimated from data alone, against that which was added; and what cannot be told."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip


def ratio(name: str, of_data: bool = False, **options: Any) -> float:
    A, b, _, info = ip.problem(name, **options)
    return ip.estimate_noise(b, None if of_data else A) / info.noise_level


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("views", [30, 90])
def test_sinograms(views: int, noise: float) -> None:
    assert abs(ratio("ct", size=128, views=views, noise=noise) - 1) < 0.08


def test_sinograms_of_other_scanners_and_of_counts() -> None:
    """The logarithm of few photons has much noise behind the bright and none beside the object."""
    assert abs(ratio("fan", size=128, views=60, noise=0.03) - 1) < 0.08
    assert abs(ratio("pet", counts=1e6) - 1) < 0.05
    for photons in (1e3, 1e5):
        assert abs(ratio("ct", size=128, views=90, photons=photons) - 1) < 0.12


@pytest.mark.parametrize("image", ["camera", "coins", "brain", "lung"])
@pytest.mark.parametrize(("noise", "within"), [(0.03, 0.1), (0.1, 0.05)])
def test_photographs_and_scans(image: str, noise: float, within: float) -> None:
    assert abs(ratio("denoise", image=image, noise=noise) - 1) < within


@pytest.mark.parametrize("noise", [0.003, 0.01, 0.05])
def test_what_is_blurred_has_no_texture(noise: float) -> None:
    assert abs(ratio("blur", size=128, noise=noise) - 1) < 0.05
    assert abs(ratio("blur", size=128, noise=noise, of_data=True) - 1) < 0.05


@pytest.mark.parametrize("coils", [1, 4])
def test_kspace(coils: int) -> None:
    for noise in (0.005, 0.05):
        assert abs(ratio("mri-radial", size=128, coils=coils, noise=noise) - 1) < 0.05
    assert abs(ratio("mri", size=128, coils=coils, noise=0.1) - 1) < 0.12
    full = dict(size=128, coils=coils, noise=0.02, mask=np.ones((128, 128), bool))
    assert abs(ratio("mri", **full) - 1) < 0.05 and abs(ratio("mri", of_data=True, **full) - 1) < 0.05


def test_pure_noise_of_each_kind() -> None:
    """Hardly any bias: the mean over many draws is right to 3 %."""
    rng = np.random.default_rng(0)
    draws = {
        "image": lambda: rng.standard_normal((64, 80)),
        "sinogram": lambda: rng.standard_normal((60, 91)),
        "signal": lambda: rng.standard_normal(1000),
        "kspace": lambda: rng.standard_normal((2, 64, 64)) + 1j * rng.standard_normal((2, 64, 64)),
    }
    for kind, draw in draws.items():
        found = np.array([ip.estimate_noise(b, kind=kind) / np.linalg.norm(b) for b in (draw() for _ in range(40))])
        assert abs(found.mean() - 1) < 0.03, kind
        assert found.std() < (0.12 if kind == "signal" else 0.06), kind


def test_polynomials_and_ramps_are_no_noise() -> None:
    y, x = np.mgrid[:40, :50] / 10.0
    assert ip.estimate_noise(x**3 + 2 * x**2 * y - y) < 1e-10
    assert ip.estimate_noise(np.zeros((20, 20))) == 0
    assert ip.estimate_noise(np.zeros((20, 20), complex)) == 0


def test_an_empty_frame_has_no_noise() -> None:
    b = np.zeros((128, 128))
    b[32:96, 32:96] = np.random.default_rng(1).standard_normal((64, 64))
    assert abs(ip.estimate_noise(b) / 64 - 1) < 0.1


def test_units_library_dtype_and_slices(xp: ModuleType) -> None:
    b = np.random.default_rng(2).standard_normal((3, 32, 32))
    found = ip.estimate_noise(xp.asarray(b))
    assert isinstance(found, float) and math.isclose(found, ip.estimate_noise(b))
    assert math.isclose(ip.estimate_noise(xp.asarray((1e6 * b).astype("float32"))), 1e6 * found, rel_tol=1e-5)
    assert abs(found / np.linalg.norm(b) - 1) < 0.15


def test_a_rule_without_a_noise_level_names_it_and_works_with_it() -> None:
    A, b, x_true, info = ip.problem("ct", size=64, views=40, noise=0.03)
    for rule in ("discrepancy", "sure"):
        with pytest.raises(ValueError, match=r"noise_level is None; .* as ip.estimate_noise\(b, A\) finds it"):
            ip.tikhonov(A, b, rule)
    level = ip.estimate_noise(b, A)
    found, known = (ip.tikhonov(A, b, "discrepancy", delta)[0] for delta in (level, info.noise_level))
    assert ip.psnr(found, x_true) > ip.psnr(known, x_true) - 0.5


def test_a_measured_tilt_series() -> None:
    """Noise of counts: the brighter, the more."""
    A, b, _, _ = ip.problem("tomography-measured", slice=4)
    level = ip.estimate_noise(b, A)
    assert 0.002 < level / np.linalg.norm(b) < 0.006
    assert ip.estimate_noise(b, A, kind="image") < 0.1 * level  # of the dark background


SMALL = np.ones((20, 20))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ip.estimate_noise(np.ones((20, 15))),
            r"b has shape \(20, 15\); expected two axes, the last one of at",
        ),
        (lambda: ip.estimate_noise(np.ones(15)), r"b has shape \(15,\); expected an axis, the last one of at least 16"),
        (lambda: ip.estimate_noise(np.ones(20), kind="image"), "expected two axes"),
        (lambda: ip.estimate_noise(SMALL, kind="volume"), "kind is 'volume'; expected one of 'image', 'sinogram'"),
        (lambda: ip.estimate_noise(SMALL, kind="kspace"), "kind is 'kspace' and b has dtype float64"),
        (lambda: ip.estimate_noise(SMALL + 0j, kind="image"), "kind is 'image' and b has dtype complex128"),
        (lambda: ip.estimate_noise(SMALL.astype(int)), "b has dtype int64"),
        (lambda: ip.estimate_noise(SMALL * np.nan), "b has NaN"),
        (lambda: ip.estimate_noise(SMALL, ip.Identity((5, 5), "float64")), "b has shape"),
        (lambda: ip.estimate_noise(SMALL, ip.Mask(SMALL > 0, "float64")), "A is Mask; its data are apart"),
        (lambda: ip.estimate_noise(np.ones((2, 20, 20)), ip.Identity((20, 20), "float64")), "with a batch axis"),
    ],
)
def test_what_cannot_be_told_is_refused(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
