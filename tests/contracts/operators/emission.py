"""PET at odd, non-square sizes: each ingredient, all together, and a subset of the angles."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np

from ipbox.operators import PET, JosephTransform
from tests.contracts.operators.case import OperatorCase

DIMS = (7, 5)
VIEWS = np.arange(6) * (math.pi / 6) + 0.1  # few: simulated kernels are slow


def pet(dtype: np.dtype, xp: ModuleType, given: tuple[str, ...], blur_fwhm: float = 0.0, **geometry: Any) -> PET:
    P = JosephTransform(**({"dims": DIMS, "angles": VIEWS, "pixel_size": 2.0} | geometry), dtype=dtype)
    rng = np.random.default_rng(4)
    normalisation = rng.uniform(0.5, 1.5, P.dimsd)
    normalisation[0, :2] = 0.0  # dead detectors
    everything = {
        "attenuation": rng.uniform(0.0, 0.1, P.dims),
        "attenuation_factors": rng.uniform(0.1, 1.0, P.dimsd),
        "normalisation": normalisation,
        "background": rng.uniform(0.0, 1.0, P.dimsd),
    }
    return PET(P, blur_fwhm=blur_fwhm, **{name: xp.asarray(everything[name].astype(dtype)) for name in given})


def case(name: str, *given: str, **options: Any) -> OperatorCase:
    return OperatorCase(f"pet {name}", PET, lambda dtype, xp: pet(dtype, xp, given, **options), "bound")


CASES = [
    case("projector alone"),
    case("attenuation", "attenuation"),
    case("factors and normalisation", "attenuation_factors", "normalisation"),
    case("blur", blur_fwhm=4.5),
    case("blur wider than the image", blur_fwhm=30.0),
    case("everything", "attenuation", "normalisation", "background", blur_fwhm=3.0),
    case("shift and spacing", "normalisation", n_det=9, det_shift=0.7, det_spacing=1.3, blur_fwhm=3.0),
    case("one angle", "attenuation", angles=[0.4], blur_fwhm=3.0),
    OperatorCase(
        "pet subset",
        PET,
        lambda dtype, xp: pet(dtype, xp, ("attenuation", "normalisation"), blur_fwhm=3.0).subsets(4)[1],
        "bound",
    ),
]
