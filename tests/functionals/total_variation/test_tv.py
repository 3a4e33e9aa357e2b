"""Total variations against CVXPY, closed forms and independent code; symmetry, voxel sizes, colour, guidance."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from skimage.restoration import denoise_tv_chambolle

import ipbox as ip
from ipbox.functionals.total_variation.gradient_norm import GradientNorm
from ipbox.functionals.total_variation.image_gradient import ImageGradient
from ipbox.functionals.total_variation.split_gradient import SplitGradient
from tests.contracts.support import draw, host, real_dot


def differences(n: int, h: float = 1.0) -> np.ndarray:
    """Forward differences of n pixels of width h, 0 in the last row."""
    D = (np.eye(n, k=1) - np.eye(n)) / h
    D[-1] = 0
    return D


def gradient(dims: tuple[int, ...], spacing: Any = None) -> np.ndarray:
    """∇ as an array (directions, pixels, pixels), from Kronecker products."""
    out = []
    for a, h in enumerate(spacing or (1.0,) * len(dims)):
        factors = [differences(n, h) if b == a else np.eye(n) for b, n in enumerate(dims)]
        D = factors[0]
        for f in factors[1:]:
            D = np.kron(D, f)
        out.append(D)
    return np.stack(out)


def solved(objective: Any) -> None:
    cp.Problem(cp.Minimize(objective)).solve(solver=cp.CLARABEL, tol_gap_abs=1e-8, tol_gap_rel=1e-8, tol_feas=1e-8)


def lengths(D: np.ndarray, u: Any) -> Any:
    """Σ_i |(D_a u)_i| over the directions a, joint where D has several."""
    return cp.sum(cp.norm(cp.vstack([d @ u for d in D]), 2, axis=0))


# ---------------------------------------------------------------- the prox against CVXPY

DIMS = (3, 4)


def reflected(u: Any, axes: tuple[int, ...]) -> Any:
    order = np.flip(np.arange(12).reshape(DIMS), axes).ravel() if axes else np.arange(12)
    return u[order]


def directional(z: np.ndarray) -> tuple[ip.DirectionalTV, Callable[[Any], Any]]:
    guide = np.random.default_rng(5).standard_normal(DIMS)
    v = np.einsum("aij,j->ai", gradient(DIMS), guide.ravel())
    xi = v / np.sqrt((v**2).sum(axis=0) + 0.3**2)
    D = gradient(DIMS)
    D = D - 0.9 * xi[:, :, None] * np.einsum("ai,aij->ij", xi, D)
    return ip.DirectionalTV(DIMS, guide, eta=0.3, gamma=0.9, accuracy=1e-7, niter=50_000), lambda u: lengths(D, u)


def plain(**options: Any) -> ip.TV:
    return ip.TV(DIMS, accuracy=1e-7, niter=50_000, **options)


CORNERS = [(), (0,), (1,), (0, 1)]
FORMS: dict[str, Callable[[np.ndarray], tuple[GradientNorm, Callable[[Any], Any]]]] = {
    "isotropic": lambda z: (plain(), lambda u: lengths(gradient(DIMS), u)),
    "anisotropic": lambda z: (plain(isotropic=False), lambda u: sum(cp.norm1(d @ u) for d in gradient(DIMS))),
    "voxel sizes": lambda z: (plain(spacing=(0.5, 2.0)), lambda u: lengths(gradient(DIMS, (0.5, 2.0)), u)),
    "symmetric": lambda z: (
        plain(symmetric=True),
        lambda u: 0.25 * sum(lengths(gradient(DIMS), reflected(u, axes)) for axes in CORNERS),
    ),
    "directional": directional,
}


@pytest.mark.parametrize("form", FORMS)
def test_prox_and_value_against_cvxpy(form: str, rng: np.random.Generator) -> None:
    z, u = rng.standard_normal(DIMS), cp.Variable(12)
    f, penalty = FORMS[form](z)
    for t in (0.1, 0.6):
        solved(0.5 * cp.sum_squares(u - z.ravel()) + t * penalty(u))
        np.testing.assert_allclose(f.prox(z, t).ravel(), u.value, atol=1e-4)
        assert f.value(u.value) == pytest.approx(float(penalty(u).value), rel=1e-8)


@pytest.mark.parametrize("isotropic", [True, False])
def test_channels_against_cvxpy(isotropic: bool, rng: np.random.Generator) -> None:
    """The lengths are joint over channels, and over directions where isotropic."""
    dims, D = (2, 2, 3), gradient((2, 3))
    z, u = rng.standard_normal(dims), cp.Variable((2, 6))
    groups = [D] if isotropic else [D[:1], D[1:]]
    penalty = sum(cp.sum(cp.norm(cp.vstack([d @ u[c] for d in g for c in range(2)]), 2, axis=0)) for g in groups)
    solved(0.5 * cp.sum_squares(u - z.reshape(2, 6)) + 0.4 * penalty)
    f = ip.TV(dims, isotropic, channels=True, accuracy=1e-7, niter=50_000)
    np.testing.assert_allclose(f.prox(z, 0.4).reshape(2, 6), u.value, atol=1e-4)


@pytest.mark.parametrize("symmetric", [True, False])
def test_complex_images_are_pairs_of_channels(symmetric: bool, rng: np.random.Generator) -> None:
    z = rng.standard_normal((2, 5, 4))
    pair = ip.TV((2, 5, 4), channels=True, symmetric=symmetric, accuracy=1e-7)
    joint = ip.TV((5, 4), symmetric=symmetric, accuracy=1e-7)
    p = joint.prox(z[0] + 1j * z[1], 0.5)
    np.testing.assert_allclose(np.stack([p.real, p.imag]), pair.prox(z, 0.5), atol=1e-6)
    assert joint.value(z[0] + 1j * z[1]) == pytest.approx(pair.value(z), rel=1e-12)
    turned = joint.prox(np.exp(0.7j) * (z[0] + 1j * z[1]), 0.5)
    np.testing.assert_allclose(turned, np.exp(0.7j) * p, atol=1e-5)


def taut_string(z: np.ndarray, t: float) -> np.ndarray:
    """The minimiser of ½‖u - z‖² + t Σ|u_{i+1} - u_i|: the string through the tube of radius t about the sums of z."""
    s = np.concatenate([[0.0], np.cumsum(z)])
    lo, hi = s - t, s + t
    lo[0] = hi[0] = s[0]
    lo[-1] = hi[-1] = s[-1]
    i, height, u = 0, 0.0, np.empty(len(z))
    while i < len(z):  # the furthest straight piece that stays in the tube, then a bend where it first touches
        least, most, at_least, at_most = -math.inf, math.inf, i, i
        for j in range(i + 1, len(s)):
            below, above = (lo[j] - height) / (j - i), (hi[j] - height) / (j - i)
            if below > most or above < least:
                end, slope = (at_most, most) if below > most else (at_least, least)
                break
            if below >= least:
                least, at_least = below, j
            if above <= most:
                most, at_most = above, j
        else:
            end, slope = len(s) - 1, least
        u[i:end] = slope
        height, i = height + slope * (end - i), end
    return u


@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_a_line_against_the_taut_string(n: int, rng: np.random.Generator) -> None:
    z = np.cumsum(rng.standard_normal(n))
    for t in (0.2, 1.5):
        f = ip.TV((n,), accuracy=1e-6, niter=100_000)
        exact = taut_string(z, t)
        assert np.linalg.norm(f.prox(z, t) - exact) <= 1e-6 * np.linalg.norm(z)
        np.testing.assert_allclose(ip.TV((1, n), accuracy=1e-6, niter=100_000).prox(z[None], t)[0], exact, atol=1e-4)


def test_colour_against_scikit_image(rng: np.random.Generator) -> None:
    """denoise_tv_chambolle takes channels one by one, and so does TV of each; together they share their edges."""
    edges = np.kron(rng.random((3, 3, 4)), np.ones((1, 8, 8)))
    z = edges + 0.1 * rng.standard_normal(edges.shape)
    theirs = denoise_tv_chambolle(z, weight=0.1, eps=1e-12, max_num_iter=3000, channel_axis=0)
    single = np.stack([ip.TV(c.shape, accuracy=1e-4).prox(c, 0.1) for c in z])
    assert np.linalg.norm(single - theirs) <= 2e-3 * np.linalg.norm(z)
    joint, each = ip.TV(z.shape, channels=True, accuracy=1e-3), ip.TV(z.shape[1:], accuracy=1e-3)
    sums = sum(each.value(c) for c in z)
    assert sums / math.sqrt(3) <= joint.value(z) <= sums
    best = [
        min(np.linalg.norm(f(t) - edges) for t in (0.05, 0.1, 0.15, 0.2, 0.3))
        for f in (lambda t: joint.prox(z, t), lambda t: np.stack([each.prox(c, t) for c in z]))
    ]
    assert best[0] < 0.95 * best[1]


# ---------------------------------------------------------------- symmetry and voxel sizes


def test_the_symmetric_form_commutes_with_rotations_and_the_isotropic_does_not(rng: np.random.Generator) -> None:
    z = np.tri(7) + 0.05 * rng.standard_normal((7, 7))  # a diagonal edge
    symmetric, isotropic = (ip.TV(z.shape, symmetric=s, accuracy=1e-5) for s in (True, False))
    p, q, values, moved = symmetric.prox(z, 0.4), isotropic.prox(z, 0.4), [], []
    for k in (1, 2, 3):
        turned = np.rot90(z, k).copy()
        assert symmetric.value(turned) == pytest.approx(symmetric.value(z), rel=1e-14)
        np.testing.assert_allclose(symmetric.prox(turned, 0.4), np.rot90(p, k), atol=2e-5 * np.linalg.norm(z))
        values.append(isotropic.value(turned))
        moved.append(np.linalg.norm(isotropic.prox(turned, 0.4) - np.rot90(q, k)))
    assert max(abs(v / isotropic.value(z) - 1) for v in values) > 1e-2
    assert max(moved) > 1e-2 * np.linalg.norm(z)


def test_the_symmetric_form_in_3_d_with_rotated_voxels(rng: np.random.Generator) -> None:
    z, spacing = rng.standard_normal((3, 4, 5)), (0.5, 1.0, 2.0)
    f = ip.TV(z.shape, symmetric=True, spacing=spacing)
    turned = np.rot90(z, 1, (0, 2)).copy()
    g = ip.TV(turned.shape, symmetric=True, spacing=spacing[::-1])
    assert g.value(turned) == pytest.approx(f.value(z), rel=1e-13)


@pytest.mark.parametrize("options", [{}, {"isotropic": False}, {"symmetric": True}])
def test_tv_of_a_ramp_is_area_times_slope(options: dict[str, Any]) -> None:
    h, dims = (0.5, 2.0), (9, 6)
    u = np.outer(3.0 * h[0] * np.arange(9), np.ones(6))
    assert ip.TV(dims, spacing=h, **options).value(u) == pytest.approx(3.0 * (8 * h[0]) * (6 * h[1]), rel=1e-14)


def test_voxel_sizes_make_up_for_the_sampling() -> None:
    """A ramp on fine, coarse and anisotropic pixels: the same value per area."""
    values = []
    for n0, n1 in ((400, 400), (200, 400), (400, 100)):
        h = (4 / n0, 4 / n1)
        x, y = (np.arange(n0) + 0.5) * h[0], (np.arange(n1) + 0.5) * h[1]
        values.append(ip.TV((n0, n1), spacing=h).value(np.sin(x)[:, None] * np.cos(y)))
    assert max(values) / min(values) - 1 < 0.02
    bare = [ip.TV((n, 400)).value(np.ones((n, 400)) * np.arange(400.0)) for n in (400, 200)]
    assert bare[0] == 2 * bare[1]


def test_unit_voxels_are_pixel_units(rng: np.random.Generator) -> None:
    z = rng.standard_normal((6, 5))
    assert ip.TV((6, 5), spacing=1.0).value(z) == pytest.approx(ip.TV((6, 5)).value(z), rel=1e-14)
    np.testing.assert_allclose(ip.TV((6, 5), spacing=1.0).prox(z, 0.3), ip.TV((6, 5)).prox(z, 0.3), atol=1e-10)


# ---------------------------------------------------------------- as terms of primal-dual methods

TERMS = {
    "channels": lambda: ip.TV((2, 4, 3), channels=True),
    "symmetric": lambda: ip.TV((4, 3), symmetric=True),
    "symmetric channels, voxel sizes": lambda: ip.TV((2, 4, 3), channels=True, symmetric=True, spacing=(0.5, 2.0)),
    "line": lambda: ip.TV((5,)),
    "directional": lambda: ip.DirectionalTV((4, 3), np.random.default_rng(1).standard_normal((4, 3))),
    "infimal convolution": lambda: ip.InfConvTV((4, 3), spacing=(1.0, 2.0)),
    "infimal convolution, 3-D": lambda: ip.InfConvTV((2, 3, 3)),
}


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_forward_and_adjoint_and_norm(
    name: str, complex_: bool, batch: tuple[int, ...], rng: np.random.Generator
) -> None:
    f, dtype = TERMS[name](), np.complex128 if complex_ else np.float64
    x = [draw(rng, batch + shape, dtype, np) for shape in (f.dims, *f.aux)]
    y, out = draw(rng, batch + f.dual_dims, dtype, np), [np.empty_like(v) for v in x]
    k = f.forward(x)
    f.adjoint(y, out, False, {})
    assert real_dot(k, y) == pytest.approx(sum(real_dot(a, b) for a, b in zip(x, out, strict=True)), rel=1e-11)
    first = [v.copy() for v in out]
    f.adjoint(y, out, True, None)
    np.testing.assert_allclose(out[0], 2 * first[0], atol=1e-12)
    for _ in range(150):
        size = math.sqrt(sum(np.linalg.norm(v) ** 2 for v in x))
        x = [v / size for v in x]
        k = f.forward(x)
        norm = np.linalg.norm(k)
        f.adjoint(k, x, False, None)
    assert 0.5 * f.term_norm() < norm <= f.term_norm() * (1 + 1e-9)


@pytest.mark.parametrize("name", ["channels", "symmetric", "symmetric channels, voxel sizes", "directional"])
def test_pdhg_finds_the_prox(name: str, xp: ModuleType, rng: np.random.Generator) -> None:
    f = TERMS[name]()
    if name == "directional":
        f = ip.DirectionalTV((4, 3), xp.asarray(f.xi[0]))
    b = draw(rng, f.dims, np.float64, xp)
    sol = ip.solve(ip.Problem(ip.L2(b=b) + 0.3 * f), ip.PDHG(), stop=ip.stop.gap(1e-4) | ip.stop.niter(300))
    assert sol.stop.startswith("gap")
    p = f.prox(b, 0.3, work=(work := {}))
    assert np.linalg.norm(host(p - sol.x)) <= work["bound"][0] + float(sol.certificate.bound)


# ---------------------------------------------------------------- infimal convolution


def hessian(dims: tuple[int, int]) -> np.ndarray:
    """∂_0², ∂_1², √2 ∂_0∂_1 (pixels, pixels) with dense matrices; no values beyond the image."""
    D, B = [differences(n) for n in dims], []
    for n in dims:
        b = np.eye(n) - np.eye(n, k=-1)
        b[0] = 0
        B.append(b)
    second = [b @ d for b, d in zip(B, D, strict=True)]
    for s in second:
        s[-1] = 0
    eye = [np.eye(n) for n in dims]
    mixed = 0.5**0.5 * (np.kron(B[0], D[1]) + np.kron(D[0], B[1]))
    return np.stack([np.kron(second[0], eye[1]), np.kron(eye[0], second[1]), mixed])


def test_infimal_convolution_against_cvxpy(rng: np.random.Generator) -> None:
    z, u, v = rng.standard_normal(DIMS), cp.Variable(12), cp.Variable(12)
    penalty = 0.8 * lengths(gradient(DIMS), u - v) + 1.5 * lengths(hessian(DIMS), v)
    solved(0.5 * cp.sum_squares(u - z.ravel()) + 0.3 * penalty)
    f, work = ip.InfConvTV(DIMS, 0.8, 1.5, accuracy=1e-5), {}
    p = f.prox(z, 0.3, work=work)
    error = np.linalg.norm(p.ravel() - u.value)
    assert error <= work["bound"][0] + 1e-4 and work["bound"][0] <= 1e-5 * np.linalg.norm(z)
    solved(0.8 * lengths(gradient(DIMS), z.ravel() - v) + 1.5 * lengths(hessian(DIMS), v))
    exact = 0.8 * lengths(gradient(DIMS), z.ravel() - v).value + 1.5 * lengths(hessian(DIMS), v).value
    assert exact * (1 - 1e-7) <= f.value(z) <= exact * (1 + 2e-6)


def test_infimal_convolution_lies_below_both_of_its_parts(rng: np.random.Generator) -> None:
    u = rng.standard_normal((6, 5))
    f = ip.InfConvTV((6, 5), 1.0, 0.6)
    second = 0.6 * np.sqrt((np.einsum("aij,j->ai", hessian((6, 5)), u.ravel()) ** 2).sum(axis=0)).sum()
    assert f.value(u) <= (1 + 1e-6) * min(ip.TV((6, 5)).value(u), second)
    step = np.outer(np.ones(6), [0.0, 0.0, 1.0, 1.0, 1.0])
    ramp = np.add.outer(np.arange(6.0), 2 * np.arange(5.0))
    assert ip.InfConvTV((6, 5), 1.0, 5.0).value(step + ramp) == pytest.approx(ip.TV((6, 5)).value(step), rel=1e-4)


def test_infimal_convolution_as_a_term_of_pdhg(rng: np.random.Generator) -> None:
    b = np.add.outer(0.3 * np.arange(8), 0.1 * np.arange(7)) + 0.1 * rng.standard_normal((8, 7))
    f = 0.2 * ip.InfConvTV(b.shape, accuracy=1e-5)
    sol = ip.solve(ip.Problem(ip.L2(b=b) + f), ip.PDHG(), stop=ip.stop.niter(2000))
    assert np.linalg.norm(sol.x - f.prox(b, 1.0)) <= 1e-3 * np.linalg.norm(b)


def test_the_split_gradient_is_that_of_the_dense_matrices(rng: np.random.Generator) -> None:
    split, u, w = SplitGradient(DIMS), rng.standard_normal(DIMS), rng.standard_normal(DIMS)
    k = split.forward([u, w], np.empty(split.field_dims))
    D, v = gradient(DIMS), split._inverse_root(w, False).ravel()
    np.testing.assert_allclose(k[:2].reshape(2, -1), np.einsum("aij,j->ai", D, u.ravel() - v), atol=1e-12)
    np.testing.assert_allclose(k[2:].reshape(3, -1), np.einsum("aij,j->ai", hessian(DIMS), v), atol=1e-12)
    w.flat[0] = 0
    assert np.linalg.norm(np.einsum("aij,j->ai", D, v)) == pytest.approx(np.linalg.norm(w), rel=1e-12)


# ---------------------------------------------------------------- smoothed


def test_smoothed_tv_lies_above_tv_by_at_most_nu(rng: np.random.Generator) -> None:
    u, tv = rng.standard_normal((2, 6, 5)), ip.TV((2, 6, 5), channels=True)
    for nu in (1e-3, 0.1, 1.0):
        assert 0 < ip.SmoothedTV((2, 6, 5), nu, channels=True).value(u) - tv.value(u) <= nu * 30


@pytest.mark.parametrize("complex_", [False, True])
def test_the_hessian_is_the_derivative_of_the_gradient(complex_: bool, rng: np.random.Generator) -> None:
    f = 0.7 * ip.SmoothedTV((2, 5, 4), 0.5, spacing=(0.5, 1.0), channels=True)
    u, d, e = (draw(rng, f.dims, np.complex128 if complex_ else np.float64, np) for _ in range(3))
    h = 1e-5
    slope = (f.grad(u + h * d) - f.grad(u - h * d)) / (2 * h)
    Hd = f.hessian_apply(u, d, work={})
    np.testing.assert_allclose(Hd, slope, atol=1e-7 * np.abs(slope).max())
    assert real_dot(e, Hd) == pytest.approx(real_dot(d, f.hessian_apply(u, e)), rel=1e-11)
    assert 0 <= real_dot(d, Hd) <= f.L * np.linalg.norm(d) ** 2
    flat = f.hessian_apply(np.zeros_like(u), d)
    assert real_dot(d, flat) == pytest.approx(
        0.7
        * 0.5
        / 0.5
        * np.linalg.norm(ImageGradient(f.dims, (0.5, 1.0), True).forward(d, np.empty((2, 2, 5, 4), d.dtype))) ** 2,
        rel=1e-11,
    )


@pytest.mark.parametrize("dims", [(7,), (1, 6), (5, 4)])
def test_kernels_and_array_functions_agree(dims: tuple[int, ...], rng: np.random.Generator) -> None:
    f = 0.7 * ip.SmoothedTV(dims, 0.3)
    u, v = rng.standard_normal((2, 3, *dims))
    assert f.fused(u) and not f.fused(u + 0j)
    for one, other in (
        (f.value(u, True), f.value(u + 0j, True)),
        (f.grad(u), f.grad(u + 0j)),
        (f.hessian_apply(u, v), f.hessian_apply(u + 0j, v + 0j)),
        (f.hessian_apply(u, v, out=v.copy()), f.hessian_apply(u, v)),
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- what is refused

GUIDE = np.ones((3, 4))
BAD = {
    "axes": (lambda: ip.TV((2, 2, 2, 2)), ValueError, "^dims is .* one to three image axes"),
    "only channels": (lambda: ip.TV((3,), channels=True), ValueError, "^dims is .* after that of the channels"),
    "spacing": (lambda: ip.TV((3, 4), spacing=(1.0, 0.0)), ValueError, "^spacing is"),
    "number of spacings": (lambda: ip.TV((3, 4), spacing=(1.0,) * 3), ValueError, "^spacing is"),
    "channels": (lambda: ip.TV((3, 4), channels=3), TypeError, "^channels is 3"),
    "symmetric": (lambda: ip.TV((3, 4), symmetric="yes"), TypeError, "^symmetric is 'yes'"),
    "both": (lambda: ip.TV((3, 4), False, symmetric=True), ValueError, "^symmetric is True and isotropic is False"),
    "eps": (lambda: ip.SmoothedTV((3, 4), 0.0), ValueError, "^eps is 0"),
    "smoothed prox": (lambda: ip.SmoothedTV((3, 4), 1.0).prox(GUIDE, 1.0), TypeError, "has no prox"),
    "guide's shape": (lambda: ip.DirectionalTV((4, 3), GUIDE), ValueError, "^guide has shape"),
    "complex guide": (lambda: ip.DirectionalTV((3, 4), GUIDE * 1j), ValueError, "^guide has .* complex128"),
    "NaN in the guide": (lambda: ip.DirectionalTV((3, 4), GUIDE * math.nan), ValueError, "^guide has NaN"),
    "eta": (lambda: ip.DirectionalTV((3, 4), GUIDE, eta=0.0), ValueError, "^eta is 0"),
    "gamma": (lambda: ip.DirectionalTV((3, 4), GUIDE, gamma=1.5), ValueError, "^gamma is 1.5"),
    "precision": (
        lambda: ip.DirectionalTV((3, 4), GUIDE).value(GUIDE.astype("float32")),
        TypeError,
        "^x has dtype float32; DirectionalTV expects the precision of the guide",
    ),
    "alpha1": (lambda: ip.InfConvTV((3, 4), alpha1=0.0), ValueError, "^alpha1 is 0"),
    "alpha0": (lambda: ip.InfConvTV((3, 4), alpha0=math.inf), ValueError, "^alpha0 is inf"),
    "accuracy": (lambda: ip.InfConvTV((3, 4), accuracy=-1.0), ValueError, "^accuracy is -1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(case: str) -> None:
    call, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_short_of_iterations_is_said(rng: np.random.Generator) -> None:
    z = rng.standard_normal((8, 8))
    with pytest.warns(RuntimeWarning, match="^InfConvTV.prox stopped after niter=5 with a certified error of"):
        ip.InfConvTV((8, 8), accuracy=1e-6, niter=5).prox(z, 0.5)
    with pytest.warns(RuntimeWarning, match="^InfConvTV.value stopped after niter=5 with a certified error of"):
        ip.InfConvTV((8, 8), niter=5).value(z)


# ---------------------------------------------------------------- batches


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: 0.2 * ip.InfConvTV((3, 5)), id="infimal convolution"),
        pytest.param(lambda: 0.2 * ip.TV((3, 5), symmetric=True), id="symmetric"),
    ],
)
def test_a_batch_of_as_many_samples_as_rows(make: Callable[[], Any], rng: np.random.Generator) -> None:
    """What belongs to no sample stays whole where samples are done one after the other."""
    b, f = rng.standard_normal((3, 3, 5)) * np.array([1e-3, 1.0, 10.0])[:, None, None], make()
    settings = {"stop": ip.stop.relative_change(1e-4) | ip.stop.niter(400)}
    solver = ip.PDHG(tau=0.2, sigma=0.2)
    found = ip.solve(ip.Problem(ip.L2(b=b) + f, batch=3), solver, **settings)
    single = [ip.solve(ip.Problem(ip.L2(b=bi) + f), solver, **settings) for bi in b]
    steps = found.extra["niter_per_sample"]
    assert len(set(steps)) > 1 and steps == [s.niter for s in single]
    np.testing.assert_allclose(found.x, [s.x for s in single], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("unit", [1e-30, 1e-22, 1e20, 1e30])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_smoothed_tv_in_units_whose_squares_are_beyond_single_precision(unit: float, dtype: str) -> None:
    """∇R does not depend on the unit of u and ν; it was NaN below 1e-19 and 0 above 1e19."""
    u, v = np.random.default_rng(0).random((2, 6, 5))
    f, one = (ip.SmoothedTV((6, 5), eps=0.1 * s) for s in (unit, 1.0))
    x = (unit * u).astype(dtype)
    np.testing.assert_allclose(f.grad(x), one.grad(u), atol=1e-5)
    np.testing.assert_allclose(unit * f.hessian_apply(x, v.astype(dtype)), one.hessian_apply(u, v), atol=1e-4)
    assert f.value(x) / unit == pytest.approx(one.value(u), rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"spacing": (0.5, 2.0)}, {"symmetric": True}], ids=str)
@pytest.mark.parametrize("lam", [0.03, 0.3, 3.0])
def test_the_default_accuracy_is_one_that_single_precision_can_prove(lam: float, options: dict) -> None:
    """The certificate of images in single precision has a floor, where the prox took all its steps and warned."""
    z = np.kron(np.random.default_rng(0).random((4, 4)), np.ones((2, 2)))
    z += 0.1 * np.random.default_rng(1).standard_normal(z.shape)
    work: dict = {}
    p = ip.TV(z.shape, **options).prox(z.astype("float32"), lam, work=work)  # a warning is an error here
    exact = ip.TV(z.shape, **options, accuracy=1e-5, niter=20_000).prox(z, lam)
    assert np.linalg.norm(p - exact) <= min(work["bound"][0], 2e-4 * np.linalg.norm(z)) + 1e-5 * np.linalg.norm(z)
