"""The options of ``python -m ipbox scan``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

from ipbox.cli.scans.command import scan
from ipbox.cli.shared import UsageError, number, weight


def add_scan(subparsers: Any, filters: Sequence[str]) -> None:
    command = subparsers.add_parser(
        "scan",
        help="from the raw files of a tomographic scan to a volume",
        description="Raw projections, flat and dark fields to a volume with a report (.json, .txt) and a picture of "
        "three planes (.png) beside it: -log of the transmission, stray photons and stripes removed, the axis of "
        "rotation found, reconstructed.",
    )
    command.set_defaults(run=scan)
    add = command.add_argument
    add("file", metavar="FILE", help="NXtomo, DXchange (.h5, .nxs), .xtekct, .mrc, .st, .edf, .tif, or a folder")
    add("--out", required=True, help="volume: .tif, .npy, .h5, .nii, .nii.gz, .dcm or .mrc")
    add("--method", choices=("fbp", "fdk", "cgls", "tv"), help="(fbp of parallel, fdk of cone beam)")
    add("--rows", metavar="A:B", help="only these rows of the panel, from 0 on, B left out")
    add("--every", type=number(1, kind=int), default=1, metavar="N", help="only every N-th view (%(default)s)")
    add("--bin", type=number(1, kind=int), default=1, metavar="N", help="mean of N x N pixels (%(default)s)")
    add("--centre", type=_centre, default="find", help="column the axis projects onto, from 0 on; file; or find")
    add("--flats", metavar="PATH", help="frames without the object, where FILE has none: TIFF or EDF, or a folder")
    add("--darks", metavar="PATH", help="frames without the beam")
    add("--linear", action="store_true", help="FILE holds line integrals, of which no logarithm is taken")
    add("--stripes", choices=("auto", "on", "off"), default="auto", help="remove them; auto: where there are (auto)")
    add("--zingers", action="store_true", help="remove stray photons, bright in a single view")
    add("--angles", help="start:stop:n (stop left out) or a file, in radians unless --degrees; for FILE's")
    add("--degrees", action="store_true", help="--angles are in degrees")
    add("--angles-dataset", metavar="NAME", help="array of the file of --angles, where there are several")
    add("--entry", metavar="GROUP", help="group of an HDF5 file, where several hold a scan")
    add("--beam", choices=("parallel", "cone"), help="instead of FILE's")
    positive = number(0, strict=True)
    add("--pixel-size", type=positive, metavar="MM", help="width of the panel's pixels, instead of FILE's")
    add("--source-distance", type=positive, metavar="MM", help="from the source to the axis, instead of FILE's")
    add("--detector-distance", type=number(0), metavar="MM", help="from the axis to the panel, instead of FILE's")
    add("--saturation", type=positive, metavar="COUNTS", help="from which a reading is saturated (most of FILE's type)")
    add("--size", type=number(1, kind=int), help="pixels a side of a slice (columns of the panel)")
    add("--voxel-size", type=positive, metavar="MM", help="their width (that of the panel's pixels at the axis)")
    add("--filter", choices=filters, help="window of fbp and fdk (hann)")
    add("--lam", type=weight, default="auto", help="weight of tv, or auto: from the noise in the flats")
    add("--niter", type=number(1, kind=int), help="most iterations of cgls (100) and tv (300)")
    add("--slicewise", action="store_true", help="tv: each slice of a parallel beam by itself")
    add("--signed", action="store_true", help="tv: allow negative values")
    add("--json", metavar="FILE", help="report, instead of that beside --out")
    add("--quiet", action="store_true", help="no progress bar")


def _centre(text: str) -> Any:
    """A column, ``"find"`` or ``"file"``."""
    if text in ("find", "file"):
        return text
    try:
        return number(-math.inf)(text)
    except (argparse.ArgumentTypeError, UsageError) as err:
        raise argparse.ArgumentTypeError(f"is {text}; expected a column of the panel, find or file") from err
