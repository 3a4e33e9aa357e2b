"""Do regions that samples take for 90 and 50 per cent hold so much of the truth?  Sparse-view CT, held-out patient.

Of N = 19 independent samples of a posterior, a truth of the same law lies between the k-th from below and the k-th
from above with probability 1 - 2k/(N + 1): 90 per cent for k = 1 and 50 for k = 5.  Truths are pixels in the field of
view and means over patches of 8 x 8 pixels.  Real slices are not drawn from the learned prior, so that this tests
prior and sampler together.  MYULA has total variation for a prior, the last states of as many chains.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.bayes import ranks
from ipbox.bayes.diffusion.sampling import METHODS
from ipbox.cli.demos.diffusion import TV_WEIGHT
from ipbox.evaluate import check_disjoint
from ipbox.learned.priors import as_score
from ipbox.learned.weights.modules import pretrained
from ipbox.problems.truths.datasets import field_of_view
from ipbox.solvers import stopping
from tests.bench.diffusion import ct_data

VIEWS, NOISE, SLICES = 15, 0.02, (14, 30, 46)
SAMPLES, PATCH, BINS = 19, 8, 10
EDGES = {0.9: 1, 0.5: 5}  # level -> k
CHAIN = 2000  # steps of MYULA
NAMES = (*METHODS, "myula")


def compute() -> dict[str, Any]:
    """Ranks and widths for each sampler and slice; those in ``build/`` are not sampled again."""
    torch.set_num_threads(1)
    truths = [problem(k)[2] for k in SLICES]
    check_disjoint(ct_data.training_images(), [(u / np.float32(ct_data.UNIT)).astype(np.float32) for u in truths])
    return {name: [record(name, k) for k in SLICES] for name in NAMES}


def problem(index: int) -> tuple[Any, ...]:
    return ip.problem("ct", size=ct_data.SIZE, views=VIEWS, noise=NOISE, slice=index, seed=index, dtype="float32")


def record(name: str, index: int) -> dict[str, Any]:
    """`measured` of one run, with its seconds."""
    path = ct_data.BUILD / f"coverage_{name}_{index}.json"
    if path.is_file():
        return json.loads(path.read_text())
    A, b, x_true, info = problem(index)
    start = time.process_time()
    samples = chains(A, b, info) if name == "myula" else sampled(A, b, info, name)
    found = measured(x_true / ct_data.UNIT, samples / ct_data.UNIT) | {"seconds": time.process_time() - start}
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(found))
    temporary.replace(path)
    return found


def sampled(A: Any, b: np.ndarray, info: Any, name: str) -> np.ndarray:
    score = as_score(pretrained("score_ct"), scale=ct_data.UNIT)
    return ip.diffusion(A, b, score, noise_level=info.noise_level, method=name, samples=SAMPLES).samples


def chains(A: Any, b: np.ndarray, info: Any) -> np.ndarray:
    """exp(-‖Au - b‖²/(2s²) - λ TV(u)), with λ as good a weight for the mode as there is."""
    s = info.noise_level / b.size**0.5
    mode = ip.tv(A, b, TV_WEIGHT * s)[0]
    posed = ip.Problem(s**-2 * ip.L2(A, b) + TV_WEIGHT / s * ip.TV(tuple(A.dims)), batch=SAMPLES)
    return ip.solve(posed, ip.MYULA(), x0=np.stack([mode] * SAMPLES), stop=stopping.niter(CHAIN)).x


def measured(x_true: np.ndarray, samples: np.ndarray) -> dict[str, Any]:
    """For pixels and for patches: the share of truths in each region, its mean width, and the histogram of ranks."""
    inside = field_of_view(x_true.shape)
    found = {}
    for what, (u, x) in {
        "pixel": (x_true[inside], samples[:, inside]),
        "patch": (patches(x_true), patches(samples)),
    }.items():
        order, of = np.sort(x, axis=0), ranks(u[None], x[None])[0]
        found[what] = {"histogram": np.bincount(of * BINS // (SAMPLES + 1), minlength=BINS).tolist()}
        for level, k in EDGES.items():
            within = (k <= of) & (of <= SAMPLES - k)
            width = (order[SAMPLES - k] - order[k - 1]).mean()
            found[what][f"{level:g}"] = [float(within.mean()), float(width)]
    return found | {"rms": float(np.sqrt(np.mean((samples.mean(axis=0) - x_true)[inside] ** 2)))}


def patches(u: np.ndarray) -> np.ndarray:
    """Means over the patches that lie in the field of view, along the last axis."""

    def means(v: np.ndarray) -> np.ndarray:
        n, m = (size // PATCH for size in v.shape[-2:])
        return v.reshape(*v.shape[:-2], n, PATCH, m, PATCH).mean(axis=(-3, -1))

    return means(u)[..., means(field_of_view(u.shape[-2:]).astype(float)) == 1]


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    """What is off: truths outside of the regions beyond those that should be, or fewer."""
    table = []
    for name, runs in result.items():
        for what in ("pixel", "patch"):
            for level in EDGES:
                share, width = np.array([run[what][f"{level:g}"] for run in runs]).T
                error = share.std(ddof=1) / np.sqrt(len(share))
                note = f"± {100 * error:.1f} % over {len(runs)} slices; mean width {width.mean():.4f} of 0.02/mm, "
                note += f"rms error of the mean {np.mean([run['rms'] for run in runs]):.4f}"
                told = f"{name}, {what}: held by {100 * level:g} % regions, %"
                table.append((told, np.inf, ">=", 100 * share.mean(), note))
            histogram = np.sum([run[what]["histogram"] for run in runs], axis=0)
            off = float(np.abs(histogram / histogram.sum() - 1 / BINS).sum() / 2)
            note = f"total variation to uniform; tenths {', '.join(f'{h:.2f}' for h in histogram / histogram.sum())}"
            table.append((f"{name}, {what}: ranks of the truth, distance", np.inf, "<=", off, note))
    return table
