"""Images as channels, the layout of networks: complex ones are two channels, (Re, Im)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ipbox.checks import counted
from ipbox.operators import Operator

__all__ = ["channels_of", "check_plane", "each_slice", "from_channels", "norm_of", "to_channels"]


def to_channels(u: torch.Tensor) -> torch.Tensor:
    """(N,) + dims as (N, 1) + dims, complex as (N, 2) + dims.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.maps.channels import to_channels
    >>> to_channels(torch.ones(3, 4, 4, dtype=torch.complex64)).shape
    torch.Size([3, 2, 4, 4])
    """
    return torch.view_as_real(u.resolve_conj()).movedim(-1, 1) if u.is_complex() else u[:, None]


def from_channels(z: torch.Tensor) -> torch.Tensor:
    """The inverse of `to_channels`: one channel is a real image, two are a complex one.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.maps.channels import from_channels
    >>> from_channels(torch.ones(3, 2, 4, 4)).dtype
    torch.complex64
    """
    if z.shape[1] not in (1, 2):
        raise ValueError(f"z has {counted(z.shape[1], 'channel')}; expected 1 (real) or 2 (real and imaginary part)")
    return z[:, 0] if z.shape[1] == 1 else torch.view_as_complex(z.movedim(1, -1).contiguous())


def each_slice(network: Callable[[torch.Tensor], torch.Tensor], z: torch.Tensor, axes: int = 2) -> torch.Tensor:
    """A network for images (N, C, ny, nx) on (N, C, coils, ny, nx): on the data of each coil by themselves.

    ``axes`` are those that the network acts on, 3 for volumes.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.maps.channels import each_slice
    >>> each_slice(torch.nn.Conv2d(2, 3, 1), torch.ones(5, 2, 8, 4, 4)).shape
    torch.Size([5, 3, 8, 4, 4])
    """
    extra = z.ndim - 2 - axes
    if extra <= 0:
        return network(z)
    slices = network(z.movedim(1, 1 + extra).flatten(0, extra))
    return slices.unflatten(0, (len(z), *z.shape[2 : 2 + extra])).movedim(1 + extra, 1)


def channels_of(dtype: np.dtype) -> int:
    """How many channels images of this dtype have: 2 where it is complex."""
    return 2 if dtype.kind == "c" else 1


def check_plane(A: Operator, network: Any) -> None:
    """Refuse images that are no (ny, nx) where the network is one of ours, by its name: theirs may be for others."""
    if isinstance(network, str) and len(A.dims) != 2:
        raise ValueError(
            f"A has images of shape {tuple(A.dims)}, and network {network!r} is for (ny, nx); expected such an A, or a "
            "function of (c_in, c_out) that makes networks for its images"
        )


def norm_of(A: Operator) -> float:
    """‖A‖, by which maps divide A; refused where it is 0 or not finite."""
    norm = float(A.norm())
    if not (math.isfinite(norm) and norm > 0):
        raise ValueError(f"A has norm {norm}; expected a positive one")
    return norm
