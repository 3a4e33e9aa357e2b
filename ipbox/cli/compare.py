"""``python -m ipbox compare NAME``: analytical, variational and iterative methods side by side, nothing set by hand.

λ and the stopping are chosen from the noise level, which the measurement process tells; the truth is only looked at
for the table.  Nothing heavy is imported before a comparison runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import ipbox
from ipbox.cli.regions import regions
from ipbox.cli.shared import (
    Shown,
    UsageError,
    bar,
    check_outputs,
    checked_input,
    chosen,
    noise_of,
    picture,
    write_report,
)

Method = Callable[[Any, Any], tuple[Any, Any]]
_IMAGE = {"size": 256, "noise": 0.01, "seed": 0}
_PENALTIES = ("tikhonov", "wavelet", "tv", "tgv")
_ITERATIONS = ("landweber", "cgls", "hybrid lsqr", "linearised bregman (tv)")
_ON_WAVELETS = ("landweber", "cgls", "linearised bregman (wavelet)")

KINDS: dict[str, tuple[str, ...]] = {
    "analytical": ("fbp (ramp)", "fbp (hann)", "zero-filled", "truncated inverse", "wiener", "pseudo-inverse"),
    "variational": (*_PENALTIES, "tikhonov (gradient)", "tv, Kullback-Leibler", "tgv, Kullback-Leibler", "bsrem"),
    "iterative": (*_ITERATIONS, "linearised bregman (wavelet)", "sirt", "mlem", "osem"),
}
# methods are names in `_method`; ``noise`` or ``counts`` is what is doubled
SETTINGS: dict[str, Shown] = {
    "ct": Shown(
        "parallel-beam CT of a chest slice",
        {**_IMAGE, "views": 60, "slice": 2},
        ("fbp (ramp)", "fbp (hann)", *_PENALTIES, "sirt", *_ITERATIONS),
    ),
    "pet": Shown(
        "PET of a brain: Poisson counts, attenuation, randoms and scatter",
        {"size": 128, "counts": 1e6, "seed": 0, "slice": 7},
        ("fbp (hann)", "tv, Kullback-Leibler", "tgv, Kullback-Leibler", "bsrem", "mlem", "osem"),
    ),
    "mri": Shown(
        "multi-coil Cartesian MRI of a head",
        {**_IMAGE, "noise": 0.02, "slice": 11, "coils": 8, "acceleration": 4.0, "mask": "variable-density"},
        ("zero-filled", "tikhonov", "wavelet", "tv", *_ON_WAVELETS),
    ),
    "blur": Shown(
        "deblurring a photograph",
        {**_IMAGE, "image": "camera", "kernel": "motion"},
        ("truncated inverse", "wiener", *_PENALTIES, *_ITERATIONS),
        data=True,
    ),
    "inpaint": Shown(
        "a photograph with missing pixels",
        {**_IMAGE, "noise": 0.05, "image": "camera", "mask": "random"},
        ("pseudo-inverse", "tikhonov (gradient)", "wavelet", "tv", "tgv", *_ON_WAVELETS),
        data=True,
    ),
}


def compare(args: argparse.Namespace) -> None:
    """Run the comparison ``args.problem``: a table, a line on what it says, and a picture."""
    setting = SETTINGS[args.problem]
    with checked_input():
        check_outputs(args)
        names = chosen(args.methods, setting.methods)
        options = {name: getattr(args, name) for name in setting.options}
        if options.get("noise") == 0:
            raise UsageError("--noise is 0; expected a number > 0, since the methods choose λ and stop by it")
        problem = ipbox.problem(args.problem, xp=args.xp, **options)
        noisier = ipbox.problem(args.problem, xp=args.xp, **_noisier(options))
        if not (problem[1].any() and (args.once or noisier[1].any())):
            raise UsageError("the data are zero everywhere; expected more --counts")
    print(setting.headline(args, problem))
    for kind, members in KINDS.items():
        print(f"{kind}: {', '.join(name for name in names if name in members) or '-'}")
    methods = {name: _served(name, args, problem) for name in names}
    second = None if args.once else (noisier, {name: _served(name, args, noisier) for name in names})
    result = ipbox.compare(problem, methods, noisier=second, regions=regions(problem))
    print(result.table())
    print(_summary(result))
    picture(args.out, result, problem[1] if setting.data else None)
    write_report(args, result.report(), problem[3])


def _noisier(options: dict[str, Any]) -> dict[str, Any]:
    """Twice the noise, which in counts is a quarter of them."""
    if "counts" in options:
        return {**options, "counts": options["counts"] / 4}
    return {**options, "noise": 2 * options["noise"]}


def _served(name: str, args: argparse.Namespace, problem: tuple[Any, ...]) -> Method:
    """The method, which names itself where the problem asked for cannot serve it, such as by a target out of reach."""
    method = _method(name, args, problem)

    def run(A: Any, b: Any) -> tuple[Any, Any]:
        try:
            return method(A, b)
        except (ValueError, RuntimeError) as err:
            raise UsageError(f"{name}: {err} (--methods leaves a method out)") from err

    return run


def _method(name: str, args: argparse.Namespace, problem: tuple[Any, ...]) -> Method:
    """The method ``name`` as a function of (A, b), with nothing but the noise level of ``problem`` told to it."""
    info = problem[3]
    delta = noise_of(info)
    real = problem[2].dtype.kind != "c"
    lam: dict[str, Any] = {"lam": "discrepancy", "noise_level": delta, "tol": 1e-3, "progress": not args.quiet}
    counts: dict[str, Any] = {**lam, "noise_level": None}  # Poisson noise needs no number
    nonneg: dict[str, Any] = {"nonneg": True} if real else {}
    return {
        "fbp (ramp)": ipbox.fbp,
        "fbp (hann)": lambda A, b: ipbox.fbp(A, b, "hann"),
        "zero-filled": ipbox.zero_filled,
        "pseudo-inverse": ipbox.pseudo_inverse,
        "truncated inverse": lambda A, b: ipbox.truncated_inverse(A, b, noise_level=delta),
        "wiener": lambda A, b: ipbox.wiener(A, b, noise_level=delta),
        "tv, Kullback-Leibler": lambda A, b: ipbox.tv(A, b, fidelity="kl", nonneg=True, **counts),
        "tgv, Kullback-Leibler": lambda A, b: ipbox.tgv(A, b, fidelity="kl", nonneg=True, **counts),
        "bsrem": lambda A, b: ipbox.bsrem(A, b, "discrepancy", tol=0.03, progress=not args.quiet),
        "mlem": lambda A, b: ipbox.mlem(A, b, noise_level="poisson", **bar(args, name)),
        "osem": lambda A, b: ipbox.osem(A, b, noise_level="poisson", **bar(args, name)),
        "tikhonov": lambda A, b: ipbox.tikhonov(A, b, **lam),
        "tikhonov (gradient)": lambda A, b: ipbox.tikhonov(A, b, gradient=True, **lam),
        "wavelet": lambda A, b: ipbox.wavelet(A, b, **lam),
        "tv": lambda A, b: ipbox.tv(A, b, **nonneg, **lam),
        "tgv": lambda A, b: ipbox.tgv(A, b, **nonneg, **lam),
        "landweber": lambda A, b: ipbox.landweber(A, b, delta, **bar(args, name)),
        "cgls": lambda A, b: ipbox.cgls(A, b, delta, **bar(args, name)),
        "hybrid lsqr": lambda A, b: ipbox.hybrid_lsqr(A, b, **bar(args, name)),
        "sirt": lambda A, b: ipbox.sirt(A, b, delta, **bar(args, name)),
        "linearised bregman (tv)": lambda A, b: ipbox.linearised_bregman(A, b, delta, **bar(args, name)),
        "linearised bregman (wavelet)": lambda A, b: ipbox.linearised_bregman(
            A, b, delta, regulariser="wavelet", **bar(args, name)
        ),
    }[name]


def _summary(result: Any) -> str:
    """Which methods are ahead in what."""
    best, fastest = max(result.rows, key=lambda r: r.psnr), min(result.rows, key=lambda r: r.seconds)
    text = f"best: {best.method} ({best.psnr:.2f} dB); fastest: {fastest.method} ({fastest.seconds:.3f} s)"
    known = [row for row in result.rows if row.loss is not None]
    if known:
        steady = min(known, key=lambda r: r.loss)
        text += f"; loses least at twice the noise: {steady.method} ({steady.loss:.2f} dB)"
    return text
