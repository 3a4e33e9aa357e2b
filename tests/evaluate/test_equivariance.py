"""Equivariance errors: of maps where they are known, of rays that a turn permutes, of variational methods."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.evaluate import equivariance_error, turned_views
from ipbox.groups import Dihedral, Isometry, Rotations, RotoTranslations, Translations

D4 = Dihedral(4)
Map = Callable[[np.ndarray], np.ndarray]
EVEN = np.arange(6) * (np.pi / 6)


@pytest.fixture
def u(rng: np.random.Generator) -> np.ndarray:
    return rng.random((8, 8)) + 0.1


def at_origin(u: np.ndarray) -> np.ndarray:
    """Not equivariant: a pixel is special."""
    return u + np.eye(1, u.size).reshape(u.shape)


# ---------------------------------------------------------------- the measure itself


def test_error_of_a_weight(u: np.ndarray, rng: np.random.Generator) -> None:
    """Φu = wu: Φ(gu) - gΦ(u) = (w - gw) gu."""
    w = rng.random(u.shape)
    found = equivariance_error(lambda v: w * v, None, D4, [u, 2 * u**2])
    for g, errors in zip(found.elements, found.errors, strict=True):
        for v, error in zip([u, 2 * u**2], errors, strict=True):
            assert error == pytest.approx(np.linalg.norm((w - g(w)) * g(v)) / np.linalg.norm(w * v), rel=1e-12)
    assert len(found.elements) == 7 and D4.identity not in found.elements
    assert found.worst == found.errors.max() and found.mean == pytest.approx(found.errors.mean())
    g = found.worst_element
    assert found.errors[found.elements.index(g)].max() == found.worst
    assert np.linalg.norm(found.found - found.expected) > 0


def test_worst_pair_is_that_of_the_worst_element_and_image(u: np.ndarray) -> None:
    images = [u, np.zeros_like(u) + 0.01]  # on the second the special pixel is larger
    found = equivariance_error(at_origin, None, Rotations(4), images)
    assert found.errors[:, 1].min() > found.errors[:, 0].max()
    x = at_origin(images[1])
    np.testing.assert_array_equal(found.expected, found.worst_element(x))
    assert found.worst == pytest.approx(np.linalg.norm(found.found - found.expected) / np.linalg.norm(x))


def test_report_names_every_element(u: np.ndarray, tmp_path: Path) -> None:
    found = equivariance_error(at_origin, None, RotoTranslations((8, 8), mirrors=True), u)
    assert len(found.elements) == 511 and "mirrored, 270 degrees, 7, 7 pixels" in found.report()
    small = equivariance_error(at_origin, None, D4, u)
    lines = small.report().splitlines()
    assert len(lines) == 9 and lines[1].startswith("90 degrees") and float(lines[-1].split()[-1]) > 0
    assert "elements=list of 7" in repr(small)
    small.show(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 5_000


def test_a_part_of_a_group(u: np.ndarray) -> None:
    T = Translations((8, 8))
    found = equivariance_error(at_origin, None, [T.element(shift=(0, 3)), T.identity], u)
    assert [g.shift for g in found.elements] == [(0, 3)]


def test_modules_and_learned_maps_run_in_evaluation_mode(u: np.ndarray) -> None:
    net = torch.nn.Sequential(torch.nn.Dropout(0.9), torch.nn.AvgPool2d(3, 1, 1)).double()
    found = equivariance_error(net, None, D4, u[None])
    assert found.worst < 1e-14 and net[0].training
    A = ip.RayTransform((8, 8), EVEN, dtype="float32")
    phi = ip.learned.LearnedProximalGradient(A, niter=1, width=4)
    found = equivariance_error(phi, A, Rotations(4), np.stack([u, u**2]).astype("float32"))
    assert found.errors.shape == (3, 2) and found.worst > 1e-6  # kernels at random


# ---------------------------------------------------------------- propositions


EQUIVARIANT: dict[str, Map] = {
    "identity": lambda u: u,
    "periodic isotropic blur": ip.GaussianBlur((8, 8), 0.8, dtype="float64").apply,
    "diffusion": lambda u: 0.1 * sum(np.roll(u, s, a) for s in (-1, 1) for a in (0, 1)) + 0.6 * u,
    "pointwise": np.tanh,
    "constant": lambda u: 0 * u + 0.3,
    "by the mean": lambda u: u * np.square(u).mean(),
}


@pytest.mark.parametrize("first", EQUIVARIANT)
@pytest.mark.parametrize("second", EQUIVARIANT)
def test_sums_and_compositions_keep_equivariance(first: str, second: str, u: np.ndarray) -> None:
    f, g = EQUIVARIANT[first], EQUIVARIANT[second]
    group = [h for h in RotoTranslations((8, 8), mirrors=True)][::23]
    for phi in (f, lambda u: f(u) - 3 * g(u), lambda u: f(g(u))):
        assert equivariance_error(phi, None, group, u).worst < 1e-13


def test_biases_must_be_invariant(u: np.ndarray, rng: np.random.Generator) -> None:
    bias = rng.random(u.shape)
    invariant = sum(g(bias) for g in D4) / 8
    blur = EQUIVARIANT["periodic isotropic blur"]
    assert equivariance_error(lambda u: blur(u) + invariant, None, D4, u).worst < 1e-13
    found = equivariance_error(lambda u: blur(u) + bias, None, D4, u)
    difference = max(np.linalg.norm(bias - g(bias)) for g in D4) / np.linalg.norm(blur(u) + bias)
    assert found.worst == pytest.approx(difference, rel=1e-10) and difference > 0.1


INVARIANT = [
    ip.L1(),
    ip.L2(),
    *(ip.TV((8, 8), accuracy=1e-3, **o) for o in ({"symmetric": True}, {"isotropic": False})),
]


@pytest.mark.parametrize("R", INVARIANT, ids=["L1", "L2", "symmetric TV", "anisotropic TV"])
def test_invariant_functionals_have_equivariant_proxes(R: Any, u: np.ndarray) -> None:
    """To rounding, however inexact the prox is: its steps are equivariant as well."""
    u = u - u.mean()
    assert max(abs(R.value(g(u)) / R.value(u) - 1) for g in D4) < 1e-14
    assert equivariance_error(lambda v: R.prox(v, 0.2), None, D4, u).worst < 1e-11


def test_forward_differences_are_not_invariant(u: np.ndarray) -> None:
    R = ip.TV((8, 8), accuracy=1e-8)
    found = equivariance_error(lambda v: R.prox(v, 0.1), None, D4, u)
    assert max(abs(R.value(g(u)) / R.value(u) - 1) for g in D4) > 1e-3 and found.worst > 1e-3
    transposition = D4.element(turns=1, mirrored=True)
    for g, errors in zip(found.elements, found.errors[:, 0], strict=True):
        keeps = g in (transposition, transposition @ D4.element(2))  # the diagonals: one keeps forward differences
        assert keeps or errors > 1e-3
    assert found.errors.min() < 1e-7


def least_squares(A: ip.Operator, b: np.ndarray) -> np.ndarray:
    """argmin ½‖Au - b‖² + λ TV(u), TV invariant: each of the iterates is as equivariant."""
    return ip.variational(A, b, ip.TV(tuple(A.dims), symmetric=True), 0.02, solver=ip.PDHG(), tol=1e-3)[0]


def test_methods_are_as_equivariant_as_their_operators(u: np.ndarray) -> None:
    """Φ∘A commutes with g where A does: for periodic blur, and for a mask that g leaves as it is, but for no other."""
    mask = np.ones((8, 8), bool)
    mask[1:3, 4:7] = False
    symmetric = np.all([g(mask) for g in D4], axis=0)
    blur, one_hole = ip.GaussianBlur((8, 8), 0.8, dtype="float64"), ip.Mask(mask, "float64")
    eight = ip.Mask(symmetric, "float64")
    worst = [equivariance_error(lambda b, A=A: least_squares(A, b), A, D4, u).worst for A in (blur, eight, one_hole)]
    assert worst[0] < 1e-12 and worst[1] < 1e-12 and worst[2] > 1e-2


def test_least_squares_of_rays_on_data_with_noise(u: np.ndarray, rng: np.random.Generator) -> None:
    """Rays are permuted, with their noise: (A*A + λ)⁻¹A*(g·b) = g·(A*A + λ)⁻¹A*b."""
    A = ip.JosephTransform((8, 8), EVEN, dtype="float64")
    M = np.stack([A.apply(e.reshape(8, 8)).ravel() for e in np.eye(64)], axis=1)
    phi = lambda b: np.linalg.solve(M.T @ M + 0.1 * np.eye(64), M.T @ b.ravel()).reshape(8, 8)  # noqa: E731
    b = A.apply(u) + 0.1 * rng.standard_normal(A.dimsd)
    assert equivariance_error(phi, A, D4, data=b).worst < 1e-11
    assert equivariance_error(phi, A, D4, u).worst < 1e-11
    reordered = equivariance_error(phi, A, D4, data=b, action=lambda g, b: b[::-1] if g.mirrored else b)
    assert reordered.worst > 0.1


# ---------------------------------------------------------------- views


@pytest.mark.parametrize("make", [ip.RayTransform, ip.JosephTransform])
@pytest.mark.parametrize("angles", [EVEN, EVEN + np.pi / 12, np.arange(12) * (np.pi / 6), EVEN[[3, 0, 5, 1, 4, 2]]])
def test_turning_the_image_permutes_the_rays(make: Any, angles: np.ndarray, u: np.ndarray) -> None:
    A = make((8, 8), angles, dtype="float64")
    for g in D4:
        b = A.apply(u)
        before = b.copy()
        np.testing.assert_allclose(turned_views(A, g, b), A.apply(g(u)), atol=1e-8)
        np.testing.assert_array_equal(turned_views(A, g.inverse, turned_views(A, g, b)), b)
        np.testing.assert_array_equal(b, before)


def test_mirror_images_of_oblongs(rng: np.random.Generator) -> None:
    A, u = ip.JosephTransform((6, 9), EVEN, dtype="float64"), rng.random((2, 6, 9))
    for g in Dihedral(2):
        np.testing.assert_allclose(turned_views(A, g, A.apply(u)), A.apply(g(u)), atol=1e-12)


def test_every_array_library(xp: ModuleType, u: np.ndarray) -> None:
    A, g = ip.JosephTransform((8, 8), EVEN, dtype="float32"), D4.element(1, mirrored=True)
    b = A.apply(u.astype("float32"))
    moved = turned_views(A, g, xp.asarray(b))
    assert isinstance(moved, xp.ndarray) and moved.dtype == np.float32
    np.testing.assert_array_equal(ip.backend.to_host(moved), turned_views(A, g, b))
    found = equivariance_error(lambda v: v * xp.asarray(u), None, D4, xp.asarray(u))
    expected = equivariance_error(lambda v: v * u, None, D4, u)
    np.testing.assert_allclose(found.errors, expected.errors, rtol=1e-12)


# ---------------------------------------------------------------- what is refused


ODD = ip.RayTransform((8, 8), np.arange(5) * (np.pi / 5), dtype="float64")
OFF = ip.RayTransform((8, 8), EVEN, det_shift=0.5, dtype="float64")
FAN = ip.FanBeamTransform((8, 8), np.arange(8) * (np.pi / 4), source_distance=30.0, detector_distance=10.0)
OBLONG = ip.RayTransform((8, 6), EVEN, dtype="float64")
TURN = Rotations(4).element(1)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: equivariance_error(np.tanh, None, D4, np.ones((4, 6))), ValueError, "expected square images"),
        (lambda: equivariance_error(np.tanh, None, Translations((4, 4)), np.ones((5, 5))), ValueError, r"\(4, 4\)"),
        (lambda: equivariance_error(np.tanh, None, Rotations(1), np.ones((4, 4))), ValueError, "no element but"),
        (lambda: equivariance_error(np.tanh, None, "D4", np.ones((4, 4))), TypeError, "expected elements of a group"),
        (lambda: equivariance_error(np.tanh, None, 4, np.ones((4, 4))), TypeError, "group is int; expected a group"),
        (lambda: equivariance_error(np.tanh, None, D4), ValueError, "both None"),
        (lambda: equivariance_error(np.tanh, None, D4, np.eye(4), data=np.eye(4)), ValueError, "both given"),
        (lambda: equivariance_error(np.tanh, None, D4, []), ValueError, "images is empty"),
        (lambda: equivariance_error(np.tanh, None, D4, [[1.0]]), TypeError, "images is list"),
        (lambda: equivariance_error(np.zeros_like, None, D4, np.ones((4, 4))), ValueError, "zero everywhere"),
        (lambda: equivariance_error(lambda u: u / 0 * 0, None, D4, np.ones((4, 4))), FloatingPointError, "not finite"),
        (lambda: equivariance_error(lambda u: 1.0, None, D4, np.ones((4, 4))), TypeError, "the image of phi is float"),
        (lambda: equivariance_error("net", None, D4, np.ones((4, 4))), TypeError, "phi is str; expected a function"),
        (lambda: equivariance_error(np.tanh, ODD, D4, np.ones((4, 4))), ValueError, r"expected \(8, 8\), or a batch"),
        (lambda: equivariance_error(np.tanh, ip.Mask(np.eye(4)), D4, data=np.eye(4)), ValueError, "action is None"),
        (lambda: equivariance_error(np.tanh, ODD, D4, np.eye(8), action=turned_views), ValueError, "action is given"),
        (lambda: equivariance_error(np.tanh, ODD, D4, data=np.eye(8), action=1), TypeError, "^action is int; expected"),
        (
            lambda: equivariance_error(np.tanh, None, D4, np.eye(4), shape=(3, 3)),
            ValueError,
            r"^shape is \(3, 3\) and A",
        ),
        (lambda: equivariance_error(np.sign, None, D4, np.eye(4, dtype=int)), TypeError, "^phi gives dtype int64"),
        (lambda: turned_views(ODD, TURN, np.ones(ODD.dimsd)), ValueError, "5 views"),
        (lambda: turned_views(OFF, TURN, np.ones(OFF.dimsd)), ValueError, "off the axis"),
        (lambda: turned_views(FAN, TURN, np.ones(FAN.dimsd)), ValueError, "expected a parallel beam"),
        (lambda: turned_views(OBLONG, TURN, np.ones(OBLONG.dimsd)), ValueError, "expected square images"),
        (lambda: turned_views(ODD, Rotations(3).element(1), np.ones(ODD.dimsd)), ValueError, "quarter turn or mirror"),
        (lambda: turned_views(ODD, TURN, np.ones((3, 3))), ValueError, "the data of A, or a batch"),
        (lambda: turned_views(np.eye(3), TURN, np.ones((3, 3))), TypeError, "A is ndarray"),
        (lambda: turned_views(ODD, 1, np.ones(ODD.dimsd)), TypeError, "g is int"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_bad_input(call: Callable[[], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_elements_must_be_of_exact_turns_only_for_views(u: np.ndarray) -> None:
    """Images may be turned by any angle: the error is then at least that of interpolation."""
    oblique = [Rotations(8).element(1)]
    assert all(isinstance(g, Isometry) for g in oblique)
    found = equivariance_error(EQUIVARIANT["periodic isotropic blur"], None, oblique, u)
    assert 1e-6 < found.worst < 0.5
