"""Images as channels, the layout of networks: complex ones are two channels, (Re, Im)."""

from __future__ import annotations

import math

import numpy as np
import torch

from ipbox.operators import Operator

__all__ = ["channels_of", "from_channels", "norm_of", "to_channels"]


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
        raise ValueError(f"z has {z.shape[1]} channels; expected 1 (real) or 2 (real and imaginary part)")
    return z[:, 0] if z.shape[1] == 1 else torch.view_as_complex(z.movedim(1, -1).contiguous())


def channels_of(dtype: np.dtype) -> int:
    """How many channels images of this dtype have: 2 where it is complex."""
    return 2 if dtype.kind == "c" else 1


def norm_of(A: Operator) -> float:
    """‖A‖, by which maps divide A; refused where it is 0 or not finite."""
    norm = float(A.norm())
    if not (math.isfinite(norm) and norm > 0):
        raise ValueError(f"A has norm {norm}; expected a positive one")
    return norm
