"""What a turn of the object says about where its axis is: criteria of the column c, least at the axis.

All take line integrals q (rows, views, columns) in float64, the views even and in order over half a turn or a turn.
"""

from __future__ import annotations

import math

import numpy as np

BLUR = 3  # orders of the angle by which the wedge is widened: Bessel functions decay beyond their order
SMOOTH = 3  # degree of the polynomials that carry the views over the seam
SEAM = 8  # views on either side of it
FAINT = 1e-3  # share of the variance below which nothing is seen
ALIKE = 0.05  # share of the columns that overlap at least


def wedge(q: np.ndarray, columns: np.ndarray) -> np.ndarray:
    r"""Energy outside of the double wedge of a half turn and its mirror image about c, for each c of ``columns``.

    Of the whole turn that p(θ + π, s) = p(θ, -s) makes of half a one, the Fourier transform over angle and detector is
    about 0 where |k| > |ω| R, for an object within R of the axis.  With a_k(ω) that of half a turn about the middle of
    the detector, its energy there is

    .. math:: E(c) = \mathrm{const} + 2 \mathrm{Re} \sum_ω e^{-2iωc} \sum_{|k| > |ω| R} (-1)^k a_k(ω)\, a_{-k}(ω)

    with c from that middle: a trigonometric polynomial, which tells all c at once.  White noise adds nothing to it
    on average.
    """
    _, views, n = q.shape
    padded = 2 * 2 ** math.ceil(math.log2(n))
    ω = 2 * np.pi * np.arange(padded // 2 + 1) / padded
    k = np.fft.fftfreq(2 * views, 1 / (2 * views)).round()
    outside = (-1.0) ** k[:, None] * (abs(k)[:, None] > ω * n / 2 + BLUR)
    G = np.zeros(ω.size, dtype=np.complex128)
    for rows in q:
        a = np.fft.fft(np.fft.rfft(rows, padded, axis=1) * np.exp(0.5j * ω * (n - 1)), 2 * views, axis=0)
        G += (outside * a * np.roll(a[::-1], 1, axis=0)).sum(axis=0)
    return 2 * np.real(np.exp(2j * np.outer(columns - 0.5 * (n - 1), ω)) @ G)


def seam(q: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Jump from the mirror images of the last views of a half turn to the first ones, for each c of ``columns``.

    Where the panel cuts the object off, the Fourier transform has no wedge, but the views still go on over the seam:
    what is tested is the step there that polynomials of the angle do not explain, in the columns that overlap for all
    c; 2c is a whole number.
    """
    _, views, n = q.shape
    count = min(SEAM, views // 2)
    t = (np.arange(2 * count) - count + 0.5) / count
    smooth = np.polynomial.legendre.legvander(t, min(SMOOTH, 2 * count - 2))
    step = np.sign(t) - smooth @ np.linalg.lstsq(smooth, np.sign(t), rcond=None)[0]
    step /= np.linalg.norm(step)
    last, first = np.tensordot(step[:count], q[:, -count:], (0, 1)), np.tensordot(step[count:], q[:, :count], (0, 1))
    half = int(np.minimum(columns, n - 1 - columns).min())
    found = np.empty(columns.size)
    for i, c in enumerate(columns):
        j, mirrored, _ = _overlap(c, half, n)
        window = np.cos(0.5 * np.pi * (j - c) / (half + 1)) ** 2
        jump = (last[:, mirrored] + first[:, j]) * window
        found[i] = np.sum(jump**2) / np.sum(window**2) / len(q)
    return found


def opposite(q: np.ndarray, columns: np.ndarray, distance: float = math.inf) -> np.ndarray:
    r"""How much opposite rays differ, relative to what they vary, for each c of ``columns``; 2c is a whole number.

    A whole turn has each line twice, as (β, γ) and as (β + π - 2γ, -γ), γ = 0 for parallel beam; ``distance`` is that
    from the source to the panel, in columns.  Over the columns that c and its panel let overlap,

    .. math:: E(c) = \frac{\sum |p(β, γ) - p(β + π - 2γ, -γ)|^2 + 2 ε N V}{\sum |p - \bar p|^2 + ε N V}

    with the mean p̄ over the overlap of N readings, the variance V of all and ε = 1/1000: about 2 where nothing matches,
    and where nothing is.  Between the views p is interpolated by its Fourier series in β.
    """
    rows, views, n = q.shape
    P = np.fft.rfft(q, axis=1)
    k = np.arange(P.shape[1])[:, None]
    P *= np.sqrt(np.where((k == 0) | (2 * k == views), 1.0, 2.0))  # an order and its negative
    least = FAINT * q.var() * rows * views**2  # of a column
    energy, opposed, found = (abs(P) ** 2).sum(axis=(0, 1)), P * (-1.0) ** k, np.empty(columns.size)
    for i, c in enumerate(columns):
        j, mirrored, s = _overlap(c, min(c, n - 1 - c), n)
        there = opposed[:, :, mirrored]
        if math.isfinite(distance):
            there *= np.exp(-2j * k * np.arctan(s / distance))
        there -= P[:, :, j]
        mean = P[:, 0, j].real.sum() / (rows * j.size)
        spread = energy[j].sum() - rows * j.size * mean**2 + least * j.size
        found[i] = ((there.real**2 + there.imag**2).sum() + 2 * least * j.size) / spread
    return found


def _overlap(c: float, half: float, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns within ``half`` of c, their mirror images about c, and how far they are from it."""
    j = np.arange(max(math.ceil(c - half), 0), min(math.floor(c + half), n - 1) + 1)
    return j, np.rint(2 * c - j).astype(int), j - c


def narrowest(n: int) -> int:
    """The least number of columns on either side of an axis that is looked for by opposite rays."""
    return max(4, math.ceil(0.5 * ALIKE * n))
