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
from hypothesis import given
from hypothesis import strategies as st

import ipbox as ip
from ipbox.operators import Composition, Identity, Operator, Sum, as_operator
from ipbox.operators.norms import golub_kahan
from ipbox.problems.phantoms import Ellipse, ellipses_image, ellipses_sinogram

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
@pytest.mark.parametrize("dims", [(41, 50), (40, 51), (48, 48), (33, 33)])
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
    errors = [relative(ip.RayTransform(u.shape, views(9), dtype="float64", eps=e).apply(u), exact) for e in (1e-9, 1e-5)]
    assert errors[0] <= 1e-8 < errors[1] <= 1e-4


def test_default_detector_covers_the_image() -> None:
    for ds in (0.5, 1.0, 1.7):
        A = ip.RayTransform((30, 41), [0.0], det_spacing=ds)
        assert A.covers and A.n_det * ds >= math.hypot(30, 41) > (A.n_det - 1) * ds
        assert not ip.RayTransform((30, 41), [0.0], n_det=A.n_det - 2, det_spacing=ds).covers


# ---------------------------------------------------------------- A*A and norms


@pytest.mark.parametrize("geometry", [{}, {"det_spacing": 0.5}, {"det_spacing": 2.0, "pixel_size": 0.8}], ids=str)
def test_toeplitz_normal_operator(geometry: dict[str, float], rng: np.random.Generator) -> None:
    dims = (24, 31)
    wide = dict(geometry, n_det=401)
    u = rng.standard_normal(dims)
    A = ip.RayTransform(dims, views(13), dtype="float64", **wide)
    T = A.normal()
    assert relative(T.apply(u), A.apply_adjoint(A.apply(u))) <= 1e-3  # the detector cuts off tails like 1/s
    smooth = blob(dims, 1.0, -2.0, 2.0) * u.mean()
    assert relative(T.apply(smooth), A.apply_adjoint(A.apply(smooth))) <= 1e-7
    assert T.norm_kind == "bound" and T.norm() == pytest.approx(A.norm() ** 2)


def test_norm_bound_is_tight() -> None:
    for dims, n in (((64, 64), 30), ((50, 81), 50)):
        A = ip.RayTransform(dims, views(n), dtype="float64")
        lower = golub_kahan(A, steps=100, rtol=0)
        assert lower <= A.norm() <= 1.05 * lower


def test_golub_kahan(rng: np.random.Generator) -> None:
    M = rng.standard_normal((40, 25))
    estimate = golub_kahan(as_operator(M), rtol=0)
    assert estimate == pytest.approx(np.linalg.norm(M, 2), rel=1e-9)
    assert estimate == golub_kahan(as_operator(M), rtol=0)
    assert golub_kahan(as_operator(np.zeros((3, 4)))) == 0.0
    assert golub_kahan(as_operator(np.ones((1, 1)))) == 1.0


# ---------------------------------------------------------------- threads and processes


def _projections() -> bytes:
    """Forward and adjoint, large enough for FINUFFT's threads."""
    A, rng = ip.RayTransform((128, 128), views(150)), np.random.default_rng(0)
    assert A.nufft.size > 10_000
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
        assert len(found) == 5 and all(relative(x, wanted) <= 1e-12 for x in found)


FORK = """
import os, sys
sys.path.insert(0, {tests!r})
from test_operators import _projections
expected = _projections()
child = os.fork()
if child == 0:
    os._exit(0 if _projections() == expected else 7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), _projections() == expected)
"""


def test_forked_child_after_threads_in_the_parent() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FORK.format(tests=str(Path(__file__).parent))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.stdout == "0 True\n", run.stderr


def test_repeats_are_bit_identical() -> None:
    expected = _projections()
    assert all(_projections() == expected for _ in range(5))
    A, y = ip.RayTransform((64, 64), views(30), dtype="float64"), np.random.default_rng(1).standard_normal((30, 91))
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


COMPLEX = as_operator(np.eye(3) * 1j)
RAY = ip.RayTransform((5, 7), views(3))
U = np.ones((5, 7), np.float32)


def ray(**changes: object) -> ip.RayTransform:
    return ip.RayTransform(**{"dims": (5, 7), "angles": [0.0, 1.0], **changes})


BAD = {
    "no angles": (lambda: ray(angles=[]), ValueError, "^angles has shape"),
    "degrees": (lambda: ray(angles=np.arange(0, 180, 3)), ValueError, "^angles reach 177, .* degrees"),
    "NaN angles": (lambda: ray(angles=[0.0, math.nan]), ValueError, "^angles has NaN"),
    "infinite angles": (lambda: ray(angles=[math.inf]), ValueError, "^angles has NaN or inf"),
    "complex angles": (lambda: ray(angles=[1j]), TypeError, "^angles has dtype complex128"),
    "text as angles": (lambda: ray(angles="pi"), TypeError, "^angles has dtype"),
    "angles of two axes": (lambda: ray(angles=np.zeros((2, 2))), ValueError, "^angles has shape"),
    "3-D": (lambda: ray(dims=(5, 7, 2)), ValueError, "^dims is"),
    "no size": (lambda: ray(dims=(5, 0)), ValueError, "^dims is"),
    "negative size": (lambda: ray(dims=(-5, 7)), ValueError, "^dims is"),
    "fractional size": (lambda: ray(dims=(5.0, 7.5)), ValueError, "^dims is"),
    "a number as size": (lambda: ray(dims=5.5), ValueError, "^dims is"),
    "no detector": (lambda: ray(n_det=0), ValueError, "^n_det is 0"),
    "fractional detector": (lambda: ray(n_det=2.5), ValueError, "^n_det is 2.5"),
    "two detectors": (lambda: ray(n_det=(3, 4)), ValueError, "^n_det is"),
    "spacing": (lambda: ray(det_spacing=0.0), ValueError, "^det_spacing is 0"),
    "negative spacing": (lambda: ray(det_spacing=-1.0), ValueError, "^det_spacing is -1"),
    "shift": (lambda: ray(det_shift=math.nan), ValueError, "^det_shift is nan"),
    "pixel size": (lambda: ray(pixel_size="1"), ValueError, "^pixel_size is '1'"),
    "eps": (lambda: ray(eps=0.0), ValueError, "^eps is 0"),
    "integer dtype": (lambda: ray(dtype=int), TypeError, "^dtype is int64"),
    "half dtype": (lambda: ray(dtype="float16"), TypeError, "^dtype is float16"),
    "complex dtype": (lambda: ray(dtype="complex64"), TypeError, "^dtype is complex64"),
    "gradient of a line": (lambda: ip.Gradient((5,)), ValueError, "^dims is"),
    "complex gradient": (lambda: ip.Gradient((5, 7), "complex64"), TypeError, "^dtype is complex64"),
    "shape": (lambda: RAY.apply(U.T), ValueError, r"^x has shape \(7, 5\); .* expects \(5, 7\)"),
    "flat": (lambda: RAY.apply(U.ravel()), ValueError, r"^x has shape \(35,\)"),
    "data shape": (lambda: RAY.apply_adjoint(U), ValueError, r"^y has shape \(5, 7\)"),
    "precision": (lambda: RAY.apply(U.astype(float)), TypeError, "^x has dtype float64; .* expects float32"),
    "integers": (lambda: RAY.apply(U.astype(int)), TypeError, "^x has dtype int64"),
    "complex": (lambda: RAY.apply(U + 1j), TypeError, "^x has dtype complex64"),
    "complex for PyLops": (lambda: RAY.matvec(U.ravel() + 1j), TypeError, "^x is complex64"),
    "list": (lambda: RAY.apply(U.tolist()), TypeError, "got list"),
    "out is a list": (lambda: RAY.apply(U, out=[1.0]), TypeError, "got list"),
    "strided out": (lambda: RAY.apply(U, out=np.empty((3, 18), np.float32)[:, ::2]), ValueError, "^out has shape"),
    "truncated normal": (lambda: ray(n_det=3).normal(), ValueError, "^A has a truncated detector"),
    "composition": (lambda: RAY @ RAY, ValueError, "^A B needs"),
    "mixed composition": (lambda: Composition(RAY, Identity((5, 7), "float64")), ValueError, "^A B needs"),
    "sum": (lambda: RAY + Identity((5, 7)), ValueError, r"^A \+ B needs"),
    "mixed sum": (lambda: Sum(Identity((2,)), Identity((2,), "float64")), ValueError, r"^A \+ B needs"),
    "empty stack": (lambda: ip.VStack([]), ValueError, "^ops is empty"),
    "stack": (lambda: ip.VStack([RAY, Identity((7, 5))]), ValueError, "^ops take"),
    "complex transpose": (lambda: COMPLEX.T, TypeError, "^A.T of the complex"),
    "no operator": (lambda: as_operator("A"), TypeError, "^A is str"),
    "3-D matrix": (lambda: as_operator(np.zeros((2, 2, 2))), TypeError, "^A is ndarray"),
    "integer matrix": (lambda: as_operator(np.eye(2, dtype=int)), TypeError, "^dtype is int64"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(case: str) -> None:
    call, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- any shape, layout and precision

sizes = st.integers(1, 9)
dtypes = st.sampled_from(["float32", "float64"])
layouts = st.sampled_from(["C", "F", "strided", "reversed", "read-only", "broadcast"])
makers = {
    "identity": lambda dims, dtype: Identity(dims, dtype),
    "gradient": lambda dims, dtype: ip.Gradient(dims, dtype),
    "stack": lambda dims, dtype: ip.VStack([Identity(dims, dtype), ip.Gradient(dims, dtype)]),
    "ray": lambda dims, dtype: ip.RayTransform(dims, [0.1, 0.9, 2.0], det_spacing=1.2, dtype=dtype),
}


def arranged(x: np.ndarray, layout: str) -> np.ndarray:
    """The values of ``x`` in another memory layout."""
    if layout == "F":
        return np.asfortranarray(x)
    if layout == "strided":
        wide = np.repeat(x, 2, axis=-1)
        return wide[..., ::2]
    if layout == "reversed":
        return np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    if layout == "broadcast":
        return np.broadcast_to(x, x.shape)  # read-only, no memory of its own
    y = x.copy()
    y.flags.writeable = layout != "read-only"
    return y


@given(st.sampled_from(sorted(makers)), sizes, sizes, st.lists(st.integers(0, 3), max_size=2), dtypes, layouts)
def test_any_shape_layout_and_precision(
    kind: str, ny: int, nx: int, batch: list[int], dtype: str, layout: str
) -> None:
    A, rng = makers[kind]((ny, nx), dtype), np.random.default_rng(0)
    u = rng.standard_normal((*batch, ny, nx)).astype(dtype)
    v = rng.standard_normal((*batch, *A.dimsd)).astype(dtype)
    Au, Av = A.apply(arranged(u, layout)), A.apply_adjoint(arranged(v, layout))
    assert Au.shape == v.shape and Av.shape == u.shape and Au.dtype == Av.dtype == dtype
    assert Au.tobytes() == A.apply(u).tobytes() and Av.tobytes() == A.apply_adjoint(v).tobytes()
    gap = abs(np.vdot(Au.astype(float), v.astype(float)) - np.vdot(u.astype(float), Av.astype(float)))
    allowed = 1e-5 if dtype == "float32" else 1e-10
    assert gap <= allowed * np.linalg.norm(Au) * np.linalg.norm(v)
