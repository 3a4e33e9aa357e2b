"""Finite differences: exact on polynomials, at the boundaries, against NumPy and dense matrices; norms; bad input."""

from __future__ import annotations

import itertools
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from tests.contracts.support import draw, host

SCHEMES = ("forward", "backward", "central")
BOUNDARIES = ("neumann", "periodic")


def one_axis(n: int, scheme: str, boundary: str, h: float) -> np.ndarray:
    """The matrix of a difference from its definition, with ghost pixels."""
    D = np.zeros((n, n))
    for i in range(n):
        stencil = {"forward": ((1, 1), (0, -1)), "backward": ((0, 1), (-1, -1)), "central": ((1, 0.5), (-1, -0.5))}
        for offset, value in stencil[scheme]:
            j = i + offset
            D[i, j % n if boundary == "periodic" else min(max(j, 0), n - 1)] += value / h
    return D


def along(D: np.ndarray, dims: tuple[int, ...], axis: int) -> np.ndarray:
    """D on one axis of an image: a Kronecker product with identities."""
    M = np.ones((1, 1))
    for a, n in enumerate(dims):
        M = np.kron(M, D if a == axis else np.eye(n))
    return M


def dense(A: Any) -> np.ndarray:
    basis = np.eye(A.shape[1], dtype=A.dtype_in).reshape((-1, *A.dims))
    return A.apply(basis).reshape(len(basis), -1).T


def coordinates(dims: tuple[int, ...], spacing: tuple[float, ...]) -> list[np.ndarray]:
    """The physical coordinates of the pixels' centres."""
    return np.meshgrid(*(h * np.arange(n) for n, h in zip(dims, spacing, strict=True)), indexing="ij")


INSIDE = (slice(1, -1), slice(1, -1))


# ---------------------------------------------------------------- what they compute


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dims", [(5,), (4, 3), (3, 2, 4), (2, 3, 2, 3), (1, 4), (2, 2)])
def test_matrices_are_those_of_the_definition(dims: tuple[int, ...], scheme: str, boundary: str) -> None:
    spacing = (0.5, 1.25, 2.0, 0.8)[: len(dims)]
    options = {"dtype": "float64", "scheme": scheme, "boundary": boundary}
    D = [along(one_axis(n, scheme, boundary, h), dims, a) for a, (n, h) in enumerate(zip(dims, spacing, strict=True))]
    for a, h in enumerate(spacing):
        np.testing.assert_allclose(dense(ip.FiniteDifference(dims, a, spacing=h, **options)), D[a], atol=1e-14)
    np.testing.assert_allclose(dense(ip.Gradient(dims, spacing=spacing, **options)), np.vstack(D), atol=1e-14)
    E = ip.SymmetrisedGradient((len(dims), *dims), spacing=spacing, **options)
    zero = np.zeros_like(D[0])
    rows = [[D[a] if b == a else zero for b in range(len(dims))] for a in range(len(dims))]
    for a, b in itertools.combinations(range(len(dims)), 2):
        rows.append([D[{a: b, b: a}[c]] / math.sqrt(2) if c in (a, b) else zero for c in range(len(dims))])
    np.testing.assert_allclose(dense(E), np.block(rows), atol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_exact_on_polynomials(dtype: str, xp: ModuleType) -> None:
    """One-sided differences of linear functions, central ones of quadratic ones, away from the boundary."""
    dims, h = (6, 7), (0.5, 1.25)
    y, x = coordinates(dims, h)
    factor = 1 + 2j if dtype == "complex128" else 1
    linear, quadratic = (xp.asarray((factor * u).astype(dtype)) for u in (3 * y - 2 * x + 1, y**2 - 3 * x * y))
    for scheme in SCHEMES:
        g = host(ip.Gradient(dims, dtype, h, scheme).apply(linear))
        np.testing.assert_allclose(g[0][INSIDE], 3 * factor, atol=1e-12)
        np.testing.assert_allclose(g[1][INSIDE], -2 * factor, atol=1e-12)
    g = host(ip.Gradient(dims, dtype, h, "central").apply(quadratic))
    np.testing.assert_allclose(g[0][INSIDE], (factor * (2 * y - 3 * x))[INSIDE], atol=1e-12)
    np.testing.assert_allclose(g[1][INSIDE], (factor * -3 * y)[INSIDE], atol=1e-12)


def test_central_differences_inside_are_those_of_numpy(rng: np.random.Generator) -> None:
    u, h = rng.standard_normal((5, 6, 7)), (0.5, 1.25, 2.0)
    g = ip.Gradient(u.shape, "float64", h, "central").apply(u)
    for a, expected in enumerate(np.gradient(u, *h)):
        inside = tuple(slice(1, -1) if b == a else slice(None) for b in range(3))
        np.testing.assert_allclose(g[a][inside], expected[inside], atol=1e-13)


def test_periodic_differences_commute_with_shifts_and_have_mean_zero(rng: np.random.Generator) -> None:
    u = rng.standard_normal((5, 6))
    for scheme in SCHEMES:
        D = ip.Gradient(u.shape, "float64", (0.5, 2.0), scheme, "periodic")
        shifted = np.roll(u, (2, 3), axis=(0, 1))
        np.testing.assert_allclose(D.apply(shifted), np.roll(D.apply(u), (2, 3), axis=(1, 2)), atol=1e-13)
        assert np.abs(D.apply(u).sum(axis=(1, 2))).max() < 1e-13


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_constants_are_mapped_to_zero(scheme: str, boundary: str) -> None:
    D = ip.Gradient((4, 5), "float64", 0.3, scheme, boundary)
    E = ip.SymmetrisedGradient(D.dimsd, "float64", 0.3, scheme, boundary)
    assert not D.apply(np.full((4, 5), 3.0)).any() and not E.apply(np.full((2, 4, 5), 3.0)).any()


def test_adjoint_of_the_gradient_is_minus_the_divergence(rng: np.random.Generator) -> None:
    """Forward differences with Neumann boundary: -∇* takes backward differences, where the field ends with 0."""
    D = ip.Gradient((6, 5), "float64", (0.5, 2.0))
    v = rng.standard_normal(D.dimsd)
    v[0, -1] = v[1, :, -1] = 0
    div = np.diff(v[0], axis=0, prepend=0) / 0.5 + np.diff(v[1], axis=1, prepend=0) / 2.0
    np.testing.assert_allclose(D.apply_adjoint(v), -div, atol=1e-13)


# ---------------------------------------------------------------- the symmetrised gradient


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("nd", [2, 3])
def test_rigid_motions_are_mapped_to_zero_inside(nd: int, scheme: str, boundary: str) -> None:
    dims, h = (5, 6, 4)[:nd], (0.5, 1.25, 2.0)[:nd]
    x, W = np.stack(coordinates(dims, h)), np.random.default_rng(0).standard_normal((nd, nd))
    v = np.tensordot(W - W.T, x, axes=1) + np.arange(nd).reshape((nd,) + (1,) * nd)
    E = ip.SymmetrisedGradient(v.shape, "float64", h, scheme, boundary)
    assert np.abs(E.apply(v)[(...,) + (slice(1, -1),) * nd]).max() < 1e-12
    affine = np.tensordot(W + W.T, x, axes=1)  # of a symmetric matrix: it is its own derivative
    q = E.apply(affine)[(...,) + (slice(1, -1),) * nd]
    expected = [(W + W.T)[a, a] for a in range(nd)]
    expected += [math.sqrt(2) * (W + W.T)[a, b] for a, b in itertools.combinations(range(nd), 2)]
    np.testing.assert_allclose(q.reshape(len(q), -1), np.array(expected)[:, None].repeat(q[0].size, 1), atol=1e-12)


def test_after_the_gradient_it_is_the_hessian(xp: ModuleType) -> None:
    """E ∇u: u[i+1] - 2 u[i] + u[i-1] on the diagonal, the mixed difference of both schemes beside it."""
    dims, h = (6, 7), (0.5, 1.25)
    u = np.random.default_rng(1).standard_normal(dims)
    D, E = ip.Gradient(dims, "float64", h), ip.SymmetrisedGradient((2, *dims), "float64", h)
    H = host(E.apply(D.apply(xp.asarray(u))))
    np.testing.assert_allclose(H[0][1:-1], (u[2:] - 2 * u[1:-1] + u[:-2]) / h[0] ** 2, atol=1e-12)
    np.testing.assert_allclose(H[1][:, 1:-1], (u[:, 2:] - 2 * u[:, 1:-1] + u[:, :-2]) / h[1] ** 2, atol=1e-12)
    y, x = coordinates(dims, h)
    H = host(E.apply(D.apply(xp.asarray(2 * y**2 + 3 * x * y - x**2))))
    expected = np.array([4.0, -2.0, 3 * math.sqrt(2)])[:, None, None]
    np.testing.assert_allclose(H[(slice(None), *INSIDE)], np.broadcast_to(expected, (3, 4, 5)), atol=1e-12)


def test_length_is_the_frobenius_norm(rng: np.random.Generator) -> None:
    v, h = rng.standard_normal((3, 4, 5, 3)), (0.5, 1.25, 2.0)
    jacobian = np.stack([ip.Gradient((4, 5, 3), "float64", h, "backward").apply(vi) for vi in v])  # [b, a] = ∂_a v_b
    symmetric = (jacobian + jacobian.swapaxes(0, 1)) / 2
    q = ip.SymmetrisedGradient(v.shape, "float64", h).apply(v)
    np.testing.assert_allclose((q**2).sum(axis=0), (symmetric**2).sum(axis=(0, 1)), rtol=1e-12)


def test_fused_and_sliced_differences_agree(rng: np.random.Generator) -> None:
    """An axis of length 1 in front takes four dimensions, and with them the general path."""
    for dtype in ("float32", "complex128"):
        dims, h = (4, 5, 6), (0.5, 1.25, 2.0)
        u = draw(rng, dims, dtype, np)
        fused = ip.Gradient(dims, dtype, h)
        sliced = ip.Gradient((1, *dims), dtype, (1.0, *h))
        np.testing.assert_allclose(fused.apply(u), sliced.apply(u[None])[1:, 0], rtol=0, atol=1e-5)
        E = ip.SymmetrisedGradient((3, *dims), dtype, h)
        S = ip.SymmetrisedGradient((4, 1, *dims), dtype, (1.0, *h))
        v = np.zeros((4, 1, *dims), dtype)
        v[1:, 0] = fused.apply(u)
        rows = [1, 2, 3, 7, 8, 9]  # without those that hold the axis in front
        np.testing.assert_allclose(E.apply(v[1:, 0]), S.apply(v)[rows, 0], rtol=0, atol=1e-5)


# ---------------------------------------------------------------- norms


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_norms_of_one_axis_are_exact(scheme: str, boundary: str) -> None:
    for n in range(1, 14):
        D = ip.FiniteDifference((n,), 0, "float64", 0.4, scheme, boundary)
        true = np.linalg.norm(one_axis(n, scheme, boundary, 0.4), 2)
        assert D.norm_kind == "exact" and D.norm() == pytest.approx(true, rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_norms_of_gradients(scheme: str, boundary: str) -> None:
    sizes = [d for nd, top in ((2, 7), (3, 4)) for d in itertools.combinations_with_replacement(range(1, top), nd)]
    for dims in sizes:
        h = (1.0, 0.6, 2.2)[: len(dims)]
        D = ip.Gradient(dims, "float64", h, scheme, boundary)
        assert D.norm_kind == "exact"
        assert D.norm() == pytest.approx(np.linalg.norm(dense(D), 2), rel=1e-12, abs=1e-12)
        E = ip.SymmetrisedGradient(D.dimsd, "float64", h, scheme, boundary)
        true = np.linalg.norm(dense(E), 2)
        lowest, highest = {"exact": (1, 1), "bound": (1, 1.05), "estimate": (0.99, 1.05)}[E.norm_kind]
        assert lowest * true - 1e-12 <= E.norm() <= highest * true * (1 + 1e-12) + 1e-12


# ---------------------------------------------------------------- bad input


BAD = {
    "axis": (lambda: ip.FiniteDifference((3, 4), 2), "^axis is 2; expected an integer from -2 to 1"),
    "axis of another kind": (lambda: ip.FiniteDifference((3, 4), 0.5), "^axis is 0.5"),
    "list of schemes": (lambda: ip.Gradient((3, 4), scheme=["forward"]), r"^scheme is \['forward'\]; expected"),
    "scheme": (lambda: ip.Gradient((3, 4), scheme="upwind"), "^scheme is 'upwind'; expected one of 'forward'"),
    "boundary": (lambda: ip.Gradient((3, 4), boundary="dirichlet"), "^boundary is 'dirichlet'; expected one of"),
    "zero spacing": (lambda: ip.Gradient((3, 4), spacing=0), "^spacing is 0; expected a positive number or 2 of them"),
    "two of three": (lambda: ip.Gradient((3, 4, 5), spacing=(1, 2)), "^spacing is .*or 3 of them"),
    "NaN spacing": (lambda: ip.Gradient((3, 4), spacing=(1, math.nan)), "^spacing is"),
    "spacing in words": (lambda: ip.FiniteDifference((3, 4), spacing="1 mm"), "^spacing is '1 mm'; expected one"),
    "several for one axis": (lambda: ip.FiniteDifference((3, 4), spacing=(1, 2)), "^spacing is .*expected one"),
    "no vector field": (lambda: ip.SymmetrisedGradient((3, 4, 5)), r"^dims is \(3, 4, 5\); expected \(d,\) \+ image"),
    "no image": (lambda: ip.SymmetrisedGradient((1,)), r"^dims is \(1,\)"),
    "dims": (lambda: ip.Gradient((3, 0)), "^dims is"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case: str) -> None:
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_integer_dtype_is_refused() -> None:
    with pytest.raises(TypeError, match="^dtype is int64"):
        ip.Gradient((3, 4), "int64")
