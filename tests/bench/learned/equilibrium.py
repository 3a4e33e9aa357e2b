"""More iterations at test time: they do not hurt the deep equilibrium map, and they hurt an unrolled network.

Both have the same network and the same data; the unrolled one has six steps with shared weights, and its iteration is
simply continued.  Mean PSNR of the CT experiment's test slices after k = 0, ..., 100 iterations, with the weights that
are shipped in data/; with RETRAIN=1 in the environment they are trained again first, into build/learned.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.cli.demos.learned import TV_WEIGHT
from ipbox.learned.bridge.arrays import to_torch
from ipbox.learned.maps.equilibrium import DeepEquilibrium
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from ipbox.learned.weights.modules import load_weights, pretrained
from tests.bench.learned import ct, ct_data
from tests.bench.learned.train_unrolled import CHECKPOINTS

NITER = 100
PRINT_ONLY = (-np.inf, ">=")


def compute() -> dict[str, Any]:
    torch.set_num_threads(1)
    problems = ct_data.test_problems()
    A, x = problems[0][0], [x for _, _, x, _ in problems]
    b = to_torch(np.stack([b for _, b, _, _ in problems]))
    equilibrium, unrolled = (weights(name, A) for name in ("equilibrium_ct", "unrolled_shared_ct"))
    with torch.no_grad():
        equilibrium(b)
        return {
            "steps": len(unrolled.networks),
            "tol": equilibrium.solver.tol,
            "niter": equilibrium.found.niter - 1,  # steps taken; the last evaluation only finds the residual small
            "converged": equilibrium.found.converged,
            "contraction": equilibrium.contraction(b).tolist(),
            "equilibrium": curve(equilibrium, b, x),
            "equilibrium, plain": curve(plain(equilibrium), b, x),
            "unrolled": curve(plain(continued(unrolled)), b, x),
            "tv": float(np.mean([ip.psnr(ct.tv(A, bi, TV_WEIGHT), xi) for _, bi, xi, _ in problems])),
        }


def weights(name: str, A: ip.RayTransform) -> torch.nn.Module:
    """The shipped map, or with RETRAIN=1 the one trained again."""
    if os.environ.get("RETRAIN") != "1":
        return pretrained(name, A)
    file = CHECKPOINTS / f"{name}.safetensors"
    if not file.is_file():
        CHECKPOINTS.mkdir(parents=True, exist_ok=True)
        script = "tests.bench.learned.train_equilibrium"
        subprocess.run([sys.executable, "-m", script, "--out", str(CHECKPOINTS)], check=True)
    return load_weights(file, A=A)


def continued(unrolled: LearnedProximalGradient) -> DeepEquilibrium:
    """The iteration of an unrolled network with shared weights, for as many steps as one likes."""
    names = ("network", "width", "filter", "scale")
    net = DeepEquilibrium(unrolled.A.A, **{name: unrolled.config[name] for name in names})
    net.network, net.eta.data = unrolled.networks[0], unrolled.tau.data[0]
    return net


def plain(net: DeepEquilibrium) -> DeepEquilibrium:
    """Without Anderson's acceleration."""
    other = net.with_operator(net.A.A)
    other.solver = replace(net.solver, memory=1)
    return other


def curve(net: DeepEquilibrium, b: torch.Tensor, x: list[np.ndarray]) -> dict[str, list[float]]:
    """Mean PSNR, and the largest relative residual, after 0, ..., 100 iterations."""
    net = net.with_operator(net.A.A)
    net.solver = replace(net.solver, niter=NITER)
    psnr, residual, data = [], [], b / net.scale
    for u, r in net.solver.iterates(lambda u: net.step(u, data), net.E.start(data)):
        psnr.append(float(np.mean([ip.psnr(ui, xi) for ui, xi in zip((net.scale * u).numpy(), x, strict=True)])))
        residual.append(float(r.max()))
        if len(psnr) > NITER:
            return {"psnr": psnr, "residual": residual}
    raise AssertionError("the iteration does not end")


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    eq, plain, un = (result[name]["psnr"] for name in ("equilibrium", "equilibrium, plain", "unrolled"))
    K, k = result["steps"], min(result["niter"], NITER)
    ended = f"the tolerance of training, {result['tol']:g}" if result["converged"] else "the most of training"
    norm = f"norm of the Jacobian there: {min(result['contraction']):.2f} to {max(result['contraction']):.2f}; "
    norm += f"each plain iteration multiplies the residual by {rate(result, 'equilibrium, plain'):.3f}, "
    norm += f"the unrolled network's by {rate(result, 'unrolled'):.3f}"
    return [
        (
            f"equilibrium: PSNR after {NITER} iterations above that after {k}, dB",
            -0.1,
            ">=",
            eq[NITER] - eq[k],
            f"{eq[NITER]:.2f} and {eq[k]:.2f} dB; {k}: {ended}",
        ),
        (
            f"equilibrium: what {NITER} iterations lose, over what they lose unrolled",
            *PRINT_ONLY,
            max(eq[k] - eq[NITER], 0) / (un[K] - un[NITER]),
            f"{eq[k] - eq[NITER]:.2f} dB of {un[K] - un[NITER]:.2f} dB",
        ),
        (
            "equilibrium: the same with plain iterations, dB",
            *PRINT_ONLY,
            plain[NITER] - plain[k],
            f"{plain[NITER]:.2f} and {plain[k]:.2f} dB",
        ),
        (
            f"equilibrium: what an unrolled network of {K} steps loses in {4 * K}, dB",
            1.0,
            ">=",
            un[K] - un[4 * K],
            f"{un[K]:.2f}, {un[4 * K]:.2f} and after {NITER} {un[NITER]:.2f} dB",
        ),
        (
            "equilibrium: PSNR of the fixed point above TV's, dB",
            *PRINT_ONLY,
            eq[NITER] - result["tv"],
            f"TV {result['tv']:.2f} dB",
        ),
        (
            f"equilibrium: largest residual after {NITER} iterations",
            np.inf,
            "<=",
            result["equilibrium"]["residual"][NITER],
            norm,
        ),
    ]


def rate(result: dict[str, Any], name: str) -> float:
    """By which factor the residual changes in each of the last 50 iterations, on average."""
    residual = result[name]["residual"]
    return (residual[NITER] / residual[NITER - 50]) ** (1 / 50)
