"""A tiny run of `fit` that the tests of training share."""

from __future__ import annotations

import torch
from torch import nn


def mse(model: nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    """With noise on the input, so that the generator matters."""
    x, y = batch
    return (model(x + 0.1 * torch.randn(x.shape, generator=generator)) - y).square().mean()


def plain(model: nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    return (model(batch[0]) - batch[1]).square().mean()


def samples(n: int = 10, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    g = torch.Generator().manual_seed(seed)
    return [(torch.randn(4, generator=g), torch.randn(2, generator=g)) for _ in range(n)]


def network(seed: int = 0) -> nn.Module:
    """With dropout and batch normalisation: random numbers and buffers of the layers' own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 2))


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([t.flatten().double() for t in model.state_dict().values()])


VALIDATION = [tuple(torch.stack(column) for column in zip(*samples(6, seed=9), strict=True))]
SETTINGS = dict(steps=40, batch_size=3, validation=VALIDATION, validate_every=8, clip=1.0, seed=3)


class StopAt:
    """A callback that stops at one step."""

    def __init__(self, step: int) -> None:
        self.at = step

    def __call__(self, step: int, model: nn.Module) -> bool:
        return step == self.at


class CrashAt(StopAt):
    def __call__(self, step: int, model: nn.Module) -> None:
        if step == self.at:
            raise KeyboardInterrupt
