"""Other unrolled maps, trained briefly here: learned primal-dual on CT, a variational network on MRI, LISTA on codes.

They show that each learns, and are not the best that it can do.  RECOMPUTE=1 trains them, or goes on from checkpoints
in build/learned: about ten minutes on one core.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.learned.bridge.arrays import to_torch
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.maps.lista import LISTA
from ipbox.learned.maps.primal_dual import LearnedPrimalDual
from ipbox.learned.maps.variational_network import VariationalNetwork, magnitude_loss
from ipbox.learned.training.fit import fit
from tests.bench.learned import ct, ct_data, train_unrolled
from tests.bench.learned.train_unrolled import CHECKPOINTS, SCALE

RESULTS = Path(__file__).parent / "results"
Result = dict[str, Any]


def compute() -> Result:
    torch.set_num_threads(1)
    return {"primal-dual": primal_dual(), "variational network": variational_network(), "lista": lista()}


def rows(result: Result) -> list[tuple[str, float, str, float, str]]:
    pd, vn, codes = result["primal-dual"], result["variational network"], result["lista"]
    reference = ct.tv_psnr(json.loads((RESULTS / "ct.json").read_text())["result"])
    print_only = (-math.inf, ">=")
    tv = f"TV at its best weight {reference:.2f} dB, {pd['steps']} steps of training"
    zero_filled = f"zero-filled {vn['zero-filled']:.2f}, TV {vn['tv']:.2f} dB, {vn['steps']} steps of training"
    k = len(codes["lista"]) - 1
    iterations = f"after {k} layers and iterations: LISTA {codes['lista'][-1]:.1f}, ISTA {codes['ista'][-1]:.1f}"
    return [
        ("unrolled: learned primal-dual above TV on CT, dB", *print_only, pd["psnr"] - reference, tv),
        ("unrolled: variational network above TV on MRI, dB", *print_only, vn["psnr"] - vn["tv"], zero_filled),
        ("unrolled: variational network above zero-filled, dB", *print_only, vn["psnr"] - vn["zero-filled"], ""),
        (
            "unrolled: LISTA's error below FISTA's at equal iterations, dB",
            0.0,
            ">=",
            codes["fista"][k] - codes["lista"][k],
            f"{iterations}, FISTA {codes['fista'][k]:.1f} dB of the codes' norm",
        ),
    ]


# ---------------------------------------------------------------- learned primal-dual


def primal_dual(steps: int = 750) -> Result:
    """Mean PSNR on the CT experiment's test slices."""
    torch.manual_seed(0)
    model = LearnedPrimalDual(ct_data.training_pairs(copies=24).A, niter=6, width=32, scale=SCALE)
    train_unrolled.train(model, "primal_dual", steps, batch_size=2, lr=1e-3)
    method = model.as_method()
    psnr = [ip.psnr(method(A, b)[0], x) for A, b, x, _ in ct_data.test_problems()]
    return {"psnr": float(np.mean(psnr)), "steps": steps}


# ---------------------------------------------------------------- variational network

MRI = {"size": 128, "acceleration": 4, "noise": 0.01, "phase": True}
HEADS = (3, 9, 15, 21)  # of the test patient


def variational_network(steps: int = 400) -> Result:
    """Mean PSNR of magnitudes on slices of another patient; one mask for all."""
    torch.manual_seed(0)
    problems = [ip.problem("mri", slice=k, seed=0, **MRI) for k in HEADS]
    A = problems[0][0]
    images = np.stack([ip.problem("mri", slice=k, patient="train", **MRI)[2] for k in range(25)])
    model = VariationalNetwork(A, stages=4, filters=8, size=7, nodes=15)
    fit(
        model,
        lambda model, batch, generator: magnitude_loss(model(batch[0]), batch[1]),
        mri_batches(A, to_torch(images), 1),
        steps=steps,
        lr=3e-3,
        checkpoint=CHECKPOINTS / "train_variational_network.safetensors",
    )
    x = [x for _, _, x, _ in problems]
    lam = best_mri_weight(problems)
    return {
        "psnr": mean_psnr([model.reconstruct(b)[0] for _, b, _, _ in problems], x),
        "zero-filled": mean_psnr([ip.zero_filled(A, b)[0] for A, b, _, _ in problems], x),
        "tv": mean_psnr([ip.tv(A, b, lam, tol=1e-4, niter=3000)[0] for A, b, _, _ in problems], x),
        "lam": lam,
        "steps": steps,
    }


def mri_batches(A: ip.CartesianMRI, images: torch.Tensor, size: int) -> Callable[[torch.Generator], tuple]:
    """Slices, flipped at random, and their sampled data with new noise."""
    L, mask = LinearMap(A), to_torch(np.asarray(A.mask > 0, np.float32))
    share = float(mask.mean())

    def batch(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        u = images[torch.randint(len(images), (size,), generator=generator)]
        if torch.rand(1, generator=generator) < 0.5:
            u = u.flip(-1)
        clean = L(u.contiguous())
        sigma = MRI["noise"] * clean.flatten(1).norm(dim=1) / math.sqrt(share * mask.numel())
        noise = torch.randn(clean.shape, dtype=clean.dtype, generator=generator)  # E|n_i|² = 1
        return clean + sigma[:, None, None] * mask * noise, u

    return batch


def best_mri_weight(problems: list) -> float:
    """TV's, by steps of a factor 2."""

    def mean(lam: float) -> float:
        return mean_psnr(
            [ip.tv(A, b, lam, tol=1e-4, niter=3000)[0] for A, b, _, _ in problems], [p[2] for p in problems]
        )

    lams = 1e-3 * 2.0 ** np.arange(7)
    best = int(np.argmax([mean(lam) for lam in lams]))
    if best in (0, len(lams) - 1):
        raise ValueError(f"the best weight {lams[best]:g} is the first or last one tried")
    return float(lams[best])


def mean_psnr(us: list[np.ndarray], xs: list[np.ndarray]) -> float:
    return float(np.mean([ip.psnr(np.abs(u), np.abs(x)) for u, x in zip(us, xs, strict=True)]))


# ---------------------------------------------------------------- LISTA


def lista(steps: int = 1500, layers: int = 12) -> Result:
    """10 log10 of ‖u^k - u‖²/‖u‖² for sparse codes u of random data b = Mu, for k = 0, ..., ``layers``."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    M = (rng.standard_normal((50, 100)) / math.sqrt(50)).astype(np.float32)
    model, L = LISTA(M, niter=layers, lam=0.1), float(np.linalg.norm(M, 2) ** 2)
    matrix = to_torch(M)

    def batch(generator: torch.Generator, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
        u = torch.randn(size, 100, generator=generator) * (torch.rand(size, 100, generator=generator) < 0.1)
        return u @ matrix.T, u

    def loss(model: LISTA, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        b, u = batch
        return (model(b) - u).square().sum() / u.square().sum()

    fit(model, loss, batch, steps=steps, lr=1e-3, clip=1.0)
    b, u = batch(torch.Generator().manual_seed(1), 500)

    def decibels(iterates: list[np.ndarray]) -> list[float]:
        x = u.numpy()
        return [10 * math.log10(float(((v - x) ** 2).sum() / (x**2).sum())) for v in iterates]

    def best(accelerated: bool) -> list[float]:
        """Of the best λ for the last iterate."""
        runs = [decibels(ista(M, b.numpy(), lam, L, layers, accelerated)) for lam in 0.2 * 0.7 ** np.arange(12)]
        return min(runs, key=lambda errors: errors[-1])

    with torch.no_grad():
        learned = decibels([v.numpy() for v in model.iterates(b)])
    return {"lista": learned, "ista": best(False), "fista": best(True)}


def ista(M: np.ndarray, b: np.ndarray, lam: float, L: float, niter: int, accelerated: bool) -> list[np.ndarray]:
    """The iterates of (F)ISTA for all rows of b at once."""
    u = y = np.zeros((len(b), M.shape[1]), np.float32)
    iterates, t = [u], 1.0
    for _ in range(niter):
        z = y - (y @ M.T - b) @ M / L
        v = np.sign(z) * np.maximum(np.abs(z) - lam / L, 0)
        t_next = 0.5 * (1 + math.sqrt(1 + 4 * t * t)) if accelerated else 1.0
        y, u, t = v + (t - 1) / t_next * (v - u), v, t_next
        iterates.append(u)
    return iterates
