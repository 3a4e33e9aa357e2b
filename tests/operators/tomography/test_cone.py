"""Cone beam: the matrix, closed forms, what it has in common with fan beam, geometries by vectors, refused input."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend
from ipbox.kernels.cone import front, reference
from tests.kernels.twins import forced, twins

BETA = np.random.default_rng(3).uniform(-6, 6, 7)
GEOMETRY: dict[str, Any] = dict(source_distance=3.0, detector_distance=1.5)
Vector = tuple[float, float, float]


def circular(dims: tuple[int, int, int] = (5, 7, 6), n_det: tuple[int, int] = (6, 9), **options: Any) -> Any:
    geometry = dict(angles=BETA, det_spacing=1.9, source_distance=12.0, detector_distance=7.0, dtype="float64")
    return ip.ConeBeamTransform(dims, n_det=n_det, **(geometry | options))


def vectors(A: Any) -> tuple[np.ndarray, ...]:
    """S, D, U and V of a circular geometry, as the docstring says, view by view."""
    rows = []
    for k, beta in enumerate(A.angles):
        c, s = math.cos(beta), math.sin(beta)
        v, a = (np.broadcast_to(shift, A.angles.size)[k] for shift in A.det_shift)
        across, up = np.array([0.0, s, c]), np.array([1.0, 0.0, 0.0])
        S = A.source_distance * np.array([0.0, -c, s])
        D = A.detector_distance * np.array([0.0, c, -s]) + a * across + v * up
        turned = math.cos(A.tilt) * across + math.sin(A.tilt) * up, math.cos(A.tilt) * up - math.sin(A.tilt) * across
        rows.append((S, D, A.det_spacing[1] * turned[0], A.det_spacing[0] * turned[1]))
    return tuple(np.array(part) for part in zip(*rows, strict=True))


def by_vectors(A: Any, *parts: np.ndarray, **options: Any) -> Any:
    kept = dict(pixel_size=A.pixel_size, volume_centre=A.volume_centre, dtype=A.dtype_in)
    return ip.ConeVectorTransform(tuple(A.dims), *parts, A.n_det, **(kept | options))


def ball(A: Any, centre: Vector, radius: float, parts: int = 4) -> np.ndarray:
    """The share of each voxel that is in the ball, from ``parts`` cubed points of it."""
    fine = [
        c0 + sign * ((np.arange(n * parts) + 0.5) / parts - n / 2) * h - c
        for n, h, c0, c, sign in zip(A.dims, A.voxel_widths, A.volume_centre, centre, (1, -1, 1), strict=True)
    ]
    z, y, x = np.ix_(*fine)
    inside = (z**2 + y**2 + x**2 <= radius**2).astype(np.float64)
    nz, ny, nx = A.dims
    return inside.reshape(nz, parts, ny, parts, nx, parts).mean(axis=(1, 3, 5))


def chords(parts: tuple[np.ndarray, ...], n_det: tuple[int, int], centre: Vector, radius: float) -> np.ndarray:
    """Lengths of the rays within the ball: 2 √(radius² - distance²)."""
    S, D, U, V = (p[:, None, None] for p in parts)
    r, c = ((np.arange(n) - 0.5 * (n - 1)) for n in n_det)
    d = D + c[:, None] * U + r[:, None, None] * V - S
    d = d / np.linalg.norm(d, axis=-1, keepdims=True)
    square = (np.cross(np.array(centre) - S, d) ** 2).sum(axis=-1)
    return 2 * np.sqrt(np.clip(radius**2 - square, 0, None))


def error(x: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(x - truth) / np.linalg.norm(truth))


# ---------------------------------------------------------------- kernels


UPRIGHT = circular(pixel_size=(0.7, 1.1, 0.9), det_shift=(0.3, -0.4), volume_centre=(0.2, 0.1, -0.3))
LEANING = circular(tilt=0.4)
STEEP = circular(dims=(9, 3, 2), det_spacing=6.0)


@twins("float32", "float64")
@pytest.mark.parametrize("A", [UPRIGHT, LEANING, STEEP], ids=["upright", "leaning", "steep"])
def test_kernels_equal_their_reference(A, twin, dtype, monkeypatch, rng) -> None:
    forced(monkeypatch, twin)
    M = reference.matrix(tuple(A.dims), A._views.host, A.n_det, A.voxel_widths)
    x, y = rng.standard_normal((2, *A.dims)).astype(dtype), rng.standard_normal((2, *A.dimsd)).astype(dtype)
    assert A._upright == (A is not LEANING) and A._steep == (A is STEEP)
    for upright in {A._upright, False}:
        p, u = np.empty_like(y), np.empty_like(x)
        front.project(x, p, A._views.host, A._widths.host, upright, A._steep)
        front.backproject(y, u, A._views.host, A._widths.host, upright, A._steep)
        tol = 1e-5 if dtype == "float32" else 1e-12
        assert error(p.reshape(2, -1), (M @ x.reshape(2, -1).T).T) < tol
        assert error(u.reshape(2, -1), (M.T @ y.reshape(2, -1).T).T) < tol


@pytest.mark.parametrize("A", [UPRIGHT, LEANING], ids=["upright", "leaning"])
def test_parallel_and_serial_agree_bit_for_bit(A, monkeypatch, rng) -> None:
    x, y, found = rng.random(A.dims), rng.random(A.dimsd), []
    for size in (0, math.inf):
        monkeypatch.setattr("ipbox.kernels.core.compile.PARALLEL_SIZE", size)
        found.append((A.apply(x).tobytes(), A.apply_adjoint(y).tobytes()))
    assert found[0] == found[1]


@pytest.mark.simulated
@pytest.mark.parametrize("options", [{}, dict(tilt=0.4)], ids=["upright", "leaning"])
def test_the_device_s_kernels_equal_the_host_s(options: dict, xp: ModuleType, rng) -> None:
    A = circular(dims=(3, 4, 5), n_det=(4, 5), angles=BETA[:3], dtype="float32", **options)
    x, y = rng.random((2, *A.dims), dtype=np.float32), rng.random((2, *A.dimsd), dtype=np.float32)
    assert np.abs(backend.to_host(A.apply(xp.asarray(x))) - A.apply(x)).max() < 1e-5
    assert np.abs(backend.to_host(A.apply_adjoint(xp.asarray(y))) - A.apply_adjoint(y)).max() < 1e-5


@pytest.mark.parametrize("dtype, tol", [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("tilt", [0.0, 0.1])
def test_dot_test_of_a_volume(dtype: str, tol: float, tilt: float, rng) -> None:
    A = ip.ConeBeamTransform((20, 24, 22), BETA, (25, 31), pixel_size=0.06, tilt=tilt, dtype=dtype, **GEOMETRY)
    u, v = rng.standard_normal(A.dims).astype(dtype), rng.standard_normal(A.dimsd).astype(dtype)
    Au, Av = A.apply(u).astype(np.float64), A.apply_adjoint(v).astype(np.float64)
    assert abs((Au * v).sum() - (u * Av).sum()) < tol * np.linalg.norm(Au) * np.linalg.norm(v)


def test_no_reading_of_a_non_negative_volume_is_negative(rng) -> None:
    A = circular(dtype="float32")
    x = (rng.random(A.dims) > 0.8).astype(np.float32)
    y = (rng.random(A.dimsd) > 0.8).astype(np.float32)
    assert A.nonnegative and A.apply(x).min() >= 0 and A.apply_adjoint(y).min() >= 0


# ---------------------------------------------------------------- closed forms


SETTINGS: dict[str, dict[str, Any]] = {
    "centred": {},
    "shifted panel": dict(det_shift=(0.07, -0.12)),
    "a shift for each view": dict(det_shift=(0.05 * np.cos(BETA), 0.1 * np.sin(BETA))),
    "off the axis, slices 1.5 as high": dict(pixel_size=(0.03, 0.02, 0.02), volume_centre=(0.1, -0.05, 0.08)),
    "turned panel": dict(tilt=0.2, det_shift=(0.05, 0.1)),
}
CENTRE, RADIUS = (0.12, -0.1, 0.15), 0.55


def check_ball(A: Any, parts: tuple[np.ndarray, ...]) -> None:
    """To 0.5 % where rays cross much of it, to 0.05 % in the sum; at its rim the voxels blur it."""
    p, truth = A.apply(ball(A, CENTRE, RADIUS).astype(np.float32)), chords(parts, A.n_det, CENTRE, RADIUS)
    deep = truth > RADIUS
    assert error(p[deep], truth[deep]) < 0.005 and error(p, truth) < 0.025
    assert p.sum(dtype=np.float64) == pytest.approx(truth.sum(), rel=5e-4)


@pytest.mark.parametrize("name", SETTINGS)
def test_exact_data_of_a_ball(name: str) -> None:
    options = dict(pixel_size=0.02) | SETTINGS[name]
    nz = 72 if "slices" in name else 88
    A = ip.ConeBeamTransform((nz, 92, 90), BETA, (60, 64), 0.04, dtype="float32", **GEOMETRY, **options)
    check_ball(A, vectors(A))


@pytest.mark.parametrize("lean", [0.0, 0.5], ids=["helix", "laminography"])
def test_exact_data_of_a_ball_by_vectors(lean: float) -> None:
    """A helix of two turns; then the same with an orbit about an axis that leans, and panels that turn with it."""
    beta = np.linspace(0, 4 * math.pi, 9)
    height, c, s, o = 0.1 * (np.arange(9) - 4), np.cos(beta), np.sin(beta), np.zeros(9)
    parts = [
        np.stack(p, axis=1) for p in ((height, -3 * c, 3 * s), (height, 1.5 * c, -1.5 * s), (o, 0.04 * s, 0.04 * c))
    ]
    turn = np.array([[math.cos(lean), -math.sin(lean), 0], [math.sin(lean), math.cos(lean), 0], [0, 0, 1]])
    parts = [p @ turn.T for p in (*parts, np.broadcast_to([0.04, 0.0, 0.0], (9, 3)))]
    A = ip.ConeVectorTransform((88, 92, 90), *parts, (60, 64), pixel_size=0.02)
    assert A._upright == (lean == 0)
    check_ball(A, tuple(parts))


@pytest.mark.parametrize("options", [{}, dict(det_shift=(0.0, 0.7), pixel_size=(1.0, 0.8, 1.2))], ids=["", "shifted"])
def test_the_plane_of_the_source_is_fan_beam(options: dict, rng) -> None:
    A = circular(n_det=(5, 9), **options)
    fan = ip.FanBeamTransform(
        (7, 6), BETA, 9, 1.9, source_distance=12.0, detector_distance=7.0, dtype="float64",
        det_shift=A.det_shift[1], pixel_size=A.voxel_widths[1:],
    )  # fmt: skip
    u, y = rng.random(A.dims), rng.random(fan.dimsd)
    assert error(A.apply(u)[:, 2], fan.apply(u[2])) < 1e-12
    single = circular(n_det=(5, 9), dtype="float32", **options)
    assert error(single.apply(u.astype(np.float32))[:, 2], fan.apply(u[2])) < 1e-5
    data = np.zeros(A.dimsd)
    data[:, 2] = y
    assert error(A.apply_adjoint(data)[2], fan.apply_adjoint(y)) < 1e-12


@pytest.mark.parametrize("A", [UPRIGHT, LEANING], ids=["upright", "leaning"])
def test_circular_equals_its_vectors(A, rng) -> None:
    B, u, y = by_vectors(A, *vectors(A)), rng.random(A.dims), rng.random(A.dimsd)
    assert error(B.apply(u), A.apply(u)) < 1e-12 and error(B.apply_adjoint(y), A.apply_adjoint(y)) < 1e-12
    one = A.subset([2])
    assert error(one.apply(u), A.apply(u)[2:3]) < 1e-12 and one.angles == A.angles[2]
    assert error(B.subset(slice(1, None, 3)).apply(u), A.apply(u)[1::3]) < 1e-12


def test_upright_and_general_kernels_agree_in_single_precision(rng) -> None:
    A, u = circular(dtype="float32"), rng.random((5, 7, 6), dtype=np.float32)
    p = np.empty((1, *A.dimsd), np.float32)
    front.project(u[None], p, A._views.host, A._widths.host, False, False)
    assert error(A.apply(u), p[0]) < 1e-6


def test_units_scale(rng) -> None:
    """In millimetres instead of centimetres line integrals are ten times as large."""
    u, lengths = rng.random((5, 7, 6)), dict(det_spacing=19.0, source_distance=120.0, detector_distance=70.0)
    mm = circular(pixel_size=(7.0, 11.0, 9.0), det_shift=(3.0, -4.0), volume_centre=(2.0, 1.0, -3.0), **lengths)
    assert error(mm.apply(u), 10 * UPRIGHT.apply(u)) < 1e-12


def test_the_default_panel_covers_the_volume() -> None:
    A = ip.ConeBeamTransform((9, 12, 14), np.linspace(0, 6, 25), source_distance=20.0, detector_distance=5.0)
    rows, columns = A.n_det
    more = rows + 6, columns + 6
    wide = ip.ConeBeamTransform((9, 12, 14), A.angles, more, source_distance=20.0, detector_distance=5.0)
    y = wide.apply(np.ones(A.dims, np.float32))
    assert error(A.apply(np.ones(A.dims, np.float32)), y[:, 3:-3, 3:-3]) < 1e-6
    assert not y[:, :3].any() and not y[..., :3].any() and y[:, 3:6].any() and y[..., 3:6].any()


# ---------------------------------------------------------------- input


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(dims=(4, 4)), ValueError, r"dims is \(4, 4\); ConeBeamTransform expects \(nz, ny, nx\)"),
        (dict(angles=[180.0]), ValueError, "looks like degrees"),
        (dict(angles=[]), ValueError, "expected a non-empty vector of radians"),
        (dict(source_distance=5.0), ValueError, "source_distance is 5; expected more than 5, so that the source stays"),
        (dict(source_distance=-1.0), ValueError, "source_distance is -1.0; expected a positive number"),
        (dict(detector_distance=-1.0), ValueError, "detector_distance is -1.0; expected zero or a positive number"),
        (dict(n_det=7), ValueError, r"n_det is 7; expected two positive integers \(rows, columns\)"),
        (dict(n_det=(7, 0)), ValueError, "n_det is 0; expected a positive integer"),
        (dict(det_spacing=(1.0, -1.0)), ValueError, "det_spacing is -1.0; expected a positive number, or two"),
        (dict(det_spacing=(1.0, 1.0, 1.0)), ValueError, "det_spacing is .*; expected a positive number, or two"),
        (dict(det_shift=0.3), ValueError, r"det_shift is 0.3; expected a pair \(v, a\)"),
        (dict(det_shift=(0.3, [1.0])), ValueError, r"det_shift has shape \(1,\)"),
        (dict(angles=[[0.1], [0.1, 0.7]]), ValueError, "angles is .*; expected a non-empty vector of radians"),
        (dict(n_det=[[7, 1], 3]), ValueError, "n_det is .*; expected two positive integers"),
        (dict(det_spacing=[[1.0], 3.0]), ValueError, "det_spacing is .*; expected a positive number, or two"),
        (dict(det_shift=(0.3, [[1.0], 2.0])), ValueError, "det_shift is .*; expected a number, or one for each"),
        (dict(pixel_size=[[1.0], 2.0, 1.0]), ValueError, "pixel_size is .*; expected a positive number, or three"),
        (dict(tilt=math.nan), ValueError, "tilt is nan; expected radians in"),
        (dict(tilt=30.0), ValueError, r"tilt is 30.0; expected radians in \[-3.14159, 3.14159\]"),
        (
            dict(pixel_size=(1.0, 2.0)),
            ValueError,
            r"pixel_size is .*; expected a positive number, or three \(z, y, x\)",
        ),
        (dict(volume_centre=0.0), ValueError, r"volume_centre is 0.0; expected three numbers \(z, y, x\)"),
        (dict(dtype="complex64"), TypeError, "ConeBeamTransform expects float32 or float64"),
    ],
)
def test_refusals(change: dict, error: type[Exception], message: str) -> None:
    good = dict(dims=(3, 6, 8), angles=[0.1, 0.7], source_distance=9.0, detector_distance=3.0)
    with pytest.raises(error, match=message):
        ip.ConeBeamTransform(**(good | change))


def test_other_columns_of_the_panel(rng) -> None:
    """They read what the panel's own columns there do, also at some of the views."""
    A = circular(n_det=(6, 10), det_shift=(0.2, 0.4))
    x, a = rng.random(A.dims).astype(A.dtype_in), A.positions()[1]
    b, middle = A.apply(x), a[4:].mean()
    for shift in (float(middle), np.float32(middle), np.full(A.angles.size, middle), [middle] * A.angles.size):
        part = A.with_columns(6, shift).subset([1, 2])
        np.testing.assert_allclose(part.apply(x), b[1:3, :, 4:], rtol=1e-5, atol=1e-6)
    assert A.with_columns(10, 1).positions()[1].mean() == pytest.approx(1.0)
    for n, wrong, message in (
        (0, 0.0, "n is 0; expected a positive integer"),
        (4, np.zeros(2), r"shift has shape \(2,\); expected a number, or one for each of"),
        (4, math.nan, "^shift is nan; expected a finite number"),
    ):
        with pytest.raises(ValueError, match=message):
            A.with_columns(n, wrong)


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(sources=[[0.0, 0.0, 9.0]]), TypeError, "sources is list; expected an array of vectors"),
        (dict(sources=np.zeros((1, 2))), ValueError, r"sources has shape \(1, 2\); expected \(n_views, 3\)"),
        (dict(sources=np.zeros((0, 3))), ValueError, "expected .*one view or more"),
        (dict(sources=np.array([[0.0, 1.0, -1.0]])), ValueError, r"sources has \[.*\] within the volume in view 0"),
        (dict(panels=np.array([[0.0, -14.0, 0.0]])), ValueError, r"panels has \[.*\] behind the source in view 0"),
        (dict(panels=np.zeros((2, 3))), ValueError, r"panels has shape \(2, 3\); expected \(1, 3\), or \(3,\)"),
        (dict(panels=np.array([[0.0, math.nan, 0.0]])), ValueError, "panels has NaN or infinite entries"),
        (dict(along_rows=np.array([2.0, 0, 0])), ValueError, "expected two directions that span a plane"),
        (dict(n_det=(3,)), ValueError, "n_det is .*; expected two positive integers"),
    ],
)
def test_refusals_of_vectors(change: dict, error: type[Exception], message: str) -> None:
    good = dict(
        dims=(3, 6, 8),
        sources=np.array([[0.0, -9.0, 0.0]]),
        panels=np.array([[0.0, 5.0, 0.0]]),
        along_rows=np.array([0.0, 0.0, 1.0]),
        along_columns=np.array([1.0, 0.0, 0.0]),
        n_det=(3, 4),
    )
    with pytest.raises(error, match=message):
        ip.ConeVectorTransform(**(good | change))


@pytest.mark.parametrize("A", [UPRIGHT, LEANING, STEEP], ids=["upright", "leaning", "steep"])
def test_slabs_of_a_volume_with_some_views_at_a_time_are_the_whole(A, monkeypatch, rng) -> None:
    """A u = Σ A_k u_k and (A* r)_k = A_k* r, on the rows of the panel that rays through a slab come to."""
    x, y = rng.standard_normal((2, *A.dims)), rng.standard_normal((2, *A.dimsd))
    whole = A.apply(x), A.apply_adjoint(y)
    monkeypatch.setattr(front, "CHUNK", 1)
    monkeypatch.setattr(front, "READINGS", 2 * math.prod(A.n_det))
    for slices in (1, 2):
        monkeypatch.setattr(front, "SLICES", slices)
        assert len(A.parts) == -(-A.dims[0] // slices) and A.parts[-1].stop == A.dims[0]
        Ax, Ay = A.apply(x), A.apply_adjoint(y)
        assert error(Ax, whole[0]) < 1e-14 and error(Ay, whole[1]) < 1e-14
        assert abs((Ax * y).sum() - (x * Ay).sum()) < 1e-13 * np.linalg.norm(Ax) * np.linalg.norm(y)


def test_a_slab_is_seen_in_its_own_rows(monkeypatch) -> None:
    """All the rows with readings of a slab are among those that are worked on, and not many more."""
    A = circular(dims=(40, 7, 6), n_det=(44, 9))
    monkeypatch.setattr(front, "CHUNK", 1)
    monkeypatch.setattr(front, "SLICES", 4)
    for part in A.parts:
        x = np.zeros(A.dims)
        x[part] = 1
        hit = np.flatnonzero(A.apply(x).any(axis=(0, 2)))
        rows, _ = front._through((1, *A.dims), part, (1, *A.dimsd), A._views.host)
        assert rows.start <= hit[0] and hit[-1] < rows.stop and rows.stop - rows.start <= hit.size + 8
