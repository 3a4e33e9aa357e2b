"""``python -m ipbox demo bilevel``: a regulariser is learned on real images by every method, objective by work."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipbox
from ipbox.cli.shared import check_outputs, checked_input, chosen, write_report

OPTIONS = {"images": 10, "size": 96, "noise": 0.1, "seed": 0}
BOUNDS = ([-3.0, -4.0, -3.0], [1.0, 0.0, 0.0])  # of log10 α, ξ, ν
START = [0.0, -1.0, -1.0]
EVALUATIONS = 60  # of the derivative-free methods; the picture shows one reconstruction after fewer
SHOWN = 12

NAMES = (
    "DFO, dynamic accuracy",
    "DFO, 200 iterations",
    "DFO, 2000 iterations",
    "L-BFGS-B",
    "HOAG",
    "MAID",
    "unrolled, 100 iterations",
    "grid, 5 x 5 x 5",
)

Run = Callable[[Any], Any]


def methods(progress: bool) -> dict[str, tuple[int | None, Run]]:
    """Name -> iterations of the lower level where they are fixed, and the method as a function of the evaluator."""
    from ipbox.bilevel import DFO, HOAG, LBFGSB, MAID, GridSearch, Unrolled

    def by(method: Any, **options: Any) -> Run:
        return lambda evaluator: method.minimise(evaluator, START, BOUNDS, progress=progress, **options)

    exact = DFO(accuracy=None, evaluations=EVALUATIONS)
    runs = (
        (None, by(DFO(evaluations=EVALUATIONS))),
        (200, by(exact)),
        (2000, by(exact)),
        (None, by(LBFGSB(), iterations=40)),
        (None, by(HOAG(), iterations=100)),
        (None, by(MAID(), iterations=100)),
        (None, by(Unrolled(lower_iterations=100), iterations=40)),
        (None, by(GridSearch(points=5, accuracy=0.1))),
    )
    return dict(zip(NAMES, runs, strict=True))


def demo(args: argparse.Namespace) -> None:
    """Run the demonstration: a line on the problem, a table of all methods, a picture and the learned images."""
    with checked_input():
        from ipbox.bilevel import BilevelProblem, LowerLevel, SmoothedTVRegulariser
        from ipbox.problems.simulated.pairs import photograph_pairs

        check_outputs(args)
        truths, data = photograph_pairs(args.images, args.size, args.noise, args.seed)
        held_truths, held_data = photograph_pairs(2, args.size, args.noise, args.seed + 1, split="test")
        runs, names = methods(not args.quiet), chosen(args.methods, NAMES)
    term = SmoothedTVRegulariser((args.size, args.size))
    problem = BilevelProblem(truths, LowerLevel(None, data, term))
    held = BilevelProblem(held_truths, LowerLevel(None, held_data, term))
    print(
        f"bilevel: weight α, smoothing ν and convexity ξ of smoothed TV, learned by denoising {args.images} tiles of "
        f"photographs, {args.size} x {args.size} pixels, noise {args.noise:g}; PSNR on {held.lower.n} others\n"
        f"objective: mean squared distance to the truth, evaluated again to 1e-6; work: gradients and Hessian products"
    )
    results, seconds = {}, {}
    for name in names:
        iterations, run = runs[name]
        start = time.perf_counter()
        results[name] = run(problem.evaluator(iterations=iterations))
        seconds[name] = time.perf_counter() - start
    evaluator, accuracy = problem.evaluator(), 1e-6 / math.sqrt(args.images)
    print(_table(results, lambda theta: evaluator.evaluate(theta, accuracy).f, seconds, held))
    _pictures(Path(args.out), results, held)
    write_report(args, {"seconds": seconds, "runs": {name: of.report() for name, of in results.items()}})


def _table(results: dict[str, Any], objective: Callable[[Any], float], seconds: dict[str, float], held: Any) -> str:
    from ipbox.bilevel import work_to

    exact = {name: objective(r.theta) for name, r in results.items()}
    target = 1.05 * min(exact.values())
    lines = [f"{'method':26} {'objective':>10} {'work':>10} {'to 1.05 best':>13} {'seconds':>8} {'PSNR':>7}  α, ξ, ν"]
    for name, r in results.items():
        reached = work_to(r.history, target, objective)
        to = f"{reached:.4g}" if reached < math.inf else "never"
        values = ", ".join(f"{10**t:.2g}" for t in r.theta)
        lines.append(
            f"{name:26} {exact[name]:10.5g} {r.history[-1]['work']:10.4g} {to:>13} {seconds[name]:8.2f} "
            f"{_psnr(held, r.theta):7.2f}  {values}"
        )
    return "\n".join(lines)


def _best_so_far(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Searches, L-BFGS-B and HOAG log every point they try: for the picture, the best one until then."""
    best, rows = history[0], []
    for row in history:
        best = row if row["f"] < best["f"] else best
        rows.append(best | {"work": row["work"]})
    return rows


def _reconstruct(held: Any, theta: Any) -> Any:
    return held.evaluator().evaluate(theta, 1e-3).lower.u


def _psnr(held: Any, theta: Any) -> float:
    return float(sum(map(ipbox.psnr, _reconstruct(held, theta), held.truths))) / held.lower.n


def _pictures(out: Path, results: dict[str, Any], held: Any) -> None:
    """Objective against work, and one image reconstructed with the parameters after N evaluations."""
    from ipbox.bilevel.plots import plot_objective

    plot_objective({name: _best_so_far(r.history) for name, r in results.items()}, path=out)
    images, titles = [held.truths[0], held.lower.b[0]], ["truth", "data"]
    for name, r in results.items():
        if name.startswith("DFO"):
            row = r.history[min(SHOWN, len(r.history)) - 1]
            u = _reconstruct(held, row["theta"])[0]
            images.append(u)
            titles.append(f"{name.removeprefix('DFO, ')}: {ipbox.psnr(u, held.truths[0]):.1f} dB")
    after = out.with_name(f"{out.stem}-images{out.suffix}")
    ipbox.show(*images, titles=titles, path=after)
    print(f"pictures: {out} (objective against work), {after} (held-out image after {SHOWN} evaluations)")
