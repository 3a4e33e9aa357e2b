"""What Algorithm 1 is told."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ipbox.bilevel.methods.session import check_work
from ipbox.checks import (
    check_between,
    check_count,
    check_fields,
    check_flag,
    check_not_negative,
    check_positive,
    is_number,
    shown,
)


@dataclass(frozen=True)
class Settings:
    """The parameters of `DFO`, which explains them, checked."""

    accuracy: str | float | None = "dynamic"
    evaluations: int | None = None
    work: float = math.inf
    radius: float = 0.1
    radius_final: float = 1e-6
    radius_max: float = 1e10
    eta1: float = 0.1
    eta2: float = 0.7
    eta1_prime: float = 0.05
    gamma_inc: float = 2.0
    gamma_dec: float = 0.5
    c: float = 10.0
    epsilon: float = 1e-6
    curvature: bool = True
    reach: float = 2.0
    poisedness: float = 100.0
    accuracy_floor: float = 1e-8

    def __post_init__(self) -> None:
        a = self.accuracy
        if not (a is None or a == "dynamic" or (is_number(a) and 0 < a < math.inf)):
            raise ValueError(f"accuracy is {shown(a)}; expected 'dynamic', a positive number or None")
        check_fields(self, check_count, optional=("evaluations",))
        check_flag(self.curvature, "curvature")
        positive = ("radius", "radius_final", "radius_max", "c", "reach", "poisedness", "accuracy_floor")
        check_fields(self, check_positive, *positive)
        check_work(self.work)
        for name in ("eta1", "eta2", "gamma_dec"):
            check_between(getattr(self, name), name, 0.0, 1.0)
        check_between(self.gamma_inc, "gamma_inc", 1.0, math.inf)
        check_not_negative(self.epsilon, "epsilon")
        most = min(self.eta1, 1 - self.eta2) / 2
        if not is_number(self.eta1_prime) or not 0 < self.eta1_prime <= most or not self.eta1 <= self.eta2:
            raise ValueError(
                f"eta1_prime is {self.eta1_prime!r} with eta1 = {self.eta1} and eta2 = {self.eta2}; expected "
                "0 < eta1_prime <= min(eta1, 1 - eta2)/2 and eta1 <= eta2"
            )
        if not self.radius_final < self.radius <= self.radius_max:
            raise ValueError(
                f"radius is {self.radius}; expected more than radius_final = {self.radius_final} and at most "
                f"radius_max = {self.radius_max}"
            )
