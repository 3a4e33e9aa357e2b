"""Trained equivariant networks as ordinary ones: kernels expanded once, and no work for the group in any call."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from ipbox.checks import check_type
from ipbox.keywords import answering
from ipbox.learned.networks.equivariant.convolutions import EquivariantConv

__all__ = ["expanded"]


@answering
def expanded(module: nn.Module) -> nn.Module:
    """A copy in which every equivariant convolution is a ``torch.nn.Conv2d``, with kernels as they are now.

    The copy gives the same output at the cost of an ordinary network of as many channels, needs nothing of the group,
    and is no longer equivariant when it is trained.  Names of tensors are those of the ordinary network: the weights of
    an expanded `EquivariantBlock` fit a `ResidualBlock`, those of an `EquivariantDnCNN` a `DnCNN` (without replicated
    borders).  Save the equivariant network, whose weights are fewer.

    Parameters
    ----------
    module : torch.nn.Module
        That has equivariant convolutions anywhere in it, such as a `LearnedProximalGradient` of such blocks.

    Raises
    ------
    TypeError, ValueError
        where ``module`` is no module, or has no equivariant convolution.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks import DnCNN
    >>> from ipbox.learned.networks.equivariant import EquivariantDnCNN, expanded
    >>> net, plain, x = EquivariantDnCNN(fields=2, depth=3), DnCNN(width=8, depth=3), torch.rand(1, 1, 8, 8)
    >>> plain.load_state_dict(expanded(net).state_dict())
    <All keys matched successfully>
    >>> torch.allclose(plain(x, 0.1), net(x, 0.1), atol=1e-6)
    True
    """
    check_type(module, "module", nn.Module, "a torch module")
    if not any(isinstance(part, EquivariantConv) for part in module.modules()):
        raise ValueError(f"module is {type(module).__name__} without equivariant convolutions; expected some to expand")
    if isinstance(module, EquivariantConv):
        return module.expand()
    module = copy.deepcopy(module)
    made: dict[Any, nn.Module] = {}
    for parent in list(module.modules()):
        for name, part in parent.named_children():
            if isinstance(part, EquivariantConv):
                made.setdefault(part, part.expand())
                setattr(parent, name, made[part])
    return module
