"""Weights of views in filtered back-projection: a disc keeps its value wherever the angles determine it."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ipbox as ip
from ipbox.operators.tomography.ramp import RampFilter, angle_weights
from tests.contracts.support import host

N, TURN = 65, 2 * math.pi
X = np.arange(N) - (N - 1) / 2
RADIUS = np.hypot(X, X[:, None])
FAN = dict(source_distance=160.0, detector_distance=80.0)


def disc(radius: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """A disc, averaged over the pixels so that its edge is no staircase."""
    return np.clip(radius + 0.5 - np.hypot(X - x, X[:, None] + y), 0, 1).astype("float32")


def mean_inside(A: Any, radius: float, x: float = 0.0, y: float = 0.0, inside: float | None = None) -> float:
    u = disc(radius, x, y)
    v, _ = ip.fbp(A, A.apply(u))
    return float(v[np.hypot(X - x, X[:, None] + y) < (radius - 4 if inside is None else inside)].mean())


def degrees(*parts: Any) -> np.ndarray:
    return np.deg2rad(np.concatenate([np.atleast_1d(p) for p in parts]).astype(float))


RNG = np.random.default_rng(5)
HALF_TURNS = {
    "half a turn": degrees(np.arange(0, 180, 2)),
    "half a turn with its end": degrees(np.linspace(0, 180, 91)),
    "a turn": degrees(np.arange(360)),
    "two turns in single precision": np.deg2rad(np.arange(720, dtype="float32")),
    "five turns of an encoder": np.deg2rad(np.arange(900) * 2.0 + RNG.normal(0, 0.01, 900)),
    "each angle one to five times": np.repeat(degrees(np.arange(0, 180, 3)), RNG.integers(1, 6, 60)),
    "200 degrees": degrees(np.arange(200)),
    "dense and sparse": degrees(np.arange(0, 90, 0.5), np.arange(90, 180, 4)),
    "mostly dense": degrees(np.arange(0, 160, 0.25), np.arange(160, 180, 5)),
    "mostly sparse": degrees(np.arange(0, 10, 0.1), np.arange(10, 180, 5)),
    "a cluster": degrees(np.linspace(20, 21, 300), np.arange(0, 180, 4)),
    "six clusters": degrees(*(np.linspace(c - 5, c + 5, 11) for c in range(0, 180, 30))),
    "views that are missing": degrees(np.delete(np.arange(180), [20, 21, 22, 90, 91, 130])),
    "in random order": RNG.permutation(degrees(np.arange(0, 180, 2))),
    "random angles": RNG.uniform(0, TURN, 150),
    "golden angles": np.arange(89) * math.pi * (3 - 5**0.5),
    "golden angles in single precision": (np.arange(89) * math.pi * (3 - 5**0.5)).astype("float32"),
    "every other one from the other side": degrees(np.arange(0, 180, 2)) + math.pi * (np.arange(90) % 2),
    "steps of equal slope": np.arctan(np.linspace(-20, 20, 200)),
}


@pytest.mark.parametrize("where", [(20.0, 0.0, 0.0), (9.0, 12.0, -8.0)], ids=["middle", "side"])
@pytest.mark.parametrize("what", HALF_TURNS)
def test_parallel_beam_keeps_a_disc(what: str, where: tuple[float, float, float]) -> None:
    A = ip.RayTransform((N, N), HALF_TURNS[what])
    assert mean_inside(A, *where) == pytest.approx(1, abs=0.02)


FULL_TURNS = {
    name: HALF_TURNS[name]
    for name in (
        "a turn",
        "two turns in single precision",
        "random angles",
        "golden angles",
        "five turns of an encoder",
    )
} | {
    "a turn with its end": degrees(np.linspace(0, 360, 181)),
    "dense and sparse": degrees(np.arange(0, 180, 0.5), np.arange(180, 360, 4)),
    "a cluster": degrees(np.linspace(20, 21, 300), np.arange(0, 360, 4)),
    "a short scan": degrees(np.arange(0, 235, 1)),
    "a short scan, dense and sparse": degrees(np.arange(0, 100, 0.5), np.arange(100, 240, 3)),
    "300 degrees": degrees(np.arange(0, 300, 1.5)),
    "350 degrees": degrees(np.arange(0, 350, 1)),
    "two short scans": degrees(np.arange(0, 235, 1), np.arange(10, 225, 1)),
    "views that are missing": degrees(np.delete(np.arange(360), np.r_[20:40, 90:93, 130])),
    "a turn without two wedges": degrees(np.delete(np.arange(360), np.r_[20:60, 100:130])),
    "each angle one to five times": np.repeat(degrees(np.arange(0, 360, 3)), RNG.integers(1, 6, 120)),
    "in random order": RNG.permutation(degrees(np.arange(0, 235, 1))),
}


@pytest.mark.parametrize("where", [(20.0, 0.0, 0.0), (9.0, 12.0, -8.0)], ids=["middle", "side"])
@pytest.mark.parametrize("what", FULL_TURNS)
def test_fan_beam_keeps_a_disc(what: str, where: tuple[float, float, float]) -> None:
    A = ip.FanBeamTransform((N, N), FULL_TURNS[what], **FAN)
    assert mean_inside(A, *where) == pytest.approx(1, abs=0.02)


@settings(max_examples=15, deadline=None)
@given(
    views=st.integers(60, 200), turns=st.integers(1, 4), jitter=st.floats(0, 0.3), single=st.booleans(),
    start=st.floats(-3, 3), seed=st.integers(0, 999),
)  # fmt: skip
def test_any_turns_of_jittered_angles(
    views: int, turns: int, jitter: float, single: bool, start: float, seed: int
) -> None:
    """Several turns, steps that vary, some views measured twice, any order, either precision: parallel and fan beam."""
    rng = np.random.default_rng(seed)
    angles = (np.arange(views * turns) + rng.uniform(-jitter, jitter, views * turns)) * TURN / views + start
    angles = rng.permutation(np.concatenate([angles, rng.choice(angles, views // 4)]))
    angles = angles.astype("float32") if single else angles
    for A in (ip.RayTransform((N, N), angles), ip.FanBeamTransform((N, N), angles, **FAN)):
        assert mean_inside(A, 14.0, 6.0, 4.0) == pytest.approx(1, abs=0.02)


# ---------------------------------------------------------------- a detector that is set to one side


@pytest.mark.parametrize("overlap, side", [(1, 1), (3, -1), (8, 1), (13, -1), (21, 1)])
@pytest.mark.parametrize("what", ["a turn", "two turns in single precision", "random angles"])
@pytest.mark.parametrize("beam", ["parallel", "fan"])
def test_half_acquisition_keeps_a_disc(overlap: int, what: str, side: int, beam: str) -> None:
    """The middle is seen twice, the rest once; ``overlap`` pixels in all, down to a single one."""
    n, angles = 30 + (overlap + 1) // 2, FULL_TURNS[what]
    if beam == "parallel":
        A = ip.RayTransform((N, N), angles, n, det_shift=side * (0.5 * n - 0.5 * overlap))
    else:
        ds = 1.5
        A = ip.FanBeamTransform((N, N), angles, n, ds, det_shift=side * ds * (0.5 * n - 0.5 * overlap), **FAN)
    v, info = ip.fbp(A, A.apply(disc(24.0)))
    tolerance = 0.03 if what == "random angles" else 0.02
    assert v[RADIUS < 4].mean() == pytest.approx(1, abs=tolerance)
    assert v[(RADIUS > 5) & (RADIUS < 20)].mean() == pytest.approx(1, abs=tolerance)
    assert what == "random angles" or abs(v[RADIUS < 20] - 1).mean() < 0.06
    assert 28 < info.parameters["field_of_view"] < 32 and not v[RADIUS > info.parameters["field_of_view"]].any()


@pytest.mark.parametrize("overlap, side", [(-0.6, 1), (-0.4, -1), (0.0, 1), (0.0, -1), (0.6, 1), (1.4, -1), (5.2, 1)])
@pytest.mark.parametrize("beam", ["parallel", "fan"])
@pytest.mark.parametrize("extend", [True, False])
def test_the_sides_meet_at_the_centre(overlap: float, side: int, beam: str, extend: bool) -> None:
    """A detector that ends about the centre of rotation, by any part of a pixel: no ring, no factor of two there.

    Pixels (a few of them) that neither side sees are taken from their neighbours.
    """
    angles, shift = FULL_TURNS["a turn"], side * (16.0 - 0.5 * overlap)
    if beam == "parallel":
        A: Any = ip.RayTransform((N, N), angles, 32, det_shift=shift)
    else:
        A = ip.FanBeamTransform((N, N), angles, 32, 1.5, det_shift=1.5 * shift, **FAN)
    v, _ = ip.fbp(A, A.apply(disc(24.0)), extend=extend)
    assert abs(v[RADIUS < 4] - 1).max() < (0.03 if overlap >= 0 else 0.15)
    assert v[RADIUS < 4].mean() == pytest.approx(1, abs=0.02)
    assert v[(RADIUS > 5) & (RADIUS < 20)].mean() == pytest.approx(1, abs=0.01)


def test_the_ramp_filter_refuses_half_acquisition() -> None:
    """A*F would count the middle twice; a detector whose centre is off by a pixel is another matter."""
    A = ip.RayTransform((N, N), degrees(np.arange(360)), 37, det_shift=12.0)
    with pytest.raises(ValueError, match="^A has a detector from -6.5 to 30.5 that sees the middle twice"):
        RampFilter(A)
    for n_det, shift, turn in ((65, 1.0, 360), (37, 12.0, 180), (37, 0.0, 360)):
        RampFilter(ip.RayTransform((N, N), degrees(np.arange(turn)), n_det, det_shift=shift))


def test_half_acquisition_without_a_full_turn_says_so() -> None:
    A = ip.RayTransform((N, N), degrees(np.arange(180)), 37, det_shift=12.0)
    with pytest.warns(RuntimeWarning, match="^fbp: the views leave out .* of the lines"):
        ip.fbp(A, A.apply(disc(24.0)))


# ---------------------------------------------------------------- data that the detector cuts off


@pytest.mark.parametrize("beam", ["parallel", "fan"])
@pytest.mark.parametrize("arc", [180, 235, 360])
@pytest.mark.parametrize("n_det", [24, 36, 48])
def test_truncated_projections_go_on(beam: str, arc: int, n_det: int) -> None:
    """A disc wider than the detector keeps its value in the field of view; beyond, the image is 0."""
    angles = degrees(np.arange(arc))
    if beam == "parallel":
        A = ip.RayTransform((N, N), angles, n_det)
    elif arc > 180:
        A = ip.FanBeamTransform((N, N), angles, n_det, 1.5, **FAN)
    else:
        return
    b = A.apply(disc(28.0))
    v, info = ip.fbp(A, b)
    seen = info.parameters["field_of_view"]
    assert 0.45 * n_det < seen <= 0.5 * n_det
    assert v[RADIUS < seen - 2].mean() == pytest.approx(1, abs=0.02)
    assert abs(v[RADIUS < seen - 2] - 1).max() < 0.2 and not v[RADIUS > seen].any()
    plain, _ = ip.fbp(A, b, extend=False, mask=False)
    assert plain[RADIUS < seen - 2].mean() > 1.1 and plain[RADIUS > seen].any()


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_truncated_projections_of_a_disc_that_is_not_in_the_middle(noise: float, rng: np.random.Generator) -> None:
    u = disc(24.0, 5.0, -4.0)
    for A in (
        ip.RayTransform((N, N), degrees(np.arange(180)), 30),
        ip.FanBeamTransform((N, N), degrees(np.arange(360)), 30, 1.5, **FAN),
    ):
        b = A.apply(u)
        v, _ = ip.fbp(A, b + np.float32(noise * b.max()) * rng.standard_normal(b.shape, dtype="float32"))
        assert v[RADIUS < 13].mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("radius, right, n_det", [(10.0, 16.0, 42), (12.0, 8.0, 26), (7.0, 20.0, 44)])
def test_a_disc_that_only_some_views_cut_off(radius: float, right: float, n_det: int, noise: float) -> None:
    """In the others it ends within the detector, and nothing goes on there."""
    u, rng = disc(radius, right, 3.0), np.random.default_rng(5)
    inside = (np.hypot(X - right, X[:, None] + 3.0) < radius - 2) & (RADIUS < n_det / 2 - 3)
    for A in (
        ip.RayTransform((N, N), degrees(np.arange(180)), n_det),
        ip.FanBeamTransform((N, N), degrees(np.arange(360)), n_det, 1.5, **FAN),
    ):
        b = A.apply(u)
        v, _ = ip.fbp(A, b + np.float32(noise * b.max()) * rng.standard_normal(b.shape, dtype="float32"))
        assert inside.sum() > 10 and v[inside].mean() == pytest.approx(1, abs=0.02)


PARTLY = {
    "a rectangle": ((abs(X) < 27) & (abs(X[:, None]) < 7)).astype("float32"),
    "a square to the side": ((abs(X - 14) < 10) & (abs(X[:, None] + 6) < 8)).astype("float32"),
    "two discs": disc(9.0, 17.0, 3.0) + disc(6.0, -7.0),
}


@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize("what", PARTLY)
def test_views_that_see_all_say_what_the_others_miss(what: str, noise: float, rng: np.random.Generator) -> None:
    """The mean in the field of view, of objects that are no ellipses."""
    u = PARTLY[what]
    for n_det in (36, 44):
        A = ip.RayTransform((N, N), degrees(np.arange(180)), n_det)
        b = A.apply(u)
        v, _ = ip.fbp(A, b + np.float32(noise * b.max()) * rng.standard_normal(b.shape, dtype="float32"))
        inside = RADIUS < n_det / 2 - 3
        assert v[inside].mean() == pytest.approx(u[inside].mean(), rel=0.02)


def test_truncated_projections_of_a_chest() -> None:
    """No disc: with the inscribed circle's the middle is within 5 %, where zeros give 20 to 40 % too much."""
    u = np.maximum(ip.problem("ct", size=128)[2], 0)
    x = np.arange(128) - 63.5
    inside = np.hypot(x, x[:, None]) < 22
    for n_det in (64, 90):
        A = ip.RayTransform(u.shape, degrees(np.arange(180)), n_det)
        b = A.apply(u)
        assert ip.fbp(A, b)[0][inside].mean() == pytest.approx(u[inside].mean(), rel=0.06)
        assert ip.fbp(A, b, extend=False)[0][inside].mean() > 1.06 * u[inside].mean()


@pytest.mark.parametrize("options", [dict(n_det=36), dict(n_det=37, det_shift=12.0), {}])
def test_other_libraries_and_batches(options: dict, xp: ModuleType) -> None:
    A = ip.RayTransform((N, N), degrees(np.arange(0, 360, 4)), **options)
    b = A.apply(np.stack([disc(25.0), 0.5 * disc(24.0)]))
    x, info = ip.fbp(A, xp.asarray(b))
    assert isinstance(x, xp.ndarray) and x.shape == (2, N, N)
    for k in range(2):
        one, alone = ip.fbp(A, b[k])
        assert alone.parameters == info.parameters and abs(host(x[k]) - one).max() < 1e-4


@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_units(unit: float) -> None:
    """Squares of single precision overflow and vanish; images in other units are the same."""
    for options in (dict(n_det=36), dict(n_det=37, det_shift=12.0), {}):
        A = ip.RayTransform((N, N), degrees(np.arange(0, 360, 4)), **options)
        b = A.apply(disc(25.0))
        x, y = ip.fbp(A, b)[0], ip.fbp(A, np.float32(unit) * b)[0]
        np.testing.assert_allclose(y / np.float32(unit), x, atol=1e-4)


def test_an_object_inside_of_a_narrow_detector_is_left_as_it_is() -> None:
    """No end of the detector sees it: nothing is extended, nothing masked."""
    A = ip.RayTransform((N, N), degrees(np.arange(180)), 45)
    v, info = ip.fbp(A, A.apply(disc(16.0)))
    assert info.parameters == {} and v[RADIUS < 12].mean() == pytest.approx(1, abs=0.01)


# ---------------------------------------------------------------- what the angles do not determine


LIMITED = {
    "120 degrees": degrees(np.arange(120)),
    "a missing wedge": degrees(np.arange(-75, 76)),
    "two missing wedges": degrees(np.delete(np.arange(180), np.r_[20:50, 100:130])),
    "three clusters": degrees(*(np.linspace(c - 5, c + 5, 20) for c in (0, 60, 120))),
    "one turn more": degrees(np.arange(120), np.arange(120) + 360.0),
}


@pytest.mark.parametrize("what", LIMITED)
def test_limited_angles_are_said(what: str) -> None:
    for A in (ip.RayTransform((N, N), LIMITED[what]), ip.FanBeamTransform((N, N), LIMITED[what], **FAN)):
        with pytest.warns(RuntimeWarning, match="^fbp: the views leave out .* of the lines"):
            v, _ = ip.fbp(A, A.apply(disc(20.0)))
        assert np.isfinite(v).all() and v[RADIUS < 16].mean() < 0.98


def test_nearly_equal_angles_share_evenly() -> None:
    """So that noise is averaged over all of them: three measurements of an angle count a third each."""
    angles = np.deg2rad(np.repeat(np.arange(0, 180, 2.0), 3) + np.tile([-1e-4, 0, 1e-4], 90))
    np.testing.assert_allclose(angle_weights(angles), math.pi / 270, rtol=1e-6)


@pytest.mark.parametrize("name", ["extend", "mask"])
def test_flags(name: str) -> None:
    A = ip.RayTransform((8, 8), degrees(np.arange(0, 180, 10)))
    with pytest.raises(TypeError, match=f"^{name} is 'no'; expected True or False"):
        ip.fbp(A, np.ones(A.dimsd, "float32"), **{name: "no"})


# ---------------------------------------------------------------- own windows


BEAMS = {
    "parallel": lambda: ip.RayTransform((N, N), degrees(np.arange(0, 180, 2))),
    "fan": lambda: ip.FanBeamTransform((N, N), degrees(np.arange(0, 360, 2)), **FAN),
}


@pytest.mark.parametrize("beam", BEAMS)
def test_own_windows(beam: str) -> None:
    """A function and its samples give what the name gives; a number is a factor; a window is linear in the image."""
    A = BEAMS[beam]()
    b = A.apply(disc(18.0, 4.0, 3.0))
    hann, _ = ip.fbp(A, b, "hann")
    same, info = ip.fbp(A, b, lambda f: np.cos(np.pi * f / 2) ** 2)
    sampled, _ = ip.fbp(A, b, np.cos(np.linspace(0, np.pi / 2, 2001)) ** 2)
    np.testing.assert_allclose(same, hann, atol=1e-5)
    np.testing.assert_allclose(sampled, hann, atol=1e-5)
    np.testing.assert_allclose(ip.fbp(A, b, lambda f: 2.0)[0], 2 * ip.fbp(A, b)[0], atol=1e-5)
    assert info.filter == "own" and info.parameters == {}


@pytest.mark.parametrize("beam", BEAMS)
def test_the_cut_off_ends_the_window(beam: str) -> None:
    """At half of Nyquist "hann" is the window that is zero from there on, and a disc still keeps its value."""
    A = BEAMS[beam]()
    b = A.apply(disc(18.0, 4.0, 3.0))
    cut, info = ip.fbp(A, b, "hann", cutoff=0.5)
    own, _ = ip.fbp(A, b, lambda f: np.where(f < 0.5, np.cos(np.pi * f) ** 2, 0))
    np.testing.assert_allclose(cut, own, atol=1e-5)
    assert info.filter == "hann" and info.parameters == {"cutoff": 0.5}
    assert cut[np.hypot(X - 4, X[:, None] + 3) < 12].mean() == pytest.approx(1, abs=0.02)
    spectrum = abs(np.fft.fft2(ip.fbp(A, b, cutoff=0.4)[0]))
    f = np.fft.fftfreq(N)
    radius = np.hypot(f, f[:, None])
    assert spectrum[radius > 0.25].max() < 0.05 * spectrum[(radius > 0.05) & (radius < 0.2)].max()


WRONG = {
    "name": ("han", ValueError, "^filter is 'han'; expected one of 'ramp', .*, a function of the frequency"),
    "matrix": (np.ones((3, 3)), TypeError, r"^filter is an array of shape \(3, 3\) and dtype float64; expected a name"),
    "number": (3.0, TypeError, r"^filter is an array of shape \(\) and dtype float64"),
    "none": (None, TypeError, "^filter is None; expected a name"),
    "complex": (np.ones(3) + 1j, TypeError, "^filter is an array of shape .* dtype complex128"),
    "nan": (np.array([1.0, np.nan]), ValueError, "^filter has values that are not finite"),
    "function of a number": (lambda f: f[:2], TypeError, "^filter gives shape"),
    "infinite": (lambda f: 1 / (f - f), ValueError, "^filter has values that are not finite"),
}


@pytest.mark.filterwarnings("ignore:invalid value|divide by zero")
@pytest.mark.parametrize("what", WRONG)
def test_windows_that_are_none(what: str) -> None:
    filter, error, match = WRONG[what]
    A = ip.RayTransform((8, 8), degrees(np.arange(0, 180, 10)))
    with np.errstate(all="ignore"), pytest.raises(error, match=match):
        ip.fbp(A, np.ones(A.dimsd, "float32"), filter)


@pytest.mark.parametrize("cutoff", [0, 1.5, -1, "0.5", math.nan])
def test_cut_offs_that_are_none(cutoff: Any) -> None:
    A = ip.RayTransform((8, 8), degrees(np.arange(0, 180, 10)))
    with pytest.raises(ValueError, match="^cutoff is .*; expected a share of the Nyquist frequency in"):
        ip.fbp(A, np.ones(A.dimsd, "float32"), cutoff=cutoff)


@pytest.mark.parametrize("beam", ["parallel", "fan"])
def test_an_object_that_just_fits_the_detector_is_no_truncated_one(beam: str) -> None:
    """What a round field of view leaves of a chest: nothing goes on beyond it, and there is no bright rim."""
    u = np.maximum(ip.problem("ct", size=128)[2], 0)
    x = np.arange(128) - 63.5
    radius = np.hypot(x, x[:, None])
    u, inside = np.where(radius < 50, u, 0).astype("float32"), radius < 49
    if beam == "parallel":
        A: Any = ip.RayTransform(u.shape, degrees(np.arange(180)), 100)
    else:
        A = ip.FanBeamTransform(
            u.shape, degrees(np.arange(360)), 102, 1.5, source_distance=300.0, detector_distance=150.0
        )
    wide = A.with_detector(190, 0.0)
    v, info = ip.fbp(A, A.apply(u))
    assert 49 < info.parameters["field_of_view"] < 51.5 and not v[radius > 51.5].any()
    assert ip.psnr(v[inside], u[inside]) > ip.psnr(ip.fbp(wide, wide.apply(u))[0][inside], u[inside]) - 0.5


# ---------------------------------------------------------------- weights


def spoiled(A: Any, b: np.ndarray, w: np.ndarray) -> np.ndarray:
    """``b`` with nonsense where nothing counts."""
    lost = (w if w.ndim == 2 else np.repeat(w[:, None], A.n_det, axis=1)) == 0
    return np.where(lost, np.float32(50), b)


LOST = {
    "views at random": RNG.random(180) > 0.3,
    "a few views": ~np.isin(np.arange(180), [3, 50, 51, 170]),
    "a dead pixel": np.repeat(np.arange(70)[None] != 31, 180, axis=0),
    "readings at random": RNG.random((180, 70)) > 0.1,
    "both": (RNG.random((180, 70)) > 0.05) & (RNG.random(180) > 0.2)[:, None],
}


@pytest.mark.parametrize("beam", ["parallel", "fan"])
@pytest.mark.parametrize("what", LOST)
def test_what_does_not_count_is_left_out(what: str, beam: str) -> None:
    w = LOST[what]
    if beam == "parallel":
        A: Any = ip.RayTransform((N, N), degrees(np.arange(180)), 70)
    else:
        A = ip.FanBeamTransform((N, N), degrees(np.arange(0, 360, 2)), 70, 1.5, **FAN)
    u = disc(14.0, 9.0, -4.0)
    x, _ = ip.fbp(A, spoiled(A, A.apply(u), w), weights=w)
    inside = np.hypot(X - 9, X[:, None] - 4) < 10
    assert x[inside].mean() == pytest.approx(1, abs=0.02) and abs(x[inside] - 1).max() < 0.3
    assert abs(x[np.hypot(X - 9, X[:, None] - 4) > 18]).mean() < 0.05


@pytest.mark.parametrize("beam", ["parallel", "fan", "to one side"])
def test_views_of_the_same_lines_share_by_their_weights(beam: str) -> None:
    """A full turn whose second half is spoiled and counts for next to nothing, and the disc keeps its value."""
    w = np.where(np.arange(360) < 240, 1.0, 1e-6)
    angles = degrees(np.arange(360))
    if beam == "fan":
        A: Any = ip.FanBeamTransform((N, N), angles, **FAN)
    else:
        A = ip.RayTransform((N, N), angles, 100, det_shift=6.0 if beam == "to one side" else 0.0)
    b = A.apply(disc(14.0, 9.0, -4.0))
    inside = np.hypot(X - 9, X[:, None] - 4) < 10
    assert ip.fbp(A, b, weights=w)[0][inside].mean() == pytest.approx(1, abs=0.02)
    b[240:] *= 3
    assert ip.fbp(A, b, weights=w)[0][inside].mean() == pytest.approx(1, abs=0.02)
    assert ip.fbp(A, b)[0][inside].mean() > 1.2


def test_weights_that_are_all_the_same_change_nothing() -> None:
    A = ip.RayTransform((N, N), degrees(np.arange(360)))
    b = A.apply(np.stack([disc(14.0), disc(9.0, 3.0)]))
    x, _ = ip.fbp(A, b)
    for w in (np.ones(360), np.full(A.dimsd, 0.3), np.ones(360, dtype=bool)):
        np.testing.assert_array_equal(ip.fbp(A, b, weights=w)[0], x)


def test_weights_on_the_device(xp: ModuleType) -> None:
    A = ip.RayTransform((N, N), degrees(np.arange(0, 180, 4)), 70)
    w = (np.random.default_rng(0).random(A.dimsd) > 0.1) & (np.arange(45) % 7 > 0)[:, None]
    b = A.apply(disc(14.0, 3.0))
    x, _ = ip.fbp(A, xp.asarray(b), weights=xp.asarray(w))
    assert isinstance(x, xp.ndarray) and abs(host(x) - ip.fbp(A, b, weights=w)[0]).max() < 1e-4


def test_a_ramp_for_a_window_is_told() -> None:
    A = ip.RayTransform((16, 16), np.linspace(0, math.pi, 20, endpoint=False))
    b = A.apply(np.ones((16, 16), "float32"))
    for ramp in (np.abs, np.linspace(0, 1, 9)):
        with pytest.warns(RuntimeWarning, match="filter is 0 at frequency 0; expected the window"):
            ip.fbp(A, b, ramp)


@pytest.mark.parametrize(
    "name, window",
    [
        ("hamming", lambda f: 0.54 + 0.46 * np.cos(np.pi * f)),
        ("Ram-Lak", np.ones_like),
        ("Hann", lambda f: 0.5 + 0.5 * np.cos(np.pi * f)),
        ("Shepp-Logan", lambda f: np.sinc(f / 2)),
    ],
)
def test_windows_by_the_names_they_have_in_matlab(name: str, window: Any) -> None:
    A, b, _, _ = ip.problem("ct", size=24, views=18, dtype="float64")
    for cutoff in (1.0, 0.6):
        x, run = ip.fbp(A, b, name, cutoff=cutoff)
        np.testing.assert_allclose(x, ip.fbp(A, b, window, cutoff=cutoff)[0], rtol=1e-9, atol=1e-12 * abs(x).max())
    assert run.filter == name
