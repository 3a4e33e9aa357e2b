"""Instability: networks and TV on CT under the worst perturbation of the same norm, each under its own.

One map after another is attacked with perturbations e of the data, ‖e‖ that of the 1 % noise, which bring Φ(b + e) as
far from the truth as the search can; TV is attacked through smoothed TV, and evaluated itself.  Then a small detail is
inserted, and views are added.  Test slices of ct_lung2; weights from data/.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.evaluate import Variational, more_samples, recovered_contrast, stability_table
from ipbox.learned.weights.modules import pretrained
from ipbox.operators.tomography.ramp import RampFilter
from tests.bench.learned import ct_data

BUILD = Path(__file__).resolve().parents[3] / "build"
SLICES = (3, 23)
MAPS = {
    "post-processing, no noise": "post_processing_ct_noiseless",
    "post-processing": "post_processing_ct",
    "unrolled": "unrolled_ct",
}
TV_WEIGHT = 0.31
SMOOTHING = 4e-4  # 1/mm, a hundredth of the image's range: ν of √(|∇u|² + ν²)
VIEWS = (20, 40, 60, 80, 120)


def maps_of(A: Any) -> dict[str, Any]:
    """TV through its smooth approximation, filtered back-projection, and the networks."""
    R = TV_WEIGHT * ip.SmoothedTV(tuple(A.dims), eps=SMOOTHING)
    smooth = Variational(A, R, tol=1e-4, niter=1000, nonneg=True)
    return {"TV": smooth, "fbp": A.H @ RampFilter(A)} | {name: pretrained(file, A) for name, file in MAPS.items()}


def tv(A: Any, b: np.ndarray) -> np.ndarray:
    return ip.tv(A, b, TV_WEIGHT, nonneg=True, tol=1e-4, niter=3000)[0]


def detail(size: int) -> np.ndarray:
    """The letters "IP" in strokes of two pixels, left of the middle; 0.008 1/mm, a fifth of the image's range."""
    d = np.zeros((size, size), "float32")
    i, j = size // 2 - 6, size // 2 - 24
    d[i : i + 12, j : j + 2] = 1  # I
    d[i : i + 12, j + 5 : j + 7] = 1  # P
    d[i : i + 2, j + 5 : j + 11] = d[i + 5 : i + 7, j + 5 : j + 11] = 1
    d[i : i + 7, j + 9 : j + 11] = 1
    return 0.008 * d


def compute() -> dict[str, Any]:
    """Attack every map on two slices, then the detail and the views on one."""
    torch.set_num_threads(1)
    found = [attacked(k, picture=k == SLICES[0]) for k in SLICES]
    names = found[0]["names"]
    A, _, x, _ = ct_data.test_problems()[0]
    contrast = {name: recovered_contrast(_run(name, A), A, x, detail(x.shape[0])) for name in names}
    problems = [ip.problem("ct", size=128, views=n, noise=0.01, slice=SLICES[0], seed=0) for n in VIEWS]
    samples = {"TV": more_samples(lambda A, b: (tv(A, b), None), problems)}
    for name, file in MAPS.items():
        samples[name] = more_samples(lambda A, b, file=file: pretrained(file, A).reconstruct(b), problems)
    return {"slices": found, "names": names, "contrast": contrast, "views": VIEWS, "samples": samples}


def _run(name: str, A: Any) -> Any:
    return (lambda b: tv(A, b)) if name == "TV" else maps_of(A)[name].apply if name == "fbp" else _map(name, A)


def _map(name: str, A: Any) -> Any:
    net = pretrained(MAPS[name], A)
    return lambda b: net.reconstruct(b)[0]


def attacked(index: int, picture: bool = False) -> dict[str, Any]:
    """The table of one slice; the data are those of the operator, without noise, so that only e is wrong."""
    A, _, x, info = ip.problem("ct", size=128, views=40, noise=0.01, slice=index, seed=index)
    b = A.apply(x)
    table = stability_table(
        maps_of(A), b, x, info.noise_level, evaluate={"TV": lambda b: tv(A, b)}, niter=15, restarts=1, seed=index
    )
    noise = np.random.default_rng(index).standard_normal(b.shape).astype(b.dtype)
    noise *= info.noise_level / np.linalg.norm(noise)
    runs = {name: _run(name, A) for name in table.names}
    random = [float(np.linalg.norm(run(b + noise) - x)) for run in runs.values()]
    print(f"slice {index}\n{table.table()}", flush=True)
    if picture:
        _picture(table, x, BUILD / "stability.png")
    return {
        "names": table.names,
        "norm": info.noise_level,
        "clean": table.clean.tolist(),
        "errors": table.errors.tolist(),
        "changes": table.changes.tolist(),
        "under noise": random,
        "truth": float(np.linalg.norm(x)),
    }


def _picture(table: Any, x: np.ndarray, path: Path) -> None:
    images, titles = [x], ["truth"]
    for i, name in enumerate(table.names):
        p = table.perturbations[name]
        images += [p.x, p.x_perturbed]
        titles += [name, f"its worst case: {table.errors[i, i] / np.linalg.norm(x):.2f}"]
    BUILD.mkdir(exist_ok=True)
    ip.show(*images, titles=titles, path=path, vmin=0, vmax=0.03)


def losses(result: dict[str, Any], key: str = "errors") -> dict[str, float]:
    """Mean over the slices of what each map loses under its own worst perturbation."""
    own = {}
    for i, name in enumerate(result["names"]):
        lost = [s[key][i][i] - (s["clean"][i] if key == "errors" else 0.0) for s in result["slices"]]
        own[name] = float(np.mean(lost))
    return own


def same_for_tv(result: dict[str, Any], name: str) -> float:
    """Mean over the slices of what TV loses under the worst perturbation of another map."""
    i, j = result["names"].index("TV"), result["names"].index(name)
    return float(np.mean([s["errors"][i][j] - s["clean"][i] for s in result["slices"]]))


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    """Required beside measured."""
    lost, changed = losses(result), losses(result, "changes")
    found = []
    for name in result["names"]:
        note = f"error grows by {lost[name]:.4g}, image changes by {changed[name]:.4g}"
        if name != "TV":
            found.append((f"stability: {name}, loss over TV's", -math.inf, ">=", lost[name] / lost["TV"], note))
        else:
            found.append(("stability: TV, growth of the error", -math.inf, ">=", lost[name], note))
    for name in result["names"][2:]:
        ratio = lost[name] / same_for_tv(result, name)
        found.append((f"stability: {name}, loss over TV's under the same e", -math.inf, ">=", ratio, "e is its own"))
    for name, value in result["contrast"].items():
        found.append((f"stability: contrast of the inserted letters, {name}", -math.inf, ">=", value, "1: in full"))
    for name, curve in result["samples"].items():
        told = ", ".join(f"{v}: {p:.2f}" for v, (_, p) in zip(result["views"], curve, strict=True))
        found.append((f"stability: dB from 40 to 120 views, {name}", -math.inf, ">=", curve[-1][1] - curve[1][1], told))
    return found
