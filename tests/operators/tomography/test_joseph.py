"""Joseph's projector: kernels against their matrix, geometry, positivity, subsets, its norm, refused input."""

from __future__ import annotations

import math
import pickle
import threading
from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox.kernels.lines import front as lines
from ipbox.kernels.lines import reference as lines_reference
from ipbox.operators.core.positive import collatz_wielandt
from ipbox.problems.simulated.joseph import joseph
from ipbox.problems.truths.phantoms import Ellipse, ellipses_image, ellipses_sinogram
from tests.kernels.twins import forced, twins

ANGLES = np.concatenate([np.random.default_rng(1).uniform(-7, 7, 12), np.arange(-4, 5) * math.pi / 4])


def geometries(dtype) -> list:
    fan = dict(source_distance=40.0, detector_distance=20.0, dtype=dtype)
    return [
        ip.JosephTransform((13, 17), ANGLES, dtype=dtype),
        ip.JosephTransform((19, 12), ANGLES, n_det=40, det_spacing=0.37, det_shift=0.8, pixel_size=0.7, dtype=dtype),
        ip.JosephTransform((1, 9), ANGLES, dtype=dtype),
        ip.JosephTransform((8, 1), ANGLES, det_spacing=3.0, dtype=dtype),
        ip.FanBeamTransform((18, 11), ANGLES, **fan),
        ip.FanBeamTransform((9, 13), ANGLES, n_det=31, det_spacing=4.0, det_shift=-3.3, **fan),
        ip.FanBeamTransform((9, 13), ANGLES, n_det=31, **(fan | dict(source_distance=8.0, detector_distance=0.0))),
    ]


def matrix(A) -> np.ndarray:
    return lines_reference.matrix(tuple(A.dims), A._views.host, A.n_det, A.pixel_widths, A.turn)


@twins(np.float32, np.float64)
def test_kernels_equal_the_matrix_and_its_transpose(twin, dtype, monkeypatch, rng) -> None:
    forced(monkeypatch, twin)
    tolerance = 5e-5 if dtype == np.float32 else 1e-12  # positions are known to an ulp of the image's width
    for A in geometries(dtype):
        M = matrix(A)
        x, y = rng.standard_normal((2, *A.dims)).astype(dtype), rng.standard_normal((2, *A.dimsd)).astype(dtype)
        p, u = A.apply(x), A.apply_adjoint(y)
        expected, back = (M @ x.reshape(2, -1).T).T, (M.T @ y.reshape(2, -1).T).T
        assert np.abs(p.reshape(2, -1) - expected).max() <= tolerance * np.abs(expected).max()
        assert np.abs(u.reshape(2, -1) - back).max() <= tolerance * np.abs(back).max()


def test_against_the_simulator(rng) -> None:
    """Another implementation of Joseph's method, written for simulated data."""
    u = rng.standard_normal((17, 24))
    geometry = dict(n_det=50, det_spacing=0.37, det_shift=0.8, pixel_size=0.7)
    A = ip.JosephTransform(u.shape, ANGLES, dtype="float64", **geometry)
    assert np.abs(A.apply(u) - joseph(u, ANGLES, **geometry)).max() < 1e-11


def test_same_geometry_as_the_ray_transform() -> None:
    """For a smooth image the two agree, and with the exact sinogram: in shift, spacing, units, orientation."""
    y, x = np.mgrid[:60, :80]
    u = np.exp(-((x - 50) ** 2) / 60 - (y - 20) ** 2 / 30)
    for geometry in (dict(), dict(det_spacing=0.5, det_shift=3.0, n_det=200), dict(pixel_size=0.3)):
        A = ip.JosephTransform(u.shape, ANGLES, dtype="float64", **geometry)
        R = ip.RayTransform(u.shape, ANGLES, dtype="float64", **geometry)
        assert A.dimsd == R.dimsd
        p = R.apply(u)
        assert np.linalg.norm(A.apply(u) - p) < 0.01 * np.linalg.norm(p)
    h, e = 2 / 128, [Ellipse(1.0, 0.2, -0.1, 0.5, 0.3, 0.4)]
    A = ip.JosephTransform((128, 128), ANGLES, pixel_size=h, dtype="float64")
    s = (np.arange(A.n_det) - (A.n_det - 1) / 2) * h
    exact = ellipses_sinogram(e, ANGLES, s)
    assert np.linalg.norm(A.apply(ellipses_image(e, (128, 128), h)) - exact) < 0.01 * np.linalg.norm(exact)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_negative_value_to_the_last_bit(dtype, rng) -> None:
    for A in [
        ip.JosephTransform((101, 87), rng.uniform(-7, 7, 60), dtype=dtype),
        ip.JosephTransform((40, 40), rng.uniform(-7, 7, 60), det_spacing=1e-5, det_shift=20.0, n_det=500, dtype=dtype),
        ip.FanBeamTransform(
            (101, 87), rng.uniform(-7, 7, 60), source_distance=67.0, detector_distance=3.0, n_det=500, dtype=dtype
        ),
        ip.FanBeamTransform(
            (40, 40), rng.uniform(-7, 7, 60), n_det=500, det_spacing=1e-6, det_shift=30.0,
            source_distance=1e6, detector_distance=0.0, dtype=dtype,
        ),
    ]:  # fmt: skip
        assert (A.apply((rng.random(A.dims) < 0.1).astype(dtype)) >= 0).all()
        assert (A.apply_adjoint((rng.random(A.dimsd) < 0.1).astype(dtype)) >= 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parallel_and_serial_agree_bit_for_bit(dtype, monkeypatch, rng) -> None:
    for A in geometries(dtype)[:2] + geometries(dtype)[4:]:
        x, y = rng.standard_normal((3, *A.dims)).astype(dtype), rng.standard_normal((3, *A.dimsd)).astype(dtype)
        results = []
        for twin in ("parallel", "serial"):
            forced(monkeypatch, twin)
            results.append((A.apply(x).tobytes(), A.apply_adjoint(y).tobytes()))
        assert results[0] == results[1]


def test_chunks_of_a_batch_are_its_slices_bit_for_bit(monkeypatch, rng) -> None:
    A = ip.JosephTransform((20, 31), ANGLES)
    x = rng.random((5, 20, 31), dtype=np.float32)
    y = A.apply(x)
    z = A.apply_adjoint(y)
    monkeypatch.setattr(lines, "CHUNK", 2 * 20 * 31)
    assert A.apply(x).tobytes() == y.tobytes() and A.apply_adjoint(y).tobytes() == z.tobytes()
    assert A.apply(x[3]).tobytes() == y[3].tobytes() and A.apply_adjoint(y[3]).tobytes() == z[3].tobytes()


def test_threads_may_share_an_operator(rng) -> None:
    A = ip.JosephTransform((64, 64), ANGLES)
    xs = rng.random((6, 64, 64), dtype=np.float32)
    expected, found = [A.apply(x).tobytes() for x in xs], [b""] * 6

    def work(i: int) -> None:
        for _ in range(5):
            found[i] = A.apply(xs[i]).tobytes()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert found == expected


# ---------------------------------------------------------------- subsets


def operators(dtype="float32") -> list:
    return [
        ip.JosephTransform((9, 12), ANGLES, n_det=14, det_shift=0.3, pixel_size=0.7, dtype=dtype),
        ip.RayTransform((9, 12), ANGLES, n_det=14, det_shift=0.3, pixel_size=0.7, dtype=dtype, eps=1e-5),
        ip.FanBeamTransform((9, 12), ANGLES, n_det=14, source_distance=20.0, detector_distance=9.0, dtype=dtype),
    ]


@pytest.mark.parametrize("A", operators(), ids=lambda A: A.name)
@pytest.mark.simulated
def test_ordered_subsets(A, xp: ModuleType, rng) -> None:
    x = xp.asarray(rng.random(tuple(A.dims), dtype=np.float32))
    b, n = A.apply(x), 4
    total = xp.zeros(tuple(A.dims), np.float32)
    for k in range(n):
        part = A.subset(slice(k, None, n))
        assert type(part) is type(A) and part.dtype_in == A.dtype_in and part.dimsd == b[k::n].shape
        assert np.array_equal(part.angles, A.angles[k::n])
        assert float(xp.abs(part.apply(x) - b[k::n]).max()) < 1e-4
        total += part.apply_adjoint(xp.ascontiguousarray(b[k::n]))
    whole = A.apply_adjoint(b)
    assert float(xp.abs(total - whole).max()) < 1e-4 * float(xp.abs(whole).max())


@pytest.mark.parametrize("A", operators("float64"), ids=lambda A: A.name)
def test_subset_by_indices(A, rng) -> None:
    x, chosen = rng.random(tuple(A.dims)), np.array([3, 3, -1, 0])
    part = A.subset(chosen)
    assert np.abs(part.apply(x) - A.apply(x)[chosen]).max() < 1e-8
    assert part.norm() != A.norm() and part.subset([1]).dimsd == (1, 14)
    assert A.dimsd == (21, 14)  # untouched
    copy = pickle.loads(pickle.dumps(part))  # how processes hand operators over
    assert np.array_equal(copy.apply(x), part.apply(x))


@pytest.mark.parametrize(
    "indices, error, message",
    [
        (slice(30, None), ValueError, "leaves none of the 21 angles"),
        ([], ValueError, "leaves none of the 21 angles"),
        ([0, 21], ValueError, "reach from 0 to 21; expected those of 21 angles"),
        ([-22], ValueError, "reach from -22"),
        ([0.5], TypeError, "dtype float64; expected a slice or a vector of integers"),
        ([[1]], TypeError, r"indices has shape \(1, 1\)"),
        (np.ones(21, bool), TypeError, "dtype bool"),
    ],
)
def test_bad_subsets(indices, error, message) -> None:
    for A in operators():
        with pytest.raises(error, match=message):
            A.subset(indices)


# ---------------------------------------------------------------- norm


def test_norm_is_a_close_bound() -> None:
    for A in geometries("float64") + geometries("float32") + [ip.JosephTransform((64, 48), [0.0], n_det=5)]:
        M = matrix(A)
        true = math.sqrt(np.linalg.eigvalsh((M.T @ M).toarray())[-1])
        assert A.norm_kind == "bound" and true * (1 - 1e-6) <= A.norm() <= 1.02 * true


def test_norm_where_no_ray_meets_the_image() -> None:
    A = ip.JosephTransform((5, 6), ANGLES, n_det=3, det_shift=100.0)
    assert not A.apply(np.ones((5, 6), np.float32)).any() and A.norm() == 0.0


def test_parts_that_do_not_see_each_other() -> None:
    """Rays along the columns: A*A is block diagonal, and Collatz and Wielandt's quotient bounds every block."""
    A = ip.JosephTransform((4, 6), [0.0, 0.0, math.pi], n_det=4, det_shift=0.5, dtype="float64")
    assert math.sqrt(collatz_wielandt(A)) == pytest.approx(np.linalg.norm(matrix(A).toarray(), 2), rel=0.02)


# ---------------------------------------------------------------- input


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(dims=(4, 4, 4)), ValueError, r"JosephTransform expects \(ny, nx\)"),
        (dict(dims=(4, 0)), ValueError, "dims is"),
        (dict(angles=[]), ValueError, "expected a non-empty vector of radians"),
        (dict(angles=[90.0]), ValueError, "looks like degrees"),
        (dict(angles=[np.nan]), ValueError, "angles has NaN"),
        (dict(n_det=0), ValueError, "n_det is 0; expected a positive integer"),
        (dict(det_spacing=-1.0), ValueError, "det_spacing is -1.0"),
        (dict(det_shift=np.inf), ValueError, "det_shift is inf"),
        (dict(pixel_size=0), ValueError, "pixel_size is 0"),
        (dict(dtype="complex64"), TypeError, "expects float32 or float64"),
    ],
)
def test_refusals(change, error, message) -> None:
    with pytest.raises(error, match=message):
        ip.JosephTransform(**(dict(dims=(4, 5), angles=[0.1]) | change))
