"""Total variation."""

from __future__ import annotations

from typing import Any

from ipbox import backend, kernels, shares
from ipbox.backend import Array
from ipbox.checks import check_flag
from ipbox.functionals.total_variation.gradient_norm import GradientNorm
from ipbox.functionals.total_variation.image_gradient import ImageGradient
from ipbox.functionals.total_variation.slab_gradient import SlabGradient


class TV(GradientNorm):
    r"""Total variation of images, real or complex, grey or in colour, in one to three dimensions.

    .. math:: R(u) = V \sum_i |(∇u)_i|

    ∇ are forward differences with Neumann boundary. :math:`|\cdot|` is the Euclidean length over the directions,
    jointly over real and imaginary parts and over channels; where not isotropic, the sum over directions of the joint
    moduli.  V is the volume of a voxel, so that R does not depend on the sampling.

    Parameters
    ----------
    dims : tuple of int
        Image shape, one to three axes, after that of the channels where there are some, or those of a stack.
    isotropic : bool
    accuracy : float, optional
        `prox` ends when its duality gap certifies ‖p - prox(x)‖ <= accuracy ‖x‖.  By default 1e-6; for
        single precision 1e-4 or, for large weights, what can be proved in it (near 1e-3 where the weight is that of
        the values); the image is then more accurate than the certificate.
    niter : int
        Bound on the iterations of `prox`, which warns where it was not enough.
    spacing : float or tuple of float, optional
        Voxel size of every axis that is coupled, in any unit; pixel units where not given.
    channels : bool
        The first axis of ``dims`` counts channels, which share their edges (vectorial TV).
    symmetric : bool
        The mean of R over the reflections of the image: it commutes with reflections and rotations by 90 degrees,
        which the isotropic one does not.  2ᵈ times the work.
    axes : tuple of int, optional
        Those that are coupled, all by default; along the others the image is a stack, such as of slices or channels.

    Notes
    -----
    prox_{τf}(z) minimises ½‖u - z‖² + τλ R(u); with a dual y, |y_i| <= τλV, the gap is
    ½‖u - z + ∇*y‖² + τλ R(u) - <∇u, y>, and by strong convexity ½‖u - p‖² <= gap.  Solved by the fast gradient
    projection method with restarts; with ``work`` the dual is kept and the next call starts from it.

    Raises
    ------
    ValueError, TypeError
        for other dims, spacings or accuracies, or ``symmetric`` without ``isotropic``.

    References
    ----------
    Rudin, Osher and Fatemi, Physica D 60 (1992); Beck and Teboulle, IEEE Trans. Image Process. 18 (2009); Bresson and
    Chan, Inverse Probl. Imaging 2 (2008) for channels.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> u = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> ip.TV((2, 2)).value(u), ip.TV((2, 2), spacing=(2.0, 1.0)).value(u)
    (2.0, 4.0)
    >>> corner = np.array([[1.0, 0.0], [0.0, 0.0]])
    >>> [round(ip.TV((2, 2)).value(np.rot90(corner, k)), 3) for k in range(4)]
    [1.414, 2.0, 2.0, 2.0]
    >>> [round(ip.TV((2, 2), symmetric=True).value(np.rot90(corner, k)), 3) for k in range(4)]
    [1.854, 1.854, 1.854, 1.854]

    Of a stack of slices their sum:

    >>> ip.TV((3, 2, 2), axes=(-2, -1)).value(np.stack([u, 2 * u, u])), ip.TV((3, 2, 2)).value(np.stack([u, u, u]))
    (8.0, 6.0)
    """

    def __init__(
        self,
        dims: tuple[int, ...],
        isotropic: bool = True,
        accuracy: float | None = None,
        niter: int = 5000,
        spacing: Any = None,
        channels: bool = False,
        symmetric: bool = False,
        axes: tuple[int, ...] | None = None,
    ) -> None:
        if check_flag(symmetric, "symmetric") and not isotropic:
            raise ValueError("symmetric is True and isotropic is False; anisotropic TV is symmetric already")
        gradient = ImageGradient(dims, spacing, channels, symmetric, axes)
        if shares.sharing() is not None and gradient.coupled[0] == 0 and not symmetric:
            gradient = SlabGradient(gradient.dims, spacing, axes)
        super().__init__(gradient, isotropic, accuracy, niter)

    @property
    def by_slabs(self) -> bool:  # type: ignore[override]  # read only: the boundary tells
        return self.gradient.by_slabs

    def can_sweep(self, x: Array) -> bool:
        return self.gradient.sweeps(x)

    def sweep(
        self, y: Array, x: Array, x_bar: Array, sigma: float, tau: float, theta: float, step: dict[str, Any]
    ) -> None:
        radius = self.weight * self.gradient.factor
        kernels.tv_step(x, x_bar, y, sigma, radius, tau, theta, self.gradient.ndim, self.isotropic, **step)

    def change(self, y: Array, x: list[Array], sigma: float, batch: bool, work: Any) -> tuple[Any, Any]:
        if not self.can_sweep(x[0]):
            return super().change(y, x, sigma, batch, work)
        radius = self.weight * self.gradient.factor
        found = kernels.tv_dual_change(y, x[0], sigma, radius, self.gradient.ndim, self.isotropic)
        moved, size = (backend.reduce_sum(v.reshape(len(y) if batch else 1, -1), batch) for v in found)
        return moved, size
