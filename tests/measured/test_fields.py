"""Flat and dark fields, the guard of the logarithm, bad pixels and zingers."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend

B = np.random.default_rng(0).uniform(0, 3, (6, 5, 8))  # (views, rows, columns)
FLAT = np.random.default_rng(1).uniform(900, 1100, (5, 8))
DARK = np.random.default_rng(2).uniform(90, 110, (5, 8))
COUNTS = DARK + (FLAT - DARK) * np.exp(-B)


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_undoes_the_law_of_beer_and_lambert(name: str, xp: ModuleType) -> None:
    counts, flats, darks = (backend.to_device(a.astype(name), xp) for a in (COUNTS, FLAT, DARK))
    before = counts.copy()
    T, guard = ip.measured.flat_field(counts, flats, darks)
    b = ip.measured.minus_log(T)
    assert b.dtype == name and type(b) is type(counts) and bool((counts == before).all())
    assert np.allclose(backend.to_host(b), B, atol=1e-4 if name == "float32" else 1e-12)
    assert (guard.readings, guard.low, guard.saturated, guard.dead) == (240, 0, 0, 0) and bool(guard.trusted.all())


def test_median_and_mean_of_frames_and_one_row() -> None:
    frames = np.stack([FLAT - 30, FLAT, FLAT + 60])
    T, _ = ip.measured.flat_field(COUNTS, frames, DARK)
    assert np.allclose(-np.log(T), B)
    T, _ = ip.measured.flat_field(COUNTS, frames, DARK, average="mean")
    assert np.allclose(T, (COUNTS - DARK) / (FLAT + 10 - DARK))
    T, _ = ip.measured.flat_field(COUNTS[:, 2], frames[:, 2], DARK[2])
    assert np.allclose(-np.log(T), B[:, 2])


def test_beam_that_fades_from_the_flats_before_to_those_after() -> None:
    beam = np.linspace(1, 0.8, 6)[:, None, None]
    counts = DARK + beam * (FLAT - DARK) * np.exp(-B)
    T, _ = ip.measured.flat_field(counts, FLAT, DARK, flats_after=DARK + 0.8 * (FLAT - DARK))
    assert np.allclose(-np.log(T), B)


def test_zero_negative_and_saturated_readings_are_told_apart() -> None:
    counts = np.full((3, 2, 4), 600, dtype=np.uint16)
    counts[0, 0] = [0, 100, 101, 65535]  # below the dark field, at it, just above, saturated
    flats = np.full((5, 2, 4), 1100, dtype=np.uint16)
    flats[:, 1, 2] = 65535  # a pixel whose flat field is saturated
    flats[:, 1, 3] = 90  # a dead one
    T, guard = ip.measured.flat_field(counts, flats, np.full((2, 4), 100), floor=0.01)
    assert (guard.low, guard.saturated, guard.dead) == (3, 1 + 3, 3)
    assert np.allclose(T[0, 0, :3], 0.01) and T.dtype == np.float32
    expected = np.ones((3, 2, 4), dtype=bool)
    expected[0, 0] = False
    expected[:, 1, 2:] = False
    assert np.array_equal(guard.trusted, expected)
    assert np.allclose(T[1, 1, 3], (T[1, 1, 2] + T[1, 0, 3]) / 2)  # from the pixels beside and above
    _, guard = ip.measured.flat_field(counts, flats, saturation=4095)
    assert guard.saturated == 1 + 3 and guard.low == 1


def test_fill_in_is_exact_for_a_plane_and_takes_the_nearest_at_the_border(xp: ModuleType) -> None:
    y, x = np.mgrid[:6, :7].astype(np.float64)
    plane = np.stack([2 * x - y, x + 3 * y + 1])
    dead = np.zeros((6, 7), dtype=bool)
    dead[2, 3] = dead[4, 2] = dead[:, 5] = True
    spoilt = backend.to_device(np.where(dead, 1e9, plane), xp)
    filled = backend.to_host(ip.measured.fill_in(spoilt, backend.to_device(dead, xp)))
    assert np.allclose(filled, plane)
    corner = np.zeros((6, 7), dtype=bool)
    corner[0, 0] = True
    assert np.allclose(ip.measured.fill_in(plane, corner)[:, 0, 0], (plane[:, 0, 1] + plane[:, 1, 0]) / 2)
    with pytest.raises(ValueError, match=r"dead covers the whole row and column of pixel \(0, 0\)"):
        ip.measured.fill_in(plane, np.ones((6, 7), dtype=bool))


def test_dead_pixels_are_those_that_were_made_so() -> None:
    rng = np.random.default_rng(0)
    gain = 1 + 0.02 * rng.standard_normal((40, 50)) + np.linspace(0, 0.5, 50)
    dead = np.zeros((40, 50), dtype=bool)
    dead[3, 4] = dead[20, 49] = dead[39, 0] = dead[10:12, 30] = dead[:, 17] = dead[25, 25] = True
    flats = rng.poisson(2000 * np.where(dead, 0.2, gain), (10, 40, 50)).astype(np.uint16)
    darks = rng.poisson(100, (10, 40, 50)).astype(np.uint16)
    flats[:, 25, 25], darks[:, 39, 0] = 2000, 1500  # stuck at a likely number; hot
    assert np.array_equal(ip.measured.dead_pixels(flats + 100, darks), dead)
    assert np.array_equal(ip.measured.dead_pixels(flats[:, 5] + 100), dead[5])
    assert not ip.measured.dead_pixels(np.full((40, 50), 1000.0)).any()


def test_zingers_go_and_the_object_stays(xp: ModuleType) -> None:
    A, b, _, _ = ip.problem("ct", image="shepp-logan", size=64, views=90)
    rng = np.random.default_rng(0)
    counts = rng.poisson(2000 * np.exp(-b / b.max() * 3)).astype(np.float32)
    where = np.zeros(counts.shape, dtype=bool)
    where[rng.integers(0, 90, 40), rng.integers(0, counts.shape[1], 40)] = True
    hit = backend.to_device(np.where(where, counts + 2000, counts), xp)
    clean, found = (backend.to_host(a) for a in ip.measured.remove_zingers(hit))
    assert np.array_equal(found, where)
    assert np.array_equal(clean[~where], counts[~where])
    assert np.median(abs(clean - counts)[where]) < 50  # as noise is; where an edge passes, more
    assert not ip.measured.remove_zingers(counts)[1].any()
    three = np.stack([counts] * 3, axis=1).astype(np.uint16)
    three[4, 1, 20] = 9000
    clean, found = ip.measured.remove_zingers(three)
    assert clean.dtype == np.uint16 and found.sum() == 1 and found[4, 1, 20]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda m: m.flat_field(COUNTS, FLAT[:, :7], DARK),
            r"flats has shape \(5, 7\); the panel is \(5, 8\), expected",
        ),
        (lambda m: m.flat_field(COUNTS, FLAT, DARK[:4]), "darks has shape"),
        (lambda m: m.flat_field(COUNTS, FLAT, DARK, flats_after=FLAT[0]), "flats_after has shape"),
        (lambda m: m.flat_field(COUNTS, DARK, FLAT), "flats are nowhere above darks"),
        (lambda m: m.flat_field(COUNTS, 1000.0), "flats is float; expected an array of frames"),
        (lambda m: m.flat_field(COUNTS * 1j, FLAT), "projections has dtype complex128; expected real numbers"),
        (
            lambda m: m.flat_field(COUNTS[0, 0], FLAT),
            r"projections has shape \(8,\); expected \(views, rows, columns\)",
        ),
        (lambda m: m.flat_field(np.where(B > 2, np.inf, B), FLAT), "projections has NaN or infinite entries"),
        (lambda m: m.flat_field(COUNTS, FLAT, floor=0), "floor is 0; expected"),
        (lambda m: m.flat_field(COUNTS, FLAT, saturation=-1), "saturation is -1; expected a positive number of counts"),
        (lambda m: m.flat_field(COUNTS, FLAT, saturation=1.0), "projections or flats are saturated in all of 240"),
        (lambda m: m.flat_field(COUNTS, FLAT, average="mode"), "average is 'mode'; expected one of"),
        (lambda m: m.flat_field(COUNTS, FLAT, dtype="int16"), "dtype is int16; expected float32 or float64"),
        (lambda m: m.minus_log(-B), "T has 240 entries that are not positive"),
        (lambda m: m.minus_log(np.ones((2, 3), dtype=int)), "T has dtype int64; expected float32 or float64"),
        (lambda m: m.fill_in(B, np.zeros(8, dtype=bool)), "dead has shape"),
        (lambda m: m.remove_zingers(B, size=4), "size is 4; expected an odd number"),
        (lambda m: m.remove_zingers(B[:2]), "x has 2 views; expected at least 3"),
        (lambda m: m.dead_pixels(FLAT[0]), r"flats has shape \(8,\); expected"),
    ],
)
def test_refused(call, words: str) -> None:  # noqa: ANN001
    with pytest.raises((TypeError, ValueError), match=words):
        call(ip.measured)
