"""The table of what runs where is the README's, and what a class does not declare it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ipbox as ip
from ipbox import functionals
from ipbox.cli.capabilities import capabilities, markdown

README = Path(__file__).parents[2] / "README.md"
SAMPLES = {
    "Simplex": lambda: ip.Simplex((3, 4)),
    "PoissonTransmission": lambda: ip.PoissonTransmission(None, np.ones((3, 4), np.float32), 9.0),
    "KL": lambda: ip.KL(None, np.ones((3, 4), np.float32)),
    "TGV": lambda: ip.TGV((3, 4)),
    "Box": lambda: ip.Box(0, 1),
    "NonNegative": lambda: ip.NonNegative(),
    "L2Box": lambda: functionals.L2Box(ip.L2(b=np.zeros((3, 4), np.float32)), ip.Box(0, 1)),
}
KERNEL = np.full((1, 3), 1 / 3)
OPERATORS = {
    "Blur": lambda dtype: ip.Blur((3, 4), KERNEL, dtype=dtype),
    "GaussianBlur": lambda dtype: ip.GaussianBlur((3, 4), 0.2, dtype=dtype),
    "VaryingBlur": lambda dtype: ip.VaryingBlur((3, 4), KERNEL[None], np.ones((1, 3, 4)), dtype=dtype),
    "PET": lambda dtype: ip.PET(ip.JosephTransform((3, 4), [0.0, 1.0], dtype=dtype)),
    "GaussianMeasurements": lambda dtype: ip.GaussianMeasurements((3, 4), 5, dtype=dtype),
    "FanBeamTransform": lambda dtype: ip.FanBeamTransform(
        (3, 4), [0.0, 1.0], source_distance=9.0, detector_distance=1.0, dtype=dtype
    ),
    "JosephTransform": lambda dtype: ip.JosephTransform((3, 4), [0.0, 1.0], dtype=dtype),
    "RayTransform": lambda dtype: ip.RayTransform((3, 4), [0.0, 1.0], dtype=dtype),
    "RayNormal": lambda dtype: ip.RayTransform((3, 4), [0.0, 1.0], dtype=dtype).normal(),
}


def test_the_readme_holds_the_generated_table() -> None:
    assert markdown() in README.read_text(encoding="utf-8")


def _real_only(kind: str) -> list[str]:
    return [name for k, name, _, dtypes in capabilities() if k == kind and "complex64" not in dtypes]


@pytest.mark.parametrize("name", _real_only("functional"))
def test_a_real_functional_refuses_complex_images(name: str) -> None:
    f, x = SAMPLES[name](), np.zeros((3, 4), np.complex64)
    for call in (lambda: f.value(x), lambda: f.prox(x, 1.0)):
        with pytest.raises(TypeError, match="complex64"):
            call()


@pytest.mark.parametrize("name", _real_only("operator"))
def test_a_real_operator_refuses_complex_images(name: str) -> None:
    with pytest.raises(TypeError, match="complex64"):
        OPERATORS[name]("complex64")
