"""The reconstructions of ``python -m ipbox scan``: slabs of a parallel beam, a cone beam's volume at once.

Nothing heavy is imported before the command runs.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import ipbox
from ipbox.cli.scans.corrected import Corrected
from ipbox.cli.shared import UsageError, bar

SLAB = 8  # rows that are reconstructed at once
READ = 2**28  # bytes of line integrals that are read and corrected at once: files are packed view by view
FILTER = "hann"
NEEDS = {"fdk": (2, 5), "cgls": (5, 6)}  # volumes and sets of line integrals there at a time beside the data
CORRECTED = (5, 10)  # such sets while counts are corrected, and where stray photons are looked for


def noise_level(b: Any, variance: float) -> float:
    """Norm of the noise in line integrals (views, rows, columns): by the flats, else by their own differences."""
    if variance > 0:
        return math.sqrt(variance)
    middle = b[:, b.shape[1] // 2]
    return float(ipbox.estimate_noise(middle, kind="sinogram")) * math.sqrt(b.shape[1])


def solver(args: argparse.Namespace, A: Any, b: Any, delta: float, told: dict[str, Any]) -> Callable[[Any, Any], Any]:
    """The method as a function of line integrals and the norm of their noise; what it chose goes into ``told``."""
    if args.method in ("fbp", "fdk"):
        direct = ipbox.fbp if args.method == "fbp" else ipbox.fdk
        told["filter"] = args.filter or FILTER
        return lambda b, _: direct(A, b, told["filter"])[0]
    if args.method == "cgls":
        shown = {} if b.ndim == 3 and A.dimsd != b.shape else bar(args, "cgls")
        return lambda b, level: ipbox.cgls(A, b, noise_level=level, niter=args.niter or 100, **shown)[0]
    lam = weight(args, A, b, delta, told)
    return lambda b, _: total_variation(args, A, b, lam)


def weight(args: argparse.Namespace, A: Any, b: Any, delta: float, told: dict[str, Any]) -> float:
    """λ of TV, in pixels of a slice."""
    from ipbox.choose import tv_weight

    if args.lam == "auto" and not delta > 0:
        raise UsageError("--lam is auto, and no noise was found in the data; expected a number")
    told["lam"] = lam = tv_weight(A, b, delta) if args.lam == "auto" else args.lam
    return lam


def total_variation(args: argparse.Namespace, A: Any, b: Any, lam: float) -> Any:
    """Of an image, of a batch of them, or of a volume, whose slices may be farther apart than pixels."""
    apart = slice_distance(A)
    R = ipbox.TV(tuple(A.dims), spacing=None if apart == 1 else (apart, 1.0, 1.0))
    options: dict[str, Any] = {"nonneg": not args.signed, "niter": args.niter or 300, "tol": 1e-3}
    shown = bar(args, "tv") if A.dimsd == b.shape else {}
    return ipbox.variational(A, b, R, lam / apart, **options, **shown)[0]


def slice_distance(A: Any) -> float:
    """From slice to slice, in pixels of a slice."""
    if len(A.dims) == 2:
        return 1.0
    apart = A.voxel_widths[0] / A.voxel_widths[1]
    return 1.0 if math.isclose(apart, 1.0, rel_tol=1e-3) else apart


def needed(args: argparse.Namespace, volume: int, data: int, apart: float = 1.0) -> int:
    """About the bytes that a volume's reconstruction takes, of the bytes of the volume and of the line integrals."""
    from ipbox.reconstruct.variational.memory import FRUGAL, LARGE, lavish

    frugal = volume >= 4 * LARGE and apart == 1
    volumes, sets = NEEDS.get(args.method) or (FRUGAL if frugal else lavish(4, apart != 1))
    return max(CORRECTED[args.zingers] * data, int(volumes * volume) + (sets + 1) * data)


def check_memory(args: argparse.Namespace, A: Any, data: int) -> str:
    """What `needed` says, in words; refused where less is free."""
    from ipbox.reconstruct.variational.memory import available

    need, free = needed(args, 4 * math.prod(A.dims), data, slice_distance(A)), available()
    there = "" if free is None else f", of {size(free)} that are free"
    if free is not None and need > free:
        raise MemoryError(
            f"{args.method} of this scan needs about {size(need)} of memory{there}; expected fewer voxels or readings "
            f"(--bin, --rows, --every, --size)"
        )
    return f"memory: about {size(need)}{there}"


def size(nbytes: int) -> str:
    return f"{nbytes / 1e9:.3g} GB" if nbytes >= 1e8 else f"{nbytes / 1e6:.3g} MB"


def parallel(args: argparse.Namespace, A: Any, corrected: Corrected, told: dict[str, Any]) -> Any:
    """Slices, a slab of rows at a time."""
    import numpy as np

    from ipbox import progress

    views, rows, columns = corrected.shape
    x = np.empty((rows, *A.dims), dtype=np.float32)
    b, delta = middle_slice(corrected, told)
    run = solver(args, A, b, delta, told)
    with progress.bar(args.method, "rows", rows, shown=not args.quiet) as shown:
        many = max(SLAB, READ // (4 * views * columns))
        for first in range(0, rows, many):
            b = corrected(slice(first, min(first + many, rows))).swapaxes(0, 1)
            level = math.sqrt(corrected.variance / len(b)) if corrected.variance else delta
            for k in range(0, len(b), SLAB):
                slab = np.ascontiguousarray(b[k : k + SLAB])
                x[first + k : first + k + len(slab)] = run(slab, level)
                shown.update(len(slab))
    return x


def middle_slice(corrected: Corrected, told: dict[str, Any]) -> tuple[Any, float]:
    """Line integrals (views, columns) of the middle row, and the norm of their noise."""
    import numpy as np

    rows = corrected.shape[1]
    b = corrected(slice(rows // 2, rows // 2 + 1), count=False)
    delta = noise_level(b, corrected.variance)
    told["noise_level"] = {"of_a_slice": delta, "relative": delta / _norm(b), "by": _by(corrected)}
    return np.ascontiguousarray(b[:, 0]), delta


def cone(args: argparse.Namespace, A: Any, corrected: Corrected, told: dict[str, Any]) -> Any:
    """The whole volume."""
    b = corrected(slice(0, corrected.shape[1]))
    delta = noise_level(b, corrected.variance)
    told["noise_level"] = {"of_all": delta, "relative": delta / _norm(b), "by": _by(corrected)}
    return solver(args, A, b, delta, told)(b, delta)


def _by(corrected: Corrected) -> str:
    return "flats" if corrected.variance > 0 else "differences of neighbours"


def _norm(b: Any) -> float:
    return float(ipbox.backend.norm(b)) or 1.0
