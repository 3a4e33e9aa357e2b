"""With a known truth the history has the errors of each iterate; bounds on u in the iterative functions."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip

RNG = np.random.default_rng(4)
MATRIX = RNG.uniform(0, 1, (30, 12))
TRUTH = RNG.uniform(0, 2, 12)
DATA = MATRIX @ TRUTH + 0.05 * RNG.standard_normal(30)
ITERATIVE = [
    ip.landweber, ip.cgls, ip.lsqr, ip.hybrid_lsqr, ip.sirt, ip.kaczmarz, ip.cimmino, ip.mlem, ip.osem,
    functools.partial(ip.bregman, regulariser="l1"), functools.partial(ip.linearised_bregman, regulariser="l1"),
    functools.partial(ip.tv, lam=0.1, shape=(12,)), functools.partial(ip.tikhonov, lam=0.1),
    functools.partial(ip.wavelet, lam=0.1, shape=(12,)),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*was ended by niter:RuntimeWarning")
@pytest.mark.parametrize("call", ITERATIVE, ids=lambda f: getattr(f, "func", f).__name__)
def test_with_the_truth_the_history_has_the_errors_of_each_iterate(call: Any) -> None:
    iterates: list[np.ndarray] = []
    x, info = call(MATRIX, DATA, niter=6, x_true=TRUTH, callbacks=[lambda run: iterates.append(run.x.copy())])
    history = info.history
    assert history["k"].tolist() == list(range(info.niter + 1)) and info.niter > 0
    np.testing.assert_allclose(history["nrmse"], [ip.nrmse(u, TRUTH) for u in iterates])
    np.testing.assert_allclose(history["psnr"], [ip.psnr(u, TRUTH) for u in iterates])


def test_a_rule_for_the_weight_takes_the_truth_for_its_curve_too() -> None:
    _, info = ip.tikhonov(MATRIX, DATA, "l_curve", x_true=TRUTH)
    choice = info.extra["choice"]
    assert np.isfinite(choice.curve["psnr"]).all() and np.isclose(info.history["psnr"][-1], ip.psnr(info.x, TRUTH))


@pytest.mark.parametrize("call", [ip.landweber, ip.sirt, ip.kaczmarz, ip.cimmino], ids=lambda f: f.__name__)
def test_bounds_are_kept_and_change_the_limit_to_the_constrained_one(call: Any, xp: ModuleType) -> None:
    A, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([3.0, -1.0])  # A⁻¹b = (2, -2); with u >= 0 another
    A, b = xp.asarray(A), xp.asarray(b)
    x, info = call(A, b, niter=400, nonneg=True)
    y, _ = call(A, b, niter=400, box=(-1.0, 1.5))
    assert float(x.min()) >= 0 and float(y.min()) >= -1 and float(y.max()) <= 1.5
    assert isinstance(x, xp.ndarray) and x.dtype == b.dtype
    if call is ip.landweber:  # of least squares; the others weigh the rows
        from scipy.optimize import lsq_linear

        host = ip.backend.to_host
        for u, bounds in ((x, (0, np.inf)), (y, (-1, 1.5))):
            np.testing.assert_allclose(host(u), lsq_linear(host(A), host(b), bounds).x, atol=1e-8)


@pytest.mark.parametrize("call", [ip.landweber, ip.sirt, ip.kaczmarz, ip.cimmino], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(nonneg=True, box=(0, 1)), "nonneg and box are both given"),
        (dict(box=3), "box is 3; expected"),
        (dict(box=(2, 1)), "lo is 2 and hi is 1"),
        (dict(nonneg="no"), "nonneg is 'no'; expected True or False"),
    ],
)
def test_bounds_of_no_use_are_refused(call: Any, bad: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message.replace("(", r"\(")):
        call(MATRIX, DATA, **bad)
