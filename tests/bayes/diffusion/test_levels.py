"""Noise levels: geometric, decreasing, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ipbox.bayes.diffusion.levels import check_levels, geometric_levels


def test_are_geometric_and_end_where_asked() -> None:
    levels = np.array(geometric_levels(50.0, 0.02, 30))
    assert len(levels) == 30 and levels[0] == 50.0 and levels[-1] == pytest.approx(0.02, rel=1e-14)
    np.testing.assert_allclose(levels[1:] / levels[:-1], (0.02 / 50) ** (1 / 29), rtol=1e-12)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((1.0, 1.0, 5), "sigma_min is 1 and sigma_max 1; expected sigma_min < sigma_max"),
        ((1.0, 0.1, 1), "steps is 1; expected an integer of at least 2"),
        ((-1.0, 0.1, 3), "sigma_max is -1.0; expected a positive number"),
    ],
)
def test_bad_schedules(args: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        geometric_levels(*args)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ((1.0, 2.0), "levels rises from 1 to 2 at 1; expected noise levels that decrease"),
        ((2.0, 1.0, 1.0), "levels rises from 1 to 1 at 2"),
        ((1.0, 0.0), "levels is 0.0; expected positive noise levels"),
        ((), r"levels is \(\); expected noise levels that decrease"),
        (3.0, "levels is 3.0; expected noise levels that decrease"),
        (np.array(3.0), r"levels is array\(3.*; expected noise levels that decrease"),
        (np.ones((1, 2)), "levels is array.*; expected noise levels that decrease"),
    ],
)
def test_bad_levels(levels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_levels(levels)
