"""The shipped denoisers against best TV at σ = 0.1 on camera, coins and astronaut; the bound of the non-expansive one.

``compute`` measures the weights in ``data/``; with RETRAIN=1 in the environment it trains them again first, into
``build/`` (`tests.bench.learned.train_denoisers`).
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.weights.modules import load_weights
from ipbox.problems.truths.photographs import photograph
from tests.bench.learned import train_denoisers

IMAGES = ("camera", "coins", "astronaut")  # none is trained on
SIZE = 256
SIGMA = 0.1
CROP = 64  # pixels a side, for Lipschitz constants
NAMES = {"drunet": "DRUNet", "dncnn": "DnCNN", "non_expansive": "NonExpansive", "gradient_step": "GradientStep"}
Pairs = dict[str, tuple[np.ndarray, np.ndarray]]


def compute() -> dict[str, Any]:
    """PSNR of all methods, seconds for an image, and the Lipschitz constants."""
    torch.set_num_threads(1)
    data = pairs()
    noisy = {image: float(ip.psnr(b, x)) for image, (x, b) in data.items()}
    result: dict[str, Any] = {"noisy": noisy, "tv": {image: best_tv(x, b) for image, (x, b) in data.items()}}
    for name in NAMES:
        net = network(name)
        result[name] = measured(net, data)
    result["lipschitz"] = lipschitz(network("non_expansive"), data)
    crop = to_torch(data["camera"][1][:CROP, :CROP], copy=True)[None, None]
    result["lipschitz"]["drunet"] = jacobian_norm(network("drunet").requires_grad_(False), crop)
    return result


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    report = []
    for image in IMAGES:
        tv = result["tv"][image]["psnr"]
        gains = {name: result[name]["psnr"][image] - tv for name in NAMES}
        note = ", ".join(f"{NAMES[n]} {g:+.2f}" for n, g in gains.items() if n != "drunet") + f" dB; TV {tv:.2f} dB"
        report.append((f"DRUNet above best TV, {image}, sigma 0.1, dB", 0.7, ">=", gains["drunet"], note))
    found = result["lipschitz"]
    note = f"averaged with alpha = {found['alpha']:.3f}; DRUNet's Jacobian at camera: {found['drunet']:.2f}"
    report.append(("NonExpansive, proved bound of the Lipschitz constant", 1 + 1e-6, "<=", found["bound"], note))
    for kind, text in (("difference", "largest ratio of differences"), ("jacobian", "largest norm of a Jacobian")):
        report.append(
            (
                f"NonExpansive, {text}",
                found["bound"] + 1e-6,
                "<=",
                found[kind],
                f"measured on crops of {CROP} x {CROP} pixels of the test images",
            )
        )
    for name, title in NAMES.items():
        note = f"for 256 x 256, one thread; {result[name]['parameters']} parameters"
        report.append((f"{title}, seconds", math.inf, "<=", result[name]["seconds"], note))
    return report


def pairs() -> Pairs:
    """Name -> truth, truth + N(0, 0.1²); float32, [0, 1]."""
    data = {}
    for seed, image in enumerate(IMAGES):
        x = photograph(image, SIZE)
        b = x + SIGMA * np.random.default_rng(seed).standard_normal(x.shape)
        data[image] = x.astype(np.float32), b.astype(np.float32)
    return data


def best_tv(x: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """The best λ for this very image, between neighbours that are worse."""

    def psnr(log_lam: float) -> float:
        u, info = ip.tv(None, b, math.exp(log_lam), tol=1e-4, niter=5000)
        if info.niter == 5000:
            raise RuntimeError(f"TV has not converged: {info}")
        return float(ip.psnr(u, x))

    step = 0.05  # in log λ
    middle = math.log(0.08)
    values = {0: psnr(middle)}
    for direction in (1, -1):
        k = direction
        while (values.setdefault(k, psnr(middle + k * step))) > values[k - direction]:
            k += direction
    best = max(values, key=lambda k: values[k])
    return {"psnr": values[best], "lam": math.exp(middle + best * step)}


def network(name: str) -> torch.nn.Module:
    """The shipped network, or with RETRAIN=1 the one trained again."""
    if os.environ.get("RETRAIN") != "1":
        return load_weights(train_denoisers.ROOT / "data" / f"{name}.safetensors")
    out: Path = train_denoisers.ROOT / "build" / f"{name}.safetensors"
    if not out.is_file():
        train_denoisers.main([name, "--out", str(out)])
    return load_weights(out)


def measured(net: torch.nn.Module, data: Pairs) -> dict[str, Any]:
    """PSNR for each image, median seconds, number of parameters."""
    psnr, seconds = {}, []
    for image, (x, b) in data.items():
        t = to_torch(b)[None, None]
        with torch.inference_mode():
            net(t, SIGMA)
            start = time.perf_counter()
            u = net(t, SIGMA)
        seconds.append(time.perf_counter() - start)
        psnr[image] = float(ip.psnr(from_torch(u)[0, 0], x))
    return {"psnr": psnr, "seconds": float(np.median(seconds)), "parameters": sum(p.numel() for p in net.parameters())}


# ---------------------------------------------------------------- Lipschitz constants


def lipschitz(net: torch.nn.Module, data: Pairs, levels: tuple[float, ...] = (0.02, 0.1, 0.25)) -> dict[str, float]:
    """The proved bound, and the largest measured ratios ‖N x - N y‖/‖x - y‖ and norms of Jacobians, in float64."""
    net = net.double().requires_grad_(False)
    middle = slice(SIZE // 2 - CROP // 2, SIZE // 2 + CROP // 2)
    crops = [u[middle, middle].astype(np.float64) for pair in data.values() for u in pair]
    images = [to_torch(u)[None, None] for u in crops]
    generator = torch.Generator().manual_seed(0)
    ratios, norms = [], []
    for sigma in levels:
        with torch.no_grad():
            denoised = [net(t, sigma) for t in images]
            for i, t in enumerate(images):
                for j in range(i):
                    ratios.append(_ratio(denoised[i] - denoised[j], t - images[j]))
                for size in (1e-3, 0.1):
                    y = t + size * torch.randn(t.shape, generator=generator, dtype=t.dtype)
                    ratios.append(_ratio(net(y, sigma) - denoised[i], y - t))
        norms += [jacobian_norm(net, t, sigma) for t in images[1::2]]  # the noisy ones
    return {
        "bound": net.lipschitz_bound(),
        "alpha": net.averagedness(),
        "difference": max(ratios),
        "jacobian": max(norms),
    }


def jacobian_norm(net: torch.nn.Module, x: torch.Tensor, sigma: float = SIGMA, steps: int = 20) -> float:
    """‖J v‖/‖v‖ for v of a power iteration on JᵀJ, with J the Jacobian at ``x``: from below."""
    v = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    norm = 0.0
    _, adjoint = torch.func.vjp(lambda t: net(t, sigma), x)
    for _ in range(steps):
        v = v / v.norm()
        _, Jv = torch.func.jvp(lambda t: net(t, sigma), (x,), (v,))
        norm = float(Jv.norm())
        (v,) = adjoint(Jv)
    return norm


def _ratio(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(a.norm() / b.norm())
