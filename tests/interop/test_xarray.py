"""DataArrays of xarray: refused as they are, and with their coordinates through `xarray.apply_ufunc`."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import ipbox as ip

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:.*ended by niter")]
RNG = np.random.default_rng(0)
VALUES = RNG.standard_normal((3, 8, 9))
A = ip.GaussianBlur((8, 9), 0.6, dtype="float64")


@pytest.fixture(scope="module")
def xr() -> ModuleType:
    import xarray

    return xarray


def stack(xr: ModuleType):
    """Three images by time, in degrees."""
    coords = {"time": [10.0, 11.5, 13.0], "lat": 50 - 0.5 * np.arange(8), "lon": 0.5 * np.arange(9)}
    return xr.DataArray(VALUES, coords, ("time", "lat", "lon"), attrs={"units": "K"})


def test_a_labelled_array_is_refused_with_the_way_to_its_values(xr: ModuleType) -> None:
    b = stack(xr)[0]
    for use in (lambda: ip.tv(A, b, 0.1), lambda: ip.cgls(A, b), lambda: ip.L2(A, b)):
        with pytest.raises(TypeError, match=r"^b is DataArray; .*; numpy.asarray\(b\) gives its values$"):
            use()


def test_an_image_on_the_grid_of_the_data_takes_their_coordinates(xr: ModuleType) -> None:
    b = stack(xr)[0]
    x = b.copy(data=ip.tv(A, np.asarray(b), 0.1)[0])
    assert x.dims == b.dims and x.attrs == b.attrs and all(x[c].equals(b[c]) for c in b.coords)
    assert np.array_equal(x.values, ip.tv(A, VALUES[0], 0.1)[0]) and np.array_equal(b.values, VALUES[0])


def test_a_stack_by_the_names_of_its_axes(xr: ModuleType) -> None:
    """Each image alone, wherever its axes are; the coordinates come along."""
    b, axes = stack(xr), [["lat", "lon"]]

    def denoise(b: np.ndarray) -> np.ndarray:
        return ip.tv(A, np.ascontiguousarray(b), 0.1)[0]

    options = dict(input_core_dims=axes, output_core_dims=axes, vectorize=True)
    for given in (b, b.transpose("lon", "time", "lat")):
        x = xr.apply_ufunc(denoise, given, **options)
        assert x.dims == ("time", "lat", "lon") and all(x[c].equals(b[c]) for c in b.coords)
        for k in range(3):
            assert np.array_equal(x.values[k], ip.tv(A, VALUES[k], 0.1)[0])


def test_data_on_another_grid_than_the_image(xr: ModuleType) -> None:
    """The image's axes are named anew: those of the sinogram do not come along."""
    R = ip.RayTransform((8, 8), np.arange(12) * np.pi / 12, dtype="float64")
    b = xr.DataArray(R.apply(VALUES[0, :, :8].copy()), dims=("view", "detector"))
    x = xr.apply_ufunc(
        lambda b: ip.fbp(R, b)[0], b, input_core_dims=[["view", "detector"]], output_core_dims=[["row", "column"]]
    )
    assert x.dims == ("row", "column") and np.array_equal(x.values, ip.fbp(R, b.values)[0])
