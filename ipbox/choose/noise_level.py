"""How much noise there is in data, from the data alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.keywords import answering
from ipbox.operators import PET, CartesianMRI, Mask, NonCartesianMRI, Sampling, as_operator
from ipbox.operators.tomography.geometry import Projector

KINDS = ("image", "sinogram", "kspace", "signal")
MAD = 0.6744897501960817  # median of |n| for n of variance 1
ALONG, ACROSS = 4, 2  # orders of the differences along the last axis, and along the one before
LEAST = 16  # entries along the last axis
FLAT = 0.25  # share of the data, those that change least, in which noise is looked for
ENOUGH = 200  # data, for a median; of fewer a larger share is taken
BINS = 12  # of the values of a sinogram, each with noise of its own
AIR = 0.05  # share of the field of view, along readouts, where nothing is
OUTER = 0.1  # share of k-space, the farthest from its centre


@answering
def estimate_noise(b: Array, A: Any = None, *, kind: str | None = None, shape: tuple[int, ...] | None = None) -> float:
    r"""The expected norm of the noise in b, as ``noise_level`` of stop rules and rules for λ expects it.

    Images, sinograms and signals are differenced, so that what is smooth goes and white noise keeps its variance; the
    median of what is left, in the quarter of the data that changes least, is that of the noise:

    .. math:: σ = \mathrm{median}\,|D b| / 0.6745, \qquad δ = σ\sqrt{m}

    with differences D of fourth order along the last axis and of second order along the one before.

    =============  ==================================================================================================
    ``kind``       what is assumed
    =============  ==================================================================================================
    ``image``      white noise of one variance; leading axes are slices
    ``sinogram``   noise that depends on the value, as that of counts and of their logarithms: each of 12 ranges of
                   values has a σ of its own, and δ² is the sum over the data; (angles, detector)
    ``kspace``     complex white noise, E|n|² = σ² in each coil: σ² = median |n|²/ln 2, of the tenth of the measured
                   data that is farthest from the centre of k-space, or of whole readouts, transformed, where the object
                   is not, whichever is less; (coils, rows, columns) without A
    ``signal``     white noise along the last axis
    =============  ==================================================================================================

    Parameters
    ----------
    b : array
        Data; entries that are 0 in k-space have not been measured.
    A : Operator, optional
        Tells the kind: a sinogram for projectors and PET, k-space for MRI; and where radial and other samples lie.
    kind : str, optional
        Overrides that; without A, k-space for complex data, a signal for one axis, else an image.
    shape : tuple of int, optional
        Of the image, where A does not tell it: see `as_operator`.

    Returns
    -------
    float
        δ, an estimate: within about 10 % for noise of 3 % and more of the data's norm, of sinograms 1 %, of 64 numbers
        30 %.  What is texture of the size of a pixel counts as noise, and so does signal at the edge of k-space of an
        object that fills the field of view; noise that is correlated between neighbours does not.

    Raises
    ------
    ValueError, TypeError
        for fewer than 16 entries along the last axis, data that do not fit A, a batch, masked data, an unknown kind, or
        one that the data are not.

    References
    ----------
    Donoho, De-noising by soft-thresholding, IEEE Trans. Inf. Theory 41 (1995); Immerkær, Fast noise variance
    estimation, Comput. Vis. Image Underst. 64 (1996).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", size=128, views=90, noise=0.02)
    >>> bool(abs(ip.estimate_noise(b, A) / info.noise_level - 1) < 0.1)
    True
    """
    check_data(b)
    if A is not None:
        A = as_operator(A, shape)
        check_fits(A, b)
        if b.ndim > len(A.dimsd):
            raise ValueError(f"b has shape {b.shape}, with a batch axis; expected one set of data a call")
        if isinstance(A, Mask | Sampling):
            raise ValueError(f"A is {type(A).__name__}; its data are apart, and do not tell signal from noise")
    if kind is None:
        kind = _kind(b, A)
    check_choice(kind, "kind", KINDS)
    if (kind == "kspace") != (b.dtype.kind == "c"):
        raise TypeError(f"kind is {kind!r} and b has dtype {b.dtype}; expected complex ones of k-space, else real ones")
    host = backend.to_host(b)
    if kind == "kspace":
        return _of_kspace(host.astype(np.complex128), A)
    if host.shape[-1] < LEAST or (kind != "signal" and host.ndim < 2):
        axes = "an axis" if kind == "signal" else "two axes"
        raise ValueError(f"b has shape {b.shape}; expected {axes}, the last one of at least {LEAST} entries")
    host = host.astype(np.float64)
    slices = host.reshape((-1, 1, host.shape[-1]) if kind == "signal" else (-1, *host.shape[-2:]))
    rest, values, change, empty = (
        np.concatenate(part, axis=None) for part in zip(*map(_differenced, slices), strict=True)
    )
    bins = _ranges(values) if kind == "sinogram" else np.zeros(len(rest), int)
    total = sum(_squares(rest[bins == k], change[bins == k], empty[bins == k]) for k in np.unique(bins))
    return math.sqrt(total / len(rest) * host.size)


def _kind(b: Array, A: Any) -> str:
    if isinstance(A, Projector | PET):
        return "sinogram"
    if b.dtype.kind == "c":
        return "kspace"
    return "signal" if b.ndim == 1 else "image"


def _differenced(y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Differences with the variance of white noise; the local mean, how much it changes, and what is empty (2) or near.

    Where whole neighbourhoods are the same number nothing was measured, or added.
    """
    from scipy.ndimage import binary_dilation, binary_opening, uniform_filter

    across, rest = min(ACROSS, len(y) - 1), y
    for axis, order in ((1, ALONG), (0, across)):
        rest = np.diff(rest, order, axis=axis) / math.sqrt(math.comb(2 * order, order))
    mean = uniform_filter(y, 5)
    change = uniform_filter(sum(abs(np.gradient(mean, axis=axis)) for axis in (0, 1) if y.shape[axis] > 1), 5)
    rows, columns = (slice(order // 2, order // 2 + n) for order, n in zip((across, ALONG), rest.shape, strict=True))
    empty = binary_opening(rest == 0, np.ones((min(3, len(rest)), 3)))
    near = binary_dilation(empty, iterations=ALONG) if empty.any() else empty
    return rest, mean[rows, columns], change[rows, columns], near.astype(int) + empty


def _squares(rest: np.ndarray, change: np.ndarray, empty: np.ndarray) -> float:
    """m σ² of what is not empty, σ from where the data change little."""
    clear = empty == 0
    if not clear.any():
        return 0.0
    share = min(max(FLAT, ENOUGH / clear.sum()), 1.0)
    flat = change[clear] <= np.quantile(change[clear], share)
    return int((empty < 2).sum()) * (float(np.median(abs(rest[clear][flat]))) / MAD) ** 2


def _ranges(values: np.ndarray) -> np.ndarray:
    """The range of each value, of about the same number of them."""
    inner = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.searchsorted(inner, values, side="right")


def _of_kspace(b: np.ndarray, A: Any) -> float:
    """√(Σ m σ²) over the coils, of m measured data each."""
    if isinstance(A, NonCartesianMRI):
        k = A.trajectory / (np.array(A.dims) / 2)
        radius = np.sqrt((k**2).sum(axis=-1))
        coils = b.reshape(-1, *radius.shape)
    else:
        nd = len(A.dims) if isinstance(A, CartesianMRI) else min(b.ndim, 2)
        coils = b.reshape(-1, *b.shape[b.ndim - nd :])
        grid = np.meshgrid(*((np.arange(n) - n // 2) / (n / 2) for n in coils.shape[1:]), indexing="ij")
        radius = np.sqrt(sum(g**2 for g in grid))
    measured = (coils != 0).any(axis=0)
    if not measured.any():
        return 0.0
    far = measured & (radius >= np.quantile(radius[measured], 1 - OUTER))
    readouts = _readouts(measured)
    total = 0.0
    for coil in coils:
        found = [float(np.median(abs(coil[far]) ** 2)) / math.log(2)]
        if readouts is not None:
            axis, complete = readouts
            found.append(_of_readouts(np.moveaxis(coil, axis, -1)[complete]))
        total += int(measured.sum()) * min(found)  # signal, where there is some left, only adds
    return math.sqrt(total)


def _readouts(measured: np.ndarray) -> tuple[int, np.ndarray] | None:
    """The axis along which lines are measured as a whole, and which lines; the last one that has them."""
    for axis in reversed(range(measured.ndim)):
        complete = measured.all(axis=axis)
        if measured.shape[axis] >= LEAST and complete.sum() * measured.shape[axis] > 0.9 * measured.sum():
            return axis, complete
    return None


def _of_readouts(lines: np.ndarray) -> float:
    """σ² where the object is not: in the part of the field of view, along the lines, that has the least in it.

    Half of the lines say where that is, so that what is found there in the others is not what happened to be small.
    """
    y = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(lines, axes=-1), norm="ortho"), axes=-1)
    power = abs(y) ** 2
    found = []
    for half, other in ((power[::2], power[1::2]), (power[1::2], power[::2])):
        if len(half) and len(other):
            size = half.mean(axis=0)
            found.append(np.median(other[:, size <= np.quantile(size, AIR)]))
    return float(np.mean(found)) / math.log(2) if found else math.inf
