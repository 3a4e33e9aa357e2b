"""``python -m ipbox demo generative``: held-out MR images by every generative model, beside total variation."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import ipbox
from ipbox.cli.shared import UsageError, check_outputs, checked_input, chosen, write_report

OPTIONS = {"slices": 2, "acceleration": 3.0, "noise": 0.1, "seed": 0}
SETTING = {"size": 64, "mask": "variable-density-points", "real_image": True}  # the models are of this size
SLICES = tuple(range(3, 21, 3))  # of the test patient; the weights were trained on another one
TV_WEIGHT = 0.4  # over the standard deviation of the noise: the best on held-out slices of the training patient

Method = Callable[[Any, Any, Any], tuple[Any, Any]]

# name -> what it is, the file of weights, options of ip.generative
METHODS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "zero-filled": ("zero-filled", "", {}),
    "tv": ("total variation, u >= 0", "", {}),
    "range-autoencoder": ("range of the autoencoder", "autoencoder", {"prior": "range"}),
    "range": ("range of the VAE", "vae", {"prior": "range"}),
    "soft": ("soft range of the VAE", "vae", {"prior": "soft"}),
    "inverse-gan": ("inverse GAN", "wgan", {"prior": "inverse_gan", "niter": 150, "weight_steps": 150}),
    "identity": ("covariance: identity", "covariance_identity", {}),
    "diagonal": ("covariance: diagonal", "covariance_diagonal", {}),
    "3x3": ("covariance: 3 x 3", "covariance_3x3", {}),
    "3x3-gradient": ("covariance: 3 x 3, gradient steps", "covariance_3x3", {"method": "gradient"}),
    "3x3-joint": ("covariance: 3 x 3, joint mode", "covariance_3x3", {"log_det_factor": 0.5}),
}


def demo(args: argparse.Namespace) -> None:
    """Run the demonstration: the setting, a table of means over held-out slices, and a picture of one of them."""
    with checked_input():
        check_outputs(args)
        if args.slices > len(SLICES):
            raise UsageError(f"--slices is {args.slices}; expected at most {len(SLICES)}")
        methods = {name: method(name) for name in chosen(args.methods, METHODS)}
    shown = SLICES[:: len(SLICES) // args.slices][: args.slices]
    told = f"{SETTING['size']} x {SETTING['size']}, acceleration {args.acceleration:g}, noise {args.noise:g}"
    print(f"generative: MR of head slices {', '.join(map(str, shown))} of a patient that no weights have seen ({told})")
    results = []
    for k, index in enumerate(shown):
        posed = {**SETTING, "acceleration": args.acceleration, "noise": args.noise, "seed": args.seed + index}
        A, b, x_true, info = ipbox.problem("mri", **posed, slice=index)
        if k == 0:
            for name in {"zero-filled", "tv"} & methods.keys():
                methods[name](A, b, info)  # compile and plan before the clock starts
        bound = {METHODS[n][0]: (lambda A, b, run=run, info=info: run(A, b, info)) for n, run in methods.items()}
        results.append(ipbox.compare((A, b, x_true, info), bound, progress=not args.quiet))
    print(_table(results))
    results[0].show(args.out)
    print(f"picture: {args.out} (slice {shown[0]})")
    write_report(args, {"slices": {str(index): of.report() for index, of in zip(shown, results, strict=True)}})


def method(name: str) -> Method:
    """The method ``name`` as a function of (A, b, info); each is what a user would type."""
    if name == "zero-filled":
        return lambda A, b, info: ipbox.zero_filled(A, b)
    if name == "tv":
        return lambda A, b, info: ipbox.tv(A, b, TV_WEIGHT * _deviation(A, info), nonneg=True)
    from ipbox.learned.weights.modules import pretrained

    _, file, options = METHODS[name]
    net = pretrained(file)
    if name == "soft":  # deviations as large as the VAE has them
        tau = math.exp(-net.level.item())
        return lambda A, b, info: ipbox.generative(
            A, b, net, lam=(_deviation(A, info) / tau) ** 2, mu=tau**2, noise_level=info.noise_level, **options
        )
    return lambda A, b, info: ipbox.generative(A, b, net, noise_level=info.noise_level, **options)


def _deviation(A: Any, info: Any) -> float:
    """The standard deviation of the noise of each real number that is measured."""
    return info.noise_level / float(2 * (A.mask > 0).sum()) ** 0.5


def _theorem(info: Any) -> str:
    """Whether a theorem says that the method converges: of generative priors, to a critical point."""
    extra = vars(info).get("extra", {})
    return "" if "theorem" not in extra else "yes" if extra["theorem"] else "no"


def _table(results: list[Any]) -> str:
    """Means over the slices."""
    lines = [f"{'method':36} {'PSNR':>6} {'SSIM':>6} {'residual':>9} {'seconds':>8} {'theorem':>8}"]
    for name in (row.method for row in results[0].rows):
        rows = [r[name] for r in results]
        psnr, ssim, residual, seconds = (
            sum(getattr(row, what) for row in rows) / len(rows) for what in ("psnr", "ssim", "residual", "seconds")
        )
        theorem = "yes" if name.startswith("total") else _theorem(results[0].infos[name])
        lines.append(f"{name:36} {psnr:6.2f} {ssim:6.3f} {residual:9.4f} {seconds:8.2f} {theorem:>8}")
    return "\n".join(lines)
