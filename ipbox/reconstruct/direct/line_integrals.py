"""Emission data as line integrals, for filtered back-projection."""

from __future__ import annotations

from ipbox.backend import Array
from ipbox.operators import PET


def line_integrals(A: PET, b: Array) -> Array:
    """(b - r)/(n a): counts b corrected for background, attenuation and normalisation, as `fbp` filters them.

    Parameters
    ----------
    A : PET
        With n a > 0 everywhere.
    b : array
        Counts of shape A.dimsd, or a batch of them.

    Raises
    ------
    ValueError
        for readings without counts (n a = 0).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.reconstruct.direct.line_integrals import line_integrals
    >>> A = ip.PET(ip.JosephTransform((8, 8), [0.0], dtype="float64"), normalisation=0.5, background=np.ones((1, 12)))
    >>> line_integrals(A, np.full((1, 12), 3.0))[0, 0].item()
    4.0
    """
    if not (A.factors > 0).all():
        dead = int((A.factors == 0).sum())
        raise ValueError(f"A has {dead} readings without counts (n a = 0); fbp expects n a > 0 everywhere")
    return (b - A.background_like(b)) / A.factors_like(b)
