"""The data of ``python -m ipbox reconstruct``: a sinogram or a stack from files, line integrals or counts.

Nothing heavy is imported before the command runs.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from ipbox.cli.shared import UsageError

AXES = ("angles", "slices", "detector")


def read_scan(args: argparse.Namespace) -> Any:
    """Line integrals, (angles, detector) or (slices, angles, detector); of counts the logarithm is taken."""
    from ipbox.io.arrays import as_line_integrals, read_array
    from ipbox.io.raw.projections import in_order, line_integrals, looks_like_counts

    stored = read_array(args.file, args.dataset, name="FILE")
    order = _order(args, stored.ndim, stored.shape)
    whole = in_order(stored, order, f"FILE {args.file}")
    b = _slice(whole, args)
    if args.flat is not None:
        fields = {name: _field(args, name, order, len(whole)) for name in ("flat", "dark")}
        b, clamped = line_integrals(b, **fields, dtype=args.dtype)
        print(f"-log((I - D)/(F - D)): {clamped} of {b.size} entries below a transmission of 1e-4 were set to it")
        return b
    if args.dark is not None:
        raise UsageError(f"--dark is {args.dark}; expected it with --flat only")
    counts = b.dtype.kind in "iuf" and b.size and looks_like_counts(b)
    told = "looks like raw counts, bright at the ends of the detector; --flat, a file or a number, takes their -log"
    if counts and b.dtype.kind in "iu" and args.dtype is None:
        raise UsageError(f"FILE {args.file} has dtype {b.dtype} and {told}")
    if counts:
        print(f"ipbox: note: FILE {args.file} {told}", file=sys.stderr)
    return as_line_integrals(b, args.dtype, f"FILE {args.file}")


def _order(args: argparse.Namespace, ndim: int, shape: tuple[int, ...]) -> tuple[str, ...]:
    """What the axes of FILE are."""
    if ndim not in (2, 3):
        raise UsageError(
            f"FILE {args.file} has shape {shape}; expected a sinogram (angles, detector pixels), or a stack of them"
        )
    known = tuple(name for name in AXES if ndim == 3 or name != "slices")
    if args.transpose and (args.order is not None or ndim == 3):
        raise UsageError("--transpose is given with a stack, or with --order; expected --order alone")
    if args.order is None:
        return known[::-1] if args.transpose else known
    order = tuple(args.order.split(","))
    if sorted(order) != sorted(known):
        raise UsageError(f"--order is {args.order}; FILE has shape {shape}, expected {','.join(known)} in its order")
    return order


def _slice(b: Any, args: argparse.Namespace) -> Any:
    if args.slice is None:
        return b
    if b.ndim == 2:
        raise UsageError(f"--slice is {args.slice}; expected none, FILE holds one sinogram")
    if args.slice >= len(b):
        raise UsageError(f"--slice is {args.slice}; expected 0 to {len(b) - 1}")
    return b[args.slice]


def _field(args: argparse.Namespace, name: str, order: tuple[str, ...], slices: int) -> Any:
    """--flat or --dark: a number, or a file with the axes of FILE, those of the angles being frames or left out."""
    from ipbox.checks import counted
    from ipbox.io.arrays import KINDS, read_array
    from ipbox.io.raw.projections import in_order

    given, what = getattr(args, name), f"--{name}"
    if given is None:
        return 0.0
    try:
        return float(given)
    except ValueError:
        if Path(given).suffix.lower() not in KINDS:
            raise UsageError(f"{what} is {given}; expected a number or a file ({', '.join(KINDS)})") from None
    field = read_array(given, args.fields_dataset, name=what)
    if field.ndim == 1:
        return field
    axes = order if field.ndim == len(order) else tuple(axis for axis in order if axis != "angles")
    field = in_order(field, axes, f"{what} {given}")
    if args.slice is None or "slices" not in axes:
        return field
    if len(field) not in (1, slices):
        raise UsageError(f"{what} {given} has {counted(len(field), 'slice')}; expected 1, or the {slices} of FILE")
    return field[args.slice if len(field) > 1 else 0]


def read_angles(args: argparse.Namespace, views: int, expected: str) -> Any:
    """--angles in radians: start:stop:n without its end, or a file."""
    import numpy as np

    from ipbox.angles import check_angles
    from ipbox.io.arrays import KINDS, read_array

    parts = args.angles.split(":")
    mismatch = f"angles; {expected}"
    if len(parts) == 3 and not Path(args.angles).exists():
        try:
            start, stop, n = float(parts[0]), float(parts[1]), int(parts[2])
        except ValueError:
            n = 0
        if n < 1 or not math.isfinite(start) or not math.isfinite(stop):
            raise UsageError(f"--angles is {args.angles}; expected start:stop:n with numbers and n >= 1")
        if args.angles_dataset is not None:
            raise UsageError(f"--angles-dataset is {args.angles_dataset}; expected none, --angles is no file")
        if n != views:
            raise UsageError(f"--angles gives {n} {mismatch}")
        angles = start + (stop - start) / n * np.arange(n)
    elif Path(args.angles).suffix.lower() in KINDS:
        angles = read_array(args.angles, args.angles_dataset, name="--angles").squeeze()
        if angles.dtype.kind not in "iuf":
            raise UsageError(f"--angles {args.angles} has dtype {angles.dtype}; expected real numbers")
        angles = angles.astype(np.float64)
    else:
        raise UsageError(f"--angles is {args.angles}; expected start:stop:n or a file ({', '.join(KINDS)})")
    if args.degrees:  # turns are taken out of golden angles and spirals, which end nowhere near radians
        angles = np.deg2rad(np.where(abs(angles) > 720, angles % 360, angles))
    try:
        angles = check_angles(angles)
    except ValueError as err:
        raise UsageError(f"--angles {args.angles}: {err}{'' if args.degrees else '; or --degrees'}") from err
    if len(angles) != views:
        raise UsageError(f"--angles {args.angles} gives {len(angles)} {mismatch}")
    return angles
