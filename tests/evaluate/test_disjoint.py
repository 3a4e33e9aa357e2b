"""Training images among test images are found, in any orientation and precision; other images are not."""

from __future__ import annotations

import numpy as np
import pytest

from ipbox.evaluate import check_disjoint, fingerprint


def test_flips_and_turns_are_the_same_image() -> None:
    u = np.random.default_rng(0).standard_normal((5, 7)).astype("float32")
    views = [np.rot90(v, k) for v in (u, u[::-1]) for k in range(4)]
    assert len({fingerprint(v) for v in views} | {fingerprint(u.astype("float64"))}) == 1
    other = u.copy()
    other[2, 3] += 1e-6
    assert len({fingerprint(v) for v in (u, other, u + 1, 1j * u, u.reshape(7, 5))}) == 5


def test_overlap_is_refused_by_its_place() -> None:
    images = np.random.default_rng(1).standard_normal((6, 4, 4))
    before = images.copy()
    check_disjoint(images[:4], images[4:])
    with pytest.raises(ValueError, match=r"test\[1\] is training\[2\], maybe flipped or turned; expected images that"):
        check_disjoint(images[:4], [images[5], images[2][:, ::-1]])
    assert np.array_equal(images, before)


def test_a_stack_is_no_image() -> None:
    with pytest.raises(ValueError, match=r"training\[0\] has shape \(2, 3, 3\) and dtype float64; expected an image"):
        check_disjoint([np.zeros((2, 3, 3))], [])
