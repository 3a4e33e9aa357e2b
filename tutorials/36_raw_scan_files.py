"""Raw scans: from the files of a beamline and of a laboratory to volumes, reading no more than is asked for.

The files are made here, of a shipped chest CT, as a beamline (NXtomo) and a laboratory's instrument (.xtekct) write
them.  Put the paths of your own in their place.
"""

# %% A beamline's file
# Frames of all kinds lie in one dataset, and image_key says which is which: 2 dark, 1 flat, 0 a view.  Pixels differ in
# gain by 3 %, and the axis of rotation is 3.3 columns off the panel's middle.
import os
from pathlib import Path

import h5py
import numpy as np
import tifffile

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
FILES = OUT / "raw_scan_files"
FILES.mkdir(parents=True, exist_ok=True)

rng = np.random.default_rng(0)
n, views, shift = (64, 90, 3.3) if FAST else (128, 180, 3.3)
_, _, truth, info = ip.problem("cone", size=n, views=4)  # (slices, rows, columns) in 1/mm
truth, h = truth[26:34].astype("float64"), info.pixel_size
degrees, columns = 180.0 * np.arange(views) / views, n + 16
A_true = ip.RayTransform((n, n), np.deg2rad(degrees), columns, h, shift * h, h, dtype="float64")
p = np.stack([A_true.apply(u) for u in truth], axis=1)  # (views, rows, columns)
gains = 2e4 * (1 + 0.03 * rng.standard_normal(p.shape[1:]))


def counts(transmission):
    return (100 + rng.poisson(gains * transmission)).astype("uint16")


frames = [np.stack([counts(0 * gains)] * 5), counts(np.ones((12, *gains.shape))), counts(np.exp(-p))]
with h5py.File(FILES / "chest.nxs", "w") as file:
    entry = file.create_group("entry")
    entry.attrs["NX_class"] = "NXentry"
    key = np.repeat([2, 1, 0], [len(part) for part in frames])
    entry["instrument/detector/data"] = np.concatenate(frames)
    entry["instrument/detector/image_key"] = key
    for axis in "xy":
        entry[f"instrument/detector/{axis}_pixel_size"] = 1e3 * h
        entry[f"instrument/detector/{axis}_pixel_size"].attrs["units"] = "um"
    entry["sample/rotation_angle"] = np.concatenate([np.zeros((key != 0).sum()), degrees])
    entry["sample/rotation_angle"].attrs["units"] = "degree"

# %% What it tells, and what it does not
# Nothing of the frames has been read yet.  Rows lie along the axis, so that a few rows of all views are a few slices.
scan = ip.read_scan(FILES / "chest.nxs")
print(scan)
print("missing:", scan.missing)
few = scan.part(rows=slice(2, 6))
T, guard = ip.measured.flat_field(few.projections[:], few.flats[:], few.darks[:])
b = ip.measured.minus_log(T)
centre = ip.measured.find_centre(b, few.angles, det_spacing=h)
print(f"{guard}; the axis is at column {centre.column:.2f}, in truth {(columns - 1) / 2 - shift:.2f}")
A = few.transform(n, det_shift=centre.det_shift)
x_parallel, _ = ip.fbp(A, np.ascontiguousarray(b.swapaxes(0, 1)), "hann")

# %% A laboratory's cone beam
# An .xtekct file of settings, and a TIFF file for each view.  The instrument has divided by the flat field, and scaled
# to WhiteLevel.  `scan.transform` knows distances, pixels and the sense of rotation.
A_cone, b_cone, _, _ = ip.problem("cone", size=n // 2, views=views, noise=0.0)
white, M = 5e4, A_cone.magnification
for k, view in enumerate(rng.poisson(white * np.exp(-b_cone.clip(0)))):
    tifffile.imwrite(FILES / f"chest_{k + 1:04d}.tif", view.clip(0, 65535).astype("uint16"))
settings = {
    "Name": "chest",
    "Projections": views,
    "AngularStep": -360 / views,
    "InitialAngle": 0,
    "SrcToObject": A_cone.source_distance,
    "SrcToDetector": A_cone.source_distance + A_cone.detector_distance,
    "DetectorPixelsX": A_cone.n_det[1],
    "DetectorPixelsY": A_cone.n_det[0],
    "DetectorPixelSizeX": A_cone.det_spacing[1],
    "DetectorPixelSizeY": A_cone.det_spacing[0],
    "ObjectOffsetX": 0,
    "WhiteLevel": white,
}
lines = "\n".join(f"{name}={value}" for name, value in settings.items())
(FILES / "chest.xtekct").write_text(f"[XTekCT]\n{lines}\n")
lab = ip.read_scan(FILES / "chest.xtekct")
print(lab)
T, _ = ip.measured.flat_field(lab.projections[:], lab.flats[:])
A_lab = lab.transform(n // 2, pixel_size=A_cone.voxel_widths[1])
x_cone, _ = ip.fdk(A_lab, ip.measured.minus_log(T), "hann")

# %% The same by one command each
# `python -m ipbox scan build/raw_scan_files/chest.nxs --method tv --out chest.tif` finds the axis, chooses the weight
# from the noise in the flats, and writes the volume with a report and a picture of three planes.
ip.save(x_cone, FILES / "chest.mrc", spacing=A_lab.voxel_widths, unit="1/mm")

# %% Headline: both are the chest, in 1/mm
middle, off = truth[4], ip.fbp(few.transform(n), np.ascontiguousarray(b.swapaxes(0, 1)), "hann")[0]
with_axis, without = ip.psnr(x_parallel[2], middle), ip.psnr(off[2], middle)
print(f"parallel beam: {with_axis:.1f} dB, with the axis in the panel's middle {without:.1f} dB")
ip.show(
    *(middle, x_parallel[2], off[2], x_cone[len(x_cone) // 2]),
    titles=["truth", f"NXtomo: {with_axis:.1f} dB", f"axis not found: {without:.1f} dB", ".xtekct, half the size"],
    unit="1/mm",
    path=OUT / "tutorial_36.png",
)
assert abs(centre.column - ((columns - 1) / 2 - shift)) < 0.25 and with_axis > without + 4
tissue = (truth[2:6] > 0.018) & (truth[2:6] < 0.022)
assert abs(np.median(x_parallel[tissue]) / np.median(truth[2:6][tissue]) - 1) < 0.02
