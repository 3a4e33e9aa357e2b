"""Brain images: contrast-enhanced MR magnitudes of two patients, and the MNI template as a PET phantom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ipbox import summary
from ipbox.checks import check_choice, check_integer
from ipbox.problems.truths import datasets

_ARRAYS = {"train": "brain1", "test": "brain2"}


def brain_slice(index: int, size: int | None = None, patient: str = "test") -> np.ndarray:
    """A T1-weighted, contrast-enhanced MR magnitude of a head.

    Parameters
    ----------
    index : int
        Slice, from the skull base upwards: 0 to 22 for the test patient, 0 to 24 for the training patient.
    size : int, optional
        Pixels a side, at most the stored 256, which is the default; smaller ones are exact area averages.
    patient : str
        ``"test"`` or ``"train"``: two different people; train on one, report on the other.

    Returns
    -------
    numpy.ndarray
        (size, size) float64 in [0, 1]: the stored magnitude over the largest of that slice; row 0 is the face.

    Raises
    ------
    ValueError
        for an unknown patient, a slice that does not exist, or a size that is not positive or beyond the stored one.

    Examples
    --------
    >>> from ipbox.problems.truths.brains import brain_slice
    >>> u = brain_slice(11, size=128)
    >>> u.shape, float(u.min()) >= 0.0
    ((128, 128), True)
    """
    check_choice(patient, "patient", _ARRAYS)
    stored = datasets.load("mr_brain")[_ARRAYS[patient]]
    check_integer(index, "slice", 0, len(stored) - 1, f", the slices of patient {patient!r}")
    u = stored[index][::-1].astype(np.float64)  # stored with the back of the head first
    return datasets.area_average(u / u.max(), (n := _size(size, u.shape[0]), n))


@dataclass(frozen=True)
class BrainPhantom:
    """A slice of the MNI template as a PET phantom; every image is (ny, nx) float64.

    ``activity`` is FDG-like, 4 in grey and 1 in white matter; ``t1`` the MR of the same head in [0, 1];
    ``attenuation`` in 1/mm, water wherever there is tissue; ``pixel_size`` in mm.
    """

    activity: np.ndarray
    t1: np.ndarray
    attenuation: np.ndarray
    pixel_size: float

    __repr__ = summary.of_fields


def brain_phantom(index: int = 7, size: int = 256) -> BrainPhantom:
    """The MNI template, padded to a square of 256 mm: grey and white matter as activity, with the MR beside it.

    Parameters
    ----------
    index : int
        Slice, 0 to 14 from the cerebellum upwards.
    size : int
        Pixels a side, at most 256; smaller ones are exact area averages.

    Raises
    ------
    ValueError
        for a slice that does not exist, or a size that is not positive or beyond 256.

    Examples
    --------
    >>> from ipbox.problems.truths.brains import brain_phantom
    >>> p = brain_phantom(7, size=128)
    >>> p.activity.shape, p.pixel_size, round(float(p.attenuation.max()), 4)
    ((128, 128), 2.0, 0.0096)
    """
    arrays = datasets.load("mni")
    check_integer(index, "slice", 0, len(arrays["t1"]) - 1, ", the slices of the template")
    n = _size(size, 256)
    t1, gm, wm = (arrays[key][index].astype(np.float64) / 255.0 for key in ("t1", "gm", "wm"))
    tissue = ((t1 > 0.0) | (gm + wm > 0.0)).astype(np.float64)
    activity, t1, tissue = (datasets.area_average(_padded(u), (n, n)) for u in (4.0 * gm + wm, t1, tissue))
    return BrainPhantom(activity, t1 / t1.max(), 0.0096 * tissue, 256.0 / n)


def _padded(u: np.ndarray) -> np.ndarray:
    """The image in the middle of a square of 256 pixels."""
    return np.pad(u, [((256 - n) // 2, (257 - n) // 2) for n in u.shape])


def _size(size: int | None, largest: int) -> int:
    return largest if size is None else check_integer(size, "size", 1, largest)
