"""Brain images: two patients' MR, and the MNI template as a PET phantom."""

from __future__ import annotations

import numpy as np
import pytest

from ipbox.problems.truths import datasets
from ipbox.problems.truths.brains import brain_phantom, brain_slice


@pytest.mark.parametrize(("patient", "key", "count"), [("train", "brain1", 25), ("test", "brain2", 23)])
def test_slices_are_the_stored_ones_over_their_largest_value(patient: str, key: str, count: int) -> None:
    stored = datasets.load("mr_brain")[key]
    assert len(stored) == count
    for k in (0, count - 1):
        u = brain_slice(k, patient=patient)
        assert u.dtype == np.float64 and u.shape == (256, 256) and u.min() >= 0 and u.max() == 1
        assert np.allclose(u * stored[k].max(), stored[k][::-1], rtol=0, atol=1e-9)  # the face comes first


def test_smaller_slices_are_area_averages() -> None:
    full = brain_slice(11)
    assert np.allclose(brain_slice(11, 64), full.reshape(64, 4, 64, 4).mean(axis=(1, 3)), rtol=0, atol=1e-15)
    assert brain_slice(11, 100).mean() == pytest.approx(full.mean(), rel=1e-12)


def test_phantom_is_the_template_in_a_square() -> None:
    arrays = {key: values[7].astype(float) / 255 for key, values in datasets.load("mni").items()}
    p = brain_phantom(7)
    inner = np.s_[11 : 11 + 233, 29 : 29 + 197]
    assert p.pixel_size == 1.0
    assert np.allclose(p.activity[inner], 4 * arrays["gm"] + arrays["wm"], rtol=0, atol=1e-15)
    assert np.allclose(p.t1[inner], arrays["t1"] / arrays["t1"].max(), rtol=0, atol=1e-15)
    tissue = (arrays["t1"] > 0) | (arrays["gm"] + arrays["wm"] > 0)  # the T1 is cut off a little inside the others
    assert np.array_equal(p.attenuation[inner], 0.0096 * tissue)
    for u in (p.activity, p.t1, p.attenuation):
        assert u.shape == (256, 256) and u.dtype == np.float64
        assert np.count_nonzero(u) == np.count_nonzero(u[inner])  # nothing outside the template


@pytest.mark.parametrize("size", [128, 100, 33])
def test_phantom_keeps_activity_and_attenuation_at_every_size(size: int) -> None:
    """Counts per mm² and the line integrals through the head do not depend on the grid."""
    full, p = brain_phantom(3), brain_phantom(3, size)
    assert p.pixel_size == 256 / size and p.activity.shape == (size, size)
    assert p.activity.sum() * p.pixel_size**2 == pytest.approx(full.activity.sum(), rel=1e-12)
    assert p.attenuation.sum() * p.pixel_size**2 == pytest.approx(full.attenuation.sum(), rel=1e-12)
    assert p.t1.max() == 1.0


def test_phantom_is_a_head() -> None:
    """Grey matter takes up more than white; activity lies within the attenuating head."""
    for k in range(15):
        p = brain_phantom(k)
        assert 0 < p.activity.max() <= 4
        assert not p.activity[p.attenuation == 0].any()
    p = brain_phantom(14)
    grey, white = (datasets.load("mni")[key][14] for key in ("gm", "wm"))
    inner = p.activity[11 : 11 + 233, 29 : 29 + 197]
    assert inner[grey > 230].mean() > 3 * inner[white > 230].mean()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(index=23), "slice is 23; expected an integer from 0 to 22, the slices of patient 'test'"),
        (dict(index=25, patient="train"), "slice is 25; expected an integer from 0 to 24, the slices of"),
        (dict(index=-1), "slice is -1"),
        (dict(index=1.5), "slice is 1.5"),
        (dict(index=0, patient="both"), "patient is 'both'; expected one of"),
        (dict(index=0, size=257), "size is 257; expected an integer from 1 to 256"),
        (dict(index=0, size=0), "size is 0"),
        (dict(index=0, size=64.0), "size is 64.0"),
    ],
)
def test_slice_refuses(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        brain_slice(**arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(index=15), "slice is 15; expected an integer from 0 to 14, the slices of the template"),
        (dict(index=0, size=300), "size is 300; expected an integer from 1 to 256"),
    ],
)
def test_phantom_refuses(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        brain_phantom(**arguments)
