"""``python -m ipbox demo NAME`` for every simulated problem: what is shown, and by which methods.

Nothing heavy is imported before a demonstration runs.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipbox
from ipbox.cli.demos import scans
from ipbox.cli.demos.learned import shipped
from ipbox.cli.regions import penalty_weight, regions
from ipbox.cli.shared import (
    Shown,
    UsageError,
    bar,
    check_outputs,
    checked_input,
    noise_of,
    picture,
    tv,
    tv_weight,
    write_report,
)

if TYPE_CHECKING:
    from ipbox.comparison import Comparison

SLOW = ("tv", "kl + tv", "bsrem", "wavelets", "complex tv")  # what they compile others have
Method = Callable[[Any, Any], tuple[Any, Any]]


_IMAGE = {"size": 256, "noise": 0.01, "seed": 0}

DEMOS: dict[str, Shown] = {
    "fan": Shown("fan-beam CT of a chest slice", {**_IMAGE, "views": 180, "slice": 2}, ("fbp", "cgls", "tv")),
    "cone": Shown(
        "cone-beam CT of a chest",
        {"size": 64, "views": 90, "noise": 0.01, "seed": 0},
        ("fdk", "cgls", "tv"),
        scans=("circle", "short scan", "offset panel"),
    ),
    "pet": Shown(
        "PET of a brain: counts, attenuation, randoms and scatter",
        {"size": 128, "counts": 1e6, "seed": 0, "slice": 7},
        ("fbp, attenuation ignored", "fbp", "mlem", "osem", "kl + tv", "bsrem"),
    ),
    "mri": Shown(
        "multi-coil Cartesian MRI of a head",
        {**_IMAGE, "slice": 11, "coils": 8, "acceleration": 4.0, "mask": "variable-density"},
        ("zero-filled", "rss", "sense", "wavelets", "complex tv", "learned"),
    ),
    "mri-radial": Shown(
        "multi-coil radial or spiral MRI of a head",
        {**_IMAGE, "slice": 11, "coils": 8, "undersampling": 2.0, "trajectory": "radial"},
        ("gridding", "sense"),
    ),
    "blur": Shown(
        "deblurring a photograph",
        {**_IMAGE, "image": "camera", "kernel": "motion"},
        ("truncated inverse", "wiener", "cgls", "tv"),
        data=True,
    ),
    "inpaint": Shown(
        "a photograph with missing pixels", {**_IMAGE, "image": "camera", "mask": "random"}, ("adjoint", "tv"), True
    ),
    "denoise": Shown(
        "a noisy photograph", {**_IMAGE, "noise": 0.1, "image": "camera"}, ("data themselves", "tv"), True
    ),
    "super-resolution": Shown(
        "a photograph from fewer pixels", {**_IMAGE, "image": "camera", "factor": 4}, ("pseudo-inverse", "tv"), True
    ),
    "compressed-sensing": Shown(
        "a small photograph from random measurements",
        {**_IMAGE, "size": 64, "image": "camera"},
        ("pseudo-inverse", "tv"),
    ),
}


def demo(args: argparse.Namespace) -> None:
    """Run the demonstration ``args.problem``: a line on the problem, a table and a picture."""
    shown = DEMOS[args.problem]
    with checked_input():
        from numpy import finfo

        check_outputs(args)
        options = {name: getattr(args, name) for name in shown.options}
        problem = ipbox.problem(args.problem, xp=args.xp, **options)
        A, b, x_true, info = problem
        if not ipbox.backend.norm(b) < math.sqrt(float(finfo(b.dtype).max)):
            raise FloatingPointError(f"the squared norm of the data is beyond the range of {b.dtype}")
        if not b.any():
            raise UsageError("the data are zero everywhere; expected ones with a signal, such as more --counts")
        delta = noise_of(info)
        lam = tv_weight(args, A, b, delta) if "tv" in shown.methods else None
    print(shown.headline(args, problem))
    parts = scans.cone_scans(problem, delta) if shown.scans else {"": (problem, delta)}
    print(
        f"the truth's own residual is {delta / ipbox.backend.norm(b):.4f}"
        + (f"; TV weight {lam:.3g}" if lam else "")
        + (scans.told(problem, parts) if shown.scans else "")
    )
    names = [name for name in shown.methods if name != "learned" or _has_torch()]
    for name in names:
        if name not in SLOW:
            _method(name, args, delta, lam)(A, b)  # compile and plan, where this is the first run
    result = _joined([_compared(args, names, *part, scan) for scan, part in parts.items()])
    print(result.table())
    picture(args.out, result, b if shown.data else None)
    write_report(args, result.report(), info)


def _compared(
    args: argparse.Namespace, names: list[str], problem: tuple[Any, ...], delta: float, scan: str
) -> Comparison:
    """The methods on a problem; where it is one of several scans, that is in their names."""
    A, b = problem[:2]
    lam = tv_weight(args, A, b, delta) if "tv" in names else None
    methods = {f"{name}, {scan}" if scan else name: _method(name, args, delta, lam) for name in names}
    return ipbox.compare(problem, methods, regions=regions(problem))


def _joined(results: list[Comparison]) -> Comparison:
    """One comparison of all rows."""
    first, *others = results
    for result in others:
        first.rows.extend(result.rows)
        first.images.update(result.images)
        first.infos.update(result.infos)
    return first


def _method(name: str, args: argparse.Namespace, delta: float, lam: float | None) -> Method:
    """The method ``name`` as a function of (A, b); each is what a user would type."""
    methods: dict[str, Method] = {
        "adjoint": ipbox.analytic,
        "data themselves": ipbox.analytic,
        "pseudo-inverse": ipbox.pseudo_inverse,
        "fbp": lambda A, b: ipbox.fbp(A, b, "hann"),
        "fdk": ipbox.fdk,
        "fbp, attenuation ignored": lambda A, b: ipbox.fbp(_without_attenuation(A), b, "hann"),
        "zero-filled": ipbox.zero_filled,
        "rss": ipbox.root_sum_of_squares,
        "gridding": ipbox.gridding,
        "sense": lambda A, b: ipbox.sense(A, b, delta, tol=1e-5, **bar(args, "sense")),
        "wavelets": lambda A, b: ipbox.wavelet(A, b, 0.5 * _weight(A, b, delta), tol=3e-3, **bar(args, name)),
        "complex tv": lambda A, b: ipbox.tv(A, b, _weight(A, b, delta), tol=1e-3, **bar(args, name)),
        "learned": shipped("unrolled_mri"),
        "wiener": lambda A, b: ipbox.wiener(A, b, noise_level=delta),
        "truncated inverse": lambda A, b: ipbox.truncated_inverse(A, b, noise_level=delta),
        "cgls": lambda A, b: ipbox.cgls(A, b, delta, **bar(args, "cgls")),
        "mlem": lambda A, b: ipbox.mlem(A, b, noise_level="poisson", niter=200, **bar(args, name)),
        "osem": lambda A, b: ipbox.osem(A, b, noise_level="poisson", niter=50, **bar(args, name)),
        "kl + tv": lambda A, b: ipbox.tv(
            A, b, penalty_weight(A), fidelity="kl", nonneg=True, tol=3e-3, **bar(args, name)
        ),
        "bsrem": lambda A, b: ipbox.bsrem(A, b, penalty_weight(A), **bar(args, name)),
        "tv": tv(args, lam),
    }
    return methods[name]


def _has_torch() -> bool:
    """Whether the learned map can be shown; said where not."""
    if importlib.util.find_spec("torch") is None:
        print("learned: not shown, it needs torch (pip install 'ipbox[learned]')")
        return False
    return True


def _without_attenuation(A: Any) -> Any:
    return ipbox.PET(A.projector, normalisation=A.factors.max(), background=A.background)


def _weight(A: Any, b: Any, delta: float) -> float:
    from ipbox.choose import tv_weight

    return tv_weight(A, b, delta)
