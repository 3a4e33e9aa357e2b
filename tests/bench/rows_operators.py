"""What every operator promises: an exact adjoint, and a norm within 5 % of the true one."""

from __future__ import annotations

import math

from .registry import Figure, row
from .session import Session

ROUNDING = 1e-9  # of norms in float64: what "at least the true norm" allows


def _dot_test(session: Session, dtype: str) -> Figure:
    result = session.call("ipbox", "operators.dot_test", dtype=dtype)
    errors = result["errors"]
    worst = max(errors, key=lambda name: errors[name] if errors[name] == errors[name] else math.inf)
    note = f"worst of {len(errors)} operators of {result['classes']} classes: {worst}"
    return Figure(errors[worst], note, {"errors": errors})


@row("dot-test-float32", required=1e-5, compare="max")
def dot_test_single(session: Session) -> Figure:
    return _dot_test(session, "float32")


@row("dot-test-float64", required=1e-10, compare="max")
def dot_test_double(session: Session) -> Figure:
    return _dot_test(session, "float64")


@row("operator-norms", required=1.05, compare="max")
def operator_norms(session: Session) -> Figure:
    """The largest norm() / ‖A‖ of all operators, ‖A‖ from dense matrices; none but an estimate may be below 1."""
    ratios = session.call("ipbox", "operators.norms")
    for kind in ("exact", "bound"):
        for name, ratio in ratios[kind].items():
            if not ratio >= 1 - ROUNDING:
                raise RuntimeError(f"norm() of {name} is called {kind} and is {ratio:.9f} times the true norm")
    if not all(ratio >= 0.99 for ratio in ratios["estimate"].values()):
        raise RuntimeError(f"an estimate is below 0.99 times the true norm: {ratios['estimate']}")
    note = ", ".join(f"{len(r)} {kind} {min(r.values()):.4f} to {max(r.values()):.4f}" for kind, r in ratios.items())
    return Figure(max(ratio for r in ratios.values() for ratio in r.values()), note, ratios)
