"""Where runs stop: by the discrepancy principle against their best iterates, by default against the minimiser."""

from __future__ import annotations

import math
import time
from typing import Any

from .registry import Figure, row
from .session import Session

SETTINGS = [(128, 60, 0), (128, 60, 1), (128, 180, 0), (128, 180, 1), (256, 60, 0)]  # size, views, seed


def loss(solver: Any, problem: Any, x_true: Any, delta: float) -> tuple[float, int, int]:
    """PSNR of the best iterate less that of the first with ‖Au - b‖ <= δ, and their iterations.

    The run goes on until the PSNR has fallen 0.1 dB below its maximum.
    """
    import ipbox as ip

    stopped, best = None, (-math.inf, 0)
    for run in ip.iterate(problem, solver, stop=ip.stop.niter(2000)):
        psnr = ip.psnr(run.x, x_true)
        best = max(best, (psnr, run.k), key=lambda pair: pair[0])
        if stopped is None and run.data_residual() <= delta:
            stopped = (psnr, run.k)
        if stopped is not None and psnr < best[0] - 0.1:
            break
    return best[0] - stopped[0], stopped[1], best[1]


def losses(size: int, views: int, seed: int, **image: Any) -> dict[str, tuple[float, int, int]]:
    """`loss` of the three iterations, for δ of noise and model error; linearised Bregman with its default λ."""
    import ipbox as ip
    from ipbox.functionals import L2
    from ipbox.reconstruct.iterative.bregman import default_weight, make_regulariser

    A, b, x_true, info = ip.problem("ct", size=size, views=views, noise=0.01, seed=seed, **image)
    data, delta = L2(A, b), math.hypot(info.noise_level, info.model_error)
    path = data + default_weight(data, "tv") * make_regulariser("tv", A)
    return {
        "Landweber": loss(ip.GradientDescent(), ip.Problem(data), x_true, delta),
        "CGLS": loss(ip.CGLS(), ip.Problem(data), x_true, delta),
        "linearised Bregman": loss(ip.LinearisedBregman(line_search=True), ip.Problem(path), x_true, delta),
    }


@row("stopped-within-1-db", required=1.0, compare="max")
def stopped(session: Session) -> Figure:
    """The largest loss in dB over sizes, views and seeds of CT with 1 % noise.

    The principle stops early rather than late: the loss is larger where the best iterate fits much of the noise, as for
    images below 128² or slices with finer structures (`losses` with ``slice=20``: Landweber 1.1 to 1.2 dB).
    """
    notes, worst = [], 0.0
    for setting in SETTINGS:
        found = losses(*setting)
        worst = max(worst, *(gap for gap, _, _ in found.values()))
        gaps = ", ".join(f"{name} {gap:.2f} (k = {k}, best {best})" for name, (gap, k, best) in found.items())
        notes.append("{}², {} views, seed {}: ".format(*setting) + gaps)
    return Figure(worst, "dB below the own best iterate; " + "; ".join(notes))


@row("default-stop-within-1-percent", required=0.01, compare="max")
def default_stop(session: Session) -> Figure:
    """The worst relative distance to the minimiser, of objective or image, over 30 problems with default tolerances.

    The minimisers are found by dense algebra to 1e-10 (`tests.reconstruct.minimisers`).
    """
    from tests.reconstruct.minimisers import table

    worst, total, lines = 0.0, 0.0, []
    for case in table():
        case.run()  # compiles
        start = time.perf_counter()
        x, info = case.run()
        seconds = time.perf_counter() - start
        excess, distance = case.errors(x)
        worst, total = max(worst, excess, distance if case.unique else 0.0), total + seconds
        lines.append(
            f"{case.name:34s} objective {excess:8.1e}  image {distance:8.1e}  {type(info.solver).__name__:12s} "
            f"{info.niter:5d}  {info.stop:8s} {seconds:6.3f} s"
        )
    print("\n".join("  " + line for line in lines), flush=True)
    return Figure(worst, f"the worst of {len(lines)} problems, {total:.2f} s in all")
