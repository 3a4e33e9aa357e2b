"""``python -m ipbox scan``: read, correct, find the axis, reconstruct, write.

Nothing heavy is imported before the command runs.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import ipbox
from ipbox.cli.scans.corrected import Corrected, opened, striped
from ipbox.cli.scans.coupled import coupled, couples, planned
from ipbox.cli.scans.methods import check_memory, cone, parallel, size
from ipbox.cli.shared import UsageError, check_outputs, checked_input, write_report
from ipbox.files import check_writable, replacing

OUTPUTS = (".tif", ".tiff", ".npy", ".h5", ".hdf5", ".nii", ".gz", ".dcm", ".mrc")
STRIPED = 5.0  # from this ratio on stripes are removed: what removes them takes something of the object too
METHODS = {"parallel": ("fbp", "cgls", "tv"), "cone": ("fdk", "cgls", "tv")}


def scan(args: argparse.Namespace) -> None:
    start = time.perf_counter()
    with checked_input():
        out = _beside(args)
        whole = opened(args)
        beam = whole.geometry.beam
        args.method = args.method or METHODS[beam][0]
        if args.method not in METHODS[beam]:
            raise UsageError(f"--method is {args.method}; FILE has a {beam} beam, expected {', '.join(METHODS[beam])}")
        part = whole if args.rows is None else whole.part(rows=_rows(args.rows, whole.shape[1]))
        corrected = Corrected(part, args.bin, args.zingers, args.linear, saturation=args.saturation)
        lines = [repr(whole)]
        if part is not whole or args.bin > 1:
            lines.append("of it {} views of {} x {} pixels".format(*corrected.shape))
        few = _few(corrected, beam)
        stripes = {"ratio": striped(few), "removed": args.stripes == "on"}
        if args.stripes == "auto":
            stripes["removed"] = few.shape[1] > 1 and stripes["ratio"] > STRIPED
        corrected.stripes = stripes["removed"]
        line = f"stripes: columns differ {stripes['ratio']:.1f} times as much as noise makes them, "
        alone = args.stripes == "auto" and few.shape[1] == 1 and stripes["ratio"] > STRIPED
        unsure = ", as no row beside tells them from the object: --stripes on removes them" if alone else ""
        lines.append(line + ("removed" if corrected.stripes else f"left as they are{unsure}"))
        centre = _centre(args, corrected, _few(corrected, beam) if corrected.stripes else few)
        lines.append(centre["told"])
        A = _operator(args, part, corrected, centre["column"])
        rows = corrected.shape[1]
        x_shape = (rows, *A.dims) if beam == "parallel" else tuple(A.dims)
        nbytes = 4 * math.prod(x_shape)
        check_writable(out["volume"], nbytes, "--out")
        lines.append("volume: {} x {} x {} voxels, ".format(*x_shape) + size(nbytes))
        blocks: list[range] = []
        if beam == "cone":
            lines.append(check_memory(args, A, 4 * math.prod(corrected.shape)))
        elif couples(args, beam, rows):
            blocks, line = planned(args, A, corrected)
            lines.append(line)
    for line in lines:
        print(line)
    told: dict[str, Any] = {}
    if blocks:
        x = coupled(args, A, corrected, told, blocks)
    else:
        x = (parallel if beam == "parallel" else cone)(args, A, corrected, told)
    seconds = time.perf_counter() - start
    spacing, unit = _spacing(A, corrected, beam)
    after = [*corrected.counted.lines(), *_chosen(told), _values(x, unit), f"{args.method}: {seconds:.1f} s in all"]
    for line in after:
        print(line)
    about: dict[str, Any] = {} if out["volume"].suffix == ".npy" else {"spacing": spacing, "unit": unit}
    ipbox.save(x, out["volume"], **about)
    print(f"volume: {out['volume']}")
    _picture(x, out["picture"], spacing, unit, _method(args, beam, rows))
    with replacing(out["text"], "--out") as file:
        file.write("\n".join([*lines, *after, ""]).encode())
    print(f"text: {out['text']}")
    report = {
        "scan": repr(whole),
        "about": whole.about,
        "missing": whole.missing,
        "centre": centre,
        "stripes": stripes,
    } | told
    report |= {"corrections": vars(corrected.counted), "method": args.method, "seconds": seconds}
    report |= {"volume": {"shape": x.shape, "spacing": spacing, "unit": unit, "path": str(out["volume"])}}
    from ipbox import reports

    write_report(args, reports.ready(report))


def _beside(args: argparse.Namespace) -> dict[str, Path]:
    """The volume, and its report and pictures of the same name."""
    stem = Path(args.out)
    name = stem.name.removesuffix(".gz")
    base = stem.with_name(name.removesuffix(Path(name).suffix))
    if args.json is None:
        args.json = f"{base}.json"
    check_outputs(args, OUTPUTS, make_folder=False)
    if Path(args.file).exists() and stem.exists() and Path(args.file).samefile(stem):
        raise UsageError(f"--out is {args.out}, which is FILE itself; expected another file")
    return {"volume": stem, "picture": Path(f"{base}.png"), "text": Path(f"{base}.txt")}


def _rows(text: str, count: int) -> slice:
    """--rows A:B, the last one left out; A alone is one row."""
    first, colon, last = text.partition(":")
    try:
        begin, end = int(first or 0), int(last or count) if colon else int(first) + 1
    except ValueError:
        begin, end = 0, -1
    if not 0 <= begin < end <= count:
        raise UsageError(f"--rows is {text}; expected first:last, from 0:1 to 0:{count}")
    return slice(begin, end)


def _centre(args: argparse.Namespace, corrected: Corrected, few: Any) -> dict[str, Any]:
    """The column of the panel (binned) that the axis projects onto, and how it is known."""
    from ipbox import measured

    columns = corrected.shape[2]
    geometry = corrected.geometry()
    width = 1.0 if geometry.pixel_size is None else geometry.pixel_size[1]
    file = None if geometry.det_shift is None else (columns - 1) / 2 - geometry.det_shift[1] / width
    if args.centre not in ("find", "file"):
        column = (float(args.centre) - (corrected.bin - 1) / 2) / corrected.bin
        if not 0 <= column <= columns - 1:
            raise UsageError(
                f"--centre is {args.centre:g}; expected a column of the panel{_until(corrected)}, find or file"
            )
        return {"column": column, "by": "--centre", "told": f"axis at column {args.centre}, as --centre says"}
    if args.centre == "file":
        if file is None:
            raise UsageError("--centre is file; FILE does not tell where the axis is, expected a column or find")
        return {"column": file, "by": "file", "told": f"axis at column {_whole(file, corrected):.2f}, as FILE says"}
    fan = {} if geometry.beam == "parallel" else {"source_distance": geometry.source_distance}
    fan |= {} if geometry.beam == "parallel" else {"detector_distance": geometry.detector_distance}
    try:
        found = measured.find_centre(few, corrected.scan.angles, det_spacing=width, **fan)
    except ValueError as err:
        ways = "--centre COLUMN" if file is None else "--centre COLUMN, or --centre file"
        raise UsageError(f"the axis cannot be found: {err}; expected {ways}") from err
    told = f"axis found at column {_whole(found.column, corrected):.2f} ({found.method})"
    told += "" if file is None else f"; FILE says {_whole(file, corrected):.2f}"
    return {"column": float(found.column), "by": found.method, "file": file, "told": told}


def _until(corrected: Corrected) -> str:
    return f", {_whole(0, corrected):g} to {_whole(corrected.shape[2] - 1, corrected):g}"


def _whole(column: float, corrected: Corrected) -> float:
    """A binned column as one of the panel."""
    return column * corrected.bin + (corrected.bin - 1) / 2


def _few(corrected: Corrected, beam: str) -> Any:
    """Line integrals of up to four pairs of neighbouring rows, or of a cone the one in the plane of the source."""
    import numpy as np

    rows = corrected.shape[1]
    first = np.array([max((rows - 1) // 2, 0)]) if beam == "cone" else np.linspace(0, max(rows - 2, 0), 4).astype(int)
    chosen = sorted({min(int(k) + step, rows - 1) for k in np.unique(first // 2 * 2) for step in (0, 1)})
    return np.concatenate([corrected(slice(k, k + 1), count=False) for k in chosen], axis=1)


def _operator(args: argparse.Namespace, part: Any, corrected: Corrected, column: float) -> Any:
    from dataclasses import replace

    import numpy as np

    from ipbox.io.scans.frames import HeldFrames

    geometry = corrected.geometry()
    width = 1.0 if geometry.pixel_size is None else geometry.pixel_size[1]
    shift = ((corrected.shape[2] - 1) / 2 - column) * width
    v = 0.0 if geometry.det_shift is None else geometry.det_shift[0]
    binned = HeldFrames(np.broadcast_to(np.float32(0), corrected.shape))
    small = replace(corrected.scan, projections=binned, flats=None, darks=None, geometry=geometry)
    return small.transform(
        args.size, pixel_size=args.voxel_size, det_shift=shift if geometry.beam == "parallel" else (v, shift)
    )


def _spacing(A: Any, corrected: Corrected, beam: str) -> tuple[tuple[float, float, float], str]:
    """Widths of the voxels, and the unit of what they hold."""
    size = corrected.geometry().pixel_size
    if beam == "cone":
        return A.voxel_widths, "1/mm"
    return ((1.0, 1.0, 1.0), "1/pixel") if size is None else ((size[0], *A.pixel_widths), "1/mm")


def _chosen(told: dict[str, Any]) -> list[str]:
    noise = told["noise_level"]
    lines = [f"noise: {100 * noise['relative']:.2f} % of the line integrals, by {noise['by']}"]
    return lines + ([f"TV weight: {told['lam']:.4g}"] if "lam" in told else [])


def _values(x: Any, unit: str) -> str:
    import numpy as np

    low, middle, high = np.percentile(x, [1, 50, 99])
    return f"values: {low:.4g} to {high:.4g} {unit} (1st and 99th percentile), median {middle:.4g}"


def _method(args: argparse.Namespace, beam: str, rows: int) -> str:
    """As the picture names it."""
    if args.method != "tv" or rows == 1:
        return args.method
    return "tv of each slice" if beam == "parallel" and not couples(args, beam, rows) else "tv in three dimensions"


def _picture(x: Any, path: Path, spacing: tuple[float, ...], unit: str, method: str) -> Any:
    """The three planes through the middle."""
    import numpy as np

    from ipbox import figures

    rows = len(x)
    low, high = (float(v) for v in np.percentile(x, [0.5, 99.8]))
    if len(x) in (3, 4):  # which would be colours
        x, spacing = np.repeat(x, 2, axis=0), (spacing[0] / 2, *spacing[1:])
    planes = x if len(x) > 1 else x[0]
    top = max(high, low + 1e-30)
    figure = ipbox.show(planes, path=path, vmin=low, vmax=top, unit=unit, spacing=spacing[-planes.ndim :])
    if len(x) > rows:  # the number of the slice is that of the volume
        figure.axes[0].set_title(f"z = {rows // 2}")
    figure.suptitle(method)
    figures.shown(figure, path)
    print(f"picture: {path}")
    return figure
