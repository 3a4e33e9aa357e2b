"""The cone-beam problem: no inverse crime, geometry, an own volume, refused input."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend
from ipbox.problems.truths.slices import held_out_slices


def test_without_inverse_crime() -> None:
    A, b, x, info = ip.problem("cone", size=32, views=12, noise=0.0, dtype="float64")
    assert A.dims == x.shape == (61, 32, 32) and b.shape == A.dimsd and b.dtype == np.float64
    assert info.noise_level == 0 and info.model_error == pytest.approx(backend.norm(A.apply(x) - b), rel=1e-12)
    assert 1e-4 < info.model_error / backend.norm(b) < 0.03
    assert info.peak == x.max() and not x[~info.mask].any() and info.unit == "1/mm"
    assert np.array_equal(x[7], held_out_slices("ct", 32, [7])[0] * info.mask[7])
    assert A.voxel_widths == (5.0, info.pixel_size, info.pixel_size) and info.pixel_size * 32 == pytest.approx(
        321, 1e-3
    )


def test_noise_device_and_patient(xp: ModuleType) -> None:
    _, clean, test, _ = ip.problem("cone", size=8, views=5, noise=0.0)
    A, b, x, info = ip.problem("cone", size=8, views=5, noise=0.03, seed=5, xp=xp.__name__)
    assert isinstance(b, xp.ndarray) and isinstance(x, xp.ndarray) and b.dtype == x.dtype == np.float32
    assert np.linalg.norm(backend.to_host(b) - clean) == pytest.approx(info.noise_level, rel=0.1)
    _, counted, _, photons = ip.problem("cone", size=8, views=5, photons=1e4)
    assert np.linalg.norm(counted - clean) == pytest.approx(photons.noise_level, rel=0.1)
    assert ip.problem("cone", size=8, views=5, patient="train")[2].shape[0] == 48 != len(test)


def test_a_volume_of_your_own() -> None:
    u = np.random.default_rng(0).random((4, 8, 6))
    A, _, x, info = ip.problem(
        "cone", image=u, views=4, panel=(7, 9), arc=4.0, source_distance=20.0, pixel_size=(2.0, 1.0, 0.5), noise=0.0
    )
    assert A.dims == (4, 8, 6) and A.dimsd == (4, 7, 9) and A.source_distance == 20.0 and A.detector_distance == 8.0
    assert A.angles[-1] == pytest.approx(3.0) and A.voxel_widths == (2.0, 1.0, 0.5)
    assert x.dtype == np.float64 and np.array_equal(x, u) and info.mask.all()


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(views=0), "views is 0; expected a positive integer"),
        (dict(rays_per_pixel=1.5), "rays_per_pixel is 1.5"),
        (dict(arc=7.0), "arc is 7.0; expected radians"),
        (dict(noise=0.1, photons=1e4), "expected at most one of them"),
        (dict(image="foot"), "image is 'foot'; expected one of 'lung' or a volume of your own"),
        (dict(size=300), "size is 300; expected an integer from 1 to 256"),
        (dict(patient="both"), "patient is 'both'"),
        (dict(image=np.ones((4, 4))), r"image has shape \(4, 4\).*expected a finite floating volume"),
        (dict(image=np.ones((4, 4, 4))), "size is 16 and image is an array"),
        (dict(source_distance=1.0), "source_distance is 1; expected more than"),
        (dict(panel=7), "panel is 7; expected two"),
        (dict(panel=(0, 3)), "panel is 0; expected a positive integer"),
        (dict(pixel_size=2.0), "pixel_size is 2.0 and image is 'lung'; expected it with a volume"),
    ],
)
def test_bad_problems(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ip.problem("cone", **(dict(size=16, views=3) | change))
