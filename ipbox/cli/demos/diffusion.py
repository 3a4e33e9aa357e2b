"""``python -m ipbox demo diffusion``: sparse-view CT by samples of the posterior of a learned score."""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import ipbox
from ipbox.cli.shared import UsageError, check_outputs, checked_input, chosen, write_report

OPTIONS = {"views": 15, "noise": 0.02, "slice": 23, "samples": 6, "seed": 0}
SIZE = 64  # that of the images the score was trained on
UNIT = 0.02  # 1/mm, the network's
TV_WEIGHT = 10.0  # over the deviation of the noise: the best of a few on held-out slices of the training patient
SHOWN = "diffpir"  # whose samples and deviation are shown, or the first of those asked for

ENLARGED = 5  # deviation and error beside images

# name -> what it is; the last ones are methods of ip.diffusion
METHODS = {
    "fbp": "filtered back-projection",
    "tv": "total variation, u >= 0",
    "pnp": "plug-and-play, score as denoiser",
    "diffpir": "DiffPIR",
    "dps": "DPS",
    "daps": "DAPS",
    "projection": "projection",
}
SAMPLERS = ("diffpir", "dps", "daps", "projection")


def demo(args: argparse.Namespace) -> None:
    """Run the demonstration: the setting, a table, and a picture of reconstructions, a sample and the deviation."""
    with checked_input():
        check_outputs(args)
        names = chosen(args.methods, METHODS)
        if args.samples < 2:
            raise UsageError(f"--samples is {args.samples}; expected at least 2, to see how they vary")
        posed = {"views": args.views, "noise": args.noise, "slice": args.slice, "seed": args.seed}
        A, b, x_true, info = ipbox.problem("ct", size=SIZE, dtype="float32", **posed)
    print(
        f"diffusion: CT of slice {args.slice} of a patient that the score has not seen ({SIZE} x {SIZE}, {args.views} "
        f"views, noise {args.noise:g}), {args.samples} samples"
    )
    for name in {"fbp", "tv"} & {*names}:
        method(name, args, {})(A, b, info)  # compile and plan before the clock starts
    posteriors: dict[str, Any] = {}
    runs = {METHODS[name]: method(name, args, posteriors) for name in names}
    bound = {name: (lambda A, b, run=run: run(A, b, info)) for name, run in runs.items()}
    compared = ipbox.compare((A, b, x_true, info), bound, progress=not args.quiet)
    print(_table(compared, names, posteriors, x_true))
    _picture(compared, posteriors, x_true, info, args.out)
    print(f"picture: {args.out}")
    write_report(args, {"methods": compared.report()}, info)


def method(name: str, args: argparse.Namespace, posteriors: dict[str, Any]) -> Any:
    """The method ``name`` as a function of (A, b, info); each is what a user would type."""
    if name == "fbp":
        return lambda A, b, info: ipbox.fbp(A, b)
    if name == "tv":
        return lambda A, b, info: ipbox.tv(A, b, TV_WEIGHT * info.noise_level / b.size**0.5, nonneg=True)
    from ipbox.learned import as_score, pretrained

    score = as_score(pretrained("score_ct"), scale=UNIT)
    if name == "pnp":
        return lambda A, b, info: ipbox.pnp(A, b, score, noise_level=info.noise_level)

    def sampled(A: Any, b: Any, info: Any) -> tuple[Any, Any]:
        posterior = posteriors[name] = ipbox.diffusion(
            A, b, score, noise_level=info.noise_level, method=name, samples=args.samples, seed=args.seed
        )
        return posterior.mean, posterior.solution

    return sampled


def _table(compared: Any, names: list[str], posteriors: dict[str, Any], x_true: Any) -> str:
    """Of posterior means; then of their samples: PSNR of one, deviation, and the error of the mean in the same unit."""
    lines = [f"{'method':38} {'PSNR':>6} {'SSIM':>6} {'seconds':>8} {'of a sample':>12} {'deviation':>10} {'error':>8}"]
    for name in names:
        row = compared[METHODS[name]]
        line = f"{row.method:38} {row.psnr:6.2f} {row.ssim:6.3f} {row.seconds:8.2f}"
        if name in posteriors:
            p = posteriors[name]
            sample = statistics.mean(ipbox.psnr(u, x_true) for u in p.samples)
            deviation, error = (float((v**2).mean()) ** 0.5 / UNIT for v in (p.std, p.mean - x_true))
            line += f" {sample:12.2f} {deviation:10.4f} {error:8.4f}"
        lines.append(line)
    return "\n".join(lines)


def _picture(compared: Any, posteriors: dict[str, Any], x_true: Any, info: Any, path: str) -> None:
    """Truth, reconstructions, and of one sampler a sample, and deviation and error enlarged: on the truth's scale."""
    shown = {"truth": x_true}
    shown |= {f"{row.method}, {row.psnr:.1f} dB": compared.images[row.method] for row in compared.rows}
    for name in [n for n in (SHOWN, *SAMPLERS) if n in posteriors][:1]:
        p = posteriors[name]
        shown[f"{METHODS[name]}: a sample"] = p.samples[0]
        shown[f"{METHODS[name]}: deviation, times {ENLARGED}"] = ENLARGED * p.std
        shown[f"{METHODS[name]}: error of the mean, times {ENLARGED}"] = ENLARGED * abs(p.mean - x_true)
    ipbox.show(*shown.values(), titles=list(shown), unit=info.unit, path=path)
