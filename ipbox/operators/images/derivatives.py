"""Derivatives by finite differences, with voxel sizes: one axis, the gradient, the symmetrised gradient."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ipbox import kernels
from ipbox.backend import Array
from ipbox.checks import check_axes, check_dims, check_integer
from ipbox.kernels.differences import front as fused
from ipbox.operators.core.base import ALL_DTYPES, Operator
from ipbox.operators.images.differences import (
    check_scheme,
    check_spacing,
    difference,
    difference_adjoint,
    difference_norm,
)

DENSE_SIZE = 64  # entries of a vector field for which the norm comes from the dense matrix


Kernels = tuple[Callable[[Array, Array], None], Callable[[Array, Array], None]]


class Differences(Operator):
    """Sums of differences of an image's components: the base of the derivatives.

    ``_terms`` are (source, axis, weight, target): the differences of x[:, source] along an axis of the image go to
    out[:, target], by ``scheme`` and ``boundary``.
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def _kernels(self) -> Kernels | None:
        """Fused kernels of A and A*, where there are some."""
        return None

    def _apply(self, x: Array, out: Array) -> None:
        if kernels := self._kernels():
            kernels[0](x, out)
            return
        out[...] = 0
        for source, axis, w, target in self._terms:
            difference(x[:, *source], out[:, *target], 1 + axis, self.scheme, self.boundary, w)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        if kernels := self._kernels():
            kernels[1](y, out)
            return
        out[...] = 0
        for source, axis, w, target in self._terms:
            difference_adjoint(y[:, *target], out[:, *source], 1 + axis, self.scheme, self.boundary, w)


class FiniteDifference(Differences):
    r"""Finite differences along one axis.

    With width h, forward: :math:`(u_{i+1} - u_i)/h`; backward: :math:`(u_i - u_{i-1})/h`; central:
    :math:`(u_{i+1} - u_{i-1})/(2h)`.

    Parameters
    ----------
    dims : tuple of int
        Image shape, any number of axes.
    axis : int
        Axis of the image; negative ones count from the last.
    dtype : dtype
        float32, float64, complex64 or complex128.
    spacing : float
        Voxel size h along the axis; the derivative is in units of u over those of h.
    scheme : {"forward", "backward", "central"}
    boundary : {"neumann", "periodic"}
        Neumann: beyond the image u has the value of its last pixel.

    Notes
    -----
    Data shape: dims.  The norm is exact: for n pixels with Neumann boundary 2 cos(π/(2n))/h for forward and backward
    differences.

    Raises
    ------
    ValueError
        for an axis, a spacing, a scheme or a boundary that is not one of these.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> D = ip.FiniteDifference((4,), axis=0, dtype="float64", spacing=0.5, scheme="central")
    >>> D.apply(np.array([0.0, 1.0, 4.0, 9.0]))
    array([1., 4., 8., 5.])
    """

    def __init__(
        self,
        dims: tuple[int, ...],
        axis: int = -1,
        dtype: Any = "float32",
        spacing: float = 1.0,
        scheme: str = "forward",
        boundary: str = "neumann",
    ) -> None:
        dims = check_dims(dims, "dims")
        self.axis = check_integer(axis, "axis", -len(dims), len(dims) - 1) % len(dims)
        self.spacing = check_spacing(spacing, 1)[0]
        self.scheme, self.boundary = check_scheme(scheme, boundary)
        super().__init__(dims, dims, dtype, name=f"∂{self.axis}")
        self._terms = [((), self.axis, 1 / self.spacing, ())]

    def _compute_norm(self) -> tuple[float, str]:
        return difference_norm(self.dims[self.axis], self.scheme, self.boundary) / self.spacing, "exact"


class Gradient(Differences):
    """Gradient ∇ by finite differences, the same along every axis that is coupled.

    By default forward differences with Neumann boundary, in pixel units: (∇u)_a[i] = u[i + e_a] - u[i], and 0 at the
    last index of axis a; the adjoint is -div.  In up to three dimensions these run as fused kernels.

    Parameters
    ----------
    dims : tuple of int
        Image shape, any number of axes.
    dtype : dtype
        float32, float64, complex64 or complex128.
    spacing : float or tuple of float
        Voxel size, or one for each of ``axes``.
    scheme : {"forward", "backward", "central"}
    boundary : {"neumann", "periodic"}
        As in `FiniteDifference`.
    axes : tuple of int, optional
        Those that are coupled, all by default; along the others the image is a stack, such as of slices or channels.

    Notes
    -----
    Data shape: (len(axes),) + dims.  The norm is exact: ∇*∇ is a Kronecker sum, so ||∇||² = Σ_a ||∂_a||², by default
    Σ_a 4 cos²(π / (2 n_a)) / h_a².

    Raises
    ------
    ValueError
        for a spacing, a scheme or a boundary that is not one of these.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> D = ip.Gradient((2, 3), dtype="float64")
    >>> D.apply(np.array([[0.0, 1.0, 3.0], [0.0, 1.0, 3.0]]))[1]
    array([[1., 2., 0.],
           [1., 2., 0.]])
    """

    def __init__(
        self,
        dims: tuple[int, ...],
        dtype: Any = "float32",
        spacing: float | tuple[float, ...] = 1.0,
        scheme: str = "forward",
        boundary: str = "neumann",
        axes: tuple[int, ...] | None = None,
    ) -> None:
        dims = check_dims(dims, "dims")
        self.coupled = check_axes(axes, len(dims))
        self.spacing = check_spacing(spacing, len(self.coupled))
        self.scheme, self.boundary = check_scheme(scheme, boundary)
        super().__init__(dims, (len(self.coupled),) + dims, dtype, name="∇")
        pairs = zip(self.coupled, self.spacing, strict=True)
        self._terms = [((), a, 1 / h, (i,)) for i, (a, h) in enumerate(pairs)]

    def _kernels(self) -> Kernels | None:
        every = len(self.coupled) == len(self.dims) <= 3
        if (self.scheme, self.boundary) != ("forward", "neumann") or not every:
            return None
        if self.dtype_in.kind == "f" and len(self.dims) > 1 and set(self.spacing) == {1.0}:
            nd = len(self.dims)
            return partial(kernels.gradient, ndim=nd), partial(kernels.gradient_adjoint, ndim=nd)
        h = self.spacing
        return partial(fused.spaced_gradient, spacing=h), partial(fused.spaced_gradient_adjoint, spacing=h)

    def _compute_norm(self) -> tuple[float, str]:
        return gradient_norm(
            tuple(self.dims[a] for a in self.coupled), self.spacing, self.scheme, self.boundary
        ), "exact"


class SymmetrisedGradient(Differences):
    r"""Symmetrised gradient of a vector field, :math:`E v = \frac12 (\nabla v + \nabla v^T)`.

    (E v)_ab = ½(∂_a v_b + ∂_b v_a).  By default backward differences with Neumann boundary:
    (∂_a v)[i] = v[i] - v[i - e_a], and 0 at the first index.  After `Gradient`'s forward ones they give E ∇u the usual
    second differences u[i + e_a] - 2 u[i] + u[i - e_a].  In up to three dimensions these run as fused kernels.

    Parameters
    ----------
    dims : tuple of int
        Shape of the vector field, (d,) + image shape with d = len(image shape).
    dtype : dtype
        float32, float64, complex64 or complex128.
    spacing : float or tuple of float
        Voxel size, or one for each axis of the image.
    scheme : {"forward", "backward", "central"}
    boundary : {"neumann", "periodic"}
        As in `FiniteDifference`.

    Notes
    -----
    Data shape: (d (d + 1) / 2,) + image shape: the diagonal (E v)_aa, then √2 (E v)_ab for a < b in the order (0, 1),
    (0, 2), ..., (1, 2), ...; so the Euclidean length in a pixel is the Frobenius norm of the symmetric matrix, as TGV
    takes it.  Constant fields, and inside the image all rigid motions, are mapped to 0.

    The norm is that of the gradient, exactly so for a periodic boundary and for one axis; with Neumann boundary a bound
    for forward and backward differences (|E v| <= |∇v|) and an estimate for central ones, where it is too coarse.
    Very small fields have it from their matrix.

    Raises
    ------
    ValueError
        where dims is not the shape of a vector field, or for a spacing, a scheme or a boundary that is not one of
        these.

    References
    ----------
    Bredies, Kunisch and Pock, Total generalized variation, SIAM J. Imaging Sci. 3 (2010).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> D = ip.Gradient((4, 4), dtype="float64")
    >>> E = ip.SymmetrisedGradient(D.dimsd, dtype="float64")
    >>> u = np.outer(np.arange(4.0) ** 2, np.ones(4))       # its Hessian is ((2, 0), (0, 0))
    >>> E.apply(D.apply(u))[:, 1, 1]
    array([2., 0., 0.])
    """

    def __init__(
        self,
        dims: tuple[int, ...],
        dtype: Any = "float32",
        spacing: float | tuple[float, ...] = 1.0,
        scheme: str = "backward",
        boundary: str = "neumann",
    ) -> None:
        dims = check_dims(dims, "dims")
        nd = len(dims) - 1
        if nd < 1 or dims[0] != nd:
            raise ValueError(f"dims is {dims}; expected (d,) + image shape, d the number of image axes")
        self.spacing = check_spacing(spacing, nd)
        self.scheme, self.boundary = check_scheme(scheme, boundary)
        super().__init__(dims, (nd * (nd + 1) // 2,) + dims[1:], dtype, name="E")
        self._terms = [((a,), a, 1 / h, (a,)) for a, h in enumerate(self.spacing)]
        for i, pair in enumerate(itertools.combinations(range(nd), 2)):  # (E v)_ab holds ∂_a v_b and ∂_b v_a
            for component, axis in (pair, pair[::-1]):
                self._terms.append(((component,), axis, math.sqrt(0.5) / self.spacing[axis], (nd + i,)))

    def _kernels(self) -> Kernels | None:
        if (self.scheme, self.boundary) != ("backward", "neumann") or len(self.dims) > 4:
            return None
        h = self.spacing
        return partial(fused.symmetrised_gradient, spacing=h), partial(fused.symmetrised_gradient_adjoint, spacing=h)

    def _compute_norm(self) -> tuple[float, str]:
        bound = gradient_norm(tuple(self.dims[1:]), self.spacing, self.scheme, self.boundary)
        if self.boundary == "periodic" or sum(n > 1 for n in self.dims[1:]) <= 1:
            return bound, "exact"  # at one frequency E is v ↦ sym(d vᵀ), whose norm |d| is reached at v = d
        if self.shape[1] <= DENSE_SIZE:
            basis = np.eye(self.shape[1]).reshape((-1, *self.dims))
            E = SymmetrisedGradient(self.dims, "float64", self.spacing, self.scheme, self.boundary)
            return float(np.linalg.norm(E.apply(basis).reshape(len(basis), -1), 2)), "exact"
        if self.scheme == "central":
            return super()._compute_norm()
        return bound, "bound"


def gradient_norm(dims: tuple[int, ...], spacing: tuple[float, ...], scheme: str, boundary: str) -> float:
    """||∇|| = (Σ_a ||∂_a||²)^½."""
    return math.hypot(*(difference_norm(n, scheme, boundary) / h for n, h in zip(dims, spacing, strict=True)))
