"""Training and test data that share no patient."""

from __future__ import annotations

import hashlib
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ipbox.problems.truths import datasets

# file and array of each patient
_SHIPPED = {
    "ct": {"train": ("ct_lung1", "hu"), "test": ("ct_lung2", "hu")},
    "mr": {"train": ("mr_brain", "brain1"), "test": ("mr_brain", "brain2")},
}


def split_by_patient(
    patients: Iterable[str],
    fractions: Mapping[str, float] | None = None,
    test: Iterable[str] | None = None,
    seed: int = 0,
) -> dict[str, tuple[str, ...]]:
    """Patients divided into parts, such as training and test; slices then follow their patient.

    Patients are put in the order of SHA-256(seed, patient) and cut at the fractions: the answer depends on the seed and
    on which patients there are, not on their order, the machine or the version.

    Parameters
    ----------
    patients : iterable of str
        A patient may be named several times, as by every slice.
    fractions : mapping of str to float, optional
        Share of each part, in sum 1; ``{"train": 0.8, "test": 0.2}`` by default.
    test : iterable of str, optional
        Instead of fractions: the patients of the part ``"test"``; all others are in ``"train"``.
    seed : int

    Returns
    -------
    dict of str to tuple of str
        Sorted patients of each part; each patient is in exactly one, and no part is empty.

    Raises
    ------
    ValueError
        for fractions that are not positive or do not add to 1, fewer patients than parts, test patients that are
        unknown, and both ``fractions`` and ``test``.
    TypeError
        for patients that are not strings, and fractions that are no mapping.

    Examples
    --------
    >>> import ipbox as ip
    >>> parts = ip.split_by_patient(["a", "b", "c", "d", "e"], {"train": 0.6, "val": 0.2, "test": 0.2}, seed=1)
    >>> {name: len(of) for name, of in parts.items()}
    {'train': 3, 'val': 1, 'test': 1}
    """
    every = _unique(patients, "patients")
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool):
        raise TypeError(f"seed is {seed!r}; expected an integer")
    if test is not None:
        if fractions is not None:
            raise ValueError("fractions and test are both given; expected one of them")
        chosen = _unique(test, "test")
        if unknown := sorted(set(chosen) - set(every)):
            raise ValueError(f"test names {', '.join(unknown[:3])}; expected some of the {len(every)} patients")
        parts = {"train": tuple(p for p in every if p not in chosen), "test": chosen}
    else:
        parts = _cut(every, {"train": 0.8, "test": 0.2} if fractions is None else fractions, int(seed))
    if empty := [name for name, of in parts.items() if not of]:
        raise ValueError(f"patients are {len(every)}, which leaves none for {', '.join(empty)}; expected more")
    return parts


def _cut(every: tuple[str, ...], fractions: Mapping[str, float], seed: int) -> dict[str, tuple[str, ...]]:
    if not isinstance(fractions, Mapping):
        raise TypeError(f"fractions is {fractions!r}; expected a mapping of names to shares")
    shares = list(fractions.values())
    if not shares or not all(isinstance(f, numbers.Real) and f > 0 for f in shares) or not math.isclose(sum(shares), 1):
        raise ValueError(f"fractions is {dict(fractions)}; expected positive numbers that add to 1")
    mixed = sorted(every, key=lambda p: hashlib.sha256(f"{seed}\0{p}".encode()).digest())
    ends = [round(float(c) * len(mixed)) for c in np.cumsum(shares)]
    return {
        name: tuple(sorted(mixed[start:end])) for name, start, end in zip(fractions, [0, *ends[:-1]], ends, strict=True)
    }


def _unique(patients: Iterable[str], name: str) -> tuple[str, ...]:
    if isinstance(patients, str):
        raise TypeError(f"{name} is {patients!r}; expected several patients")
    found = list(patients)
    for patient in found:
        if not isinstance(patient, str):
            raise TypeError(f"{name} has {patient!r}; expected strings")
    return tuple(sorted(set(found)))


def check_disjoint(parts: Mapping[str, Iterable[str]]) -> None:
    """Refuse parts that share a patient.

    Raises
    ------
    ValueError
        that names the parts and a patient.

    Examples
    --------
    >>> from ipbox.problems.truths.splits import check_disjoint
    >>> check_disjoint({"train": ["a", "b"], "test": ["b"]})
    Traceback (most recent call last):
    ValueError: patient b is in train and in test; expected every patient in one part
    """
    where: dict[str, str] = {}
    for name, of in parts.items():
        for patient in _unique(of, name):
            if patient in where:
                raise ValueError(
                    f"patient {patient} is in {where[patient]} and in {name}; expected every patient in one part"
                )
            where[patient] = name


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
    >>> from ipbox.problems.truths.splits import training_slices
    >>> training_slices("mr", size=64, slices=[3, 8]).shape
    (2, 64, 64)
    """
    return _stack(kind, "train", size, slices)


def held_out_slices(kind: str, size: int | None = None, slices: Sequence[int] | None = None) -> np.ndarray:
    """The shipped slices to report on, of another patient than the `training_slices`; arguments are the same.

    Examples
    --------
    >>> from ipbox.problems.truths.splits import held_out_slices
    >>> held_out_slices("ct", size=32).shape
    (61, 32, 32)
    """
    return _stack(kind, "test", size, slices)


def _index(k: object) -> bool:
    return isinstance(k, numbers.Integral) and not isinstance(k, bool)


def _stack(kind: str, part: str, size: int | None, slices: Sequence[int] | None) -> np.ndarray:
    if kind not in _SHIPPED:
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(map(repr, _SHIPPED))}")
    name, key = _SHIPPED[kind][part]
    stored = datasets.load(name)[key]
    n = stored.shape[-1] if size is None else size
    if not _index(n) or not 0 < n <= stored.shape[-1]:
        raise ValueError(f"size is {size!r}; expected an integer from 1 to {stored.shape[-1]}")
    wanted = list(range(len(stored)) if slices is None else slices if np.iterable(slices) else ())
    if not wanted or any(not _index(k) or not 0 <= k < len(stored) for k in wanted):
        raise ValueError(f"slices is {slices!r}; the {part} patient has slices 0 to {len(stored) - 1}")
    if kind == "ct":
        images = datasets.hu_to_attenuation(stored[wanted])
    else:
        images = stored[wanted, ::-1] / stored[wanted].max(axis=(1, 2), keepdims=True)  # as `brain_slice` has them
    return np.stack([datasets.area_average(image, (n, n)) for image in images])
