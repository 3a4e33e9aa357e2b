"""Edge tapering: making a blurred photograph periodic before it is deblurred by Fourier transforms."""

from __future__ import annotations

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.operators import Blur


def edgetaper(b: Array, kernel: np.ndarray) -> Array:
    r"""α b + (1 - α) (k * b), with the periodic convolution; α is 0 at the edges and 1 further inside than k reaches.

    .. math:: α = Π_a (1 - r_a / \max r_a), \quad r_a \text{ the autocorrelation of k summed over the other axes}

    Parameters
    ----------
    b : array, (B,) + dims
        float32 or float64.
    kernel : numpy.ndarray
        With as many axes as an image; taken as |k| / Σ|k|.

    Returns
    -------
    array
        As ``b``.

    References
    ----------
    Reeves, Fast image restoration without boundary artifacts, IEEE Trans. Image Process. 14 (2005), who compares it.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.reconstruct.direct.edgetaper import edgetaper
    >>> b = np.linspace(0, 1, 9)[None]           # jumps by 1 where it is continued periodically
    >>> edgetaper(b, np.full(3, 1 / 3))[0, [0, -1]].round(2)
    array([0.38, 0.62])
    """
    xp, dims = backend.array_module(b), b.shape[1:]
    k = np.abs(kernel) / np.abs(kernel).sum()
    alpha = np.ones(())
    for axis, n in enumerate(dims):
        profile = k.sum(axis=tuple(a for a in range(k.ndim) if a != axis))
        r = np.correlate(profile, profile, "full")[profile.size - 1 :]  # lags 0, 1, ..., K - 1
        distance = np.minimum(np.arange(n), n - 1 - np.arange(n))
        edge = np.where(distance < r.size, r[np.minimum(distance, r.size - 1)] / r[0], 0.0)
        alpha = np.multiply.outer(alpha, 1.0 - edge)
    alpha = xp.asarray(alpha.astype(b.dtype))
    blurred = Blur(dims, k, "periodic", b.dtype).apply(b)
    return alpha * b + (1 - alpha) * blurred
