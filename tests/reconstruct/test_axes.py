"""Stacks of slices and images of colours: which axes a regulariser couples is said, and not guessed."""

import numpy as np
import pytest

import ipbox as ip
from ipbox.choose.freedom import plateau_excess

RNG = np.random.default_rng(0)
STACK = np.zeros((4, 12, 10))
for k, image in enumerate(STACK):
    image[3 : 9 - k, 2:7] = 1.0 + k
B = STACK + 0.2 * RNG.standard_normal(STACK.shape)
COLOUR = np.ascontiguousarray(np.moveaxis(B[:3], 0, -1))
FINE = dict(tol=1e-5, niter=20_000)
METHODS = {
    "tv": lambda b, **o: ip.tv(None, b, 0.3, **FINE, **o)[0],
    "tgv": lambda b, **o: ip.tgv(None, b, 0.3, tol=1e-3, **o)[0],
    "wavelet": lambda b, **o: ip.wavelet(None, b, 0.3, wavelet="haar", **FINE, **o)[0],
}
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name == "tgv" else name for name in METHODS]


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_is_its_slices_where_it_is_said(name):
    method, tol = METHODS[name], 3e-2 if name == "tgv" else 1e-2
    expected = np.stack([method(b) for b in B])
    np.testing.assert_allclose(method(B, axes=(-2, -1)), expected, atol=tol)
    np.testing.assert_allclose(
        method(np.moveaxis(B, 0, -1).copy(), axes=(0, 1)), np.moveaxis(expected, 0, -1), atol=tol
    )
    coupled = method(B)
    assert np.abs(coupled - expected).max() > 0.05
    np.testing.assert_allclose(method(B, axes=(0, 1, 2)), coupled, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_colour_image_is_asked_about(name):
    method = METHODS[name]
    for b in (COLOUR, np.concatenate([COLOUR, COLOUR[..., :1]], axis=-1)):
        with pytest.raises(
            ValueError, match=r"^b has shape \(12, 10, [34]\), which may be .*axes=\(0, 1\).*axes=\(0, 1, 2\)"
        ):
            method(b)
    found = method(COLOUR, axes=(0, 1))
    each = np.stack([method(np.ascontiguousarray(c)) for c in np.moveaxis(COLOUR, -1, 0)], axis=-1)
    np.testing.assert_allclose(found, each, atol=3e-2 if name == "tgv" else 1e-2)
    assert method(COLOUR, axes=(0, 1, 2)).shape == COLOUR.shape


def test_an_operator_on_stacks():
    A = ip.Identity(B.shape, "float64")
    np.testing.assert_allclose(METHODS["tv"](B, axes=(1, 2)), ip.tv(A, B, 0.3, axes=(1, 2), **FINE)[0], atol=5e-3)
    each = np.stack([ip.tikhonov(ip.Identity(b.shape, "float64"), b, 2.0, gradient=True, tol=1e-12)[0] for b in B])
    found = ip.tikhonov(A, B, 2.0, gradient=True, axes=(1, 2), tol=1e-12)[0]
    np.testing.assert_allclose(found, each, atol=1e-9)
    assert np.abs(ip.tikhonov(A, B, 2.0, gradient=True)[0] - each).max() > 0.05


def test_a_batch_is_never_coupled():
    data = np.ascontiguousarray(B[:, 2:9, 1:8])
    A = ip.Identity(data.shape[1:], "float64")
    each = np.stack([ip.tv(A, b, 0.3, tol=1e-3)[0] for b in data])
    np.testing.assert_allclose(ip.tv(A, data, 0.3, tol=1e-3)[0], each, atol=3e-2)
    assert np.abs(ip.tv(None, data, 0.3)[0] - each).max() > 0.1


def test_axes_without_a_gradient():
    with pytest.raises(ValueError, match=r"^axes is \(1, 2\) and gradient is False"):
        ip.tikhonov(ip.Identity(B.shape, "float64"), B, 1.0, axes=(1, 2))


def test_a_rule_takes_the_whole_stack():
    delta = 0.2 * B.size**0.5
    x, info = ip.tv(None, B, "discrepancy", delta, axes=(-2, -1))
    assert np.linalg.norm(x - B) == pytest.approx(delta, rel=0.02)
    assert ip.psnr(x, STACK) > ip.psnr(B, STACK) + 3


def test_plateaus_do_not_reach_from_slice_to_slice():
    x = np.zeros((3, 4, 4))
    x[:, 2:] = 1.0
    noise = RNG.standard_normal(x.shape)
    each = [plateau_excess(n, u, 1e-6, axes=(0, 1)) for n, u in zip(noise, x, strict=True)]
    np.testing.assert_allclose(plateau_excess(noise, x, 1e-6, axes=(1, 2)), np.sum(each, axis=0))
    assert plateau_excess(noise, x, 1e-6, axes=(0, 1, 2))[1] == 2.0
    assert [ip.TV((3, 4, 4), axes=axes).gradient.coupled for axes in ((-1, -2), (0, 2), None)] == [
        (1, 2),
        (0, 2),
        (0, 1, 2),
    ]
