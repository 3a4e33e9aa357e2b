"""The command line: ``python -m ipbox demo | compare | reconstruct | scan | benchmark | info``.

Nothing heavy is imported before the arguments are parsed.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import ipbox
from ipbox.cli import benchmark as benchmarks
from ipbox.cli import examples
from ipbox.cli.compare import SETTINGS
from ipbox.cli.compare import compare as run_compare
from ipbox.cli.demos import bilevel as demos_bilevel
from ipbox.cli.demos import ct as demos_ct
from ipbox.cli.demos import diffusion as demos_diffusion
from ipbox.cli.demos import equivariance as demos_equivariance
from ipbox.cli.demos import generative as demos_generative
from ipbox.cli.demos import learned as demos_learned
from ipbox.cli.demos.simulated import DEMOS
from ipbox.cli.demos.simulated import demo as run_demo
from ipbox.cli.info import info as run_info
from ipbox.cli.reconstruct import reconstruct as run_reconstruct
from ipbox.cli.scans.options import add_scan
from ipbox.cli.shared import UsageError, number, quietly, weight
from ipbox.files import NotSaved
from ipbox.keywords import right_word

METHODS = ("fbp", "landweber", "cgls", "tikhonov", "tv")
FILTERS = ("ramp", "ram-lak", "shepp-logan", "cosine", "hamming", "hann")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0, 1 where numbers overflow, or memory or the disk ends, 2 for bad usage, 130 where it was interrupted.

    Examples
    --------
    >>> from ipbox.cli import main
    >>> main(["demo", "ct", "--size", "64", "--views", "-1"])
    2
    """
    try:
        argv = sys.argv[1:] if argv is None else argv
        args = _parser().parse_args(_joined(argv))
        args.argv = list(argv)
        with quietly(args):
            args.run(args)
        sys.stdout.flush()
    except UsageError as err:
        print(f"ipbox: error: {' '.join(str(err).split())}", file=sys.stderr)
        return 2
    except (FloatingPointError, MemoryError, OverflowError, NotSaved) as err:  # of the computation asked for
        print(f"ipbox: error: {' '.join(str(err).split())}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("ipbox: interrupted", file=sys.stderr)
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    """Errors in one line; an option that a command lacks is answered with the one that it has."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._subparsers is None:  # a command, all words its own; before argparse misses what was misspelt
            for word in itertools.takewhile(lambda word: word != "--", args):
                option = word.partition("=")[0]
                if option.startswith("--") and not any(known.startswith(option) for known in self._options()):
                    self.error(self._no_option(option))
        return super().parse_known_args(args, namespace)

    def _options(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings if option.startswith("--")]

    def _no_option(self, option: str) -> str:
        by_word = {known[2:].replace("-", "_"): known for known in self._options()}
        word = right_word(option[2:].replace("-", "_"), by_word)
        expected = by_word.get(word or "", f"one of {', '.join(by_word.values())}")
        return f"{self.prog.rpartition(' ')[2]} has no option {option}; expected {expected}"

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def _joined(argv: Sequence[str]) -> list[str]:
    """``--angles -76:78:77`` as ``--angles=-76:78:77``: argparse takes a leading minus for an option."""
    argv = list(argv)
    for k, word in enumerate(argv[:-1]):
        if word == "--angles" and ":" in argv[k + 1]:
            return [*argv[:k], f"--angles={argv[k + 1]}", *argv[k + 2 :]]
    return argv


RULES = ("balancing", "discrepancy", "gcv", "l_curve", "quasi_optimality", "sure", "weighted_gcv")


def _weight_or_rule(text: str) -> Any:
    return text if text in RULES else weight(text)


def _level(text: str) -> Any:
    return text if text == "estimate" else number(0)(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("python -m ipbox", description="Inverse problems A u = b: demonstrations and reconstructions.")
    parser.add_argument("--version", action="version", version=f"ipbox {ipbox.__version__}")
    parser.set_defaults(quiet=False)
    subparsers = parser.add_subparsers(required=True, metavar="command", title="commands")
    _add_demo(subparsers)
    _add_compare(subparsers)
    _add_reconstruct(subparsers)
    add_scan(subparsers, FILTERS)
    _add_benchmark(subparsers)
    info = subparsers.add_parser("info", help="versions, threads, and where data and compiled kernels are")
    info.set_defaults(run=run_info)
    info.add_argument("--classes", action="store_true", help="instead, which class takes which arrays and dtypes")
    for name, command in subparsers.choices.items():
        command.epilog, command.formatter_class = examples.told(name), argparse.RawDescriptionHelpFormatter
    return parser


OPTIONS = {
    "size": "pixels a side",
    "images": "photographs to learn from",
    "views": "projection angles",
    "noise": "relative noise level",
    "seed": "seed of the noise",
    "slice": "slice",
    "slices": "how many slices",
    "counts": "expected counts",
    "coils": "receiver coils",
    "acceleration": "undersampling of k-space",
    "undersampling": "of k-space",
    "mask": "kind of sampling",
    "trajectory": "radial or spiral",
    "image": "which photograph",
    "samples": "of the posterior, by each sampler",
    "kernel": "kind of blur",
    "factor": "pixels of the truth to one of the data, along each axis",
}


def _add_demo(subparsers: Any) -> None:
    demo = subparsers.add_parser("demo", help="reconstruct real images by several methods: a table and a picture")
    demos = demo.add_subparsers(required=True, metavar="problem", title="problems")
    ct = demos.add_parser("ct", help="simulated data of a chest-CT slice")
    ct.set_defaults(run=demos_ct.demo_ct)
    # slice 2 of the CT shows heart and lungs
    _add_options(ct, {"size": 256, "views": 60, "noise": 0.01, "seed": 0, "slice": 2})
    measured = demos.add_parser("tomography-measured", help="a measured electron-tomography tilt series")
    measured.set_defaults(run=demos_ct.demo_measured)
    _add_options(measured, {"slice": 0})
    for command in (ct, measured):
        command.add_argument("--filter", choices=FILTERS, default="hann", help="window of fbp (%(default)s)")
    for name, shown in DEMOS.items():
        command = demos.add_parser(name, help=shown.help)
        command.set_defaults(run=run_demo, problem=name)
        _add_options(command, shown.options)
    learning = demos.add_parser("bilevel", help="learn the parameters of a regulariser by every bilevel method")
    learning.set_defaults(run=demos_bilevel.demo)
    _add_options(learning, demos_bilevel.OPTIONS)
    learned = demos.add_parser("learned", help="held-out CT slices by plug-and-play, direct and unrolled networks")
    learned.set_defaults(run=demos_learned.demo)
    _add_options(learned, demos_learned.OPTIONS)
    made = demos.add_parser("generative", help="held-out MR images by generative models as priors")
    made.set_defaults(run=demos_generative.demo)
    _add_options(made, demos_generative.OPTIONS)
    sampled = demos.add_parser("diffusion", help="samples of the posterior of a CT slice, by a learned score")
    sampled.set_defaults(run=demos_diffusion.demo)
    _add_options(sampled, demos_diffusion.OPTIONS)
    turned = demos.add_parser("equivariance", help="which methods reconstruct a turned scan as the upright one")
    turned.set_defaults(run=demos_equivariance.demo)
    _add_options(turned, demos_equivariance.OPTIONS)
    named = ((learning, demos_bilevel.NAMES), (learned, tuple(demos_learned.METHODS)))
    others = ((made, tuple(demos_generative.METHODS)), (sampled, tuple(demos_diffusion.METHODS)))
    last = (turned, tuple(demos_equivariance.METHODS))
    for command, methods in (*named, *others, last):
        command.add_argument("--methods", nargs="+", metavar="METHOD", help=f"some of: {'; '.join(methods)} (all)")
    for name, command in demos.choices.items():
        if name in ("bilevel", "diffusion", "equivariance", "generative", "learned"):  # on the host only
            _add_picture(command, f"build/{name}.png")
            continue
        if name not in DEMOS or "tv" in DEMOS[name].methods:
            command.add_argument("--lam", type=weight, default="auto", help="TV weight, or auto: from the noise")
            command.add_argument("--niter", type=number(1, kind=int), default=500, help="most TV iterations (500)")
        _add_output(command, f"build/{name}.png")


def _add_compare(subparsers: Any) -> None:
    compare = subparsers.add_parser(
        "compare",
        help="analytical, variational and iterative methods side by side, λ and stopping chosen automatically",
    )
    problems = compare.add_subparsers(required=True, metavar="problem", title="problems")
    for name, setting in SETTINGS.items():
        command = problems.add_parser(name, help=setting.help)
        command.set_defaults(run=run_compare, problem=name)
        _add_options(command, setting.options)
        methods = ", ".join(setting.methods)
        command.add_argument("--methods", nargs="+", metavar="METHOD", help=f"some of: {methods} (all)")
        command.add_argument("--once", action="store_true", help="leave out the second run, at twice the noise")
        _add_output(command, f"build/compare-{name}.png")


def _add_benchmark(subparsers: Any) -> None:
    benchmark = subparsers.add_parser("benchmark", help="methods against answers that are known")
    kinds = benchmark.add_subparsers(required=True, metavar="what", title="what")
    command = kinds.add_parser("posterior", help="samplers of posteriors that are known in closed form")
    command.set_defaults(run=benchmarks.posterior)
    samplers, problems = ", ".join(benchmarks.SAMPLERS), ", ".join(benchmarks.PROBLEMS)
    command.add_argument("--samplers", nargs="+", metavar="SAMPLER", help=f"some of: {samplers} (all)")
    command.add_argument("--problems", nargs="+", metavar="PROBLEM", help=f"some of: {problems} (all)")
    steps, count = " ".join(map(str, benchmarks.STEPS)), number(1, kind=int)
    command.add_argument("--steps", nargs="+", type=count, default=benchmarks.STEPS, help=f"of the samplers ({steps})")
    command.add_argument("--samples", type=count, default=benchmarks.SAMPLES, help="of each posterior (%(default)s)")
    command.add_argument("--seed", type=number(0, kind=int), default=0, help="of the samplers (%(default)s)")
    _add_picture(command, "build/benchmark-posterior.png")


def _add_output(command: argparse.ArgumentParser, out: str) -> None:
    command.add_argument("--xp", choices=("numpy", "cupy"), default="numpy", help="CPU or GPU (%(default)s)")
    _add_picture(command, out)


def _add_picture(command: argparse.ArgumentParser, out: str) -> None:
    command.add_argument("--out", default=out, help="picture, .png, .pdf or .svg (%(default)s)")
    command.add_argument("--quiet", action="store_true", help="no progress bars")
    _add_report(command)


def _add_report(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", metavar="FILE", help="report: options, parameters, stops, histories, versions, seed")


def _add_options(command: argparse.ArgumentParser, options: dict[str, Any]) -> None:
    """The options of a problem, each of the kind of its default."""
    least = {"size": 16, "noise": 0, "seed": 0, "slice": 0}
    for name, default in options.items():
        kind = type(default)
        parse = str if kind is str else number(least.get(name, 1), kind=kind)
        command.add_argument(f"--{name}", type=parse, default=default, help=f"{OPTIONS[name]} (%(default)s)")


def _add_reconstruct(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "reconstruct",
        help="reconstruct a sinogram of your own",
        description="Reconstruct a parallel-beam sinogram, shape (angles, detector pixels), or a stack of them: line "
        "integrals, or with --flat what the detector counted.",
    )
    command.set_defaults(run=run_reconstruct)
    add = command.add_argument
    add("file", metavar="FILE", help=".npy, .npz, HDF5 (.h5, .hdf5, .hdf, .nxs), .mat, .nrrd or .tif")
    add("--angles", required=True, help="start:stop:n (n angles, stop left out) or a file; radians unless --degrees")
    add("--degrees", action="store_true", help="the angles are in degrees")
    add("--method", choices=METHODS, default="fbp", help="(%(default)s)")
    add("--out", required=True, help="image: .npy, .npz, .h5, .tif or, of one slice, .png")
    add("--dataset", metavar="NAME", help="array of an .npz or .mat file, or HDF5 dataset, where there are several")
    add("--angles-dataset", metavar="NAME", help="the same for a file of angles")
    add("--dtype", choices=("float32", "float64"), help="convert the sinogram (needed for integers)")
    add("--order", metavar="AXES", help="what the axes of FILE are (angles,detector or angles,slices,detector)")
    add("--slice", type=number(0, kind=int), help="only this slice of a stack, from 0 on")
    add("--flat", metavar="FIELD", help="FILE holds counts: those without the object, a number or a file; takes -log")
    add("--dark", metavar="FIELD", help="counts without the beam, a number or a file (0)")
    add("--fields-dataset", metavar="NAME", help="array of the files of --flat and --dark, where there are several")
    add("--transpose", action="store_true", help="the file holds (detector pixels, angles)")
    add("--size", type=number(1, kind=int), nargs="+", help="pixels: n, or ny nx (default: the detector's width)")
    add("--pixel-size", type=number(0, strict=True), default=1.0, help="width of an image pixel (%(default)s)")
    add("--det-spacing", type=number(0, strict=True), help="width of a detector pixel (default: --pixel-size)")
    add("--det-shift", type=number(-math.inf), help="position of the detector's centre (0)")
    add("--centre", type=number(0), help="instead, the detector pixel, from 0 on, onto which the axis projects")
    add("--lam", type=_weight_or_rule, help=f"weight of tikhonov and tv, or a rule: {', '.join(RULES)}; auto: tv's own")
    add("--noise-level", type=_level, help="norm of the noise, or estimate: landweber and cgls stop there, λ is chosen")
    add("--niter", type=number(1, kind=int), help="bound on the iterations (default: the method's)")
    add("--filter", choices=FILTERS, help="window of fbp (ramp)")
    add("--nonneg", action="store_const", const=True, help="tv: image >= 0")
    add("--xp", choices=("numpy", "cupy"), default="numpy", help="CPU or GPU (%(default)s)")
    add("--quiet", action="store_true", help="no progress bar")
    _add_report(command)
