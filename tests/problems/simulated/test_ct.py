"""The test problems: what their data are made of, what their info says, what they refuse."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend
from ipbox.problems import names
from ipbox.problems.truths import datasets, phantoms


def residual(A, x, b) -> float:
    return backend.norm(A.apply(x) - b)


def bump(ny: int, nx: int) -> np.ndarray:
    """A smooth blob to the upper right, longer than wide."""
    y, x = np.ogrid[:ny, :nx]
    return np.exp(-((x - 0.6 * nx) ** 2) / 30 - (y - 0.4 * ny) ** 2 / 60)


# ---------------------------------------------------------------- simulated CT


@pytest.mark.parametrize(
    "options, model_error",
    [
        (dict(size=128, views=40), 0.003),  # from the 512 x 512 slice
        (dict(size=64, views=40, slice=9), 0.006),  # from the 256 x 256 slice
        (dict(size=100, views=40, slice=2), 0.006),  # no whole multiple: twice as fine
        (dict(size=128, views=40, patient="train", slice=20), 0.006),
        (dict(size=128, views=40, image="shepp-logan"), 0.01),
        (dict(size=128, views=40, detectors=101), 0.003),  # truncated
        (dict(views=40, image=bump(48, 59)), 0.004),  # mirrored, it would be 0.7
    ],
)
def test_no_inverse_crime_and_one_geometry(options: dict, model_error: float) -> None:
    """Without noise A x differs from the data, by little: two independent projectors agree on the geometry."""
    A, b, x, info = ip.problem("ct", noise=0.0, dtype="float64", **options)
    assert info.noise_level == 0
    assert info.model_error == pytest.approx(residual(A, x, b), rel=1e-12)
    assert 1e-5 < info.model_error / np.linalg.norm(b) < model_error
    assert info.peak == x.max() and not x[~info.mask].any()
    assert x.shape == A.dims == info.mask.shape and b.shape == A.dimsd == (40, options.get("detectors", A.n_det))
    assert A.pixel_size == A.det_spacing == info.pixel_size
    assert np.array_equal(A.angles, info.angles)


def test_lung_truth_and_units() -> None:
    _, _, x, info = ip.problem("ct", size=128, views=4, dtype="float64", slice=3)
    u, h = datasets.lung_slice(3, 128)
    assert np.array_equal(x, u * datasets.field_of_view((128, 128)))
    assert info.pixel_size == h and info.units == "x in 1/mm, lengths in mm"
    assert "pyradiomics" in info.source and info.licence.startswith("BSD-3")
    assert info.extra == {"image": "lung", "slice": 3, "patient": "test"}
    assert 0.03 < info.peak < 0.06  # bone


def test_shepp_logan_data_are_exact() -> None:
    A, b, x, _ = ip.problem("ct", image="shepp-logan", size=64, views=7, noise=0.0, dtype="float64")
    s = (np.arange(A.n_det) - (A.n_det - 1) / 2) * A.det_spacing
    assert np.array_equal(b, phantoms.ellipses_sinogram(phantoms.SHEPP_LOGAN, A.angles, s, A.det_spacing))
    assert np.array_equal(x, phantoms.shepp_logan(64))


def test_noise_and_seed() -> None:
    A, clean, _, _ = ip.problem("ct", size=64, views=60, noise=0.0, dtype="float64")
    runs = [ip.problem("ct", size=64, views=60, noise=0.03, seed=s, dtype="float64") for s in (7, 7, 8)]
    (_, first, _, info), (_, again, _, _), (_, other, _, _) = runs
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert info.seed == 7 and info.noise_level == pytest.approx(0.03 * np.linalg.norm(clean), rel=1e-12)
    assert np.linalg.norm(first - clean) == pytest.approx(info.noise_level, rel=0.05)
    assert ip.problem("ct", size=64, views=60)[3].noise_level == pytest.approx(info.noise_level / 3, rel=1e-5)


def test_photons() -> None:
    A, clean, x, _ = ip.problem("ct", size=64, views=60, noise=0.0, dtype="float64")
    _, b, _, info = ip.problem("ct", size=64, views=60, photons=1e4, dtype="float64")
    assert np.linalg.norm(b - clean) == pytest.approx(info.noise_level, rel=0.05)


def test_arc_and_defaults() -> None:
    A, _, x, info = ip.problem("ct", views=3, arc=math.pi / 2)
    assert x.shape == (256, 256) and A.covers
    assert np.allclose(info.angles, [0, math.pi / 6, math.pi / 3], rtol=1e-15)


def test_own_image_is_left_alone(dtype: np.dtype) -> None:
    u = np.linspace(0, 1, 20 * 30).reshape(20, 30)
    kept = u.copy()
    A, b, x, info = ip.problem("ct", image=u, views=5, dtype=dtype)
    assert np.array_equal(x, u.astype(dtype)) and x.dtype == b.dtype == dtype
    assert info.mask.all() and info.pixel_size == 1
    assert np.array_equal(u, kept) and not np.shares_memory(x, u)


def test_where_the_arrays_live(xp: ModuleType, dtype: np.dtype) -> None:
    """The same data on every device: simulated on the host, moved once."""
    options = dict(size=32, views=8, seed=4, dtype=dtype)
    A, b, x, info = ip.problem("ct", xp=xp.__name__, **options)
    _, on_host, _, _ = ip.problem("ct", **options)
    assert all(backend.array_module(u) is xp for u in (b, x, info.mask))
    assert b.dtype == x.dtype == dtype
    assert np.array_equal(backend.to_host(b), on_host)
    assert residual(A, x, b) < 2 * (info.noise_level + info.model_error)


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(size=0), ValueError, "size is 0; expected a positive integer"),
        (dict(size=64.0), ValueError, "size is 64.0; expected a positive integer"),
        (dict(size=1024), ValueError, "size is 1024; expected an integer from 1 to 512"),
        (dict(slice=99), ValueError, "slice is 99; expected an integer from 0 to 60, the slices of patient 'test'"),
        (dict(patient="other"), ValueError, "patient is 'other'"),
        (dict(views=0), ValueError, "views is 0; expected a positive integer"),
        (dict(noise=-0.1), ValueError, "noise is -0.1; expected zero or a positive number"),
        (dict(noise=0.1, photons=1e5), ValueError, "noise is 0.1 and photons is 100000.0; expected at most one"),
        (dict(photons=-1), ValueError, "photons is -1; expected a positive number"),
        (dict(seed=-1), ValueError, "seed is -1; expected an integer from 0"),
        (dict(arc=180), ValueError, "arc is 180; expected radians"),
        (dict(detectors=0), ValueError, "n_det is"),
        (dict(rays_per_bin=0), ValueError, "rays_per_bin is 0"),
        (dict(dtype="float16"), TypeError, "dtype is float16; expected"),
        (dict(dtype="complex64"), TypeError, "dtype is complex64; RayTransform expects float32 or float64"),
        (dict(xp="torch"), ValueError, "xp is 'torch'; expected 'numpy' or 'cupy'"),
        (dict(image="brain"), ValueError, "image is 'brain'; expected 'lung', 'shepp-logan' or an image"),
        (dict(image=np.ones((4, 4), int)), TypeError, "expected float32 or float64: image.astype\\('float32'\\)"),
        (dict(image=np.ones(4)), ValueError, r"image has shape \(4,\); expected \(ny, nx\)"),
        (dict(image=np.full((4, 4), np.nan)), ValueError, "image has NaN or infinite entries"),
        (dict(image=np.ones((4, 4)), size=5), ValueError, r"size is 5; .*image, which has shape \(4, 4\)"),
        (dict(image=[[1.0]]), TypeError, "image is list; expected"),
    ],
)
def test_ct_refuses(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ip.problem("ct", **({"size": 16, "views": 4} if "image" not in options else {"views": 4}) | options)


# ---------------------------------------------------------------- measured tilt series


def test_measured(xp: ModuleType, dtype: np.dtype) -> None:
    A, b, x, info = ip.problem("tomography-measured", slice=4, xp=xp.__name__, dtype=dtype)
    data = datasets.load("tomo_haadf")
    assert x is None and info.noise_level is info.model_error is info.peak is info.seed is None
    assert backend.array_module(b) is xp and b.dtype == dtype and b.shape == A.dimsd == (77, 256)
    assert np.array_equal(backend.to_host(b), data["projections"][4].astype(dtype))
    assert np.allclose(np.rad2deg(info.angles), data["angles_deg"], rtol=0, atol=1e-5)
    assert info.pixel_size == 3.36 and "NIST" in info.licence


def misfit(angles: np.ndarray, centroid: np.ndarray) -> tuple[float, float]:
    """Offset, and root mean square misfit, of the best m_x cos θ + m_y sin θ + offset."""
    model = np.stack([np.cos(angles), np.sin(angles), np.ones_like(angles)], axis=1)
    fit, squares, _, _ = np.linalg.lstsq(model, centroid)
    return float(fit[2]), math.sqrt(squares[0] / angles.size)


@pytest.mark.parametrize("slice", range(11))
def test_tilt_axis_and_angles_belong_to_the_data(slice: int) -> None:
    """Helgason and Ludwig: the centroid of the projection at θ is m_x cos θ + m_y sin θ, with no offset where the tilt
    axis is at s = 0.  To a pixel, that holds for the angles as they are and not for others."""
    _, b, _, info = ip.problem("tomography-measured", slice=slice, dtype="float64")
    centroid = b @ (np.arange(256) - 127.5) / b.sum(axis=1)
    offset, error = misfit(info.angles, centroid)
    assert abs(offset) < 1 and error < 0.25
    if slice == 3:  # furthest off the axis
        assert misfit(np.roll(info.angles, 20), centroid)[1] > 4 * error


def test_cgls_fits_the_measurement() -> None:
    A, b, _, _ = ip.problem("tomography-measured")
    x, _ = ip.cgls(A, b, niter=50)
    assert ip.relative_residual(A, x, b) < 0.009


def test_subsets_of_the_angles() -> None:
    everything = ip.problem("tomography-measured")[1]
    A, b, _, info = ip.problem("tomography-measured", angles=5)
    assert np.array_equal(info.extra["indices"], np.arange(0, 77, 5)) and np.array_equal(b, everything[::5])
    rest = np.setdiff1d(np.arange(77), info.extra["indices"])
    A, b, _, info = ip.problem("tomography-measured", angles=rest)
    assert np.array_equal(b, everything[rest]) and A.angles.size == 61


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(slice=11), ValueError, "slice is 11; expected an integer from 0 to 10"),
        (dict(angles=0), ValueError, "angles is 0; expected a step from 1 to 77, or a list of indices"),
        (dict(angles=[]), ValueError, r"angles is \[\]; expected a step, or a list of indices from 0 to 76"),
        (dict(angles=[0.5]), ValueError, r"angles is \[0.5\]; expected"),
        (dict(angles=[0, 77]), ValueError, "angles has indices that repeat or are not in 0 to 76"),
        (dict(angles=[3, 3]), ValueError, "angles has indices that repeat"),
        (dict(xp="jax"), ValueError, "xp is 'jax'"),
    ],
)
def test_measured_refuses(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ip.problem("tomography-measured", **options)


# ---------------------------------------------------------------- problem()


def test_unknown_problem_and_option() -> None:
    assert {"ct", "tomography-measured"} < set(names()) and list(names()) == sorted(names())
    with pytest.raises(ValueError, match="name is 'nmr'; expected one of 'blur', .*, 'tomography-measured'"):
        ip.problem("nmr")
    with pytest.raises(ValueError, match="name is None"):
        ip.problem(None)
    with pytest.raises(TypeError, match=r"problem 'ct' has no keyword 'view'; expected views \(it takes size, views"):
        ip.problem("ct", view=20)


def test_info_is_frozen() -> None:
    info = ip.problem("ct", size=16, views=3)[3]
    with pytest.raises(AttributeError):
        info.noise_level = 0.0


@pytest.mark.parametrize("name", ["ct", "fan", "blur", "denoise", "inpaint", "super-resolution", "mri"])
def test_an_image_in_double_precision_makes_such_a_problem(name: str) -> None:
    u = bump(48, 48)
    for image, options, size in ((u, {}, 8), (u.astype("float32"), {}, 4), (u, {"dtype": "single"}, 4)):
        if name == "mri" and options:
            options = {"dtype": "complex64"}
        A, b, x, _ = ip.problem(name, image=image, **options)
        for found in (A.dtype_in, A.dtype_out, b.dtype, x.dtype):
            assert found.itemsize == (2 * size if found.kind == "c" else size)


# ---------------------------------------------------------------- an image of your own, in Hounsfield units and mm


def tissue() -> np.ndarray:
    return np.where(bump(24, 24) > 0.1, 40.0, -1000.0)


@pytest.mark.parametrize("name", ["ct", "fan"])
@pytest.mark.parametrize("kind", ["float32", "float64", "int16"])
def test_hounsfield_units_are_noticed(name: str, kind: str) -> None:
    """Water attenuates 0.0192/mm; the same scan as that of the attenuation itself, lengths in mm."""
    hu = tissue().astype(kind)
    with pytest.warns(RuntimeWarning, match="looks like Hounsfield units, from -1000 to 40, .* expected units='HU'"):
        A, b, x, info = ip.problem(name, image=hu, views=5, pixel_size=0.7, dtype="float64")
    mu = 0.0192 * (1 + tissue() / 1000)
    np.testing.assert_allclose(x, mu, rtol=1e-6)
    assert info.unit == "1/mm" and info.pixel_size == A.pixel_size == 0.7
    plain = ip.problem(name, image=mu, pixel_size=0.7, views=5, dtype="float64")
    np.testing.assert_allclose(b, plain[1], rtol=1e-6)
    assert plain[3].units == "x in the image's units, lengths in mm"


def test_units_say_what_an_image_is() -> None:
    hu = tissue()
    _, _, x, _ = ip.problem("ct", image=hu, views=3, units="attenuation", dtype="float64")
    np.testing.assert_array_equal(x, hu)  # and no warning
    _, _, x, _ = ip.problem("ct", image=np.full((8, 8), 60.0), views=3, units="HU", pixel_size=2, dtype="float64")
    np.testing.assert_allclose(x, 0.0192 * 1.06, rtol=1e-12)  # nothing tells it from attenuation
    with pytest.warns(RuntimeWarning, match="is in Hounsfield units, .* on pixels of 1 mm; expected pixel_size= in mm"):
        ip.problem("ct", image=hu, views=3, units="HU")


def test_lengths_are_those_of_the_pixels() -> None:
    """Twice the width: twice the line integrals."""
    u = bump(16, 16)
    one, two = (ip.problem("ct", image=u, views=4, noise=0, dtype="float64", pixel_size=h)[1] for h in (1, 2))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-12)


def test_a_file_brings_its_spacing(tmp_path: Path) -> None:
    """What `read_image` returns is taken as it is; a width that is given counts more."""
    ip.save(tissue().astype(np.float32), tmp_path / "slice.dcm", spacing=(1.5, 1.5))
    A, _, _, info = ip.problem("ct", image=ip.read_image(tmp_path / "slice.dcm"), views=3, units="HU")
    assert A.pixel_size == info.pixel_size == 1.5
    pair = (bump(8, 8), (3.0, 3.0))
    assert ip.problem("ct", image=pair, views=3, pixel_size=0.5)[3].pixel_size == 0.5
    assert ip.problem("ct", image=(bump(8, 8), None), views=3)[3].pixel_size == 1


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(pixel_size=0), ValueError, "pixel_size is 0; expected a positive width in mm"),
        (dict(pixel_size="1 mm"), ValueError, "pixel_size is '1 mm'; expected a positive width in mm, or one for each"),
        (dict(pixel_size=(1, 2)), ValueError, r"pixel_size is \(1, 2\); expected square pixels: an image resampled"),
        (dict(pixel_size=(1, math.nan)), ValueError, "pixel_size is nan; expected positive widths in mm"),
        (dict(pixel_size=(1, 1, 1)), ValueError, r"pixel_size is \(1, 1, 1\); expected a positive width"),
        (dict(units="hu"), ValueError, "units is 'hu'; expected one of 'attenuation', 'HU'; did you mean 'HU'"),
        (dict(image=tissue() > 0, units="HU"), TypeError, "image has dtype bool"),
        (dict(image=tissue().astype(int) // 100), TypeError, r"image has dtype int64; .* image.astype\('float32'\)"),
        (dict(image=np.full((4, 4), np.nan), units="HU"), ValueError, "image has NaN"),
        (dict(image=(tissue(), (1.0,))), ValueError, r"pixel_size is \(1.0,\); expected"),
        (dict(image="lung", pixel_size=1.0), ValueError, "pixel_size is 1.0 and image is 'lung'; expected it with an"),
        (dict(image="lung", units="HU"), ValueError, "units is 'HU' and image is 'lung'; expected it with an image"),
        (dict(image="slice.dcm"), ValueError, r"or an image of your own, as ip.read_image\(path\) gives"),
    ],
)
@pytest.mark.parametrize("name", ["ct", "fan"])
def test_an_image_that_does_not_fit(name: str, options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        ip.problem(name, **{"image": bump(8, 8), "views": 3} | options)
