"""Hounsfield units of computed tomography."""

from __future__ import annotations

import numpy as np


def hu_to_attenuation(hu: np.ndarray, mu_water: float = 0.0192) -> np.ndarray:
    """Attenuation μ = μ_water (1 + HU/1000), clipped at 0, in the units of ``mu_water`` (1/mm; 0.0192 at 70 keV).

    Integers become float64, float arrays keep their dtype.

    Raises
    ------
    TypeError
        where ``hu`` is not a real array.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.io.hounsfield import hu_to_attenuation
    >>> hu_to_attenuation(np.array([-1024, -1000, 0, 1000]))
    array([0.    , 0.    , 0.0192, 0.0384])
    """
    hu = np.asarray(hu)
    if hu.dtype.kind not in "iuf":
        raise TypeError(f"hu has dtype {hu.dtype}; expected real numbers")
    if hu.dtype.kind != "f":
        hu = hu.astype(np.float64)
    return np.maximum(mu_water * (1.0 + hu / 1000.0), 0.0)
