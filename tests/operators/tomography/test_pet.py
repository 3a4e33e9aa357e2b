"""The PET model: its matrix, signs, counts, subsets, FBP and MLEM, and what it refuses."""

from __future__ import annotations

import copy
import math
import pickle
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import ipbox as ip
from ipbox.backend import to_host
from ipbox.operators.tomography.nonnegative_blur import NonnegativeBlur
from ipbox.operators.tomography.pet import nonnegative
from ipbox.problems.truths.phantoms import Ellipse, ellipses_image, ellipses_sinogram
from tests.contracts.support import stays_on_device

DIMS, VIEWS = (9, 8), np.arange(6) * (math.pi / 6)


def joseph(dtype: Any = "float64", dims: tuple[int, int] = DIMS, angles: Any = VIEWS, **options: Any) -> Any:
    return ip.JosephTransform(dims, angles, dtype=dtype, **{"pixel_size": 2.0} | options)


def model(dtype: Any = "float64", seed: int = 0, **options: Any) -> tuple[ip.PET, dict[str, Any]]:
    """A with everything, and what it was made with."""
    P, rng = joseph(dtype), np.random.default_rng(seed)
    given = {
        "attenuation": rng.uniform(0.0, 0.05, P.dims).astype(dtype),
        "normalisation": rng.uniform(0.5, 2.0, P.dimsd).astype(dtype),
        "background": rng.uniform(0.0, 3.0, P.dimsd).astype(dtype),
        "blur_fwhm": 4.5,
    } | options
    return ip.PET(P, **given), given


def image(ellipses: list[Ellipse], dims: tuple[int, int], h: float) -> np.ndarray:
    return np.maximum(ellipses_image(ellipses, dims, h), 0.0)  # differences of areas leave -1e-16


def dense(A: Any) -> np.ndarray:
    n = math.prod(A.dims)
    return A.apply(np.eye(n, dtype=A.dtype_in).reshape(n, *A.dims)).reshape(n, -1).T


# ---------------------------------------------------------------- the matrix


def test_matrix_is_the_product_of_its_factors() -> None:
    """A = diag(n exp(-P μ)) P H, H by SciPy's independent filter."""
    A, given = model()
    P = dense(joseph())
    sigma = 4.5 / math.sqrt(8 * math.log(2)) / 2.0
    n = math.prod(DIMS)
    blurred = [gaussian_filter(e, sigma, mode="constant", truncate=4.0) for e in np.eye(n).reshape(n, *DIMS)]
    H = np.stack(blurred, axis=-1).reshape(n, n)
    factors = given["normalisation"].ravel() * np.exp(-P @ given["attenuation"].ravel())
    assert np.allclose(dense(A), factors[:, None] * (P @ H), rtol=1e-12, atol=1e-14)
    assert np.allclose(A.factors.ravel(), factors, rtol=1e-13)


def test_attenuation_of_a_disc_is_beer_and_lambert() -> None:
    """Rays through the middle of a water disc of radius R lose exp(-2 μ R)."""
    R, mu = 60.0, 0.0096
    P = joseph(dims=(128, 128), angles=np.arange(8) * 0.4, n_det=129)
    A = ip.PET(P, image([Ellipse(mu, 0.0, 0.0, R, R)], (128, 128), 2.0))
    assert np.allclose(A.factors[:, 64], math.exp(-2 * mu * R), rtol=5e-3)
    assert (A.factors[:, 0] == 1).all()


def test_attenuation_factors_are_the_map_s() -> None:
    A, given = model()
    a = np.exp(-joseph().apply(given["attenuation"]))
    options = {name: given[name] for name in ("normalisation", "background", "blur_fwhm")}
    B = ip.PET(joseph(), attenuation_factors=a, **options)
    u = np.random.default_rng(1).random(DIMS)
    assert np.array_equal(A.mean(u), B.mean(u))


def test_numbers_are_constant_sinograms() -> None:
    P = joseph()
    A, B = ip.PET(P, normalisation=3, background=0.5), ip.PET(P)
    u = np.random.default_rng(1).random(DIMS)
    assert np.allclose(A.mean(u), 3 * P.apply(u) + 0.5, rtol=1e-14)
    assert np.array_equal(B.mean(u), P.apply(u)) and not B.background.any() and (B.factors == 1).all()


@pytest.mark.parametrize("sigma", [0.3, 1.0, 7.0])
def test_blur_is_symmetric_and_scipy_s(sigma: float, xp: ModuleType, dtype: np.dtype) -> None:
    H, rng = NonnegativeBlur((9, 14), sigma), np.random.default_rng(2)
    u, v = (rng.random((3, 9, 14)).astype(dtype) for _ in range(2))
    Hu, Hv = (to_host(H.convolve(xp.asarray(w))) for w in (u, v))
    exact = gaussian_filter(u.astype(np.float64), sigma, mode="constant", truncate=4.0, axes=(1, 2))
    assert Hu.dtype == dtype and np.allclose(Hu, exact, rtol=0, atol=4 * np.finfo(dtype).eps)
    assert np.vdot(Hu.astype(np.float64), v) == pytest.approx(np.vdot(u.astype(np.float64), Hv), rel=1e-6)


def test_blur_of_the_image_blurs_the_projections() -> None:
    """P H u = h * P u along the detector, the reason why one Gaussian stands for the scanner's resolution."""
    P = joseph(dims=(64, 64), angles=np.arange(8) * 0.4, n_det=97)
    u = ellipses_image([Ellipse(1.0, 8.0, -4.0, 30.0, 20.0, 0.3)], (64, 64), 2.0)
    fwhm = 10.0
    sigma = fwhm / math.sqrt(8 * math.log(2)) / 2.0
    along = gaussian_filter(P.apply(u), (0.0, sigma), mode="constant")
    assert np.linalg.norm(ip.PET(P, blur_fwhm=fwhm).apply(u) - along) < 2e-3 * np.linalg.norm(along)


# ---------------------------------------------------------------- signs and counts


def test_never_negative(xp: ModuleType, dtype: np.dtype) -> None:
    """To the last bit, also where values span many powers of ten, are denormal, or zero."""
    A, _ = model(dtype)
    rng = np.random.default_rng(3)
    images = [10.0 ** rng.uniform(-30, 5, DIMS), rng.random(DIMS) * (rng.random(DIMS) < 0.1)]
    images.append(np.full(DIMS, np.finfo(dtype).smallest_subnormal))
    for u in images:
        y = A.apply(xp.asarray(u.astype(dtype)))
        assert float(y.min()) >= 0 and float(A.apply_adjoint(y).min()) >= 0
        assert bool((A.mean(xp.asarray(u.astype(dtype))) >= xp.asarray(A.background)).all())


def test_counts_are_those_of_the_sensitivity(xp: ModuleType, dtype: np.dtype) -> None:
    """Σ A u = <u, A* 1>, for the whole model and its subsets; the sensitivities of subsets add up."""
    A, _ = model(dtype)
    u = np.random.default_rng(4).random(DIMS).astype(dtype)
    like = xp.zeros(1, dtype)
    for B in (A, *A.subsets(3)):
        total = to_host(B.apply(xp.asarray(u))).sum(dtype=np.float64)
        s = to_host(B.sensitivity(like))
        assert abs(total - np.vdot(u.astype(np.float64), s.astype(np.float64))) <= 1e-6 * total
    parts = sum(to_host(B.sensitivity(like)) for B in A.subsets(3))
    assert np.allclose(parts, to_host(A.sensitivity(like)), rtol=8 * np.finfo(dtype).eps)


def test_sensitivity_is_kept(xp: ModuleType) -> None:
    A, _ = model("float32")
    like = xp.zeros(1, "float32")
    s = A.sensitivity(like)
    assert isinstance(s, xp.ndarray) and s.dtype == np.float32 and A.sensitivity(like) is s
    if xp is np:
        assert A.sensitivity() is s
        with pytest.raises(ValueError, match="read-only"):
            s[0, 0] = 1.0


# ---------------------------------------------------------------- subsets


def test_subsets_are_the_rows_of_every_nth_angle(xp: ModuleType) -> None:
    A, _ = model("float32")
    u = xp.asarray(np.random.default_rng(5).random((2, *DIMS)).astype("float32"))
    whole = A.mean(u)
    parts = A.subsets(4)
    assert [B.dimsd[0] for B in parts] == [2, 2, 1, 1]
    for k, B in enumerate(parts):
        assert type(B) is ip.PET and np.array_equal(to_host(B.mean(u)), to_host(whole[:, k::4]))
    y = A.apply(u)
    back = sum(to_host(B.apply_adjoint(y[:, k::4])) for k, B in enumerate(parts))
    assert np.allclose(back, to_host(A.apply_adjoint(y)), rtol=1e-5)


def test_subsets_are_views() -> None:
    A, _ = model()
    for k, B in enumerate(A.subsets(2)):
        for mine, whole in ((B.factors, A.factors), (B.background, A.background)):
            assert np.shares_memory(mine, whole) and np.array_equal(mine, whole[k::2])
        for C in B.subsets(3):  # of a subset
            assert np.shares_memory(C.factors, A.factors)
    assert A.shape[0] == A.dimsd[0] * A.dimsd[1]  # PyLops keeps the shape once it was asked for
    few, pair = A.subset([4, 1]), A.subset((4, 1))
    assert few.shape[0] == pair.shape[0] == few.dimsd[0] * few.dimsd[1]
    assert not few.factors.flags.writeable and not few.background.flags.writeable
    assert np.array_equal(pair.factors, few.factors) and np.array_equal(pair.background, few.background)
    assert np.array_equal(few.factors, A.factors[[4, 1]]) and np.array_equal(few.projector.angles, VIEWS[[4, 1]])
    assert few.norm() < A.norm() and A.norm_kind == few.norm_kind == "bound"


@pytest.mark.device
def test_subsets_are_views_of_what_is_on_the_device(xp: ModuleType) -> None:
    A, _ = model("float32")
    u = xp.ones(DIMS, "float32")
    A.mean(u)
    parts = A.subsets(2)
    for B in parts:
        B.apply(u)  # the projector's lines move at the first call
    with stays_on_device():
        for k, B in enumerate(parts):
            assert B.background_like(u).base is not None
            assert bool((B.mean(u) == A.mean(u)[k::2]).all())


# ---------------------------------------------------------------- arrays given


def test_arrays_given_are_left_alone_and_copied() -> None:
    P, n, r = joseph(), np.ones((6, 13)), np.ones((6, 13))
    A = ip.PET(P, normalisation=n, background=r)
    n[...], r[...] = 5.0, 7.0
    assert (A.factors == 1).all() and (A.background == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        A.background[0, 0] = 3.0


def test_arrays_may_be_on_either_device_and_in_either_precision(xp: ModuleType) -> None:
    A, given = model("float32")
    arrays = {k: xp.asarray(v.astype("float64")) if k != "blur_fwhm" else v for k, v in given.items()}
    B = ip.PET(joseph("float32"), **arrays)
    assert np.array_equal(A.factors, B.factors) and np.array_equal(A.background, B.background)
    assert isinstance(B.factors, np.ndarray) and B.factors.dtype == np.float32


def test_copies_and_pickles() -> None:
    A, _ = model()
    A.sensitivity()
    u = np.random.default_rng(6).random(DIMS)
    for B in (copy.deepcopy(A), pickle.loads(pickle.dumps(A)), pickle.loads(pickle.dumps(A.subsets(3)[1]))):
        C = A if B.dimsd == A.dimsd else A.subsets(3)[1]
        assert np.array_equal(B.mean(u), C.mean(u)) and np.array_equal(B.sensitivity(), C.sensitivity())


# ---------------------------------------------------------------- reconstruction


def test_mlem_raises_the_likelihood_and_keeps_the_counts(xp: ModuleType) -> None:
    """L(u) = Σ b log(A u + r) - (A u + r) never falls; without background Σ A u = Σ b after each iteration."""
    rng = np.random.default_rng(7)
    for background in (None, 0.7):
        A = ip.PET(joseph(n_det=5), np.full(DIMS, 0.02), normalisation=3.0, blur_fwhm=4.5, background=background)
        b = xp.asarray(rng.poisson(20 * A.mean(rng.random(DIMS))).astype("float64"))
        u, values = xp.ones(DIMS), []
        for _ in range(15):
            mean = A.mean(u)
            values.append(float((b * xp.log(mean) - mean).sum()))
            u = u * A.apply_adjoint(b / mean) / A.sensitivity(u)
            if background is None:
                assert float(A.apply(u).sum()) == pytest.approx(float(b.sum()), rel=1e-12)
        assert (np.diff(values) > 0).all() and float(u.min()) >= 0


def scan(xp: ModuleType = np, dtype: Any = "float64") -> tuple[ip.PET, Any, np.ndarray]:
    """Exact attenuated projections of ellipses, with normalisation and background: A, b, truth."""
    h, n_det = 4.0, 95
    body = [Ellipse(0.0096, 5.0, 3.0, 80.0, 100.0, 0.2)]
    activity = [Ellipse(2.0, 5.0, 3.0, 70.0, 90.0, 0.2), Ellipse(3.0, -20.0, 30.0, 25.0, 18.0)]
    angles = np.arange(160) * np.pi / 160
    P = joseph(dtype, (64, 64), angles, n_det=n_det, pixel_size=h)
    s = (np.arange(n_det) - (n_det - 1) / 2) * h
    n = np.random.default_rng(8).uniform(0.5, 1.5, P.dimsd)
    A = ip.PET(P, image(body, (64, 64), h), normalisation=n, background=2.0)
    b = n * np.exp(-ellipses_sinogram(body, angles, s)) * ellipses_sinogram(activity, angles, s, h) + 2.0
    return A, xp.asarray(b.astype(dtype)), ellipses_image(activity, (64, 64), h)


def test_fbp_corrects_attenuation_normalisation_and_background(xp: ModuleType, dtype: np.dtype) -> None:
    A, b, truth = scan(xp, dtype)
    x, info = ip.fbp(A, b, "ramp")
    assert isinstance(x, xp.ndarray) and x.dtype == dtype
    assert (info.method, info.filter, info.stop) == ("fbp", "ramp", "direct")
    assert np.linalg.norm(to_host(x) - truth) < 0.05 * np.linalg.norm(truth)
    inside = truth == 2.0
    assert to_host(x)[inside].mean() == pytest.approx(2.0, rel=5e-3)
    uncorrected = ip.PET(A.projector, normalisation=A.factors.mean() * np.ones(A.dimsd), background=2.0)
    assert np.linalg.norm(to_host(ip.fbp(uncorrected, b, "ramp")[0]) - truth) > 0.4 * np.linalg.norm(truth)
    pair, _ = ip.fbp(A, xp.stack([b, b]), "ramp")
    assert np.allclose(to_host(pair[1]), to_host(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "A, b, error, message",
    [
        (model()[0], np.ones((6, 12)), ValueError, r"shape \(6, 12\)"),
        (model()[0], np.full((6, 13), np.nan), ValueError, "NaN"),
        (model()[0], [1.0], TypeError, "list"),
        (
            ip.PET(joseph(), normalisation=np.eye(6, 13)),
            np.ones((6, 13)),
            ValueError,
            r"A has 72 readings without counts \(n a = 0\); fbp expects n a > 0 everywhere",
        ),
    ],
)
def test_fbp_refuses(A: Any, b: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ip.fbp(A, b)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(attenuation=-np.ones(DIMS)), ValueError, "attenuation has negative entries, down to -1; expected"),
        (dict(attenuation=np.ones((8, 9))), ValueError, r"attenuation has shape \(8, 9\); expected \(9, 8\)"),
        (dict(attenuation=np.full(DIMS, np.nan)), ValueError, "attenuation has NaN or infinite entries"),
        (dict(attenuation=np.ones(DIMS, int)), TypeError, "attenuation has dtype int64; expected float32 or float64"),
        (dict(attenuation=np.ones(DIMS, complex)), TypeError, "attenuation has dtype complex128; expected"),
        (dict(attenuation=[[1.0]]), TypeError, r"attenuation is list; expected an array of shape \(9, 8\)"),
        (dict(attenuation=0.1), TypeError, r"attenuation is float; expected an array of shape \(9, 8\)"),
        (dict(attenuation_factors=np.full((6, 13), 1.5)), ValueError, "attenuation_factors reach 1.5; expected"),
        (dict(attenuation_factors=np.ones(DIMS)), ValueError, r"attenuation_factors has shape \(9, 8\); expected"),
        (
            dict(attenuation=np.ones(DIMS), attenuation_factors=np.ones((6, 13))),
            ValueError,
            "attenuation and attenuation_factors are both given",
        ),
        (dict(normalisation=np.zeros((6, 13))), ValueError, "normalisation and attenuation leave no counts"),
        (dict(normalisation=0.0), ValueError, "normalisation and attenuation leave no counts"),
        (dict(normalisation=-1.0), ValueError, "normalisation has negative entries, down to -1; expected values >= 0"),
        (dict(normalisation=math.inf), ValueError, "normalisation is inf; expected a finite number"),
        (dict(normalisation=np.ones(13)), ValueError, r"normalisation has shape \(13,\); expected \(6, 13\)"),
        (dict(normalisation="high"), TypeError, "normalisation is str; expected a number or an array"),
        (dict(background=-0.5), ValueError, "background has negative entries, down to -0.5; expected"),
        (dict(background=-np.eye(6, 13)), ValueError, "background has negative entries, down to -1"),
        (dict(background=np.full((6, 13), np.inf)), ValueError, "background has NaN or infinite entries"),
        (dict(background=np.ones((6, 13), int)), TypeError, "background has dtype int64"),
        (dict(blur_fwhm=-1.0), ValueError, "blur_fwhm is -1.0; expected zero or a positive width"),
        (dict(blur_fwhm=None), ValueError, "blur_fwhm is None; expected zero or a positive width"),
    ],
)
def test_pet_refuses(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ip.PET(joseph(), **options)


def test_a_fourier_projector_is_refused() -> None:
    with pytest.raises(TypeError, match="projector is RayTransform; expected a non-negative one as JosephTransform"):
        ip.PET(ip.RayTransform(DIMS, VIEWS))
    with pytest.raises(TypeError, match="projector is ndarray"):
        ip.PET(np.eye(3))


def test_values_beyond_the_precision_are_refused() -> None:
    with pytest.raises(ValueError, match="background has NaN or infinite entries in float32"):
        nonnegative(np.array([1e60]), (1,), "background", np.dtype("float32"))
    with pytest.raises(ValueError, match="normalisation has NaN or infinite entries in float32"):
        ip.PET(joseph("float32"), normalisation=np.full((6, 13), 1e60))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda A: A.subsets(0), ValueError, "n is 0; expected a positive integer"),
        (lambda A: A.subsets(7), ValueError, "n is 7; expected at most one subset for each of the 6 views"),
        (lambda A: A.subsets(1.5), ValueError, "n is 1.5; expected a positive integer"),
        (lambda A: A.subset([6]), ValueError, "indices reach from 6 to 6; expected those of 6 angles"),
        (lambda A: A.subset([0.5]), TypeError, "indices has"),
        (lambda A: A.subset(slice(0, 0)), ValueError, "leaves none of the 6 angles"),
        (lambda A: A.mean(np.ones((8, 9))), ValueError, r"x has shape \(8, 9\); PET expects \(9, 8\)"),
        (lambda A: A.mean(np.ones(DIMS, int)), TypeError, "x has dtype int64; PET expects float64"),
        (lambda A: A.sensitivity([1.0]), TypeError, "got list"),
    ],
)
def test_calls_refuse(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(model()[0])
