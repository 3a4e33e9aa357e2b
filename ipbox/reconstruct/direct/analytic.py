"""The natural analytical reconstruction of an operator."""

from __future__ import annotations

import time
from typing import Any

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_not_negative
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.keywords import answering
from ipbox.operators import (
    PET,
    Blur,
    CartesianMRI,
    ConeBeamTransform,
    ConeVectorTransform,
    FanBeamTransform,
    FourierTransform,
    Identity,
    JosephTransform,
    Mask,
    MatrixOperator,
    NonCartesianMRI,
    Operator,
    RayTransform,
    Sampling,
    SliceStack,
    Wavelet,
    as_operator,
)
from ipbox.reconstruct.direct.deblurring import truncated_inverse, wiener
from ipbox.reconstruct.direct.fbp import fbp
from ipbox.reconstruct.direct.fdk import fdk
from ipbox.reconstruct.direct.gridding import gridding
from ipbox.reconstruct.direct.info import AnalyticInfo, reported
from ipbox.reconstruct.direct.mri import zero_filled
from ipbox.reconstruct.direct.pseudo_inverse import pseudo_inverse
from ipbox.reconstruct.direct.truncated_svd import tsvd

BY_FILTERING = (RayTransform, JosephTransform, FanBeamTransform, SliceStack, PET)
BY_ADJOINT = (Identity, Mask, Sampling, FourierTransform, Wavelet)
THRESHOLD = 0.1  # of the truncated inverse where no noise level is given


@answering
def analytic(
    A: Any, b: Array, noise_level: float | None = None, *, shape: tuple[int, ...] | None = None
) -> tuple[Array, AnalyticInfo]:
    """The analytical reconstruction that the field would try first for an operator.

    ==========================================  ==============================================================
    operator                                    method
    ==========================================  ==============================================================
    parallel and fan beam, stacks, PET          `fbp`, with the Hann window
    cone beam on a circle, by vectors too       `fdk`, with the Hann window
    Cartesian MRI                               `zero_filled`, coils combined with their sensitivities
    radial, spiral, ... MRI                     `gridding` with density compensation
    blur                                        `wiener` with a noise level, else `truncated_inverse` at 0.1; edges
                                                are tapered where no fast transform diagonalises the blur
    identity, masks, Fourier, wavelets          the adjoint
    small matrices, with a noise level          `tsvd` by the discrepancy principle, where A attains the data so well
    anything else, as helical cone beam         `pseudo_inverse`, by conjugate gradients where A is large
    ==========================================  ==============================================================

    Parameters
    ----------
    A : Operator
        Or a PyLops or SciPy operator, or a matrix.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd, or a batch of them.
    noise_level : float, optional
        Expected norm of the noise; used where the method has a use for it.

    Returns
    -------
    x : array
    info : AnalyticInfo
        ``info.method`` names the method.

    Raises
    ------
    ValueError, TypeError
        where ``b`` does not fit A, the noise level is not positive or zero, or as the method raises them.

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=60)
    >>> x, info = ip.analytic(A, b)
    >>> info.method, info.filter
    ('fbp', 'hann')
    """
    A = as_operator(A, shape)
    check_fits(A, check_data(b))
    if noise_level is not None:
        check_not_negative(noise_level, "noise_level")
    if isinstance(A, BY_FILTERING):
        return fbp(A, b, "hann")
    if isinstance(A, ConeVectorTransform):
        A = A.on_circle() or A
    if isinstance(A, ConeBeamTransform):
        return fdk(A, b, "hann")
    if isinstance(A, CartesianMRI):
        return zero_filled(A, b)
    if isinstance(A, NonCartesianMRI):
        return gridding(A, b)
    if isinstance(A, Blur):
        taper = A.diagonal is None
        if noise_level is None:
            return truncated_inverse(A, b, threshold=THRESHOLD, edgetaper=taper)
        return wiener(A, b, noise_level, edgetaper=taper)
    if isinstance(A, BY_ADJOINT):
        return _adjoint(A, b)
    x, info = pseudo_inverse(A, b)
    if not (noise_level and isinstance(A, MatrixOperator) and info.parameters["method"] == "svd"):
        return x, info
    return _truncated(A, b, noise_level) or (x, info)


def _truncated(A: MatrixOperator, b: Array, noise_level: float) -> tuple[Array, AnalyticInfo] | None:
    """`tsvd` of every sample by the discrepancy principle; None where the least residual of one is above the noise."""
    start, samples = time.perf_counter(), b.reshape((-1, *A.dimsd))
    if any(backend.norm(A.apply(pseudo_inverse(A, y)[0]) - y) > noise_level for y in samples):
        return None
    found = [tsvd(A, y, "discrepancy", noise_level) for y in samples]
    x = backend.array_module(b).stack([x for x, _ in found]).reshape(b.shape[: b.ndim - len(A.dimsd)] + tuple(A.dims))
    ks = [info.parameters["k"] for _, info in found]
    return reported(x, "tsvd", start, parameters={"k": ks[0] if b.ndim == len(A.dimsd) else ks})


def _adjoint(A: Operator, b: Array) -> tuple[Array, AnalyticInfo]:
    start = time.perf_counter()
    return reported(A.apply_adjoint(b), "adjoint", start)
