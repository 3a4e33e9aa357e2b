"""Training and test data that share no patient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipbox import split_by_patient
from ipbox.io import splits
from ipbox.problems.truths import datasets, slices
from ipbox.problems.truths.brains import brain_slice

NAMES = [f"p{k}" for k in range(20)]


@given(
    patients=st.lists(st.text(max_size=5), min_size=10, max_size=60, unique=True),
    seed=st.integers(0, 2**64),
    share=st.floats(0.2, 0.8),
)
def test_every_patient_is_on_one_side(patients: list[str], seed: int, share: float) -> None:
    parts = split_by_patient(patients, {"train": share, "test": 1 - share}, seed=seed)
    assert sorted(parts["train"] + parts["test"]) == sorted(patients)
    assert not set(parts["train"]) & set(parts["test"])
    assert abs(len(parts["train"]) - share * len(patients)) <= 1
    assert parts == split_by_patient(patients[::-1] + patients[:3], {"train": share, "test": 1 - share}, seed=seed)
    splits.check_disjoint(parts)


GOLDEN = ("p0", "p4", "p6", "p7")


def test_split_does_not_change_with_the_version() -> None:
    """Published results depend on it."""
    assert split_by_patient(NAMES, seed=0)["test"] == GOLDEN
    assert split_by_patient(NAMES, seed=1)["test"] != GOLDEN
    assert split_by_patient(NAMES) == split_by_patient(NAMES, {"train": 0.8, "test": 0.2}, seed=0)


def test_three_parts_and_named_tests() -> None:
    parts = split_by_patient(NAMES, {"train": 0.7, "val": 0.1, "test": 0.2}, seed=5)
    assert [len(of) for of in parts.values()] == [14, 2, 4]
    parts = split_by_patient(NAMES, test=["p3", "p7"])
    assert parts["test"] == ("p3", "p7") and len(parts["train"]) == 18


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (dict(fractions={"train": 0.8, "test": 0.3}), ValueError, "expected positive numbers that add to 1"),
        (dict(fractions={"train": 1.5, "test": -0.5}), ValueError, "expected positive numbers"),
        (dict(fractions={"train": np.nan, "test": 1}), ValueError, "expected positive numbers"),
        (dict(fractions=[0.8, 0.2]), TypeError, "expected a mapping of names to shares"),
        (dict(fractions={}), ValueError, "expected positive numbers"),
        (dict(fractions={"train": 0.99, "test": 0.01}), ValueError, "patients are 20, which leaves none for test"),
        (dict(test=["p1", "q"]), ValueError, "test names q; expected some of the 20 patients"),
        (dict(test=NAMES), ValueError, "leaves none for train"),
        (dict(test=["p1"], fractions={"train": 1.0}), ValueError, "fractions and test are both given"),
        (dict(test="p1"), TypeError, "test is 'p1'; expected several patients"),
        (dict(seed=0.5), TypeError, "seed is 0.5; expected an integer"),
        (dict(patients=["a", 1]), TypeError, "patients has 1; expected strings"),
        (dict(patients="abc"), TypeError, "patients is 'abc'"),
        (dict(patients=[]), ValueError, "patients are 0, which leaves none for train, test"),
        (dict(patients=["a"]), ValueError, "patients are 1, which leaves none for test"),
    ],
)
def test_split_refuses(arguments: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        split_by_patient(**({"patients": NAMES} | arguments))


def test_parts_that_share_a_patient_are_refused() -> None:
    with pytest.raises(ValueError, match="patient p1 is in train and in test; expected every patient in one part"):
        splits.check_disjoint({"train": ["p0", "p1", "p1"], "test": ["p1"]})


# ---------------------------------------------------------------- the shipped slices


def test_ct_slices() -> None:
    train, test = slices.training_slices("ct", slices=[0, 47]), slices.held_out_slices("ct", slices=[0, 60])
    hu = {name: datasets.load(name)["hu"] for name in ("ct_lung1", "ct_lung2")}
    assert np.array_equal(train, datasets.hu_to_attenuation(hu["ct_lung1"][[0, 47]]))
    assert np.array_equal(test, datasets.hu_to_attenuation(hu["ct_lung2"][[0, 60]]))


def test_mr_slices() -> None:
    train, test = slices.training_slices("mr", 64, [3, 24]), slices.held_out_slices("mr", 64, [3, 22])
    assert np.array_equal(train, [brain_slice(k, 64, "train") for k in (3, 24)])
    assert np.array_equal(test, [brain_slice(k, 64, "test") for k in (3, 22)])


@pytest.mark.parametrize(("kind", "counts"), [("ct", (48, 61)), ("mr", (25, 23))])
def test_no_slice_is_on_both_sides(kind: str, counts: tuple[int, int]) -> None:
    train, test = slices.training_slices(kind, 32), slices.held_out_slices(kind, 32)
    assert (train.shape, test.shape) == ((counts[0], 32, 32), (counts[1], 32, 32)) and train.dtype == np.float64
    apart = ((train[:, None] - test[None]) ** 2).sum(axis=(2, 3)) / (test**2).sum(axis=(1, 2))
    assert apart.min() > 0.01  # not even a similar one


@pytest.mark.parametrize("of", [slices.training_slices, slices.held_out_slices])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(kind="mni"), "kind is 'mni'; expected one of 'ct', 'mr'"),
        (dict(kind="ct", size=257), "size is 257; expected an integer from 1 to 256"),
        (dict(kind="ct", size=0), "size is 0"),
        (dict(kind="mr", slices=[25]), r"slices is \[25\]; the (train|test) patient has slices 0 to 2[24]"),
        (dict(kind="mr", slices=[]), r"slices is \[\]"),
        (dict(kind="mr", slices=[-1]), r"slices is \[-1\]"),
        (dict(kind="mr", slices=3), "slices is 3"),
        (dict(kind="mr", slices=[True]), r"slices is \[True\]"),
    ],
)
def test_slices_refuse(of: object, arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        of(**arguments)
