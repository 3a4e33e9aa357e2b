"""The main figure: held-out CT slices of another patient by FBP, TV at its best weight, and learned methods.

Twelve slices of ct_lung2 (128 x 128, 40 views, 1 % noise); everything learned was trained on ct_lung1, with the weights
shipped in data/.  TV, with u >= 0, is solved at 1e-4, has the weight that is best for these twelve slices on average,
found between worse ones on both sides, and is solved at 1e-5 once more to see that it has converged.  Seconds per image
are those of one thread, all in the same run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import ipbox as ip
from tests.bench.learned import ct_data

WEIGHTS = {
    "pnp": "drunet_fine",
    "red": "drunet_fine",
    "post-processing": "post_processing_ct",
    "unrolled": "unrolled_ct",
    "equilibrium": "equilibrium_ct",
}
REQUIRED = {"unrolled": 1.5}  # dB above TV; the others are printed
START, FACTOR = 0.25, 1.25  # of the weights tried for TV

Method = Callable[[Any, np.ndarray, Any], np.ndarray]  # (A, b, info) -> x
Problems = list[tuple[Any, np.ndarray, np.ndarray, Any]]


def compute() -> dict[str, Any]:
    """Every method whose weights are there, on every test slice."""
    torch.set_num_threads(1)
    test, validation = ct_data.test_problems(), ct_data.validation_problems()
    result: dict[str, Any] = {"slices": list(ct_data.TEST), "tv weights": tv_weights(test, validation)}
    lam = result["tv weights"]["test"]["best"]
    methods: dict[str, Method] = {
        "fbp": lambda A, b, info: ip.fbp(A, b, "hann")[0],
        "tv": lambda A, b, info: tv(A, b, lam),
    }
    methods |= learned_methods()
    result["methods"] = {name: measured(method, test) for name, method in methods.items()}
    return result


def learned_methods() -> dict[str, Method]:
    """Those of the demonstration whose weights are shipped."""
    from ipbox.cli.demos.learned import method
    from ipbox.learned.weights.modules import SHIPPED

    def image_of(run: Callable) -> Method:
        return lambda A, b, info: run(A, b, info)[0]

    return {name: image_of(method(name)) for name, weights in WEIGHTS.items() if weights in SHIPPED}


def measured(method: Method, problems: Problems) -> dict[str, Any]:
    """PSNR, SSIM and seconds of each image."""
    A, b, _, info = problems[0]
    method(A, b, info)  # compiles and plans
    psnr, ssim, seconds = [], [], []
    for A, b, x, info in problems:
        start = time.perf_counter()
        u = method(A, b, info)
        seconds.append(time.perf_counter() - start)
        psnr.append(ip.psnr(u, x))
        ssim.append(ip.ssim(u, x))
    return {"psnr": psnr, "ssim": ssim, "seconds": float(np.median(seconds))}


# ---------------------------------------------------------------- TV


def tv(A: Any, b: np.ndarray, lam: float, tol: float = 1e-4) -> np.ndarray:
    return ip.tv(A, b, lam, nonneg=True, tol=tol, niter=5000)[0]


def tv_weights(test: Problems, validation: Problems) -> dict[str, Any]:
    """The weight with the best mean PSNR, of each set, and how the mean depends on the weight."""
    found = {name: best_weight(problems) for name, problems in (("test", test), ("validation", validation))}
    lam = found["test"]["best"]
    change = [abs(ip.psnr(tv(A, b, lam, 1e-5), x) - ip.psnr(tv(A, b, lam), x)) for A, b, x, _ in test]
    return found | {"change at 1e-5": max(change)}


def best_weight(problems: Problems) -> dict[str, Any]:
    """Steps by a factor until the mean PSNR falls on both sides."""
    means: dict[int, float] = {}

    def mean(k: int) -> float:
        if k not in means:
            means[k] = float(np.mean([ip.psnr(tv(A, b, START * FACTOR**k), x) for A, b, x, _ in problems]))
        return means[k]

    k = 0
    while max(mean(k - 1), mean(k + 1)) > mean(k):
        k += 1 if mean(k + 1) > mean(k) else -1
    weights = {START * FACTOR**j: means[j] for j in sorted(means)}
    return {"best": START * FACTOR**k, "weights": list(weights), "psnr": list(weights.values())}


# ---------------------------------------------------------------- figures


def tv_psnr(result: dict[str, Any]) -> float:
    return float(np.mean(result["methods"]["tv"]["psnr"]))


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    """Required beside measured."""
    reference = tv_psnr(result)
    weights = result["tv weights"]
    note = f"weight {weights['test']['best']:.3g} (validation: {weights['validation']['best']:.3g}), "
    note += f"{weights['change at 1e-5']:.3f} dB from a ten times smaller tolerance"
    found = []
    for name, m in result["methods"].items():
        psnr = float(np.mean(m["psnr"]))
        text = f"{psnr:.2f} dB, SSIM {np.mean(m['ssim']):.3f}, {m['seconds']:.3f} s per image"
        if name == "tv":
            found.append(("ct: TV at its best weight, PSNR", -math.inf, ">=", psnr, f"{text}; {note}"))
        else:
            found.append((f"ct: {name} above TV, dB", REQUIRED.get(name, -math.inf), ">=", psnr - reference, text))
    return found
