"""What the views of a scan count for in filtered back-projection: their shares of the turn, and of lines seen twice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ipbox.operators.tomography.fan import FanBeamTransform
from ipbox.operators.tomography.geometry import Projector

NEAR = 0.1  # of the views' mean distance: views that near are one, and share what it counts for
STANDS_OUT = 3.0  # times the next smaller gap, and
AT_LEAST = np.deg2rad(8)  # a gap is one that the scan leaves out; so may
WEDGES = 3  # gaps


@dataclass(frozen=True)
class Arcs:
    """Angles on a circle: what each covers, and what they leave out.

    Attributes
    ----------
    cells : array
        Half the distance of each angle to its two neighbours; angles that are nearly the same share theirs, by what
        they are trusted.
    gaps : array, (n, 2)
        Start and length of what is not measured: wider than all other distances by far.
    alone : bool
        Whether they are all nearly one angle, which has no neighbours to tell distances by.
    """

    cells: np.ndarray
    gaps: np.ndarray
    alone: bool

    @staticmethod
    def of(angles: np.ndarray, period: float, rim: float = 1.0, trust: np.ndarray | None = None) -> Arcs:
        """Those of ``angles`` modulo ``period``; a gap is worth ``rim`` usual distances to the views at its rims."""
        a = np.mod(angles, period)
        order = np.argsort(a, kind="stable")
        a = a[order]
        first = (int(np.diff(a, append=a[0] + period).argmax()) + 1) % a.size  # behind the largest gap
        order, a = np.roll(order, -first), np.concatenate([a[first:], a[:first] + period])
        group = _groups(a, NEAR * period / a.size)
        size = np.bincount(group)
        centre = np.bincount(group, a) / size
        width = np.diff(centre, append=centre[0] + period)
        out = _left_out(width)
        usual = float(np.median(width[~out]))
        worth = np.where(out, np.minimum(width, rim * usual), width)
        cells = np.empty(a.size)
        cells[order] = (0.5 * (worth + np.roll(worth, 1)))[group] * _shares(group, size, trust, order)
        gaps = np.stack([centre[out] + 0.5 * usual, width[out] - usual], axis=1)
        return Arcs(cells, gaps, alone=size.size == 1)

    def depth(self, angles: np.ndarray) -> np.ndarray:
        """How far inside the measured arcs ``angles`` modulo 2π are; 0 where nothing is measured, 1 on a full turn."""
        depth = np.full(np.shape(angles), np.inf if len(self.gaps) else 1.0)
        for start, length in self.gaps:
            behind = np.mod(angles - start, 2 * np.pi)  # the gap's start
            depth = np.minimum(depth, np.clip(np.minimum(behind - length, 2 * np.pi - behind), 0, None))
        return depth


def _groups(a: np.ndarray, width: float) -> np.ndarray:
    """The number of the group of each of the increasing ``a``: none is wider than ``width``."""
    if a.size < 2 or np.diff(a).min() > width:
        return np.arange(a.size)
    starts = [0]
    while (end := int(np.searchsorted(a, a[starts[-1]] + width, side="right"))) < a.size:
        starts.append(end)
    return np.repeat(np.arange(len(starts)), np.diff(starts, append=a.size))


def _shares(group: np.ndarray, size: np.ndarray, trust: np.ndarray | None, order: np.ndarray) -> np.ndarray:
    """What each angle has of its group."""
    if trust is None:
        return 1.0 / size[group]
    return trust[order] / np.bincount(group, trust[order])[group]


def _left_out(width: np.ndarray) -> np.ndarray:
    """Which gaps are no distance between neighbours: a few that are much wider than all others."""
    largest = np.sort(width)[::-1]
    for few in range(min(WEDGES, largest.size - 1), 0, -1):
        if largest[few - 1] > max(STANDS_OUT * largest[few], AT_LEAST):
            return width >= largest[few - 1]
    return np.zeros(width.size, dtype=bool)


@dataclass(frozen=True)
class Scan:
    """The lines that parallel or fan beams see; (β, a) and (β + π - 2γ, -a) are the same line.

    Attributes
    ----------
    angles : array
    positions : array
        a of the detector pixels, in all views or in each.
    spacing : float
    source, length : float
        From the source to the centre, and to the detector; infinite for parallel beam.
    curved : bool
        Whether a is the length of an arc about the source.
    trust : array, optional
        How much each view is trusted, positive: where several see a line, its shares are in this proportion.
    """

    angles: np.ndarray
    positions: np.ndarray
    spacing: float
    source: float = np.inf
    length: float = np.inf
    trust: np.ndarray | None = None
    curved: bool = False

    @staticmethod
    def of(A: Projector, trust: np.ndarray | None = None) -> Scan:
        if isinstance(A, FanBeamTransform):
            length = A.source_distance + A.detector_distance
            return Scan(
                A.angles, A.positions(), A.det_spacing, A.source_distance, length, trust, A.detector == "curved"
            )
        return Scan(A.angles, A.positions(), A.det_spacing, trust=trust)

    @cached_property
    def half_turn(self) -> Arcs:
        return Arcs.of(self.angles, np.pi, rim=2.0, trust=self.trust)

    @cached_property
    def turn(self) -> Arcs:
        return Arcs.of(self.angles, 2 * np.pi, trust=self.trust)

    @property
    def parallel(self) -> bool:
        return self.source == np.inf

    @property
    def middle(self) -> np.ndarray:
        """a of the detector pixels, in the mean over the views."""
        return self.positions if self.positions.ndim == 1 else self.positions.mean(axis=0)

    @property
    def ends(self) -> tuple[float, float]:
        """Where the detector ends, in the mean over the views."""
        return float(self.middle[0] - 0.5 * self.spacing), float(self.middle[-1] + 0.5 * self.spacing)

    def gamma(self, a: np.ndarray | float) -> np.ndarray:
        """The fan angle γ of the rays to a."""
        gamma = np.asarray(a) / self.length
        return np.clip(gamma, -0.5 * np.pi, 0.5 * np.pi) if self.curved else np.arctan(gamma)

    def offset(self, a: np.ndarray | float) -> np.ndarray:
        """How far from the centre the rays to a pass."""
        return np.asarray(a) * 1.0 if self.parallel else self.source * np.sin(self.gamma(a))

    def meeting(self, offset: np.ndarray | float) -> np.ndarray:
        """The a of rays that pass the centre at an ``offset``."""
        s = np.asarray(offset) * 1.0
        if self.parallel:
            return s
        gamma = np.arcsin(s / self.source)
        return self.length * (gamma if self.curved else np.tan(gamma))

    def one_sided(self) -> bool:
        """Whether the detector reaches farther to one side, by more than a pixel."""
        return abs(sum(self.ends)) > self.spacing * (1 + 1e-9)

    def weights(self, ends: tuple[float, float]) -> np.ndarray:
        r"""Δβ times the share of each ray in its line, (n_angles, n_det) or (n_angles, 1).

        ``ends`` are the detector's where it reaches farther to one side and cuts the object off on the other, else
        infinite.  Parallel beams are all one half turn then: Δβ modulo π.  Otherwise two rays see the same line; with c
        the depth of a ray in the measured arcs times its distance from the nearer end, the share is

        .. math:: w = \sin^2\Bigl(\frac{π}{2} \frac{c}{c + c'}\Bigr), \qquad w + w' = 1,

        which is Parker's for one arc and a detector that sees all, and Wang's for a full turn and a detector that is
        set to one side.
        """
        if self.parallel and not np.isfinite(ends[0]):
            return self.half_turn.cells[:, None]
        own, other = self._depths(self.angles[:, None], self.positions, ends)
        share = np.divide(own, own + other, out=np.ones_like(own), where=own + other > 0)
        return self.turn.cells[:, None] * np.sin(0.5 * np.pi * share) ** 2

    def _depths(self, beta: np.ndarray, a: np.ndarray, ends: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        """c of rays, and c' of those that see the same lines from their other ends."""

        def depth(beta: np.ndarray, a: np.ndarray) -> np.ndarray:
            edge = np.clip(np.minimum(a - ends[0], ends[1] - a), 0, None) if np.isfinite(ends[0]) else np.ones_like(a)
            return self.turn.depth(beta) * edge * self._trusted(beta)

        return depth(beta, a), depth(beta + np.pi - 2 * self.gamma(a), -a)

    def _trusted(self, beta: np.ndarray) -> Any:
        """How much views at the angles ``beta`` are trusted, between those there are."""
        return 1.0 if self.trust is None else np.interp(beta, self.angles, self.trust, period=2 * np.pi)

    def left_out(self, radius: float, ends: tuple[float, float]) -> float:
        """The share of the lines through a disc about the centre that no view sees: all but none for a single view."""
        if self.turn.alone:
            return 1.0
        if self.parallel and not np.isfinite(ends[0]):
            return float(self.half_turn.gaps[:, 1].sum() / np.pi)
        if not len(self.turn.gaps) and not np.isfinite(ends[0]):
            return 0.0
        a = self.meeting(radius * (np.arange(64) - 31.5) / 32)
        own, other = self._depths(np.arange(720)[:, None] * np.pi / 360, a, ends)
        return float(((own == 0) & (other == 0)).mean())

    def goes_around(self) -> bool:
        """Whether the views cover three quarters of a turn, or more."""
        return bool(self.turn.gaps[:, 1].sum() < 0.5 * np.pi)
