"""Sampling masks: acceleration, calibration region, density, distances, seeds."""

from __future__ import annotations

import numpy as np
import pytest

from ipbox.problems.measuring.kspace import centre, radii
from ipbox.problems.measuring.kspace_masks import (
    fastmri_mask,
    mask_from_weights,
    poisson_disc_mask,
    uniform_mask,
    variable_density_mask,
)

MAKERS = {
    "uniform": uniform_mask,
    "lines": variable_density_mask,
    "points": lambda *args, **kw: variable_density_mask(*args, kind="points", **kw),
    "poisson-disc": poisson_disc_mask,
}
SEEDED = {name: make for name, make in MAKERS.items() if name != "uniform"}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("shape", [(64, 48), (51, 61)])
@pytest.mark.parametrize("acceleration", [1, 2, 3.3, 4, 6])
def test_acceleration_and_calibration(name: str, shape: tuple[int, int], acceleration: float) -> None:
    mask = MAKERS[name](shape, acceleration, 6)
    assert mask.shape == shape and mask.dtype == bool
    grid = mask.size if name in ("points", "poisson-disc") else shape[1]  # lines are counted whole
    assert abs(mask.mean() * grid - grid / acceleration) <= 0.5
    if acceleration <= 4:
        assert mask.size / mask.sum() == pytest.approx(acceleration, rel=0.05)
    lines = (slice(None), *centre(shape[1:], 6))
    assert mask[lines if name in ("uniform", "lines") else centre(shape, 6)].all()
    if name in ("uniform", "lines"):
        assert (mask == mask[0]).all()


@pytest.mark.parametrize("name", SEEDED)
def test_seeds(name: str) -> None:
    masks = [SEEDED[name]((48, 64), 4, 8, seed=seed) for seed in (1, 1, 2)]
    assert np.array_equal(masks[0], masks[1]) and not np.array_equal(masks[0], masks[2])


def test_the_middle_is_zero_frequency() -> None:
    assert centre((8, 9), 3) == (slice(3, 6), slice(3, 6)) and centre((8, 9), 4) == (slice(2, 6), slice(2, 6))
    assert radii((8, 9))[4, 4] == 0 and radii((8, 9))[0, 4] == 1


def test_uniform_lines_are_equally_spaced() -> None:
    assert np.array_equal(np.flatnonzero(uniform_mask((1, 32), 4)[0]), np.arange(0, 32, 4))
    assert np.array_equal(np.flatnonzero(uniform_mask((1, 32), 4, offset=0.5)[0]), np.arange(2, 32, 4))
    lines = np.flatnonzero(uniform_mask((1, 320), 4, 24)[0])
    gaps = np.diff(lines)[~np.isin(lines[:-1], np.arange(147, 173))]
    assert set(gaps[:10]) <= {5, 6}


def test_density_falls_off_from_the_middle() -> None:
    shape = (128, 128)
    r = radii(shape)
    counts = (
        sum(variable_density_mask(shape, 8, power=2.0, kind="points", seed=s).astype(float) for s in range(20)) / 20
    )
    rings = [counts[(r >= a) & (r < a + 0.2)].mean() for a in (0.0, 0.4, 0.8, 1.2)]
    assert rings[0] > 1.5 * rings[1] > 2 * rings[2] > 4 * rings[3]
    flat = sum(variable_density_mask(shape, 8, power=0.0, kind="points", seed=s).astype(float) for s in range(20)) / 20
    assert flat[r < 0.5].mean() == pytest.approx(1 / 8, rel=0.05)


@pytest.mark.parametrize("slope", [0.0, 1.0, 3.0])
def test_poisson_disc_points_keep_their_distance(slope: float) -> None:
    """The smallest distance of two points, in units of 1 + slope |k| of the inner one, and that random ones cluster."""
    from scipy.spatial import cKDTree

    def least(mask: np.ndarray) -> float:
        points = np.argwhere(mask)
        r = (1 + slope * radii(mask.shape))[mask]
        distance, neighbour = cKDTree(points).query(points, k=2)
        return float((distance[:, 1] / np.minimum(r, r[neighbour[:, 1]])).min())

    disc = poisson_disc_mask((96, 96), 9, slope=slope)
    random = variable_density_mask((96, 96), 9, power=0, kind="points")
    assert least(disc) * (1 + slope * 0.77) > 0.6 * 3  # about the mean spacing √9 at the mean radius
    assert least(random) * (1 + slope * 0.77) < 2


def test_fastmri_masks() -> None:
    for acceleration, centre_lines in ((4, 26), (8, 13)):
        for kind in ("random", "equispaced"):
            mask = fastmri_mask((2, 320), acceleration, kind=kind, seed=3)
            assert mask[0].sum() == 320 // acceleration
            assert mask[0][160 - centre_lines // 2 :][:centre_lines].all()
    assert fastmri_mask((2, 320), 4, centre=0.0)[0].sum() == 80


def test_mask_from_weights(rng: np.random.Generator, xp) -> None:
    w = rng.random((9, 7))
    mask = mask_from_weights(xp.asarray(w), count=20)
    assert mask.sum() == 20 and w[mask].min() > w[~mask].max()
    assert np.array_equal(mask_from_weights(w, threshold=0.4), w >= 0.4)
    assert np.flatnonzero(mask_from_weights(np.ones(6), count=2)).tolist() == [0, 1]


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((8, 8), 0.9), "acceleration is 0.9"),
        (((8, 8), np.inf), "acceleration is inf"),
        (((8, 8), "fast"), "acceleration is 'fast'"),
        (((8, 8), 2, 9), "calibration is 9; expected an integer from 0 to 8"),
        (((8, 8), 2, 2.5), "calibration is 2.5"),
        (((8, 8), 8, 8), "which alone takes"),
        (((8, 0), 2), "shape is"),
    ],
)
def test_bad_masks(name: str, arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MAKERS[name](*arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: uniform_mask((8, 8), 2, offset=1.0), ValueError, "offset is 1.0"),
        (lambda: variable_density_mask((8, 8), 2, power=-1), ValueError, "power is -1"),
        (lambda: variable_density_mask((8, 8), 2, kind="rings"), ValueError, "kind is 'rings'"),
        (lambda: variable_density_mask((8, 8), 2, seed=-1), ValueError, "seed is -1"),
        (lambda: poisson_disc_mask((8, 8, 8), 2), ValueError, r"shape is \(8, 8, 8\)"),
        (lambda: poisson_disc_mask((8, 8), 2, slope=-1), ValueError, "slope is -1"),
        (lambda: fastmri_mask((8, 8), 4, centre=1.5), ValueError, "centre is 1.5"),
        (lambda: fastmri_mask((8, 8), 4, kind="magic"), ValueError, "kind is 'magic'"),
        (lambda: fastmri_mask((8, 8), 0), ValueError, "acceleration is 0"),
        (lambda: mask_from_weights(np.ones(4)), ValueError, "expected exactly one"),
        (lambda: mask_from_weights(np.ones(4), 2, 0.5), ValueError, "expected exactly one"),
        (lambda: mask_from_weights(np.ones(4), 5), ValueError, "count is 5"),
        (lambda: mask_from_weights(np.ones(4), threshold=2.0), ValueError, "threshold is 2.0, above every weight"),
        (lambda: mask_from_weights(np.ones(4), threshold=np.nan), ValueError, "threshold is nan"),
        (lambda: mask_from_weights(np.full(4, np.nan), 2), ValueError, "NaN"),
        (lambda: mask_from_weights(np.ones(4, complex), 2), TypeError, "weights has dtype complex128"),
        (lambda: mask_from_weights([1.0], 1), TypeError, "expected a NumPy or CuPy array"),
    ],
)
def test_bad_options(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_poisson_disc_mask_of_any_slope() -> None:
    assert poisson_disc_mask((32, 24), 4, slope=1e9).mean() == 0.25
