"""Photographs as grey images: their range, size and averages."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import color, data

from ipbox.problems.truths.photographs import PHOTOGRAPHS, photograph


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_every_photograph(name: str) -> None:
    u = photograph(name)
    assert u.ndim == 2 and u.shape[0] == u.shape[1] >= 300 and u.dtype == np.float64 and u.flags.c_contiguous
    assert 0 <= u.min() < 0.3 and 0.7 < u.max() <= 1 and u.std() > 0.1


def test_grey_is_luminance_of_the_middle_square() -> None:
    cat = data.cat()
    left = (cat.shape[1] - 300) // 2
    np.testing.assert_allclose(photograph("cat"), color.rgb2gray(cat)[:, left : left + 300], atol=1e-12)


def test_smaller_ones_are_averages() -> None:
    full, half, odd = photograph("camera"), photograph("camera", 256), photograph("camera", 101)
    np.testing.assert_allclose(half, full.reshape(256, 2, 256, 2).mean(axis=(1, 3)), atol=1e-14)
    assert odd.shape == (101, 101) and odd.mean() == pytest.approx(full.mean(), rel=1e-12)


@pytest.mark.parametrize(
    "name, size, message",
    [
        ("cameraman", None, "name is 'cameraman'; expected one of 'astronaut'"),
        (None, None, "name is None"),
        ("coins", 304, "size is 304; expected an integer from 1 to 303, the pixels of 'coins'"),
        ("camera", 0, "size is 0"),
        ("camera", 12.5, "size is 12.5"),
    ],
)
def test_refusals(name, size, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        photograph(name, size)
