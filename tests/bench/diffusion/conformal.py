"""Conformal intervals on CT: how much of new slices they hold, and how wide they are.

Slices of 64 x 64 pixels, 30 views, 2 % noise.  Φ is TV with the weight that the noise level gives, and fbp; calibrated
on 20 slices of ct_lung1 and tested on 20 of ct_lung2, then within ct_lung2: on 20 of its slices drawn at random, for
which the guarantee holds exactly, and on those of its upper third, to test on the lower one.  The network is trained on
128 x 128 slices of ct_lung1 (40 views, 1 % noise), so it is calibrated within ct_lung2 only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

import ipbox as ip
from ipbox.choose import tv_weight
from ipbox.evaluate import calibrate

ALPHAS, METHODS, SLICES, SPLITS = (0.1, 0.32), ("risk", "pixel"), 20, 100
SETTING = {"size": 64, "views": 30, "noise": 0.02}
OF_NETWORK = {"size": 128, "views": 40, "noise": 0.01}
EVERY = {"train": np.linspace(0, 47, SLICES).round(), "test": np.linspace(0, 60, 2 * SLICES).round()}


def compute() -> dict[str, Any]:
    posed = {patient: problems(patient, SETTING) for patient in EVERY}
    of_tv, of_fbp = images(posed, tv), images(posed, lambda A, b, info: ip.fbp(A, b, "hann")[0])
    found = {"tv": splits(posed, of_tv), "tv, varying": splits(posed, of_tv, varying), "fbp": splits(posed, of_fbp)}
    network, warm = {"test": problems("test", OF_NETWORK)}, {}

    def learned(A: Any, b: Any, info: Any) -> Any:
        net = warm.setdefault("net", ip.learned.pretrained("post_processing_ct", A))
        return net.reconstruct(b)[0]

    return found | {"network": splits(network, images(network, learned))}


def problems(patient: str, setting: dict[str, Any]) -> list[tuple[Any, ...]]:
    slices = [int(k) for k in EVERY[patient]]
    return [ip.problem("ct", **setting, slice=k, patient=patient, seed=k) for k in slices]


def tv(A: Any, b: Any, info: Any) -> Any:
    return ip.tv(A, b, tv_weight(A, b, info.noise_level), nonneg=True, tol=1e-3)[0]


def varying(x: Any) -> Any:
    """Where errors are expected: near edges of the reconstruction, and some everywhere."""
    slope = np.hypot(*np.gradient(x))
    return gaussian_filter(slope, 1.0) + slope.mean()


def images(posed: dict[str, list[tuple[Any, ...]]], method: Callable[..., Any]) -> dict[bytes, Any]:
    """Each reconstruction is computed once; Φ then is a matter of looking it up."""
    return {b.tobytes(): method(A, b, info) for of_patient in posed.values() for A, b, _, info in of_patient}


def splits(
    posed: dict[str, list[tuple[Any, ...]]], found: dict[bytes, Any], deviation: Callable[[Any], Any] | None = None
) -> dict[str, Any]:
    """Coverage and width for every split of the slices into known and new ones."""
    pairs = {patient: [(b, x_true) for _, b, x_true, _ in of_patient] for patient, of_patient in posed.items()}

    def phi(b: Any) -> Any:
        return found[b.tobytes()]

    s = None if deviation is None else lambda b: deviation(phi(b))
    held_out, rng = pairs["test"], np.random.default_rng(0)
    third = len(held_out) // 3
    orders = [rng.permutation(len(held_out)) for _ in range(SPLITS)]
    result = {"truth": float(np.mean([u.max() for _, u in held_out]))}
    for method_name in METHODS:
        for alpha in ALPHAS:

            def measure(known: list, new: list, alpha: float = alpha, name: str = method_name) -> list[float]:
                found = calibrate(phi, known, alpha, deviation=s, method=name).coverage(new)
                return [found.mean, found.error, found.width]

            random = [shares([held_out[k] for k in order], phi, s, method_name, alpha) for order in orders]
            result[f"{method_name} {alpha:g}"] = {
                "patients": measure(pairs["train"], held_out[::2]) if "train" in pairs else None,
                "regions": measure(held_out[:third], held_out[-third:]),
                "random": np.mean(random, axis=0).tolist(),
            }
    return result


def shares(pairs: list, phi: Callable, s: Callable | None, method: str, alpha: float) -> list[float]:
    """Calibrated by the first pairs, tested on the others; without a look at each split for images that agree."""
    intervals = calibrate(phi, pairs[:SLICES], alpha, deviation=s, method=method)
    ends = [(u, *intervals.interval(b)) for b, u in pairs[SLICES:]]
    inside = [float(((low <= u) & (u <= high)).mean()) for u, low, high in ends]
    width = float(np.mean([(high - low).mean() for _, low, high in ends]))
    return [float(np.mean(inside)), float(np.std(inside, ddof=1) / np.sqrt(len(inside))), width]


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    table = []
    for name, of_method in result.items():
        for method in METHODS:
            for alpha in ALPHAS:
                for split, measured in of_method[f"{method} {alpha:g}"].items():
                    if measured is None:
                        continue
                    mean, error, width = measured
                    n = len(EVERY["test"]) // 3 if split == "regions" else SLICES
                    margin = 2 / (n + 1) if method == "risk" else 0.0  # what few pairs cost
                    off = max(1 - alpha - mean, mean - (1 - alpha) - margin, 0.0) / error
                    required = 2.0 if split == "random" or (split == "patients" and name == "tv") else np.inf
                    where = {"patients": "other patient", "random": "random slices", "regions": "other region"}[split]
                    note = f"holds {100 * mean:.1f} ± {100 * error:.1f} %, width {width / of_method['truth']:.3f}"
                    told = f"{name}, {method}, {100 * (1 - alpha):g} %, {where}: standard errors off"
                    table.append((told, required, "<=", off, f"{note} of the largest value"))
    return table
