"""PET: ordered and random subsets of the views against methods that take them all in each iteration."""

from __future__ import annotations

from typing import Any

from .registry import Figure, row
from .session import Session


def _spdhg(session: Session) -> dict[str, Any]:
    args = {"size": 64, "seeds": 1} if session.quick else {"size": 128, "seeds": 3}
    return session.once("spdhg", lambda: session.call("ipbox", "pet_solvers.spdhg", niter=200, subsets=20, **args))


def _share(session: Session, against: str) -> Figure:
    result = _spdhg(session)
    name = result["best"] if against == "best" else against
    reference, runs = result["pdhg"][name], result["spdhg"][name]
    if any(run["niter"] is None for run in runs):
        raise RuntimeError(f"SPDHG did not reach {reference['objective']:.2f}: {runs}")
    worst = max(run["applications"] for run in runs)
    note = (
        f"KL + 0.1 TV + (u >= 0): {worst:.1f} of A and A*, norms of 20 subsets included, for the objective "
        f"{reference['objective']:.1f} of 200 iterations of PDHG ({name}); worst of {len(runs)} seeds"
    )
    return Figure(worst / reference["applications"], note, result)


@row("spdhg-applications", required=0.2, compare="max")
def spdhg_applications(session: Session) -> Figure:
    """Applications of A and A* by SPDHG to PDHG's objective, as a share of PDHG's."""
    return _share(session, "default")


@row("spdhg-applications-best-pdhg", required=0.2, compare="max")
def spdhg_applications_best(session: Session) -> Figure:
    """The same against the best of PDHG's default and three balances of its step sizes."""
    return _share(session, "best")


@row("osem-applications", required=0.2, compare="max")
def osem_applications(session: Session) -> Figure:
    """Applications of A and A* by OSEM to MLEM's likelihood, as a share of MLEM's."""
    size = 64 if session.quick else 128
    result = session.call("ipbox", "pet_solvers.osem", size=size, niter=50, subsets=10)
    osem, mlem = result["osem"], result["mlem"]
    if osem["niter"] is None:
        raise RuntimeError(f"OSEM did not reach the likelihood of MLEM: {result}")
    note = (
        f"10 subsets: {osem['applications']:.0f} of A and A* for KL = {osem['objective']:.1f}; "
        f"50 iterations of MLEM take {mlem['applications']:.0f} for {mlem['objective']:.1f}"
    )
    return Figure(osem["applications"] / mlem["applications"], note, result)
