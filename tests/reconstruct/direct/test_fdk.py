"""Feldkamp's method: balls by closed-form projections, its plane of the source against fan beam, refused input."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend
from ipbox.kernels.cone import front
from ipbox.reconstruct.direct.fdk import _turned
from tests.kernels.twins import forced, twins
from tests.operators.tomography.test_cone import chords, vectors

N = 48
GEOMETRY: dict[str, Any] = dict(source_distance=3.0, detector_distance=1.5, pixel_size=2 / N)
BALLS = [(1.0, (0.0, 0.1, -0.1), 0.7), (0.5, (0.1, -0.2, 0.2), 0.25)]  # value, centre (z, y, x), radius
FULL = 2 * math.pi


def scan(arc: float = FULL, views: int = 160, **options: Any) -> Any:
    geometry = dict(n_det=(56, 56), det_spacing=3.3 / N, dtype="float32") | GEOMETRY | options
    return ip.ConeBeamTransform((N, N, N), np.arange(views) * arc / views, **geometry)


def measured(A: Any) -> np.ndarray:
    """Closed-form projections of the balls."""
    b = sum(value * chords(vectors(A), A.n_det, centre, radius) for value, centre, radius in BALLS)
    return b.astype(A.dtype_out)


def regions(scale: float = 1.0) -> dict[float, np.ndarray]:
    """By its value, voxels of each part, some way from its surface."""
    z, y, x = np.ix_(*(sign * (np.arange(N) - (N - 1) / 2) * 2 / N for sign in (1, -1, 1)))
    large, small = (np.sqrt((z - c[0]) ** 2 + (y - c[1]) ** 2 + (x - c[2]) ** 2) for _, c, _ in BALLS)
    return {
        1.0: (large < 0.58) & (small > 0.37),
        1.5: small < 0.13,
        0.0: (large > 0.82) & (np.hypot(y, x) < 0.9) & (abs(z) < 0.9),
    }


def opening(A: Any) -> float:
    return 2 * math.atan(abs(A.plane().positions()).max() / (A.source_distance + A.detector_distance))


SCANS: dict[str, Any] = {
    "full circle": scan(),
    "short scan": scan(math.pi + opening(scan()) + 0.1),
    "panel to one side": scan(det_shift=(0.0, 0.9), n_det=(56, 42)),
    "a shift for each view": scan(det_shift=(0.1, 0.05 * np.sin(np.arange(160)))),
    "turned panel": scan(tilt=0.06, det_shift=(0.05, 0.0)),
    "panel lower": scan(det_shift=(-0.1, 0.0), n_det=(62, 56)),
}


@pytest.mark.parametrize("name", SCANS)
def test_values_of_balls(name: str) -> None:
    """In the plane of the source to 1 %; in the whole of the balls, which the circle does not measure, to 3 %."""
    A = SCANS[name]
    x, info = ip.fdk(A, measured(A))
    assert x.dtype == np.float32 and info.method == "fdk"
    middle = slice(N // 2 - 2, N // 2 + 2)
    for value, part in regions().items():
        assert x[middle][part[middle]].mean() == pytest.approx(value, abs=0.01), value
        assert x[part].mean() == pytest.approx(value, abs=0.03), value


def test_units() -> None:
    """In millimetres instead of centimetres integrals are ten times as large, and values the same."""
    A = SCANS["full circle"]
    mm = ip.ConeBeamTransform(
        tuple(A.dims), A.angles, A.n_det, 33 / N, source_distance=30.0, detector_distance=15.0, pixel_size=20 / N
    )
    b = measured(A)
    x, y = ip.fdk(A, b, "hann")[0], ip.fdk(mm, 10 * b, "hann")[0]
    assert np.abs(x - y).max() < 1e-4


@pytest.mark.parametrize("name", ["full circle", "short scan", "panel to one side"])
def test_the_plane_of_the_source_is_fbp(name: str) -> None:
    """With an odd number of slices and rows: that slice is what fbp gives for that row."""
    kept = SCANS[name]
    A = ip.ConeBeamTransform(
        (3, N, N), kept.angles, (5, kept.n_det[1]), 3.3 / N, det_shift=kept.det_shift, dtype="float64", **GEOMETRY
    )
    b = measured(A)
    for flags in ({}, dict(mask=False, extend=False)):
        fan = ip.fbp(A.plane(), b[:, 2], "hann", cutoff=0.9, **flags)[0]
        assert np.abs(ip.fdk(A, b, "hann", cutoff=0.9, **flags)[0][1] - fan).max() < 1e-10


def test_a_turned_panel_reads_what_an_upright_one_does() -> None:
    """Readings that are linear over the panel are turned exactly, away from the corners that it lacks."""
    A = scan(views=3, tilt=0.3, dtype="float64")
    v, a = np.meshgrid(*A.positions(), indexing="ij")
    up, right = math.cos(A.tilt) * v + math.sin(A.tilt) * a, math.cos(A.tilt) * a - math.sin(A.tilt) * v
    b = np.stack([2 + 3 * up - right, up, right])[None]
    inside = np.hypot(v, a) < 0.45 * A.n_det[0] * A.det_spacing[0]
    found = _turned(A, b)[0]
    assert np.abs(found - np.stack([2 + 3 * v - a, v, a]))[:, inside].max() < 1e-12
    upright, u = A.upright(), np.ones(A.dims)
    assert upright.tilt == 0 and np.array_equal(upright.apply(u), scan(views=3, dtype="float64").apply(u))


def test_batches_and_precisions() -> None:
    A = scan(views=20)
    b = measured(A)
    x = ip.fdk(A, b)[0]
    both = ip.fdk(A, np.stack([b, 2 * b]))[0]
    assert np.abs(both[0] - x).max() < 1e-5 and np.abs(both[1] - 2 * x).max() < 1e-5
    double = ip.fdk(scan(views=20, dtype="float64"), b.astype(np.float64))[0]
    assert double.dtype == np.float64 and np.abs(double - x).max() < 1e-4


def test_it_is_what_analytic_takes() -> None:
    A = scan(views=20)
    x, info = ip.analytic(A, measured(A))
    assert info.method == "fdk" and np.array_equal(x, ip.fdk(A, measured(A), "hann")[0])


# ---------------------------------------------------------------- the back-projection


SMALL = ip.ConeBeamTransform(
    (4, 5, 6), [0.2, 1.9, 4.0], (5, 6), 1.7, source_distance=12.0, detector_distance=7.0,
    pixel_size=(0.9, 1.1, 0.8), det_shift=(0.3, -0.4), volume_centre=(0.4, 0.1, -0.3), dtype="float64",
)  # fmt: skip


def expected(A: Any, q: np.ndarray) -> np.ndarray:
    """Voxel by voxel, from the formula."""
    x = np.zeros(A.dims)
    (v, a), R, L = A.positions(), A.source_distance, A.source_distance + A.detector_distance
    for index in np.ndindex(*A.dims):
        z, y, X = (
            c + sign * (i - (n - 1) / 2) * h
            for i, n, h, c, sign in zip(index, A.dims, A.voxel_widths, A.volume_centre, (1, -1, 1), strict=True)
        )
        for k, beta in enumerate(A.angles):
            depth = R - X * math.sin(beta) + y * math.cos(beta)
            row = (z * L / depth - v[0]) / A.det_spacing[0]
            column = ((X * math.cos(beta) + y * math.sin(beta)) * L / depth - a[0]) / A.det_spacing[1]
            weights = [
                np.clip(1 - abs(np.arange(n) - at), 0, None) for n, at in zip(A.n_det, (row, column), strict=True)
            ]
            x[index] += weights[0] @ q[k] @ weights[1] * (R / depth) ** 2
    return x


@twins("float32", "float64")
def test_weighted_back_projection(twin: str, dtype: str, monkeypatch, rng) -> None:
    forced(monkeypatch, twin)
    q = rng.standard_normal((2, *SMALL.dimsd)).astype(dtype)
    x = np.empty((2, *SMALL.dims), dtype)
    front.backproject_weighted(q, x, SMALL._views.host, SMALL.magnification)
    for of, found in zip(q, x, strict=True):
        assert np.abs(found - expected(SMALL, of)).max() < (1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.simulated
def test_weighted_back_projection_on_the_device(xp: ModuleType, rng) -> None:
    q = rng.standard_normal((2, *SMALL.dimsd)).astype(np.float32)
    device, host = xp.empty((2, *SMALL.dims), np.float32), np.empty((2, *SMALL.dims), np.float32)
    front.backproject_weighted(xp.asarray(q), device, SMALL._views.like(device), SMALL.magnification)
    front.backproject_weighted(q, host, SMALL._views.host, SMALL.magnification)
    assert np.abs(backend.to_host(device) - host).max() < 1e-5


# ---------------------------------------------------------------- input


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(A=SMALL.plane()), TypeError, "A is FanBeamTransform; fdk expects a ConeBeamTransform"),
        (dict(b=np.zeros((3, 5, 7))), ValueError, r"b has shape \(3, 5, 7\)"),
        (dict(b=np.full(SMALL.dimsd, np.nan)), ValueError, "b .*NaN"),
        (dict(filter="lanczos"), ValueError, "filter is 'lanczos'"),
        (dict(cutoff=0.0), ValueError, "cutoff is 0.0"),
        (dict(extend="no"), TypeError, "extend is 'no'"),
        (dict(mask=1), TypeError, "mask is 1"),
    ],
)
def test_refusals(change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ip.fdk(**(dict(A=SMALL, b=np.zeros(SMALL.dimsd)) | change))


def test_gaps_are_told() -> None:
    A = scan(2.0, views=60)
    with pytest.warns(RuntimeWarning, match="fdk: the views leave out"):
        ip.fdk(A, measured(A))


# ---------------------------------------------------------------- what the panel's upper and lower ends cut off


def column(slices: int, panel_shift: float = 0.0) -> Any:
    """A scan of so many slices, and its data of a disc that goes on above and below them, the same in all slices."""
    options: dict[str, Any] = dict(source_distance=96.0, detector_distance=48.0, det_shift=(panel_shift, 0.0))
    beta = np.arange(90) * FULL / 90
    long, A = (ip.ConeBeamTransform((n, 32, 32), beta, (16, 44), 1.5, **options) for n in (61, slices))
    disc = np.hypot(*np.ogrid[-15.5:16, -15.5:16]) < 10
    return A, long.apply(np.broadcast_to(disc.astype(np.float32), long.dims))


@pytest.mark.parametrize(("panel_shift", "first"), [(0.0, 0), (1.5, 1), (-1.5, 0)])
def test_an_object_that_goes_on_is_whole_where_some_views_see_it(panel_shift: float, first: int) -> None:
    """The slices at the panel's ends are as the middle one; with zeros beyond, too low."""
    A, b = column(17, panel_shift)
    disc = np.hypot(*np.ogrid[-15.5:16, -15.5:16]) < 8
    means, plain = (ip.fdk(A, b, extend=extend)[0][:, disc].mean(axis=1) for extend in (True, False))
    seen = slice(first, 17 - (panel_shift < 0))
    assert means[seen] == pytest.approx(1.0, abs=0.02)
    assert plain[seen].min() < 0.9 and plain[8] == pytest.approx(1.0, abs=0.02)


def test_what_no_view_sees_is_zero() -> None:
    A, b = column(31)
    x, whole = (ip.fdk(A, b, mask=mask)[0] for mask in (True, False))
    assert (x[:5] == 0).all() and (x[-5:] == 0).all() and np.array_equal(x[9:-9], whole[9:-9])
    assert whole[0, 12:20, 12:20].mean() > 0.9


def test_an_object_that_ends_before_the_panel_does_is_not_continued() -> None:
    A, _ = column(17)
    u = np.zeros(A.dims, np.float32)
    u[6:11, 12:20, 10:18] = 1.0
    b = A.apply(u)
    assert ip.fdk(A, b)[0].tobytes() == ip.fdk(A, b, extend=False)[0].tobytes()


def test_rows_and_slabs_at_a_time_give_the_same_volume(monkeypatch, rng) -> None:
    b = rng.random(SMALL.dimsd).astype(SMALL.dtype_out)
    whole = ip.fdk(SMALL, b)[0]
    monkeypatch.setattr("ipbox.reconstruct.direct.fdk.READINGS", 1)
    monkeypatch.setattr(front, "CHUNK", 1)
    monkeypatch.setattr(front, "SLICES", 1)
    assert len(SMALL.parts) == SMALL.dims[0]
    tol = 1e-5 if SMALL.dtype_out == np.float32 else 1e-13
    assert np.abs(ip.fdk(SMALL, b)[0] - whole).max() < tol * np.abs(whole).max()
