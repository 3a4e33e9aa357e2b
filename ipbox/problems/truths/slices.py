"""The shipped slices to train on, and those of another patient to report on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ipbox.checks import check_choice, check_integer, is_integer
from ipbox.problems.truths import datasets

# file and array of each patient
_SHIPPED = {
    "ct": {"train": ("ct_lung1", "hu"), "test": ("ct_lung2", "hu")},
    "mr": {"train": ("mr_brain", "brain1"), "test": ("mr_brain", "brain2")},
}


def training_slices(kind: str, size: int | None = None, slices: Sequence[int] | None = None) -> np.ndarray:
    """The shipped slices to train on: those of one patient, who is not among the `held_out_slices`.

    Parameters
    ----------
    kind : str
        ``"ct"``: chest CT as attenuation in 1/mm (``ct_lung1`` trains, ``ct_lung2`` tests); ``"mr"``: brain MR
        magnitudes in [0, 1] (``brain1`` trains, ``brain2`` tests).
    size : int, optional
        Pixels a side, at most the 256 that are the default.
    slices : sequence of int, optional
        Which slices, counted from one end of the body part to the other; all by default.

    Returns
    -------
    numpy.ndarray
        (slices, size, size) float64; smaller sizes are exact area averages.

    Raises
    ------
    ValueError
        for an unknown kind (the MNI template is a mean of people, so nothing to train or test on), a slice that does
        not exist, and a size beyond 256.

    Examples
    --------
    >>> from ipbox.problems.truths.slices import training_slices
    >>> training_slices("mr", size=64, slices=[3, 8]).shape
    (2, 64, 64)
    """
    return _stack(kind, "train", size, slices)


def held_out_slices(kind: str, size: int | None = None, slices: Sequence[int] | None = None) -> np.ndarray:
    """The shipped slices to report on, of another patient than the `training_slices`; arguments are the same.

    Examples
    --------
    >>> from ipbox.problems.truths.slices import held_out_slices
    >>> held_out_slices("ct", size=32).shape
    (61, 32, 32)
    """
    return _stack(kind, "test", size, slices)


def _stack(kind: str, part: str, size: int | None, slices: Sequence[int] | None) -> np.ndarray:
    check_choice(kind, "kind", _SHIPPED)
    name, key = _SHIPPED[kind][part]
    stored = datasets.load(name)[key]
    n = stored.shape[-1] if size is None else check_integer(size, "size", 1, stored.shape[-1])
    wanted = list(range(len(stored)) if slices is None else slices if np.iterable(slices) else ())
    if not wanted or any(not is_integer(k) or not 0 <= k < len(stored) for k in wanted):
        raise ValueError(f"slices is {slices!r}; the {part} patient has slices 0 to {len(stored) - 1}")
    if kind == "ct":
        images = datasets.hu_to_attenuation(stored[wanted])
    else:
        images = stored[wanted, ::-1] / stored[wanted].max(axis=(1, 2), keepdims=True)  # as `brain_slice` has them
    return np.stack([datasets.area_average(image, (n, n)) for image in images])
