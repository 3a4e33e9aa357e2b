"""``niter=[1, 5, 10]``: the iterates with these numbers, as runs that end there have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ipbox as ip

RNG = np.random.default_rng(4)
M = np.abs(RNG.standard_normal((30, 20))) + np.resize(np.eye(20), (30, 20))
B = M @ RNG.random(20) + RNG.random(30)
METHODS = [ip.landweber, ip.cgls, ip.lsqr, ip.sirt, ip.kaczmarz, ip.cimmino, ip.mlem, ip.hybrid_lsqr]


@pytest.mark.parametrize("f", METHODS)
@pytest.mark.parametrize("given", [[1, 4, 9], (9, 4, 1, 4), range(1, 10), np.array([1, 4, 9])], ids=str)
def test_iterates_are_those_of_shorter_runs(f: Any, given: Any) -> None:
    options: dict[str, Any] = dict(lam=0.1, tol=0) if f is ip.hybrid_lsqr else {}
    x, run = f(M, B, niter=given, **options)
    assert run.niter == 9 and list(run.extra["iterates"]) == sorted({int(k) for k in given})
    for k in (1, 4, 9):
        np.testing.assert_array_equal(run.extra["iterates"][k], f(M, B, niter=k, **options)[0])
    np.testing.assert_array_equal(run.extra["iterates"][9], x)


def test_a_run_that_stops_early_keeps_what_it_reached() -> None:
    residuals = [float(np.linalg.norm(M @ ip.cgls(M, B, niter=k)[0] - B)) for k in (3, 4)]
    _, run = ip.cgls(M, B, noise_level=sum(residuals) / 2, safety=1.0, niter=[2, 4, 9])
    assert run.stop == "discrepancy" and list(run.extra["iterates"]) == [2, 4]


def test_a_resumed_run_has_the_iterates_of_both(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    ip.landweber(M, B, niter=[2, 5, 9], callbacks=[ip.callbacks.Checkpoint(path, every=1)], stop=ip.stop.niter(6))
    _, run = ip.landweber(M, B, niter=[2, 5, 9], state=path)
    _, whole = ip.landweber(M, B, niter=[2, 5, 9])
    for k in (2, 5, 9):
        np.testing.assert_array_equal(run.extra["iterates"][k], whole.extra["iterates"][k])


@pytest.mark.parametrize(
    "options, match",
    [
        (dict(niter=[]), r"niter is \[\]; expected a number of iterations, or positive ones to keep"),
        (dict(niter=[0, 3]), r"niter is \[0, 3\]; expected"),
        (dict(niter=[1.5]), r"niter is \[1.5\]; expected"),
        (dict(niter=np.eye(2)), "niter is array|niter is of type|niter is an array"),
        (dict(niter=[2], b=np.stack([B, B])), "and b has a batch axis; expected one number, or one set of data"),
        (
            dict(noise_level=[1, 5, 10]),
            r"noise_level is \[1, 5, 10\]; expected a number, or niter= for iterates to keep",
        ),
    ],
)
def test_refusals(options: dict, match: str) -> None:
    b = options.pop("b", B)
    with pytest.raises(ValueError, match=match):
        ip.cgls(M, b, **options)
