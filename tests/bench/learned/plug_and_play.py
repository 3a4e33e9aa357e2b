"""Plug-and-play: deblurring against the Wiener filter and TV, and when it converges.

Photographs of 256 x 256 that no network was trained on, blurred along a line and with white noise.  The blur is
periodic and known exactly, as in the experiments of Zhang et al. 2021; rows marked "field of view" are those of
`ip.problem`, where what lies outside of the picture is blurred in and no boundary condition is right.  Wiener and TV
have their best parameter for each picture, found between worse ones; plug-and-play has its defaults and 16 iterations.
The network was trained by `train_denoisers` and adapted by `train_plug_and_play`, its weights are those of data/.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.learned.priors import Denoiser
from ipbox.learned.weights.modules import pretrained

IMAGES = ("camera", "coins", "astronaut")
BLUR = dict(size=256, kernel="motion", length=15.0, angle=0.6, noise=0.03)
EXACT = dict(boundary="periodic", inverse_crime=True)
NETWORK = "drunet_fine"
SETTINGS: dict[str, Any] = dict(niter=16)
BUILD = Path(__file__).resolve().parents[3] / "build"


def compute() -> dict[str, Any]:
    """Every picture by every method, and the demonstrations of convergence; writes a picture to build/."""
    torch.set_num_threads(1)
    net = pretrained(NETWORK)
    result: dict[str, Any] = {"convergence": convergence()}
    for name, options in (("exact", EXACT), ("field of view", {})):
        result[name] = {image: deblurred(net, image, options, name == "exact") for image in IMAGES}
    return result


def deblurred(net: torch.nn.Module, image: str, options: dict[str, Any], picture: bool = False) -> dict[str, Any]:
    """PSNR of the three methods, and their parameters."""
    A, b, x, info = ip.problem("blur", image=image, **BLUR, **options)
    # what the noise is and, in the field of view, what the boundary adds: an ideal choice, as for the others
    level = math.hypot(info.noise_level, 0 if options else info.model_error)
    s2 = level**2 / b.size

    def wiener(factor: float) -> np.ndarray:
        return ip.wiener(A, b, factor * level, edgetaper=A.diagonal is None)[0]

    def tv(factor: float, tol: float = 1e-4) -> np.ndarray:
        return ip.tv(A, b, factor * s2, tol=tol, niter=5000)[0]

    found = {"wiener": best(wiener, x, 1.0, 1.25), "tv": best(tv, x, 8.0, 1.5)}
    converged = ip.psnr(tv(found["tv"]["parameter"], 1e-5), x) - found["tv"]["psnr"]
    start = time.perf_counter()
    u, run = ip.pnp(A, b, net, noise_level=level, **SETTINGS)
    seconds = time.perf_counter() - start
    found["tv"]["change at 1e-5"] = converged
    found["pnp"] = {"psnr": ip.psnr(u, x), "seconds": seconds, "convergence": str(run.extra["monitor"])}
    if picture:
        BUILD.mkdir(exist_ok=True)
        shown = {"truth": x, "blurred": b, "Wiener": wiener(found["wiener"]["parameter"])}
        shown |= {"TV": tv(found["tv"]["parameter"]), "plug-and-play": u}
        titles = [f"{name}, {ip.psnr(v, x):.2f} dB" if name != "truth" else name for name, v in shown.items()]
        ip.show(*shown.values(), titles=titles, path=BUILD / f"deblurring_{image}.png", vmin=0, vmax=1)
    return found


def best(method: Callable[[float], np.ndarray], x: np.ndarray, start: float, factor: float) -> dict[str, Any]:
    """The best parameter start · factor^k, with worse ones on both sides."""
    values: dict[int, float] = {}

    def psnr(k: int) -> float:
        if k not in values:
            values[k] = float(ip.psnr(method(start * factor**k), x))
        return values[k]

    k = 0
    while max(psnr(k - 1), psnr(k + 1)) > psnr(k):
        k += 1 if psnr(k + 1) > psnr(k) else -1
    return {"parameter": start * factor**k, "psnr": psnr(k), "below": psnr(k - 1), "above": psnr(k + 1)}


# ---------------------------------------------------------------- convergence


class Restless(torch.nn.Module):
    """x + sin(20 x)/3: D - Id has the Lipschitz constant 20/3."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.sin(20 * x) / 3


def convergence() -> dict[str, Any]:
    """How far iterates still move after 300 steps, and a discrepancy that is never reached; 64 x 64, float32."""
    A, b, _, info = ip.problem("blur", size=64, kernel="gaussian", sigma=1.0)
    denoisers = {
        "averaged": Denoiser(pretrained("non_expansive"), 0.05, strength=0.5),
        "restless": Denoiser(Restless()),
    }
    found: dict[str, Any] = {}
    for name, D in denoisers.items():
        moves, last = [], []

        def watch(run: Any, moves: list = moves, last: list = last) -> None:
            if last:
                moves.append(float(np.linalg.norm(run.x - last.pop())))
            last.append(run.x.copy())

        rule = ip.stop.discrepancy(0.5 * info.noise_level)  # less than the residual of any fixed point here
        given = dict(method="forward_backward", niter=300, stop=rule, x0=np.zeros_like(b), callbacks=[watch])
        x, run = ip.pnp(A, b, D, **given)
        rises = np.diff(moves) / moves[0]
        found[name] = {
            "move": moves[-1] / moves[0],
            "largest rise": float(rises.max()),
            "stop": run.stop,
            "residual over noise": float(np.linalg.norm(A.apply(x) - b)) / info.noise_level,
            "monitor": str(run.extra["monitor"]),
        }
    return found


# ---------------------------------------------------------------- figures


def rows(result: dict[str, Any]) -> list[tuple]:
    """Required beside measured."""
    table = []
    for name in ("exact", "field of view"):
        required = 2.0 if name == "exact" else -math.inf
        for other in ("wiener", "tv"):
            gains = [r["pnp"]["psnr"] - r[other]["psnr"] for r in result[name].values()]
            each = ", ".join(
                f"{image} {r['pnp']['psnr']:.2f} against {r[other]['psnr']:.2f}" for image, r in result[name].items()
            )
            table.append((f"deblurring, {name}: plug-and-play above {other}, dB", required, ">=", min(gains), each))
    good, bad = result["convergence"]["averaged"], result["convergence"]["restless"]
    table += [
        ("last step / first, averaged non-expansive network", 1e-3, "<=", good["move"], good["monitor"]),
        ("largest rise of a step, averaged non-expansive network", 1e-3, "<=", good["largest rise"], "theory: none"),
        ("last step / first, network that is not Lipschitz enough", 1e-1, ">=", bad["move"], bad["monitor"]),
        ("residual / noise at the fixed point (rule at 0.5)", 0.505, ">=", good["residual over noise"], good["stop"]),
    ]
    return table
