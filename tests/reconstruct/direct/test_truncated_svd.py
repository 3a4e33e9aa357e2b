"""Truncated SVD against NumPy's, its rules against their definitions, and the Picard plot."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from tests.contracts.support import host

RNG = np.random.default_rng(6)
TALL = RNG.standard_normal((12, 7))
MATRICES = {
    "tall": TALL,
    "wide": TALL.T.copy(),
    "complex": RNG.standard_normal((9, 6)) + 1j * RNG.standard_normal((9, 6)),
}


def truncated(M: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    U, s, Vh = np.linalg.svd(M)
    return sum(np.vdot(U[:, i], b) / s[i] * Vh[i].conj() for i in range(k))


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("k", [1, 3, 6])
def test_agrees_with_the_sum_over_singular_vectors(name: str, k: int, xp: ModuleType) -> None:
    M = MATRICES[name]
    b = RNG.standard_normal(len(M)).astype(M.dtype)
    x, info = ip.tsvd(xp.asarray(M), xp.asarray(b), k)
    assert isinstance(x, xp.ndarray) and x.dtype == M.dtype and info.method == "tsvd"
    np.testing.assert_allclose(host(x), truncated(M, b, k), atol=1e-12)
    told, sigma = info.parameters, np.linalg.svd(M, compute_uv=False)
    assert told["k"] == k and told["rank"] == np.linalg.matrix_rank(M)
    assert told["condition"] == pytest.approx(sigma[0] / sigma[k - 1])
    assert told["residual"] == pytest.approx(np.linalg.norm(M @ host(x) - b))


def test_with_all_singular_values_it_is_the_pseudo_inverse() -> None:
    b = RNG.standard_normal((3, 12))  # a batch
    np.testing.assert_allclose(ip.tsvd(TALL, b, 7)[0], ip.pseudo_inverse(TALL, b)[0], atol=1e-12)


def test_images_and_single_precision() -> None:
    A = ip.GaussianBlur((12, 10), 0.8, "reflective", dtype="float32")
    b = RNG.standard_normal((12, 10)).astype("float32")
    x, _ = ip.tsvd(A, b, 80)
    M = np.stack([A.apply(e.reshape(12, 10)).ravel() for e in np.eye(120, dtype="float32")], axis=1)
    assert x.dtype == np.float32 and x.shape == (12, 10)
    np.testing.assert_allclose(x.ravel(), truncated(M.astype(float), b.ravel().astype(float), 80), atol=1e-4)
    assert ip.tsvd(TALL[:, :6], np.ones(12), 2, shape=(2, 3))[0].shape == (2, 3)


@pytest.mark.parametrize("name", ["shaw", "deriv2", "gravity", "heat", "phillips"])
def test_rules_by_their_definition(name: str) -> None:
    A, b, _, info = ip.problem(name, size=48, noise=0.02, seed=4)
    M, rank = A.matrix, ip.tsvd(A, b, 1)[1].parameters["rank"]
    residuals = np.array([np.linalg.norm(M @ truncated(M, b, k) - b) for k in range(1, rank + 1)])
    k = ip.tsvd(A, b, "discrepancy", info.noise_level)[1].parameters["k"]
    assert k == 1 + np.argmax(residuals <= info.noise_level)
    allowed = np.arange(1, min(rank, int(0.8 * 48)) + 1)
    k = ip.tsvd(A, b, "gcv")[1].parameters["k"]
    assert k == allowed[np.argmin(residuals[allowed - 1] ** 2 / (48 - allowed) ** 2)]


@pytest.mark.parametrize("name", ["shaw", "gravity", "heat", "phillips"])
def test_rules_are_near_the_best(name: str) -> None:
    for seed in range(3):
        A, b, x_true, info = ip.problem(name, noise=0.01, seed=seed)
        errors = [ip.nrmse(ip.tsvd(A, b, k)[0], x_true) for k in range(1, 30 if name == "heat" else 12)]
        for found in (ip.tsvd(A, b, "discrepancy", info.noise_level), ip.tsvd(A, b, "gcv")):
            assert ip.nrmse(found[0], x_true) < 4 * min(errors)


def test_picard() -> None:
    M = MATRICES["tall"]
    U, s, _ = np.linalg.svd(M, full_matrices=False)
    b = RNG.standard_normal(12)
    found = ip.picard(M, b, 0.3)
    np.testing.assert_allclose(found.singular_values, s)
    np.testing.assert_allclose(found.coefficients, abs(U.T @ b))
    np.testing.assert_allclose(found.ratios, abs(U.T @ b) / s)
    assert found.sigma == pytest.approx(0.3 / np.sqrt(12)) and ip.picard(M, b).sigma is None
    assert np.isinf(ip.picard(np.diag([1.0, 0.0]), np.ones(2)).ratios[1])


def test_coefficients_level_off_at_the_noise() -> None:
    A, b, _, info = ip.problem("shaw", noise=0.01)
    found = ip.picard(A, b, info.noise_level)
    beyond = found.coefficients[12:]
    assert np.sqrt(np.mean(beyond**2)) == pytest.approx(found.sigma, rel=0.25)
    clean = ip.picard(A, A.apply(ip.problem("shaw")[2])).ratios[:12]
    assert clean.max() < 10 and found.ratios[12:20].max() > 1e3


def test_picard_plot(tmp_path: Path) -> None:
    A, b, _, info = ip.problem("gravity", size=24)
    figure = ip.picard(A, b, info.noise_level).plot(tmp_path / "picard.png")
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(texts) == 4 and texts[-1].startswith("noise, σ = ") and (tmp_path / "picard.png").stat().st_size > 10_000


ONES = np.ones(12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ip.tsvd(TALL, ONES, 8), "k is 8; expected an integer from 1 to 7, the rank of A"),
        (lambda: ip.tsvd(TALL, ONES, 0), "k is 0; expected an integer from 1 to 7"),
        (lambda: ip.tsvd(TALL, ONES, 2.0), "k is 2.0; expected a positive integer, 'discrepancy' or 'gcv'"),
        (lambda: ip.tsvd(TALL, ONES, True), "k is True; expected"),
        (lambda: ip.tsvd(TALL, ONES, "l_curve"), "k is 'l_curve'; expected"),
        (lambda: ip.tsvd(TALL, ONES, "discrepancy"), "noise_level is None; the discrepancy principle expects"),
        (lambda: ip.tsvd(TALL, ONES, "discrepancy", 100.0), "noise_level is 100, and .* expected one between them"),
        (lambda: ip.tsvd(TALL, ONES, "discrepancy", 1e-3), "noise_level is 0.001, and .* expected one between them"),
        (lambda: ip.tsvd(TALL, np.ones((2, 12)), "gcv"), "a rule for k takes one set of data"),
        (lambda: ip.tsvd(TALL, np.ones(7), 1), "b has shape"),
        (lambda: ip.tsvd(TALL * np.nan, ONES, 1), "NaN or infinite"),
        (lambda: ip.tsvd(ip.Identity((100, 100)), np.ones((100, 100), "float32"), 1), "at most 2.26"),
        (lambda: ip.picard(TALL, np.ones((2, 12))), "picard takes one set of data"),
        (lambda: ip.picard(TALL, ONES, -1.0), "noise_level is -1.0"),
    ],
)
def test_what_is_of_no_use_is_refused(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
