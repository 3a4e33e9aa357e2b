"""How much truth does training need?  The same small networks, trained with truths and from noisy data alone.

Denoising: DnCNN on photographs with noise of σ = 0.1, of which there is one realisation; with truths, by Stein's
estimate, and, as a control, by taking noisy images for clean ones.  CT: one learned proximal gradient step on slices of
64 x 64 with 25 views, with truths, from data alone by equivariant imaging with quarter turns, and by Stein's estimate
without them.  Everything is trained from random weights, by RECOMPUTE=1: about eight minutes on
one free core that multiplies matrices in bfloat16 (AMX), several times that elsewhere.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from ipbox.learned.networks.denoisers import DnCNN
from ipbox.learned.training.fit import fit
from ipbox.learned.training.losses import SURE, Denoising, EquivariantImaging, QuarterTurns, Supervised
from ipbox.operators.tomography.ramp import RampFilter
from ipbox.problems.simulated.joseph import joseph
from ipbox.problems.truths.datasets import area_average, field_of_view, lung_slice
from ipbox.problems.truths.photographs import photograph

SIGMA = 0.1
TRAINING, TESTING = ("brick", "cat", "coffee", "grass", "gravel", "rocket"), ("camera", "coins")
SIZE, VIEWS, SCALE = 64, 25, 0.04  # of the CT images; 1/mm
TEST_SLICES = range(3, 61, 5)  # of the test patient
VARIANTS = 8  # of each of the 48 training slices
STEPS = {"photographs": 2000, "ct": 600}


def compute() -> dict[str, Any]:
    torch.set_num_threads(1)
    return {"photographs": denoising(STEPS["photographs"]), "ct": tomography(STEPS["ct"])}


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    p, c = result["photographs"], result["ct"]
    gaps = [p["SURE"][name] - p["truths"][name] for name in TESTING]
    table = [("photographs: PSNR by SURE less PSNR with truths (dB)", -0.5, ">=", min(gaps), _each(p))]
    naive = [p["SURE"][name] - p["noisy as clean"][name] for name in TESTING]
    table.append(("photographs: PSNR by SURE less PSNR with noisy images as truths", 0.5, ">=", min(naive), ""))
    gain, most = (c[name]["psnr"] - c["start"]["psnr"] for name in ("equivariant", "truths"))
    table.append(("CT: PSNR by equivariant imaging less PSNR at the start (dB)", 0.5, ">=", gain, _ct(c)))
    lost = c["equivariant"]["psnr"] - c["SURE"]["psnr"]
    table.append(("CT: PSNR by equivariant imaging less PSNR by SURE alone (dB)", 0.0, ">=", lost, ""))
    table.append(("CT: share of the gain with truths", -math.inf, ">=", gain / most, "printed only"))
    return table


def _each(p: dict[str, Any]) -> str:
    return "; ".join(f"{k}: {' '.join(f'{v[name]:.2f}' for name in TESTING)}" for k, v in p.items())


def _ct(c: dict[str, Any]) -> str:
    return "; ".join(f"{k}: {v['psnr']:.2f}" for k, v in c.items())


# ---------------------------------------------------------------- photographs


def tiles() -> torch.Tensor:
    """Tiles of 64 x 64 of the training photographs, at full and half size, (n, 1, 64, 64) float32."""
    images = [photograph(name) for name in TRAINING]
    images += [photograph(name, len(u) // 2) for name, u in zip(TRAINING, images, strict=True)]
    cut = [
        u[i : i + 64, j : j + 64] for u in images for i in range(0, len(u) - 63, 64) for j in range(0, len(u) - 63, 64)
    ]
    return to_torch(np.stack(cut).astype(np.float32))[:, None]


def denoising(steps: int) -> dict[str, dict[str, float]]:
    """PSNR of the test photographs (256 x 256) by method."""
    clean = tiles()
    noisy = clean + SIGMA * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    sigma = torch.full((8,), SIGMA)

    def pairs(generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        b, x = _turned((noisy, clean), generator)
        return b, sigma, x

    def alone(generator: torch.Generator) -> torch.Tensor:
        return _turned((noisy,), generator)[0]

    methods = {
        "truths": (Supervised(), pairs),
        "SURE": (SURE(SIGMA), alone),
        "noisy as clean": (Denoising((SIGMA, SIGMA)), alone),
    }
    found = {"noisy": _photographs(lambda b: b)}
    for name, (loss, data) in methods.items():
        torch.manual_seed(0)
        net = DnCNN(width=32, depth=6).to(memory_format=torch.channels_last)
        start = time.perf_counter()
        fit(net, loss, data, steps=steps, clip=1.0, autocast="bfloat16")
        found[name] = _photographs(lambda b, net=net: net(b, SIGMA)) | {"seconds": time.perf_counter() - start}
        print(f"  {name}: {found[name]}", flush=True)
    return found


def _turned(tensors: tuple[torch.Tensor, ...], generator: torch.Generator) -> list[torch.Tensor]:
    """Eight samples at random, turned and mirrored, the same in each tensor; white noise stays white."""
    index = torch.randint(len(tensors[0]), (8,), generator=generator)
    turns, mirror = torch.randint(4, (2,), generator=generator).tolist()
    picked = (t[index].rot90(turns, (-2, -1)) for t in tensors)
    return [(t.flip(-1) if mirror % 2 else t).contiguous(memory_format=torch.channels_last) for t in picked]


def _photographs(denoise: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, float]:
    found = {}
    for seed, name in enumerate(TESTING):
        x = photograph(name, 256).astype(np.float32)
        noise = torch.randn((1, 1, *x.shape), generator=torch.Generator().manual_seed(100 + seed))
        with torch.no_grad():
            u = denoise(to_torch(x)[None, None] + SIGMA * noise)
        found[name] = ip.psnr(from_torch(u[0, 0], copy=True), x)
    return found


# ---------------------------------------------------------------- tomography


def tomography(steps: int) -> dict[str, dict[str, float]]:
    """Mean PSNR of the test patient's slices by method, in the geometry of the training patient."""
    A = ip.problem("ct", size=SIZE, views=VIEWS, noise=0, patient="train", slice=0)[0]
    x, b = sinograms(A, "train", range(48), VARIANTS)
    x_test, b_test = sinograms(A, "test", TEST_SLICES, 1)
    sigma = 0.01 * float(b.square().mean().sqrt())
    b, b_test = (t + sigma * torch.randn(t.shape, generator=torch.Generator().manual_seed(5)) for t in (b, b_test))

    def pairs(generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        index = torch.randint(len(b), (8,), generator=generator)
        return b[index], x[index]

    def alone(generator: torch.Generator) -> torch.Tensor:
        return pairs(generator)[0]

    L, W = LinearMap(A), LinearMap((1 / SCALE) * (A.H @ RampFilter(A)))  # errors as those of the image
    methods = {
        "truths": (Supervised(W=torch.tensor(1 / SCALE)), pairs),
        "equivariant": (EquivariantImaging(L, QuarterTurns(), sigma, weight=1 / SCALE**2, W=W), alone),
        "SURE": (SURE(sigma, L, W), alone),
    }
    fbp = [ip.psnr(ip.fbp(A, from_torch(v, copy=True))[0], from_torch(u)) for v, u in zip(b_test, x_test, strict=True)]
    found = {"FBP": {"psnr": float(np.mean(fbp))}, "start": {"psnr": _mean_psnr(_map(A), b_test, x_test)}}
    for name, (loss, data) in methods.items():
        model, start = _map(A), time.perf_counter()
        fit(model, loss, data, steps=steps, clip=1.0, autocast="bfloat16")
        found[name] = {"psnr": _mean_psnr(model, b_test, x_test), "seconds": time.perf_counter() - start}
        print(f"  {name}: {found[name]}", flush=True)
    return found


def sinograms(A: Any, patient: str, slices: range, variants: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and clean data of slices, and of versions of them that are turned by up to 17 degrees and scaled.

    As in `ip.problem`, the data come from a grid twice as fine, by another projector than A.
    """
    rng, mask, found = np.random.default_rng(0), field_of_view((SIZE, SIZE)), []
    for k in slices:
        u = lung_slice(k, 2 * SIZE, patient=patient)[0]
        for i in range(variants):
            v = (_varied(u, rng) if i else u) * np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1)
            data = joseph(v, A.angles, A.n_det, A.det_spacing, pixel_size=A.pixel_size / 2, rays_per_bin=2)
            found.append((area_average(v, (SIZE, SIZE)), data))
    return tuple(to_torch(np.stack(part).astype(np.float32)) for part in zip(*found, strict=True))


def _varied(u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import affine_transform

    angle, zoom = rng.uniform(-0.3, 0.3), rng.uniform(0.85, 1.15)
    M = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) / zoom
    centre = (np.array(u.shape) - 1) / 2
    return np.maximum(affine_transform(u, M, centre - M @ centre, order=1), 0.0)


def _map(A: Any) -> LearnedProximalGradient:
    torch.manual_seed(0)
    model = LearnedProximalGradient(A, niter=1, network="unet", width=24, filter="ramp", scale=SCALE)
    return model.to(memory_format=torch.channels_last)


def _mean_psnr(model: LearnedProximalGradient, b: torch.Tensor, x: torch.Tensor) -> float:
    with torch.no_grad():
        u = model(b)
    return float(np.mean([ip.psnr(from_torch(v, copy=True), from_torch(w)) for v, w in zip(u, x, strict=True)]))
