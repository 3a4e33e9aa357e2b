"""Warnings name the line of the user's code."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import ipbox as ip


def test_warnings_point_at_the_call() -> None:
    """However many frames of the package are in between: of a function that others call, and of a constructor."""
    A, b, *_ = ip.problem("ct", size=16, views=4, seed=0)
    with pytest.warns(RuntimeWarning, match="^fbp: the views leave out") as seen:
        ip.fbp(ip.RayTransform((16, 16), np.linspace(0, 1, 4)), b)
        line = inspect.currentframe().f_lineno - 1
    assert (seen[0].filename, seen[0].lineno) == (__file__, line)
    with pytest.warns(RuntimeWarning, match="was ended by niter=1") as seen:
        ip.cgls(A, b, noise_level=1e-9, niter=1)
    assert seen[0].filename == __file__
    with pytest.warns(UserWarning, match="^mask samples all around index 0") as seen:
        ip.CartesianMRI(np.fft.ifftshift(np.pad(np.ones((12, 12), bool), 10)))
    assert seen[0].filename == __file__
