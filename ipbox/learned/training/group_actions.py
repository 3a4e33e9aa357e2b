"""Group actions on images, exact: each sample of a batch is flipped, turned or shifted at random."""

from __future__ import annotations

import numbers
from dataclasses import dataclass

import torch

from ipbox.checks import check_type
from ipbox.groups import Group, Isometry
from ipbox.learned.networks.equivariant.actions import act

__all__ = ["Elements", "Flips", "QuarterTurns", "Shifts"]


@dataclass(frozen=True)
class Elements:
    """Each sample moved by an element of a group, each as likely as the others; channels are scalar fields.

    Parameters
    ----------
    group : Group
        Such as ``ip.groups.Dihedral(4)``; of angles that are no quarter turns interpolation shows.

    Examples
    --------
    >>> import torch, ipbox as ip
    >>> from ipbox.learned.training.losses import Elements
    >>> u = torch.arange(4.0).reshape(1, 2, 2).expand(50, 2, 2)
    >>> len(Elements(ip.groups.Dihedral(4))(u, torch.Generator().manual_seed(0)).unique(dim=0))
    8
    """

    group: Group

    def __post_init__(self) -> None:
        check_type(self.group, "group", Group, "a group, such as ip.groups.Dihedral(4)")

    def __call__(self, u: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        n, size = len(u), self.group.shape or (1, 1)
        points = _integers(self.group.point_order, (n,), generator)
        shifts = zip(*(_integers(k, (n,), generator) for k in size), strict=True)
        chosen = [self._element(h, t) for h, t in zip(points, shifts, strict=True)]
        return torch.stack([act(g, v) for g, v in zip(chosen, u, strict=True)])

    def _element(self, index: int, shift: tuple[int, int]) -> Isometry:
        return self.group.element(index % self.group.m, index >= self.group.m, shift)


@dataclass(frozen=True)
class Flips:
    """Each sample mirrored or not, in each of the last two axes.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.training.losses import Flips
    >>> u = torch.arange(4.0).reshape(1, 2, 2).expand(50, 2, 2)
    >>> len(Flips()(u, torch.Generator().manual_seed(0)).unique(dim=0))
    4
    """

    def __call__(self, u: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        chosen = zip(u, _integers(2, (len(u), 2), generator), strict=True)
        return torch.stack([v.flip([-2] * across + [-1] * along) for v, (across, along) in chosen])


@dataclass(frozen=True)
class QuarterTurns:
    """Each sample turned by 0, 90, 180 or 270 degrees, in the last two axes, which have the same length.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.training.losses import QuarterTurns
    >>> u = torch.arange(4.0).reshape(1, 2, 2).expand(50, 2, 2)
    >>> len(QuarterTurns()(u, torch.Generator().manual_seed(0)).unique(dim=0))
    4
    """

    def __call__(self, u: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        if u.shape[-1] != u.shape[-2]:
            raise ValueError(f"images have shape {tuple(u.shape[-2:])}; expected squares for quarter turns")
        chosen = zip(u, _integers(4, (len(u),), generator), strict=True)
        return torch.stack([v.rot90(k, (-2, -1)) for v, k in chosen])


@dataclass(frozen=True)
class Shifts:
    """Each sample shifted cyclically by whole pixels, in the last two axes; at most ``most`` where given.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.training.losses import Shifts
    >>> u = torch.arange(9.0).reshape(1, 3, 3).expand(99, 3, 3)
    >>> len(Shifts()(u, torch.Generator().manual_seed(0)).unique(dim=0))
    9
    """

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
