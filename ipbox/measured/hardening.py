"""Beam hardening: attenuation of a beam of many energies grows less than the length it passes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_integer
from ipbox.keywords import answering
from ipbox.measured.readings import check_integrals


@answering
def correct_hardening(b: Array, coefficients: Any) -> Array:
    r"""Line integrals as of one energy: the polynomial

    .. math:: b ← c_1 b + c_2 b^2 + \dots + c_d b^d

    Parameters
    ----------
    b : array
        -log of the transmission, float32 or float64.
    coefficients : sequence of float
        c_1, c_2, ..., as `fit_hardening` finds them, or a table has them; no constant.

    Returns
    -------
    b : array
        A new one.

    Raises
    ------
    TypeError, ValueError
        for what is no array of line integrals, coefficients that are not finite, or a polynomial that does not grow
        over the data.

    References
    ----------
    Herman, Correction for beam hardening in computed tomography, Phys. Med. Biol. 24 (1979).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.measured.correct_hardening(np.array([[0.0, 1.0, 2.0]]), [1.0, 0.1])
    array([[0. , 1.1, 2.4]])
    """
    check_integrals(b)
    c = np.atleast_1d(np.asarray(coefficients))
    if c.ndim != 1 or c.size == 0 or c.dtype.kind not in "iuf" or not np.isfinite(c).all():
        raise ValueError(f"coefficients is {coefficients!r}; expected finite numbers c_1, c_2, ...")
    over = np.linspace(min(float(b.min()), 0.0), float(b.max()), 101)
    if not (np.polynomial.polynomial.polyval(over, c * np.arange(1, c.size + 1)) > 0).all():
        raise ValueError(
            f"coefficients is {coefficients!r}; expected a polynomial that grows over the data, from {over[0]:.3g} to "
            f"{over[-1]:.3g}"
        )
    out = backend.array_module(b).zeros_like(b)
    for value in c[::-1]:
        out = (out + float(value)) * b
    return out


@answering
def fit_hardening(b: Array, lengths: Array, degree: int = 3) -> tuple[np.ndarray, float]:
    r"""The polynomial that makes line integrals proportional to the lengths of the rays in one material.

    .. math:: \min_{c, μ} \sum_j \Bigl(b_j + \sum_{k=2}^d c_k b_j^k - μ ℓ_j\Bigr)^2, \qquad c_1 = 1

    so that what attenuates little stays, and μ is the attenuation of thin layers.

    Parameters
    ----------
    b : array
        -log of the transmission.
    lengths : array
        ℓ >= 0, of the same shape: of a wedge or a step that was measured, or A.apply(mask) of an object of one
        material, segmented from a first image.
    degree : int
        d, 2 to 6.

    Returns
    -------
    coefficients : array
        c_1, ..., c_d for `correct_hardening`.
    mu : float
        μ, in one over the unit of the lengths.

    Raises
    ------
    TypeError, ValueError
        for arrays that do not fit, lengths that are negative or all one number, or a degree out of range.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> lengths = np.linspace(0, 4, 50)[None]
    >>> b = -np.log(0.5 * np.exp(-0.4 * lengths) + 0.5 * np.exp(-0.6 * lengths))      # two energies
    >>> c, mu = ip.measured.fit_hardening(b, lengths)
    >>> bool(abs(ip.measured.correct_hardening(b, c) - 0.5 * lengths).max() < 1e-3), round(mu, 3)
    (True, 0.5)
    """
    check_integrals(b)
    check_integrals(lengths, "lengths")
    check_integer(degree, "degree", 2, 6)
    if lengths.shape != b.shape:
        raise ValueError(f"lengths has shape {lengths.shape}; b has {b.shape}, expected the same")
    y, length = (backend.to_host(a).astype(np.float64).ravel() for a in (b, lengths))
    if length.min() < 0 or np.ptp(length) == 0:
        raise ValueError(
            f"lengths are from {length.min():g} to {length.max():g}; expected different ones that are not negative"
        )
    top, far = abs(y).max(), length.max()  # scaled, the columns are of one size
    M = np.stack([*((y / top) ** k for k in range(2, degree + 1)), -length / far], axis=1)
    if top == 0 or np.linalg.matrix_rank(M) < degree:
        raise ValueError(f"b has too few different values for degree {degree}; expected more than that")
    found = np.linalg.lstsq(M, -y / top, rcond=None)[0]
    c = [1.0, *(found[k - 2] * top ** (1 - k) for k in range(2, degree + 1))]
    return np.array(c), float(found[-1] * top / far)
