"""Groups of isometries: axioms, actions that are homomorphisms and unitary, what the fields are, what is refused."""

from __future__ import annotations

from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ipbox.backend import to_host
from ipbox.groups import FIELDS, Dihedral, Group, Isometry, Rotations, RotoTranslations, Translations, as_group

EXACT = [*(Rotations(m) for m in (1, 2, 4)), *(Dihedral(m) for m in (1, 2, 4))]
SHIFTING = [Translations((3, 3)), RotoTranslations((3, 3)), RotoTranslations((3, 3), 2, mirrors=True)]
INEXACT = [Rotations(3), Rotations(8), Dihedral(6)]


def named(value: Any) -> str:
    return str(value)


def images(group: Group, dims: tuple[int, int], field: str) -> np.ndarray:
    """Two samples of two fields."""
    block = {"scalar": 1, "vector": 2, "regular": group.point_order}[field]
    return np.random.default_rng(0).standard_normal((2, 2 * block, *dims))


@pytest.mark.parametrize("group", [*EXACT, *SHIFTING, *INEXACT], ids=named)
def test_axioms(group: Group) -> None:
    elements = list(group)
    assert len(set(elements)) == len(group) == group.order and elements[0] == group.identity
    few = elements[:: max(1, len(elements) // 8)]
    for g, h, k in product(few, repeat=3):
        assert (g @ h) @ k == g @ (h @ k)
    for g in elements:
        assert g @ g.inverse == group.identity == g.inverse @ g and g @ group.identity == g == group.identity @ g
        assert g in group and g.inverse in group


def test_dihedral_relations() -> None:
    """sρs = ρ⁻¹, ρ^m = 1 = s², and quarter turns and mirror images do not commute."""
    D = Dihedral(4)
    r, s, power = D.element(1), D.element(mirrored=True), D.identity
    for _ in range(4):
        power = power @ r
    assert power == D.identity == s @ s and s @ r @ s == r.inverse and s @ r != r @ s


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("group", [*EXACT, *SHIFTING], ids=named)
def test_action_is_a_unitary_homomorphism(group: Group, field: str) -> None:
    u = images(group, (3, 3), field)
    v, before = np.random.default_rng(1).standard_normal(u.shape), u.copy()
    elements = list(group)
    for g in elements:
        assert np.isclose(np.vdot(g(u, field), g(v, field)), np.vdot(u, v), rtol=1e-12)
        for h in elements[:: max(1, len(elements) // 8)]:
            assert np.array_equal((g @ h)(u, field), g(h(u, field), field))
    assert np.array_equal(group.identity(u, field), u)
    assert not np.shares_memory(group.identity(u, field), u) and np.array_equal(u, before)


@pytest.mark.parametrize("group", [*EXACT, RotoTranslations((5, 5), mirrors=True)], ids=named)
def test_pixels_move_by_the_matrix(group: Group) -> None:
    """A unit at x goes to Rx + t: the formula, written out for every pixel."""
    centre = np.array([2, 2])
    for g in list(group)[::7] + [group.identity]:
        for x in np.ndindex(5, 5):
            u = np.zeros((5, 5))
            u[x] = 1
            y = (g.matrix @ (x - centre) + centre + g.shift) % 5
            assert g(u)[tuple(y.astype(int))] == 1 and g(u).sum() == 1


@pytest.mark.parametrize("group", [*EXACT, SHIFTING[2]], ids=named)
def test_gradients_are_vector_fields(group: Group) -> None:
    """∇(g·u) = g·∇u with central differences of a periodic image, as π(R) has it."""

    def gradient(u: np.ndarray) -> np.ndarray:
        return np.stack([np.roll(u, -1, a) - np.roll(u, 1, a) for a in (-2, -1)], axis=-3)

    u = np.random.default_rng(2).standard_normal((2, 3, 3))
    for g in group:
        np.testing.assert_allclose(gradient(g(u)), g(gradient(u), "vector"), atol=1e-14)


@pytest.mark.parametrize("group", EXACT, ids=named)
def test_correlations_with_all_turned_patterns_are_a_regular_field(group: Group) -> None:
    """c_h = ⟨u(x + ·), h·ψ⟩ for periodic u; that of g·u is g·c."""
    psi = np.random.default_rng(3).standard_normal((3, 3))

    def lifted(u: np.ndarray) -> np.ndarray:
        shifted = [(i, j, np.roll(u, (1 - i, 1 - j), (-2, -1))) for i, j in np.ndindex(3, 3)]
        return np.stack([sum(h(psi)[i, j] * v for i, j, v in shifted) for h in group], axis=-3)

    u = np.random.default_rng(4).standard_normal((5, 5))
    for g in group:
        np.testing.assert_allclose(lifted(g(u)), g(lifted(u), "regular"), atol=1e-13)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float32", "float64", "complex64"])
def test_dtype_is_kept(dtype: str) -> None:
    u = np.random.default_rng(5).integers(0, 2, (1, 2, 4, 4)).astype(dtype)
    for g in Dihedral(4):
        assert g(u).dtype == u.dtype
    if u.dtype.kind in "fc":
        assert all(g(u, "vector").dtype == u.dtype for g in Rotations(8))


def test_other_angles_interpolate() -> None:
    """Of second order on smooth images; exact where the angle is a quarter turn, and said so."""
    errors = []
    for n in (32, 64):
        x, y = np.meshgrid(*[np.linspace(-1, 1, n)] * 2)
        g = Rotations(8).element(1)
        c = np.sqrt(0.5)
        bump = lambda p, q: np.exp(-20 * ((p - 0.3) ** 2 + 2 * q**2))  # noqa: E731
        turned = bump(c * x - c * y, c * x + c * y)  # rows grow downwards: R⁻¹ in (x, y) is counterclockwise
        errors.append(abs(g(bump(x, y)) - turned).max())
    assert errors[0] / errors[1] > 3.5 and errors[1] < 0.02
    u = np.random.default_rng(6).standard_normal((6, 6))
    assert np.array_equal(Rotations(8).element(2)(u), np.rot90(u))
    assert [g.exact for g in Rotations(8)] == [True, False] * 4
    assert not Rotations(8).exact and not Dihedral(3).exact and all(group.exact for group in EXACT)


def test_other_angles_are_unitary_and_a_homomorphism_up_to_interpolation() -> None:
    x, y = np.meshgrid(*[np.linspace(-1, 1, 64)] * 2)
    u = np.exp(-15 * ((x - 0.3) ** 2 + 2 * y**2))
    for g, h in product(Dihedral(6), repeat=2):
        error = np.linalg.norm((g @ h)(u) - g(h(u))) / np.linalg.norm(u)
        assert error < 0.03 and abs(np.linalg.norm(g(u)) / np.linalg.norm(u) - 1) < 0.03


def test_random_elements_are_uniform() -> None:
    rng, group = np.random.default_rng(7), RotoTranslations((2, 2), mirrors=True)
    counts = np.bincount([list(group).index(group.random(rng)) for _ in range(3200)], minlength=32)
    assert counts.sum() == 3200 and ((counts - 100) ** 2 / 100).sum() < 61.1  # chi squared of 31, 99.9 %
    assert group.random(np.random.default_rng(8)) == group.random(np.random.default_rng(8))


@pytest.mark.parametrize("group", [Dihedral(4), RotoTranslations((4, 4)), Rotations(8)], ids=named)
@pytest.mark.parametrize("field", FIELDS)
def test_every_array_library(group: Group, field: str, xp: ModuleType) -> None:
    u = images(group, (4, 4), field).astype("float32")
    for g in list(group)[::3]:
        found = g(xp.asarray(u), field)
        assert isinstance(found, xp.ndarray) and found.dtype == np.float32
        assert np.array_equal(to_host(found), g(u, field))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: Rotations(4).element(1)(np.ones((2, 3))), ValueError, r"shape \(2, 3\); expected square images"),
        (lambda: Translations((4, 4)).identity(np.ones((3, 4))), ValueError, r"\(3, 4\); expected images of \(4, 4\)"),
        (lambda: Rotations(4).identity(np.ones((3, 4, 4)), "regular"), ValueError, "a multiple of 4 channels"),
        (lambda: Rotations(4).identity(np.ones((4, 4)), "vector"), ValueError, r"expected \(..., C, H, W\)"),
        (lambda: Rotations(4).identity(np.ones((4, 4)), "tensor"), ValueError, "field is 'tensor'; expected one of"),
        (lambda: Rotations(4).identity([[1.0]]), TypeError, "u is list; expected a NumPy or CuPy array"),
        (lambda: Rotations(8).element(1)(np.ones((4, 4), int)), TypeError, "dtype int64; expected a floating one"),
        (lambda: Rotations(4).identity(np.ones((2, 4, 4), "uint8"), "vector"), TypeError, "dtype uint8; expected a fl"),
        (lambda: Rotations(4).identity @ Dihedral(4).identity, ValueError, "expected one of the group of g, Rotations"),
        (lambda: Rotations(4).element(mirrored=True), ValueError, "mirrored is True; .* has no mirror images"),
        (lambda: Rotations(4).element(shift=(1, 0)), ValueError, r"^shift is \(1, 0\); .* no translations"),
        (lambda: Translations((4, 5)).element(shift=(1,)), ValueError, r"^shift is \(1,\); expected two integers"),
        (lambda: Translations((4, 5)).element(shift=5), ValueError, "^shift is 5; expected two integers"),
        (
            lambda: Translations((4, 5)).element(shift=(1.5, 0)),
            ValueError,
            r"^shift is \(1.5, 0\); expected two integers",
        ),
        (
            lambda: Isometry(Translations((4, 5)), shift=(4, 0)),
            ValueError,
            "^shift is 4; expected an integer from 0 to 3",
        ),
        (lambda: Isometry(Translations((4, 5)), shift=None), ValueError, "^shift is None; expected two integers"),
        (lambda: Rotations(4).element("1"), ValueError, "^turns is '1'; expected an integer"),
        (lambda: Rotations(4).element(None), ValueError, "^turns is None; expected an integer"),
        (lambda: Isometry(4), TypeError, "group is int; expected a group"),
        (lambda: Rotations(0), ValueError, "m is 0; expected a positive integer"),
        (lambda: RotoTranslations((4, 4), 3), ValueError, "m is 3; expected 1, 2 or 4"),
        (lambda: RotoTranslations((4, 5)), ValueError, r"shape is \(4, 5\); expected a square"),
        (lambda: Translations(4), TypeError, "shape is int; expected rows and columns"),
        (lambda: Translations((4, 4, 4)), ValueError, r"shape is \(4, 4, 4\); expected rows and columns"),
        (lambda: as_group("C4"), ValueError, "group is 'C4'; expected .* a name such as 'Z4' or 'D4'"),
        (lambda: as_group("Z0"), ValueError, "group is 'Z0'"),
        (lambda: as_group(Translations((2, 2))), TypeError, "group is Translations; expected Rotations"),
        (lambda: Rotations(4).random(0), TypeError, "rng is int; expected a numpy.random.Generator"),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_elements_of_lists_and_numpy_integers_are_those_of_plain_numbers() -> None:
    """As keys of dictionaries, and in words."""
    group, i = RotoTranslations([6, 6], np.int64(4)), np.int64(1)
    g, h = group.element(i, shift=[i, 2]), RotoTranslations((6, 6)).element(1, shift=(1, 2))
    assert g == h and hash(g) == hash(h) and repr(g) == repr(h)
    assert hash(Isometry(group, i, shift=[i, 2])) == hash(h) and repr(Rotations(np.int64(4))) == "Rotations(m=4)"


def test_names() -> None:
    for group in (*EXACT, *INEXACT):
        assert as_group(group.name) == group == as_group(group)


def test_half_turns_and_mirror_images_need_no_square() -> None:
    u = np.arange(6).reshape(2, 3)
    assert np.array_equal(Rotations(2).element(1)(u), u[::-1, ::-1])
    assert np.array_equal(Dihedral(1).element(mirrored=True)(u), u[:, ::-1])
