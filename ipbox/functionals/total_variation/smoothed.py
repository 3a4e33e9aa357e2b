"""Smoothed total variation."""

from __future__ import annotations

from typing import Any

from ipbox.checks import check_positive
from ipbox.functionals.total_variation.image_gradient import ImageGradient
from ipbox.functionals.total_variation.smoothed_norm import SmoothedNorm


class SmoothedTV(SmoothedNorm):
    r"""Total variation with a smoothed modulus, twice differentiable.

    .. math:: R(u) = V \sum_i \sqrt{|(∇u)_i|^2 + ν^2}

    ∇, |·| and V as for `TV`; no prox.

    Parameters
    ----------
    dims : tuple of int
        Image shape, one to three axes, after that of the channels where there are some.
    eps : float
        ν > 0, in units of ∇u: differences well below are squared, well above as in total variation.
    spacing : float or tuple of float, optional
        Voxel size of every axis that is coupled; pixel units where not given.
    channels : bool
        The first axis of ``dims`` counts channels, which share their edges.
    axes : tuple of int, optional
        Those that are coupled, all by default; along the others the image is a stack, such as of slices or channels.

    Notes
    -----
    ∇R(u) = V ∇*(∇u/s), s_i = (|(∇u)_i|² + ν²)^½, with Lipschitz constant V‖∇‖²/ν; that of the Hessian is at
    most 48/(25√5) V‖∇‖² (Σ_k h_k⁻² + max_k h_k⁻²)^½/ν², h the voxel sizes.

    Raises
    ------
    ValueError, TypeError
        for other dims or spacings, or ν that is not positive.

    References
    ----------
    Acar and Vogel, Inverse Problems 10 (1994); Vogel and Oman, SIAM J. Sci. Comput. 17 (1996).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f, u = ip.SmoothedTV((2, 2), eps=0.75), np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> f.value(u), f.grad(u).tolist()
    (4.0, [[-0.8, 0.8], [-0.8, 0.8]])
    """

    def __init__(
        self,
        dims: tuple[int, ...],
        eps: float,
        spacing: Any = None,
        channels: bool = False,
        axes: tuple[int, ...] | None = None,
    ) -> None:
        gradient = ImageGradient(dims, spacing, channels, axes=axes)
        super().__init__(gradient, check_positive(eps, "eps"), (gradient.factor,))
