"""The mean of a map over a finite group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ipbox.backend import Array
from ipbox.checks import check_type
from ipbox.groups.isometries import Group, Isometry
from ipbox.keywords import answering_classes

__all__ = ["Averaged", "check_exact"]


@dataclass(frozen=True)
class Averaged:
    r"""The mean of a map over a finite group, which is equivariant (Reynolds operator).

    .. math:: (PΦ)(u) = \frac{1}{|G|} \sum_{g \in G} g^{-1} Φ(g \cdot u)

    P is linear in Φ, P² = P, and PΦ = Φ for equivariant Φ; by |G| calls of Φ.

    Parameters
    ----------
    phi : callable
        From arrays to images, NumPy or CuPy.
    group : Group
        Exact.
    action : callable, optional
        (g, b) ↦ g·b, where Φ is of data and not of images; for a parallel beam
        ``lambda g, b: ip.evaluate.turned_views(A, g, b)``.

    Raises
    ------
    ValueError, TypeError
        where the group interpolates, and what Φ, the action or an element raise.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> phi = ip.groups.Averaged(lambda u: u * np.array([[4.0, 0.0], [0.0, 0.0]]), ip.groups.Rotations(4))
    >>> phi(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[1., 2.],
           [3., 4.]])
    """

    phi: Callable[..., Array]
    group: Group
    action: Callable[[Isometry, Array], Array] | None = None

    def __post_init__(self) -> None:
        for name in ("phi", "action"):
            f = vars(self)[name]
            if not callable(f) and not (f is None and name == "action"):
                raise TypeError(f"{name} is {type(f).__name__}; expected a function of arrays")
        check_exact(self.group)

    def __call__(self, u: Array, *args: Any, **kwargs: Any) -> Array:
        """PΦ(u); other arguments are handed on to Φ."""
        act = (lambda g, u: g(u)) if self.action is None else self.action
        return sum(g.inverse(self.phi(act(g, u), *args, **kwargs)) for g in self.group) / self.group.order


def check_exact(group: Any, name: str = "group") -> Group:
    """A group that permutes pixels, so that g⁻¹g·u = u."""
    check_type(group, name, Group, "a group, such as ip.groups.Dihedral(4)")
    if not group.exact:
        raise ValueError(f"{name} is {group}, which interpolates; expected one of quarter turns, such as Dihedral(4)")
    return group


answering_classes(globals())
