"""Bregman and linearised Bregman iteration, stopped early."""

from __future__ import annotations

from typing import Any, Unpack

from ipbox.backend import Array
from ipbox.checks import check_flag, check_positive
from ipbox.choose.guess import first_weight
from ipbox.functionals import L1, L2, TV, Functional, WaveletL1
from ipbox.keywords import answering
from ipbox.operators import Operator, as_operator
from ipbox.operators.core.adapters import image_operator
from ipbox.operators.core.norms import norm_in_range
from ipbox.reconstruct.iterative.early_stopping import EarlyOptions, stopped_early
from ipbox.solvers import Bregman, LinearisedBregman, Solution, Solver

# λ in units of max |A*b|/‖A‖², the size of the first gradient step from zero.  Larger ones leave out noise and
# artefacts for longer, at more steps; the prox of TV gets slower with λ, those of L1 and wavelets do not.
FACTORS = {"tv": 0.02, "l1": 1.0, "wavelet": 2.0}


@answering
def bregman(
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    regulariser: str | Functional = "tv",
    lam: float | None = None,
    solver: Solver | None = None,
    tol: float = 1e-4,
    niter: int = 20,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[EarlyOptions],
) -> tuple[Array, Solution]:
    """Bregman iteration u_k = argmin ½‖Au - b_k‖² + λR(u), b_k = b_{k-1} + b - Au_{k-1}, stopped by the discrepancy.

    Variational reconstructions with a large λ, whose residual is added back to the data: contrast that R takes away
    comes back.

    Parameters
    ----------
    A : Operator
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd, or with one leading batch axis.
    noise_level : float, optional
        Expected norm of the noise δ: stops at ‖Au - b‖ <= safety · δ.  Without it ``niter`` steps are done.
    regulariser : str or Functional
        R: ``"tv"``, ``"l1"``, ``"wavelet"``, or a functional that the inner solver takes.
    lam : float, optional
        λ > 0; by default ten times what suits min ½‖Au - b‖² + λR(u) at this noise level (2 % of ‖b‖ without one).
    solver : Solver, optional
        Of the inner problems; `PDHG` by default.
    tol : float
        The inner solver stops where its relative fixed-point residual is at most this.
    niter : int
        Bound on the steps.
    x0 : array, optional
        Start of the first inner problem; zero by default.
    safety : float
        Factor on the noise level.
    x_true : array, optional
        The truth, where it is known: as in `landweber`.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    x : array
    info : Solution
        As `linearised_bregman`.

    Raises
    ------
    ValueError, TypeError
        as `linearised_bregman`.

    References
    ----------
    Osher, Burger, Goldfarb, Xu and Yin, Multiscale Model. Simul. 4 (2005).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("denoise", size=64)
    >>> x, info = ip.bregman(A, b, noise_level=info.noise_level)
    >>> info.stop
    'discrepancy'
    """
    data = L2(as_operator(A, shape), b)
    R = make_regulariser(regulariser, data.operator)
    lam = 10 * first_weight(data, R, noise_level) if lam is None else check_positive(lam, "lam")
    outer = Bregman(tol=tol) if solver is None else Bregman(solver, tol=tol)
    x, info = stopped_early(data, outer, noise_level, niter, R=R.scaled(lam), **options)
    info.extra["lam"] = lam
    return x, info


@answering
def linearised_bregman(
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    regulariser: str | Functional = "tv",
    lam: float | None = None,
    line_search: bool = True,
    niter: int = 500,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[EarlyOptions],
) -> tuple[Array, Solution]:
    """Linearised Bregman iteration v ← v - τA*(Au - b), u = prox_{λR}(v), stopped by the discrepancy principle.

    Details come in from coarse to fine as ‖Au - b‖ falls; a large λ makes the path simpler and longer.  Where data are
    missing rather than damped (inpainting, MRI) R has to fill them in: that takes a λ as large as the image, which
    wavelets afford more easily than TV.

    Parameters
    ----------
    A : Operator
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd, or with one leading batch axis.
    noise_level : float, optional
        Expected norm of the noise δ: stops at ‖Au - b‖ <= safety · δ.  Without it ``niter`` iterations are done.
    regulariser : str or Functional
        R: ``"tv"``, ``"l1"`` (sparse images), ``"wavelet"`` (sparse wavelet coefficients), or a functional with a prox.
    lam : float, optional
        λ > 0; by default 0.02 (TV and others), 1 (L1) or 2 (wavelets) times max |A*b|/‖A‖².
    line_search : bool
        Longer steps than 1/‖A‖² where the data residual still falls.
    niter : int
        Bound on the iterations.
    x0 : array, optional
        Start; zero by default.
    safety : float
        Factor on the noise level.
    x_true : array, optional
        The truth, where it is known: as in `landweber`.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    x : array
    info : Solution
        ``info.stop`` names the rule that fired, ``info.extra["lam"]`` is λ; with ``x_true``, ``info.extra["best"]``
        has the ``x``, ``k`` and ``psnr`` of the best iterate.

    Raises
    ------
    ValueError, TypeError
        for λ <= 0, a regulariser that is not known or has no prox, a negative noise level, or data that do not fit A.

    References
    ----------
    Yin, Osher, Goldfarb and Darbon, SIAM J. Imaging Sci. 1 (2008).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=60, noise=0.05)
    >>> x, info = ip.linearised_bregman(A, b, noise_level=info.noise_level, x_true=x_true)
    >>> info.stop
    'discrepancy'
    """
    data = L2(as_operator(A, shape), b)
    R = make_regulariser(regulariser, data.operator)
    lam = default_weight(data, regulariser) if lam is None else check_positive(lam, "lam")
    solver = LinearisedBregman(line_search=check_flag(line_search, "line_search"))
    x, info = stopped_early(data, solver, noise_level, niter, R=R.scaled(lam), **options)
    info.extra["lam"] = lam
    return x, info


def make_regulariser(regulariser: str | Functional, A: Operator) -> Functional:
    """R by name; the prox of TV to an accuracy below the noise of what is reconstructed."""
    if isinstance(regulariser, Functional):
        return regulariser

    def dims() -> tuple[int, ...]:
        return tuple(image_operator(A).dims)

    known = {"tv": lambda: TV(dims(), accuracy=1e-3), "l1": L1, "wavelet": lambda: WaveletL1(dims())}
    if regulariser not in known:
        raise ValueError(f"regulariser is {regulariser!r}; expected 'tv', 'l1', 'wavelet' or a functional")
    return known[regulariser]()


def default_weight(data: L2, regulariser: str | Functional) -> float:
    """A share of max |A*b|/‖A‖²; 1 where that is zero, since then u = 0 for every λ."""
    A, b = data.operator, data.b
    scale = float(abs(A.apply_adjoint(b)).max()) / (norm_in_range(A) ** 2 or 1.0)
    return (FACTORS[regulariser] if isinstance(regulariser, str) else 0.02) * scale or 1.0
