"""A finite group of isometries of the plane of pixels, and its elements, which act on images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice, check_flag, check_integer, check_type, is_integer, shown
from ipbox.keywords import answering_classes

__all__ = ["FIELDS", "Group", "Isometry"]

FIELDS = ("scalar", "vector", "regular")  # what the channels of an image may be


class Group:
    """A finite group of isometries x ↦ Rx + t: iterable over its elements, the identity first.

    Attributes
    ----------
    m : int
        Rotations are multiples of 2π/m.
    mirrors : bool
        Whether mirror images belong to it.
    shape : tuple of int, or None
        Rows and columns of the images that it translates; None where it has no translations.

    Examples
    --------
    >>> import ipbox as ip
    >>> D4 = ip.groups.Dihedral(4)
    >>> isinstance(D4, ip.groups.Group), len(list(D4))
    (True, 8)
    """

    m: int = 1
    mirrors: bool = False
    shape: tuple[int, int] | None = None

    @property
    def point_order(self) -> int:
        """Number of R, |H|: channels of a regular field."""
        return self.m * (1 + self.mirrors)

    @property
    def order(self) -> int:
        """Number of elements."""
        return self.point_order * (1 if self.shape is None else math.prod(self.shape))

    @property
    def exact(self) -> bool:
        """Whether every element permutes the pixels: all angles are quarter turns."""
        return self.m in (1, 2, 4)

    @property
    def identity(self) -> Isometry:
        """The element that leaves all as it is."""
        return Isometry(self)

    def element(self, turns: int = 0, mirrored: bool = False, shift: tuple[int, int] = (0, 0)) -> Isometry:
        """x ↦ ρ^turns s^mirrored x + shift, for any integers: turns count modulo m, shifts modulo the shape."""
        if not is_integer(turns):
            raise ValueError(f"turns is {shown(turns)}; expected an integer")
        shift = _check_shift(shift)
        if self.shape is not None:
            shift = shift[0] % self.shape[0], shift[1] % self.shape[1]
        return Isometry(self, turns % self.m, mirrored, shift)

    def random(self, rng: np.random.Generator) -> Isometry:
        """An element, each as likely as the others."""
        check_type(rng, "rng", np.random.Generator, "a numpy.random.Generator, as of np.random.default_rng(0)")
        turns, mirrored = int(rng.integers(self.m)), bool(rng.integers(1 + self.mirrors))
        down, across = (0, 0) if self.shape is None else (int(rng.integers(n)) for n in self.shape)
        return Isometry(self, turns, mirrored, (down, across))

    def __iter__(self) -> Iterator[Isometry]:
        for shift in [(0, 0)] if self.shape is None else np.ndindex(self.shape):
            for index in range(self.point_order):
                yield Isometry(self, index % self.m, index >= self.m, shift)

    def __len__(self) -> int:
        return self.order

    def __contains__(self, g: object) -> bool:
        return isinstance(g, Isometry) and g.group == self


@dataclass(frozen=True)
class Isometry:
    r"""An element g = (t, R), :math:`R = ρ^k s^f`, of a group: call it to act, ``g @ h`` composes.

    Parameters
    ----------
    group : Group
    turns : int
        k, from 0 to m - 1.
    mirrored : bool
        f.
    shift : tuple of int
        t, in pixels along rows and columns.

    Notes
    -----
    ``g(u, field)`` acts on arrays with any leading axes.  With field ``"scalar"`` only pixels move.  For ``"vector"``
    the third axis from the end has pairs of components, along the last axis but one and the last (as those of a
    gradient), and R turns each.  For ``"regular"`` it has blocks of |H| channels, the values at the elements h of the
    point group in their order: :math:`(g \cdot u)_h(x) = u_{R^{-1}h}(R^{-1}(x - t))`.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> g = ip.groups.Rotations(4).element(turns=1)
    >>> g(np.array([[0, 1], [0, 0]])).tolist(), g.inverse.turns, (g @ g).turns
    ([[1, 0], [0, 0]], 3, 2)
    """

    group: Group
    turns: int = 0
    mirrored: bool = False
    shift: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        check_type(self.group, "group", Group, "a group, such as ip.groups.Rotations(4)")
        object.__setattr__(self, "turns", check_integer(self.turns, "turns", 0, self.group.m - 1))
        object.__setattr__(self, "shift", _check_shift(self.shift))
        if check_flag(self.mirrored, "mirrored") and not self.group.mirrors:
            raise ValueError(f"mirrored is True; {self.group} has no mirror images, as ip.groups.Dihedral has")
        if self.group.shape is None and any(self.shift):
            raise ValueError(f"shift is {self.shift}; {self.group} has no translations, as ip.groups.Translations has")
        for t, n in zip(self.shift, self.group.shape or (1, 1), strict=True):
            check_integer(t, "shift", 0, n - 1, f" for {self.group}")

    @property
    def exact(self) -> bool:
        """Whether it permutes pixels."""
        return 4 * self.turns % self.group.m == 0

    @property
    def index(self) -> int:
        """Place of R among the elements of the point group."""
        return self.turns + self.group.m * self.mirrored

    @property
    def matrix(self) -> np.ndarray:
        """R, on (row, column); float64, and integers where exact."""
        quarters = 4 * self.turns // self.group.m % 4
        angle = 2 * math.pi * self.turns / self.group.m
        c, s = ((1, 0, -1, 0)[quarters], (0, 1, 0, -1)[quarters]) if self.exact else (math.cos(angle), math.sin(angle))
        return np.array([[c, -s], [s, c]], dtype=np.float64) @ np.diag([1.0, -1.0 if self.mirrored else 1.0])

    @property
    def inverse(self) -> Isometry:
        """(-R⁻¹t, R⁻¹)."""
        back = self.group.element(self.turns if self.mirrored else -self.turns, self.mirrored)
        return back._shifted(back._moved(self.shift), -1)

    def __matmul__(self, other: Isometry) -> Isometry:
        """First ``other``, then this one."""
        if not isinstance(other, Isometry):
            return NotImplemented
        if other.group != self.group:
            raise ValueError(f"g @ h has h of {other.group}; expected one of the group of g, {self.group}")
        turns = self.turns + (-other.turns if self.mirrored else other.turns)
        product = self.group.element(turns, self.mirrored != other.mirrored, self.shift)
        return product._shifted(self._moved(other.shift), 1)

    def __call__(self, u: Array, field: str = "scalar") -> Array:
        """g·u, a new array of the dtype and library of ``u``.

        Parameters
        ----------
        u : array, shape (..., H, W)
            For fields that are not scalar (..., C, H, W), C a multiple of what their blocks hold.
        field : {"scalar", "vector", "regular"}

        Raises
        ------
        ValueError
            where quarter turns meet an image that is not square, translations one of another shape than their
            group's, or C is no multiple.
        TypeError
            where ``u`` is no array, or of integers that would be interpolated or change sign.
        """
        backend.check_array(u, "u")
        if u.dtype.kind not in "fc" and (not self.exact or field == "vector"):
            raise TypeError(f"u has dtype {u.dtype}; expected a floating one for {self}, {field}")
        xp = backend.array_module(u)
        return self.act(u, field, xp, lambda a: xp.asarray(a, dtype=u.dtype if a.dtype.kind == "f" else a.dtype)).copy()

    def act(self, u: Any, field: str, xp: ModuleType, put: Callable[[np.ndarray], Any]) -> Any:
        """g·u by ``xp``, NumPy, CuPy or torch; ``put`` gives weights and indices for u in it.  Maybe a view of u."""
        self.check(tuple(u.shape), field)
        quarters, rest = divmod(4 * self.turns, self.group.m)
        v = xp.flip(u, (-1,)) if self.mirrored else u
        v = _interpolated(v, 2 * math.pi * self.turns / self.group.m, put) if rest else xp.rot90(v, quarters, (-2, -1))
        v = xp.roll(v, self.shift, (-2, -1)) if any(self.shift) else v
        return v if field == "scalar" else self._mixed(v, field, xp)

    def check(self, shape: tuple[int, ...], field: str = "scalar") -> None:
        """Raise unless it acts on images of this shape, with channels as the field has them."""
        block = {"scalar": 1, "vector": 2, "regular": self.group.point_order}[check_choice(field, "field", FIELDS)]
        if len(shape) < 2 + (field != "scalar"):
            raise ValueError(f"u has shape {shape}; expected {'(..., C, H, W)' if block > 1 else '(..., H, W)'}")
        if self.group.shape not in (None, shape[-2:]):
            raise ValueError(f"u has shape {shape}; expected images of {self.group.shape}, which {self.group} is of")
        if self.exact and self.matrix[0, 0] == 0 and shape[-2] != shape[-1]:
            raise ValueError(f"u has shape {shape}; expected square images for a quarter turn")
        if field != "scalar" and shape[-3] % block:
            raise ValueError(f"u has shape {shape}; expected a multiple of {block} channels for a {field} field")

    def _mixed(self, v: Any, field: str, xp: ModuleType) -> Any:
        """π(R) on the channels of each block."""
        block = 2 if field == "vector" else self.group.point_order
        parts = v.reshape(*v.shape[:-3], v.shape[-3] // block, block, *v.shape[-2:])
        if field == "vector":
            R = self.matrix.tolist()  # plain numbers keep the dtype
            mixed = [sum(R[i][j] * parts[..., j, :, :] for j in range(2) if R[i][j]) for i in range(2)]
        else:
            back = replace(self, shift=(0, 0)).inverse
            points = [self.group.element(h % self.group.m, h >= self.group.m) for h in range(block)]
            mixed = [parts[..., (back @ h).index, :, :] for h in points]
        return xp.stack(mixed, -3).reshape(v.shape)

    def _moved(self, shift: tuple[int, int]) -> tuple[int, int]:
        """R shift, in whole pixels."""
        down, across = self.matrix @ shift if any(shift) else (0, 0)
        return round(down), round(across)

    def _shifted(self, by: tuple[int, int], sign: int) -> Isometry:
        shift = self.shift[0] + sign * by[0], self.shift[1] + sign * by[1]
        return self.group.element(self.turns, self.mirrored, shift)


def _interpolated(u: Any, angle: float, put: Callable[[np.ndarray], Any]) -> Any:
    """u(R⁻¹x) for the rotation R by ``angle`` about the centre: bilinear, 0 outside."""
    dims = np.array(u.shape[-2:])
    x = np.moveaxis(np.indices(tuple(dims)), 0, -1) - (dims - 1) / 2
    c, s = math.cos(angle), math.sin(angle)
    source = x @ np.array([[c, -s], [s, c]]) + (dims - 1) / 2  # rows times R, which is R⁻¹ times columns
    corner = np.floor(source).astype(np.int64)
    flat, found = u.reshape(*u.shape[:-2], dims.prod()), 0
    for step in np.ndindex(2, 2):
        at = corner + step
        weight = np.prod(1 - abs(source - at), axis=-1) * ((at >= 0) & (at < dims)).all(axis=-1)
        i, j = np.moveaxis(np.clip(at, 0, dims - 1), -1, 0)
        found = found + put(weight) * flat[..., put(i * dims[1] + j)]
    return found


def _check_shift(shift: Any) -> tuple[int, int]:
    if not isinstance(shift, tuple | list) or len(shift) != 2 or not all(map(is_integer, shift)):
        raise ValueError(f"shift is {shown(shift)}; expected two integers, pixels along rows and columns")
    return int(shift[0]), int(shift[1])


answering_classes(globals())
