"""Maximum likelihood of Poisson counts as functions (A, b, ...) -> x, info: MLEM and OSEM, stopped early."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Unpack

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive
from ipbox.functionals import KL
from ipbox.keywords import answering
from ipbox.operators import PET, GaussianBlur, as_operator
from ipbox.operators.tomography.geometry import Projector
from ipbox.reconstruct.iterative.early_stopping import EarlyOptions, stopped_early
from ipbox.solvers import MLEM, OSEM, Solution
from ipbox.warning import warn


@answering
def mlem(
    A: Any,
    b: Array,
    *,
    niter: int | Sequence[int] = 50,
    noise_level: float | str | None = None,
    background: float | Array | None = None,
    mask: Array | None = None,
    shape: tuple[int, ...] | None = None,
    post_filter: float | None = None,
    **options: Unpack[EarlyOptions],
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
    niter : int or sequence of int
        Bound on the iterations: with noise the image gets worse again after some.  Of several numbers the largest, and
        ``info.extra["iterates"]`` has the iterates with these numbers.
    noise_level : float or "poisson", optional
        Expected norm of the noise: stops at ‖Au + r - b‖ <= safety · noise_level.  "poisson" needs no number: it
        stops at 2 KL(b, Au + r) <= safety · m for m counts.
    background : float or array, optional
        r; by default the operator's own (`PET`), else 0.
    mask : array of bool, optional
        Data that count.
    post_filter : float, optional
        Full width at half maximum of a Gaussian, in the unit of the operator's ``pixel_size`` (mm): ``x`` is the last
        iterate blurred by it, reflected at the edges, which keeps its sum; ``info.x`` is the iterate itself.
    x0 : array, optional
        Start > 0; a constant image by default.
    safety : float
    x_true : array, optional
        The truth, where it is known: as in `landweber`, of the iterates before ``post_filter``.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    x : array
        Non-negative.
    info : Solution

    Notes
    -----
    An iteration that is stopped early is not there yet: what is faint next to what is bright has too much of it
    (spill-in), by an amount that depends on the object.  On the brain of ``ip.problem("pet")`` automatic stopping
    leaves white matter too high by a fifth and more (``python -m tests.bench pet-white-matter`` measures it), which is
    not the operator's doing: further iterations take it away.  Where values count, iterate until the image no longer
    changes but for noise (some hundred steps of MLEM), and take the noise away by ``post_filter``: what is then left of
    the spill is that of a known Gaussian, everywhere the same.  `ip.contrast_recovery` says how much contrast there is.

    Raises
    ------
    ValueError, TypeError
        for negative counts or background, a start that is not positive, or data that do not fit A; a filter that is
        not positive, or an A without a width of pixels.

    References
    ----------
    Shepp and Vardi, IEEE Trans. Med. Imaging 1 (1982); filtered afterwards Llacer, Veklerov, Coakley, Hoffman and
    Nunez, IEEE Trans. Med. Imaging 12 (1993).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("pet", size=32, views=24, counts=1e5)
    >>> x, info = ip.mlem(A, b, noise_level="poisson")
    >>> info.stop, bool(x.min() >= 0)
    ('poisson_discrepancy', True)
    >>> y, info = ip.mlem(A, b, niter=100, post_filter=6.0)
    >>> bool(y.max() < info.x.max()), bool(abs(y.sum() / info.x.sum() - 1) < 1e-5)
    (True, True)
    """
    smooth, data = _smoothing(A, post_filter), KL(as_operator(A, shape), b, background, mask)
    x, info = stopped_early(data, MLEM(), noise_level, niter, **options)
    return smooth(x), info


@answering
def osem(
    A: Any,
    b: Array,
    subsets: int = 10,
    *,
    niter: int | Sequence[int] = 5,
    noise_level: float | str | None = None,
    background: float | Array | None = None,
    mask: Array | None = None,
    shape: tuple[int, ...] | None = None,
    post_filter: float | None = None,
    **options: Unpack[EarlyOptions],
) -> tuple[Array, Solution]:
    """Ordered-subsets expectation maximisation: `mlem` with a step for each subset of the views.

    Parameters and returns are those of `mlem`; one iteration goes through all ``subsets``, each with every n-th view.

    Warns
    -----
    RuntimeWarning
        where the image is 0 although there are counts: a pixel that is 0 for one subset stays so, and at few counts
        each pixel has such a subset.

    Notes
    -----
    What `mlem` says of stopping early and of ``post_filter`` holds here too, with a tenth of the iterations.

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
    smooth, data = _smoothing(A, post_filter), KL(as_operator(A, shape), b, background, mask)
    x, info = stopped_early(data, OSEM(subsets), noise_level, niter, **options)
    if _lost(data, x):
        warn(
            f"osem: subsets={subsets} leave nothing of the image though b has counts, since every pixel is 0 for one "
            f"of them; expected fewer subsets, or ip.mlem",
            RuntimeWarning,
        )
    return smooth(x), info


def _smoothing(A: Any, fwhm: float | None) -> Callable[[Array], Array]:
    """The Gaussian filter of the images of A; the identity without a width."""
    if fwhm is None:
        return lambda x: x
    check_positive(fwhm, "post_filter", "a positive full width at half maximum, or None")
    P = A.projector if isinstance(A, PET) else A
    if not isinstance(P, Projector):
        raise TypeError(
            f"post_filter is {fwhm}, a length, and A is {type(A).__name__}; expected a tomographic operator"
        )
    sigma = tuple(fwhm / math.sqrt(8 * math.log(2)) / h for h in P.pixel_widths)
    H = GaussianBlur(tuple(P.dims), sigma, "reflective", dtype=P.dtype_in)
    return lambda x: backend.array_module(x).maximum(H.apply(x), 0)  # FFTs, on a GPU, leave rounding below 0


def _lost(D: KL, x: Array) -> bool:
    """Whether an image of ``x`` is 0 although there are counts in readings that see one."""
    images = x.reshape((-1, *D.operator.dims))
    empty = ~images.any(axis=tuple(range(1, images.ndim)))
    if not bool(empty.any()):
        return False
    seen = D.operator.apply(backend.array_module(x).ones_like(images[0])) > 0
    counts = (D.b if D.mask is None else D.b * D.mask).reshape((-1, *D.operator.dimsd)) * seen
    return bool((empty & counts.any(axis=tuple(range(1, counts.ndim)))).any())
