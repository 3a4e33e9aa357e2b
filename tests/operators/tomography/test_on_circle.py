"""Cone beams by vectors that are on a circle: they are told from others, and reconstructed by filtering."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ipbox as ip

ANGLES = np.array([0.3, 1.4, 2.6, 3.9, 5.2])
DISTANCES = {"source_distance": 40.0, "detector_distance": 15.0}


def by_vectors(A: Any, **changes: Any) -> ip.ConeVectorTransform:
    """The same scan, of which some vectors are others."""
    g = A.geometry
    given = {"sources": g.sources, "panels": g.panels, "along_rows": g.along_rows, "along_columns": g.along_columns}
    options = {"pixel_size": A.voxel_widths, "volume_centre": A.volume_centre, "dtype": A.dtype_in}
    return ip.ConeVectorTransform(A.dims, **(given | changes), n_det=A.n_det, **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"det_shift": (0.7, -1.2), "pixel_size": (0.5, 1.0, 1.1), "volume_centre": (0.4, 1.0, -0.5)},
        {"det_shift": (np.linspace(-1, 1, 5), np.linspace(0, 2, 5))},
    ],
    ids=["plain", "shifted", "a shift for each view"],
)
def test_the_circle_is_found(options: dict[str, Any], rng: np.random.Generator) -> None:
    """The distances are those it was made of, and A and its filtered back-projection the same."""
    A = ip.ConeBeamTransform((7, 10, 9), ANGLES, (8, 15), (1.3, 1.2), dtype="float64", **DISTANCES, **options)
    B = by_vectors(A)
    C = B.on_circle()
    assert (C.source_distance, C.detector_distance) == pytest.approx((40.0, 15.0), rel=1e-9)
    assert np.allclose(np.exp(1j * C.angles), np.exp(1j * ANGLES), atol=1e-12)
    x = rng.standard_normal(A.dims)
    b = A.apply(x)
    assert np.allclose(C.apply(x), b, atol=1e-9 * abs(b).max())
    u, v = ip.fdk(A, b)[0], ip.fdk(B, b)[0]
    assert np.allclose(u, v, atol=1e-7 * abs(u).max())


def test_a_circle_at_another_height() -> None:
    """Seen from its plane the volume is as much higher or lower."""
    A = ip.ConeBeamTransform((7, 10, 9), ANGLES, (8, 15), 1.2, dtype="float64", **DISTANCES)
    g, up = A.geometry, np.array([2.5, 0.0, 0.0])
    C = by_vectors(A, sources=g.sources + up, panels=g.panels + up).on_circle()
    assert C.volume_centre == pytest.approx((-2.5, 0.0, 0.0), abs=1e-9)


def test_other_orbits_are_told_apart() -> None:
    A = ip.ConeBeamTransform((7, 10, 9), ANGLES, (8, 15), 1.2, **DISTANCES)
    g, climb = A.geometry, np.linspace(-1, 1, 5)[:, None] * np.array([1.0, 0.0, 0.0])
    others = [
        by_vectors(A, sources=g.sources + climb, panels=g.panels + climb),
        by_vectors(A, sources=g.sources * np.linspace(1, 1.1, 5)[:, None]),
        by_vectors(A, along_rows=g.along_rows + 0.01 * g.along_columns),
        by_vectors(A, along_columns=-g.along_columns),
        by_vectors(A, panels=g.panels * np.linspace(1, 1.1, 5)[:, None]),
    ]
    for B in others:
        assert B.on_circle() is None
        with pytest.raises(ValueError, match="^A is ConeVectorTransform with an orbit that is no circle"):
            ip.fdk(B, np.ones(B.dimsd, np.float32))


def test_analytic_takes_a_circle_for_what_it_is() -> None:
    beta = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    A = ip.ConeBeamTransform((7, 10, 9), beta, **DISTANCES)
    b = A.apply(np.ones(A.dims, np.float32))
    x, info = ip.analytic(by_vectors(A), b)
    assert info.method == "fdk" and np.allclose(x, ip.fdk(A, b, "hann")[0], atol=1e-5)
    S = ip.SliceStack(ip.RayTransform((9, 9), beta[:12]), 3)
    assert ip.analytic(S, S.apply(np.ones(S.dims, np.float32)))[1].method == "fbp"
