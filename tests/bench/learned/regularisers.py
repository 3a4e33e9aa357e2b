"""Learned ridge regularisers against the best TV: denoising of photographs that nothing was trained on, noise 0.1.

TV has its best weight for each picture, found on the truth between worse ones; the learned regularisers have λ = 1 and
the scale 1, as they were trained by `train_regularisers`.  All are solved to convergence.  Two pictures that are no
photographs, a scanned page and a cell under the microscope, are only printed.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.evaluate import check_disjoint
from ipbox.learned.weights.modules import pretrained
from ipbox.problems.truths.datasets import area_average
from tests.bench.learned import denoisers, photographs

RESULTS = Path(__file__).parent / "results"
NETWORKS = {"CRR": "convex_ridge", "WCRR": "weakly_convex_ridge"}
PHOTOGRAPHS = (*denoisers.IMAGES, "grace_hopper")  # the last one comes with matplotlib
OTHERS = ("page", "cell")  # of skimage.data
REQUIRED = {"CRR above TV": 0.5, "WCRR above CRR": 0.4}


def compute() -> dict[str, Any]:
    """PSNR of all pictures, and what is proved of the regularisers."""
    torch.set_num_threads(1)
    data = pairs()
    check_disjoint(photographs.photographs()[0], [x for x, _ in data.values()])
    known = json.loads((RESULTS / "denoisers.json").read_text())["result"]["tv"]  # of the same data
    result: dict[str, Any] = {
        "noisy": {image: float(ip.psnr(b, x)) for image, (x, b) in data.items()},
        "TV": {image: known.get(image) or denoisers.best_tv(x, b) for image, (x, b) in data.items()},
    }
    for name, weights in NETWORKS.items():
        net = pretrained(weights)
        result[name] = {image: denoised(net, x, b) for image, (x, b) in data.items()}
        result[name]["proved"] = {"L": net.lipschitz, "rho": net.weak_convexity, "convex": net.convex}
        result[name]["parameters"] = sum(p.numel() for p in net.parameters())
        print(f"  {name}: {result[name]}", flush=True)
    return result


def pairs() -> denoisers.Pairs:
    """Those of `denoisers`, and three more pictures: 256 pixels a side, or what there is."""
    from matplotlib.cbook import get_sample_data
    from skimage import data, io

    found = denoisers.pairs()
    hopper = io.imread(get_sample_data("grace_hopper.jpg"), as_gray=True)[44:556]
    pictures = {"grace_hopper": area_average(hopper, (denoisers.SIZE,) * 2)}
    pictures |= {name: getattr(data, name)().astype(np.float64) / 255 for name in OTHERS}
    for seed, (name, u) in enumerate(pictures.items(), len(found)):
        n = min(*u.shape, denoisers.SIZE)
        i, j = ((m - n) // 2 for m in u.shape)
        x = u[i : i + n, j : j + n]
        b = x + denoisers.SIGMA * np.random.default_rng(seed).standard_normal(x.shape)
        found[name] = x.astype(np.float32), b.astype(np.float32)
    return found


def denoised(net: torch.nn.Module, x: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """PSNR, iterations and seconds of min ½‖u - b‖² + R(u)."""
    R = ip.LearnedRegulariser(net, dims=b.shape)
    start = time.perf_counter()
    u, info = ip.variational(None, b, R, 1.0, tol=1e-4, niter=2000)
    return {"psnr": float(ip.psnr(u, x)), "niter": info.niter, "seconds": time.perf_counter() - start}


def mean(result: dict[str, Any], name: str, images: tuple[str, ...]) -> float:
    return float(np.mean([result[name][image]["psnr"] for image in images]))


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    tv, crr, wcrr = (mean(result, name, PHOTOGRAPHS) for name in ("TV", "CRR", "WCRR"))
    each = "; ".join(
        f"{image} " + " ".join(f"{result[name][image]['psnr']:.2f}" for name in ("TV", "CRR", "WCRR"))
        for image in result["noisy"]
    )
    means = f"TV {tv:.2f}, CRR {crr:.2f}, WCRR {wcrr:.2f} dB on average of the photographs"
    proved = {name: result[name]["proved"] for name in NETWORKS}
    table = [
        ("denoising: CRR above the best TV, dB", REQUIRED["CRR above TV"], ">=", crr - tv, f"TV CRR WCRR: {each}"),
        ("denoising: WCRR above CRR, dB", REQUIRED["WCRR above CRR"], ">=", wcrr - crr, means),
        ("denoising: modulus of weak convexity of WCRR", 1.0, "<=", proved["WCRR"]["rho"], "by construction"),
        ("denoising: modulus of weak convexity of CRR", 0.0, "<=", proved["CRR"]["rho"], "convex by construction"),
    ]
    for name in NETWORKS:
        gain = mean(result, name, OTHERS) - mean(result, "TV", OTHERS)
        table.append((f"denoising: {name} above the best TV on what is no photograph, dB", -math.inf, ">=", gain, ""))
    for name in NETWORKS:
        seconds = float(np.median([result[name][image]["seconds"] for image in result["noisy"]]))
        note = f"{result[name]['parameters']} parameters; L = {proved[name]['L']:.3g}"
        table.append((f"denoising: {name}, seconds for a picture", math.inf, "<=", seconds, note))
    return table
