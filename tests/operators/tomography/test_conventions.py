"""Data of scikit-image and ASTRA, by the names of their conventions.

``astra.npz`` has what ASTRA 2.5 computed of an image without symmetries whose window is not about the axis.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.transform import iradon, radon

import ipbox as ip
from ipbox.operators.tomography.astra import _vectors
from ipbox.problems.truths.phantoms import shepp_logan

STORED = np.load(Path(__file__).with_name("astra.npz"))
VOLUME = {
    "option": {"WindowMinX": -1.0, "WindowMaxX": 0.6, "WindowMinY": -1.0, "WindowMaxY": 1.0},
    "GridRowCount": 40,
    "GridColCount": 32,
}
THETA = np.linspace(0.1, math.pi + 0.1, 9, endpoint=False)
BETA = np.linspace(0.2, 2 * math.pi + 0.2, 9, endpoint=False)
SCANS: dict[str, dict[str, Any]] = {
    "parallel": dict(DetectorWidth=0.05, DetectorCount=50, ProjectionAngles=THETA),
    "fanflat": dict(
        DetectorWidth=0.075,
        DetectorCount=50,
        ProjectionAngles=BETA,
        DistanceOriginSource=4.0,
        DistanceOriginDetector=2.0,
    ),
}


def vectors(kind: str, shift: Any) -> np.ndarray:
    """ASTRA's own: source or ray, detector and step, (x, y) each, for a detector that shifts along itself."""
    c, s = (f(THETA if kind == "parallel" else BETA) for f in (np.cos, np.sin))
    if kind == "parallel":
        return np.stack([s, -c, shift * c, shift * s, 0.05 * c, 0.05 * s], axis=1)
    return np.stack([4 * s, -4 * c, shift * c - 2 * s, shift * s + 2 * c, 0.075 * c, 0.075 * s], axis=1)


def scan(name: str) -> dict[str, Any]:
    if name in SCANS:
        return dict(type=name) | SCANS[name]
    return dict(type=name, DetectorCount=50, Vectors=vectors(name.removesuffix("_vec"), STORED["shifts"]))


# ---------------------------------------------------------------- scikit-image


def slice_of(n: int, circle: bool) -> np.ndarray:
    """A chest slice that fills the image, or the circle that radon sees."""
    u = ip.problem("ct", size=n, slice=2, dtype="float64")[2]
    x = np.arange(n) - n // 2
    return np.where((x**2 + x[:, None] ** 2 <= (n // 2) ** 2) | (not circle), u, 0)


@pytest.mark.parametrize("circle", [True, False])
@pytest.mark.parametrize("n", [64, 65])
@pytest.mark.parametrize("what", ["head", "chest"])
def test_skimage_s_sinograms_reconstruct_better_than_by_its_own_inverse(what: str, n: int, circle: bool) -> None:
    u = shepp_logan(n) if what == "head" else slice_of(n, circle)
    theta = np.linspace(0, 180, 120, endpoint=False)
    sinogram = radon(u, theta, circle=circle)
    A = ip.RayTransform.like("skimage", sinogram, theta, circle=circle)
    for name in ("ramp", "hann"):
        theirs = iradon(sinogram, theta, circle=circle, filter_name=name)
        x, _ = ip.fbp(A, sinogram.T, name)
        assert x.shape == theirs.shape == u.shape and x.dtype == np.float64
        assert ip.psnr(x, u) >= ip.psnr(theirs, u)
    assert np.linalg.norm(A.apply(u) - sinogram.T) < 0.03 * np.linalg.norm(sinogram)


@pytest.mark.parametrize("cls", [ip.RayTransform, ip.JosephTransform])
def test_skimage_of_images_that_are_not_square(cls: Any) -> None:
    """A small spot of each is where ours has it, to a hundredth of a pixel, for odd and even sides."""
    theta = np.array([0.0, 30.0, 77.0, 90.0, 164.0])
    for dims in ((40, 31), (31, 40), (40, 50)):
        y, x = np.mgrid[: dims[0], : dims[1]]
        u = np.exp(-((x - 9.0) ** 2 + (y - 23.0) ** 2) / 8)
        sinogram = radon(u, theta, circle=False)
        A = cls.like("skimage", sinogram, theta, circle=False, dims=dims)
        mine, k = A.apply(u), np.arange(A.n_det)
        assert abs(mine @ k / mine.sum(axis=1) - (sinogram.T @ k) / sinogram.T.sum(axis=1)).max() < 0.01


def test_skimage_s_defaults() -> None:
    """Angles and sides as iradon takes them where none are given; single precision stays so."""
    sinogram = np.ones((91, 12), dtype="float32")
    A = ip.RayTransform.like("skimage", sinogram, circle=False)
    assert A.dims == (64, 64) and A.dtype_in == np.float32 and A.dimsd == (12, 91)
    np.testing.assert_allclose(np.rad2deg(A.angles), np.arange(12) * 15)
    assert ip.RayTransform.like("skimage", sinogram).dims == (91, 91)
    assert ip.cgls(A, sinogram.T, niter=2)[0].shape == (64, 64)


# ---------------------------------------------------------------- ASTRA


@pytest.mark.parametrize("name", ["parallel", "parallel_vec", "fanflat", "fanflat_vec"])
def test_astra_s_data(name: str) -> None:
    """Joseph's method is its "linear" in parallel beam; its "line" in fan beam is another, on the same rays."""
    cls = ip.FanBeamTransform if "fan" in name else ip.JosephTransform
    A, b = cls.like("astra", scan(name), VOLUME), STORED[name]
    assert A.dims == STORED["image"].shape and A.dimsd == b.shape and A.dtype_in == np.float32
    error = np.linalg.norm(A.apply(STORED["image"]) - b) / np.linalg.norm(b)
    assert error < (0.04 if "fan" in name else 1e-4)


@pytest.mark.parametrize("name", ["parallel", "fanflat"])
def test_astra_s_vectors_are_those_of_the_adapter(name: str) -> None:
    cls = ip.FanBeamTransform if "fan" in name else ip.JosephTransform
    window = {"WindowMinX": -0.8, "WindowMaxX": 0.8, "WindowMinY": -1.0, "WindowMaxY": 1.0}
    A, given = cls.like("astra", scan(f"{name}_vec"), VOLUME | {"option": window}), vectors(name, STORED["shifts"])
    rest = slice(0 if "fan" in name else 2, None)  # parallel rays have no direction
    np.testing.assert_allclose(_vectors(A)[:, rest], given[:, rest], atol=1e-12)
    assert A.pixel_size == pytest.approx(0.05)  # square, in spite of rounding


def test_astra_s_sinograms_reconstruct_better_than_by_its_own_inverse() -> None:
    """Its FBP (ram-lak, CPU, parallel beam only) of these data, by "linear", has 25.74 dB.

    Fan beam has to do as well, with twice as many views on a full turn.
    """
    u, h = shepp_logan(64).astype("float32"), 2 / 64
    volume = {"option": {k: math.copysign(1, v) for k, v in VOLUME["option"].items()}}
    volume |= dict(GridRowCount=64, GridColCount=64)
    half, turn = (np.linspace(0, k * math.pi, k * 90, endpoint=False) for k in (1, 2))
    parallel = dict(type="parallel", DetectorWidth=h, DetectorCount=91, ProjectionAngles=half)
    b = ip.JosephTransform.like("astra", parallel, volume).apply(u)
    assert ip.psnr(ip.fbp(ip.RayTransform.like("astra", parallel, volume), b)[0], u) > 25.74
    fan = dict(type="fanflat", DetectorWidth=1.5 * h, DetectorCount=110, ProjectionAngles=turn)
    A = ip.FanBeamTransform.like("astra", fan | dict(DistanceOriginSource=4.0, DistanceOriginDetector=2.0), volume)
    assert ip.psnr(ip.fbp(A, A.apply(u))[0], u) > 25.74


# ---------------------------------------------------------------- input


SINOGRAM = np.ones((9, 4))
WRONG: dict[str, tuple[Any, ...]] = {
    "convention": (("odl", SINOGRAM), {}, ValueError, "^convention is 'odl'; expected one of 'skimage', 'astra'"),
    "list": (("skimage", [[1.0]]), {}, TypeError, "^sinogram is"),
    "vector": (("skimage", np.ones(4)), {}, ValueError, r"^sinogram has shape \(4,\); expected \(detector"),
    "integers": (("skimage", SINOGRAM.astype(int)), {}, TypeError, "^sinogram has dtype int64; expected float32"),
    "theta": (("skimage", SINOGRAM, np.ones(9)), {}, ValueError, r"^theta has shape \(9,\); expected one for each"),
    "circle": (("skimage", SINOGRAM), dict(circle="yes"), TypeError, "^circle is 'yes'"),
    "dims": (("skimage", SINOGRAM), dict(dims=(1, 2, 3)), ValueError, r"^dims is \(1, 2, 3\); expected"),
    "no angles": (("skimage", SINOGRAM, np.full(4, np.nan)), {}, ValueError, "^theta has NaN or infinite"),
    "text": (("skimage", SINOGRAM, ["a"] * 4), {}, TypeError, "^theta has dtype <U1; expected real numbers"),
    "slip": (("skimage", SINOGRAM), dict(angles=3), TypeError, r"^skimage\(\) has no keyword 'angles'; expected theta"),
    "nothing": (("astra",), {}, TypeError, "^astra"),
    "kind": (("astra", dict(type="cone"), VOLUME), {}, ValueError, r"^proj_geom\['type'\] is 'cone'; expected one of"),
    "no dict": (("astra", 3, VOLUME), {}, TypeError, "^proj_geom is int; expected a geometry of ASTRA"),
    "fan": (("astra", scan("fanflat"), VOLUME), {}, ValueError, "^the geometry has a fan beam; expected a parallel"),
    "entry": (("astra", dict(type="parallel"), VOLUME), {}, ValueError, "^proj_geom has no 'DetectorCount'"),
    "volume": (("astra", scan("parallel"), {}), {}, ValueError, "^vol_geom has no 'GridRowCount'"),
    "vectors": (
        ("astra", dict(type="parallel_vec", DetectorCount=5, Vectors=np.ones((3, 5))), VOLUME), {},
        ValueError, r"^proj_geom\['Vectors'\] has shape \(3, 5\)",
    ),
    "oblique": (
        ("astra", dict(type="parallel_vec", DetectorCount=5, Vectors=np.array([[1.0, 1, 0, 0, 1, 0]])), VOLUME), {},
        ValueError, "expected rays that meet the detector at right angles",
    ),
    "no step": (
        ("astra", dict(type="parallel_vec", DetectorCount=5, Vectors=np.array([[1.0, 1, 0, 0, 0, 0]])), VOLUME), {},
        ValueError, "expected detector pixels of one width",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_refusals(what: str) -> None:
    given, options, error, match = WRONG[what]
    with warnings.catch_warnings(), pytest.raises(error, match=match):
        ip.RayTransform.like(*given, **options)


def test_fan_beams_that_are_not_ours() -> None:
    with pytest.raises(
        ValueError, match="^the geometry has a parallel beam; expected a fan beam, or RayTransform.like"
    ):
        ip.FanBeamTransform.like("skimage", SINOGRAM)
    good = vectors("fanflat", 0.0)
    for column, change, what in ((0, 0.5, "a detector at right angles"), (3, 0.5, "a detector that turns")):
        bad = good.copy()
        bad[2, column] += change
        with pytest.raises(ValueError, match=what):
            ip.FanBeamTransform.like("astra", dict(type="fanflat_vec", DetectorCount=5, Vectors=bad), VOLUME)
    good[4, :2] *= 1.1
    with pytest.raises(ValueError, match="a source that turns on a circle"):
        ip.FanBeamTransform.like("astra", dict(type="fanflat_vec", DetectorCount=5, Vectors=good), VOLUME)
