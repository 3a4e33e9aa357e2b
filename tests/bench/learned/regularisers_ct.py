"""Learned regularisers on CT: held-out slices of another patient, 128 x 128, 40 views, 1 % noise.

min_{u >= 0} ½‖Au - b‖² + λ s² R(u/s).  CRR and WCRR are those that learned to denoise photographs, moved to CT
unchanged but for weight and scale; one WCRR was trained on for CT.  The weight of all is fitted on two slices of the
training patient that nothing was trained on.  The critic is not convex: it is descended on with the weight of Lunz et
al., for the number of iterations that is best on those two slices.  NETT takes the network of the post-processing.
FBP, TV with the weight that is best for the test slices, and the other learned methods are those of `ct`, on the same
slices and data.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.evaluate import check_disjoint
from ipbox.learned.priors import NETT
from ipbox.learned.training.losses import noise_weight
from ipbox.learned.weights.modules import SHIPPED, pretrained
from tests.bench.learned import ct_data
from tests.bench.learned.train_regularisers import SCALE

RESULTS = Path(__file__).parent / "results"
PICTURE = ct_data.BUILD / "semi_convergence.png"
FACTOR = 1.6  # between weights that are tried
NITER = {"input-convex": 150}  # of FISTA; 300 for the others
DESCENT, LONG = 300, 2000  # iterations on the critic: at most, and for the figure
SLICES = slice(None, None, 2)  # of those of `ct`
NETWORKS = {  # name -> weights, s in units of `SCALE`
    "CRR": ("convex_ridge", 0.5),
    "WCRR": ("weakly_convex_ridge", 0.5),
    "WCRR for CT": ("weakly_convex_ridge_ct", 0.5),
    "input-convex": ("input_convex", 1.0),
}
THEOREMS = {
    "fbp": "none",
    "tv": "convex: a minimiser",
    "pnp": "none for this network",
    "red": "none for this network",
    "post-processing": "none",
    "unrolled": "none",
    "equilibrium": "none for this network",
    "CRR": "convex by construction: a minimiser",
    "WCRR": "R is 1-weakly convex by construction; of FISTA on the sum none",
    "WCRR for CT": "R is 1-weakly convex by construction; of FISTA on the sum none",
    "input-convex": "convex by construction: a minimiser",
    "NETT": "none: stopped after 30 iterations",
    "critic": "none: stopped early",
}

Problems = list[tuple[Any, np.ndarray, np.ndarray, Any]]


def compute() -> dict[str, Any]:
    """Fitted weights, and what they give on the test slices."""
    torch.set_num_threads(1)
    test, validation = ct_data.test_problems()[SLICES], ct_data.validation_problems()[::2]
    check_disjoint(ct_data.training_pairs(copies=8).truths, [p[2] for p in test + validation])
    result: dict[str, Any] = {"methods": {}, "lam": {}}
    for name, (weights, scale) in NETWORKS.items():
        net = pretrained(weights)

        def method(A: Any, b: np.ndarray, lam: float, net: Any = net, s: float = scale, name: str = name) -> np.ndarray:
            return regularised(net, A, b, lam, s * SCALE, NITER.get(name, 300))

        def run(method: Any = method, net: Any = net, s: float = scale) -> dict[str, Any]:
            lam = fitted(method, validation, first(net, s * SCALE, validation))
            return {"lam": lam} | measured(lambda A, b: method(A, b, lam), test)

        found = kept(weights, run)
        lam = result["lam"][name] = found.pop("lam")
        result["methods"][name] = found
        print(f"  {name}: λ {lam:.4g}, {np.mean(result['methods'][name]['psnr']):.2f} dB", flush=True)
    found = kept("post_processing_ct", lambda: network_tikhonov(test, validation))
    result["lam"]["NETT"] = found.pop("lam")
    result["methods"]["NETT"] = found
    found = kept("adversarial", lambda: critic(test, validation))
    result["lam"]["critic"], result["critic iterations"] = found.pop("lam"), found.pop("iterations")
    result["methods"]["critic"] = found
    result["semi-convergence"] = semi_convergence(result["lam"], test[0])
    return result


def kept(weights: str, run: Callable[[], dict[str, Any]], what: str = "ct") -> dict[str, Any]:
    """What ``run`` gives with the weights that are shipped, from ``build/`` where it was there before."""
    path = ct_data.BUILD / "learned" / f"regularisers_{what}_{weights}_{SHIPPED[weights].sha256[:12]}.json"
    if not path.is_file():
        found = run()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found))
    return json.loads(path.read_text())


def regularised(net: torch.nn.Module, A: Any, b: np.ndarray, lam: float, scale: float, niter: int) -> np.ndarray:
    """min_{u >= 0} ½‖Au - b‖² + λR, from the filtered back-projection."""
    R = ip.LearnedRegulariser(net, dims=A.dims, scale=scale)
    x0 = np.maximum(ip.fbp(A, b, "hann")[0], 0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*was ended by niter.*")
        return ip.variational(
            A, b, R, lam, nonneg=True, solver=ip.FISTA(restart="gradient"), tol=1e-5, niter=niter, x0=x0
        )[0]


def measured(method: Callable[[Any, np.ndarray], np.ndarray], problems: Problems) -> dict[str, Any]:
    """PSNR and SSIM of every slice, and the median of the seconds."""
    psnr, ssim, seconds = [], [], []
    for A, b, x, _ in problems:
        start = time.perf_counter()
        u = method(A, b)
        seconds.append(time.perf_counter() - start)
        psnr.append(float(ip.psnr(u, x))), ssim.append(float(ip.ssim(u, x)))
    return {"psnr": psnr, "ssim": ssim, "seconds": float(np.median(seconds))}


# ---------------------------------------------------------------- weights


def first(net: torch.nn.Module, scale: float, problems: Problems) -> float:
    """A weight to begin with: λ‖∇R‖ = E‖A*η‖ at the filtered back-projections, on average."""
    found = []
    for A, b, _, info in problems:
        R = ip.LearnedRegulariser(net, dims=A.dims, scale=scale)
        slope = np.linalg.norm(R.grad(ip.fbp(A, b)[0]))
        found.append(noise_weight(A, info.noise_level / math.sqrt(b.size)) / slope)
    return float(np.mean(found))


def fitted(method: Callable[..., np.ndarray], problems: Problems, start: float) -> float:
    """The weight with the best mean PSNR, by steps of a factor, between worse ones."""
    tried: dict[int, float] = {}

    def mean(k: int) -> float:
        if k not in tried:
            tried[k] = float(np.mean([ip.psnr(method(A, b, start * FACTOR**k), x) for A, b, x, _ in problems]))
        return tried[k]

    k = 0
    while max(mean(k - 1), mean(k + 1)) > mean(k):
        k += 1 if mean(k + 1) > mean(k) else -1
    return start * FACTOR**k


# ---------------------------------------------------------------- NETT, and the critic


def network_tikhonov(test: Problems, validation: Problems) -> dict[str, Any]:
    """R(u) = ½‖u/s - N(u/s)‖², N the network of the post-processing, from what that gives."""
    maps = {}  # patients differ in the width of their pixels

    def method(A: Any, b: np.ndarray, lam: float) -> np.ndarray:
        if A.pixel_size not in maps:
            maps[A.pixel_size] = pretrained("post_processing_ct", A)
        net = maps[A.pixel_size]
        x0 = np.maximum(net.as_method()(A, b)[0], 0)
        R, solver = NETT(net.network, dims=A.dims, scale=SCALE), ip.ForwardBackward(backtracking=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*was ended by niter.*")
            return ip.variational(A, b, R, lam, nonneg=True, solver=solver, tol=1e-5, niter=30, x0=x0)[0]

    lam = fitted(method, validation, 1.0)
    return {"lam": lam} | measured(lambda A, b: method(A, b, lam), test)


def descent(net: torch.nn.Module, A: Any, b: np.ndarray, lam: float, scale: float, niter: int) -> Iterator[np.ndarray]:
    """u ← (u - τ(A*(Au - b) + λ∇R(u)))₊ from the filtered back-projection."""
    R = ip.LearnedRegulariser(net, dims=A.dims, scale=scale)
    tau = np.float32(1 / (A.norm() ** 2 + lam * R.curvature))
    u = np.maximum(ip.fbp(A, b, "hann")[0], 0)
    for _ in range(niter):
        u = np.maximum(u - tau * (A.apply_adjoint(A.apply(u) - b) + np.float32(lam) * R.grad(u)), 0)
        yield u


def critic(test: Problems, validation: Problems) -> dict[str, Any]:
    """Descent on the critic with the weight of the paper, for the iterations that are best on validation."""
    net = pretrained("adversarial")
    lam = first(net, SCALE, validation)
    curves = [[float(ip.psnr(u, x)) for u in descent(net, A, b, lam, SCALE, DESCENT)] for A, b, x, _ in validation]
    best = int(np.mean(curves, axis=0).argmax()) + 1
    found = measured(lambda A, b: list(descent(net, A, b, lam, SCALE, best))[-1], test)
    return {"lam": lam, "iterations": best} | found


def semi_convergence(lams: dict[str, float], problem: tuple) -> dict[str, list[float]]:
    """PSNR by iteration of the same descent on the critic and on the convex ridge regulariser, on one test slice."""
    A, b, x, _ = problem

    def run(weights: str, lam: float, scale: float) -> dict[str, Any]:
        iterates = descent(pretrained(weights), A, b, lam, scale, LONG)
        return {"psnr": [float(ip.psnr(u, x)) for k, u in enumerate(iterates) if k % 10 == 9]}

    runs = {"critic": ("adversarial", SCALE), "CRR": ("convex_ridge", 0.5 * SCALE)}
    found = {
        name: kept(weights, lambda name=name, w=weights, s=scale: run(w, lams[name], s), "descent")["psnr"]
        for name, (weights, scale) in runs.items()
    }
    plot(found)
    return found


def plot(curves: dict[str, list[float]]) -> None:
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for name, values in curves.items():
        ax.plot(10 * np.arange(1, len(values) + 1), values, label=name)
    ax.set(xlabel="iterations of gradient descent", ylabel="PSNR (dB)")
    ax.legend()
    fig.savefig(PICTURE, dpi=120)
    plt.close(fig)


# ---------------------------------------------------------------- figures


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    others = json.loads((RESULTS / "ct.json").read_text())["result"]["methods"]
    methods = {name: {**m, "psnr": m["psnr"][SLICES], "ssim": m["ssim"][SLICES]} for name, m in others.items()}
    methods |= result["methods"]
    psnr = {name: float(np.mean(m["psnr"])) for name, m in methods.items()}
    gain = {name: psnr[name] - psnr["tv"] for name in methods}
    best = max(result["methods"], key=lambda name: psnr[name])
    proved = max((name for name in result["methods"] if "construction" in THEOREMS[name]), key=lambda name: psnr[name])
    table = [
        ("CT: best learned regulariser above the best TV, dB", 1.0, ">=", gain[best], f"{best}: {THEOREMS[best]}"),
        (
            "CT: best one of proved (weak) convexity above the best TV, dB",
            -math.inf,
            ">=",
            gain[proved],
            f"{proved}: {THEOREMS[proved]}",
        ),
    ]
    for name, m in methods.items():
        note = f"{psnr[name]:.2f} dB, SSIM {np.mean(m['ssim']):.3f}, {m['seconds']:.2f} s; theorem: {THEOREMS[name]}"
        note += f"; λ = {result['lam'][name]:.3g}" if name in result["lam"] else ""
        table.append((f"CT: {name} above TV, dB", -math.inf, ">=", gain[name], note))
    for name, values in result["semi-convergence"].items():
        lost = max(values) - values[-1]
        note = f"best {max(values):.2f} dB after {10 * (int(np.argmax(values)) + 1)}, {values[-1]:.2f} after {LONG}"
        bound = (0.1, "<=") if name == "CRR" else (0.5, ">=")
        table.append((f"semi-convergence: {name}, dB lost by going on", *bound, lost, note))
    return table
