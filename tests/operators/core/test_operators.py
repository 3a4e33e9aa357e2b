"""The ray transform against exact line integrals and its own symmetries; what operators accept and refuse."""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pylops
import pytest

import ipbox as ip
from ipbox.operators import Operator, as_operator
from ipbox.operators.core.norms import golub_kahan
from ipbox.problems.truths.phantoms import Ellipse, ellipses_image, ellipses_sinogram

ROOT = Path(ip.__file__).parents[1]
# on [-1, 1]²: a body, a dark and a bright inclusion, none of them thin
BODY = (
    Ellipse(1.0, 0.02, -0.05, 0.62, 0.80, 0.2),
    Ellipse(-0.5, 0.15, 0.2, 0.22, 0.3, 0.6),
    Ellipse(0.3, -0.25, -0.2, 0.15, 0.21, -0.4),
)


def views(n: int) -> np.ndarray:
    return np.arange(n) * (math.pi / n)


def detector(A: ip.RayTransform) -> np.ndarray:
    """The positions s_k of the detector pixels' centres."""
    return (np.arange(A.n_det) - (A.n_det - 1) / 2) * A.det_spacing + A.det_shift


def relative(x: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(x - expected) / np.linalg.norm(expected))


def blob(dims: tuple[int, int], x0: float, y0: float, width: float, h: float = 1.0) -> np.ndarray:
    """A Gaussian about (x0, y0), band-limited to rounding."""
    x = (np.arange(dims[1]) - (dims[1] - 1) / 2) * h - x0
    y = ((dims[0] - 1) / 2 - np.arange(dims[0])) * h - y0
    return np.exp(-(x[None, :] ** 2 + y[:, None] ** 2) / (2 * width**2))


# ---------------------------------------------------------------- accuracy


def error_on_the_body(size: int, **geometry: float) -> float:
    """Relative error against exact averages over the detector pixels; lengths in pixels."""
    h = 2 / size
    geometry = {k: v if k == "n_det" else v * h for k, v in geometry.items()}
    A = ip.RayTransform((size, size), views(50), pixel_size=h, dtype="float32", **geometry)
    exact = ellipses_sinogram(BODY, A.angles, detector(A), bin_width=A.det_spacing)
    return relative(A.apply(ellipses_image(BODY, (size, size), h).astype(np.float32)), exact)


@pytest.mark.parametrize(("size", "allowed"), [(256, 0.002), (512, 0.001)])
def test_ray_transform_of_ellipses(size: int, allowed: float) -> None:
    assert error_on_the_body(size) <= allowed


@pytest.mark.parametrize(
    "geometry",
    [
        {"det_spacing": 0.5},
        {"det_spacing": 2.0},
        {"det_shift": 0.3},
        {"n_det": 101},
        {"n_det": 101, "det_shift": 20.3},
        {"n_det": 60, "det_spacing": 2.0, "det_shift": -7.7},
    ],
    ids=str,
)
def test_ray_transform_of_ellipses_on_other_detectors(geometry: dict[str, float]) -> None:
    assert error_on_the_body(256, **geometry) <= 0.003


@pytest.mark.parametrize(("dtype", "allowed"), [("float32", 2e-4), ("float64", 1e-7)])
@pytest.mark.parametrize("dims", [(41, 50), (40, 51), (48, 48), (47, 47)])
def test_ray_transform_of_a_gaussian(dims: tuple[int, int], dtype: str, allowed: float) -> None:
    """Exact for what is band-limited, on every parity of the grid: the Gaussian's projection is one too."""
    h, width, x0, y0 = 0.7, 1.9, 2.1, -3.3
    A = ip.RayTransform(dims, [0.0, 0.3, 1.2, math.pi / 2, 2.5, -0.9], det_shift=0.2, pixel_size=h, dtype=dtype)
    s = detector(A)[None, :] - x0 * np.cos(A.angles)[:, None] - y0 * np.sin(A.angles)[:, None]
    exact = width * math.sqrt(2 * math.pi) * np.exp(-(s**2) / (2 * width**2))
    assert relative(A.apply(blob(dims, x0, y0, width, h).astype(dtype)), exact) <= allowed


# ---------------------------------------------------------------- symmetries and scalings


@pytest.mark.parametrize("dims", [(16, 16), (15, 15), (13, 18)])
def test_rotation_by_90_degrees(dims: tuple[int, int], rng: np.random.Generator) -> None:
    u, theta = rng.standard_normal(dims), np.array([0.0, 0.4, 1.1, 2.8])
    A = ip.RayTransform(dims, theta, n_det=31, det_shift=0.3, dtype="float64")
    turned = ip.RayTransform(dims[::-1], theta + math.pi / 2, n_det=31, det_shift=0.3, dtype="float64")
    assert relative(turned.apply(np.rot90(u)), A.apply(u)) <= 1e-8
    opposite = ip.RayTransform(dims, theta + math.pi, n_det=31, det_shift=-0.3, dtype="float64")
    assert relative(opposite.apply(u)[:, ::-1], A.apply(u)) <= 1e-8


def test_projections_at_0_and_90_degrees_are_sums_of_the_right_axis() -> None:
    u = blob((40, 47), 4.0, 6.0, 2.0)
    A = ip.RayTransform(u.shape, [0.0, math.pi / 2], n_det=61, dtype="float64")
    p = A.apply(u)
    columns = np.pad(u.sum(axis=0), 7)  # θ = 0: s = x
    assert np.abs(p[0] - columns).max() <= 1e-6 * columns.max()
    centre = (p[1] * detector(A)).sum() / p[1].sum()  # θ = π/2: s = y, and y points up
    assert centre == pytest.approx(6.0, abs=1e-6)


def test_pixel_size_is_a_unit_of_length(rng: np.random.Generator) -> None:
    u, h = rng.standard_normal((14, 11)), 0.37
    unit = ip.RayTransform(u.shape, views(7), n_det=12, det_spacing=1.3, det_shift=0.4, dtype="float64")
    scaled = ip.RayTransform(
        u.shape, views(7), n_det=12, det_spacing=1.3 * h, det_shift=0.4 * h, pixel_size=h, dtype="float64"
    )
    assert relative(scaled.apply(u), h * unit.apply(u)) <= 1e-12
    assert scaled.norm() == pytest.approx(h * unit.norm(), rel=1e-9)


def test_eps_is_the_tolerance(rng: np.random.Generator) -> None:
    u = rng.standard_normal((20, 20))
    exact = ip.RayTransform(u.shape, views(9), dtype="float64", eps=1e-13).apply(u)
    errors = [
        relative(ip.RayTransform(u.shape, views(9), dtype="float64", eps=e).apply(u), exact) for e in (1e-9, 1e-5)
    ]
    assert errors[0] <= 1e-8 < errors[1] <= 1e-4


def test_default_detector_covers_the_image() -> None:
    for ds in (0.5, 1.0, 1.7):
        A = ip.RayTransform((30, 41), [0.0], det_spacing=ds)
        assert A.covers and A.n_det * ds >= math.hypot(30, 41) > (A.n_det - 1) * ds
        assert not ip.RayTransform((30, 41), [0.0], n_det=A.n_det - 2, det_spacing=ds).covers


# ---------------------------------------------------------------- A*A and norms


@pytest.mark.parametrize(
    ("geometry", "allowed"),
    # detector pixels wider than the image's cut the spectrum, which makes tails
    [({}, 1e-8), ({"det_spacing": 0.5}, 1e-8), ({"det_spacing": 2.0, "pixel_size": 0.8}, 1e-5)],
    ids=str,
)
def test_toeplitz_normal_operator(geometry: dict[str, float], allowed: float, rng: np.random.Generator) -> None:
    dims = (24, 31)
    wide = dict(geometry, n_det=401)
    u = rng.standard_normal(dims)
    A = ip.RayTransform(dims, views(13), dtype="float64", **wide)
    T = A.normal()
    assert relative(T.apply(u), A.apply_adjoint(A.apply(u))) <= 1e-3  # the detector cuts off tails like 1/s
    smooth = blob(dims, 1.0, -2.0, 2.0)
    assert relative(T.apply(smooth), A.apply_adjoint(A.apply(smooth))) <= allowed
    lower = golub_kahan(A, steps=100, rtol=0) ** 2
    assert lower <= A.norm() ** 2 <= 1.05**2 * lower and lower <= T.norm() <= 1.05 * lower


def test_norm_bound_is_tight() -> None:
    for dims, n in (((64, 64), 30), ((50, 81), 50)):
        A = ip.RayTransform(dims, views(n), dtype="float64")
        lower = golub_kahan(A, steps=100, rtol=0)
        assert lower <= A.norm() <= 1.05 * lower


@pytest.mark.parametrize(("views_", "kind"), [(40, "bound"), (20, "estimate"), (1, "estimate")])
def test_norm_is_called_a_bound_where_it_is_tight(views_: int, kind: str) -> None:
    A = ip.RayTransform((40, 43), views(views_), dtype="float64")
    lower = golub_kahan(A, steps=100, rtol=0)
    assert A.norm_kind == kind and lower <= A.norm() <= 1.05 * lower
    T = A.normal()
    assert lower**2 * (1 - 1e-3) <= T.norm() <= 1.05 * lower**2  # A cuts off tails that T has
    small = ip.RayTransform((9, 12), views(views_), dtype="float64")  # from the matrix
    assert small.norm_kind == "bound"
    assert 1 <= small.norm() / golub_kahan(small, steps=100, rtol=0) <= 1.05


class Diagonal(Operator):
    """A diagonal matrix: its singular values are what one wants them to be."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        super().__init__(values.shape, values.shape, values.dtype)

    def _apply(self, x: np.ndarray, out: np.ndarray) -> None:
        np.multiply(x, self.values, out=out)

    _apply_adjoint = _apply


N = 60_000
SPECTRA = {
    "many at the top": np.repeat([1.0, 0.5], N // 2),
    "dense below the top": np.linspace(0, 1, N),
    "a cluster at the top": np.r_[np.linspace(0, 0.5, N), 1 - 1e-3 * np.arange(50) / 50],
    "thin at the top": 1 - np.linspace(0, 1, N) ** 0.1,
    "slow decay": np.arange(1, N + 1) ** -0.25,
    **{f"one {d} above a crowd": np.r_[np.ones(N), np.linspace(0, 1, N), 1 + d] for d in (0.03, 0.04, 0.06, 0.1)},
}


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_estimate_for_hard_spectra(spectrum: str) -> None:
    A = Diagonal(SPECTRA[spectrum])
    assert A.norm_kind == "estimate" and 0.99 <= A.norm() / SPECTRA[spectrum].max() <= 1.05


def test_golub_kahan(rng: np.random.Generator) -> None:
    M = rng.standard_normal((40, 25))
    estimate = golub_kahan(as_operator(M), rtol=0)
    assert estimate == pytest.approx(np.linalg.norm(M, 2), rel=1e-9)
    assert estimate == golub_kahan(as_operator(M), rtol=0)
    assert golub_kahan(as_operator(np.zeros((3, 4)))) == 0.0
    assert golub_kahan(as_operator(np.ones((1, 1)))) == 1.0


# ---------------------------------------------------------------- threads and processes


def _projections() -> bytes:
    """Forward and adjoint, large enough for two threads."""
    A, rng = ip.RayTransform((128, 128), views(150)), np.random.default_rng(0)
    u = rng.standard_normal((2, 128, 128)).astype(np.float32)
    p = A.apply(u)
    return p[0].tobytes() + A.apply_adjoint(p)[1].tobytes()


def test_four_threads_share_an_operator() -> None:
    A = ip.RayTransform((128, 128), views(150), dtype="float64")
    images = [np.random.default_rng(i).standard_normal((128, 128)) for i in range(4)]
    expected = [A.apply_adjoint(A.apply(u)) for u in images]
    results: list[list[np.ndarray]] = [[] for _ in images]
    start = threading.Barrier(4)

    def work(i: int) -> None:
        start.wait()
        for _ in range(5):
            results[i].append(A.apply_adjoint(A.apply(images[i])))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for found, wanted in zip(results, expected, strict=True):
        assert len(found) == 5 and all(x.tobytes() == wanted.tobytes() for x in found)


FORK = """
import os, sys
sys.path.insert(0, {tests!r})
from tests.operators.core.test_operators import _projections
expected = _projections()
child = os.fork()
if child == 0:
    os._exit(0 if _projections() == expected else 7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), _projections() == expected)
"""


def test_forked_child_after_threads_in_the_parent() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FORK.format(tests=str(ROOT))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.stdout == "0 True\n", run.stderr


def test_repeats_are_bit_identical() -> None:
    expected = _projections()
    assert all(_projections() == expected for _ in range(5))
    A, y = (ip.RayTransform((64, 64), views(30), dtype="float64"), np.random.default_rng(1).standard_normal((30, 91)))
    assert len({A.apply_adjoint(y).tobytes() for _ in range(30)}) == 1


def test_copies_make_plans_of_their_own() -> None:
    A = ip.RayTransform((12, 9), views(5))
    u = np.ones((12, 9), np.float32)
    expected = A.apply(u)
    assert copy.deepcopy(A).apply(u).tobytes() == expected.tobytes()


# ---------------------------------------------------------------- wrapping and combining


def test_as_operator_takes_matrices_and_pylops(rng: np.random.Generator) -> None:
    import scipy.sparse

    M = rng.standard_normal((4, 6)).astype(np.float32)
    x = rng.standard_normal(6).astype(np.float32)
    for op in (M, pylops.MatrixMult(M, dtype="float32"), scipy.sparse.csr_matrix(M)):
        A = as_operator(op)
        assert isinstance(A, Operator) and A.apply(x).dtype == np.float32
        np.testing.assert_allclose(A.apply(x), M @ x, rtol=1e-5, atol=1e-6)
    A = as_operator(M)
    assert as_operator(A) is A
    blur = pylops.Diagonal(np.arange(6, dtype="float32"), dtype="float32")
    for B in (A @ blur, A + as_operator(M) @ blur):
        assert isinstance(B, Operator) and B.apply(x).dtype == B.apply_adjoint(B.apply(x)).dtype == np.float32
    assert (blur @ A.H @ A).matvec(x).dtype == np.float32


def test_stack_splits_what_it_gives(rng: np.random.Generator) -> None:
    D, A = ip.Gradient((6, 5), "float64"), ip.RayTransform((6, 5), views(4), dtype="float64")
    K, u = ip.VStack([D, A]), rng.standard_normal((3, 6, 5))
    for part, expected in zip(K.split(K.apply(u)), (D.apply(u), A.apply(u)), strict=True):
        assert part.tobytes() == expected.tobytes()


def test_division_by_a_number_and_refusal_of_complex_factors() -> None:
    D = ip.Gradient((3, 4), "float32")
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal((D / 2).apply(x), D.apply(x) / 2)
    assert (D / 2).apply(x).dtype == np.float32
    for multiply in (lambda: 2j * D, lambda: D * 2j):
        with pytest.raises(TypeError, match="real number"):
            multiply()
