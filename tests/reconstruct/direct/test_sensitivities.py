"""Estimated coil sensitivities against the true ones, and what they are worth for SENSE."""

from __future__ import annotations

import numpy as np
import pytest

import ipbox as ip
from ipbox.operators import FourierTransform
from ipbox.problems.measuring.coils import simulate_sensitivities
from ipbox.problems.truths.brains import brain_slice
from ipbox.problems.truths.heads import smooth_phase
from ipbox.reconstruct.direct.sensitivities import consistency_kernel
from tests.contracts.support import host

N, COILS = 96, 6


@pytest.fixture(scope="module")
def head() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A head with a phase, its coils, and full k-space."""
    u = brain_slice(11, N)
    u = u * np.exp(1j * smooth_phase(u.shape))
    S = simulate_sensitivities(COILS, (N, N), dtype="complex128")
    return u, S, FourierTransform((N, N), "complex128").apply(S * u)


def alignment(E: np.ndarray, S: np.ndarray) -> np.ndarray:
    """|Σ_c conj(E_c) S_c|: 1 where two normalised maps agree up to a phase."""
    return abs((E.conj() * S).sum(axis=0))


@pytest.mark.parametrize(("method", "worst", "mean"), [("espirit", 0.996, 0.9999), ("low-resolution", 0.95, 0.998)])
@pytest.mark.parametrize("name", ["complex64", "complex128"])
def test_estimates_agree_with_the_true_maps(head, method: str, worst: float, mean: float, name: str, xp) -> None:
    u, S, k = head
    kspace = xp.asarray(k.astype(name))
    before = host(kspace).tobytes()
    E = ip.estimate_sensitivities(kspace, method=method)
    assert isinstance(E, xp.ndarray) and E.dtype == name and E.shape == S.shape
    assert host(kspace).tobytes() == before
    inside = abs(u) > 0.1
    agreement = alignment(host(E), S)
    assert agreement[inside].min() > worst and agreement[inside].mean() > mean
    norms = np.linalg.norm(host(E), axis=0)
    np.testing.assert_allclose(norms[norms > 0], 1, atol=1e-5)


def test_espirit_crops_the_background_and_keeps_the_head(head) -> None:
    u, _, k = head
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(k.shape) + 1j * rng.standard_normal(k.shape)
    E = ip.estimate_sensitivities(k + 0.002 * abs(k).max() * noise / 10)
    support = abs(E).any(axis=0)
    assert support[abs(u) > 0.1].all() and not support[:6, :6].any()
    assert ip.estimate_sensitivities(k, crop=0.0).all()


def test_maps_are_smooth_up_to_the_phase(head) -> None:
    """The phase that is fixed by the strongest combination of the coils has no jumps inside the head."""
    u, _, k = head
    E = ip.estimate_sensitivities(k)
    inside = abs(u) > 0.1
    for axis in (1, 2):
        both = np.logical_and(*np.split(np.stack([inside, np.roll(inside, -1, axis - 1)]), 2)).squeeze()
        assert abs(np.roll(E, -1, axis) - E)[:, both].max() < 0.15


def test_the_data_are_in_the_kernels_null_space_of_one(rng: np.random.Generator) -> None:
    """The kernel reproduces the calibration data from their neighbours, at every point with all neighbours."""
    S = simulate_sensitivities(4, (64, 64), dtype="complex128")
    y = FourierTransform((64, 64), "complex128").apply(S * brain_slice(11, 64))[:, 20:44, 20:44]
    W = consistency_kernel(y, 5, 0.01)
    again = sum(
        np.einsum("cd,dij->cij", W[:, :, a, b], y[:, a : a + 16, b : b + 16]) for a in range(9) for b in range(9)
    )
    np.testing.assert_allclose(again, y[:, 4:20, 4:20], atol=2e-3 * abs(y).max())


@pytest.mark.parametrize("mask", ["variable-density", "variable-density-points", "poisson-disc"])
def test_sense_with_estimated_maps_is_within_a_decibel(mask: str) -> None:
    A, b, x, _ = ip.problem("mri", size=128, coils=8, mask=mask, acceleration=3, phase=True, calibration=20)
    true = ip.psnr(abs(ip.sense(A, b)[0]), abs(x))
    for method, loss in (("espirit", 1), ("low-resolution", 2)):
        S = ip.estimate_sensitivities(b, 20, method)
        estimated = ip.psnr(abs(ip.sense(ip.CartesianMRI(A.mask, S), b)[0]), abs(x))
        assert estimated > true - loss


def test_odd_sizes_and_small_blocks(monkeypatch) -> None:
    """Rows are worked off in blocks: however many, the maps are the same."""
    u, S = brain_slice(9, 64)[3:, :57], simulate_sensitivities(3, (61, 57), dtype="complex128")
    k = FourierTransform((61, 57), "complex128").apply(S * u)
    E = ip.estimate_sensitivities(k, 21, kernel=5, threshold=0.001)
    assert alignment(E, S)[u > 0.15].min() > 0.99
    monkeypatch.setattr("ipbox.reconstruct.direct.sensitivities.BLOCK", 9 * 57 * 4)
    np.testing.assert_allclose(ip.estimate_sensitivities(k, 21, kernel=5, threshold=0.001), E, atol=1e-10)


def test_less_truncation_comes_nearer_to_the_true_maps(head) -> None:
    u, S, k = head
    errors = [1 - alignment(ip.estimate_sensitivities(k, threshold=t), S)[abs(u) > 0.1].min() for t in (0.02, 0.001)]
    assert errors[1] < errors[0] / 3


def test_one_coil_is_one_everywhere_it_sees() -> None:
    k = FourierTransform((32, 32), "complex128").apply(np.ones((1, 32, 32), complex))
    k += 1e-9  # a point in k-space is no patch of data
    E = ip.estimate_sensitivities(k, 12, crop=0.0)
    np.testing.assert_allclose(E, 1, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"kspace": np.ones((2, 8, 8))}, TypeError, "kspace has dtype float64"),
        ({"kspace": np.ones((8, 8), complex)}, ValueError, r"kspace has shape \(8, 8\)"),
        ({"kspace": np.ones((0, 8, 8), complex)}, ValueError, r"kspace has shape \(0, 8, 8\)"),
        ({"kspace": np.full((2, 8, 8), np.nan + 0j)}, ValueError, "kspace has NaN"),
        ({"kspace": [1j]}, TypeError, "kspace is list"),
        ({"calibration": 9}, ValueError, "calibration is 9; expected an integer from 1 to 8"),
        ({"calibration": 4.0}, ValueError, "calibration is 4.0"),
        ({"kernel": 7}, ValueError, "kernel is 7; expected an integer from 1 to 6"),
        ({"method": "magic"}, ValueError, "method is 'magic'"),
        ({"threshold": 0.0}, ValueError, "threshold is 0.0"),
        ({"crop": 1.0}, ValueError, "crop is 1.0"),
        ({"crop": "tight"}, ValueError, "crop is 'tight'"),
    ],
)
def test_bad_input(change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ip.estimate_sensitivities(**{"kspace": np.ones((2, 8, 8), complex), "calibration": 6} | change)


def test_a_calibration_region_that_is_not_sampled() -> None:
    _, b, _, _ = ip.problem("mri", size=64, coils=4, acceleration=4, calibration=8)
    with pytest.raises(ValueError, match="kspace has zeros for every coil at .* of the 24x24 points"):
        ip.estimate_sensitivities(b)
    with pytest.raises(ValueError, match="at 64 of the 8x8 points"):
        ip.estimate_sensitivities(0 * b, 8)


@pytest.mark.parametrize("method", ["espirit", "low-resolution"])
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_the_data_does_not_matter(method: str, scale: float) -> None:
    _, b, _, _ = ip.problem("mri", size=64, coils=4, acceleration=2, calibration=16)
    S = ip.estimate_sensitivities(b, 16, method)
    np.testing.assert_allclose(ip.estimate_sensitivities(b * np.float32(scale), 16, method), S, atol=1e-4)
