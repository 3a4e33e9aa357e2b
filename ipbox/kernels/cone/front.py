"""Cone-beam line integrals by Joseph's method and their transpose: the dispatch to the CPU and GPU kernels.

A view is 12 numbers, float64, in index coordinates (slice, row, column): source S (3), first pixel P (3), step U from
column to column of the panel (3), step V from row to row (3).  `ipbox.kernels.cone.reference` writes out the matrix.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ipbox.backend import Array, array_module, to_host
from ipbox.kernels.core.launch import Kernels, on_gpu

KERNELS = Kernels("cone")
CHUNK = 1 << 26  # voxels worked on at a time, of a batch or of one volume: the framed copies stay small
SLICES = 64  # of one volume at least, so that registers are full
READINGS = 1 << 23  # worked on at a time, of whole views


def is_upright(views: np.ndarray) -> bool:
    """Whether the panels' columns are along the axis, and their rows at right angles to it.

    Then the rays to a panel column share the interpolation within the slices, which is several times faster.
    """
    return not (views[:, 6].any() or views[:, 10:].any())


def has_steep(views: np.ndarray, n_det: tuple[int, int]) -> bool:
    """Whether rays to upright panels may be steeper than 45° between voxels, to a rounding."""
    S, P, U, V = np.moveaxis(views.reshape(-1, 4, 3), 1, 0)
    d = (P - S)[:, None, 1:] + np.arange(n_det[1])[:, None] * U[:, None, 1:]
    rise = np.maximum(abs(P - S)[:, 0], abs(P + (n_det[0] - 1) * V - S)[:, 0])
    return bool((rise[:, None] * (1 + 1e-9) > abs(d).max(axis=2)).any())


def project(x: Array, out: Array, views: Array, h: Array, upright: bool, steep: bool) -> None:
    r"""Write the line integrals of the volumes ``x`` to ``out``.

    .. math:: p_{krc} = \ell_{krc} \sum_m \sum_{a, b \in \{0, 1\}} w_a w_b\, u_{m, i + a, j + b}

    over the planes m of the direction in which the ray is longest, which it crosses between the voxels i and i + 1 in
    the one and j and j + 1 in the other direction; ℓ is its length from plane to plane.  Every weight is >= 0.

    Parameters
    ----------
    x : array, shape (batch, nz, ny, nx)
        float32 or float64.
    out : array, shape (batch, n_views, rows, columns)
        Of the dtype of ``x``, overwritten.
    views : array of float64, shape (n_views, 12)
        In the library of ``x``.
    h : array of float64, shape (3,)
        Widths (h_z, h_y, h_x) of a voxel, in the library of ``x``.
    upright, steep : bool
        As `is_upright` and `has_steep` say; without the first the second does not matter.
    """
    if on_gpu(x):
        KERNELS.run("project", x, x, views, h, out)
        return
    xp = array_module(x)
    for part in _chunks(x):
        slabs = in_slabs(x.shape[1:])
        if len(slabs) == 1:
            _project(x[part], out[part], views, h, upright, steep)
            continue
        out[part] = 0
        for slab in slabs:
            for some, rows, seen in _seen(x.shape, slab, out.shape, views):
                p = xp.empty(out[part, some, rows].shape, out.dtype)
                _project(x[part, slab], p, seen, h, upright, steep)
                out[part, some, rows] += p


def _project(x: Array, out: Array, views: Array, h: Array, upright: bool, steep: bool) -> None:
    u = array_module(x).zeros(_framed(x), x.dtype)
    u[:, 1:-1, 1:-1, 1 : x.shape[1] + 1] = x.transpose(0, 2, 3, 1)
    work = _work(x, out)
    if upright:
        KERNELS.run("project_upright", u, u, views, h, out, work=work)
    if steep or not upright:
        KERNELS.run("project", u, u, views, h, upright, out, work=work)


def backproject(y: Array, out: Array, views: Array, h: Array, upright: bool, steep: bool) -> None:
    """Write the transpose of `project` applied to ``y`` (batch, n_views, rows, columns) to ``out`` (batch, nz, ny, nx).

    On either device each voxel is summed by one thread, in the order of views and pixels.
    """
    xp = array_module(y)
    if on_gpu(y):
        KERNELS.run("backproject", y, y, views, _inverses(views), h, out)
        return
    for part in _chunks(out):
        for slab in in_slabs(out.shape[1:]):
            u = xp.zeros(_framed(out[part, slab]), y.dtype)
            for some, rows, seen in _seen(out.shape, slab, y.shape, views):
                readings = xp.ascontiguousarray(y[part, some, rows])
                _backproject(readings, u, seen, h, upright, steep, _work(out[part, slab], readings))
            out[part, slab] = u[:, 1:-1, 1:-1, 1 : out[part, slab].shape[1] + 1].transpose(0, 3, 1, 2)


def _backproject(y: Array, u: Array, views: Array, h: Array, upright: bool, steep: bool, work: int) -> None:
    if upright:
        batch, n_views, rows, columns = y.shape
        q = array_module(y).empty((batch, n_views, columns, KERNELS.cpu.lanes.surrounded(rows, y.itemsize)), y.dtype)
        KERNELS.run("weigh", y, y, views, h, q)
        KERNELS.run("backproject_upright", u, q, views, u, work=work)
    if steep or not upright:
        KERNELS.run("backproject", u, y, views, h, upright, u, work=work)


def backproject_weighted(q: Array, out: Array, views: Array, scale: float) -> None:
    r"""Write the voxel-driven back-projection of ``q`` to ``out``.

    .. math:: u(X) = \sum_k q_k(v_k(X), a_k(X)) / U_k(X)^2,

    with (v, a) where the ray through X meets the panel, q interpolated linearly between its pixels and 0 beyond them,
    and U the distance of X from the source along the central ray, divided by that of the axis.

    Parameters
    ----------
    q : array, shape (batch, n_views, rows, columns)
        float32 or float64.
    out : array, shape (batch, nz, ny, nx)
        Of the dtype of ``q``, overwritten.
    views : array of float64, shape (n_views, 12)
        Upright ones, in the library of ``q``.
    scale : float
        The distance from the source to the panel, divided by that to the axis.
    """
    xp = array_module(q)
    for part in _chunks(out):
        for slab in in_slabs(out.shape[1:]):
            rows, seen = _through(out.shape, slab, q.shape, views)
            M = _inverses(seen)
            M = xp.concatenate([M, (M.reshape(-1, 3, 3) @ seen[:, :3, None])[:, :, 0]], axis=1)
            (batch, n_views, n_rows, columns), (_, nz, ny, nx) = q[part, :, rows].shape, out[part, slab].shape
            shape = batch, n_views, columns + 2, KERNELS.cpu.lanes.framed(n_rows, q.itemsize)
            columnwise = xp.zeros(shape, q.dtype)
            columnwise[:, :, 1:-1, 1 : n_rows + 1] = q[part, :, rows].transpose(0, 1, 3, 2)
            u = xp.zeros((batch, ny, nx, KERNELS.cpu.lanes.padded(nz, q.itemsize)), q.dtype)
            if n_rows:
                KERNELS.run("backproject_weighted", u, columnwise, M, float(scale), u, work=u.size * n_views)
            out[part, slab] = u[..., :nz].transpose(0, 3, 1, 2)


# ---------------------------------------------------------------- parts of a volume and of its data


def in_slabs(dims: tuple[int, ...]) -> list[slice]:
    """The slices of a volume that are worked on at a time: a framed copy of all of it would be as large again."""
    nz, most = dims[0], max(SLICES, CHUNK // int(np.prod(dims[1:])))
    n = -(-nz // most)
    return [slice(k * nz // n, (k + 1) * nz // n) for k in range(n)]


def _seen(
    volumes: tuple[int, ...], slab: slice, data: tuple[int, ...], views: Array
) -> Iterator[tuple[slice, slice, Array]]:
    """Views, some at a time, with what `_through` gives of them."""
    n_views, rows, columns = data[1:]
    step = max(1, READINGS // (rows * columns))
    for start in range(0, n_views, step):
        some = slice(start, min(start + step, n_views))
        seen = _through(volumes, slab, data, views[some])
        if seen[0].start < seen[0].stop:
            yield some, *seen


def _through(volumes: tuple[int, ...], slab: slice, data: tuple[int, ...], views: Array) -> tuple[slice, Array]:
    """The rows of panels to which rays come through a slab, and the geometry of the slab and of these rows.

    All is linear in the voxels: the projections of a volume are the sums of those of its slabs.
    """
    (nz, ny, nx), rows = volumes[1:], data[2]
    if slab == slice(0, nz):
        return slice(0, rows), views
    lo, hi = _between(to_host(views), (slab.start - 1, -1, -1), (slab.stop, ny, nx), rows)
    seen = views.copy()
    seen[:, 3:6] += lo * seen[:, 9:]
    seen[:, [0, 3]] -= slab.start
    return slice(lo, max(lo, hi)), seen


def _between(views: np.ndarray, least: tuple[int, ...], most: tuple[int, ...], rows: int) -> tuple[int, int]:
    """The panel rows from lo to hi - 1, among which are all that rays through the box of these corners come to."""
    corners = np.array(np.meshgrid(*zip(least, most, strict=True), indexing="ij"), float).reshape(3, -1)
    at = _inverses(views).reshape(-1, 3, 3) @ (corners - views[:, :3, None])
    if (at[:, 2] <= 0).any():  # beside the source or behind it
        return 0, rows
    r = at[:, 1] / at[:, 2]
    return int(np.clip(np.floor(r.min()) - 1, 0, rows)), int(np.clip(np.ceil(r.max()) + 2, 0, rows))


def _inverses(views: Array) -> Array:
    """(n_views, 9): the matrices that take X - S to (c, r, 1) times a factor, which is positive before the source."""
    xp = array_module(views)
    S, P, U, V = (views[:, 3 * i : 3 * i + 3] for i in range(4))
    return xp.ascontiguousarray(xp.linalg.inv(xp.stack([U, V, P - S], axis=2)).reshape(-1, 9))


def _framed(volumes: Array) -> tuple[int, int, int, int]:
    """The shape with the slices last and zeros around."""
    batch, nz, ny, nx = volumes.shape
    return batch, ny + 2, nx + 2, KERNELS.cpu.lanes.framed(nz, volumes.itemsize)


def _chunks(volumes: Array) -> list[slice]:
    batch, *dims = volumes.shape
    step = max(1, CHUNK // int(np.prod(dims)))
    return [slice(a, a + step) for a in range(0, batch, step)]


def _work(volumes: Array, data: Array) -> int:
    """Interpolations, which cost about as much as a pixel of the other kernels."""
    return data.size * max(volumes.shape[1:])
