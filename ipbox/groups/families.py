"""The groups there are: rotations, these and mirror images, periodic translations, and products of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ipbox.checks import check_count, check_flag, check_type
from ipbox.groups.isometries import Group
from ipbox.keywords import answering, answering_classes

__all__ = ["Dihedral", "RotoTranslations", "Rotations", "Translations", "as_group"]


@dataclass(frozen=True)
class Rotations(Group):
    r"""The cyclic group :math:`Z_m` of rotations by multiples of 2π/m.

    Parameters
    ----------
    m : int
        1, 2 and 4 permute the pixels of a square image (1 and 2 of any).  For other m, rotations that are no quarter
        turns interpolate bilinearly, with zeros outside: ``exact`` is False, and the group laws hold up to that error.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> [g(np.array([[1, 2], [3, 4]])).tolist() for g in ip.groups.Rotations(4)][:2]
    [[[1, 2], [3, 4]], [[2, 4], [1, 3]]]
    """

    m: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "m", check_count(self.m, "m"))

    @property
    def name(self) -> str:
        """``"Z4"`` for m = 4."""
        return f"Z{self.m}"


@dataclass(frozen=True)
class Dihedral(Group):
    r"""The dihedral group :math:`D_m`: rotations by multiples of 2π/m, and these after the mirror image s; 2m elements.

    Parameters
    ----------
    m : int
        Exact for 1, 2 and 4; see `Rotations`.

    Examples
    --------
    >>> import ipbox as ip
    >>> D = ip.groups.Dihedral(4)
    >>> D.order, all(g @ g.inverse == D.identity for g in D)
    (8, True)
    """

    m: int = 4
    mirrors: ClassVar[bool] = True  # type: ignore[misc]  # a field of the base, the same for all of these

    def __post_init__(self) -> None:
        object.__setattr__(self, "m", check_count(self.m, "m"))

    @property
    def name(self) -> str:
        """``"D4"`` for m = 4."""
        return f"D{self.m}"


@dataclass(frozen=True)
class Translations(Group):
    """All periodic translations by whole pixels of images of one shape.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> T = ip.groups.Translations((1, 3))
    >>> [g(np.array([[1, 2, 3]])).tolist() for g in T]
    [[[1, 2, 3]], [[3, 1, 2]], [[2, 3, 1]]]
    """

    shape: tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _check_shape(self.shape))


@dataclass(frozen=True)
class RotoTranslations(Group):
    """The semidirect product of periodic translations with Z_m or D_m: (t, R)(t', R') = (t + Rt', RR').

    Parameters
    ----------
    shape : tuple of int
        Rows and columns; equal for m = 4.
    m : {1, 2, 4}
    mirrors : bool
        D_m instead of Z_m.

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.groups.RotoTranslations((8, 8), mirrors=True).order
    512
    """

    shape: tuple[int, int]
    m: int = 4
    mirrors: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _check_shape(self.shape))
        check_flag(self.mirrors, "mirrors")
        object.__setattr__(self, "m", check_count(self.m, "m"))
        if self.m not in (1, 2, 4):
            raise ValueError(f"m is {self.m}; expected 1, 2 or 4, whose turns map whole pixels to whole pixels")
        if self.m == 4 and self.shape[0] != self.shape[1]:
            raise ValueError(f"shape is {self.shape}; expected a square for quarter turns")


@answering
def as_group(group: str | Rotations | Dihedral) -> Rotations | Dihedral:
    """The point group of a name, ``"Z4"`` for ``Rotations(4)`` or ``"D4"`` for ``Dihedral(4)``; a point group as it is.

    Raises
    ------
    ValueError, TypeError
        for other names and other things.

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.groups.as_group("D4"), ip.groups.Rotations(8).name
    (Dihedral(m=4), 'Z8')
    """
    check_type(group, "group", str | Rotations | Dihedral, "Rotations(m), Dihedral(m), or a name such as 'Z4' or 'D4'")
    if not isinstance(group, str):
        return group
    kinds: dict[str, type[Rotations] | type[Dihedral]] = {"Z": Rotations, "D": Dihedral}
    kind, m = kinds.get(group[:1]), group[1:]
    if kind is None or not m.isdecimal() or not int(m):
        raise ValueError(f"group is {group!r}; expected Rotations(m), Dihedral(m), or a name such as 'Z4' or 'D4'")
    return kind(int(m))


def _check_shape(shape: Any) -> tuple[int, int]:
    check_type(shape, "shape", tuple | list, "rows and columns, such as (128, 128)")
    if len(shape) != 2:
        raise ValueError(f"shape is {shape}; expected rows and columns, such as (128, 128)")
    return check_count(shape[0], "shape"), check_count(shape[1], "shape")


answering_classes(globals())
