"""Where an iteration with a learned prior starts."""

from __future__ import annotations

import warnings
from typing import Any

from ipbox.backend import Array
from ipbox.operators import CartesianMRI, ConeBeamTransform, ConeVectorTransform, NonCartesianMRI, Operator
from ipbox.reconstruct.direct.analytic import BY_FILTERING, analytic
from ipbox.reconstruct.iterative.early_stopping import cgls

STEPS = 10


def starting_image(A: Operator, b: Array, noise_level: Any = None) -> Array:
    """The analytical reconstruction for tomography and MRI; else ten steps of conjugate gradients.

    These stop earlier at the discrepancy where the noise level is known.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.learned.methods.start import starting_image
    >>> starting_image(ip.Identity((2,), "float64"), np.array([1.0, 2.0]))
    array([1., 2.])
    """
    if isinstance(A, ConeVectorTransform):
        A = A.on_circle() or A
    if isinstance(A, (*BY_FILTERING, ConeBeamTransform, CartesianMRI, NonCartesianMRI)):
        return analytic(A, b)[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* was ended by niter=", RuntimeWarning)  # so few steps are meant
        return cgls(A, b, noise_level, niter=STEPS)[0]
