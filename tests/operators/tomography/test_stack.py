"""Parallel beam in three dimensions: a stack of slices as one operator, and tilted axes by vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.operators.tomography.cone import stack
from tests.operators.tomography.test_cone import CENTRE, RADIUS, ball, error

THETA = np.random.default_rng(5).uniform(-3, 3, 6)
ONE_SLICE: dict[str, Any] = dict(det_shift=0.4, pixel_size=(0.9, 1.1), image_centre=(0.3, -0.6), dtype="float64")
SLICES = {
    "ray": ip.RayTransform((7, 6), THETA, 11, 1.2, **ONE_SLICE),
    "joseph": ip.JosephTransform((7, 6), THETA, 11, 1.2, **ONE_SLICE),
    "fan": ip.FanBeamTransform((7, 6), THETA, 9, 1.5, source_distance=9.0, detector_distance=6.0, **ONE_SLICE),
}


@pytest.mark.parametrize("name", SLICES)
def test_it_is_the_transform_of_every_slice(name: str, rng: np.random.Generator, monkeypatch: Any) -> None:
    A0 = SLICES[name]
    A, u = ip.SliceStack(A0, 5), rng.standard_normal((2, 5, 7, 6))
    y = rng.standard_normal((2, *A.dimsd))
    for chunk in (stack.CHUNK, 2 * A0.dimsd[0] * A0.dimsd[1]):  # all slices at once, and two at a time
        monkeypatch.setattr(stack, "CHUNK", chunk)
        b, v, n = A.apply(u), A.apply_adjoint(y), A.N.apply(u)
        for s, z in np.ndindex(2, 5):
            np.testing.assert_allclose(b[s, :, z], A0.apply(u[s, z]), rtol=0, atol=1e-12)
            np.testing.assert_allclose(v[s, z], A0.apply_adjoint(y[s, :, z]), rtol=0, atol=1e-12)
            np.testing.assert_allclose(n[s, z], A0.N.apply(u[s, z]), rtol=0, atol=1e-11)
    assert A.norm() == A0.norm() and A.norm_kind == A0.norm_kind and A.nonnegative == A0.nonnegative


def test_ordered_subsets_are_views_of_the_data(rng: np.random.Generator) -> None:
    A, u = ip.SliceStack(SLICES["joseph"], 4), rng.random((4, 7, 6))
    b = A.apply(u)
    for k, part in enumerate(A.subsets(3)):
        np.testing.assert_array_equal(part.apply(u), b[k::3])
        assert part.dims == A.dims and part.voxel_widths == A.voxel_widths


def directions(angles: np.ndarray, lean: float = 0.0) -> list[np.ndarray]:
    """ρ, U and V of a turn about the z axis, then of the same beam leaned back by an angle."""
    c, s, o, cl, sl = np.cos(angles), np.sin(angles), np.zeros_like(angles), math.cos(lean), math.sin(lean)
    rays, up = (np.stack(p, axis=1) for p in ((o - sl, cl * c, -cl * s), (o + cl, sl * c, -sl * s)))
    return [rays, np.stack((o, s, c), axis=1), up]


@pytest.mark.parametrize("dtype, tol", [("float64", 1e-6), ("float32", 1e-5)])
def test_an_upright_axis_by_vectors_is_the_stack(dtype: str, tol: float, rng: np.random.Generator) -> None:
    """θ of parallel beam: rays along (-sin θ, cos θ), the detector along (cos θ, sin θ), as (x, y)."""
    widths, options = (0.8, 0.9, 1.1), ONE_SLICE | {"dtype": dtype}
    A = ip.SliceStack(ip.JosephTransform((7, 6), THETA, 11, 1.2, **options), 5)
    ray, across, up = directions(THETA)
    assert np.allclose(ray[:, 1:] @ [0, 1], -np.sin(THETA)) and np.allclose(across[:, 2], np.cos(THETA))
    kept = dict(pixel_size=widths, volume_centre=(0.0, *ONE_SLICE["image_centre"]), dtype=dtype)
    B = ip.ParallelVectorTransform((5, 7, 6), 3 * ray, 0.4 * across + 9 * ray, 1.2 * across, 0.8 * up, (5, 11), **kept)
    u, y = rng.random(A.dims).astype(dtype), rng.random(A.dimsd).astype(dtype)
    assert error(B.apply(u), A.apply(u)) < tol and error(B.apply_adjoint(y), A.apply_adjoint(y)) < tol
    assert error(B.subset(slice(1, None, 2)).apply(u), A.apply(u)[1::2]) < tol


@pytest.mark.parametrize("lean", [0.0, 0.3, 0.6])
def test_exact_data_of_a_ball_under_a_tilted_axis(lean: float) -> None:
    """Chords 2 √(r² - d²), d the distance of a ray from the centre: to 0.5 % where rays cross much of the ball."""
    ray, across, up = directions(np.linspace(0, 2 * math.pi, 9), lean)
    h, n_det = 0.02, (60, 64)
    middle = 0.07 * across - 0.1 * up
    A = ip.ParallelVectorTransform((88, 92, 90), ray, middle, 0.03 * across, 0.03 * up, n_det, pixel_size=h)
    p = A.apply(ball(A, CENTRE, RADIUS).astype(np.float32))
    r, c = (0.03 * (np.arange(n) - 0.5 * (n - 1)) for n in n_det)
    D = middle[:, None, None] + c[:, None] * across[:, None, None] + r[:, None, None] * up[:, None, None]
    square = (np.cross(np.array(CENTRE) - D, ray[:, None, None]) ** 2).sum(axis=-1)
    truth = 2 * np.sqrt(np.clip(RADIUS**2 - square, 0, None))
    deep = truth > RADIUS
    assert error(p[deep], truth[deep]) < 0.005 and error(p, truth) < 0.025


def test_the_adjoint_of_a_tilted_axis(rng: np.random.Generator) -> None:
    ray, across, up = directions(THETA, 0.4)
    A = ip.ParallelVectorTransform((20, 24, 22), ray, np.zeros(3), across, up, (25, 31), dtype="float64")
    u, v = rng.standard_normal(A.dims), rng.standard_normal(A.dimsd)
    Au, Av = A.apply(u), A.apply_adjoint(v)
    assert abs((Au * v).sum() - (u * Av).sum()) < 1e-10 * np.linalg.norm(Au) * np.linalg.norm(v)


def test_filtered_back_projection_is_that_of_every_slice(rng: np.random.Generator) -> None:
    A0 = ip.RayTransform((24, 22), np.arange(40) * math.pi / 40)
    A, b = ip.SliceStack(A0, 3), rng.random((2, 40, 3, A0.n_det), dtype=np.float32)
    x, info = ip.fbp(A, b, "hann")
    assert x.shape == (2, 3, 24, 22) and info.filter == "hann"
    assert error(x[1, 2], ip.fbp(A0, b[1, :, 2], "hann")[0]) < 1e-5


def test_total_variation_couples_the_slices() -> None:
    """An object that is the same in all slices: with 3-D TV each profits from the data of the others."""
    A0, b0, truth, info = ip.problem("ct", size=48, views=20, noise=0.05, seed=0)
    A, truth = ip.SliceStack(A0, 6), np.broadcast_to(truth, (6, 48, 48))
    clean = A.apply(np.ascontiguousarray(truth))
    noise = np.random.default_rng(1).standard_normal(clean.shape).astype(np.float32)
    b = clean + np.float32(0.05 * np.linalg.norm(clean) / math.sqrt(clean.size)) * noise
    lam = 0.3 * float(info.pixel_size)
    coupled, alone = (ip.tv(A, b, lam, nonneg=True, axes=axes, tol=1e-3)[0] for axes in (None, (1, 2)))
    assert ip.nrmse(coupled, truth) < 0.85 * ip.nrmse(alone, truth)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: ip.SliceStack(ip.Identity((3, 4)), 3), TypeError, "A is Identity; SliceStack expects a RayTransform"),
        (lambda: ip.SliceStack(SLICES["ray"], 0), ValueError, "n_slices is 0; expected a positive integer"),
        (
            lambda: ip.SliceStack(SLICES["ray"], 3, -1.0),
            ValueError,
            "slice_spacing is -1.0; expected a positive number",
        ),
    ],
)
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(directions=[[0.0, 1.0, 0.0]]), TypeError, "directions is list; expected an array of vectors"),
        (dict(directions=np.zeros((1, 3))), ValueError, "directions is 0 in view 0; expected the direction"),
        (dict(directions=np.array([[1.0, 0.0, 2.0]])), ValueError, "expected two directions that span a plane without"),
        (dict(panels=np.zeros((2, 3))), ValueError, r"panels has shape \(2, 3\); expected \(1, 3\), or \(3,\)"),
        (dict(n_det=5), ValueError, r"n_det is 5; expected two positive integers \(rows, columns\)"),
    ],
)
def test_refusals_of_vectors(change: dict, error: type[Exception], message: str) -> None:
    good = dict(
        dims=(3, 6, 8),
        directions=np.array([[0.0, 1.0, 0.0]]),
        panels=np.zeros(3),
        along_rows=np.array([0.0, 0.0, 1.0]),
        along_columns=np.array([1.0, 0.0, 0.0]),
        n_det=(3, 4),
    )
    with pytest.raises(error, match=message):
        ip.ParallelVectorTransform(**(good | change))
