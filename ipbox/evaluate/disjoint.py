"""Whether images that a method is tested on were among those that it has learned from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.keywords import answering


@answering
def fingerprint(u: Array) -> str:
    """SHA-256 of an image, the same for its eight flips and quarter turns, in any precision and array library.

    Parameters
    ----------
    u : array, shape (H, W)

    Returns
    -------
    str

    Raises
    ------
    ValueError, TypeError
        where ``u`` is no image of two axes.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import fingerprint
    >>> u = np.arange(6.0).reshape(2, 3)
    >>> fingerprint(u) == fingerprint(np.rot90(u).astype("float32")) != fingerprint(u + 1)
    True
    """
    return _fingerprint(u, "u")


def _fingerprint(u: Array, name: str) -> str:
    backend.check_array(u, name)
    if u.ndim != 2 or u.dtype.kind not in "biufc":
        raise ValueError(f"{name} has shape {u.shape} and dtype {u.dtype}; expected an image, numbers on two axes")
    v = backend.to_host(u)
    v = v.astype(np.complex128 if v.dtype.kind == "c" else np.float64) + 0.0  # no -0
    views = (np.rot90(w, k) for w in (v, v.T) for k in range(4))
    return min(hashlib.sha256(f"{w.shape} {w.dtype}".encode() + w.tobytes()).hexdigest() for w in views)


@answering
def check_disjoint(training: Iterable[Array], test: Iterable[Array]) -> None:
    """Refuse test images that are training images, too.

    Parameters
    ----------
    training, test : images, each an array of shape (H, W), or one array of shape (n, H, W)

    Raises
    ------
    ValueError
        which names the first pair that agrees.

    Notes
    -----
    Images agree where their pixels do, flipped or turned or not.  Crops, other scales and other noise are not noticed,
    nor are other slices of one patient: keep patients apart, too.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import check_disjoint
    >>> u = np.arange(12.0).reshape(3, 2, 2)
    >>> check_disjoint(u[:2], u[2:])
    >>> check_disjoint(u[:2], [u[2], u[1].T])
    Traceback (most recent call last):
        ...
    ValueError: test[1] is training[1], maybe flipped or turned; expected images that were not trained on
    """
    seen: dict[str, int] = {}
    for k, u in enumerate(training):
        seen.setdefault(_fingerprint(u, f"training[{k}]"), k)
    for k, u in enumerate(test):
        if (found := seen.get(_fingerprint(u, f"test[{k}]"))) is not None:
            raise ValueError(
                f"test[{k}] is training[{found}], maybe flipped or turned; expected images that were not trained on"
            )
