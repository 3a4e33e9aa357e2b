"""Tiles of photographs."""

import numpy as np
import pytest

from ipbox.problems.crops import TEST, TRAIN, photograph_crops
from ipbox.problems.photographs import photograph


def test_training_and_test_photographs_are_disjoint() -> None:
    assert not set(TRAIN) & set(TEST)


def test_tiles_are_parts_of_the_photographs_and_do_not_overlap() -> None:
    tiles, camera = photograph_crops(5, 256, "test"), photograph("camera")
    np.testing.assert_array_equal(tiles[0], camera[:256, :256])
    np.testing.assert_array_equal(tiles[2], camera[:256, 256:])
    assert len({t.tobytes() for t in photograph_crops(25, 256)}) == 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 64), "n is 0; expected a positive integer"),
        ((1, 2.0), "size is 2.0; expected a positive integer"),
        ((1, 64, "validation"), "split is 'validation'"),
        ((6, 256, "test"), "n is 6; there are 5 tiles"),
        ((1, 5000), "n is 1; there are 0 tiles"),
    ],
)
def test_bad_input(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        photograph_crops(*arguments)
