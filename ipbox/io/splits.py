"""Training and test data that share no patient."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

import numpy as np

from ipbox.checks import is_integer, is_number, shown
from ipbox.keywords import answering


@answering
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
    if not is_integer(seed):
        raise TypeError(f"seed is {shown(seed)}; expected an integer")
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
    if not shares or not all(is_number(f) and f > 0 for f in shares) or not math.isclose(sum(shares), 1):
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
    >>> from ipbox.io.splits import check_disjoint
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
