"""``python -m ipbox benchmark posterior``: samplers on problems whose posterior is known in closed form.

Nothing heavy is imported before the command runs.
"""

from __future__ import annotations

import argparse

import ipbox
from ipbox.cli.shared import UsageError, check_outputs, checked_input, write_report

PROBLEMS = tuple(f"{A}-{prior}" for A in ("blur", "inpaint", "ct") for prior in ("gaussian", "mixture"))
SAMPLERS = ("exact", "ula", "ula-small", "myula", "pcn", "reverse", "diffpir", "dps", "daps", "projection")
STEPS, SAMPLES = (20, 60, 200), 400


def posterior(args: argparse.Namespace) -> None:
    """Run samplers and print how far they are from the truth, in a table and a picture."""
    with checked_input():
        check_outputs(args)
        for option, given, known in (("samplers", args.samplers, SAMPLERS), ("problems", args.problems, PROBLEMS)):
            if unknown := [name for name in given or () if name not in known]:
                raise UsageError(f"--{option} has {', '.join(unknown)}; expected some of: {', '.join(known)}")
        problems = [ipbox.bayes.known_problem(name) for name in args.problems or PROBLEMS]
        least = max(p.u.size for p in problems) + 2
        if args.samples < least:
            raise UsageError(f"--samples is {args.samples}; expected at least {least}: more than an image has pixels")
    samplers = list(dict.fromkeys(args.samplers or SAMPLERS))
    options = {"steps": args.steps, "samples": args.samples, "seed": args.seed, "progress": not args.quiet}
    result = ipbox.bayes.benchmark(samplers, problems, **options)
    print(f"posteriors of {problems[0].u.size} pixels in closed form; {args.samples} samples of each; W2 and sliced in")
    print("posterior deviations, floor: W2 of exact samples; gap of the mean to the best; coverage of 90 % regions;")
    print("relative errors of mean and variance; spread: variance over the true one")
    print(result.table())
    result.show(args.out)
    print(f"picture: {args.out}")
    write_report(args, result.report())
