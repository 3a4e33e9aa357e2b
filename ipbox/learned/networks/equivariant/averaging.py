"""Any module made equivariant: its mean over a group."""

from __future__ import annotations

from typing import Any

import torch

from ipbox.checks import check_type
from ipbox.groups import Group
from ipbox.groups.averages import check_exact
from ipbox.learned.networks.equivariant.actions import act

__all__ = ["GroupAverage"]


class GroupAverage(torch.nn.Module):
    r"""PΦ(u) = (1/|G|) Σ_g g⁻¹ Φ(g·u) of a module Φ from images to images, as `ipbox.groups.Averaged` for arrays.

    Equivariant, and Φ itself where that is; |G| times its work, in training as well.  For a denoiser in `ip.pnp` there
    is ``equivariant=group, average=True``; given itself there, it wants ``takes_sigma``.

    Parameters
    ----------
    net : torch.nn.Module
    group : Group
        Exact.

    Raises
    ------
    ValueError, TypeError
        where the group interpolates, or ``net`` is no module; in use, where an image is not square for a quarter turn.

    Examples
    --------
    >>> import torch, ipbox as ip
    >>> from ipbox.learned.networks.equivariant import GroupAverage, act
    >>> D4, u = ip.groups.Dihedral(4), torch.rand(1, 1, 8, 8)
    >>> net = GroupAverage(torch.nn.Conv2d(1, 1, 3, padding=1), D4)
    >>> all(torch.allclose(net(act(g, u)), act(g, net(u)), atol=1e-6) for g in D4)
    True
    """

    def __init__(self, net: torch.nn.Module, group: Group) -> None:
        super().__init__()
        self.net = check_type(net, "net", torch.nn.Module, "a torch module")
        self.group = check_exact(group)

    def forward(self, u: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """PΦ(u); other arguments, such as a noise level, are handed on."""
        check_type(u, "u", torch.Tensor, "a torch tensor")
        images = (act(g.inverse, self.net(act(g, u), *args, **kwargs)) for g in self.group)
        return sum(images, torch.zeros((), dtype=u.dtype, device=u.device)) / self.group.order

    def extra_repr(self) -> str:
        return f"group={self.group}"
