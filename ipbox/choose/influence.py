"""Degrees of freedom by Monte Carlo, and the rules built on them: GCV, weighted GCV, SURE."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Unpack

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_flag, check_noise_known, check_positive
from ipbox.choose.freedom import ExactTikhonov
from ipbox.choose.grid import EXTENSIONS, RISE, sweep, weights
from ipbox.choose.path import STEADY, TIGHTER, Map, Options, Path, Point, data_count, white_noise
from ipbox.choose.result import Choice
from ipbox.functionals.core.composition import check_data
from ipbox.keywords import answering

EPS = 0.1  # perturbation of the data relative to the noise's standard deviation ...
NOISE = 0.01  # ... which is taken as this share of the data's root mean square where it is not known
MAX_DOF = 0.8  # share of the data; beyond it GCV by a probe is the quotient of two small numbers
FREE = 5e-4  # accuracy of the degrees of freedom, as share of the data
DATA = 20000  # a linear map gets so many data, over its probes, that their noise is small ...
PROBES = 8  # ... but no more probes than this
KNOWN = 1e4  # roundings of the data, below which a residual is not known well enough to be divided by another zero
FLAT = 1e-3  # GCV that rises by less is the quotient of two roundings
UPWARD = 40  # weights more than the grid's, of a linear map: without a noise level its guess may be far too small
FITTED = 1 - 1e-6  # share of the data beyond which m - df is mostly rounding
OMEGA = 1.4  # inflation of the degrees of freedom in weighted GCV

Excess = Callable[[Array, Array, float], tuple[float, float]]


class Probe:
    r"""Degrees of freedom of b -> A u_λ(b), the trace of its derivative, by Hutchinson's estimate.

    .. math:: \mathrm{df} = E\, n^T A\,(u(b + εn) - u(b))/ε, \quad n \sim N(0, I)

    For a linear map u(n) is solved for instead, without ε.  The same n serves all λ, so that the curve is smooth.
    ``excess``(n, u), where given, is <n, Πn> - tr Π and tr Π of a projection Π of which the derivative
    is near a multiple.
    """

    def __init__(self, path: Path, eps: float, linear: bool, seed: int, excess: Excess | None = None) -> None:
        if "b" not in path.takes:
            raise TypeError("reconstruct has no parameter b; GCV and SURE expect reconstruct(lam, ..., b=...)")
        self.path, self.eps, self.linear, self.excess = path, eps, linear, excess
        self.noise = white_noise(path.b, seed)
        self.b = self.noise if linear else path.b + eps * self.noise
        self.x: Array = None  # before the first solve
        self.info: Any = None
        self.last = 0.0

    def dof(self, lam: float) -> float:
        """df at λ, for the image that is in the path."""
        path = self.path
        tol: Any = path.reached
        self.x, self.info = path.call(lam, self.x, self.info, b=self.b, tol=tol)
        dof = self._trace()
        while path.refines(self.info, tol):  # as `Path.solve`
            tol /= TIGHTER
            old, before = self.x, dof
            self.x, self.info = path.call(lam, self.x, self.info, b=self.b, tol=tol, again=True)
            dof = self._trace()
            near = max(STEADY * abs(dof - self.last), FREE * path.m)
            if backend.norm(self.x - old) > 0 and abs(dof - before) <= near:
                break
        self.last = dof
        return dof

    def _trace(self) -> float:
        if self.linear:
            return backend.dot(self.noise, self.path.forward(self.x))
        dof = backend.dot(self.noise, self.path.forward(self.x - self.path.x)) / self.eps
        if self.excess is not None:
            excess, trace = self.excess(self.noise, self.path.x, EPS * self.eps)
            dof -= min(max(dof / trace, 0.0), 1.0) * excess
        return dof


class DofOptions(Options, total=False):
    """What rules that need degrees of freedom take."""

    linear: bool
    dof: Callable[[float], float] | None
    probes: int | None
    excess: Excess | None
    lams: np.ndarray | None
    lam0: float
    seed: int


class GCVOptions(DofOptions, total=False):
    """What cross-validation takes beside them."""

    max_dof: float | None
    noise_level: float | None


@answering
def gcv(reconstruct: Map, A: Any, b: Array, **options: Unpack[GCVOptions]) -> Choice:
    r"""Generalised cross-validation: the λ that minimises m ‖Au_λ - b‖²/(m - df_λ)².

    Parameters are those of `weighted_gcv` but ``omega``.

    Returns
    -------
    Choice

    References
    ----------
    Golub, Heath and Wahba, Technometrics 21 (1979); Girard, Numer. Math. 56 (1989) for the trace.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.choose import gcv
    >>> rng = np.random.default_rng(0)
    >>> k = np.arange(1, 3001.0)
    >>> b = 10 / k + 0.1 * rng.standard_normal(3000)  # coefficients of a smooth function, and noise
    >>> choice = gcv(lambda lam, b=b: (b / (1 + lam * k**2), None), None, b, linear=True, lam0=1e-4)
    >>> choice.at_end, bool(1e-5 < choice.lam < 1e-3)  # Wiener's filter has λ = 0.1²/10² = 1e-4
    (False, True)
    """
    if "omega" in options:
        raise TypeError("omega is given; gcv has ω = 1 (use weighted_gcv)")
    return _gcv("gcv", reconstruct, A, b, 1.0, **options)


@answering
def weighted_gcv(reconstruct: Map, A: Any, b: Array, *, omega: float = OMEGA, **options: Unpack[GCVOptions]) -> Choice:
    r"""Weighted generalised cross-validation: the λ that minimises m ‖Au_λ - b‖²/(m - ω df_λ)².

    ω > 1 chooses larger λ, and guards against the undersmoothing that GCV is prone to where noise is correlated.

    Parameters
    ----------
    reconstruct : callable
        (λ, b=...) -> (u_λ, info); ``x0`` or ``start``, and ``tol``, are used where it has them.
    A : Operator or None
    b : array
        Data, real or complex, without a batch axis.
    omega : float
        ω.
    noise_level : float, optional
        Sets only the size of the perturbation.
    linear : bool
        Whether b -> u_λ(b) is linear.
    max_dof : float
        Weights with more than max_dof · m degrees of freedom are left out: where the data are fitted exactly GCV is
        0/0.  By default 0.8, and 1 where the degrees of freedom are exact.
    dof : callable, optional
        λ -> degrees of freedom, where they are known exactly: no probe is solved for.
    probes : int, optional
        Perturbations of the data that the degrees of freedom are the mean of; by default 1, and up to 8 for few data
        where the map is linear.
    excess : callable, optional
        (n, u, tol) -> (<n, Πn> - tr Π, tr Π), of a projection Π near a multiple of the map's derivative at u: what it
        says of the noise n is taken off the estimate.
    lams : array, optional
        Grid of weights.
    lam0 : float
        Middle of the default grid.
    seed : int
        Of the perturbation.
    x_true, inner_tol, tol, progress, shape
        As in `discrepancy`.

    Returns
    -------
    Choice
        ``curve`` has ``"dof"`` and ``"gcv"``.

    References
    ----------
    Chung, Nagy and O'Leary, Electron. Trans. Numer. Anal. 28 (2008); Kim and Gu, J. R. Stat. Soc. B 66 (2004), whose
    ω = 1.4 is the default.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.choose import gcv, weighted_gcv
    >>> rng = np.random.default_rng(0)
    >>> k = np.arange(1, 3001.0)
    >>> b = 10 / k + 0.1 * rng.standard_normal(3000)
    >>> smooth = lambda lam, b=b: (b / (1 + lam * k**2), None)
    >>> options = dict(linear=True, lam0=1e-4)
    >>> weighted_gcv(smooth, None, b, **options).lam > gcv(smooth, None, b, **options).lam
    True
    """
    return _gcv("weighted_gcv", reconstruct, A, b, check_positive(omega, "omega"), **options)


def _gcv(
    rule: str, reconstruct: Map, A: Any, b: Array, omega: float, max_dof: float | None = None, **options: Any
) -> Choice:
    if max_dof is None:
        max_dof = MAX_DOF if options.get("dof") is None else 1.0
    check_positive(max_dof, "max_dof")

    known = KNOWN * float(np.finfo(check_data(b).dtype).eps) * backend.norm(b)

    def criterion(residual: float, dof: float, m: int) -> float:
        room = m - omega * dof
        return m * residual**2 / room**2 if dof <= max_dof * m and room > 0 and residual > known else math.nan

    return _with_dof(rule, "gcv", criterion, reconstruct, A, b, **options)


@answering
def sure(reconstruct: Map, A: Any, b: Array, noise_level: float | None = None, **options: Unpack[DofOptions]) -> Choice:
    r"""Stein's unbiased risk estimate by Monte Carlo: the λ that minimises the predicted risk E‖A(u_λ - u_true)‖².

    .. math:: \mathrm{SURE}(λ) = \|Au_λ - b\|^2 - mσ^2 + 2σ^2\, \mathrm{df}_λ, \quad σ = δ/\sqrt m

    For A = I it is the risk of the image itself; otherwise what A does not see does not count.

    Parameters
    ----------
    reconstruct : callable
        (λ, b=...) -> (u_λ, info); ``x0`` or ``start``, and ``tol``, are used where it has them.
    A : Operator or None
    b : array
        Data with white Gaussian noise, real or complex, without a batch axis.
    noise_level : float
        δ, the expected norm of the noise.
    linear, dof, probes, excess, lams, lam0, seed, x_true, inner_tol, tol, progress, shape
        As in `weighted_gcv`.

    Returns
    -------
    Choice
        ``curve`` has ``"dof"`` and ``"sure"``.

    References
    ----------
    Stein, Ann. Statist. 9 (1981); Ramani, Blu and Unser, IEEE Trans. Image Process. 17 (2008).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.choose import sure
    >>> rng = np.random.default_rng(0)
    >>> u = np.where(np.arange(1000) < 50, 5.0, 0.0)  # sparse
    >>> b = u + rng.standard_normal(1000)
    >>> shrink = lambda lam, b=b: (np.sign(b) * np.maximum(abs(b) - lam, 0), None)
    >>> choice = sure(shrink, None, b, 1000**0.5, x_true=u)
    >>> best = choice.curve["psnr"].max()
    >>> bool(best - choice.curve["psnr"][abs(choice.curve["lam"] - choice.lam).argmin()] < 0.1)
    True
    """
    check_noise_known(noise_level, "SURE")
    delta = check_positive(noise_level, "noise_level")

    def criterion(residual: float, dof: float, m: int) -> float:
        return residual**2 - delta**2 + 2 * (delta**2 / m) * dof

    return _with_dof("sure", "sure", criterion, reconstruct, A, b, noise_level=delta, **options)


def _with_dof(
    rule: str,
    name: str,
    criterion: Callable[[float, float, int], float],
    reconstruct: Map,
    A: Any,
    b: Array,
    *,
    noise_level: float | None = None,
    linear: bool = False,
    dof: Callable[[float], float] | None = None,
    probes: int | None = None,
    excess: Excess | None = None,
    lams: np.ndarray | None = None,
    lam0: float = 1.0,
    seed: int = 0,
    **options: Unpack[Options],
) -> Choice:
    """The least ``criterion`` of the residual, the degrees of freedom and the number of data, for white noise."""
    check_flag(linear, "linear")
    path = Path(reconstruct, A, b, **options)
    if path.D is not None:
        raise ValueError(f"fidelity is {path.D.name}; {rule} expects L2, white Gaussian noise")
    m = path.m = data_count(path.A, b)
    if isinstance(dof, ExactTikhonov):  # the deepest of several minima, which may be far from the guess

        def known(residual: float, df: float) -> float:
            return criterion(residual, df, m) if df <= FITTED * m else math.nan

        lam0 = dof.least(known, check_positive(lam0, "lam0"))
        path.residual = dof.residual
    grid = weights(lams, lam0)
    if dof is None:
        count = check_count(probes or (min(max(round(DATA / m), 1), PROBES) if linear else 1), "probes")
        all_probes = [Probe(path, _size(b, m, noise_level), linear, seed + i, excess) for i in range(count)]

        def dof(lam: float) -> float:
            return sum(probe.dof(lam) for probe in all_probes) / count

    def evaluate(point: Point) -> None:
        point["dof"] = dof(point["lam"])
        point[name] = criterion(point["residual"], point["dof"], m)

    rise, upward = FLAT if name == "gcv" else RISE, UPWARD if linear else EXTENSIONS
    lam, at_end = sweep(path, grid, name, evaluate, lams is None, rise=rise, upward=upward, all_falls=linear)
    return path.finish(rule, lam, at_end)


def _size(b: Array, m: int, noise_level: float | None) -> float:
    """ε: small against the noise, large against the inaccuracy of the solves."""
    delta = NOISE * backend.norm(b) if noise_level is None else check_positive(noise_level, "noise_level")
    return EPS * (delta or 1.0) / math.sqrt(m)
