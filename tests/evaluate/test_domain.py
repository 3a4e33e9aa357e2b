"""Whether data are told from those of training: another scale, more noise, an object that leaves the field."""

from __future__ import annotations

import numpy as np
import pytest

import ipbox as ip
from ipbox.evaluate import DomainStatistics, check_domain, domain_statistics
from ipbox.problems.measuring.noise import gaussian


def problem(k: int) -> tuple:
    return ip.problem("ct", size=32, views=16, noise=0.01, slice=k, seed=k)


A, B, X, _ = problem(30)


def phi(b: np.ndarray) -> np.ndarray:
    return ip.fbp(A, b)[0]


@pytest.fixture(scope="module")
def training() -> DomainStatistics:
    return domain_statistics(phi, [problem(k) for k in range(20, 44, 4)])


@pytest.mark.parametrize("k", [22, 30, 38])
def test_other_slices_of_the_same_kind_are_inside(training: DomainStatistics, k: int) -> None:
    found = check_domain(phi, A, problem(k)[1], training)
    assert found.inside and found.score <= 5
    r = A.apply(phi(problem(k)[1])) - problem(k)[1]
    assert found.consistency == pytest.approx(np.linalg.norm(r) / np.linalg.norm(problem(k)[1]), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "feature"),
    [
        (lambda: 3 * B, "scale"),
        (lambda: gaussian(B, 0.2)[0], "noise"),
        (lambda: A.apply(np.kron(X[12:20, 12:20], np.ones((4, 4), "f4")) + X.max() / 2), "edge"),
        (lambda: A.apply(np.where(np.indices(X.shape).sum(0) == 31, X.max(), 0).astype("f4")), "fill"),
    ],
)
def test_what_is_not_of_the_kind_is_told(training: DomainStatistics, change: object, feature: str) -> None:
    found = check_domain(phi, A, change(), training)
    assert not found.inside and found.deviations[feature] > 3


def test_bad_input(training: DomainStatistics) -> None:
    with pytest.raises(ValueError, match="b vanishes"):
        check_domain(phi, A, 0 * B, training)
    with pytest.raises(ValueError, match="problems has 1; expected at least 3"):
        domain_statistics(phi, [problem(20)])
