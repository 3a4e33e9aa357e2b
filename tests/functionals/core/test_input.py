"""Odd input of functionals: layouts, batches, scales and arguments that once gave wrong answers or foreign errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ipbox as ip

DIMS = (4, 6)
ONES = np.ones(DIMS)
COUPLED = {
    "TV": ip.TV(DIMS),
    "TGV": ip.TGV(DIMS, accuracy=0.1),
    "InfConvTV": ip.InfConvTV(DIMS, accuracy=0.1),
    "Tikhonov": ip.Tikhonov(DIMS),
    "NuclearNorm": ip.NuclearNorm(DIMS),
    "GroupSparsity": ip.GroupSparsity(DIMS, axis=0),
    "L2Ball": ip.L2Ball(DIMS),
    "SmoothedTV": ip.SmoothedTV(DIMS, 0.5),
}


@pytest.mark.parametrize("name", COUPLED)
def test_layout_does_not_matter(name: str, rng: np.random.Generator) -> None:
    """Batches in Fortran's order, with one batch axis or two, read-only; and ``out`` that is not contiguous."""
    f = COUPLED[name]
    for batch in ((), (2,), (2, 3)):
        x = rng.standard_normal((*batch, *DIMS))
        odd = np.asfortranarray(x)
        odd.flags.writeable = False
        room = np.full((*batch, *DIMS, 2), np.nan)[..., 0]
        calls = [lambda x, **k: f.prox(x, 0.3, **k)] if f.has_prox else []
        calls += [f.grad] if f.has_grad else []
        for call in calls:
            expected = call(x)
            np.testing.assert_allclose(call(odd), expected, atol=1e-12)
            assert call(odd, out=room) is room
            np.testing.assert_allclose(room, expected, atol=1e-12)
            np.testing.assert_array_equal(odd, x)


def test_a_gradient_may_take_the_place_of_the_image() -> None:
    for f in (ip.L2(b=ONES) + ip.L2(b=2 * ONES), ip.L2(b=ONES) + ip.Tikhonov(DIMS)):
        x = np.arange(24.0).reshape(DIMS)
        expected = f.grad(x)
        assert np.array_equal(f.grad(x.copy(), out=(y := x.copy())), expected)
        assert np.array_equal(f.grad(y := x.copy(), out=y), expected)
        assert np.array_equal(f.value_grad(y := x.copy(), out=y)[1], expected)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_squares_outside_single_precision(scale: float, rng: np.random.Generator) -> None:
    """Norms and balls are homogeneous: f(sx) = s f(x), prox_{sτf}(sx) = s prox_{τf}(x)."""
    x = rng.standard_normal(DIMS).astype(np.float32)
    s = np.float32(scale)
    for f in (ip.L21(1), ip.GroupSparsity(DIMS, axis=0), ip.GroupSparsity(DIMS, groups=[[0, 1, 5], [7, 8]])):
        assert f.value(s * x) == pytest.approx(scale * f.value(x), rel=1e-5)
        np.testing.assert_allclose(f.prox(s * x, 0.3 * scale) / s, f.prox(x, 0.3), atol=1e-5)
    ball, scaled = ip.L2Ball(DIMS, 1.0), ip.L2Ball(DIMS, scale)
    np.testing.assert_allclose(scaled.prox(s * x, 1.0) / s, ball.prox(x, 1.0), atol=1e-5)
    assert scaled.value(s * x) == np.inf
    guided = [ip.DirectionalTV(DIMS, guide=v).value(x) for v in (x, s * x)]
    assert guided[1] == pytest.approx(guided[0], rel=1e-5)


def test_weights_out_of_range() -> None:
    assert isinstance(1e-200 * (1e-200 * ip.L1()), ip.Zero)
    with pytest.raises(ValueError, match="^weight is inf"):
        1e200 * (1e200 * ip.L1())


def test_a_flat_image_is_read_but_not_a_transposed_one() -> None:
    f = ip.L2(b=np.arange(24.0).reshape(DIMS))
    assert f.value(np.arange(24.0)) == 0.0 and f.value(np.arange(24.0).reshape((1, *DIMS))) == 0.0
    with pytest.raises(ValueError, match=r"^x has shape \(6, 4\); L2"):
        f.value(np.zeros((6, 4)))


COMPLEX = ONES + 1j
BALL = ip.L2Ball(DIMS, 1.0, np.ones((3, *DIMS)))
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "real x, complex b": (
        lambda: ip.L2(b=COMPLEX).prox(ONES, 1.0),
        TypeError,
        "^x has dtype float64; L2 .* complex128",
    ),
    "real x, complex data": (lambda: ip.L1Data(None, COMPLEX).prox(ONES, 1.0), TypeError, "^x has dtype float64"),
    "other precision": (
        lambda: ip.L2(b=ONES).grad(ONES.astype("f4")),
        TypeError,
        "^x has dtype float32; L2 .* float64",
    ),
    "byte order": (lambda: ip.L1().value(ONES.astype(">f8")), TypeError, "^x has dtype >f8"),
    "number": (lambda: ip.L1().prox(np.array(1.0), 1.0), ValueError, r"^x has shape \(\)"),
    "integers": (lambda: ip.L1().prox_conj(np.arange(3), 1.0), TypeError, "^x has dtype int64"),
    "empty b": (lambda: ip.KL(None, np.ones(0)), ValueError, r"^b has shape \(0,\)"),
    "b of no axes": (lambda: ip.L2(b=np.array(1.0)), ValueError, r"^b has shape \(\)"),
    "complex centre": (lambda: ip.L2Ball(DIMS, 1.0, COMPLEX).prox(ONES, 1.0), TypeError, "^x has dtype .* centre"),
    "conjugate": (lambda: ip.L2Ball(DIMS, 1.0, COMPLEX).conj(ONES), TypeError, "^x has dtype .* centre"),
    "centres": (lambda: BALL.value(ONES), ValueError, "^x has 1 sample; L2Ball"),
    "two batch axes": (lambda: ip.L2Ball(DIMS, 1.0, np.ones((3, 2, *DIMS))), ValueError, "^centre has shape"),
    "one image": (lambda: ip.TV(DIMS).value(ONES, batch=True), ValueError, "^x has shape .* TV with batch"),
    "steps": (lambda: ip.TV(DIMS).prox(np.ones((2, *DIMS)), [1.0] * 3), ValueError, "^tau has 3 entries"),
    "steps of an image": (lambda: ip.TV(DIMS).prox(ONES, [1.0] * 4), ValueError, "^tau has 4 entries"),
    "steps of the dual": (lambda: ip.L2(b=ONES).prox_conj(ONES, [1.0] * 3), ValueError, "^3 numbers for 4"),
    "no numbers": (lambda: ip.L1().prox(ONES, ["a"] * 4), TypeError, "^tau has dtype <U1"),
    "shape of out": (lambda: ip.L2(b=ONES).grad(ONES, out=np.empty(24)), ValueError, r"^out has shape \(24,\)"),
    "dtype of out": (lambda: ip.L2(b=ONES).grad(ONES, out=np.empty(DIMS, "f4")), ValueError, "^out has .* float32"),
    "TV niter": (lambda: ip.TV(DIMS, niter=-1), ValueError, "^niter is -1"),
    "TV half an iteration": (lambda: ip.TV(DIMS, niter=2.5), ValueError, "^niter is 2.5"),
    "TV accuracy": (lambda: ip.TV(DIMS, accuracy="high"), ValueError, "^accuracy is 'high'"),
    "isotropic": (lambda: ip.TV(DIMS, isotropic="no"), TypeError, "^isotropic is 'no'"),
    "InfConvTV niter": (lambda: ip.InfConvTV(DIMS, niter=-1), ValueError, "^niter is -1"),
    "TGV spacing": (lambda: ip.TGV(DIMS, spacing="a"), ValueError, "^spacing is 'a'"),
    "L21 ndim": (lambda: ip.L21(2.0), ValueError, "^ndim is 2.0"),
    "labels": (lambda: ip.GroupSparsity(DIMS, groups=np.full(DIMS, 10**12)), ValueError, "^groups has .* 0 to 23"),
    "groups": (lambda: ip.GroupSparsity(DIMS, groups=5), TypeError, "^groups is int"),
    "wavelet": (lambda: ip.WaveletL1((8, 8), ["haar"]), ValueError, "^wavelet is"),
    "NaN in C": (lambda: ip.Affine(np.full((1, 3), np.nan), np.ones(1)), ValueError, "^C has NaN"),
    "no A": (lambda: ip.Quadratic(None, np.ones(3)), TypeError, "^A is NoneType"),
    "composition": (lambda: ip.TV((5, 5)) @ ip.Gradient((5, 4)), ValueError, r"^g is TV on arrays of shape \(5, 5\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
