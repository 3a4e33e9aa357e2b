"""Daubechies' orthonormal wavelet filters by spectral factorisation: extremal phase (dbN), least asymmetric (symN)."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np

HIGHEST = 10  # vanishing moments
NAMES = {"haar": ("db", 1)}
NAMES |= {f"db{n}": ("db", n) for n in range(1, HIGHEST + 1)} | {f"sym{n}": ("sym", n) for n in range(2, HIGHEST + 1)}
_MIRRORED = (5, 6, 7, 10)  # a filter and its mirror image are as symmetric; tables usually have these the other way


@functools.cache
def scaling_filter(name: str) -> np.ndarray:
    r"""The scaling filter h of an orthonormal wavelet: Σ_n h_n h_{n+2k} = δ_k, Σ_n h_n = √2; float64, read only.

    .. math:: |H(ω)|^2 = 2 \cos^{2N}(ω/2)\, P(\sin^2(ω/2)), \quad P(y) = \sum_{k<N} \binom{N-1+k}{k} y^k

    Each root y of P gives a pair z, 1/z.  ``"dbN"`` takes the ones inside the unit circle, ``"symN"`` the choice whose
    phase is nearest to linear.

    Parameters
    ----------
    name : str
        ``"haar"``, ``"db1"`` to ``"db10"`` or ``"sym2"`` to ``"sym10"``: N vanishing moments, 2N taps.

    Raises
    ------
    ValueError
        for another name.

    References
    ----------
    Daubechies, Ten Lectures on Wavelets, SIAM 1992, sections 6.4 and 8.1.

    Examples
    --------
    >>> from ipbox.operators.images.daubechies import scaling_filter
    >>> scaling_filter("db2").round(4)
    array([ 0.483 ,  0.8365,  0.2241, -0.1294])
    """
    if name not in NAMES:
        raise ValueError(f"wavelet is {name!r}; expected 'haar', 'db1' to 'db{HIGHEST}' or 'sym2' to 'sym{HIGHEST}'")
    family, n = NAMES[name]
    groups = _roots(n)
    inside = [r for group in groups for r in group]
    h = _filter(n, inside if family == "db" else _most_linear(groups))
    if family == "sym" and n in _MIRRORED:
        h = h[::-1]
    h = _orthonormal(h)
    h.flags.writeable = False
    return h


def _roots(n: int) -> list[list[complex]]:
    """The roots z inside the unit circle, each real one alone and each complex one with its conjugate."""
    y = np.roots([math.comb(n - 1 + k, k) for k in range(n - 1, -1, -1)]).astype(complex)
    b = 1 - 2 * y  # (z + 1/z)/2
    z = b + np.sqrt(b * b - 1)
    z = np.where(abs(z) < 1, z, 1 / z)
    real = abs(z.imag) < 1e-9
    groups = [[r.real] for r in z[real]] + [[r, r.conjugate()] for r in z[~real & (z.imag > 0)]]
    return sorted(groups, key=lambda group: abs(group[0]))


def _filter(n: int, roots: list[complex]) -> np.ndarray:
    """Π (1 - r/z) over the roots, times (1 + 1/z)^N, scaled to the sum √2."""
    h = np.array([1.0 + 0j])
    for r in roots + [-1.0] * n:
        h = np.convolve(h, [1.0, -r])
    return h.real * (math.sqrt(2) / h.real.sum())


def _most_linear(groups: list[list[complex]]) -> list[complex]:
    """From each group the roots or their inverses, so that the phase's distance from its linear fit is least.

    Where r is replaced by 1/r̄, its phase θ_r(ω) = arg(1 - r exp(-iω)) changes its sign, but for a linear part.
    """
    omega = np.linspace(0, np.pi, 513)[1:-1]
    phases = [sum(np.angle(1 - r * np.exp(-1j * omega)) for r in group) for group in groups]

    def deviation(signs: tuple[int, ...]) -> float:
        phase = sum(s * p for s, p in zip(signs, phases, strict=True))
        return float(abs(phase - omega * (phase @ omega) / (omega @ omega)).max())

    choices = ((1, *signs) for signs in itertools.product((1, -1), repeat=len(groups) - 1))
    best = min(choices, key=deviation)  # the first group's sign only mirrors the filter
    return [r if s == 1 else 1 / r.conjugate() for s, group in zip(best, groups, strict=True) for r in group]


def _orthonormal(h: np.ndarray) -> np.ndarray:
    """``h`` after a Newton step on Σ_n h_n h_{n+2k} = δ_k: the roots of high degrees have lost two digits."""
    shifts = range(0, len(h), 2)
    ahead = np.stack([np.pad(h, (0, s))[s:] for s in shifts])  # h_{n+2k}
    behind = np.stack([np.pad(h, (s, 0))[: len(h)] for s in shifts])
    defect = ahead @ h - (np.arange(len(shifts)) == 0)
    if abs(defect).max() <= np.finfo(float).eps:
        return h
    return h - np.linalg.lstsq(ahead + behind, defect, rcond=None)[0]
