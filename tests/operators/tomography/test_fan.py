"""Fan beam: geometry, accuracy, filtered back-projection, the problem, ASTRA's adapter, refused input."""

from __future__ import annotations

import math
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend
from ipbox.kernels.fan import front as fan_kernels
from ipbox.kernels.lines import reference as lines_reference
from ipbox.operators.tomography.astra import AstraTransform
from ipbox.operators.tomography.views import Arcs, Scan
from ipbox.problems.truths.phantoms import Ellipse, ellipses_image, ellipses_line_integrals, ellipses_sinogram
from tests.kernels.twins import forced, twins

BETA = np.random.default_rng(3).uniform(-6, 6, 17)
PHANTOM = [
    Ellipse(1.0, 0.0, 0.0, 0.7, 0.8),
    Ellipse(-0.5, 0.2, 0.1, 0.3, 0.2, 0.5),
    Ellipse(0.4, -0.25, -0.3, 0.2, 0.3),
]
GEOMETRY = dict(source_distance=3.0, detector_distance=1.5)


def transform(n: int, views: int, arc: float = 2 * math.pi, **options: Any) -> Any:
    angles = np.arange(views) * arc / views
    return ip.FanBeamTransform((n, n), angles, pixel_size=2 / n, **(GEOMETRY | dict(dtype="float64") | options))


def exact(A: Any) -> np.ndarray:
    return ellipses_line_integrals(PHANTOM, *A.parallel_coordinates())


def error(x: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(x - truth) / np.linalg.norm(truth))


# ---------------------------------------------------------------- geometry


def test_rays_go_from_the_source_to_the_detector() -> None:
    """θ and s of each ray, from the points of the docstring's formula."""
    A = ip.FanBeamTransform((9, 13), BETA, n_det=8, det_shift=1.3, source_distance=20.0, detector_distance=7.0)
    theta, s = A.parallel_coordinates()
    for k, beta in enumerate(BETA):
        S = 20.0 * np.array([math.sin(beta), -math.cos(beta)])
        for m, a in enumerate(A.positions()):
            D = 7.0 * np.array([-math.sin(beta), math.cos(beta)]) + a * np.array([math.cos(beta), math.sin(beta)])
            n = np.array([math.cos(theta[k, m]), math.sin(theta[k, m])])
            assert n @ S == pytest.approx(s[k, m], abs=1e-12) and n @ D == pytest.approx(s[k, m], abs=1e-12)
            along = np.array([-n[1], n[0]])
            assert along @ (D - S) > 0  # of θ and θ + π the one that looks as the ray goes


def test_exact_data_of_ellipses() -> None:
    """First order in h; better than 1 % at 128; the adjoint's direction is the contracts' dot test."""
    errors = []
    for n in (64, 128, 256):
        A = transform(n, 24, det_shift=0.1)
        errors.append(error(A.apply(ellipses_image(PHANTOM, (n, n), 2 / n)), exact(A)))
    assert errors[1] < 0.01 and errors[0] / errors[2] > 2.5, errors


def test_line_integrals_of_single_rays() -> None:
    s = np.linspace(-1, 1, 7)
    table = ellipses_sinogram(PHANTOM, BETA, s)
    assert np.array_equal(ellipses_line_integrals(PHANTOM, BETA[:, None], s), table)
    assert ellipses_line_integrals(PHANTOM, BETA[3], s[2]) == table[3, 2]
    with pytest.raises(ValueError, match="bin_width is -1"):
        ellipses_line_integrals(PHANTOM, BETA, 0.0, -1)


def test_far_source_is_parallel_beam(rng) -> None:
    u = rng.random((9, 12))
    far = dict(source_distance=1e8, detector_distance=0.0, n_det=15, det_spacing=0.8, det_shift=0.3)
    A = ip.FanBeamTransform(u.shape, BETA, pixel_size=0.7, dtype="float64", **far)
    P = ip.JosephTransform(u.shape, BETA, 15, 0.8, 0.3, pixel_size=0.7, dtype="float64")
    assert error(A.apply(u), P.apply(u)) < 1e-6
    single = ip.FanBeamTransform(u.shape, BETA, pixel_size=0.7, **far)
    assert error(single.apply(u.astype(np.float32)), P.apply(u)) < 1e-5


def test_the_detector_s_distance_only_magnifies(rng) -> None:
    u = rng.random((9, 12))
    near = ip.FanBeamTransform(u.shape, BETA, 20, 0.9, source_distance=20.0, detector_distance=0.0, dtype="float64")
    far = ip.FanBeamTransform(u.shape, BETA, 20, 2.7, source_distance=20.0, detector_distance=40.0, dtype="float64")
    assert error(far.apply(u), near.apply(u)) < 1e-12 and far.magnification == 3.0


def test_the_default_detector_covers_the_image() -> None:
    A = ip.FanBeamTransform((30, 41), np.linspace(0, 6, 50), source_distance=30.0, detector_distance=5.0)
    wide = ip.FanBeamTransform((30, 41), A.angles, A.n_det + 40, source_distance=30.0, detector_distance=5.0)
    y = wide.apply(np.ones(A.dims, np.float32))
    assert np.array_equal(A.apply(np.ones(A.dims, np.float32)), y[:, 20:-20])
    assert not y[:, :18].any() and y[:, 18:24].any()
    assert A.det_spacing == pytest.approx(35 / 30)


# ---------------------------------------------------------------- filtered back-projection


@twins("float32", "float64")
def test_weighted_back_projection_equals_its_reference(twin, dtype, monkeypatch, rng) -> None:
    forced(monkeypatch, twin)
    A = ip.FanBeamTransform((7, 10), BETA, n_det=9, source_distance=9.0, detector_distance=4.0, det_shift=0.4)
    q = rng.standard_normal((2, *A.dimsd)).astype(dtype)
    x, expected = np.empty((2, 7, 10), dtype), np.empty((2, 7, 10))
    fan_kernels.backproject_weighted(q, x, A._views.host, 2.0)
    for qi, xi in zip(q, expected, strict=True):
        lines_reference.backproject_weighted(qi, xi, A._views.host, 2.0)
    assert np.abs(x - expected).max() < (1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.simulated
def test_weighted_back_projection_on_the_device(xp: ModuleType, rng) -> None:
    A = ip.FanBeamTransform((5, 4), BETA[:5], n_det=6, source_distance=6.0, detector_distance=4.0)
    q = rng.standard_normal((2, *A.dimsd)).astype(np.float32)
    device, host = xp.empty((2, 5, 4), np.float32), np.empty((2, 5, 4), np.float32)
    fan_kernels.backproject_weighted(xp.asarray(q), device, A._views_like(device), 2.0)
    fan_kernels.backproject_weighted(q, host, A._views.host, 2.0)
    assert np.abs(backend.to_host(device) - host).max() < 1e-5


def test_fbp_parallel_and_serial_agree_bit_for_bit(monkeypatch, rng) -> None:
    A = transform(40, 30, dtype="float32")
    b, images = rng.random(A.dimsd, dtype=np.float32), []
    for size in (0, math.inf):
        monkeypatch.setattr("ipbox.kernels.core.compile.PARALLEL_SIZE", size)
        images.append(ip.fbp(A, b)[0].tobytes())
    assert images[0] == images[1]


def test_fbp_is_as_good_as_in_parallel_beam() -> None:
    """On a full circle each line is measured twice: twice as many views as parallel beam has."""
    n, views = 128, 180
    truth = ellipses_image(PHANTOM, (n, n), 2 / n)
    P = ip.JosephTransform((n, n), np.arange(views) * math.pi / views, pixel_size=2 / n, dtype="float64")
    s = (np.arange(P.n_det) - (P.n_det - 1) / 2) * 2 / n
    parallel = error(ip.fbp(P, ellipses_sinogram(PHANTOM, P.angles, s))[0], truth)
    A = transform(n, 2 * views)
    full = error(ip.fbp(A, exact(A))[0], truth)
    opening = 2 * np.abs(np.arctan(A.positions() / 4.5)).max()
    S = transform(n, 2 * views, math.pi + opening)
    short = error(ip.fbp(S, exact(S))[0], truth)
    assert full < 1.1 * parallel < 0.1 and short < 1.1 * parallel, (parallel, full, short)


def test_fbp_keeps_the_level() -> None:
    """The mean over the inside of a disc, for shifted and scaled geometries, full circle and short scan."""
    disc = [Ellipse(2.0, 0.1, -0.1, 0.6, 0.6)]
    for arc in (2 * math.pi, 1.5 * math.pi, math.pi + 1.1):
        for change in (dict(), dict(det_shift=0.3, n_det=160), dict(detector_distance=0.0), dict(source_distance=1.6)):
            A = transform(64, 200, arc, **change)
            x, _ = ip.fbp(A, ellipses_line_integrals(disc, *A.parallel_coordinates()), "hann")
            inside = ellipses_image([Ellipse(1.0, 0.1, -0.1, 0.5, 0.5)], (64, 64), 2 / 64) == 1
            assert x[inside].mean() == pytest.approx(2.0, rel=0.01)


def test_fbp_of_unordered_views_and_batches() -> None:
    A, order = transform(48, 90), np.random.default_rng(0).permutation(90)
    b = exact(A)
    x, info = ip.fbp(A, b, "cosine")
    shuffled, _ = ip.fbp(A.subset(order), b[order], "cosine")
    assert info.filter == "cosine" and np.abs(shuffled - x).max() < 1e-12
    batch, _ = ip.fbp(A, np.stack([b, 2 * b, 0 * b]), "cosine")
    assert batch.shape == (3, 48, 48) and np.abs(batch[1] - 2 * x).max() < 1e-12


def test_fbp_for_joseph_is_that_of_the_ray_transform() -> None:
    geometry = ((24, 31), BETA, 50, 0.7, 0.4, 0.8)
    J, R = ip.JosephTransform(*geometry, dtype="float64"), ip.RayTransform(*geometry, dtype="float64")
    b = R.apply(np.random.default_rng(0).random((24, 31)))
    assert np.array_equal(ip.fbp(J, b)[0], ip.fbp(R, b)[0])


def test_fbp_refuses_other_operators() -> None:
    expected = "A is Identity; fbp expects a RayTransform, JosephTransform, FanBeamTransform, PET or SliceStack"
    with pytest.raises(TypeError, match=expected):
        ip.fbp(ip.Identity((4, 4)), np.ones((4, 4)))


def test_rays_of_one_line_share_it() -> None:
    """w(β, γ) + w(β + π - 2γ, -γ) = 1 where both are measured; every line counts once, Δβ sums to the arc."""
    A = transform(32, 400, math.pi + 1.0)
    scan, gamma = Scan.of(A), Scan.of(A).gamma(A.positions())
    w = scan.weights((-math.inf, math.inf)) / Arcs.of(A.angles, 2 * math.pi).cells[:, None]
    first, m = A.angles < 2 * (0.5 + gamma[20]), gamma.size - 1 - 20
    other = np.interp(A.angles[first] + math.pi - 2 * gamma[20], A.angles, w[:, m])
    assert first.sum() > 20 and np.abs(w[first, 20] + other - 1).max() < 1e-3
    parker = (
        np.sin(0.25 * math.pi * (A.angles[first] + 0.5 * A.angles[1]) / (0.5 * (1 + 0 * A.angles[1]) + gamma[20])) ** 2
    )
    assert np.abs(w[first, 20] - parker).max() < 0.01
    for arc, n in ((2 * math.pi, 50), (math.pi + 1, 50)):
        scan = Scan.of(transform(16, n, arc))
        assert np.allclose(scan.weights((-math.inf, math.inf)).sum(axis=0), math.pi, rtol=0.01)
    for angles in ([0.3], [0.3, 0.3, 0.5]):
        few = Scan(np.array(angles), np.linspace(-1, 1, 9), 0.25, 3.0, 4.5)
        assert np.isfinite(few.weights((-math.inf, math.inf))).all() and few.weights((-1.125, 1.125)).sum() > 0


# ---------------------------------------------------------------- the problem


@pytest.mark.parametrize("options", [dict(size=64), dict(size=50, slice=9), dict(size=128, image="shepp-logan")])
def test_problem_without_inverse_crime(options: dict) -> None:
    A, b, x, info = ip.problem("fan", views=40, noise=0.0, dtype="float64", **options)
    assert info.noise_level == 0 and info.model_error == pytest.approx(backend.norm(A.apply(x) - b), rel=1e-12)
    assert 1e-4 < info.model_error / backend.norm(b) < 0.03
    assert b.shape == A.dimsd and x.shape == A.dims and not x[~info.mask].any() and info.peak == x.max()


def test_problem_noise_and_geometry(xp: ModuleType) -> None:
    _, clean, _, _ = ip.problem("fan", size=32, views=30, noise=0.0)
    A, b, x, info = ip.problem("fan", size=32, views=30, noise=0.03, seed=5, xp=xp.__name__)
    assert isinstance(b, xp.ndarray) and isinstance(x, xp.ndarray) and b.dtype == x.dtype == np.float32
    assert info.noise_level == pytest.approx(0.03 * np.linalg.norm(clean), rel=1e-4)
    assert np.linalg.norm(backend.to_host(b) - clean) == pytest.approx(info.noise_level, rel=0.1)
    assert A.source_distance == pytest.approx(1.5 * 32 * info.pixel_size)
    _, counted, _, photons = ip.problem("fan", size=32, views=30, photons=1e4)
    assert np.linalg.norm(counted - clean) == pytest.approx(photons.noise_level, rel=0.1)


def test_problem_of_an_own_image() -> None:
    A, _, x, _ = ip.problem("fan", image=np.ones((20, 30)), views=12, arc=4.0, source_distance=40.0, detectors=35)
    assert x.shape == (20, 30) and A.dimsd == (12, 35) and A.source_distance == 40.0 and A.detector_distance == 30.0
    assert A.angles[-1] == pytest.approx(4.0 * 11 / 12)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(views=0), "views is 0; expected a positive integer"),
        (dict(rays_per_bin=1.5), "rays_per_bin is 1.5"),
        (dict(arc=7.0), "arc is 7.0; expected radians"),
        (dict(noise=0.1, photons=1e4), "expected at most one of them"),
        (dict(noise=-1.0), "noise is -1.0"),
        (dict(seed=-1), "seed is -1"),
        (dict(image="foot"), "image is 'foot'"),
        (dict(source_distance=1.0), "source_distance is 1; expected more than"),
        (dict(xp="jax"), "xp is 'jax'"),
    ],
)
def test_bad_problems(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ip.problem("fan", **(dict(size=16) | change))


# ---------------------------------------------------------------- input


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(dims=(4, 4, 4)), ValueError, r"FanBeamTransform expects \(ny, nx\)"),
        (dict(angles=[180.0]), ValueError, "looks like degrees"),
        (dict(source_distance=5.0), ValueError, "source_distance is 5; expected more than 5, so that the source stays"),
        (dict(source_distance=0.0), ValueError, "source_distance is 0.0; expected a positive number"),
        (dict(source_distance=np.nan), ValueError, "source_distance is nan; expected a positive number"),
        (dict(detector_distance=-1.0), ValueError, "detector_distance is -1.0; expected zero or a positive number"),
        (dict(detector_distance="1"), ValueError, "detector_distance is '1'"),
        (dict(n_det=2.5), ValueError, "n_det is 2.5; expected a positive integer"),
        (dict(det_spacing=0), ValueError, "det_spacing is 0; expected a positive number"),
        (dict(det_shift=None), ValueError, "det_shift is None"),
        (dict(pixel_size=-1), ValueError, "pixel_size is -1"),
        (dict(dtype="complex128"), TypeError, "expects float32 or float64"),
    ],
)
def test_refusals(change, error, message) -> None:
    good = dict(dims=(6, 8), angles=[0.1], source_distance=9.0, detector_distance=3.0)
    with pytest.raises(error, match=message):
        ip.FanBeamTransform(**(good | change))


# ---------------------------------------------------------------- ASTRA's adapter, on a stand-in for ASTRA


class FakeAstra(ModuleType):
    """What the adapter calls, with a random matrix in the place of a projector."""

    def __init__(self) -> None:
        super().__init__("astra")
        self.data, self.running, self.made = {}, {}, []
        self.data2d = SimpleNamespace(link=self._link, delete=lambda ids: [self.data.pop(i) for i in ids])
        self.algorithm = SimpleNamespace(create=self._create, run=self._run, delete=self.running.pop)

    def use_cuda(self) -> bool:
        return False

    def create_vol_geom(self, ny, nx, *window):
        return (ny, nx, *window)

    def create_proj_geom(self, kind, n_det, vectors):
        return (kind, n_det, vectors)

    def create_projector(self, name, detector, volume):
        self.made.append((name, detector, volume))
        shape = (len(detector[2]) * detector[1], volume[0] * volume[1])
        self.matrix = np.random.default_rng(0).random(shape, dtype=np.float32)
        return len(self.made)

    def _link(self, kind, geometry, array):
        assert array.dtype == np.float32 and array.flags.c_contiguous and array.flags.writeable
        self.data[len(self.data)] = array
        return len(self.data) - 1

    def _create(self, config):
        self.running[7] = config
        return 7

    def _run(self, algorithm):
        config = self.running[algorithm]
        y = self.data[config["ProjectionDataId"]]
        if config["type"] == "FP":
            y += (self.matrix @ self.data[config["VolumeDataId"]].ravel()).reshape(y.shape)
        else:
            x = self.data[config["ReconstructionDataId"]]
            x += (self.matrix.T @ y.ravel()).reshape(x.shape)


@pytest.fixture
def astra(monkeypatch) -> FakeAstra:
    fake = FakeAstra()
    monkeypatch.setitem(sys.modules, "astra", fake)
    return fake


FAN = ip.FanBeamTransform((5, 6), BETA[:3], 7, source_distance=9.0, detector_distance=2.0, pixel_size=0.5)


def test_astra_adapter(astra, rng) -> None:
    A = AstraTransform(FAN)
    x, y = rng.random((2, 5, 6), dtype=np.float32), rng.random((2, 3, 7), dtype=np.float32)
    expected = np.stack([(astra.matrix @ xi.ravel()).reshape(3, 7) for xi in x])
    assert error(A.apply(x), expected) < 1e-6
    assert np.vdot(A.apply(x), y) == pytest.approx(np.vdot(x, A.apply_adjoint(y)), rel=1e-5)
    assert not astra.data and not astra.running  # nothing is left behind
    name, (kind, n_det, vectors), volume = astra.made[0]
    assert (name, kind, n_det) == ("line_fanflat", "fanflat_vec", 7) and volume == (5, 6, -1.5, 1.5, -1.25, 1.25)
    centres = vectors[:, :2] + (vectors[:, 2:4] - vectors[:, :2]) * 9 / 11  # central rays go through the centre
    assert np.abs(centres).max() < 1e-12
    assert np.allclose(np.hypot(*vectors[:, :2].T), 9) and np.allclose(np.hypot(*vectors[:, 4:].T), FAN.det_spacing)


def test_astra_adapter_for_parallel_beam(astra) -> None:
    geometry = dict(n_det=7, det_spacing=0.4, det_shift=0.3)
    AstraTransform(ip.RayTransform((5, 6), [0.2], **geometry), projector="strip")
    name, (kind, _, vectors), _ = astra.made[0]
    c, s = math.cos(0.2), math.sin(0.2)
    assert (name, kind) == ("strip", "parallel_vec")
    assert np.allclose(vectors, [[-s, c, 0.3 * c, 0.3 * s, 0.4 * c, 0.4 * s]])


def test_astra_adapter_refuses(astra, monkeypatch) -> None:
    with pytest.raises(RuntimeError, match="engine is 'cuda', but ASTRA finds no GPU"):
        AstraTransform(FAN, engine="cuda")
    with pytest.raises(ValueError, match="engine is 'gpu'; expected one of 'cpu', 'cuda'"):
        AstraTransform(FAN, engine="gpu")
    with pytest.raises(ValueError, match="projector is 'linear'; expected one of 'line'"):
        AstraTransform(FAN, projector="linear")
    with pytest.raises(TypeError, match="geometry is Identity"):
        AstraTransform(ip.Identity((4, 4)))
    with pytest.raises(TypeError, match="geometry has dtype float64"):
        AstraTransform(transform(8, 3))
    monkeypatch.setitem(sys.modules, "astra", None)
    with pytest.raises(ImportError, match="ASTRA is not installed"):
        AstraTransform(FAN)
