"""Learned post-processing and AUTOMAP."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.learned.maps.direct import AUTOMAP, PostProcessing
from ipbox.operators.tomography.ramp import RampFilter


@pytest.fixture
def A() -> ip.RayTransform:
    return ip.RayTransform((9, 8), np.linspace(0, 3, 7), dtype="float64")


def test_without_correction_post_processing_is_the_analytical_reconstruction(
    A: ip.RayTransform, rng: np.random.Generator
) -> None:
    net = PostProcessing(A, width=2, depth=2, scale=0.3).double()
    with torch.no_grad():
        for p in net.network.parameters():
            p.zero_()
    b = rng.standard_normal((3, *A.dimsd))
    np.testing.assert_allclose(net.reconstruct(b)[0], (A.H @ RampFilter(A)).apply(b), atol=1e-12)
    plain = PostProcessing(A, width=2, depth=2, filter=None).double()
    plain.network.load_state_dict(net.network.state_dict())
    np.testing.assert_allclose(plain.reconstruct(b[0])[0], A.apply_adjoint(b[0]) / A.norm() ** 2, atol=1e-12)


def test_post_processing_of_complex_images() -> None:
    A = ip.FourierTransform((8, 8), dtype="complex64")
    x, _ = PostProcessing(A, width=2, depth=2, filter=None).reconstruct(np.ones((8, 8), "complex64"))
    assert x.dtype == np.complex64 and x.shape == (8, 8)


@pytest.mark.parametrize("make", [lambda A: PostProcessing(A, 2, 2), lambda A: AUTOMAP(A, 2)])
def test_gradients(A: ip.RayTransform, make) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = make(A).double()
    b = torch.randn(1, *A.dimsd, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(net, b)


def test_parameters_of_automap(A: ip.RayTransform) -> None:
    m, n = int(np.prod(A.dimsd)), 72
    counted = sum(p.numel() for p in AUTOMAP(A, width=3).parameters())
    dense = (m + 1) * n + (n + 1) * n
    assert counted == dense + (25 + 1) * 3 + (25 * 3 + 1) * 3 + 49 * 3 + 1


def test_automap_ignores_the_operator(A: ip.RayTransform, rng: np.random.Generator) -> None:
    net = AUTOMAP(A, width=2).double()
    other = ip.RayTransform((9, 8), np.linspace(0, 2, 7), dtype="float64")
    b = rng.standard_normal(A.dimsd)
    np.testing.assert_array_equal(net.reconstruct(b)[0], net.with_operator(other).reconstruct(b)[0])


def test_automap_keeps_its_features_for_the_penalty_while_training(A: ip.RayTransform) -> None:
    net = AUTOMAP(A, width=2).double()
    net(torch.ones(2, *A.dimsd, dtype=torch.float64))
    assert net.features.shape == (2, 2, 9, 8) and net.features.requires_grad
    net.reconstruct(np.ones(A.dimsd))
    assert net.features is None


@pytest.mark.parametrize("net", [PostProcessing, AUTOMAP])
def test_batch_is_a_loop(A: ip.RayTransform, rng: np.random.Generator, net: type) -> None:
    phi = net(A, width=2).double()
    b = rng.standard_normal((2, *A.dimsd))
    x, _ = phi.reconstruct(b)
    for bi, xi in zip(b, x, strict=True):
        np.testing.assert_allclose(phi.reconstruct(bi)[0], xi, rtol=1e-9, atol=1e-12)


def test_bad_input(A: ip.RayTransform) -> None:
    with pytest.raises(ValueError, match="filter is 'none'"):
        PostProcessing(A, filter="none")
    with pytest.raises(ValueError, match="width is 0"):
        PostProcessing(A, width=0)
    with pytest.raises(ValueError, match="width is 0"):
        AUTOMAP(A, width=0)
    with pytest.raises(ValueError, match="scale_data is -1"):
        AUTOMAP(A, scale_data=-1)
    with pytest.raises(ValueError, match="expected real"):
        AUTOMAP(ip.FourierTransform((8, 8), dtype="complex64"))
    with pytest.raises(ValueError, match="shape"):
        PostProcessing(A, width=2, depth=2).reconstruct(np.ones((3, 3)))
    with pytest.raises(TypeError, match="float64"):
        PostProcessing(A, width=2, depth=2).float().reconstruct(np.ones(A.dimsd))


def test_a_filter_made_for_one_operator_is_not_kept_for_another(A: ip.RayTransform) -> None:
    net = PostProcessing(A, width=2, depth=2, filter=RampFilter(A))
    other = ip.RayTransform((9, 8), np.linspace(0, 3, 7), pixel_size=2.0, dtype="float64")
    with pytest.raises(ValueError, match="made for another A"):
        net.with_operator(other)
