"""Flags are True or False, noise levels numbers also where λ is one, and data within the range of their dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ipbox as ip

A, B = ip.Mask(np.ones((4, 4)), dtype="float64"), np.ones((4, 4))
PROBLEM = ip.Problem(ip.L2(A, B))


@pytest.mark.parametrize("level", [float("nan"), -1.0, float("inf")])
@pytest.mark.parametrize("call", [ip.tv, ip.tikhonov, ip.wavelet, ip.tgv, ip.hybrid_lsqr])
def test_a_noise_level_is_checked_beside_a_number(call: Any, level: float) -> None:
    with pytest.raises(ValueError, match="^noise_level is"):
        call(A, B, 1.0, level)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("progress", lambda: ip.solve(PROBLEM, ip.CGLS(), progress="no")),
        ("nonneg", lambda: ip.tv(A, B, 1.0, nonneg="no")),
        ("balance", lambda: ip.solve(PROBLEM, ip.ADMM(balance="no"))),
        ("backtracking", lambda: ip.solve(PROBLEM, ip.FISTA(backtracking="no"))),
        ("line_search", lambda: ip.linearised_bregman(A, B, line_search="no")),
        ("total", lambda: ip.stop.niter(3, total="no")),
        ("gradient", lambda: ip.tikhonov(A, B, 1.0, gradient="no")),
        ("coarse", lambda: ip.WaveletL1((8, 8), "haar", coarse="no")),
        ("real_image", lambda: ip.FourierTransform((4, 4), real_image="no")),
        ("real_image", lambda: ip.CartesianMRI(B > 0, real_image="no")),
        ("real_image", lambda: ip.CoilSensitivities(np.ones((2, 4, 4), "complex64"), real_image="no")),
        ("real_image", lambda: ip.NonCartesianMRI((4, 4), np.zeros((5, 2)), real_image="no")),
        ("isotropic", lambda: ip.bilevel.gradient_filters("no")),
        ("gap", lambda: ip.callbacks.History(gap="no")),
    ],
)
def test_text_is_no_flag(name: str, call: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} is 'no'; expected True or False"):
        call()


@pytest.mark.parametrize(("dtype", "size"), [("float64", 1e-310), ("float64", 1e200), ("float32", 1e-40)])
def test_data_out_of_range_are_refused(dtype: str, size: float) -> None:
    b = np.full(3, size, dtype)
    with pytest.raises(ValueError, match=f"^b has entries of at most .* out of the range of {dtype}; expected data in"):
        ip.lsqr(np.diag([1.0, 2.0, 3.0]).astype(dtype), b)
