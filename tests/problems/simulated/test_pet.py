"""The PET problem: what its counts are made of, what its info says, what it refuses."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend
from ipbox.problems.truths.brains import brain_phantom

SMALL = dict(size=32, views=24)


@pytest.mark.parametrize(
    "options, model_error",
    [
        (dict(size=128, views=60), 0.006),  # from 1 mm
        (dict(size=64, views=60, slice=3), 0.015),
        (dict(size=100, views=60), 0.004),  # no whole divisor of 256: twice as fine
        (dict(size=200, views=30, slice=12), 0.004),
        (dict(size=64, views=40, detectors=71, blur_fwhm=0.0), 0.03),
    ],
)
def test_no_inverse_crime_and_one_geometry(options: dict, model_error: float) -> None:
    """E b differs from A x + r, by little; a mirrored or shifted image would be far off."""
    A, _, x, info = ip.problem("pet", dtype="float64", **options)
    signal = np.linalg.norm(A.apply(x))
    assert 1e-4 < info.model_error / signal < model_error
    assert np.linalg.norm(A.apply(x[:, ::-1].copy()) - A.apply(x)) > 0.03 * signal


def test_counts_and_shares() -> None:
    A, b, x, info = ip.problem("pet", counts=3e5, randoms=0.3, scatter=0.1, dtype="float64")
    r = info.extra["background"]
    assert r.sum() == pytest.approx(0.4 * 3e5, rel=1e-9)
    assert 1.0 <= r.min() / (0.3 * 3e5 / r.size) < 1.05  # randoms are everywhere
    assert A.mean(x).sum() == pytest.approx(3e5, rel=2e-3)
    assert abs(b.sum() - 3e5) < 4 * math.sqrt(3e5)
    assert np.array_equal(r, A.background) and not np.shares_memory(r, A.background)
    _, _, _, clean = ip.problem("pet", randoms=0.0, scatter=0.0, **SMALL)
    assert not clean.extra["background"].any()


def test_noise_is_poisson() -> None:
    """The norm is √counts; the variance of each reading is its mean."""
    A, b, x, info = ip.problem("pet", counts=2e5, dtype="float64")
    assert info.noise_level == pytest.approx(math.sqrt(2e5), rel=1e-9)
    expected = A.mean(x)
    assert np.linalg.norm(b - expected) == pytest.approx(info.noise_level, rel=0.02)
    assert ((b - expected) ** 2 / expected).mean() == pytest.approx(1.0, abs=0.03)
    assert (b == np.rint(b)).all() and b.min() >= 0


def test_seed() -> None:
    runs = [ip.problem("pet", seed=s, **SMALL)[1] for s in (3, 3, 4)]
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])


def test_truth_prior_and_attenuation() -> None:
    A, b, x, info = ip.problem("pet", size=64, views=24, slice=5, dtype="float64")
    phantom = brain_phantom(5, 64)
    assert np.array_equal(x, phantom.activity) and np.array_equal(info.extra["t1"], phantom.t1)
    assert np.array_equal(info.extra["attenuation"], phantom.attenuation)
    assert info.pixel_size == A.projector.pixel_size == 4.0 and info.peak == x.max() <= 4.0
    assert not x[~info.mask].any() and info.mask.mean() < 0.6
    assert x.shape == A.dims == info.mask.shape and b.shape == A.dimsd == (24, A.projector.n_det)
    assert np.array_equal(info.angles, np.arange(24) * (math.pi / 24))
    assert 0.1 < A.factors.min() / A.factors.max() < 0.3  # 15 to 20 cm of water
    assert (info.name, info.seed, info.extra["slice"], info.extra["counts"]) == ("pet", 0, 5, 1e6)
    assert "lengths in mm" in info.units and info.source and info.licence


def test_where_the_arrays_live(xp: ModuleType, dtype: np.dtype) -> None:
    A, b, x, info = ip.problem("pet", xp=xp.__name__, dtype=dtype, **SMALL)
    _, on_host, _, _ = ip.problem("pet", dtype=dtype, **SMALL)
    moved = [b, x, info.mask, *(info.extra[name] for name in ("background", "attenuation", "t1"))]
    assert all(backend.array_module(u) is xp for u in moved)
    assert all(u.dtype == dtype for u in moved if u is not info.mask)
    assert np.array_equal(backend.to_host(b), on_host)
    assert backend.norm(A.mean(x) - b) < 1.5 * math.hypot(info.noise_level, info.model_error)


def test_mlem_approaches_the_truth() -> None:
    A, b, x, info = ip.problem("pet", size=64, views=60, counts=2e6)
    u = np.ones_like(x)
    errors = []
    for _ in range(30):
        u *= A.apply_adjoint(b / A.mean(u)) / A.sensitivity()
        errors.append(ip.nrmse(u, x))
    assert errors[-1] < 0.25 and (np.diff(errors) < 0).all()
    assert np.linalg.norm(A.mean(u) - b) < 1.2 * info.noise_level


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(size=0), ValueError, "size is 0; expected an integer from 1 to 256"),
        (dict(size=512), ValueError, "size is 512; expected an integer from 1 to 256"),
        (dict(size=64.0), ValueError, "size is 64.0"),
        (dict(slice=15), ValueError, "slice is 15; expected an integer from 0 to 14, the slices of the template"),
        (dict(views=0), ValueError, "views is 0; expected a positive integer"),
        (dict(counts=0), ValueError, "counts is 0; expected a positive number"),
        (dict(counts=math.nan), ValueError, "counts is nan"),
        (dict(counts="many"), ValueError, "counts is 'many'"),
        (dict(randoms=-0.1), ValueError, "randoms is -0.1; expected a share of the counts"),
        (dict(scatter=1.0), ValueError, "scatter is 1.0; expected a share of the counts"),
        (dict(randoms=0.5, scatter=0.5), ValueError, "randoms is 0.5 and scatter is 0.5; expected shares that leave"),
        (dict(blur_fwhm=-1.0), ValueError, "blur_fwhm is -1.0; expected zero or a positive number"),
        (dict(seed=-1), ValueError, "seed is -1; expected an integer from 0"),
        (dict(detectors=0), ValueError, "n_det is 0; expected a positive integer"),
        (dict(dtype="float16"), TypeError, "dtype is float16; expected"),
        (dict(dtype="complex64"), TypeError, "dtype is complex64; JosephTransform expects float32 or float64"),
        (dict(xp="torch"), ValueError, "xp is 'torch'; expected 'numpy' or 'cupy'"),
        (dict(photons=1e5), TypeError, "problem 'pet' has no keyword 'photons'"),
    ],
)
def test_pet_refuses(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ip.problem("pet", **SMALL | options)
