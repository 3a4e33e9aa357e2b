"""``python -m ipbox demo learned``: held-out CT slices by classical, plug-and-play and learned methods."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ipbox
from ipbox.cli.shared import UsageError, check_outputs, checked_input, chosen, write_report

OPTIONS = {"slices": 4, "seed": 0}
SETTING = {"size": 128, "views": 40, "noise": 0.01}  # what the shipped maps were trained for
SLICES = tuple(range(3, 61, 5))  # of the test patient; the weights were trained on another one
SCALE = 0.04  # 1/mm: images divided by it are about in [0, 1], as the denoiser wants them

# What was best on validation slices of the training patient; TV has what is best on the test slices themselves.
TV_WEIGHT = 0.31
LEVELS = [SCALE * 0.1 * 0.06 ** (k / 23) for k in range(24)]  # 0.1 to 0.006
PNP: dict[str, Any] = {"lam": 0.05, "nonneg": True, "sigma": LEVELS}
RED: dict[str, Any] = {"lam": 250.0, "sigma": 0.012 * SCALE, "niter": 25, "tol": 1e-3}  # lam: 0.01 ‖A‖²


Method = Callable[[Any, Any, Any], tuple[Any, Any]]


@dataclass(frozen=True)
class Regulariser:
    """Weights of a learned regulariser, λ as fitted on slices of the training patient, and the scale."""

    weights: str
    lam: float
    scale: float
    niter: int
    stopped: bool = False  # before it leaves the images that it was trained on


REGULARISERS = {
    "convex-ridge": Regulariser("convex_ridge", 17.0, 0.02, 200),
    "weakly-convex-ridge": Regulariser("weakly_convex_ridge", 20.6, 0.02, 200),
    "weakly-convex-ridge-ct": Regulariser("weakly_convex_ridge_ct", 73.2, 0.02, 200),
    "input-convex": Regulariser("input_convex", 100.0, SCALE, 150),
    "adversarial": Regulariser("adversarial", 250.0, SCALE, 65, stopped=True),
}

METHODS: dict[str, str] = {
    "fbp": "filtered back-projection (hann)",
    "tv": "total variation, u >= 0",
    "convex-ridge": "convex ridges, of photographs",
    "weakly-convex-ridge": "weakly convex ridges, of photographs",
    "weakly-convex-ridge-ct": "weakly convex ridges, on to CT",
    "input-convex": "input-convex network",
    "adversarial": "adversarial, stopped early",
    "pnp": "plug-and-play, DRUNet",
    "red": "RED, DRUNet",
    "post-processing": "post-processing, U-Net on the FBP",
    "unrolled": "unrolled, learned proximal gradient",
    "equilibrium": "deep equilibrium",
}

# Whether a theorem says that the iteration converges to a minimiser; "-" where nothing is iterated to convergence.
THEOREM = dict.fromkeys(("tv", "convex-ridge", "input-convex"), "yes")
THEOREM |= dict.fromkeys(("weakly-convex-ridge", "weakly-convex-ridge-ct", "adversarial"), "no")
THEOREM |= dict.fromkeys(("pnp", "red", "equilibrium"), "no")


def demo(args: argparse.Namespace) -> None:
    """Run the demonstration: the setting, a table of means over held-out slices, and a picture of one of them."""
    with checked_input():
        check_outputs(args)
        if args.slices > len(SLICES):
            raise UsageError(f"--slices is {args.slices}; expected at most {len(SLICES)}")
        names = chosen(args.methods, METHODS)
        methods = {name: method(name) for name in names}
    shown = SLICES[:: len(SLICES) // args.slices][: args.slices]
    told = ", ".join(f"{name} {value}" for name, value in SETTING.items())
    print(f"learned: CT of chest slices {', '.join(map(str, shown))} of a patient that no weights have seen ({told})")
    results = []
    for k, index in enumerate(shown):
        A, b, x_true, info = ipbox.problem("ct", **SETTING, slice=index, seed=args.seed + index)
        if k == 0:
            for run in methods.values():
                run(A, b, info)  # compile and plan before the clock starts
        bound = {METHODS[n]: (lambda A, b, run=run, info=info: run(A, b, info)) for n, run in methods.items()}
        results.append(ipbox.compare((A, b, x_true, info), bound, progress=not args.quiet))
    print(_table(names, results))
    results[0].show(args.out)
    print(f"picture: {args.out} (slice {shown[0]})")
    write_report(args, {"slices": {str(index): of.report() for index, of in zip(shown, results, strict=True)}})


def method(name: str) -> Method:
    """The method ``name`` as a function of (A, b, info); each is what a user would type."""
    if name in ("fbp", "tv"):
        return {
            "fbp": lambda A, b, info: ipbox.fbp(A, b, "hann"),
            "tv": lambda A, b, info: ipbox.tv(A, b, TV_WEIGHT, nonneg=True, tol=1e-4, niter=3000),
        }[name]
    from ipbox.learned.weights.modules import pretrained

    if name in REGULARISERS:
        return _regularised(REGULARISERS[name])
    if name in ("pnp", "red"):
        net = pretrained("drunet_fine")
        if name == "pnp":
            return lambda A, b, info: ipbox.pnp(A, b, net, noise_level=info.noise_level, scale=SCALE, **PNP)
        return lambda A, b, info: ipbox.red(A, b, net, scale=SCALE, **RED)
    file = {"post-processing": "post_processing_ct", "unrolled": "unrolled_ct", "equilibrium": "equilibrium_ct"}[name]
    run = shipped(file)
    return lambda A, b, info: run(A, b)


def shipped(file: str) -> Callable[[Any, Any], tuple[Any, Any]]:
    """The shipped map ``file`` as a function of (A, b), read at the first call, to where the data are."""
    maps: list[Any] = []

    def reconstruct(A: Any, b: Any) -> tuple[Any, Any]:
        if not maps:
            from ipbox.learned.weights.modules import pretrained

            maps.append(pretrained(file, A).to("cuda" if ipbox.backend.is_device(b) else "cpu"))
        return maps[0].as_method()(A, b)

    return reconstruct


def _regularised(setting: Regulariser) -> Method:
    """min_{u >= 0} ½‖Au - b‖² + λ s² R(u/s), from the filtered back-projection."""
    from ipbox.learned.weights.modules import pretrained

    net = pretrained(setting.weights)

    def reconstruct(A: Any, b: Any, info: Any) -> tuple[Any, Any]:
        R = ipbox.LearnedRegulariser(net, dims=A.dims, scale=setting.scale)
        x0 = ipbox.fbp(A, b, "hann")[0].clip(min=0)
        solver = None
        if setting.stopped:  # 1/τ: the curvature at images, far below the proved constant
            tau = 1 / (A.norm() ** 2 + setting.lam * R.curvature)
            solver = ipbox.FISTA(tau=tau, backtracking=True, restart="function")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of niter
            return ipbox.variational(
                A, b, R, setting.lam, nonneg=True, x0=x0, solver=solver, niter=setting.niter, tol=1e-3
            )

    return reconstruct


def _table(names: list[str], results: list[Any]) -> str:
    """Means over the slices."""
    lines = [f"{'method':36} {'PSNR':>6} {'SSIM':>6} {'residual':>9} {'seconds':>8} {'theorem':>8}"]
    for key in names:
        name = METHODS[key]
        rows = [r[name] for r in results]
        psnr, ssim, residual, seconds = (
            sum(getattr(row, what) for row in rows) / len(rows) for what in ("psnr", "ssim", "residual", "seconds")
        )
        lines.append(f"{name:36} {psnr:6.2f} {ssim:6.3f} {residual:9.4f} {seconds:8.2f} {THEOREM.get(key, '-'):>8}")
    return "\n".join(lines)
