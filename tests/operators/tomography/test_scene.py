"""Where the source, the detector and the object are: one description of all geometries, and its picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from tests.operators.tomography.test_cone import BETA, by_vectors, circular, vectors

R, RD = 12.0, 7.0


def fan(**options: Any) -> ip.FanBeamTransform:
    return ip.FanBeamTransform(
        (7, 6), BETA, 9, 1.5, source_distance=R, detector_distance=RD, dtype="float64", **options
    )


@pytest.mark.parametrize(
    "options", [{}, dict(tilt=0.3, det_shift=(0.4, 0.2 * np.sin(BETA)), pixel_size=(1.0, 0.8, 0.9))]
)
def test_cone_beam_is_where_its_docstring_says(options: dict) -> None:
    A = circular(volume_centre=(0.3, -0.4, 0.2), **options)
    S, D, U, V = vectors(A)
    for g in (A.geometry, by_vectors(A, S, D, U, V).geometry):
        for found, told in ((g.sources, S), (g.panels, D), (g.along_rows, U), (g.along_columns, V)):
            np.testing.assert_allclose(found, told, rtol=0, atol=1e-12)
        np.testing.assert_allclose(g.directions, (D - S) / np.linalg.norm(D - S, axis=1, keepdims=True), atol=1e-12)
        assert (g.beam, g.dims, g.n_det) == ("cone", tuple(A.dims), A.n_det) and g.volume_centre == A.volume_centre
    part = A.subset([4, 1]).geometry
    np.testing.assert_allclose(part.sources, S[[4, 1]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("detector", ["flat", "curved"])
def test_fan_beam_s_rays_are_those_that_are_integrated(detector: str) -> None:
    """From the source to either end of the detector, as `parallel_coordinates` has the lines of its pixels."""
    A = fan(detector=detector, det_shift=0.4)
    theta, s = A.parallel_coordinates()
    for k in range(len(BETA)):
        ends = A.geometry.across(k, 2 * 9 + 1)[1::2]  # the middles of the pixels
        x, y = ends[:, 2], ends[:, 1]
        np.testing.assert_allclose(x * np.cos(theta[k]) + y * np.sin(theta[k]), s[k], rtol=0, atol=1e-12)
        S = A.geometry.sources[k]
        np.testing.assert_allclose(S[2] * np.cos(theta[k]) + S[1] * np.sin(theta[k]), s[k], rtol=0, atol=1e-12)


def test_parallel_beam_and_a_stack_of_it() -> None:
    A = ip.JosephTransform((7, 6), BETA, 9, 1.5, det_shift=0.4, image_centre=(0.2, -0.1))
    g, stack = A.geometry, ip.SliceStack(A, 4, 2.0).geometry
    assert g.sources is None and g.beam == stack.beam == "parallel" and g.n_det == (1, 9) and stack.n_det == (4, 9)
    rays = np.stack([0 * BETA, np.cos(BETA), -np.sin(BETA)], axis=1)
    np.testing.assert_allclose(g.directions, rays, rtol=0, atol=1e-12)
    np.testing.assert_allclose((stack.panels * stack.directions).sum(axis=1), 0, atol=1e-12)
    assert (
        stack.dims == (4, 7, 6)
        and stack.voxel_widths == (2.0, 1.0, 1.0)
        and stack.along_columns[3].tolist() == [2, 0, 0]
    )
    B = ip.ParallelVectorTransform((4, 7, 6), rays, g.panels, g.along_rows, stack.along_columns, (4, 9))
    np.testing.assert_allclose(B.geometry.directions, rays, rtol=0, atol=1e-6)
    np.testing.assert_allclose(B.geometry.panels, stack.panels, rtol=0, atol=1e-6)


def test_fields_of_view() -> None:
    """A ray to a on a flat panel passes the axis at R sin(atan(a/(R + R_d))), on a curved one at R sin(a/(R + R_d))."""
    ends = np.array([-0.5 * 9 * 1.5 + 0.4, 0.5 * 9 * 1.5 + 0.4])
    flat, curved = np.abs(R * np.sin(np.arctan(ends / (R + RD)))), np.abs(R * np.sin(ends / (R + RD)))
    assert fan(det_shift=0.4).geometry.fields_of_view() == pytest.approx((flat[0], flat[1]))
    assert fan(det_shift=0.4, detector="curved").geometry.fields_of_view() == pytest.approx((curved[0], curved[1]))
    A = ip.JosephTransform((7, 6), BETA, 9, 1.5, det_shift=0.4)
    assert A.geometry.fields_of_view() == pytest.approx(tuple(np.abs(ends)))
    assert ip.JosephTransform((7, 6), BETA, 9, 1.5, det_shift=20.0).geometry.fields_of_view()[0] == 0.0
    up = np.array([[1.0, 0.0, 0.0]])  # a beam along the axis has none
    B = ip.ParallelVectorTransform((4, 7, 6), up, np.zeros(3), np.array([0, 0, 1.0]), np.array([0, 1.0, 0]), (4, 9))
    assert B.geometry.fields_of_view() == (0.0, 0.0)


GEOMETRIES = {
    "parallel": ip.RayTransform((7, 6), BETA),
    "fan": fan(detector="curved"),
    "one view": fan().subset([0]),
    "cone": circular(),
    "stack": ip.SliceStack(ip.RayTransform((7, 6), BETA), 4),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_picture_has_the_source_of_every_view(name: str, tmp_path: Path) -> None:
    g = GEOMETRIES[name].geometry
    figure = g.show(tmp_path / "scan.png", unit="cm")
    assert (tmp_path / "scan.png").stat().st_size > 10_000
    above = figure.axes[0]
    dots = above.collections[0].get_offsets()
    assert len(dots) == len(g.panels) and above.get_xlabel() == "x (cm)"
    if g.sources is not None:
        np.testing.assert_allclose(dots, g.sources[:, :0:-1])
    told = figure.get_suptitle()
    assert told.startswith(f"{g.beam} beam, {len(g.panels)} view") and ("slices" in told) is False
    assert len(figure.axes) == (1 if name in ("parallel", "fan", "one view") else 2) + (name != "one view")


def test_refusals() -> None:
    with pytest.raises(TypeError, match="unit is int; expected a text such as 'mm'"):
        GEOMETRIES["fan"].geometry.show(unit=3)
    with pytest.raises(ValueError, match="looks like degrees"):
        ip.ConeBeamTransform((3, 4, 5), np.arange(0, 360, 6.0), source_distance=9.0, detector_distance=3.0)
    assert math.isfinite(GEOMETRIES["cone"].geometry.fields_of_view()[0])
