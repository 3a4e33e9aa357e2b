"""Instability of N(A†b) with the pseudo-inverse A† itself, on CT slices of 32 x 32 pixels.

20 views see 593 of the 1024 directions of the image with singular values above a hundredth of the largest; A† inverts
those.  Of two networks N, the one that saw data without noise, those of the operator, has no reason to damp what A†
amplifies; its twin saw 1 % noise.  Each, A† alone and TV at its best weight meet their own worst perturbation, of the
norm of that noise.  `compute` trains both, some minutes; their weights are not shipped.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.evaluate import Variational, stability_table
from ipbox.learned.maps.direct import PostProcessing
from ipbox.operators import operator
from tests.bench.learned import ct_data
from tests.bench.learned.automap import SIZE, VIEWS
from tests.bench.learned.ct import best_weight, tv
from tests.bench.learned.stability import SMOOTHING, losses
from tests.bench.learned.train_unrolled import SCALE, train

CUT = 0.01  # singular values above it times the largest are inverted
SLICES = (3, 23, 43)
TWINS = {"no noise in training": 0.0, "noise in training": ct_data.NOISE}


def pseudo_inverse_filter(A: Any) -> ip.Operator:
    """F = (AA*)† of the singular values above `CUT`, so that A*F = A†."""
    dims, dimsd = tuple(A.dims), tuple(A.dimsd)
    n = math.prod(dims)
    columns = [A.apply(e.reshape(dims)).ravel() for e in np.eye(n, dtype="float32")]
    U, s, _ = np.linalg.svd(np.stack(columns, 1).astype("float64"), full_matrices=False)
    kept = s > CUT * s[0]
    W = (U[:, kept] / s[kept]).astype("float32")

    def apply(b: np.ndarray) -> np.ndarray:
        return (W @ (W.T @ b.ravel())).reshape(dimsd)

    return operator(apply, apply, dimsd, dimsd, "float32", check=False, norm=float(s[kept][-1] ** -2))


def trained_twins(steps: int = 2000) -> dict[str, PostProcessing]:
    """The two networks; each goes on from its checkpoint in build/learned."""
    A = ct_data.training_pairs(SIZE, VIEWS, 24).A
    F, found = pseudo_inverse_filter(A), {}
    for name, noise in TWINS.items():
        torch.manual_seed(0)
        found[name] = PostProcessing(A, width=16, depth=3, filter=F, scale=SCALE)
        file = f"pseudoinverse_{SIZE}" + ("_noiseless" if noise == 0 else "")
        train(found[name], file, steps, 8, lr=1e-3, noise=noise, exact=noise == 0, copies=24, size=SIZE, views=VIEWS)
    return found


def for_operator(net: PostProcessing, A: Any, F: ip.Operator) -> PostProcessing:
    """The same parameters after the pseudo-inverse of another operator: pixels of patients differ in width."""
    other = PostProcessing(A, width=16, depth=3, filter=F, scale=SCALE)
    other.load_state_dict(net.state_dict())
    return other.eval()


def compute() -> dict[str, Any]:
    """Train the twins, measure them on the test slices, attack every map on three."""
    torch.set_num_threads(1)
    test = ct_data.test_problems(SIZE, VIEWS)
    F = pseudo_inverse_filter(test[0][0])  # all slices have one geometry
    twins = {name: for_operator(net, test[0][0], F) for name, net in trained_twins().items()}
    lam = best_weight(test)["best"]
    psnr = {"TV": float(np.mean([ip.psnr(tv(A, b, lam), x) for A, b, x, _ in test]))}
    exact = {}
    for name, net in twins.items():
        psnr[name] = float(np.mean([ip.psnr(net.reconstruct(b)[0], x) for _, b, x, _ in test]))
        exact[name] = float(np.mean([ip.psnr(net.reconstruct(A.apply(x))[0], x) for A, _, x, _ in test]))
    exact["TV"] = float(np.mean([ip.psnr(tv(A, A.apply(x), lam), x) for A, _, x, _ in test]))
    slices = [attacked(k, twins, lam) for k in SLICES]
    return {"names": slices[0]["names"], "weight": lam, "psnr": psnr, "psnr without noise": exact, "slices": slices}


def attacked(index: int, twins: dict[str, PostProcessing], lam: float) -> dict[str, Any]:
    """The table of one test slice; the data are those of the operator, without noise, so that only e is wrong."""
    A, _, x, info = ip.problem("ct", size=SIZE, views=VIEWS, noise=ct_data.NOISE, slice=index, seed=index)
    b = A.apply(x)
    R = lam * ip.SmoothedTV(tuple(A.dims), eps=SMOOTHING)
    maps = {"TV": Variational(A, R, tol=1e-4, niter=1000, nonneg=True), "A† alone": A.H @ pseudo_inverse_filter(A)}
    maps |= twins
    table = stability_table(
        maps, b, x, info.noise_level, evaluate={"TV": lambda b: tv(A, b, lam)}, niter=40, restarts=2, seed=index
    )
    print(f"slice {index}\n{table.table()}", flush=True)
    return {
        "names": table.names,
        "norm": info.noise_level,
        "clean": table.clean.tolist(),
        "errors": table.errors.tolist(),
        "changes": table.changes.tolist(),
        "truth": float(np.linalg.norm(x)),
    }


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    """Required beside measured."""
    lost, changed = losses(result), losses(result, "changes")
    found = []
    for name in result["names"]:
        note = f"error grows by {lost[name]:.4g}, image changes by {changed[name]:.4g}"
        if name in result["psnr"]:
            seen, clean = result["psnr"][name], result["psnr without noise"][name]
            note += f"; {seen:.2f} dB under noise, {clean:.2f} dB without"
        if name == "TV":
            found.append(("pseudo-inverse: TV, growth of the error", -math.inf, ">=", lost[name], note))
            continue
        required = 5.0 if name == "no noise in training" else -math.inf
        label = "A† alone" if name == "A† alone" else f"N(A†b), {name}"
        found.append((f"pseudo-inverse: {label}, loss over TV's", required, ">=", lost[name] / lost["TV"], note))
    return found
