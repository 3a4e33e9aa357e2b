"""Radians and degrees: what is evidently degrees is refused, many turns in radians are not."""

from __future__ import annotations

import math

import numpy as np
import pytest

import ipbox as ip

GOLDEN = math.pi * (3 - 5**0.5)
NOISE = np.random.default_rng(0).normal(0, 0.05, 180)

DEGREES = {
    "integers": np.arange(180),
    "one angle": np.array([180.0]),
    "a tilt series": np.arange(-76.0, 77, 2),
    "tenths in single precision": np.arange(0, 180, 0.1, dtype="float32"),
    "a linspace": np.linspace(0, 180, 50),
    "a linspace without its end": np.linspace(0, 360, 77, endpoint=False, dtype="float32"),
    "an encoder's": np.arange(180) + NOISE,
}
RADIANS = {
    "golden angles": np.arange(60) * GOLDEN,
    "golden angles in single precision": np.arange(76, dtype="float32") * np.float32(GOLDEN),
    "golden angles near 180": np.arange(76) * GOLDEN,  # 75 of them are 179.997
    "tiny golden angles": np.arange(400) * math.radians(23.62814),
    "some of them": np.array([3, 17, 50, 59, 70]) * GOLDEN,
    "in random order": np.random.default_rng(0).permutation(200) * GOLDEN,
    "one of them": np.array([75 * GOLDEN]),
    "twelve turns": np.linspace(0, 24 * math.pi, 720),
    "two and a half turns": np.arange(900) * math.pi / 180,
}


@pytest.mark.parametrize("what", DEGREES)
def test_evident_degrees_are_refused(what: str) -> None:
    with pytest.raises(ValueError, match=r"^angles reach .* looks like degrees; expected radians \(np.deg2rad\)"):
        ip.RayTransform((8, 8), DEGREES[what])
    ip.RayTransform((8, 8), np.deg2rad(DEGREES[what]))


@pytest.mark.parametrize("what", RADIANS)
def test_many_turns_in_radians_are_angles(what: str) -> None:
    A = ip.RayTransform((8, 8), RADIANS[what])
    for k in range(min(3, len(A.angles))):
        A.subset([k])
    ip.JosephTransform((8, 8), RADIANS[what])
