"""Filtered back-projection of emission data."""

from __future__ import annotations

import time
from dataclasses import replace

from ipbox.backend import Array
from ipbox.functionals.composition import check_data
from ipbox.functionals.fidelity import check_fits
from ipbox.operators import PET
from ipbox.reconstruct.filtered import fbp
from ipbox.reconstruct.info import AnalyticInfo


def fbp_emission(A: PET, b: Array, filter: str = "hann") -> tuple[Array, AnalyticInfo]:
    r"""Filtered back-projection of PET data, corrected for background, attenuation and normalisation.

    .. math:: u = \text{FBP}\Bigl(\frac{b - r}{n a}\Bigr)

    Parameters
    ----------
    A : PET
        With every n a > 0; its projector is one that `fbp` takes, of parallel or fan beam.
    b : array
        Counts of shape A.dimsd, or a batch of them.
    filter : str
        A filter of `fbp`.

    Returns
    -------
    x : array
        Image of shape A.dims, in the dtype of ``b``; still blurred by the scanner's resolution, and negative in places.
    info : AnalyticInfo

    Raises
    ------
    TypeError, ValueError
        where A is no `PET` or has readings without counts (n a = 0), ``filter`` is unknown, or ``b`` does not fit A or
        is not finite.

    References
    ----------
    Kak and Slaney, Principles of Computerized Tomographic Imaging, SIAM 2001, chapter 4.

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("pet", size=64, views=60)
    >>> x, info = ip.fbp_emission(A, b)
    >>> bool(ip.nrmse(x, x_true) < 0.5)
    True
    """
    if not isinstance(A, PET):
        raise TypeError(f"A is {type(A).__name__}; fbp_emission expects PET")
    check_fits(A, check_data(b))
    if not (A.factors > 0).all():
        dead = int((A.factors == 0).sum())
        raise ValueError(f"A has {dead} readings without counts (n a = 0); fbp_emission expects n a > 0 everywhere")
    start = time.perf_counter()
    x, info = fbp(A.projector, (b - A.background_like(b)) / A.factors_like(b), filter)
    return x, replace(info, method="fbp_emission", seconds=time.perf_counter() - start)
