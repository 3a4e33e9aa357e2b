"""Many ranks of MPI: views or slices that they share, total variation across them, checkpoints, and what is sent.

Run it as a script, or below mpiexec: ``mpiexec -n 4 python tutorials/38_many_ranks.py`` (``pip install 'ipbox[mpi]'``).
``IPBOX_FAST=1`` takes a smaller volume.
"""

# %% The ranks
# All of them run this script.  Started without mpiexec it is the one rank, and needs no MPI; what follows is the same.
# One thread a rank is best: ``OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1``.
import os
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.distributed import RanksCheckpoint, cost_of_samples, cost_of_slices, cost_of_views, world

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

ranks = world()
print(ranks)


def say(text: str) -> None:
    """One line, by one rank."""
    if ranks.leads:
        print(text, flush=True)


# %% Views that are shared
# Each rank has some views and their data; the image is on all of them.  The solver is the one of a single core: A*
# adds up one image over the ranks, and norms of data are those of all data.
size, views = (64, 40) if FAST else (128, 90)
A, b, x_true, info = ip.problem("ct", size=size, views=views, noise=0.02, seed=0)
part, own_data = ranks.views(A, b)
x_views, run = ip.tv(part, own_data, 0.5 * info.pixel_size, nonneg=True, tol=1e-3)
say(f"views: PSNR {ip.psnr(x_views, x_true):.2f} dB after {run.niter} iterations, by {run.splitting}")

# `ranks.vstack` takes any rows: coils of an MRI, frames of a film, parts of a matrix.
# ``A_r = ranks.vstack(ip.CartesianMRI(mask, coils[ranks.own(8)]))``

# %% Slices that are shared
# Each rank reads, projects and reconstructs its slices; total variation in 3-D asks for one slice of a neighbour.
# `slab` reads from an array, a memory map, a dataset of HDF5 or the projections of `read_scan` no more than the rank's
# part: no rank ever holds the whole.
slices = 8 if FAST else 32
z, y, x = np.ogrid[-1 : 1 : slices * 1j, -1 : 1 : size * 1j, -1 : 1 : size * 1j]
volume = ((x**2 + y**2 + z**2 < 0.7) * (1.0 + (x > 0.1) * (z > -0.3))).astype("float32")
angles = np.arange(views) * np.pi / views
scan = OUT / "tutorial_38_scan.npy"
if ranks.leads:
    data = ip.SliceStack(ip.JosephTransform((size, size), angles), slices).apply(volume)
    np.save(scan, data + 0.5 * np.random.default_rng(0).standard_normal(data.shape, dtype="float32"))
ranks.comm.wait()

own_data = ranks.slab(np.load(scan, mmap_mode="r"), axis=1)
one = ip.JosephTransform((size, size), angles)
keep = RanksCheckpoint(ranks, OUT / "tutorial_38_run.npz", every=50)
with ranks.slabs():
    A = ranks.blockdiag(ip.SliceStack(one, own_data.shape[1]))
    x_own, run = ip.tv(A, own_data, 0.5, nonneg=True, tol=1e-2, callbacks=[keep])
x_slices = ranks.gather(x_own)
say(f"slices: PSNR {ip.psnr(x_slices, volume):.2f} dB after {run.niter} iterations, {ranks.sent} bytes sent by rank 0")

# %% Samples that are shared
# In bilevel learning each rank solves for its own images, and they stay there: numbers and sums go over the ranks, so
# that all of them learn the same.  (DFO is told of û - u where all images have at most 4096 entries together.)
count = 4 if FAST else 8
truths = np.kron(np.random.default_rng(0).random((count, 4, 4)), np.ones((8, 8)))
noisy = truths + 0.1 * np.random.default_rng(1).standard_normal(truths.shape)
term, bounds, before = ip.bilevel.Weight(ip.SmoothedTV((32, 32), eps=0.01)), (-3.0, 0.0), ranks.sent
found = ip.bilevel.learn((truths, noisy), term, ip.bilevel.DFO(evaluations=10), [-2.5], bounds, n_jobs=ranks)
say(f"weight {10 ** found.theta[0]:.3f}, f = {found.f:.3f}; {ranks.sent - before} bytes sent by rank 0")
first = found.history[0]["point_f"]
assert found.f < first / 3  # of the noise that was left at the start

# %% Going on
# Every rank has written its own file, all of the same step.  A rank that dies ends the job; what it has left goes on:
# ``ip.tv(..., state=keep.newest())``.
say(f"checkpoint of rank 0: {keep.newest().name}")

# %% What it costs
# Bytes and messages of an iteration are known before it is run, and equal to what the ranks count.
for name, cost in {
    "2048³ by views": cost_of_views((2048, 2048, 2048), 2048, 2048, ranks=64),
    "2048³ by slices": cost_of_slices((2048, 2048, 2048), 2048, 2048, ranks=64),
    "a step of learning from 10⁵ images of 96²": cost_of_samples((96, 96), 10**5, 3, ranks=64),
}.items():
    say(f"{name}: {cost.sent / 1e6:.4g} MB sent and {cost.memory / 1e9:.3g} GB held by each of 64 ranks")

# %% Side by side
if ranks.leads:
    middle = slices // 2
    images, top = [x_true, x_views, volume[middle], x_slices[middle]], float(x_true.max())
    names, scale = ["truth", "views shared", "truth, middle slice", "slices shared"], [top, top, 2.0, 2.0]
    ip.show(*images, titles=names, vmin=[0.0] * 4, vmax=scale, scale="own", path=OUT / "tutorial_38.png")
assert ip.psnr(x_views, x_true) > (26 if FAST else 29)
assert ip.psnr(x_slices, volume) > (24 if FAST else 27)
