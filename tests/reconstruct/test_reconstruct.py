"""Reconstruction maps b -> u: against closed forms, another code, and their own optimality; bad input."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import skimage.transform
from hypothesis import given
from hypothesis import strategies as st

import ipbox as ip
from ipbox.backend import to_host
from ipbox.operators.tomography.ramp import angle_weights
from ipbox.problems.truths.phantoms import SHEPP_LOGAN, ellipses_image, ellipses_sinogram
from tests.contracts.solvers.registry import LAM, STEP, Matrix, dense, operator

DIMS = (3, 4)


def views(n: int) -> np.ndarray:
    return np.linspace(0, np.pi, n, endpoint=False)


def relative(x: Any, y: Any) -> float:
    return float(np.linalg.norm(to_host(x) - to_host(y)) / np.linalg.norm(to_host(y)))


@pytest.fixture(scope="module")
def small(xp: ModuleType) -> tuple[Any, Any, float]:
    """A 12 x 10 image seen from 9 angles, with noise: A, b, noise level."""
    A = ip.RayTransform((12, 10), views(9), dtype="float64")
    x = np.zeros((12, 10))
    x[3:9, 2:7] = 1.0
    clean = A.apply(x)
    noise = 0.05 * np.abs(clean).max() * np.random.default_rng(2).standard_normal(clean.shape)
    return A, xp.asarray(clean + noise), float(np.linalg.norm(noise))


# ---------------------------------------------------------------- filtered back-projection


def phantom(n: int = 65, n_det: int = 95) -> tuple[ip.RayTransform, np.ndarray, np.ndarray]:
    h = 2 / n
    A = ip.RayTransform((n, n), views(120), n_det=n_det, pixel_size=h, dtype="float64")
    s = (np.arange(n_det) - (n_det - 1) / 2) * h
    b = ellipses_sinogram(SHEPP_LOGAN, A.angles, s, bin_width=h)
    return A, b, ellipses_image(SHEPP_LOGAN, (n, n), h)


@pytest.mark.parametrize(("filter", "near"), [("ramp", 0.17), ("shepp-logan", 0.14), ("cosine", 0.08), ("hann", 0.055)])
def test_fbp_is_skimages_iradon_but_for_interpolation(filter: str, near: float) -> None:
    """The smoother the filter, the nearer; and never farther from the truth than theirs."""
    A, b, truth = phantom()
    x, info = ip.fbp(A, b, filter)
    theirs = skimage.transform.iradon(
        b.T / A.pixel_size, np.rad2deg(A.angles), output_size=65, filter_name=filter, circle=False
    )
    assert relative(x, theirs) < near
    assert relative(x, truth) < relative(theirs, truth)
    assert (info.method, info.filter, info.niter, info.stop) == ("fbp", filter, 0, "direct")


@pytest.mark.parametrize("options", [{}, {"pixel_size": 0.5}, {"det_spacing": 0.5}, {"det_shift": 0.3}])
@pytest.mark.parametrize("shape", [(40, 40), (41, 36)])
def test_fbp_of_a_gaussian_is_the_gaussian(
    shape: tuple[int, int], options: dict, dtype: np.dtype, xp: ModuleType
) -> None:
    """exp(-|x - c|²/2w²) has the projections √(2π) w exp(-(s - c·θ)²/2w²): every unit and offset shows."""
    A = ip.RayTransform(shape, views(60), dtype=dtype, **options)
    h, c, w = A.pixel_size, np.array([3.0, -2.0]), 3.0
    y = ((shape[0] - 1) / 2 - np.arange(shape[0]))[:, None]
    x = (np.arange(shape[1]) - (shape[1] - 1) / 2)[None]
    truth = np.exp(-((x - c[0]) ** 2 + (y - c[1]) ** 2) / (2 * w**2))
    s = (np.arange(A.n_det) - (A.n_det - 1) / 2) * A.det_spacing + A.det_shift
    centre = h * (c[0] * np.cos(A.angles) + c[1] * np.sin(A.angles))
    b = np.sqrt(2 * np.pi) * w * h * np.exp(-((s - centre[:, None]) ** 2) / (2 * (w * h) ** 2))
    b = xp.asarray(b.astype(dtype))
    before = to_host(b).tobytes()
    u, _ = ip.fbp(A, b)
    assert u.dtype == dtype and isinstance(u, xp.ndarray)
    assert relative(u, truth) < 0.01
    assert to_host(b).tobytes() == before
    pair, _ = ip.fbp(A, xp.stack([b, 2 * b]))
    assert relative(pair[0], u) < 1e-6 and relative(pair[1], 2 * u) < 1e-6


@given(angles=st.lists(st.floats(-12, 12), min_size=1, max_size=12))
def test_angle_weights_cover_half_a_turn(angles: list[float]) -> None:
    """Never negative; together at most π."""
    weights = angle_weights(np.array(angles))
    assert (weights >= 0).all()
    assert 0 < weights.sum() <= np.pi * (1 + 1e-12)


@given(n=st.integers(3, 40), turn=st.floats(-3, 3), repeats=st.integers(1, 4), seed=st.integers(0, 99))
def test_angle_weights_of_even_angles_in_any_order(n: int, turn: float, repeats: int, seed: int) -> None:
    """Sum π, also where every angle is measured several times, or half a turn further."""
    rng = np.random.default_rng(seed)
    angles = np.repeat(views(n) + turn, repeats)
    angles += np.pi * rng.integers(-1, 2, angles.size)
    weights = angle_weights(rng.permutation(angles))
    assert np.isclose(weights.sum(), np.pi, rtol=1e-6)
    if repeats == 1:
        assert np.allclose(weights, np.pi / n, rtol=1e-6)


def test_the_rim_of_a_measured_wedge_is_not_blown_up() -> None:
    """The HAADF series: the weights sum to the measured wedge plus half a step at each rim."""
    A, b, _, _ = ip.problem("tomography-measured", slice=0)
    weights = angle_weights(A.angles)
    a = np.sort(np.mod(A.angles, np.pi))
    gaps = np.diff(a, append=a[0] + np.pi)
    step, missing = np.median(gaps), gaps.max()
    assert missing > 3 * step  # a wedge is missing
    assert weights.max() <= 2 * step
    assert np.isclose(weights.sum(), np.minimum(gaps, 2 * step).sum())
    with pytest.warns(RuntimeWarning, match="the views leave out 1.% of the lines"):
        x, _ = ip.fbp(A, b)
    assert np.isfinite(x).all()


# ---------------------------------------------------------------- iterative regularisation


@pytest.mark.parametrize("method", [ip.landweber, ip.cgls])
@pytest.mark.parametrize("safety", [1.01, 1.3])
def test_discrepancy_principle(method: Any, safety: float, small: Any) -> None:
    """‖Au - b‖ <= safety · δ at the last iterate, and above at the one before."""
    A, b, delta = small
    x, info = method(A, b, noise_level=delta, safety=safety)
    assert info.stop == "discrepancy" and info.niter > 0
    before, _ = method(A, b, niter=info.niter - 1)
    residuals = [np.linalg.norm(to_host(A.apply(u) - b)) for u in (x, before)]
    assert residuals[0] <= safety * delta < residuals[1]


def test_landweber_is_gradient_descent_from_zero(small: Any) -> None:
    A, b, _ = small
    tau = 1.5 / A.norm() ** 2
    x, info = ip.landweber(A, b, niter=5, tau=tau)
    u = 0 * A.apply_adjoint(b)
    for _ in range(5):
        u = u - tau * A.apply_adjoint(A.apply(u) - b)
    assert relative(x, u) < 1e-12 and (info.stop, info.niter) == ("niter", 5)


def test_cgls_needs_fewer_iterations_than_landweber(small: Any) -> None:
    A, b, delta = small
    assert 2 * ip.cgls(A, b, delta)[1].niter < ip.landweber(A, b, delta)[1].niter


@pytest.mark.parametrize("method", [ip.landweber, ip.cgls])
def test_iterative_methods_take_a_start_a_state_and_a_batch(method: Any, small: Any, xp: ModuleType) -> None:
    A, b, delta = small
    x, info = method(A, b, niter=3)
    again, more = method(A, b, niter=2, state=info.state)
    whole, _ = method(A, b, niter=5)
    assert more.niter == 5 and to_host(again).tobytes() == to_host(whole).tobytes()
    x0 = xp.ones(A.dims, dtype="float64")
    assert to_host(method(A, b, niter=0, x0=x0)[0]).tobytes() == to_host(x0).tobytes()
    pair, info = method(A, xp.stack([b, 0.5 * b]), noise_level=np.array([delta, 0.5 * delta]))
    assert info.stop == ["discrepancy"] * 2
    assert relative(pair[0], method(A, b, noise_level=delta)[0]) < 1e-6
    assert relative(pair[1], 0.5 * pair[0]) < 1e-6


# ---------------------------------------------------------------- Tikhonov


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("lam", [1e-2, 1.0, 30.0])
def test_tikhonov_solves_the_normal_equations(gradient: bool, lam: float, xp: ModuleType) -> None:
    m = dense()
    b = np.random.default_rng(1).standard_normal(17)
    D = np.stack([ip.Gradient(DIMS, "float64").apply(e.reshape(DIMS)).ravel() for e in np.eye(12)], axis=1)
    penalty = D.T @ D if gradient else np.eye(12)
    exact = np.linalg.solve(m.T @ m + lam * penalty, m.T @ b).reshape(DIMS)
    x, info = ip.tikhonov(operator(m, xp, np.float64), xp.asarray(b), lam, gradient=gradient, tol=1e-12)
    assert info.stop in ("residual", "attainable_accuracy") and relative(x, exact) < 1e-10
    rough, info = ip.tikhonov(operator(m, xp, np.float64), xp.asarray(b), lam, gradient=gradient, tol=1e-2)
    if gradient:
        assert info.certificate.bound is None
    else:
        assert np.linalg.norm(to_host(rough) - exact) <= info.certificate.bound


def test_tikhonov_of_a_large_weight_and_of_a_small_one() -> None:
    b = np.random.default_rng(1).standard_normal(12)
    A = operator(np.diag(np.arange(1.0, 13.0)), np, np.float64)
    x, _ = ip.tikhonov(A, b, 1e-8, tol=1e-12)
    assert np.allclose(x.ravel(), b / np.arange(1.0, 13.0), atol=1e-6)
    x, _ = ip.tikhonov(A, b, 1e8, tol=1e-12)
    assert np.abs(x).max() < 1e-6


# ---------------------------------------------------------------- total variation


def test_tv_denoising_of_a_step(xp: ModuleType, dtype: np.dtype) -> None:
    b = STEP.draw(xp, dtype)
    x, info = ip.tv(None, b, LAM, tol=1e-5)
    exact = STEP.solution(to_host(b), dtype)
    assert info.stop == "gap" and x.dtype == dtype
    objective = ip.Problem(ip.L2(b=to_host(b).astype(np.float64)) + LAM * ip.TV((6, 4))).objective
    assert objective(to_host(x).astype(np.float64)) <= objective(exact) * (1 + 2e-5)


def test_tv_prefers_what_is_isotropic_where_asked() -> None:
    """Anisotropic TV of a diagonal edge costs √2 times as much, so the two minimisers differ."""
    b = np.tri(12) * 1.0
    iso, aniso = (ip.tv(None, b, 0.3, isotropic=flag, tol=1e-6, niter=5000)[0] for flag in (True, False))
    for x, flag in ((iso, True), (aniso, False)):
        objective = ip.Problem(ip.L2(b=b) + 0.3 * ip.TV(b.shape, isotropic=flag)).objective
        assert objective(x) < min(objective(iso + 1e-9), objective(aniso)) + 1e-6
    assert np.abs(iso - aniso).max() > 0.01


@pytest.mark.parametrize(
    ("options", "stop", "lo", "hi"),
    [
        ({}, "residual", -math.inf, math.inf),
        ({"nonneg": True}, "residual", 0, math.inf),
        ({"box": (0, 0.9)}, "gap", 0, 0.9),
    ],
    ids=["free", "nonneg", "box"],
)
def test_tv_of_projections_is_optimal(options: dict, stop: str, lo: float, hi: float, small: Any) -> None:
    A, b, _ = small
    tol = 1e-3
    x, info = ip.tv(A, b, 0.5, tol=tol, niter=2000, **options)
    assert info.stop == stop
    assert lo <= float(x.min()) and float(x.max()) <= hi
    b, x = to_host(b), to_host(x)
    objective = ip.Problem(ip.L2(A, b) + 0.5 * ip.TV((12, 10)) + ip.Box(lo, hi)).objective
    value, rng = objective(x), np.random.default_rng(0)
    for size in (1e-1, 1e-2):  # no feasible neighbour is better by more than the tolerance
        for _ in range(20):
            y = np.clip(x + size * rng.standard_normal(x.shape), lo, hi)
            assert objective(y) >= value * (1 - 10 * tol)


def test_tv_in_a_box_without_zero(small: Any) -> None:
    """The start is not feasible, so its objective is infinite and its gap too: no NaN, no warning."""
    A, b, _ = small
    x, info = ip.tv(A, b, 0.5, box=(0.2, 0.9), niter=2000, tol=1e-3)
    assert info.stop == "gap" and float(x.min()) >= 0.2 and float(x.max()) <= 0.9


def test_tv_of_projections_against_fista(small: Any) -> None:
    """Another splitting of the same problem: a gradient step on the data and the prox of TV."""
    A, b = small[0], to_host(small[1])
    problem = ip.Problem(ip.L2(A, b) + 0.5 * ip.TV((12, 10), accuracy=1e-5))
    best = ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(60)).x
    x, _ = ip.tv(A, b, 0.5, tol=1e-4, niter=2000)
    assert abs(problem.objective(x) / problem.objective(best) - 1) <= 1e-4
    assert relative(x, best) < 2e-2


# ---------------------------------------------------------------- bad input: one line, the argument's name, what it was

A = ip.RayTransform((8, 6), views(5), dtype="float32")
GOOD = np.ones(A.dimsd, "float32")


def spoilt(value: float) -> np.ndarray:
    b = GOOD.copy()
    b[2, 3] = value
    return b


BAD_DATA = {
    "a wrong shape": (GOOD.T.copy(), ValueError, r"^b has shape \(10, 5\).*\(5, 10\)"),
    "a part": (GOOD[:, :-1].copy(), ValueError, r"^b has shape \(5, 9\)"),
    "two batch axes": (GOOD[None, None], ValueError, r"^b has shape \(1, 1, 5, 10\)"),
    "NaN": (spoilt(np.nan), ValueError, "^b has NaN or infinite entries; expected finite data"),
    "infinity": (spoilt(-np.inf), ValueError, "^b has NaN or infinite"),
    "integers": (GOOD.astype(int), TypeError, "^b has dtype int64; expected float32"),
    "half precision": (GOOD.astype("float16"), TypeError, "^b has dtype float16"),
    "another precision": (GOOD.astype("float64"), TypeError, "^b has dtype float64; RayTransform gives float32"),
    "complex numbers": (GOOD + 0j, TypeError, "^b has dtype complex64; RayTransform gives float32"),
    "a list": (GOOD.tolist(), TypeError, "^b is list; expected a NumPy or CuPy array"),
    "nothing": (None, TypeError, "^b is None"),
}
METHODS = {
    "fbp": ip.fbp,
    "landweber": ip.landweber,
    "cgls": ip.cgls,
    "tikhonov": lambda A, b: ip.tikhonov(A, b, 1.0),
    "tv": lambda A, b: ip.tv(A, b, 1.0),
}


def refusal(error: Any, message: str, call: Any) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("what", BAD_DATA)
def test_bad_data(method: str, what: str) -> None:
    b, error, message = BAD_DATA[what]
    refusal(error, message, lambda: METHODS[method](A, b))


@pytest.mark.parametrize("what", ["NaN", "infinity", "integers", "half precision", "a list"])
def test_bad_image_to_denoise(what: str) -> None:
    b, error, message = BAD_DATA[what]
    refusal(error, message, lambda: ip.tv(None, b, 1.0))


@pytest.mark.parametrize("name", ["tikhonov", "tv"])
@pytest.mark.parametrize("lam", [0, -1.0, math.nan, math.inf, "1", None, 1j, np.ones(2)])
def test_bad_weight(name: str, lam: Any) -> None:
    refusal(ValueError, "^lam is .*; expected a positive number", lambda: getattr(ip, name)(A, GOOD, lam))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("^noise_level is -1", lambda: ip.landweber(A, GOOD, noise_level=-1.0)),
        ("^noise_level is nan", lambda: ip.cgls(A, GOOD, noise_level=math.nan)),
        ("^safety is 0", lambda: ip.cgls(A, GOOD, noise_level=1.0, safety=0)),
        ("^niter is -1", lambda: ip.landweber(A, GOOD, niter=-1)),
        ("^niter is 2.5", lambda: ip.tv(A, GOOD, 1.0, niter=2.5)),
        ("^tol is 0", lambda: ip.tikhonov(A, GOOD, 1.0, tol=0)),
        ("^tau is 5; expected a step size in", lambda: ip.landweber(A, GOOD, tau=5.0)),
        ("^tau is 0", lambda: ip.landweber(A, GOOD, tau=0.0)),
        ("^x0 has shape", lambda: ip.cgls(A, GOOD, x0=np.zeros((6, 8), "float32"))),
        ("^nonneg and box", lambda: ip.tv(A, GOOD, 1.0, nonneg=True, box=(0, 1))),
        ("^lo is 1 and hi is 0", lambda: ip.tv(A, GOOD, 1.0, box=(1, 0))),
        ("^filter is 'blackman'; expected one of 'ramp'", lambda: ip.fbp(A, GOOD, filter="blackman")),
    ],
)  # fmt: skip
def test_bad_values(message: str, call: Any) -> None:
    refusal(ValueError, message, call)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("^x0 has dtype float64; expected float32", lambda: ip.landweber(A, GOOD, x0=np.zeros((8, 6)))),
        ("^x0 has dtype int64", lambda: ip.tv(A, GOOD, 1.0, x0=np.zeros((8, 6), int))),
        ("^A is Matrix; fbp expects a RayTransform", lambda: ip.fbp(Matrix(np.eye(3), (3,), 1.0), np.ones(3))),
        ("^A is list; expected an ipbox, PyLops or SciPy operator", lambda: ip.cgls([[1.0]], np.ones(1))),
        ("^A is str", lambda: ip.tv("ct", GOOD, 1.0)),
        ("^filter is an array of shape", lambda: ip.fbp(A, GOOD, filter=np.array(["ramp", "hann"]))),
    ],
)  # fmt: skip
def test_bad_types(message: str, call: Any) -> None:
    refusal(TypeError, message, call)


@pytest.mark.parametrize("suffix", ["missing", "truncated", "of the wrong kind"])
def test_bad_checkpoint(suffix: str, tmp_path: Any) -> None:
    path = tmp_path / "state.npz"
    if suffix != "missing":
        ip.cgls(A, GOOD, niter=2)[1].state.save(path)
        path.write_bytes(path.read_bytes()[:300] if suffix == "truncated" else b"not a checkpoint")
    refusal((ValueError, FileNotFoundError), "^path is", lambda: ip.cgls(A, GOOD, state=path))
