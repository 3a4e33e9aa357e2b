"""A scan with everything that is wrong with scans, from counts to values in 1/length."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend
from ipbox.problems.truths.phantoms import Ellipse
from tests.measured.scans import integrals

ANGLES = np.linspace(0, np.pi, 240, endpoint=False)
N, SHIFT = 160, 6.3
# attenuation in 1/column: the body, and two inserts on top of it
KNOWN = (
    Ellipse(0.02, 3.0, -4.0, 55.0, 45.0),
    Ellipse(0.015, 25.0, 5.0, 13.0, 13.0),
    Ellipse(-0.01, -20.0, 8.0, 12.0, 15.0),
)
PLACES = {0.02: (3.0, -30.0), 0.035: (25.0, 5.0), 0.01: (-20.0, 8.0)}


def scan(rows: int = 3, photons: float = 2e4, seed: int = 0, fades: float = 0.0, drift: float = 0.02) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    b = np.repeat(integrals(ANGLES, N, SHIFT, KNOWN)[:, None], rows, axis=1)
    gain = 1 + 0.05 * rng.standard_normal((rows, N)) + 0.2 * np.linspace(-1, 1, N) ** 2
    gain_error = 1 + drift * rng.standard_normal((rows, N))  # since the flat fields
    dead = np.zeros((rows, N), dtype=bool)
    dead[rng.integers(0, rows, 3), [20, 77, 130]] = True
    beam = np.linspace(1, 1 - fades, len(ANGLES))[:, None, None]
    signal = np.where(dead, 0.05, gain) * photons
    counts = 100 + rng.poisson(beam * gain_error * signal * np.exp(-b))
    hit = rng.uniform(size=counts.shape) < 1e-3
    counts = np.minimum(counts + hit * rng.integers(5000, 20000, counts.shape), 65535)
    given = {"projections": counts.astype(np.uint16), "angles": ANGLES, "true": b, "broken": dead, "hit": hit}
    given["flats"] = (100 + rng.poisson(signal, (20, rows, N))).astype(np.uint16)
    given["flats_after"] = (100 + rng.poisson((1 - fades) * signal, (20, rows, N))).astype(np.uint16)
    given["darks"] = (100 + np.rint(2 * rng.standard_normal((20, rows, N)))).astype(np.uint16)
    return given


def prepared(given: dict[str, Any], **options: Any) -> tuple[np.ndarray, Any]:
    names = ("projections", "flats", "darks", "angles")
    return ip.measured.prepare(**{name: given[name] for name in names}, **options)


def test_flats_that_were_averaged_leave_the_noise_level_to_the_views() -> None:
    """They vary less than the darks, and tell nothing of single readings."""
    given = scan(photons=2e3, drift=0.0)
    wobble = np.random.default_rng(1).standard_normal((6, *given["flats"].shape[1:]))
    given["flats"] = (given["flats"].mean(axis=0) + 0.5 * wobble).astype(np.float32)
    given["projections"] = given["projections"].astype(np.float32)
    given["darks"] = given["darks"].astype(np.float32)
    b, info = prepared(given)
    assert info.noise_from == "views"
    assert info.noise_level / np.linalg.norm(b - given["true"]) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("seed", range(3))
def test_values_of_known_attenuation_within_one_per_cent(seed: int) -> None:
    given = scan(fades=0.1, seed=seed, drift=0.005)
    b, info = prepared(given, flats_after=given["flats_after"])
    assert info.det_shift == pytest.approx(SHIFT, abs=0.25)
    A = ip.RayTransform((N, N), ANGLES, n_det=N, det_shift=info.det_shift)
    u = ip.fbp(A, b[:, 1], "hann")[0]
    y, x = 0.5 * (N - 1) - np.arange(N)[:, None], np.arange(N) - 0.5 * (N - 1)
    for value, (x0, y0) in PLACES.items():
        found = u[np.hypot(x - x0, y - y0) < 8].mean()
        assert found == pytest.approx(value, rel=0.01), value


def test_what_was_wrong_is_counted() -> None:
    given = scan()
    before = given["projections"].copy()
    b, info = prepared(given)
    assert b.dtype == np.float32 and b.shape == before.shape and np.array_equal(given["projections"], before)
    assert info.dead == given["broken"].sum() and info.guard.low == info.guard.dead == 0
    lost = given["hit"] & ~given["broken"]
    assert (~info.trusted & lost).sum() > 0.9 * lost.sum()  # some hit a bright reading, and do not stand out
    assert info.zingers < 1.1 * given["hit"].sum()
    assert not info.trusted[:, given["broken"]].any()
    assert info.stripes == pytest.approx(0.02, rel=0.25)
    error = np.linalg.norm(b - given["true"])
    plain = np.linalg.norm(prepared(given, dead=False, zingers=False, stripes=None)[0] - given["true"])
    assert error < 0.6 * plain


def test_the_noise_level_needs_no_number_from_the_user() -> None:
    """By the frames, and by neighbouring views where there are none; lam="discrepancy" takes it."""
    given = scan(rows=2, photons=3e3)
    b, info = prepared(given)
    assert info.noise_from == "flats"
    assert info.noise_level / np.linalg.norm(b - given["true"]) == pytest.approx(1, abs=0.12)
    given["flats"], given["darks"] = given["flats"][:1], given["darks"][:1]
    _, info = prepared(given)
    assert info.noise_from == "views"
    assert info.noise_level / np.linalg.norm(b - given["true"]) == pytest.approx(1, abs=0.15)


def test_binning_keeps_the_axis_and_the_values() -> None:
    given = scan(rows=4)
    fine, one = prepared(given, zingers=False, stripes=None)
    wide, two = prepared(given, zingers=False, stripes=None, binning=2)
    assert wide.shape == (240, 2, 80) and two.det_spacing == 2.0
    assert two.det_shift == pytest.approx(one.det_shift, abs=0.3)
    assert np.allclose(wide.mean(axis=(0, 1)), fine.reshape(240, 2, 2, 80, 2).mean(axis=(0, 1, 2, 4)), atol=0.02)


def test_known_axis_and_other_steps() -> None:
    given = scan(rows=1)
    _, info = prepared(given, centre=70.5, det_spacing=0.5)
    assert info.centre is None and info.det_shift == pytest.approx((79.5 - 70.5) * 0.5)
    assert prepared(given, centre=False)[1].det_shift == 0
    assert prepared(given, centre=70.5, binning=1)[1].det_shift == 9.0
    b, info = prepared(given, hardening=[1.0, 0.05], centre=False)
    plain, _ = prepared(given, centre=False)
    assert np.allclose(b, plain + 0.05 * plain**2, atol=1e-5) and info.noise_from == "views"
    phase = dict(delta_beta=200.0, energy=20.0, distance=0.01, pixel_size=1e-6)
    smooth, info = prepared(given, phase=phase, centre=False)
    assert np.linalg.norm(np.diff(smooth, axis=2)) < np.linalg.norm(np.diff(plain, axis=2))


@pytest.mark.parametrize("binning", [1, 2])
def test_on_the_device(xp: ModuleType, binning: int) -> None:
    """The same there as here, in the dtype that was asked for, and the picture is drawn."""
    given = scan(rows=2)
    there = given | {name: backend.to_device(given[name], xp) for name in ("projections", "flats", "darks")}
    b, info = prepared(there, binning=binning, dtype="float64")
    expected, known = prepared(given, binning=binning, dtype="float64")
    assert type(b) is type(there["flats"]) and b.dtype == np.float64
    assert np.allclose(backend.to_host(b), expected, atol=1e-10)
    assert info.det_shift == pytest.approx(known.det_shift) and info.noise_level == pytest.approx(known.noise_level)
    assert np.array_equal(backend.to_host(info.trusted), known.trusted)


def test_picture_and_report(tmp_path: Any) -> None:
    _, info = prepared(scan(rows=2))
    info.plot(tmp_path / "scan.png")
    assert (tmp_path / "scan.png").stat().st_size > 20_000
    told = info.report()
    assert told["dead"] == info.dead and told["centre"]["method"] == "wedge" and len(told["steps"]) == 6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"angles": ANGLES[:-1]}, "angles has 239 entries; projections has 240 views, expected one for each"),
        ({"angles": np.rad2deg(ANGLES)}, "looks like degrees"),
        ({"flats": np.ones((5, 2, N - 1))}, "flats has shape"),
        ({"darks": np.ones((5, N))}, "darks has shape"),
        ({"dead": 1}, "dead is 1; expected True or False"),
        ({"binning": 0}, "binning is 0; expected an integer from 1 to 2 of the panel"),
        ({"centre": "middle"}, "centre is 'middle'; expected a column of the panel, True or False"),
        ({"centre": 1000.0}, "centre is 1000.0; expected a column of the panel"),
        ({"cor": 80.0}, "prepare.. has no keyword 'cor'; expected centre"),
        ({"phase": {"energy": 3.0}}, "paganin"),
        ({"phase": 5}, "phase is int; expected a dictionary of the keywords of paganin"),
        ({"stripes": True}, "stripes is True; expected a positive number of columns, or None"),
        ({"det_spacing": -1.0}, "det_spacing is -1.0; expected a positive number"),
        ({"projections": np.ones((240, 2, N), dtype=bool)}, "projections has dtype bool; expected real numbers"),
        (
            {"projections": np.ones((240, 2, N), dtype="float16")},
            "projections has dtype float16; expected integers, fl",
        ),
        ({"projections": np.ones((2, 2, N))}, "projections has 2 views; expected at least 3"),
        (
            {"flats_after": np.ones((5, 1, N))},
            r"flats_after has shape .*; the panel is .*, expected \(frames, 2, 160\)",
        ),
    ],
)
def test_refused(changes: dict[str, Any], words: str) -> None:
    given = scan(rows=2)
    taken = {k: v for k, v in changes.items() if k in ("projections", "flats", "darks", "angles")}
    with pytest.raises((TypeError, ValueError), match=words):
        prepared(given | taken, **{k: v for k, v in changes.items() if k not in taken})
