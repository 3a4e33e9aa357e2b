"""How isometries of the image move the views of a parallel-beam scan."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_type, counted
from ipbox.groups import Isometry
from ipbox.keywords import answering
from ipbox.operators.tomography.geometry import Projector

__all__ = ["turned_views"]

NEAR = 1e-11  # 1 - |cos| of two directions that are one, up to 5e-6 rad


@answering
def turned_views(A: Any, g: Isometry, b: Array) -> Array:
    r"""g·b, the data of the turned image: A(g·u) = g·(Au), for a parallel beam.

    .. math:: (A(g \cdot u))(n, s) = (Au)(R^{-1}n, s), \qquad n = (\cos θ, \sin θ), \quad g = R

    A quarter turn shifts the views; those that leave [0, π) come back with the detector reversed, (−n, s) being the
    line (n, −s).  A mirror image reverses the order of views.  The rays are permuted, so noise stays noise.

    Parameters
    ----------
    A : RayTransform or JosephTransform
        Whose angles R maps to each other, such as an even number of them, evenly over [0, π), for quarter turns.
    g : Isometry
        Exact and without a translation.
    b : array
        Data of shape A.dimsd, or a batch of them.

    Returns
    -------
    array
        New, of the dtype and library of ``b``.

    Raises
    ------
    TypeError, ValueError
        where the beam is no parallel one, the detector or the image off the axis, the image not square for a quarter
        turn, ``g`` no turn or mirror image of pixels, or a view has no other to go to.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.RayTransform((16, 16), np.arange(8) * (np.pi / 8), dtype="float64")
    >>> u = np.random.default_rng(0).random((16, 16))
    >>> g = ip.groups.Dihedral(4).element(turns=1, mirrored=True)
    >>> np.allclose(ip.evaluate.turned_views(A, g, A.apply(u)), A.apply(g(u)))
    True
    """
    check_type(A, "A", Projector, "a parallel-beam transform, as ip.RayTransform(dims, angles)")
    check_type(g, "g", Isometry, "an element of a group, such as ip.groups.Rotations(4).element(1)")
    backend.check_array(b, "b")
    if tuple(b.shape[-2:]) != tuple(A.dimsd):
        raise ValueError(f"b has shape {b.shape}; expected {tuple(A.dimsd)}, the data of A, or a batch of them")
    if A.beam != "parallel":
        raise ValueError(f"A is {A.name}; expected a parallel beam, whose views a turn permutes")
    if np.any(A.det_shift) or any(A.image_centre):
        raise ValueError("A has a detector or an image off the axis; expected both centred, for turns about the centre")
    if not g.exact or any(g.shift):
        raise ValueError(f"g is {g}; expected a quarter turn or mirror image, without a translation")
    g.check(tuple(A.dims))
    A.square_pixel()
    xp = backend.array_module(b)
    source, is_reversed = map(xp.asarray, _sources(A.angles, g))
    turned = b[..., source, :]
    return xp.where(is_reversed[:, None], turned[..., ::-1], turned)


def _sources(angles: np.ndarray, g: Isometry) -> tuple[np.ndarray, np.ndarray]:
    """For each view the one that has its rays, and whether in reversed order."""
    n = np.stack([-np.sin(angles), np.cos(angles)])  # (row, column), rows downwards
    wanted = g.matrix.T @ n  # R⁻¹n
    cosines = wanted.T @ n
    source = (np.abs(cosines) + 100 * NEAR * (cosines > 0)).argmax(axis=1)  # of (n, s) and (−n, −s) the first
    nearest = cosines[np.arange(angles.size), source]
    if (np.abs(nearest) < 1 - NEAR).any() or np.unique(source).size < angles.size:
        raise ValueError(
            f"A has {counted(angles.size, 'view')} that {g} does not map to each other; expected angles "
            "such as an even number of them, evenly over [0, π)"
        )
    return source, nearest < 0
