"""Elements of groups acting on tensors, as `ipbox.groups.Isometry` acts on arrays."""

from __future__ import annotations

import numpy as np
import torch

from ipbox.checks import check_type
from ipbox.groups import Isometry
from ipbox.keywords import answering

__all__ = ["act"]


@answering
def act(g: Isometry, u: torch.Tensor, field: str = "scalar") -> torch.Tensor:
    """g·u, differentiable: the same pixels, bit for bit, as ``g(u, field)`` has for arrays where g is exact.

    Parameters
    ----------
    g : Isometry
        Of a group of `ipbox.groups`.
    u : torch.Tensor, shape (..., H, W), or (..., C, H, W) for fields that are not scalar
    field : {"scalar", "vector", "regular"}

    Raises
    ------
    ValueError
        where g does not act on such images.
    TypeError
        where ``u`` is no tensor, or of integers that would be interpolated or change sign.

    Examples
    --------
    >>> import torch, ipbox as ip
    >>> from ipbox.learned.networks.equivariant import act
    >>> act(ip.groups.Rotations(4).element(1), torch.tensor([[0, 1], [0, 0]]))
    tensor([[1, 0],
            [0, 0]])
    """
    check_type(g, "g", Isometry, "an element of a group, such as next(iter(ip.groups.Rotations(4)))")
    check_type(u, "u", torch.Tensor, "a torch tensor")
    if not (u.is_floating_point() or u.is_complex()) and (not g.exact or field == "vector"):
        raise TypeError(f"u has dtype {u.dtype}; expected a floating one for {g}, {field}")

    def put(a: np.ndarray) -> torch.Tensor:
        return torch.tensor(a, dtype=u.dtype if a.dtype.kind == "f" else torch.int64, device=u.device)

    return g.act(u, field, torch, put)
