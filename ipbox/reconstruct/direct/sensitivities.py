"""Coil sensitivities from the fully sampled middle of k-space: ESPIRiT, or a low-resolution estimate."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_choice, check_integer
from ipbox.functionals.core.composition import check_data
from ipbox.keywords import answering
from ipbox.operators import FourierTransform
from ipbox.operators.mri.coils import sum_of_squares
from ipbox.problems.measuring.kspace import centre

METHODS = ("espirit", "low-resolution")
BLOCK = 1 << 22  # entries of the per-pixel matrices that are held at once


@answering
def estimate_sensitivities(
    kspace: Array,
    calibration: int = 24,
    method: str = "espirit",
    kernel: int = 6,
    threshold: float = 0.02,
    crop: float = 0.95,
) -> Array:
    r"""Sensitivity maps of receive coils from the calibration region of Cartesian k-space.

    ESPIRiT: every k x k patch of all coils' data lies in the row space of the calibration matrix, whose singular
    vectors V are cut off at ``threshold``.  That projection, V V*, averaged over the k² places of a point in its
    patch, is a convolution, and so in image space a matrix at each pixel,

    .. math:: G(x) S(x) = S(x), \qquad G_{cd}(x) = \frac{1}{k^2} \sum_Δ e^{-2πi Δ·x/n}
              \sum_{q - p = Δ} (V V^*)_{(d,q),(c,p)}

    The map is its eigenvector for the largest eigenvalue, and zero where that is below ``crop``.

    Low resolution: the images of the calibration region under a Hann window, over the root of their sum of squares.

    Parameters
    ----------
    kspace : array, (coils, ny, nx)
        Complex data on the grid of `CartesianMRI`, zero frequency at n // 2; only the middle is used.
    calibration : int
        Points along each axis of the middle, which is fully sampled.
    method : str
        ``"espirit"`` or ``"low-resolution"``.
    kernel : int
        ESPIRiT's k.
    threshold : float
        Smallest singular value that is kept, of the largest: in (0, 1).
    crop : float
        Smallest eigenvalue of a pixel that belongs to the object: in [0, 1).

    Returns
    -------
    array, (coils, ny, nx)
        S with Σ_c |S_c|² = 1, or 0 in cropped pixels, in the dtype and on the device of ``kspace``.

    Notes
    -----
    Data know the maps up to one factor at each pixel for all coils: a scale, which the normalisation fixes, and a
    phase.  ESPIRiT's is that of the strongest combination of the coils, the low-resolution estimate leaves a part of
    the image's phase in the maps.  So reconstruct a complex image with them, and look at its magnitude.

    Raises
    ------
    TypeError, ValueError
        for data that are not complex, not finite or of another shape, a calibration region that is wider than
        k-space or has points that no coil has measured, and parameters outside their ranges.

    References
    ----------
    Uecker et al., ESPIRiT: an eigenvalue approach to autocalibrating parallel MRI, Magn. Reson. Med. 71 (2014);
    McKenzie et al., Self-calibrating parallel imaging with automatic coil sensitivity extraction, Magn. Reson. Med. 47
    (2002).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("mri", size=64, coils=4, acceleration=2, calibration=16)
    >>> S = ip.estimate_sensitivities(b, calibration=16)
    >>> S.shape
    (4, 64, 64)
    """
    check_choice(method, "method", METHODS)
    threshold, crop = check_between(threshold, "threshold", 0, 1), check_between(crop, "crop", 0, 1, "[)")
    middle = calibration_region(kspace, calibration)
    if method == "low-resolution":
        return _low_resolution(kspace, middle)
    check_integer(kernel, "kernel", 1, calibration, ", the calibration region's")
    W = consistency_kernel(middle, int(kernel), threshold)
    return _eigenmaps(W, kspace, principal_combination(middle), crop)


def calibration_region(kspace: Array, calibration: int) -> Array:
    """The middle of k-space, (coils, calibration, calibration), after the checks `estimate_sensitivities` names."""
    check_data(kspace, "kspace")
    if kspace.ndim != 3 or 0 in kspace.shape:
        raise ValueError(f"kspace has shape {kspace.shape}; expected (coils, ny, nx)")
    if kspace.dtype.kind != "c":
        raise TypeError(f"kspace has dtype {kspace.dtype}; expected complex64 or complex128")
    check_integer(calibration, "calibration", 1, min(kspace.shape[1:]), ", k-space's width")
    middle = kspace[(slice(None), *centre(kspace.shape[1:], int(calibration)))]
    missing = int((~(middle != 0).any(axis=0)).sum())
    if missing:
        raise ValueError(
            f"kspace has zeros for every coil at {missing} of the {calibration}x{calibration} points in its middle; "
            f"expected a fully sampled calibration region (a smaller calibration?)"
        )
    return middle / abs(middle).max()  # the maps do not depend on the scale: keep clear of overflow


# ---------------------------------------------------------------- the low-resolution estimate


def _low_resolution(kspace: Array, middle: Array) -> Array:
    xp, dims = backend.array_module(kspace), kspace.shape[1:]
    m = middle.shape[1]
    hann = np.sin(np.pi * (np.arange(m) + 0.5 + 0.5 * (m % 2 == 0)) / (m + 1)) ** 2  # 1 at zero frequency
    window = xp.asarray(np.outer(hann, hann).astype(backend.real_dtype(kspace.dtype)))
    padded = xp.zeros_like(kspace)
    padded[(slice(None), *centre(dims, m))] = middle * window
    images = FourierTransform(dims, kspace.dtype).apply_adjoint(padded)
    root = xp.sqrt(sum_of_squares(images))
    return images * xp.where(root > 0, 1 / xp.where(root > 0, root, 1), 0)


# ---------------------------------------------------------------- ESPIRiT


def consistency_kernel(middle: Array, k: int, threshold: float) -> Array:
    """W with y_c(j) = Σ_{d,Δ} W_cd(Δ) y_d(j + Δ) for the data's row space: (coils, coils, 2k - 1, 2k - 1)."""
    xp, (coils, m, _) = backend.array_module(middle), middle.shape
    places = [(i, j) for i in range(k) for j in range(k)]
    inner = m - k + 1
    patches = xp.stack([middle[:, i : i + inner, j : j + inner] for i, j in places], axis=1)
    rows = patches.reshape(coils * k * k, -1).astype("complex128")  # the calibration matrix, transposed
    squares, vectors = xp.linalg.eigh(rows @ rows.conj().T)  # its left singular vectors are conj(V)
    kept = vectors * (squares > threshold**2 * squares[-1])
    projection = (kept.conj() @ kept.T).reshape(coils, k, k, coils, k, k)  # V V*
    W = xp.zeros((coils, coils, 2 * k - 1, 2 * k - 1), dtype="complex128")
    for i, j in places:
        part = projection[..., i, j].transpose(3, 0, 1, 2)  # c, d, q
        W[:, :, k - 1 - i : 2 * k - 1 - i, k - 1 - j : 2 * k - 1 - j] += part / k**2
    return W


def principal_combination(middle: Array) -> Array:
    """The combination of the coils, Σ_c conj(p_c) y_c, that has the most energy in the calibration region."""
    data = middle.reshape(len(middle), -1).astype("complex128")
    return backend.array_module(middle).linalg.eigh(data @ data.conj().T)[1][:, -1]


def _eigenmaps(W: Array, kspace: Array, combination: Array, crop: float) -> Array:
    xp, (coils, ny, nx) = backend.array_module(kspace), kspace.shape
    reach = W.shape[-1] // 2
    along_y, along_x = (_exponentials(n, reach, kspace.dtype, xp) for n in (ny, nx))
    half = W.astype(kspace.dtype) @ along_x  # coils, coils, Δy, x
    S = xp.empty_like(kspace)
    step = max(1, BLOCK // (coils**2 * nx))
    for start in range(0, ny, step):
        rows = slice(start, min(start + step, ny))
        G = xp.einsum("cdax,ay->yxcd", half, along_y[:, rows])
        values, vectors = xp.linalg.eigh(G)
        s = vectors[..., -1]
        phase = s @ combination.conj().astype(s.dtype)
        size = xp.abs(phase)
        factor = xp.where(size > 0, phase.conj() / xp.where(size > 0, size, 1), 1) * (values[..., -1] >= crop)
        S[:, rows] = (s * factor[..., None]).transpose(2, 0, 1)
    return S


def _exponentials(n: int, reach: int, dtype: Any, xp: Any) -> Array:
    """exp(-2πi Δ (x - n // 2) / n) for Δ from -reach to reach, one per row."""
    turns = np.outer(np.arange(-reach, reach + 1), np.arange(n) - n // 2) / n
    return xp.asarray(np.exp(-2j * np.pi * turns).astype(dtype))
