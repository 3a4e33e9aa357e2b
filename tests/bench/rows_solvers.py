"""TV reconstruction of a 128 x 128 chest-CT slice from 60 views by every solver that takes the problem."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .registry import Figure, row
from .session import Session

SIZE, VIEWS, ACCURACY = 128, 60, 1e-4
LIMIT, LIMIT_OF_PENALTY = 4000, 200  # iterations


def _data(session: Session) -> dict[str, Any]:
    import ipbox as ip
    from ipbox.choose import tv_weight

    A, b, x, info = ip.problem("ct", size=SIZE, views=VIEWS, noise=0.01, seed=0)
    file = session.path("tvct_solvers.npz")
    np.savez(file, b=b, dims=A.dims, angles=info.angles)
    A = ip.JosephTransform(A.dims, info.angles, n_det=b.shape[1], dtype=str(b.dtype))
    lam = tv_weight(A, b, math.hypot(info.noise_level, info.model_error))
    return {"data": file, "lam": lam, "upper": 2 * float((x * info.pixel_size).max())}


@row("tvct-solvers", required=ACCURACY, compare="max")
def every_applicable_solver(session: Session) -> Figure:
    """The worst relative excess over the certified optimum; half-quadratic splitting only approximates it."""
    args = _data(session)
    best = session.call("ipbox", "solvers.optimum", **args, tol=1e-5)
    if best["gap"] > 1e-5:
        raise RuntimeError(f"the optimum is certified to {best['gap']:.1e} only")
    args |= {"optimum": best["value"], "accuracy": ACCURACY}
    table = {}
    for name in session.call("ipbox", "solvers.names"):
        limit = LIMIT_OF_PENALTY if name == "HQS" else LIMIT
        table[name] = session.call("ipbox", "solvers.run", name=name, **args, limit=limit)
        if "refused" not in table[name]:
            print(f"  {name}: {table[name]['niter']} iterations, {table[name]['seconds']:.1f} s", flush=True)
    ran = {name: r for name, r in table.items() if "refused" not in r}
    judged = {name: r for name, r in ran.items() if name != "HQS"}
    lines = [f"{'solver':20s} iterations  A and A*  seconds  excess"]
    for name, r in sorted(ran.items(), key=lambda item: item[1]["applications"]):
        lines.append(
            f"{name:20s} {r['niter']:10d} {r['applications']:9.0f} {r['seconds']:8.2f}  {r['excess']:.1e}"
            + ("" if r["proved"] else "  (not proved)")
        )
    print("\n".join("  " + line for line in lines), flush=True)
    fewest = min(judged, key=lambda name: judged[name]["applications"])
    note = (
        f"{len(judged)} solvers within {ACCURACY:g} of the optimum (certified to {best['gap']:.0e}); the fewest "
        f"applications of A and A* by {fewest}; iterations/applications/seconds: "
        + "; ".join(f"{n} {r['niter']}/{r['applications']:.0f}/{r['seconds']:.2f}" for n, r in judged.items())
    )
    return Figure(max(r["excess"] for r in judged.values()), note, {"table": table, "optimum": best})
