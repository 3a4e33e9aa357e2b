"""Tomography: what users of other packages reported in public, and what we give there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.operators.tomography.ramp import FILTERS, ramp
from ipbox.operators.tomography.views import Scan
from ipbox.problems.truths.phantoms import Ellipse, ellipses_image, ellipses_line_integrals, ellipses_sinogram
from ipbox.reconstruct.direct.pseudo_inverse import matrix_of
from tests.contracts.support import dot_test

DISC = Ellipse(1.0, 4.0, -6.0, 18.0, 18.0)  # off the centre, in pixels of a 64 x 64 image
MIDDLE = Ellipse(1.0, 0.0, 0.0, 28.0, 28.0)
FAN = dict(source_distance=120.0, detector_distance=60.0)
KINDS = {"ray": ip.RayTransform, "joseph": ip.JosephTransform, "fan": ip.FanBeamTransform}


def turn(views: int, arc: float = math.pi) -> np.ndarray:
    return np.arange(views) * arc / views


def transform(kind: str, dims: Any, angles: Any, *args: Any, **options: Any) -> Any:
    fan = FAN if kind == "fan" else {}
    return KINDS[kind](dims, angles, *args, **({"dtype": "float64"} | fan | options))


def data(A: Any, disc: Ellipse) -> np.ndarray:
    """Exact readings of a disc from the geometry of the docstrings, means over detector pixels in parallel beam."""
    a = (np.arange(A.n_det) - (A.n_det - 1) / 2) * A.det_spacing + A.det_shift
    if isinstance(A, ip.FanBeamTransform):
        gamma = np.arctan(a / (A.source_distance + A.detector_distance))
        s = np.broadcast_to(A.source_distance * np.sin(gamma), A.dimsd)
        return ellipses_line_integrals([disc], A.angles[:, None] - gamma, s)
    return ellipses_sinogram([disc], A.angles, a, A.det_spacing)


def grid(A: Any) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixels."""
    ny, nx = A.dims
    h = A.pixel_size
    return (np.arange(nx) - (nx - 1) / 2) * h, ((ny - 1) / 2 - np.arange(ny)[:, None]) * h


def inside(A: Any, disc: Ellipse, margin: float = 3.0) -> np.ndarray:
    x, y = grid(A)
    return np.hypot(x - disc.x0, y - disc.y0) < disc.a - margin


def level(A: Any, disc: Ellipse, x: np.ndarray) -> tuple[float, float]:
    """The mean inside a disc of height 1, and the largest deviation from 1 of its rings."""
    gx, gy = grid(A)
    r = np.hypot(gx - disc.x0, gy - disc.y0).astype(int)
    rings = [float(x[r == k].mean()) for k in range(3, int(disc.a) - 3)]
    return float(x[inside(A, disc)].mean()), float(np.abs(np.array(rings) - 1).max())


@pytest.mark.parametrize("kind", ["ray", "fan"])
@pytest.mark.parametrize("dims", [(64, 64), (65, 64), (64, 65), (65, 65)])
@pytest.mark.parametrize("n_det", [0, 1])
def test_one_centre_of_rotation_and_one_level(kind: str, dims: tuple[int, int], n_det: int) -> None:
    """scikit-image #592 (transform and inverse turn about two centres), #3742 (another image where the detector has an
    odd number of pixels), #6916 (half the values): images and detectors of even and odd sizes."""
    A = transform(kind, dims, turn(120, 2 * math.pi), (150 if kind == "fan" else 94) + n_det)
    u = ip.fbp(A, data(A, DISC))[0]
    x, y = grid(A)
    assert level(A, DISC, u)[0] == pytest.approx(1, abs=2e-3)
    centre = [float((v * u).sum() / u.sum()) for v in (x, y)]
    assert centre == pytest.approx([DISC.x0, DISC.y0], abs=0.06)
    p = A.apply(ellipses_image([DISC], dims)) - data(A, DISC)
    moments = np.abs(p @ A.positions()).max() / np.abs(data(A, DISC) @ A.positions()).max()
    assert moments < (0.015 if kind == "fan" else 2e-3)  # half a pixel would be 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_wide_images_come_back_in_their_shape(kind: str) -> None:
    """scikit-image #7222: an image of 400 x 168 that lost its shape in a round trip; here 100 x 42, and 1 x 9."""
    A = transform(kind, (100, 42), turn(60, 2 * math.pi))
    disc = Ellipse(1.0, -6.0, 25.0, 11.0, 11.0)
    u, _ = ip.fbp(A, data(A, disc))
    assert u.shape == (100, 42) and level(A, disc, u)[0] == pytest.approx(1, abs=0.01)
    row = transform(kind, (1, 9), [0.0, math.pi / 2])
    p = row.apply(np.arange(9.0)[None])
    assert p.shape == row.dimsd and ip.fbp(row, p)[0].shape == (1, 9) if kind == "ray" else p.shape == row.dimsd


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("ds", [1.0, 0.25, 7.0])
def test_windows_at_known_frequencies(name: str, ds: float) -> None:
    """scikit-image pull 2065: windows that did not stretch over the whole band, up to the detector's Nyquist."""
    known = {"ramp": (1, 1), "ram-lak": (1, 1), "shepp-logan": (np.sinc(0.25), 2 / np.pi), "cosine": (0.5**0.5, 0)}
    at = (known | {"hamming": (0.54, 0.08), "hann": (0.5, 0)})[name]
    f = np.array([0.25, 0.5]) / ds  # half of Nyquist, and Nyquist: in cycles per unit
    n = 4096
    assert ramp(n, ds, name)[[n // 4, n // 2]] == pytest.approx(f * at, rel=1e-3, abs=1e-12)
    assert abs(ramp(n, ds, name)[0] * ds) < 1 / n


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("angles", [[0.0], [0.0, 0.01], [0.0, 2 * math.pi]])
def test_a_single_view(kind: str, angles: list[float]) -> None:
    """odl pull 947: a geometry of one angle, and of one that is repeated."""
    A = transform(kind, (8, 8), angles, 8, dtype="float32")
    p = A.apply(np.ones((8, 8), "float32"))
    assert p.shape == (len(angles), 8) and abs(p[:, 3] - 8).max() < 0.4
    with pytest.warns(RuntimeWarning, match="the views leave out 100% of the lines"):
        u, _ = ip.fbp(A, p)
    assert np.isfinite(u).all() and u.shape == (8, 8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("h", [1e-3, 0.3, 250.0])
def test_units_of_length(kind: str, h: float) -> None:
    """odl #1519 (filtered back-projection scaled by the image's extent), LEAP #108, tomopy #629 (filtered and iterative
    images in different units): u is per unit of length, in every method, whatever the unit."""
    lengths = {k: h * v for k, v in FAN.items()} if kind == "fan" else {}
    A = transform(kind, (32, 32), turn(31, 2 * math.pi), pixel_size=h, **lengths)
    disc = Ellipse(1.0, 2 * h, -3 * h, 10 * h, 10 * h)
    b = data(A, disc)
    middle = inside(A, disc, 4 * h)
    for method in (ip.fbp, lambda A, b: ip.cgls(A, b, niter=6), lambda A, b: ip.sirt(A, b, niter=40)):
        assert method(A, b)[0][middle].mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_detector_smaller_than_the_shadow(kind: str, dtype: str, rng: np.random.Generator) -> None:
    """lanl/scico #560: an adjoint that was none, with pixels of 1/√2 and a detector that the image overlaps."""
    angles = rng.uniform(0, math.pi, 7)
    small, wide = (transform(kind, (24, 28), angles, n, 1.0, pixel_size=0.5**0.5, dtype=dtype) for n in (5, 41))
    assert dot_test(small, rng, np) < (2e-5 if dtype == "float32" else 1e-12)
    x, y = grid(small)
    u = np.exp(-((x - 0.5) ** 2 + (y - 1) ** 2) / 4.5).astype(dtype)
    assert np.allclose(small.apply(u), wide.apply(u)[:, 18:23], rtol=0, atol=3e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_det", [3, 17, None])
def test_norm_of_a_projector(kind: str, n_det: int | None) -> None:
    """deepinv pull 715: a norm of the projector that was not its largest singular value."""
    A = transform(kind, (9, 11), turn(13), n_det, pixel_size=0.4)
    largest = np.linalg.svd(matrix_of(A), compute_uv=False)[0]
    assert 0.995 * largest <= A.norm() <= 1.06 * largest


# ---------------------------------------------------------------- views


@pytest.mark.parametrize("shift", [-20.0, 20.0])
def test_a_shifted_detector_that_sees_all_of_a_short_scan(shift: float) -> None:
    """CERN/TIGRE pull 778: weights of an offset detector where none are due, in a scan of less than a turn."""
    A = transform("fan", (64, 64), turn(150, math.pi + 0.7), 180, 1.0, det_shift=shift)
    mean, rings = level(A, MIDDLE, ip.fbp(A, data(A, MIDDLE))[0])
    assert mean == pytest.approx(1, abs=0.005) and rings < 0.02


@pytest.mark.parametrize("missing", [0.0, 2.0, 5.0, 10.0, 20.0])
def test_a_nearly_complete_circle(missing: float) -> None:
    """CERN/TIGRE pull 743: a turn without its last degrees, taken for a short scan."""
    arc = np.deg2rad(360 - missing)
    A = transform("fan", (64, 64), np.linspace(0, arc, 180, endpoint=missing > 0))
    mean, rings = level(A, MIDDLE, ip.fbp(A, data(A, MIDDLE))[0])
    assert mean == pytest.approx(1, abs=0.005) and rings < 0.02


@pytest.mark.parametrize("kind", ["ray", "fan"])
@pytest.mark.parametrize("overlap", [3.0, 8.0, 25.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_half_fan(kind: str, overlap: float, sign: int) -> None:
    """CERN/TIGRE #386 (a detector far to one side), llnl/LEAP #92 (a ring where the two sides overlap)."""
    n = overlap + (46 if kind == "fan" else 31)
    A = transform(kind, (64, 64), turn(240, 2 * math.pi), int(n), 1.0, det_shift=sign * (n / 2 - overlap))
    mean, rings = level(A, MIDDLE, ip.fbp(A, data(A, MIDDLE))[0])
    assert mean == pytest.approx(1, abs=0.01) and rings < 0.02


def test_every_view_of_a_short_scan_counts() -> None:
    """RTK pull 974: the first and the last view with weight 0; and two readings of one line share it."""
    A = transform("fan", (64, 64), np.linspace(0, math.pi + 0.75, 200))
    scan = Scan.of(A)
    w = scan.weights((-math.inf, math.inf))
    assert (w[[0, -1]].max(axis=1) > 0).all()
    own, other = scan._depths(A.angles[:, None], scan.positions, (-math.inf, math.inf))
    beta = A.angles[:, None] + np.pi - 2 * scan.gamma(scan.positions)
    back = scan._depths(beta, -scan.positions, (-math.inf, math.inf))
    assert np.allclose(own, back[1], atol=1e-9) and np.allclose(other, back[0], atol=1e-9)
    turns = (beta > 0) & (beta < A.angles[-1])  # lines that are seen twice: sin² and cos² of the same number
    assert turns.any() and (other[turns] > 0).all()


@pytest.mark.parametrize("solver", ["Kaczmarz", "SIRT", "CGLS", "LSQR", "GradientDescent", "FISTA", "BarzilaiBorwein"])
def test_stopping_does_not_look_at_signs(solver: str, rng: np.random.Generator) -> None:
    """cabouman/mbircone pull 140: a change relative to the sum of signed values, so that images that are negative in
    part never stop, or at once.  With half of the pixels turned round, the same iterates but for these signs."""
    A = matrix_of(transform("joseph", (8, 8), turn(12)))
    u, signs = rng.uniform(0.5, 1, 64), rng.permutation(np.repeat([-1.0, 1.0], 32))
    runs = []
    for s in (np.ones(64), signs):
        problem = ip.Problem(ip.L2(A * s, A @ u))
        stop = ip.stop.relative_change(1e-3) | ip.stop.residual(1e-6) | ip.stop.niter(400)
        runs.append(ip.solve(problem, getattr(ip, solver)(), stop=stop))
    assert runs[0].niter == runs[1].niter > 2 and runs[0].stop == runs[1].stop
    assert np.allclose(runs[0].x, signs * runs[1].x, atol=1e-9)
