"""Solvers whose data or slices are shared by ranks give what one rank gives; here the ranks are threads."""

import numpy as np
import pytest

from tests.distributed.cases import CASES, SLAB_CASES, by_coils, by_slices, by_views
from tests.distributed.threads import on_ranks


def agrees(found, expected):
    """To 1e-10, the image relative to its largest entry; conjugate gradients amplify rounding in their residual."""
    np.testing.assert_allclose(found["x"], expected["x"], rtol=0, atol=1e-10 * abs(expected["x"]).max())
    np.testing.assert_allclose(found["numbers"], expected["numbers"], rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_ranks_that_share_the_views_give_what_one_gives(name):
    (expected,) = on_ranks(1, lambda ranks: by_views(ranks, name))
    for size in (2, 4):
        found = on_ranks(size, lambda ranks: by_views(ranks, name))
        for one in found:
            agrees(one, expected)
            assert np.array_equal(one["x"], found[0]["x"])  # or they would go apart


@pytest.mark.parametrize("name", SLAB_CASES)
def test_ranks_that_share_the_slices_give_what_one_gives(name):
    (expected,) = on_ranks(1, lambda ranks: by_slices(ranks, name))
    for size in (2, 4):
        for found in on_ranks(size, lambda ranks: by_slices(ranks, name)):
            agrees(found, expected)


def test_ranks_that_share_the_coils_give_what_one_gives():
    (expected,) = on_ranks(1, by_coils)
    assert expected["x"].dtype == np.complex128
    for found in on_ranks(3, by_coils):
        agrees(found, expected)
