"""Cone-beam CT: a volume from a circle, a short scan, a panel to one side and few views, by FDK, CGLS and TV.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes a smaller volume.
"""

# %% The geometry
# A point source turns about the z axis, a flat panel opposite to it.  Volumes are (z, y, x), projections (views, rows,
# columns), and the panel's rows go along z.  `A.geometry` says where everything is; its picture is worth a look before
# anything is reconstructed.
import math
import os
from pathlib import Path

import numpy as np

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

size, views = (32, 96) if FAST else (96, 240)
A, b, x_true, info = ip.problem("cone", size=size, views=views, noise=0.02, seed=0)
print(A.geometry)
A.geometry.show(OUT / "tutorial_35_scan.png", unit="mm")

# %% A full circle
# The method of Feldkamp, Davis and Kress: cosine weights, the ramp along the panel's rows, and back-projection along
# the rays with 1/U².  In the plane of the source it is the fan beam's; away from it a circle does not measure all.
x_full, _ = ip.fdk(A, b, "hann")

# %% A short scan
# π plus the fan's opening angle sees every line of the source's plane at least once; Parker's weights share out what is
# seen twice.
opening = 2 * math.atan(np.abs(A.positions()[1]).max() / (A.source_distance + A.detector_distance))
needed = math.ceil((math.pi + opening) / (2 * math.pi) * views) + 1
x_short, _ = ip.fdk(A.subset(slice(0, needed)), b[:needed], "hann")

# %% A panel to one side
# Half a panel that sees a little beyond the axis is enough on a full circle: what it misses, it sees from the other
# side.  `with_columns` is the same scan with other columns; its data are those of the whole panel.
columns = A.n_det[1]
kept = slice(columns // 2 - 6, columns)
middle = float(A.positions()[1][kept].mean())
A_side = A.with_columns(columns - kept.start, middle)
x_side, _ = ip.fdk(A_side, np.ascontiguousarray(b[:, :, kept]), "hann")
near, far = A_side.geometry.fields_of_view()
print(
    f"{A_side.n_det[1]} of {columns} columns: all views see {near:.0f} mm about the axis, one side of each {far:.0f} mm"
)

# %% Few views
# Every sixth view.  Conjugate gradients fit the data until the residual is that of the noise; total variation in three
# dimensions couples the slices.
A_few, b_few = A.subset(slice(0, None, 6)), np.ascontiguousarray(b[::6])
delta = math.hypot(info.noise_level, info.model_error) * math.sqrt(len(b_few) / len(b))
x_fdk, _ = ip.fdk(A_few, b_few, "hann")
x_cgls, cgls = ip.cgls(A_few, b_few, noise_level=delta)
lam = 0.02 * float(np.abs(A_few.apply_adjoint(b_few)).max()) / size
x_tv, tv = ip.tv(A_few, b_few, lam, nonneg=True, tol=2e-3)
print(f"cgls: {cgls.niter} iterations ({cgls.stop}); tv: {tv.niter} ({tv.stop})")

# %% A volume that does not fit
# With less memory than its arrays need, `ip.tv` keeps them in files and works through them in blocks of slices: it says
# so before it starts.  The volume is the same, to the last bit, after the same steps.
short_run = dict(nonneg=True, tol=2e-2, solver=ip.PDHG(relax=1.8))
x_inside, _ = ip.tv(A_few, b_few, lam, **short_run)
x_blocks, _ = ip.tv(A_few, b_few, lam, memory=6 * x_tv.nbytes + 7 * b_few.nbytes, progress=True, **short_run)
assert np.array_equal(x_blocks, x_inside)

# %% Look
few = len(b_few)
volumes = {
    f"fdk, {views} views on a circle": x_full,
    f"fdk, short scan of {needed}": x_short,
    "fdk, half a panel": x_side,
    f"fdk, {few} views": x_fdk,
    f"cgls, {few} views": x_cgls,
    f"tv, {few} views": x_tv,
}
quality = [ip.psnr(x, x_true) for x in volumes.values()]
titles = ["truth", *(f"{name}: {value:.1f} dB" for name, value in zip(volumes, quality, strict=True))]
print("\n".join(titles[1:]))
slices = [x[len(x) // 2] for x in (x_true, *volumes.values())]
ip.show(*slices, titles=titles, unit=info.unit, path=OUT / "tutorial_35.png")
ip.show(x_true, x_fdk, x_tv, titles=["truth", *titles[4::2]], unit=info.unit, spacing=A.voxel_widths,
        path=OUT / "tutorial_35_planes.png")  # fmt: skip

# %% The headline: a short scan and half a panel cost little, and from few views TV is several dB above FDK and CGLS
full, short, side, fdk_few, cgls_few, tv_few = quality
assert short > full - 1.5 and side > full - 1.5
assert tv_few > fdk_few + 3 and tv_few > cgls_few + 1
