"""A loss of samples with an operator each."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.maps.primal_dual import LearnedPrimalDual
from ipbox.learned.training import fit
from ipbox.learned.training.losses import SURE, PerOperator, Supervised


def scans() -> list:
    """Two scans of four coils with other masks and maps, and one of three coils."""
    return [ip.problem("mri", size=16, coils=coils, seed=seed)[:3] for coils, seed in ((4, 0), (4, 1), (3, 2))]


def network(A: object) -> LearnedPrimalDual:
    torch.manual_seed(0)
    return LearnedPrimalDual(A, niter=2, width=4, memory=2)


@pytest.mark.parametrize("kind", ["supervised", "sure"])
def test_it_is_the_mean_of_the_losses_with_each_operator(kind: str) -> None:
    (A, b, x), (B, c, y), _ = scans()
    net = network(A)
    index, data, images = torch.tensor([1, 0]), torch.tensor(np.stack([c, b])), torch.tensor(np.stack([y, x]))

    def own(A: object) -> object:
        return Supervised() if kind == "supervised" else SURE(0.01, A=LinearMap(A))

    loss = PerOperator(own(A), [A, B])(net, (index, data, images), torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    each = [
        own(op)(net.with_operator(op), (data[k : k + 1], images[k : k + 1]), generator) for k, op in ((0, B), (1, A))
    ]
    assert loss.item() == pytest.approx(sum(each).item() / 2, rel=1e-6)
    loss.backward()
    assert all(p.grad is not None for p in net.parameters())


def test_fit_on_scans_of_different_coils() -> None:
    samples = scans()
    net, operators = network(samples[0][0]), [A for A, _, _ in samples]
    data = [(torch.tensor(i), b, x) for i, (_, b, x) in enumerate(samples)]
    loss = PerOperator(Supervised(), operators)

    def mean() -> float:
        with torch.no_grad():
            parts = [loss(net, tuple(torch.as_tensor(t)[None] for t in sample), None) for sample in data]
        return float(sum(parts))

    before = mean()
    fit(net, loss, data, steps=40, batch_size=1, lr=3e-3)
    assert mean() < 0.7 * before


def test_refused() -> None:
    (A, b, x), *_ = scans()
    b, x = torch.tensor(b[None]), torch.tensor(x[None])
    with pytest.raises(ValueError, match="operators is empty"):
        PerOperator(Supervised(), [])
    with pytest.raises(TypeError, match="loss is int"):
        PerOperator(3, [A])
    loss = PerOperator(Supervised(), [A])
    with pytest.raises(TypeError, match="model is Identity; expected a LearnedMap"):
        loss(torch.nn.Identity(), (torch.tensor([0]), b, x), None)
    with pytest.raises(TypeError, match="the batch begins with torch.complex64"):
        loss(network(A), (b, x), None)
    with pytest.raises(ValueError, match="the batch has the operator 1; expected 0 to 0"):
        loss(network(A), (torch.tensor([1]), b, x), None)
