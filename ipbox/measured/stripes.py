"""Stripes of a sinogram, rings of an image: columns whose gain is not what the flat field says."""

from __future__ import annotations

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive
from ipbox.keywords import answering
from ipbox.measured.readings import check_integrals

ENDS = 4.0  # standard deviations of the Gaussian that are summed


@answering
def remove_stripes(b: Array, *, width: float = 2.5) -> tuple[Array, Array]:
    r"""Line integrals without the offsets that gain errors of the panel's pixels add to all views of a column.

    A gain 1 + ε adds -log(1 + ε) to a column.  What neighbouring columns differ by, as the median over the views has
    it, summed up, is that offset and the slow change of the object's mean projection, which a Gaussian takes away:

    .. math:: h_s = \sum_{t \le s} \mathrm{median}_θ\, (b_{θ,t} - b_{θ,t-1}), \qquad b ← b - (h - g_{width} * h)

    The median takes edges of the object, which cross a column in few views, for what they are; a mean over the views
    would smear them to rings.  Values that are wrong by a smooth function of the column stay.

    Parameters
    ----------
    b : array
        Line integrals, (views, rows, columns) or (views, columns), float32 or float64; from a half turn on.
    width : float
        Standard deviation of the Gaussian in columns: wider stripes stay, and detail of the object that is concentric
        and narrower goes.  5 suits stripes of several columns, and images of 512 pixels and more.

    Returns
    -------
    b : array
        A new one.
    offsets : array
        What was taken from each column, (rows, columns) or (columns,).

    Raises
    ------
    TypeError, ValueError
        for what is no array of line integrals, fewer than three views, or a width that is not positive.

    References
    ----------
    After Boin and Haibel, Compensation of ring artefacts in synchrotron tomographic images, Opt. Express 14 (2006),
    who smooth the mean over the views.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", size=128, views=90)
    >>> gains = 1 + 0.05 * np.random.default_rng(0).standard_normal(b.shape[1])
    >>> striped = 3 * b / b.max() - np.log(gains).astype("float32")
    >>> clean, offsets = ip.measured.remove_stripes(striped)
    >>> x, x_striped, x_clean = (ip.fbp(A, y)[0] for y in (3 * b / b.max(), striped, clean))
    >>> bool(ip.psnr(x_clean, x) > ip.psnr(x_striped, x) + 3)
    True
    """
    check_integrals(b, "b", views=3)
    check_positive(width, "width", "a positive number of columns")
    xp = backend.array_module(b)
    steps = xp.median(xp.diff(b, axis=-1), axis=0).astype(np.float64)
    h = xp.concatenate([xp.zeros((*steps.shape[:-1], 1)), xp.cumsum(steps, axis=-1)], axis=-1)
    smooth = backend.ndimage_module(b).gaussian_filter1d(h, width, axis=-1, mode="nearest", truncate=ENDS)
    offsets = (h - smooth).astype(b.dtype)
    return b - offsets, offsets
