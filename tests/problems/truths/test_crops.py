"""Tiles of photographs."""

import numpy as np
import pytest

from ipbox.problems.truths.crops import TEST, TRAIN, photograph_crops
from ipbox.problems.truths.photographs import photograph


def test_training_and_test_photographs_are_disjoint() -> None:
    assert not set(TRAIN) & set(TEST)


def test_tiles_are_parts_of_the_photographs_and_do_not_overlap() -> None:
    tiles, camera = photograph_crops(5, 256, "test"), photograph("camera")
    np.testing.assert_array_equal(tiles[0], camera[:256, :256])
    np.testing.assert_array_equal(tiles[2], camera[:256, 256:])
    np.testing.assert_array_equal(photograph_crops(1, 170, "test")[0], camera[171:341, 171:341])
    assert len({t.tobytes() for t in photograph_crops(25, 256)}) == 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 64), "n is 0; expected a positive integer"),
        ((1, 2.0), "size is 2.0; expected a positive integer"),
        ((1, 64, "validation"), "split is 'validation'"),
        ((6, 256, "test"), "n is 6; expected at most 5"),
        ((1, 5000), "n is 1; expected at most 0"),
    ],
)
def test_bad_input(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        photograph_crops(*arguments)
