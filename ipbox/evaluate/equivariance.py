"""How far a reconstruction map Φ is from equivariant: whether it reconstructs a turned image as well, only turned."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import backend, summary
from ipbox.backend import Array
from ipbox.checks import check_type
from ipbox.evaluate.differentiable import as_function
from ipbox.evaluate.views import turned_views
from ipbox.groups import Group, Isometry
from ipbox.keywords import answering
from ipbox.operators import Operator, as_operator
from ipbox.operators.tomography.geometry import Projector
from ipbox.plot import show as show_images

__all__ = ["EquivarianceError", "equivariance_error"]

Action = Callable[[Isometry, Array], Array]


@dataclass(frozen=True)
class EquivarianceError:
    """‖Φ(A(g·u)) - g·Φ(Au)‖/‖Φ(Au)‖ of elements g of a group and of images u.

    Attributes
    ----------
    elements : list of Isometry
        Without the identity.
    errors : numpy.ndarray
        (elements, images), float64.
    found, expected : array
        Φ(A(g·u)) and g·Φ(Au) of the worst element and image.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> u = np.random.default_rng(0).random((8, 8))
    >>> A = ip.Identity((8, 8), "float64")
    >>> found = ip.evaluate.equivariance_error(lambda b: b * np.arange(8), A, ip.groups.Dihedral(4), u)
    >>> found.errors.shape, found.worst > 0.1
    ((7, 1), True)
    """

    elements: list[Isometry]
    errors: np.ndarray
    found: Array = field(repr=False)
    expected: Array = field(repr=False)

    __repr__ = summary.of_fields

    @property
    def mean(self) -> float:
        """Of all elements and images."""
        return float(self.errors.mean())

    @property
    def worst(self) -> float:
        """The largest."""
        return float(self.errors.max())

    @property
    def worst_element(self) -> Isometry:
        """Where the largest one is."""
        return self.elements[int(self.errors.max(axis=1).argmax())]

    def report(self) -> str:
        """Mean and largest error of each element, and of all, as text."""
        names = [*map(described, self.elements), "all"]
        width = max(map(len, names))
        rows = [*self.errors, self.errors]
        lines = [f"{n:{width}} {r.mean():9.2e} {r.max():9.2e}" for n, r in zip(names, rows, strict=True)]
        return "\n".join([f"{'element':{width}} {'mean':>9} {'worst':>9}", *lines])

    def show(self, path: str | os.PathLike[str] | None = None, **options: Any) -> Any:
        """Φ(A(g·u)), g·Φ(Au) and their difference, for the worst element and image.

        Parameters
        ----------
        path : path, optional
            Where to save the figure.
        **options
            Of `ip.show`, such as ``vmin`` and ``vmax``.

        Returns
        -------
        matplotlib.figure.Figure
        """
        pair = [abs(u) if u.dtype.kind == "c" else u for u in (self.found, self.expected)]
        titles = ["Φ(A(g·u))", f"g·Φ(Au), g: {described(self.worst_element)}", f"difference ({self.worst:.2g})"]
        return show_images(*pair, abs(self.found - self.expected), titles=titles, path=path, **options)


def described(g: Isometry) -> str:
    """An element in a few words, such as ``mirrored, 90 degrees``."""
    told = ["mirrored"] * g.mirrored
    told += [f"{360 * g.turns / g.group.m:g} degrees"] * (g.turns > 0)
    told += [f"{g.shift[0]:d}, {g.shift[1]:d} pixels"] * any(g.shift)
    return ", ".join(told) or "identity"


@answering
def equivariance_error(
    phi: Any,
    A: Any,
    group: Group | Iterable[Isometry],
    images: Array | Sequence[Array] | None = None,
    *,
    data: Array | Sequence[Array] | None = None,
    action: Action | None = None,
    shape: tuple[int, ...] | None = None,
) -> EquivarianceError:
    r"""How far Φ∘A is from commuting with a group.

    .. math:: \frac{\|Φ(A(g \cdot u)) - g \cdot Φ(Au)\|}{\|Φ(Au)\|} \qquad\text{or, of measured data,}\qquad
              \frac{\|Φ(g \cdot b) - g \cdot Φ(b)\|}{\|Φ(b)\|}

    Parameters
    ----------
    phi : callable, LearnedMap, torch.nn.Module or Operator
        Φ: b ↦ u on arrays, such as ``lambda b: ip.fbp(A, b)[0]``; a module is called with a batch of one.
    A : Operator or None
        None where Φ acts on images, as denoisers do.
    group : Group or iterable of Isometry
        Its elements but the identity are tried, each.
    images : array or sequence of array
        One of A.dims, a batch, or a sequence of them; without A each as Φ takes it.
    data : array or sequence of array
        Instead of ``images``: with their noise, which turns with them.
    action : callable, optional
        (g, b) ↦ g·b on data, with A(g·u) = g·(Au).  By default `turned_views` of a parallel-beam A; that on images
        where A is None.
    shape : tuple of int, optional
        Of the image, where A does not tell it: see `as_operator`.

    Returns
    -------
    EquivarianceError

    Raises
    ------
    ValueError, TypeError
        where both or none of ``images`` and ``data`` are given, a quarter turn meets an image that is not square, the
        group has only the identity, Φ(Au) is zero, or no action on data is known.
    FloatingPointError
        where Φ gives values that are not finite.

    Notes
    -----
    If A commutes with g up to an orthogonal action on data, A(g·u) = g·(Au), and R is invariant, then
    b ↦ argmin ½‖Au - b‖² + R(u) is equivariant: Φ(g·b) minimises ½‖Au - g·b‖² + R(u), of which g·Φ(b) is worth what
    Φ(b) is worth in that of b.

    References
    ----------
    Celledoni, Ehrhardt, Etmann, Owren, Schönlieb and Sherry, Equivariant neural networks for inverse problems, Inverse
    Probl. 37 (2021); Chen, Tachella and Davies, Equivariant imaging, ICCV 2021.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.GaussianBlur((8, 8), 0.8, dtype="float64")
    >>> u = np.random.default_rng(0).random((8, 8))
    >>> found = ip.evaluate.equivariance_error(lambda b: A.apply_adjoint(b), A, ip.groups.Dihedral(4), u)
    >>> len(found.elements), found.worst < 1e-12
    (7, True)
    """
    if A is None and shape is not None:
        raise ValueError(f"shape is {shape} and A is None; expected it with an A that does not tell it")
    if action is not None and not callable(action):
        raise TypeError(f"action is {type(action).__name__}; expected a function (g, b) ↦ g·b on data")
    A = None if A is None else as_operator(A, shape)
    phi, elements = as_function(phi, "phi"), _elements(group)
    if (images is None) == (data is None):
        raise ValueError(f"images and data are {'both None' if data is None else 'both given'}; expected one of them")
    if images is None:
        samples = _samples(data, "data", None if A is None else tuple(A.dimsd))
        inputs, moved = samples, _action(A, action)
    else:
        if action is not None:
            raise ValueError("action is given with images; expected it with data, on which it acts")
        samples = _samples(images, "images", *((None, None) if A is None else (tuple(A.dims), A.dtype_in)))
        for g in elements:
            g.check(tuple(samples[0].shape))  # before Φ is called for long
        inputs = samples if A is None else [A.apply(u) for u in samples]
        moved = (lambda g, u: g(u)) if A is None else (lambda g, u: A.apply(g(u)))
    errors = np.empty((len(elements), len(samples)))
    worst, pair = -1.0, (samples[0], samples[0])
    for j, (sample, given) in enumerate(zip(samples, inputs, strict=True)):
        x = _image(phi, given, "the data")
        size = backend.norm(x)
        if size == 0:
            raise ValueError("phi gives an image that is zero everywhere; expected one to compare with")
        for i, g in enumerate(elements):
            found, expected = _image(phi, moved(g, sample), f"those of {described(g)}"), g(x)
            if found.shape != expected.shape:
                raise ValueError(f"phi gives shape {found.shape} after {described(g)}, and {x.shape} without")
            errors[i, j] = backend.norm(found - expected) / size
            if errors[i, j] > worst:
                worst, pair = errors[i, j], (found, expected)
    return EquivarianceError(elements, errors, *pair)


def _elements(group: Any) -> list[Isometry]:
    """Those that move something."""
    check_type(group, "group", Group | Iterable, "a group, such as ip.groups.Rotations(4), or elements of one")
    elements = list(group)
    for g in elements:
        check_type(g, "group", Isometry, "elements of a group, such as ip.groups.Rotations(4)")
    elements = [g for g in elements if g != g.group.identity]
    if not elements:
        raise ValueError("group has no element but the identity; expected one that moves something")
    return elements


def _samples(given: Any, name: str, dims: tuple[int, ...] | None, dtype: Any = None) -> list[Array]:
    """One array, a batch or a sequence of them, as a list."""
    if backend.is_array(given):
        given = list(given) if dims is not None and given.shape[1:] == dims else [given]
    given = [backend.check_array(a, name) for a in check_type(given, name, Sequence, "an array, or a sequence of them")]
    if not given:
        raise ValueError(f"{name} is empty; expected at least one array")
    for a in given:
        if dims is not None and a.shape != dims:
            raise ValueError(f"{name} has shape {a.shape}; expected {dims}, or a batch of them")
        if a.dtype.kind not in "biufc" or dtype is not None and a.dtype != dtype:
            raise TypeError(f"{name} has dtype {a.dtype}; expected {dtype or 'numbers'}")
    return given


def _action(A: Operator | None, action: Action | None) -> Action:
    """g·b: as given, or where it is known."""
    if action is not None:
        return action
    if A is None:
        return lambda g, b: g(b)
    if isinstance(A, Projector):
        return lambda g, b: turned_views(A, g, b)
    raise ValueError(f"action is None; expected a function (g, b) ↦ g·b with A(g·u) = g·(Au), for A {A.name}")


def _image(phi: Callable[[Array], Array], b: Array, of: str) -> Array:
    x = phi(b)
    if x.dtype.kind not in "fc":
        raise TypeError(f"phi gives dtype {x.dtype}, from {of}; expected floating numbers")
    if not np.isfinite(backend.norm(x)):
        raise FloatingPointError(f"phi gives values that are not finite, from {of}")
    return x
