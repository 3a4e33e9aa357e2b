"""Rectangular pixels, an image off the axis of rotation, and a detector that moves from view to view."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.operators.tomography.ramp import RampFilter
from ipbox.problems.truths.phantoms import Ellipse, ellipses_image, ellipses_line_integrals

PHANTOM = [
    Ellipse(1.0, 0.1, -0.05, 0.6, 0.75),
    Ellipse(-0.5, 0.2, 0.1, 0.3, 0.2, 0.5),
    Ellipse(0.4, -0.2, -0.3, 0.2, 0.3),
]
VIEWS = 60
JITTER = np.random.default_rng(1).uniform(-0.06, 0.06, VIEWS)
SETTINGS: dict[str, dict[str, Any]] = {
    "tall pixels": dict(pixel_size=(2 / 48, 2 / 96)),
    "wide pixels": dict(pixel_size=(2 / 128, 2 / 64)),
    "off the axis": dict(pixel_size=2 / 96, image_centre=(0.13, -0.21)),
    "a shift for each view": dict(pixel_size=2 / 96, det_shift=JITTER),
    "all of it": dict(pixel_size=(2 / 48, 2 / 96), image_centre=(-0.1, 0.17), det_shift=0.05 + JITTER),
}


def image(A: Any) -> np.ndarray:
    """Pixel averages of the phantom: of parts of the pixels, which are square."""
    (hy, hx), (y0, x0) = A.pixel_widths, A.image_centre
    h = min(hy, hx) / 2
    parts = round(hy / h), round(hx / h)
    shape = A.dims[0] * parts[0], A.dims[1] * parts[1]
    moved = [Ellipse(e.value, e.x0 - x0, e.y0 - y0, e.a, e.b, e.phi) for e in PHANTOM]
    fine = ellipses_image(moved, shape, h)
    return fine.reshape(A.dims[0], parts[0], A.dims[1], parts[1]).mean(axis=(1, 3))


def transforms(name: str, dtype: str = "float64") -> dict[str, Any]:
    settings = SETTINGS[name]
    hy, hx = np.broadcast_to(settings["pixel_size"], 2)
    dims = round(2.2 / hy), round(2.4 / hx)
    half, turn = (np.arange(VIEWS) * arc / VIEWS for arc in (math.pi, 2 * math.pi))
    fan = dict(source_distance=4.0, detector_distance=2.0)
    return {
        "ray": ip.RayTransform(dims, half, dtype=dtype, **settings),
        "joseph": ip.JosephTransform(dims, half, dtype=dtype, **settings),
        "fan": ip.FanBeamTransform(dims, turn, dtype=dtype, **fan, **settings),
    }


def exact(A: Any) -> np.ndarray:
    """The ellipses' line integrals, as averages over the detector pixels where the operator gives these."""
    if isinstance(A, ip.FanBeamTransform):
        return ellipses_line_integrals(PHANTOM, *A.parallel_coordinates())
    width = A.det_spacing if isinstance(A, ip.RayTransform) else 0.0
    return ellipses_line_integrals(PHANTOM, A.angles[:, None], np.broadcast_to(A.positions(), A.dimsd), width)


def error(x: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(x - truth) / np.linalg.norm(truth))


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", ["ray", "joseph", "fan"])
def test_line_integrals_of_ellipses(kind: str, name: str) -> None:
    A = transforms(name)[kind]
    assert error(A.apply(image(A)), exact(A)) < 0.015


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", ["ray", "joseph", "fan"])
def test_exact_adjoint_and_norm(kind: str, name: str, rng: np.random.Generator) -> None:
    A = transforms(name)[kind].subset(slice(0, None, 7))
    u, v = rng.standard_normal(A.dims), rng.standard_normal(A.dimsd)
    Au, Av = A.apply(u), A.apply_adjoint(v)
    assert abs((Au * v).sum() - (u * Av).sum()) < 1e-10 * np.linalg.norm(Au) * np.linalg.norm(v)
    for _ in range(30):
        u = A.apply_adjoint(A.apply(u))
        u /= np.linalg.norm(u)
    size = np.linalg.norm(A.apply(u))
    assert size <= A.norm() <= 1.1 * size


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", ["ray", "joseph", "fan"])
def test_fbp_of_exact_data(kind: str, name: str) -> None:
    """As good as where pixels are square and the image is on the axis, or the coarser pixels allow."""
    x = {}
    for setting in (name, "a shift for each view"):
        A = transforms(setting)[kind]
        plain = A if setting == name else A.with_detector(A.n_det, 0.0)
        x[setting] = error(ip.fbp(plain, exact(plain), "hann")[0], image(plain))
    assert x[name] < 1.15 * x["a shift for each view"] < 0.25


def test_a_shift_that_is_forgotten_costs() -> None:
    A = transforms("a shift for each view")["ray"]
    b, truth = exact(A), image(A)
    forgotten = A.with_detector(A.n_det, 0.0)
    assert error(ip.fbp(A, b, "hann")[0], truth) < 0.7 * error(ip.fbp(forgotten, b, "hann")[0], truth)


def test_subsets_have_their_own_shifts() -> None:
    for A in transforms("all of it").values():
        u = image(A)
        for k, B in enumerate(A.subsets(4)):
            assert np.array_equal(B.det_shift, A.det_shift[k::4])
            np.testing.assert_allclose(B.apply(u), A.apply(u)[k::4], atol=1e-8)


def test_a_moved_image_is_that_of_moved_data() -> None:
    """An image whose centre is a whole number of pixels off is a padded one on the axis."""
    u = np.random.default_rng(0).random((12, 15))
    padded = np.pad(u, ((0, 6), (8, 0)))  # 3 pixels upwards, 4 to the right
    angles = np.linspace(0, math.pi, 7)
    for cls, options in (
        (ip.RayTransform, {}),
        (ip.JosephTransform, {}),
        (ip.FanBeamTransform, dict(source_distance=40.0, detector_distance=9.0)),
    ):
        on = cls(padded.shape, angles, 40, pixel_size=0.5, dtype="float64", **options)
        off = cls(u.shape, angles, 40, pixel_size=0.5, dtype="float64", image_centre=(1.5, 2.0), **options)
        np.testing.assert_allclose(off.apply(u), on.apply(padded), atol=1e-7)


def test_the_normal_operator_has_no_shifts() -> None:
    """A*A by its Toeplitz kernel, for rectangular pixels off the axis and a detector that moves."""
    A = transforms("all of it")["ray"].with_detector(200, 0.05 + JITTER)
    u = image(A)
    assert error(A.normal().apply(u), A.apply_adjoint(A.apply(u))) < 1e-4


def test_the_ramp_filter_goes_along() -> None:
    A = transforms("all of it")["ray"]
    b = exact(A)
    assert error((A.H @ RampFilter(A, "hann")).apply(b), ip.fbp(A, b, "hann")[0]) < 0.03


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(pixel_size=(1.0,)), ValueError, r"^pixel_size is \(1.0,\); expected two numbers \(y, x\)"),
        (dict(pixel_size=(1.0, 0.0)), ValueError, "^pixel_size is 0.0; expected a positive number"),
        (dict(pixel_size="1"), ValueError, "^pixel_size is '1'; expected a positive number, or two"),
        (dict(image_centre=1.0), ValueError, "^image_centre is 1.0; expected two numbers"),
        (dict(image_centre=(0.0, np.nan)), ValueError, "^image_centre is nan; expected a finite number"),
        (dict(det_shift=np.zeros(4)), ValueError, r"^det_shift has shape \(4,\); expected a number, or"),
        (dict(det_shift=[0.0, 1.0, np.inf]), ValueError, "^det_shift has NaN or infinite"),
        (dict(det_shift=np.zeros(3, complex)), TypeError, "^det_shift has dtype complex128"),
    ],
)  # fmt: skip
def test_refusals(change: dict, error: type[Exception], message: str) -> None:
    for cls, options in (
        (ip.RayTransform, {}),
        (ip.JosephTransform, {}),
        (ip.FanBeamTransform, dict(source_distance=40.0, detector_distance=9.0)),
    ):
        with pytest.raises(error, match=message):
            cls((5, 6), [0.0, 1.0, 2.0], **options, **change)


def test_shifts_are_kept_apart() -> None:
    shift = np.zeros(3)
    A = ip.RayTransform((5, 6), [0.0, 1.0, 2.0], det_shift=shift)
    shift += 1
    assert not A.det_shift.any() and not A.det_shift.flags.writeable


def test_what_needs_square_pixels_says_so() -> None:
    P = ip.JosephTransform((8, 8), [0.0, 1.0], pixel_size=(1.0, 2.0))
    with pytest.raises(ValueError, match=r"^pixel_size is \(1.0, 2.0\); expected square pixels"):
        ip.PET(P, blur_fwhm=3.0)
    assert ip.PET(P).apply(np.ones((8, 8), "float32")).shape == P.dimsd


@pytest.mark.parametrize(
    "n, shift, message",
    [
        (0, 0.0, "n_det is 0; expected a positive integer"),
        (5, np.zeros(2), r"det_shift has shape \(2,\); expected a number, or one for each of 6 views"),
        (5, [[1.0], 2.0], "det_shift is .*; expected a number, or one for each of 6 views"),
    ],
)
def test_refusals_of_another_detector(n: int, shift: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ip.RayTransform((8, 8), np.arange(6) * 0.5).with_detector(n, shift)
