"""Algorithm 1 of Ehrhardt and Roberts, as a generator: it yields what to evaluate and is sent the points."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.bilevel.dfo.model import InterpolationSet, Model, Point, residual_accuracy
from ipbox.bilevel.dfo.settings import Settings
from ipbox.bilevel.dfo.trust_region import linear_step, trust_region_step

MARGIN = 0.5  # (32) is aimed at with half of its bound, since the predicted decrease changes with what is evaluated
SHORT = 0.1  # a step shorter than this part of Δ says that Δ is too large for the model's minimiser
ROUNDS = 40  # of the first evaluation, until its error is small beside it
LEAST = 0.1  # of Δ that a step which failed leaves where the variables are many: see `reduction`
PAST = 5.0  # past points tell of the curvature within so many times the distance allowed to those of the set


@dataclass
class Request:
    """Evaluate r̃(z) with errors of at most ``accuracy``."""

    z: np.ndarray
    accuracy: float | None
    kind: str


Asking = Generator[Request, Point, None]


class Algorithm:
    """A run in scaled variables; everything in it follows from the points it is sent.

    Attributes
    ----------
    radius : float
        Δ^k.
    set : InterpolationSet
        After the start.
    stop : str
        Why it ended.
    """

    def __init__(self, settings: Settings, z0: np.ndarray, lo: np.ndarray, hi: np.ndarray, unit: float = 1.0) -> None:
        self.settings, self.z0, self.lo, self.hi = settings, z0, lo, hi
        self.radius = settings.radius
        self.dynamic = settings.accuracy == "dynamic"
        self.first: list[Point] = []
        self.size = unit
        self.set: Any = None  # an InterpolationSet, from the first model on
        self.stop = ""

    @property
    def iterate(self) -> Point:
        return self.set.iterate

    def best(self) -> Point:
        """θ^k; before there is a model, of the points so far the one that is certainly the lowest."""
        if self.set is not None:
            return self.iterate
        best = self.first[0]
        for p in self.first[1:]:
            best = p if self.is_lower(p, best) else best
        return best

    def run(self) -> Asking:
        """Algorithm 1, whose line numbers and equations the comments give."""
        yield from self.start()
        while not self.stop:
            yield from self.iteration()

    # ------------------------------------------------------------ evaluation

    def evaluate(self, z: np.ndarray, kind: str, accuracy: float) -> Generator[Request, Point, Point]:
        """r̃(z), with this accuracy in dynamic mode and that of the settings elsewhere."""
        s = self.settings
        asked: Any = max(accuracy, self.finest) if self.dynamic else s.accuracy
        return (yield Request(z, asked, kind))

    def bound(self, p: Point) -> float:
        """What |f̃ - f| is taken for: its bound, or 0 where the accuracy is not for the algorithm to choose."""
        return p.bound if self.dynamic else 0.0

    def is_lower(self, new: Point, old: Point) -> bool:
        """f̃(new) < f̃(old) - both bounds, which implies f(new) < f(old)."""
        return new.f < old.f - self.bound(old) - self.bound(new)

    def exhausted(self, p: Point) -> bool:
        """Whether to ask for more accuracy is of no use: p has not what was asked for, or it was the most."""
        return p.error > p.asked or p.asked <= self.finest

    @property
    def finest(self) -> float:
        """No better accuracy is asked for; ρ, the size of r at θ^0, makes it independent of units."""
        return self.settings.accuracy_floor * self.size

    @property
    def interpolation_accuracy(self) -> float:
        """c Δ² ρ, with which the model is fully linear."""
        return max(self.settings.c * self.radius**2 * self.size, self.finest)

    def accuracy_for(self, r: np.ndarray, inexact: np.ndarray, predicted: float) -> float:
        """The δ with which (32) holds."""
        return residual_accuracy(r, inexact, MARGIN * self.settings.eta1_prime * predicted)

    # ------------------------------------------------------------ trust region

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of steps from the iterate."""
        z = self.iterate.z
        return np.minimum(self.lo - z, 0.0), np.maximum(self.hi - z, 0.0)

    def at(self, s: np.ndarray) -> np.ndarray:
        """θ^k + s within the bounds, in spite of rounding."""
        return np.minimum(np.maximum(self.iterate.z + s, self.lo), self.hi)

    def model(self) -> Model:
        """m^k."""
        c = self.settings
        return self.set.model(self.radius, PAST * c.reach * self.radius if c.curvature else 0.0)

    # ------------------------------------------------------------ Algorithm 1

    def start(self) -> Asking:
        """Line 1: θ^0, and a point in the direction of every variable, to the side where there is more room."""
        self.first.append((yield from self.evaluate(self.z0, "start", self.interpolation_accuracy)))
        for _ in range(ROUNDS):  # until ρ is known
            start = self.first[0]
            self.size = _size(start) or 0.1 * start.error or 1.0
            if not self.dynamic or start.error <= self.interpolation_accuracy or self.exhausted(start):
                break
            self.first[0] = yield from self.evaluate(self.z0, "accuracy", self.interpolation_accuracy)
        below, above = self.z0 - self.lo, self.hi - self.z0
        for i in range(len(self.z0)):
            z = self.z0.copy()
            up = above[i] > below[i] or math.isinf(above[i])
            z[i] = min(z[i] + self.radius, self.hi[i]) if up else max(z[i] - self.radius, self.lo[i])
            self.first.append((yield from self.evaluate(z, "start", self.interpolation_accuracy)))
        best = self.best()
        self.set = InterpolationSet(self.first, next(t for t, p in enumerate(self.first) if p is best))

    def iteration(self) -> Asking:
        """Lines 3-12."""
        c, X = self.settings, self.set
        model, s, predicted = yield from self.accuracy_phase()
        if self.stop:
            return
        old, new = self.iterate, (yield from self.trial(model, s, predicted))
        rho = (old.f - new.f) / predicted  # (29)
        linear = self.worst() is None
        taken = self.is_lower(new, old)  # (33); with (32), whatever has ρ̃ >= η1 is certain to decrease f
        t = X.leaving(new, self.radius, taken)
        if taken and rho >= c.eta2:  # (34); Δ is kept for η1 <= ρ̃ < η2, where the step was a good one
            self.radius = min(max(self.radius, c.gamma_inc * float(np.linalg.norm(s))), c.radius_max)
        elif linear and not (taken and rho >= c.eta1):
            self.radius *= reduction(float(model.g @ s), new.f - old.f, max(2.0 / X.n, LEAST), c.gamma_dec)
        if t is None:
            X.remember(new)
        else:
            X.replace(t, new, iterate=taken)
        if not taken and not linear:
            yield from self.improve()  # where that is still needed with the new point
        elif self.radius < c.radius_final:
            self.stop = "radius"

    def accuracy_phase(self) -> Generator[Request, Point, tuple[Model, np.ndarray, float]]:
        """Lines 3-9: a step s^k from the iterate, with f̃(θ^k) accurate enough for its predicted decrease."""
        c, X = self.settings, self.set
        while True:
            model = self.model()
            s = trust_region_step(model.g, model.H, *self.limits(), self.radius)
            predicted = model.decrease(s)
            old = self.iterate
            if self.is_critical(model, s, predicted):
                yield from self.criticality_phase()
            elif self.bound(old) > c.eta1_prime * predicted:  # (32)
                if self.exhausted(old):
                    if 2 * self.bound(old) < predicted:  # a decrease can still be certain, by (33)
                        return model, s, predicted
                    self.stop = "accuracy"
                else:
                    needed = self.accuracy_for(old.r, old.inexact, predicted)
                    X.replace(X.k, (yield from self.evaluate(old.z, "accuracy", needed)))
            else:
                return model, s, predicted
            if self.stop:
                return model, s, predicted

    def is_critical(self, model: Model, s: np.ndarray, predicted: float) -> bool:
        """Whether the model is flat, ‖g^k‖ <= ε f < Δ^k f, or its minimiser is so near that Δ is too large for it.

        For ‖g^k‖ stands the most that <g, d> falls within the bounds with ‖d‖ <= 1, as it does without them; f̃(θ^k),
        which the paper has not, makes it independent of units.
        """
        if predicted <= 0.0 or float(np.linalg.norm(s)) < SHORT * self.radius:
            return True
        most = min(self.settings.epsilon, self.radius) * self.iterate.f
        return (
            float(np.linalg.norm(model.g)) <= most
            or -float(model.g @ linear_step(model.g, *self.limits(), 1.0)) <= most
        )

    def criticality_phase(self) -> Asking:
        """Lines 5-7, a step of it: the model is made fully linear, then Δ is reduced."""
        if self.iterate.f == 0.0 and self.iterate.bound == 0.0:
            self.stop = "zero"
        elif self.worst() is not None:
            yield from self.improve()
        else:
            self.radius *= self.settings.gamma_dec
            if self.radius < self.settings.radius_final:
                self.stop = "radius"

    def trial(self, model: Model, s: np.ndarray, predicted: float) -> Generator[Request, Point, Point]:
        """Line 10: the point θ^k + s, evaluated until (32) holds for it, or it is certain to be refused."""
        c, old, z = self.settings, self.iterate, self.at(s)
        needed = self.accuracy_for(model.residuals(s), old.inexact, predicted)
        new = yield from self.evaluate(z, "step", min(needed, self.interpolation_accuracy))
        while self.bound(new) > c.eta1_prime * predicted and not self.exhausted(new):
            if new.f - new.bound > old.f - (c.eta1 - c.eta1_prime) * predicted:
                break
            needed = self.accuracy_for(new.r, new.inexact, predicted)
            new = yield from self.evaluate(z, "accuracy", min(needed, self.interpolation_accuracy))
        return new

    # ------------------------------------------------------------ full linearity

    def worst(self) -> tuple[int, str] | None:
        """What keeps m^k from being fully linear in B(θ^k, Δ^k): the worst point, and why; None where it is."""
        c, X = self.settings, self.set
        distances = X.distances
        t = int(distances.argmax())
        if distances[t] > c.reach * self.radius:
            return t, "far"
        if self.dynamic:
            needed = self.interpolation_accuracy
            for t, p in enumerate(X.points):
                if p.error > needed and p.asked > needed:
                    return t, "inexact"
        values = X.poisedness(*self.limits(), self.radius, c.poisedness)
        values[X.k] = 0.0
        t = int(values.argmax())
        return (t, "not poised") if values[t] > c.poisedness else None

    def improve(self) -> Asking:
        """Evaluate the worst point better, or one in its place where its Lagrange polynomial is largest."""
        X, found = self.set, self.worst()
        if found is None:
            return
        t, why = found
        if why == "inexact":
            z, kind = X.points[t].z, "accuracy"
        else:
            steps = X.extreme_steps(t, *self.limits(), self.radius)
            sizes = [abs(float(X.lagrange[t] @ s)) for s in steps]
            model = self.model()  # of the two sides the one where it is lower
            good = [s for s, size in zip(steps, sizes, strict=True) if size >= 0.5 * max(sizes)]
            z, kind = self.at(max(good, key=model.decrease)), "geometry"
        X.replace(t, (yield from self.evaluate(z, kind, self.interpolation_accuracy)))
        if self.is_lower(X.points[t], self.iterate):
            X.move(t)


def reduction(slope: float, change: float, least: float, most: float) -> float:
    """The factor of Δ after a step that failed: as far as the parabola of f̃ along the step has its minimum.

    That has the model's slope at θ^k and the change of f̃ at θ^k + s; the factor is within [least, most].  Before Δ is
    reduced again the model has to be made fully linear, by up to n evaluations: with few variables that costs little,
    and ``least`` is so large that ``most`` counts; with many it would be paid for every halving.

    References
    ----------
    Dennis and Schnabel, Numerical Methods for Unconstrained Optimization and Nonlinear Equations, SIAM 1996, 6.4.3.

    Examples
    --------
    >>> reduction(-1.0, 1.0, 0.1, 0.5), reduction(-1.0, 99.0, 0.1, 0.5)
    (0.25, 0.1)
    """
    curvature = change - slope
    at = -slope / (2.0 * curvature) if curvature > 0.0 else most
    return min(max(at, least), most)


def _size(p: Point) -> float:
    """The root mean square of the residuals that have an error."""
    r = p.r[p.inexact] if p.inexact.any() else p.r
    return float(np.sqrt(np.mean(r * r)))
