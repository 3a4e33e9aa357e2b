"""Group actions on images, exact: each sample of a batch is flipped, turned or shifted at random."""

from __future__ import annotations

import numbers
from dataclasses import dataclass

import torch

__all__ = ["Flips", "QuarterTurns", "Shifts"]


@dataclass(frozen=True)
class Flips:
    """Each sample mirrored or not, in each of the last two axes."""

    def __call__(self, u: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        chosen = zip(u, _integers(2, (len(u), 2), generator), strict=True)
        return torch.stack([v.flip([-2] * across + [-1] * along) for v, (across, along) in chosen])


@dataclass(frozen=True)
class QuarterTurns:
    """Each sample turned by 0, 90, 180 or 270 degrees, in the last two axes, which have the same length."""

    def __call__(self, u: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        if u.shape[-1] != u.shape[-2]:
            raise ValueError(f"images have shape {tuple(u.shape[-2:])}; expected squares for quarter turns")
        chosen = zip(u, _integers(4, (len(u),), generator), strict=True)
        return torch.stack([v.rot90(k, (-2, -1)) for v, k in chosen])


@dataclass(frozen=True)
class Shifts:
    """Each sample shifted cyclically by whole pixels, in the last two axes; at most ``most`` where given."""

    most: int | None = None

    def __post_init__(self) -> None:
        if self.most is not None and (not isinstance(self.most, numbers.Integral) or self.most < 1):
            raise ValueError(f"most is {self.most!r}; expected a positive number of pixels, or None")

    def __call__(self, u: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        moves = []
        for n in u.shape[-2:]:
            least, count = (0, n) if self.most is None else (-self.most, 2 * self.most + 1)
            moves.append([least + k for k in _integers(count, (len(u),), generator)])
        return torch.stack([v.roll(by, (-2, -1)) for v, by in zip(u, zip(*moves, strict=True), strict=True)])


def _integers(below: int, shape: tuple[int, ...], generator: torch.Generator) -> list:
    return torch.randint(below, shape, generator=generator, device=generator.device).tolist()
