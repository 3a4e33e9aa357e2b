"""Fan beam on a curved detector: its rays, its kernels against the written-out formulas, filtered back-projection."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend
from ipbox.kernels.fan import front as fan_kernels
from ipbox.kernels.lines import reference as lines_reference
from ipbox.operators.tomography.astra import AstraTransform
from ipbox.problems.truths.phantoms import Ellipse, ellipses_image, ellipses_line_integrals
from tests.kernels.twins import forced, twins
from tests.operators.tomography.test_fan import BETA, GEOMETRY, PHANTOM, error, exact


def transform(n: int, views: int, arc: float = 2 * math.pi, **options: Any) -> Any:
    settings = dict(detector="curved", dtype="float64") | GEOMETRY | options
    return ip.FanBeamTransform((n, n), np.arange(views) * arc / views, pixel_size=2 / n, **settings)


def test_rays_go_from_the_source_to_the_arc() -> None:
    """θ and s of each ray, from points on a circle about the source, as far apart along it as the pixels."""
    distances = dict(source_distance=20.0, detector_distance=7.0)
    A = ip.FanBeamTransform((9, 13), BETA, 8, 2.0, det_shift=1.3, detector="curved", **distances)
    theta, s = A.parallel_coordinates()
    for k, beta in enumerate(BETA):
        S = 20.0 * np.array([math.sin(beta), -math.cos(beta)])
        for m, a in enumerate(A.positions()):
            turned = beta - a / 27.0 + math.pi / 2  # the direction from S to the arc's point
            D = S + 27.0 * np.array([math.cos(turned), math.sin(turned)])
            n = np.array([math.cos(theta[k, m]), math.sin(theta[k, m])])
            assert n @ S == pytest.approx(s[k, m], abs=1e-12) and n @ D == pytest.approx(s[k, m], abs=1e-12)
            assert np.array([-n[1], n[0]]) @ (D - S) > 0
    assert 2.0 == pytest.approx(27.0 * (theta[0, 0] - theta[0, 1]))


def test_flat_and_curved_see_the_same_at_the_same_rays() -> None:
    """A flat detector's readings of a smooth image are those of the curved one between its pixels."""
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    u = np.exp(-((x - 0.2) ** 2) / 0.05 - (y + 0.1) ** 2 / 0.08)
    curved, flat = transform(96, 20, n_det=600, det_spacing=0.008), transform(96, 20, detector="flat")
    gamma = np.arctan(flat.positions() / 4.5)
    p, q = curved.apply(u), flat.apply(u)
    resampled = np.stack([np.interp(4.5 * gamma, curved.positions(), row) for row in p])
    assert error(resampled, q) < 2e-3


def test_exact_data_of_ellipses() -> None:
    errors = []
    for n in (64, 128, 256):
        A = transform(n, 24, det_shift=0.1)
        errors.append(error(A.apply(ellipses_image(PHANTOM, (n, n), 2 / n)), exact(A)))
    assert errors[1] < 0.01 and errors[0] / errors[2] > 2.5, errors


def test_the_default_detector_covers_the_image() -> None:
    A = transform(40, 50, source_distance=1.6)
    u, wide = np.ones(A.dims), A.with_detector(A.n_det + 40, 0.0)
    y = wide.apply(u)
    assert not y[:, :18].any() and y[:, 18:24].any() and A.n_det < transform(40, 50, detector="flat").n_det * 2
    np.testing.assert_allclose(A.apply(u), y[:, 20:-20], atol=1e-12)


# ---------------------------------------------------------------- kernels


def small() -> Any:
    distances = dict(source_distance=9.0, detector_distance=4.0)
    return ip.FanBeamTransform(
        (7, 10), BETA[:6], 9, 2.0, det_shift=0.4, detector="curved", pixel_size=(0.8, 1.1), **distances
    )


@twins("float32", "float64")
def test_the_matrix_is_joseph_s(twin: str, dtype: str, monkeypatch: Any, rng: Any) -> None:
    forced(monkeypatch, twin)
    A = small()
    M = lines_reference.matrix(tuple(A.dims), A._views.host, A.n_det, A.pixel_widths, A.turn)
    u = rng.standard_normal((2, *A.dims)).astype(dtype)
    B = ip.FanBeamTransform(
        A.dims, A.angles, 9, 2.0, source_distance=9.0, detector_distance=4.0, det_shift=0.4, detector="curved",
        pixel_size=(0.8, 1.1), dtype=dtype,
    )  # fmt: skip
    np.testing.assert_allclose(
        B.apply(u).reshape(2, -1), (M @ u.reshape(2, -1).T).T, atol=1e-4 if dtype == "float32" else 1e-11
    )


@twins("float32", "float64")
def test_back_projection_equals_its_reference(twin: str, dtype: str, monkeypatch: Any, rng: Any) -> None:
    forced(monkeypatch, twin)
    A = small()
    q = rng.standard_normal((2, *A.dimsd)).astype(dtype)
    x, expected = np.empty((2, 7, 10), dtype), np.empty((2, 7, 10))
    fan_kernels.backproject_curved(q, x, A._views.host, 9.0, A.turn)
    for qi, xi in zip(q, expected, strict=True):
        lines_reference.backproject_curved(qi, xi, A._views.host, 9.0, A.turn)
    assert np.abs(x - expected).max() < (1e-5 if dtype == "float32" else 1e-7)


@pytest.mark.simulated
def test_back_projection_on_the_device(xp: ModuleType, rng: Any) -> None:
    A = small()
    q = rng.standard_normal((2, *A.dimsd)).astype(np.float32)
    device, on_host = xp.empty((2, 7, 10), np.float32), np.empty((2, 7, 10), np.float32)
    fan_kernels.backproject_curved(xp.asarray(q), device, A._views_like(device), 9.0, A.turn)
    fan_kernels.backproject_curved(q, on_host, A._views.host, 9.0, A.turn)
    assert np.abs(backend.to_host(device) - on_host).max() < 1e-5


@pytest.mark.simulated
def test_rays_on_the_device(xp: ModuleType, rng: Any) -> None:
    """Wide fans too, whose last ray is beyond a right angle from the first."""
    wide = ip.FanBeamTransform((5, 4), BETA[:5], source_distance=3.4, detector_distance=0.0, detector="curved")
    assert wide.turn * (wide.n_det - 1) > math.pi / 2
    for A in (wide, small()):
        u, y = rng.random(tuple(A.dims), dtype=np.float32), rng.random(tuple(A.dimsd), dtype=np.float32)
        assert np.abs(backend.to_host(A.apply(xp.asarray(u))) - A.apply(u)).max() < 1e-4
        assert np.abs(backend.to_host(A.apply_adjoint(xp.asarray(y))) - A.apply_adjoint(y)).max() < 1e-4


# ---------------------------------------------------------------- filtered back-projection


@pytest.mark.parametrize("filter", ["ramp", "hann"])
def test_fbp_is_as_good_as_on_a_flat_detector(filter: str) -> None:
    truth = ellipses_image(PHANTOM, (128, 128), 2 / 128)
    for arc, change in ((2 * math.pi, {}), (math.pi + 0.8, {}), (2 * math.pi, dict(source_distance=1.6))):
        curved, flat = (transform(128, 360, arc, detector=d, **change) for d in ("curved", "flat"))
        x, y = (error(ip.fbp(A, exact(A), filter)[0], truth) for A in (curved, flat))
        assert x < 1.15 * y < 0.1, (x, y)


def test_fbp_keeps_the_level() -> None:
    """The mean over the inside of a disc: full circle, short scans, shifts, half fan, wide and narrow detectors."""
    disc = [Ellipse(2.0, 0.1, -0.1, 0.6, 0.6)]
    inside = ellipses_image([Ellipse(1.0, 0.1, -0.1, 0.5, 0.5)], (64, 64), 2 / 64) == 1
    changes: list[dict[str, Any]] = [
        {},
        dict(det_shift=0.3, n_det=160),
        dict(detector_distance=0.0),
        dict(source_distance=1.6),
    ]
    changes += [dict(det_shift=0.1 * np.sin(np.arange(200.0)), n_det=120)]
    for arc in (2 * math.pi, 1.5 * math.pi, math.pi + 1.1):
        for change in changes + ([dict(n_det=40, det_shift=0.8), dict(n_det=30)] if arc > 6 else []):
            A = transform(64, 200, arc, **change)
            x, info = ip.fbp(A, ellipses_line_integrals(disc, *A.parallel_coordinates()), "hann")
            where = inside & (x != 0) if info.parameters else inside  # a field of view
            assert where.sum() > 300 and x[where].mean() == pytest.approx(2.0, rel=0.02), (arc, change)


def test_subsets_are_curved_too() -> None:
    A = transform(24, 12)
    assert A.subset([1, 5]).detector == "curved" and A.subset([1, 5]).turn == A.turn > 0
    u = np.random.default_rng(0).random(A.dims)
    np.testing.assert_allclose(A.subset([1, 5]).apply(u), A.apply(u)[[1, 5]], atol=1e-12)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="^detector is 'round'; expected one of 'flat', 'curved'"):
        transform(8, 4, detector="round")
    with pytest.raises(ValueError, match="^geometry has a curved detector; expected a flat one"):
        AstraTransform(transform(8, 4, dtype="float32"))
