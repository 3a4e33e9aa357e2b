"""How good is a reconstruction: PSNR, SSIM, NRMSE, contrast, residual.  All return Python floats.

Integers, as image files hold them, are compared as float64: differences of uint8 would wrap.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_float, check_type
from ipbox.keywords import answering


@runtime_checkable
class Expecting(Protocol):
    """An operator that tells the mean of its data, A x and the background, as all of ours do.

    Examples
    --------
    >>> import ipbox as ip
    >>> isinstance(ip.Identity((2, 2)), ip.metrics.Expecting)
    True
    """

    def background_like(self, y: Array) -> Array | None: ...

    def mean(self, x: Array) -> Array: ...


@answering
def psnr(x: Array, x_true: Array, peak: float | None = None) -> float:
    r"""Peak signal-to-noise ratio in dB.

    .. math:: 10 \log_{10} \frac{\text{peak}^2\, n}{\|x - x_{true}\|^2}

    Parameters
    ----------
    x, x_true : array
        Reconstruction and truth, of one shape with n entries, on one device.
    peak : float, optional
        By default max(x_true).

    Returns
    -------
    float
        inf where x equals x_true.

    Raises
    ------
    ValueError
        for shapes that differ, or a peak that is not positive.
    TypeError
        for something else than arrays, or arrays on different devices.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> round(ip.psnr(np.full((8, 8), 0.9), np.ones((8, 8))), 6)
    20.0
    """
    x, x_true = _check(x, x_true)
    peak = _peak(x_true, peak)
    error = backend.norm(x - x_true)
    if error == 0:
        return math.inf
    return 20.0 * math.log10(peak * math.sqrt(x_true.size) / error)


@answering
def ssim(x: Array, x_true: Array, peak: float | None = None) -> float:
    """Mean structural similarity, by scikit-image with its default 7 x 7 window and ``data_range=peak``.

    An image is what the last two axes hold; of a stack (slices, samples, colours first) it is the mean over the images,
    each with the stack's peak.  A last axis of 3 or 4 is one of colours, as image files have them: then it is the mean
    over those, and the window runs over the two axes before.  No window reaches from one slice or colour into another.

    Computed on the host: device arrays are copied there.

    Parameters
    ----------
    x, x_true : array
        Reconstruction and truth: real images of one shape, (..., rows, columns) or (..., rows, columns, colours), at
        least 7 wide; or signals of one axis.  On one device.
    peak : float, optional
        By default max(x_true).

    Raises
    ------
    ValueError
        for shapes that differ or are smaller than the window, or a peak that is not positive.
    TypeError
        for something else than arrays, arrays on different devices, or complex ones.

    References
    ----------
    Wang, Bovik, Sheikh and Simoncelli, Image quality assessment: from error visibility to structural similarity, IEEE
    Trans. Image Process. 13 (2004).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> u = np.eye(16)
    >>> ip.ssim(u, u), ip.ssim(np.stack([u, u, u]), np.stack([u, u, u]))
    (1.0, 1.0)
    """
    x, x_true = _check(x, x_true)
    for name, u in (("x", x), ("x_true", x_true)):
        if u.dtype.kind == "c":
            raise TypeError(f"{name} has dtype {u.dtype}; expected a real image")
    shape, peak = x_true.shape, _peak(x_true, peak)
    host = [backend.to_host(u) for u in (x_true, x)]
    if len(shape) > 2 and shape[-1] in (3, 4):
        host = [np.moveaxis(u, -1, 0) for u in host]
    image = host[0].shape[-2:]
    if min(image, default=0) < 7:
        raise ValueError(f"x_true has shape {shape}; expected an image at least 7 pixels wide")
    from skimage.metrics import structural_similarity

    pairs = zip(*(u.reshape(-1, *image) for u in host), strict=True)
    return float(np.mean([structural_similarity(truth, u, data_range=peak) for truth, u in pairs]))


@answering
def nrmse(x: Array, x_true: Array) -> float:
    """Relative error ‖x - x_true‖/‖x_true‖.

    Raises
    ------
    ValueError
        for shapes that differ, or a truth that is zero.
    TypeError
        for something else than arrays, or arrays on different devices.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> round(ip.nrmse(np.array([3.0, 4.5]), np.array([3.0, 4.0])), 6)
    0.1
    """
    x, x_true = _check(x, x_true)
    size = backend.norm(x_true)
    if size == 0:
        raise ValueError("x_true is zero everywhere; the relative error expects something else")
    return backend.norm(x - x_true) / size


@answering
def contrast_recovery(x: Array, x_true: Array, roi: Array, background: Array) -> float:
    r"""Contrast recovery coefficient of a region: 1 where x has the contrast of the truth, 0 where it has none.

    .. math:: \frac{\bar x_R / \bar x_B - 1}{\bar u_R / \bar u_B - 1}

    with the means of x and of the truth u over the region R and its background B.  For a region without activity it
    is 1 - x̄_R/x̄_B, as for cold spheres.

    Parameters
    ----------
    x, x_true : array
        Reconstruction and truth: real, of one shape, on one device, in any one unit each.
    roi, background : array of bool
        R and B, of that shape, on that device.

    Raises
    ------
    ValueError
        for shapes that differ, regions that are empty or overlap, a background whose mean is 0, or a truth without
        contrast.
    TypeError
        for regions that are not of bool, complex images, or arrays on different devices.

    References
    ----------
    NEMA Standards Publication NU 2-2018, Performance Measurements of Positron Emission Tomographs, section 7.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> u = np.array([4.0, 4.0, 1.0, 1.0])
    >>> hot = u > 2
    >>> ip.contrast_recovery(np.array([3.0, 3.0, 1.5, 1.5]), u, hot, ~hot)  # (3/1.5 - 1)/(4/1 - 1)
    0.3333333333333333
    """
    xp = backend.array_module(x, x_true, roi, background)
    x, x_true = _check(x, x_true)
    for name, region in (("roi", roi), ("background", background)):
        if region.dtype != bool:
            raise TypeError(f"{name} has dtype {region.dtype}; expected bool")
        if region.shape != x.shape:
            raise ValueError(f"{name} has shape {region.shape}; expected {x.shape}, the shape of x")
        if not bool(region.any()):
            raise ValueError(f"{name} is empty; expected some pixels")
    if bool((roi & background).any()):
        raise ValueError("roi and background overlap; expected two regions")
    contrasts = []
    for name, u in (("x", x), ("x_true", x_true)):
        if u.dtype.kind == "c":
            raise TypeError(f"{name} has dtype {u.dtype}; expected a real image")
        inside, around = (float(xp.mean(u[region], dtype="float64")) for region in (roi, background))
        if around == 0:
            raise ValueError(f"{name} has mean 0 in the background; expected activity there")
        contrasts.append(inside / around - 1)
    if contrasts[1] == 0:
        raise ValueError("x_true has the same mean in roi and background; expected a contrast")
    return contrasts[0] / contrasts[1]


@answering
def background_variability(x: Array, background: Array) -> float:
    r"""How much a background that should be even varies, relative to its mean.

    .. math:: \frac{1}{\bar x_B} \Bigl(\frac{1}{K - 1} \sum_{k=1}^{K} (\bar x_k - \bar x_B)^2\Bigr)^{1/2}

    over K regions with the means x̄_k, whose mean is x̄_B (NEMA's background variability), or, for one region, over its
    K pixels (the coefficient of variation, which is larger: means average noise away).

    Parameters
    ----------
    x : array
        Reconstruction, real.
    background : array of bool, or of int
        One region, pixel by pixel; or labels of regions, 1, 2, ..., with 0 for what belongs to none.  Of x's shape,
        on its device.

    Raises
    ------
    ValueError
        for shapes that differ, fewer than two pixels or regions, negative labels, or a mean of 0.
    TypeError
        for regions of another dtype, a complex image, or arrays on different devices.

    References
    ----------
    NEMA Standards Publication NU 2-2018, Performance Measurements of Positron Emission Tomographs, section 7.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> x = np.array([1.0, 3.0, 2.0, 4.0, 9.0])
    >>> round(ip.background_variability(x, np.array([1, 1, 2, 2, 0])), 4)  # of the means 2 and 3
    0.2828
    >>> round(ip.background_variability(x, x < 9), 4)
    0.5164
    """
    xp = backend.array_module(x, background)
    x = _numbers(x, "x")
    if x.dtype.kind == "c":
        raise TypeError(f"x has dtype {x.dtype}; expected a real image")
    if background.dtype.kind not in "bui":
        raise TypeError(f"background has dtype {background.dtype}; expected bool, or int for labels of regions")
    if background.shape != x.shape:
        raise ValueError(f"background has shape {background.shape}; expected {x.shape}, the shape of x")
    if background.dtype == bool:
        values = backend.to_host(x[background]).astype(np.float64)
    else:
        if bool((background < 0).any()):
            raise ValueError(f"background has labels down to {int(background.min())}; expected none below 0")
        labels = [k for k in backend.to_host(xp.unique(background)).tolist() if k]
        values = np.array([float(xp.mean(x[background == k], dtype="float64")) for k in labels])
    if len(values) < 2:
        raise ValueError(f"background has {len(values)} pixels or regions; expected at least two")
    mean = float(values.mean())
    if mean == 0:
        raise ValueError("x has mean 0 in the background; expected activity there")
    return float(values.std(ddof=1)) / abs(mean)


@runtime_checkable
class SupportsMatmul(Protocol):
    """What can be applied to an array: a matrix, and the operators of any package.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> isinstance(np.eye(2), ip.metrics.SupportsMatmul), isinstance(3.0, ip.metrics.SupportsMatmul)
    (True, False)
    """

    def __matmul__(self, x: Any) -> Any: ...


@answering
def relative_residual(A: Any, x: Array, b: Array) -> float:
    """‖A x - b‖/‖b‖ for an ipbox operator, or anything with ``A @ x``; ‖A x + r - b‖/‖b‖ for PET with background r.

    Raises
    ------
    ValueError
        where A x and b differ in shape, or b is zero.
    TypeError
        for something else than arrays, or arrays on different devices.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.Identity((2,), dtype="float64")
    >>> round(ip.relative_residual(A, np.array([3.0, 4.5]), np.array([3.0, 4.0])), 6)
    0.1
    """
    backend.array_module(x, b)
    x, b = _numbers(x, "x"), _numbers(b, "b")
    check_type(A, "A", SupportsMatmul, "an operator, or anything with A @ x")
    Ax = A.mean(x) if isinstance(A, Expecting) else A @ x
    if Ax.shape != b.shape:
        raise ValueError(f"b has shape {b.shape}; A x has {Ax.shape}, expected the same")
    size = backend.norm(b)
    if size == 0:
        raise ValueError("b is zero everywhere; the relative residual expects something else")
    return backend.norm(Ax - b) / size


def _check(x: Array, x_true: Array) -> tuple[Array, Array]:
    backend.array_module(x, x_true)
    if x.shape != x_true.shape:
        raise ValueError(f"x has shape {x.shape}; expected {x_true.shape}, the shape of x_true")
    return _numbers(x, "x"), _numbers(x_true, "x_true")


def _numbers(u: Array, name: str) -> Array:
    """Floating numbers: integers, bool and half precision become float64."""
    if u.dtype.kind not in "biufc":
        raise TypeError(f"{name} has dtype {u.dtype}; expected numbers")
    return u if u.dtype.kind in "fc" and u.dtype.itemsize > 2 else u.astype("float64")


def _peak(x_true: Array, peak: float | None) -> float:
    if peak is None:
        peak = float(abs(x_true).max()) if x_true.dtype.kind == "c" else float(x_true.max())
    value = check_float(peak, "peak")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"peak is {peak}; expected a positive number (by default max(x_true))")
    return value
