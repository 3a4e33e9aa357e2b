"""Penalised likelihood of counts with the relative difference prior, by ordered subsets."""

from __future__ import annotations

from typing import Any, Unpack

from ipbox.backend import Array
from ipbox.choose.guess import level_of
from ipbox.functionals import KL, NonNegative, RelativeDifference
from ipbox.keywords import answering
from ipbox.operators import as_operator
from ipbox.operators.core.adapters import image_operator
from ipbox.operators.tomography.geometry import Projector
from ipbox.operators.tomography.pet import PET
from ipbox.reconstruct.variational.minimise import RunOptions, VariationalFamily
from ipbox.solvers import BSREM, Solution

_EPS = 0.01  # ε, of the mean activity


@answering
def bsrem(  # type: ignore[misc]  # an option of others is an argument here
    A: Any,
    b: Array,
    lam: float | str,
    *,
    subsets: int = 10,
    gamma: float = 2.0,
    eps: float | None = None,
    kappa: Array | None = None,
    background: float | Array | None = None,
    mask: Array | None = None,
    tol: float = 0.01,
    niter: int = 200,
    x0: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[RunOptions],
) -> tuple[Array, Solution]:
    r"""Penalised likelihood of counts, min_{u >= 0} KL(b, Au + r) + λ R(u), R the relative difference prior.

    Parameters
    ----------
    A : Operator
        Non-negative, as `PET`.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Counts of shape A.dimsd.
    lam : float or str
        λ > 0, in units of the sensitivity A* 1, of whose mean it is often a few thousandths, or the name of a rule
        that chooses it (`ipbox.choose`), as ``"discrepancy"``, which needs no noise level here.
    subsets : int
        Of the views, for `BSREM`.
    gamma : float
        γ of `RelativeDifference`: how much edges are spared.
    eps : float, optional
        ε > 0 of `RelativeDifference`, by default a hundredth of the mean activity (that of a constant image with the
        counts b - r).
    kappa : array, optional
        κ of `RelativeDifference`.
    background : float or array, optional
        r; by default the operator's own (`PET`), else 0.
    mask : array of bool, optional
        Data that count.
    tol : float
        Relative change of the image in an iteration, per unit of the relaxation, at which to stop.
    niter : int
        Bound on the iterations, each of which goes through all subsets; a warning says where it ended the run.
    x0 : array, optional
        Start >= 0; a constant image by default.
    x_true : array, optional
        The truth, where it is known: as in `tv`.
    **options
        As in `tv`.

    Returns
    -------
    x : array
        Non-negative.
    info : Solution
        ``info.extra["choice"]`` is the `Choice` where a rule chose λ, ``info.extra["lam"]`` λ.

    Notes
    -----
    Other than `mlem` and `osem`, which are stopped before they fit the noise, it is iterated until the image stays:
    contrast does not depend on how far it is from a start, and λ trades it for noise.

    Raises
    ------
    ValueError, TypeError
        for λ <= 0, negative counts or background, a negative start, or data that do not fit A.

    References
    ----------
    Nuyts, Bequé, Dupont and Mortelmans, IEEE Trans. Nucl. Sci. 49 (2002); Ahn and Fessler, IEEE Trans. Med. Imaging 22
    (2003); Ahn et al., Quantitative comparison of OSEM and penalized likelihood image reconstruction using relative
    difference penalties for clinical PET, Phys. Med. Biol. 60 (2015).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("pet", size=32, views=24, counts=1e5)
    >>> x, run = ip.bsrem(A, b, 1.0, subsets=6)
    >>> x_em, _ = ip.osem(A, b, subsets=6, noise_level="poisson")
    >>> ip.psnr(x, x_true) > ip.psnr(x_em, x_true)
    True
    """
    A = image_operator(as_operator(A, shape))
    D = KL(A, b, background, mask)
    eps = _EPS * level_of(D) if eps is None else eps
    R = RelativeDifference(tuple(A.dims), eps, gamma, kappa, _spacing(A))
    family = VariationalFamily(D, R, NonNegative(), BSREM(subsets), tol, niter, x0, options)
    return family.choose(lam, None)


def _spacing(A: Any) -> Any:
    P = A.projector if isinstance(A, PET) else A
    return P.pixel_widths if isinstance(P, Projector) else 1.0
