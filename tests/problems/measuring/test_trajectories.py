"""Trajectories and density compensation: geometry, areas, quadrature, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ipbox.operators import NonCartesianMRI
from ipbox.operators.mri.density import density_compensation, pipe_menon_density, radial_density
from ipbox.problems.measuring.trajectories import GOLDEN_ANGLE, radial_trajectory, spiral_trajectory

N = 48
DIMS = (N, N)
FULL = math.ceil(0.5 * math.pi * N)  # spokes


def blob(dims: tuple[int, int] = DIMS) -> np.ndarray:
    """Gaussians well inside the image, with nothing beyond the band."""
    y, x = ((np.mgrid[: dims[0], : dims[1]].T - np.array(dims) // 2) / np.array(dims)).T
    gaussians = ((1.0, 0.05, -0.1, 0.12), (0.5, -0.15, 0.1, 0.06), (-0.4, 0.1, 0.12, 0.06))
    return sum(a * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s**2)) for a, cx, cy, s in gaussians) + 0j


def gridding_error(k: np.ndarray, w: np.ndarray, u: np.ndarray) -> float:
    """‖A* diag(w) A u - u‖ / ‖u‖."""
    A = NonCartesianMRI(u.shape, k, dtype="complex128")
    return float(np.linalg.norm(A.apply_adjoint(w * A.apply(u)) - u) / np.linalg.norm(u))


# ---------------------------------------------------------------- trajectories


def test_radial_spokes_are_diameters_at_equal_angles() -> None:
    k = radial_trajectory(6, 16, DIMS)
    np.testing.assert_array_equal(k[:, 8], 0)
    radii = np.hypot(k[..., 0], k[..., 1])
    np.testing.assert_allclose(radii, np.broadcast_to(np.abs(np.arange(16) - 8) * N / 16, radii.shape), atol=1e-12)
    angles = np.arctan2(k[:, -1, 0], k[:, -1, 1])
    np.testing.assert_allclose(angles, np.arange(6) * math.pi / 6, atol=1e-12)


def test_golden_angle() -> None:
    k = radial_trajectory(9, 8, DIMS, golden_angle=True)
    angles = np.arctan2(k[:, -1, 0], k[:, -1, 1])
    np.testing.assert_allclose(np.mod(np.diff(angles), 2 * math.pi), GOLDEN_ANGLE, atol=1e-12)
    assert abs(math.degrees(GOLDEN_ANGLE) - 111.246) < 1e-3


def test_a_rectangle_has_one_resolution_in_both_directions() -> None:
    k = radial_trajectory(7, 9, (20, 30))
    cycles_per_pixel = np.hypot(k[..., 0] / 20, k[..., 1] / 30)
    np.testing.assert_allclose(cycles_per_pixel, np.broadcast_to(np.abs(np.arange(9) - 4) / 9, (7, 9)), atol=1e-12)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_spiral(power: float) -> None:
    turns, interleaves = 3.0, 4
    k = spiral_trajectory(interleaves, 400, DIMS, turns=turns, power=power)
    kappa = (k[..., 1] + 1j * k[..., 0]) / N
    np.testing.assert_allclose(kappa, kappa[0] * np.exp(2j * np.pi * np.arange(interleaves) / interleaves)[:, None])
    steps = np.abs(np.diff(kappa[0]))
    assert steps.max() < 1.01 * steps[5:].min()  # constant speed; chords are shorter than arcs near the centre
    phi = np.unwrap(np.angle(kappa[0, 1:]))
    phi += 2 * math.pi * round((2 * math.pi * turns - phi[-1]) / (2 * math.pi))
    np.testing.assert_allclose(np.abs(kappa[0, 1:]), 0.5 * (phi / (2 * math.pi * turns)) ** power, atol=1e-4)


def test_spiral_by_default_has_no_gap_beyond_one_cycle() -> None:
    k = spiral_trajectory(4, 3000, DIMS)
    on_axis = np.sort(k[(np.abs(k[..., 0]) < 0.1) & (k[..., 1] >= 0)][:, 1])
    gaps = np.diff(on_axis)
    assert 0.9 < gaps.max() < 1.1
    assert abs(on_axis[-1] - N / 2) < 0.1


# ---------------------------------------------------------------- density compensation


def test_ring_sectors_fill_the_disc() -> None:
    for golden in (False, True):
        w = radial_density(radial_trajectory(31, 2 * N, DIMS, golden), DIMS)
        disc = math.pi * (N / 2) ** 2
        assert abs(w.sum() / disc - 1) < 1e-3


def test_interior_weights_are_radius_times_spacings() -> None:
    k = radial_trajectory(10, 2 * N, DIMS)
    w = radial_density(k, DIMS)
    radius = np.hypot(k[..., 0], k[..., 1])
    away = radius > 0
    np.testing.assert_allclose(w[away], (radius * 0.5 * math.pi / 10)[away], rtol=1e-12)
    np.testing.assert_allclose(w[~away], 2 / 3 * math.pi * 0.25**2 / 10, rtol=1e-12)


def test_a_fully_sampled_radial_trajectory_grids_to_half_a_per_cent() -> None:
    for golden, spokes in ((False, FULL), (True, math.ceil(1.4 * FULL))):
        k = radial_trajectory(spokes, 2 * N, DIMS, golden)
        assert gridding_error(k, radial_density(k, DIMS), blob()) < 5e-3
        assert gridding_error(k, pipe_menon_density(k, DIMS), blob()) < 2e-3


def test_weight_at_the_centre_is_that_of_euler_and_maclaurin() -> None:
    k = radial_trajectory(FULL, 4 * N, DIMS)
    w, centre = radial_density(k, DIMS), 2 * N
    right = gridding_error(k, w, blob())
    assert right < 4e-4
    for factor in (0.0, 0.5, 1.5, 3.0):
        other = w.copy()
        other[:, centre] *= factor
        assert gridding_error(k, other, blob()) > 3 * right


def test_other_spokes() -> None:
    theta, r = np.arange(FULL) * math.pi / FULL, (np.arange(2 * N) - N + 0.5) / 2
    shifted = np.stack([np.outer(np.sin(theta), r), np.outer(np.cos(theta), r)], axis=-1)
    assert gridding_error(shifted, radial_density(shifted, DIMS), blob()) < 1e-2
    theta, r = np.arange(2 * FULL) * math.pi / FULL, np.arange(N) / 2
    outwards = np.stack([np.outer(np.sin(theta), r), np.outer(np.cos(theta), r)], axis=-1)
    assert gridding_error(outwards, radial_density(outwards, DIMS), blob()) < 5e-3


def test_spokes_measured_twice_count_half() -> None:
    k = radial_trajectory(FULL, 2 * N, DIMS)
    w, twice = radial_density(k, DIMS), radial_density(np.concatenate([k, k]), DIMS)
    np.testing.assert_allclose(twice[:FULL] + twice[FULL:], w, rtol=1e-9)


def test_rectangle() -> None:
    dims = (40, 56)
    k = radial_trajectory(math.ceil(0.5 * math.pi * 56), 112, dims)
    assert gridding_error(k, radial_density(k, dims), blob(dims)) < 5e-3
    assert gridding_error(k, pipe_menon_density(k, dims), blob(dims)) < 2e-3


@pytest.mark.parametrize("power", [1.0, 1.5])
def test_spirals_grid_to_a_per_cent(power: float) -> None:
    k = spiral_trajectory(8, math.ceil(0.5 * math.pi * N**2 / 8), DIMS, turns=0.75 * N / 8, power=power)
    assert gridding_error(k, density_compensation(k, DIMS), blob()) < 1e-2


def test_pipe_and_menon_on_the_cartesian_grid() -> None:
    grid = np.stack(np.mgrid[-4:5, -3:3], axis=-1)
    np.testing.assert_allclose(pipe_menon_density(grid, (9, 6), niter=1, eps=1e-12), 1, atol=1e-10)
    w = pipe_menon_density(np.concatenate([grid, grid]), (9, 6), niter=1, eps=1e-12)
    np.testing.assert_allclose(w, 0.5, atol=1e-10)


def test_pipe_and_menon_is_a_fixed_point_with_its_kernel() -> None:
    """K * w, summed directly, is 1 at the samples after enough iterations."""
    k = np.random.default_rng(0).uniform(-4, 4, (40, 2))
    w = pipe_menon_density(k, (9, 9), niter=300, eps=1e-12)
    d = k[:, None] - k
    with np.errstate(invalid="ignore"):
        K = np.where(d == 0, 1.0, (np.sin(np.pi * d) / (9 * np.sin(np.pi * d / 9))) ** 2).prod(axis=-1)
    assert w.min() > 0
    np.testing.assert_allclose(np.median(K @ w), 1, atol=1e-3)


def test_density_compensation_picks() -> None:
    k = radial_trajectory(9, 20, DIMS)
    np.testing.assert_array_equal(density_compensation(k, DIMS), radial_density(k, DIMS))
    np.testing.assert_array_equal(density_compensation(k.astype("float32"), DIMS).shape, (9, 20))
    k = spiral_trajectory(3, 50, DIMS)
    np.testing.assert_array_equal(density_compensation(k, DIMS), pipe_menon_density(k, DIMS))


# ---------------------------------------------------------------- bad input


def test_bad_trajectories_are_refused() -> None:
    for bad in (0, -1, 2.5, "4"):
        with pytest.raises(ValueError, match="^spokes is .*expected a positive integer"):
            radial_trajectory(bad, 8, DIMS)
        with pytest.raises(ValueError, match="^readout is .*expected a positive integer"):
            radial_trajectory(8, bad, DIMS)
        with pytest.raises(ValueError, match="^interleaves is .*expected a positive integer"):
            spiral_trajectory(bad, 8, DIMS)
        with pytest.raises(ValueError, match="^samples is .*expected a positive integer"):
            spiral_trajectory(8, bad, DIMS)
    for bad in (0, -1.0, math.nan, math.inf, "1"):
        with pytest.raises(ValueError, match="^turns is .*expected a positive number"):
            spiral_trajectory(8, 8, DIMS, turns=bad)
        with pytest.raises(ValueError, match="^power is .*expected a positive number"):
            spiral_trajectory(8, 8, DIMS, power=bad)
    for function in (radial_trajectory, spiral_trajectory):
        with pytest.raises(ValueError, match=r"^shape is \(8,\); expected \(ny, nx\)"):
            function(4, 8, 8)
        with pytest.raises(ValueError, match="^shape is .*expected positive integers"):
            function(4, 8, (8, 0))


def test_bad_densities_are_refused() -> None:
    spiral = spiral_trajectory(3, 50, DIMS)
    with pytest.raises(ValueError, match="^trajectory has samples off straight lines"):
        radial_density(spiral, DIMS)
    with pytest.raises(ValueError, match="^trajectory has samples off straight lines"):
        radial_density(np.zeros((3, 4, 2)), DIMS)
    with pytest.raises(ValueError, match="^niter is 0; expected a positive integer"):
        pipe_menon_density(spiral, DIMS, niter=0)
    for function in (radial_density, pipe_menon_density, density_compensation):
        with pytest.raises(ValueError, match="^trajectory reaches 24 along axis 0; .* at most 10 for 20 pixels"):
            function(radial_trajectory(4, 8, DIMS)[:, ::-1][..., ::-1] * [1, 0.1], (20, 20))
