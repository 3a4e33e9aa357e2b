"""What couples only some axes of an image is, of a stack along the others, the sum over its slices."""

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend

FUNCTIONALS = {
    "TV": lambda dims, **o: ip.TV(dims, accuracy=1e-6, **o),
    "anisotropic": lambda dims, **o: ip.TV(dims, isotropic=False, accuracy=1e-6, **o),
    "symmetric": lambda dims, **o: ip.TV(dims, symmetric=True, accuracy=1e-4, **o),
    "spacing": lambda dims, **o: ip.TV(dims, accuracy=1e-6, spacing=(0.5, 2.0), **o),
    "SmoothedTV": lambda dims, **o: ip.SmoothedTV(dims, eps=0.3, **o),
    "SmoothedTV, spacing": lambda dims, **o: ip.SmoothedTV(dims, eps=0.3, spacing=(0.5, 2.0), **o),
    "TGV": lambda dims, **o: ip.TGV(dims, accuracy=2e-3, value_accuracy=1e-3, **o),
    "TGV, spacing": lambda dims, **o: ip.TGV(dims, 1.5, (0.5, 2.0), accuracy=2e-3, value_accuracy=1e-3, **o),
    "WaveletL1": lambda dims, **o: ip.WaveletL1(dims, "db2", **o),
    "Tikhonov": lambda dims, **o: ip.Tikhonov(dims, spacing=(0.5, 2.0), **o),
    "Tikhonov, periodic": lambda dims, **o: ip.Tikhonov(dims, 2, boundary="periodic", **o),
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) if "TGV" in name else name for name in FUNCTIONALS]
STACKS = {(-2, -1): (3, 6, 5), (0, 1): (6, 5, 3), (0, 2): (6, 3, 5)}


def _images(name, axes, dtype="float64"):
    dims = STACKS[axes]
    x = np.random.default_rng(0).standard_normal(dims)
    if dtype == "complex128":
        x = x + 1j * np.random.default_rng(1).standard_normal(dims)
    (other,) = {0, 1, 2} - {a % 3 for a in axes}
    return x, other, FUNCTIONALS[name](dims, axes=axes), FUNCTIONALS[name]((6, 5))


@pytest.mark.parametrize("axes", STACKS)
@pytest.mark.parametrize("name", SLOW)
def test_value_gradient_and_prox_are_those_of_the_slices(name, axes):
    x, other, stack, one = _images(name, axes)
    slices = [np.ascontiguousarray(np.take(x, k, axis=other)) for k in range(3)]
    assert stack.value(x) == pytest.approx(sum(one.value(s) for s in slices), rel=2e-3 if "TGV" in name else 1e-10)
    batch = np.stack([x, 2 * x])
    np.testing.assert_allclose(stack.value(batch, batch=True), [stack.value(v) for v in batch], rtol=1e-9)
    if stack.has_grad:
        expected = np.stack([one.grad(s) for s in slices], axis=other)
        np.testing.assert_allclose(stack.grad(x), expected, atol=1e-12)
        assert stack.L == pytest.approx(one.L, rel=1e-12)
    if stack.has_prox:
        expected = np.stack([one.prox(s, 0.3) for s in slices], axis=other)
        np.testing.assert_allclose(
            stack.prox(x, 0.3), expected, atol={"TGV": 2e-2, "TGV, spacing": 2e-2, "symmetric": 2e-3}.get(name, 2e-5)
        )


@pytest.mark.parametrize("axes", STACKS)
@pytest.mark.parametrize("name", ["TV", "symmetric", "WaveletL1", "Tikhonov", "SmoothedTV"])
def test_complex_images(name, axes):
    x, other, stack, one = _images(name, axes, "complex128")
    slices = [np.ascontiguousarray(np.take(x, k, axis=other)) for k in range(3)]
    assert stack.value(x) == pytest.approx(sum(one.value(s) for s in slices), rel=1e-10)


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_all_axes_are_the_default(name):
    x, _, _, one = _images(name, (-2, -1))
    assert FUNCTIONALS[name]((6, 5), axes=(1, -2)).value(x[0]) == one.value(x[0])


def test_a_volume_is_coupled_unless_it_is_said():
    x = np.stack([np.zeros((4, 4)), np.ones((4, 4))])
    assert (ip.TV((2, 4, 4)).value(x), ip.TV((2, 4, 4), axes=(1, 2)).value(x)) == (16.0, 0.0)
    assert (ip.TV((2, 4, 4), axes=0).value(x), ip.TV((2, 4, 4), axes=(0, 1, 2)).value(x)) == (16.0, 16.0)


def test_channels_share_their_edges_within_the_slices():
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 5))  # channels, slices, rows, columns
    found = ip.TV((2, 3, 6, 5), channels=True, axes=(-2, -1)).value(x)
    assert found == pytest.approx(sum(ip.TV((2, 6, 5), channels=True).value(x[:, k]) for k in range(3)))


def test_more_axes_than_three():
    x = np.random.default_rng(0).standard_normal((2, 2, 6, 5))
    assert ip.TV(x.shape, axes=(2, 3)).value(x) == pytest.approx(ip.TV((6, 5)).value(x, batch=False))
    with pytest.raises(ValueError, match="one to three image axes"):
        ip.TV(x.shape, axes=(0, 3))


@pytest.mark.parametrize("axes", [(), (0, 0), (0, -3), (3,), (0.5,), "ab", (True, False)])
def test_axes_that_are_none(axes):
    for make in (ip.TV, ip.TGV, ip.WaveletL1, ip.Gradient, ip.Tikhonov, ip.Wavelet):
        with pytest.raises(
            ValueError, match=r"^axes is .*; expected different axes of an image of 3, such as \(-2, -1\)$"
        ):
            make((3, 6, 5), axes=axes)


@pytest.mark.parametrize("axes", STACKS)
@pytest.mark.parametrize("make", [ip.Gradient, lambda dims, **o: ip.Wavelet(dims, "db2", **o)], ids=["∇", "W"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_operators_of_the_slices(make, axes, dtype):
    dims = STACKS[axes]
    A, one = make(dims, dtype=dtype, axes=axes), make((6, 5), dtype=dtype)
    x = np.random.default_rng(0).standard_normal(dims).astype(dtype)
    (other,) = {0, 1, 2} - {a % 3 for a in axes}
    slices = [np.ascontiguousarray(np.take(x, k, axis=other)) for k in range(3)]
    images_last = other - 3
    np.testing.assert_allclose(A.apply(x), np.stack([one.apply(s) for s in slices], axis=images_last), atol=1e-14)
    y = np.random.default_rng(1).standard_normal(A.dimsd).astype(dtype)
    assert np.vdot(A.apply(x), y).real == pytest.approx(np.vdot(x, A.apply_adjoint(y)).real, rel=1e-12)
    assert A.norm() == pytest.approx(one.norm(), rel=1e-12)


def test_subbands_of_a_stack():
    W, one = ip.Wavelet((8, 3, 12), "haar", 2, "float64", axes=(0, 2)), ip.Wavelet((8, 12), "haar", 2, "float64")
    x = np.random.default_rng(0).standard_normal((8, 3, 12))
    found, expected = W.coefficients(W.apply(x)), one.coefficients(one.apply(np.ascontiguousarray(x[:, 1])))
    np.testing.assert_allclose(found[0][:, 1], expected[0], atol=1e-14)
    for bands, others in zip(found[1:], expected[1:], strict=True):
        assert set(bands) == set(others)
        for key, band in bands.items():
            np.testing.assert_allclose(band[:, 1], others[key], atol=1e-14)


@pytest.mark.parametrize("axes", STACKS)
@pytest.mark.parametrize("name", ["TV", "TGV", "WaveletL1", "SmoothedTV", "Tikhonov"])
def test_on_the_device(name, axes, xp):
    x, _, stack, _ = _images(name, axes)
    moved = backend.to_device(x, xp)
    assert stack.value(moved) == pytest.approx(stack.value(x), rel=1e-10)
    if stack.has_grad:
        np.testing.assert_allclose(backend.to_host(stack.grad(moved)), stack.grad(x), atol=1e-12)
