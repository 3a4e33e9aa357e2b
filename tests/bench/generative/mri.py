"""MR with generative priors (covariance, range, inverse GAN), total variation, and a variational network.

Generative priors have the weight λ = cσ²; c is chosen once, at one setting, on the held-out slices of the training
patient, that of TV there for each setting anew.  Figures are means over slices of the other patient.
What has been computed is kept in ``build/`` from cell to cell.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import ipbox as ip
from ipbox.learned.networks.generative import CovarianceVAE
from ipbox.learned.weights.modules import load_weights, pretrained
from tests.bench.generative import mr
from tests.bench.learned.brains import HELD_OUT

KEPT = Path(__file__).resolve().parents[3] / "build" / "generative_mri.json"
SPOKES = [mr.Setting("radial", spokes) for spokes in (5, 10, 15, 25, 40, 65)]
NOISES = [mr.Setting("radial", 15, noise) for noise in (0.2, 0.1, 0.025, 0.0125)]
LINES = [mr.Setting("Cartesian", lines) for lines in (16, 32)]
OWN = mr.Setting("radial", 15)  # what the variational network was trained for
FACTORS = (0.3, 1.0, 3.0)  # c
TV_WEIGHTS = (0.05, 0.1, 0.2, 0.4)  # λ over the noise
COVARIANCES = ("identity", "diagonal", "covariance")
JOINT = "covariance, joint mode"  # κ = ½ instead of u integrated out
METHODS = (*COVARIANCES, "range", "TV", "variational network", JOINT, "inverse GAN")
FILES = {"identity": "covariance_identity", "diagonal": "covariance_diagonal", "covariance": "covariance_3x3"}
FEWER = {JOINT: SPOKES, "inverse GAN": SPOKES[:4]}  # where these are measured, which take long
FILES[JOINT] = FILES["covariance"]

Method = Callable[[ip.CartesianMRI, np.ndarray, float, float], np.ndarray]


def settings() -> list[mr.Setting]:
    return [*SPOKES, *NOISES, *LINES]


@cache
def model(name: str) -> Any:
    return pretrained(name)


def generative(A: ip.CartesianMRI, b: np.ndarray, noise: float, factor: float, name: str) -> np.ndarray:
    prior = {"range": "range", "inverse GAN": "inverse_gan"}.get(name, "covariance")
    if prior == "inverse_gan":
        level = mr.noise_level(A, noise)
        return ip.generative(
            A, b, model("wgan"), prior=prior, noise_level=level, niter=150, weight_steps=100, restarts=2
        )[0]
    net, weight = model(FILES.get(name, "vae")), factor * noise**2
    options = dict(prior=prior, lam=weight, tol=3e-3, niter=60, restarts=2)
    return ip.generative(A, b, net, log_det_factor=0.5 if name == JOINT else None, **options)[0]


def total_variation(A: ip.CartesianMRI, b: np.ndarray, noise: float, factor: float) -> np.ndarray:
    return ip.tv(A, b, factor * noise, nonneg=True, tol=1e-3, niter=500)[0]


@cache
def network() -> Any:
    return load_weights(Path(__file__).with_name("variational_network.safetensors"), A=OWN.operator())


def variational_network(A: ip.CartesianMRI, b: np.ndarray, noise: float, factor: float) -> np.ndarray:
    return network().with_operator(A).reconstruct(b)[0]


def method(name: str) -> tuple[Method, tuple[float, ...]]:
    """The method, and its grid of weights."""
    if name == "TV":
        return total_variation, TV_WEIGHTS
    if name == "variational network":
        return variational_network, (1.0,)
    grid = (1.0,) if name in (JOINT, "inverse GAN") else FACTORS
    return lambda A, b, noise, factor: generative(A, b, noise, factor, name), grid


def psnrs(x: np.ndarray, truth: np.ndarray) -> list[float]:
    return [round(float(ip.psnr(a, t)), 3) for a, t in zip(x, truth, strict=True)]


def chosen(name: str, setting: mr.Setting) -> float:
    """The weight of the grid that is best on the held-out slices."""
    A, (run, grid) = setting.operator(), method(name)
    if len(grid) == 1:
        return grid[0]
    truth = mr.heads("train", HELD_OUT)
    b = mr.measured(A, truth, setting.noise, np.random.default_rng(1))
    return max(grid, key=lambda factor: float(np.mean(psnrs(run(A, b, setting.noise, factor), truth))))


@cache
def chosen_once(name: str) -> float:
    return chosen(name, OWN)


def cell(setting: mr.Setting, name: str) -> dict[str, Any]:
    """The weight, and the figures of the test slices."""
    A, (run, _) = setting.operator(), method(name)
    factor = chosen(name, setting) if name == "TV" else chosen_once(name)
    truth = mr.heads("test", mr.TEST)
    b = mr.measured(A, truth, setting.noise, np.random.default_rng(2))
    start = time.process_time()
    x = run(A, b, setting.noise, factor)
    seconds = (time.process_time() - start) / len(truth)
    values = psnrs(x, truth)
    ssim = float(np.mean([ip.ssim(a, t) for a, t in zip(x, truth, strict=True)]))
    return {"factor": factor, "psnr": float(np.mean(values)), "psnrs": values, "ssim": ssim, "seconds": seconds}


def compute() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    for name in METHODS:
        for setting in FEWER.get(name, settings()):
            key = f"{name}: {setting.name}"
            if key not in kept:
                kept[key] = cell(setting, name)
                print(f"  {key:52} {kept[key]['psnr']:6.2f} dB, factor {kept[key]['factor']:g}", flush=True)
                KEPT.parent.mkdir(exist_ok=True)
                temporary = KEPT.with_suffix(".tmp")
                temporary.write_text(json.dumps(kept))
                os.replace(temporary, KEPT)
    return {"cells": kept, **costs()}


# ---------------------------------------------------------------- cost


def seconds(call: Callable[[], Any]) -> float:
    """Processor time of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def ratio(call: Callable[[], Any], other: Callable[[], Any], repeats: int = 15) -> float:
    """The median of how much longer one takes than the other, by turns, so that what else runs slows down both."""
    call(), other()
    return float(np.median([seconds(call) / seconds(other) for _ in range(repeats)]))


def costs() -> dict[str, float]:
    """Of 128 x 128 pixels beside `ip.tv`, and of restarts beside one."""
    import torch

    torch.manual_seed(0)
    net = CovarianceVAE(64, (128, 128), (24, 32, 48, 64), structure="3x3").eval()
    A, b, _, info = ip.problem("mri", size=128, noise=0.05, real_image=True, image="head", acceleration=3)
    options = dict(noise_level=info.noise_level, log_det_factor=0.5, restarts=1)
    over = ratio(lambda: ip.generative(A, b, net, **options), lambda: ip.tv(A, b, 0.01, nonneg=True))
    A = OWN.operator()
    b = mr.measured(A, mr.heads("test", (11,))[0], OWN.noise, np.random.default_rng(2))
    common = dict(lam=OWN.noise**2, log_det_factor=0.5, niter=5, tol=1e-12)
    net = model(FILES["covariance"])
    one, four = (lambda k=k: ip.generative(A, b, net, restarts=k, **common) for k in (1, 4))
    return {"over TV": over, "four restarts": ratio(four, one)}


# ---------------------------------------------------------------- the table


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    cells = result["cells"]

    def psnr(name: str, setting: mr.Setting) -> float:
        return cells[f"{name}: {setting.name}"]["psnr"]

    def least(name: str, chosen: list[mr.Setting]) -> tuple[float, str]:
        gains = [(psnr("covariance", s) - psnr(name, s), s.name) for s in chosen]
        return min(gains)

    table: list[tuple[str, float, str, float, str]] = []
    for name, required in (("identity", 0.0), ("diagonal", 0.0), ("range", 2.0)):
        gain, where = least(name, SPOKES[1:])
        table.append((f"covariance over {name} from 10 spokes on, least, dB", required, ">=", gain, f"at {where}"))
    name = "variational network"
    others = [s for s in [*SPOKES, *NOISES] if s != OWN]
    behind, where = max((psnr("covariance", s) - psnr(name, s), s.name) for s in others)
    table.append(("variational network behind covariance off its setting, dB", 3.0, ">=", behind, f"at {where}"))
    own = psnr(name, OWN) - psnr("covariance", OWN)
    table.append(("variational network over covariance at its setting, dB", 0.0, ">=", own, OWN.name))
    worst = max(psnr(m, s) - psnr("covariance", s) for s in others for m in (name,))
    table.append(("covariance behind variational network anywhere, dB", 3.0, "<=", worst, "at most"))
    table.append(
        ("128 x 128, covariance prior, one start, over ip.tv", 30.0, "<=", result["over TV"], "processor time")
    )
    table.append(("four restarts as a batch, over one", 3.0, "<=", result["four restarts"], "processor time"))
    for s in settings():
        values = ", ".join(f"{m} {psnr(m, s):.2f}" for m in METHODS if f"{m}: {s.name}" in cells)
        table.append((f"{s.name}: covariance, PSNR", float("inf"), ">=", psnr("covariance", s), values))
    return table
