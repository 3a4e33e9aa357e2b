"""The axis of rotation: within a quarter of a column with noise, and of the sign that the operators have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ipbox as ip
from tests.measured.scans import HALF, TURN, integrals, noisy

SEEDS = 20


def errors(angles: np.ndarray, n: int, shift: float, photons: float = 500.0, **options: Any) -> np.ndarray:
    """In columns, over 20 seeds."""
    b = integrals(angles, n, shift)
    found = [ip.measured.find_centre(noisy(b, photons, seed), angles, **options) for seed in range(SEEDS)]
    return np.array([centre.det_shift - shift for centre in found])


@pytest.mark.parametrize("shift", [0.0, 3.3, -12.85])
def test_half_a_turn_within_a_quarter_of_a_column(shift: float) -> None:
    found = errors(HALF, 128, shift)
    assert abs(found).max() < 0.25 and abs(found.mean()) < 0.05


@pytest.mark.parametrize(("n", "shift"), [(128, 0.0), (127, -9.4), (80, 32.6), (80, -31.25)])
def test_whole_turn_within_a_quarter_of_a_column_also_with_the_panel_set_to_one_side(n: int, shift: float) -> None:
    found = errors(TURN, n, shift)
    assert abs(found).max() < 0.25 and abs(found.mean()) < 0.05


def test_half_a_turn_of_which_the_panel_sees_the_middle() -> None:
    found = errors(np.linspace(0, np.pi, 180, endpoint=False), 60, 1.7, photons=2e4)
    assert abs(found).max() < 0.25
    assert ip.measured.find_centre(integrals(HALF, 60, 1.7), HALF).method == "seam"


@pytest.mark.parametrize("beam", ["parallel", "fan", "cone"])
def test_det_shift_is_that_of_the_operators(beam: str) -> None:
    """Data of an operator with a shift give it back, and so does the closed form."""
    x = ip.problem("ct", size=64, views=4)[2].astype(np.float32)
    turn, far = np.linspace(0, 2 * np.pi, 120, endpoint=False), {"source_distance": 200.0, "detector_distance": 100.0}
    for shift in (5.25, -28.0):
        if beam == "parallel":
            A, known = ip.RayTransform((64, 64), turn, n_det=100, det_shift=shift, det_spacing=0.8), {}
        elif beam == "fan":
            A, known = ip.FanBeamTransform((64, 64), turn, n_det=120, det_shift=shift, det_spacing=1.2, **far), far
        else:
            place = {"n_det": (4, 120), "det_shift": (0.0, shift), "det_spacing": 1.2}
            A, known, x = ip.ConeBeamTransform((6, 64, 64), turn, **place, **far), far, np.stack([x] * 6)
        centre = ip.measured.find_centre(A.apply(x), turn, det_spacing=1.2 if known else 0.8, **known)
        assert centre.det_shift == pytest.approx(shift, abs=0.12 if known else 0.08)
        assert centre.method == "opposite"
        x = x[0] if x.ndim == 3 else x


def test_views_in_any_order_with_the_end_uneven_and_counted_backwards() -> None:
    rng = np.random.default_rng(0)
    with_end = np.linspace(0.4, 0.4 + np.pi, 91)
    for angles in (with_end, with_end[::-1], rng.permutation(with_end), HALF + rng.uniform(-0.01, 0.01, HALF.size)):
        centre = ip.measured.find_centre(integrals(angles, 128, 4.4), angles)
        assert centre.det_shift == pytest.approx(4.4, abs=0.05)
    more = np.linspace(0, 1.4 * np.pi, 130)  # of more than half a turn, half a one is taken
    assert ip.measured.find_centre(integrals(more, 128, 4.4), more).det_shift == pytest.approx(4.4, abs=0.05)


def test_rows_are_pooled_and_the_data_are_left_as_they_are() -> None:
    b = np.stack([noisy(integrals(HALF, 128, 6.2), 100.0, seed) for seed in range(10)], axis=1).astype(np.float32)
    before = b.copy()
    one, all_of_them = (ip.measured.find_centre(b, HALF, rows=rows).det_shift for rows in (3, range(10)))
    assert abs(all_of_them - 6.2) < 0.1 and abs(one - 6.2) < 0.5
    assert np.array_equal(b, before)
    assert ip.measured.find_centre(b, HALF).column == pytest.approx(63.5 - 6.2, abs=0.15)


def test_data_moved_by_whole_columns_have_their_axis_moved() -> None:
    """Of a slice of a lung, whose axis is not known."""
    A, b, _, _ = ip.problem("ct", size=128, views=90, noise=0.01)
    at = [ip.measured.find_centre(np.pad(b, ((0, 0), pad)), A.angles).column for pad in ((0, 0), (14, 0), (0, 14))]
    assert at[1] - at[0] == pytest.approx(14.0, abs=0.02) and at[2] == pytest.approx(at[0], abs=0.02)


@pytest.mark.parametrize(("angles", "shift"), [(HALF, 4.6), (TURN, -7.3)])
def test_sharpness_of_the_image_agrees_with_what_was_found(angles: np.ndarray, shift: float) -> None:
    b = noisy(integrals(angles, 128, shift), 1000.0, 0).astype(np.float32)
    found = ip.measured.find_centre(b, angles).column
    checked = ip.measured.check_centre(b, angles, found + 1.7)
    assert checked.method == "sharpness" and checked.column == pytest.approx(found, abs=0.3)
    assert checked.det_shift == pytest.approx(shift, abs=0.3)


def test_sharpness_in_fan_beam_and_what_it_does_not_tell() -> None:
    far = {"source_distance": 250.0, "detector_distance": 100.0}
    A = ip.FanBeamTransform((64, 64), TURN, n_det=90, det_shift=5.0, det_spacing=1.4, **far)
    b = A.apply(ip.problem("ct", size=64, views=4)[2].astype(np.float32))
    checked = ip.measured.check_centre(b, TURN, 44.5 - 5.0 / 1.4 + 1.0, det_spacing=1.4, **far)
    assert checked.det_shift == pytest.approx(5.0, abs=0.4)
    with pytest.raises(ValueError, match="column is 90; expected one of the panel"):
        ip.measured.check_centre(b, TURN, 90)
    with pytest.raises(ValueError, match="column is 12; expected one in the middle half of 90"):
        ip.measured.check_centre(b, TURN, 12)
    with pytest.raises(ValueError, match="row is 1; expected 0 to 0"):
        ip.measured.check_centre(b, TURN, 30, row=1)
    with pytest.raises(ValueError, match="angles cover 90°; expected half a turn"):
        ip.measured.check_centre(b, TURN / 4, 30)
    with pytest.raises(ValueError, match="angles has 179 entries; b has 180 views"):
        ip.measured.check_centre(b, TURN[1:], 30)


def test_a_measured_tilt_series_does_not_go_around() -> None:
    """Real data of 152 degrees, which have no axis to be found by these."""
    A, b, _, _ = ip.problem("tomography-measured")
    with pytest.raises(ValueError, match="angles cover 152°; expected half a turn"):
        ip.measured.find_centre(b, A.angles)


def test_weak_objects_are_not_taken_for_cut_off_ones() -> None:
    b = noisy(0.02 * integrals(HALF, 128, 3.0), 1e4, 0)
    assert ip.measured.find_centre(b, HALF).method == "wedge"


def test_picture(tmp_path: Any) -> None:
    centre = ip.measured.find_centre(integrals(HALF, 128, 2.0), HALF)
    centre.plot(tmp_path / "centre.png")
    assert (tmp_path / "centre.png").stat().st_size > 5000
    assert centre.curve["column"][np.argmin(centre.curve["criterion"])] == pytest.approx(centre.column, abs=0.5)
    assert centre.report()["method"] == "wedge"


B = integrals(HALF, 64)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((B, HALF[:-1]), {}, "angles has 89 entries; b has 90 views, expected one for each"),
        ((B, np.rad2deg(HALF)), {}, "looks like degrees; expected radians"),
        ((B, HALF / 2), {}, "angles cover 89°; expected half a turn, 180°, at least"),
        ((B, np.zeros(90)), {}, "angles has most views at the same angle"),
        ((B, np.where(HALF > 1.5, HALF + 0.4, HALF)), {}, "angles have a gap of"),
        ((B, HALF), {"method": "opposite"}, "angles cover half a turn; method 'opposite' expects a whole one"),
        ((B, 2 * HALF), {"method": "wedge"}, "angles cover a whole turn; method 'wedge' expects half a one"),
        ((B, HALF), {"source_distance": 100.0}, "angles cover half a turn; fan and cone beam expect a whole one"),
        ((B, HALF), {"method": "vo"}, "method is 'vo'; expected one of"),
        ((B, HALF), {"within": (10, 5)}, "within is"),
        ((B, HALF), {"within": 3}, "within is 3; expected two columns"),
        ((B, HALF), {"within": [[1, 2], [3]]}, "within is .*; expected two columns"),
        ((B, HALF), {"within": (10, 20)}, "the criterion is least at the end of the search"),
        ((B, HALF), {"rows": 1}, "rows is 1; expected an integer from 0 to 0 of the panel"),
        ((B, HALF), {"det_spacing": 0}, "det_spacing is 0; expected a positive number"),
        ((0 * B, HALF), {}, "b is the same number everywhere"),
        ((B[0], HALF), {}, "b has shape"),
        ((B * 1j, HALF), {}, "b has dtype complex128; expected real numbers"),
        ((B.astype(int), HALF), {}, "b has dtype int64; expected line integrals in float32 or float64"),
        ((B.tolist(), HALF), {}, "b is list; expected an array"),
        ((np.where(B > 1, np.nan, B), HALF), {}, "b has NaN or infinite entries"),
    ],
)
def test_refused(arguments: tuple, options: dict, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        ip.measured.find_centre(*arguments, **options)


@pytest.mark.parametrize("turn", [HALF, TURN], ids=["half", "whole"])
def test_noise_has_no_axis(turn: np.ndarray) -> None:
    """Which an object in noise has."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        with pytest.raises(ValueError, match=r"b has neighbouring columns of correlation -?[\d.e-]+, as noise has"):
            ip.measured.find_centre(rng.standard_normal((turn.size, 3, 96)), turn)
    clear = integrals(turn, 96, 2.0)[:, None]
    b = clear + 0.2 * clear.std() * rng.standard_normal((turn.size, 3, 96))
    assert ip.measured.find_centre(b, turn).det_shift == pytest.approx(2.0, abs=0.5)
