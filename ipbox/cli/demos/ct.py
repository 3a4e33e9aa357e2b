"""The two demonstrations of parallel-beam tomography: simulated chest CT, and a measured tilt series."""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import ipbox
from ipbox.cli.shared import bar, check_outputs, checked_input, noise_of, tv, tv_weight, write_report

HU_WINDOW = (-1000.0, 400.0)  # air, lung and soft tissue; bone is white


def demo_ct(args: argparse.Namespace) -> None:
    with checked_input():
        check_outputs(args)
        problem = ipbox.problem(
            "ct", size=args.size, views=args.views, noise=args.noise, seed=args.seed, slice=args.slice, xp=args.xp
        )
        A, b, _, info = problem
        delta = noise_of(info)
        lam = tv_weight(args, A, b, delta)
    print(
        f"ct: slice {args.slice} of a chest CT, {A.dims[0]} x {A.dims[1]} pixels of {info.pixel_size:.3g} mm, "
        f"{args.views} views, noise {100 * args.noise:g} %; the truth's own residual is "
        f"{delta / ipbox.backend.norm(b):.4f}; TV weight {lam:.3g}"
    )
    _warm_up(A, b, lam)
    methods = {
        f"fbp ({args.filter})": lambda A, b: ipbox.fbp(A, b, args.filter),
        "cgls": lambda A, b: ipbox.cgls(A, b, delta, **bar(args, "cgls")),
        "tv": tv(args, lam),
    }
    result = ipbox.compare(problem, methods)
    print(result.table())
    low, high = HU_WINDOW
    result.show(args.out, transform=lambda u: 1000.0 * (u / 0.0192 - 1.0), vmin=low, vmax=high, unit="HU")
    print(f"picture, Hounsfield units from {low:g} to {high:g}: {args.out}")
    write_report(args, result.report(), info)


def demo_measured(args: argparse.Namespace) -> None:
    with checked_input():
        import numpy as np

        check_outputs(args)
        held = np.arange(0, 77, 5)
        problem = ipbox.problem(
            "tomography-measured", slice=args.slice, angles=np.setdiff1d(np.arange(77), held), xp=args.xp
        )
        H, h, _, _ = ipbox.problem("tomography-measured", slice=args.slice, angles=held, xp=args.xp)
    A, b, _, info = problem
    print(
        f"tomography-measured: slice {args.slice} of a HAADF tilt series, {A.dims[0]} x {A.dims[1]} pixels of "
        f"{info.pixel_size:g} nm, {len(A.angles)} angles, {len(held)} held out"
    )
    # Neither the noise nor the truth is known: the held-out angles say when CGLS begins to fit noise, and its
    # residual there is taken for the noise level.
    seen: list[tuple[float, float]] = []

    def look(run: Any) -> None:
        seen.append((ipbox.relative_residual(H, run.x, h), run.data_residual()))

    ipbox.cgls(A, b, niter=50, callbacks=[look])
    outside = [value for value, _ in seen]
    best = outside.index(min(outside))
    print(
        f"cgls, residual at the held-out angles: least {outside[best]:.4f} at iteration {best}, "
        f"{outside[-1]:.4f} at iteration {len(seen) - 1} (semi-convergence)"
    )
    lam = tv_weight(args, A, b, seen[best][1])
    _warm_up(A, b, lam)
    methods = {
        f"fbp ({args.filter})": lambda A, b: ipbox.fbp(A, b, args.filter),
        f"cgls ({best})": lambda A, b: ipbox.cgls(A, b, niter=best, **bar(args, "cgls")),
        "tv": tv(args, lam),
    }
    result = ipbox.compare(problem, methods, held_out=(H, h))
    print(result.table())
    result.show(args.out)
    print(f"picture: {args.out}")
    write_report(args, result.report(), info)


def _warm_up(A: Any, b: Any, lam: float) -> None:
    """Compile, where this is the first run, before the clock starts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that one iteration is not enough is known
        ipbox.tv(A, b, lam, nonneg=True, niter=1)
