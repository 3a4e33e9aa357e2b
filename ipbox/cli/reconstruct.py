"""``python -m ipbox reconstruct``: a sinogram of the user's own.

Nothing heavy is imported before the command runs.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipbox
from ipbox.cli.scan import read_angles, read_scan
from ipbox.cli.shared import UsageError, bar, check_outputs, checked_input, write_report
from ipbox.files import replacing

OUTPUTS = (".npy", ".npz", ".h5", ".tif", ".png")
NEED_NOISE = ("balancing", "discrepancy", "sure")  # rules for λ


def reconstruct(args: argparse.Namespace) -> None:
    import numpy as np

    from ipbox.checks import counted
    from ipbox.comparison import Comparison

    with checked_input():
        check_outputs(args, OUTPUTS, make_folder=False)
        inputs = {"FILE": args.file, "--angles": args.angles, "--flat": args.flat, "--dark": args.dark}
        for name, given in inputs.items():
            both = given is not None and Path(args.out).exists() and Path(given).exists()
            if both and os.path.samefile(args.out, given):
                raise UsageError(f"--out is {args.out}, which is {name} itself; expected another file")
        b = read_scan(args)
        if not b.any():
            raise UsageError(f"FILE {args.file} is zero everywhere; expected line integrals of something")
        if b.ndim == 3 and Path(args.out).suffix == ".png":
            raise UsageError(
                f"--out is {args.out}, a picture, and FILE has {counted(len(b), 'slice')}; expected --slice with it"
            )
        n_det = b.shape[-1]
        hint = "" if args.transpose else "; --transpose reads FILE the other way"
        shape = f"FILE has shape {b.shape[-2:]}, expected one angle for each of its {counted(b.shape[-2], 'row')}{hint}"
        angles = read_angles(args, b.shape[-2], shape)
        ds = args.pixel_size if args.det_spacing is None else args.det_spacing
        size = args.size or [max(1, round(n_det * ds / args.pixel_size))]
        if len(size) > 2:
            raise UsageError(f"--size is {' '.join(map(str, size))}; expected n, or ny nx")
        shift = _shift(args, n_det, ds)
        A = ipbox.RayTransform((size[0], size[-1]), angles, n_det, ds, shift, args.pixel_size, dtype=b.dtype)
        b = ipbox.backend.to_device(b, args.xp)
        slices = {args.method: b} if b.ndim == 2 else {f"{args.method}, slice {k}": of for k, of in enumerate(b)}
        methods = {name: _method(args, A, of) for name, of in slices.items()}
    results = [ipbox.compare((A, of), {name: methods[name]}) for name, of in slices.items()]
    result = Comparison(
        [row for of in results for row in of.rows],
        {name: x for of in results for name, x in of.images.items()},
        {name: info for of in results for name, info in of.infos.items()},
    )
    with checked_input():
        x = [ipbox.backend.to_host(image) for image in result.images.values()]
        x = np.stack(x) if b.ndim == 3 else x[0]
        residual = np.array([row.residual for row in result.rows])
        residual = residual if b.ndim == 3 else float(residual[0])
        _write(Path(args.out), x, {"method": args.method, "pixel_size": args.pixel_size, "residual": residual})
    print(result.table())
    size = " x ".join(map(str, x.shape))
    print(f"{size} pixels of {args.pixel_size:g}, from {x.min():.4g} to {x.max():.4g}: {args.out}")
    write_report(args, result.report())


def _shift(args: argparse.Namespace, n_det: int, ds: float) -> float:
    """Where the detector's centre is; --centre says it by the pixel that the axis of rotation projects onto."""
    if args.centre is None:
        return 0.0 if args.det_shift is None else args.det_shift
    if args.det_shift is not None:
        raise UsageError(f"--centre is {args.centre:g} and --det-shift {args.det_shift:g}; expected one of them")
    if not 0 <= args.centre <= n_det - 1:
        raise UsageError(f"--centre is {args.centre:g}; expected a pixel of the detector, 0 to {n_det - 1}")
    return ((n_det - 1) / 2 - args.centre) * ds


def _method(args: argparse.Namespace, A: Any, b: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
    """The method as a function of (A, b); options it does not take are refused."""
    from ipbox.choose import tv_weight

    takes = {
        "fbp": {"filter"},
        "landweber": {"noise_level", "niter"},
        "cgls": {"noise_level", "niter"},
        "tikhonov": {"lam", "noise_level", "niter"},
        "tv": {"lam", "noise_level", "niter", "nonneg"},
    }[args.method]
    given = {name: getattr(args, name) for name in ("filter", "noise_level", "lam", "niter", "nonneg")}
    given = {name: value for name, value in given.items() if value is not None}
    for name in given.keys() - takes:
        raise UsageError(f"--{name.replace('_', '-')} is given; {args.method} does not take it")
    if "lam" in takes and "lam" not in given:
        raise UsageError(f"--lam is not given; {args.method} expects a positive number, or a rule such as gcv")
    if given.get("noise_level") == "estimate":
        given["noise_level"] = ipbox.estimate_noise(b, A)
        print(f"noise level {given['noise_level']:.4g}, {100 * given['noise_level'] / ipbox.backend.norm(b):.2f} %")
    if given.get("lam") in NEED_NOISE and "noise_level" not in given:
        raise UsageError(f"--lam is {given['lam']}; expected it with --noise-level, a number or estimate")
    if given.get("lam") == "auto":
        if args.method != "tv" or "noise_level" not in given:
            raise UsageError("--lam is auto; expected a number, or --method tv with --noise-level")
        given["lam"] = tv_weight(A, b, given["noise_level"])
        print(f"TV weight {given['lam']:.4g}")
    if "lam" in takes and not isinstance(given["lam"], str):
        given.pop("noise_level", None)
    if args.method != "fbp":
        given |= bar(args, args.method)
    function = getattr(ipbox, args.method)

    def run(A: Any, b: Any) -> tuple[Any, Any]:
        try:
            return function(A, b, **given)
        except ValueError as err:
            if not isinstance(given.get("lam"), str):
                raise
            raise UsageError(f"--lam {given['lam']}: {err}") from err  # such as a noise level that no λ reaches

    return run


def _write(path: Path, x: Any, about: dict[str, Any]) -> None:
    """The image as .npy, .npz (``x``), HDF5 (dataset ``x`` with attributes) or a grey picture; all of it or nothing."""
    import numpy as np

    with replacing(path) as out:
        if path.suffix == ".tif":
            from ipbox.io.formats.tiff import write_tiff

            write_tiff(out, x, None, "")
        elif path.suffix == ".npy":
            np.save(out, x, allow_pickle=False)
        elif path.suffix == ".npz":
            np.savez_compressed(out, x=x, **about)
        elif path.suffix == ".h5":
            import h5py

            with h5py.File(out, "w") as file:
                file.create_dataset("x", data=x).attrs.update(about)
        else:
            from matplotlib.image import imsave

            low, high = np.percentile(x, [1.0, 99.8])
            imsave(out, x, cmap="gray", vmin=low, vmax=high, format=path.suffix[1:])
