"""Maximum likelihood of Poisson counts as functions (A, b, ...) -> x, info: MLEM and OSEM, stopped early."""

from __future__ import annotations

from typing import Any

from ipbox.backend import Array
from ipbox.functionals import KL
from ipbox.operators import as_operator
from ipbox.reconstruct.iterative.early_stopping import stopped_early
from ipbox.solvers import MLEM, OSEM, Solution


def mlem(
    A: Any,
    b: Array,
    *,
    niter: int = 50,
    noise_level: float | str | None = None,
    background: float | Array | None = None,
    mask: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Any,
) -> tuple[Array, Solution]:
    """Maximum-likelihood expectation maximisation u ← u/(A* 1) · A*(b/(Au + r)) for counts b, stopped early.

    Parameters
    ----------
    A : Operator
        Non-negative, as `PET`.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Counts of shape A.dimsd.
    niter : int
        Bound on the iterations: with noise the image gets worse again after some.
    noise_level : float or "poisson", optional
        Expected norm of the noise: stops at ‖Au + r - b‖ <= safety · noise_level.  "poisson" needs no number: it
        stops at 2 KL(b, Au + r) <= safety · m for m counts.
    background : float or array, optional
        r; by default the operator's own (`PET`), else 0.
    mask : array of bool, optional
        Data that count.
    x0 : array, optional
        Start > 0; a constant image by default.
    safety : float
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    x : array
        Non-negative.
    info : Solution

    Raises
    ------
    ValueError, TypeError
        for negative counts or background, a start that is not positive, or data that do not fit A.

    References
    ----------
    Shepp and Vardi, IEEE Trans. Med. Imaging 1 (1982).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("pet", size=32, views=24, counts=1e5)
    >>> x, info = ip.mlem(A, b, noise_level="poisson")
    >>> info.stop, bool(x.min() >= 0)
    ('poisson_discrepancy', True)
    """
    return stopped_early(KL(as_operator(A, shape), b, background, mask), MLEM(), noise_level, niter, **options)


def osem(
    A: Any,
    b: Array,
    subsets: int = 10,
    *,
    niter: int = 5,
    noise_level: float | str | None = None,
    background: float | Array | None = None,
    mask: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Any,
) -> tuple[Array, Solution]:
    """Ordered-subsets expectation maximisation: `mlem` with a step for each subset of the views.

    Parameters and returns are those of `mlem`; one iteration goes through all ``subsets``, each with every n-th view.

    References
    ----------
    Hudson and Larkin, IEEE Trans. Med. Imaging 13 (1994).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("pet", size=32, views=24, counts=1e5)
    >>> ip.osem(A, b, subsets=6, noise_level="poisson")[1].niter < ip.mlem(A, b, noise_level="poisson")[1].niter / 3
    True
    """
    return stopped_early(KL(as_operator(A, shape), b, background, mask), OSEM(subsets), noise_level, niter, **options)
