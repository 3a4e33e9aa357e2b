"""Choosing λ of TV on the named problems of `ipbox.problem`, by ipbox."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

import ipbox as ip
from ipbox.choose import gcv, l_curve, sure, tv_weight
from ipbox.reconstruct.variational.minimise import VariationalFamily

# Every named problem with Gaussian noise and a known truth, once; CT twice.
PROBLEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "ct-sparse": ("ct", dict(size=128, views=30, noise=0.01)),
    "ct-noisy": ("ct", dict(size=128, views=90, noise=0.05)),
    "fan": ("fan", dict(size=64, views=90, noise=0.02)),
    "mri": ("mri", dict(size=128, noise=0.05)),
    "mri-radial": ("mri-radial", dict(size=64, coils=4)),
    "blur": ("blur", dict(size=128)),
    "denoise": ("denoise", dict(size=128)),
    "inpaint": ("inpaint", dict(size=128, noise=0.05)),
    "super-resolution": ("super-resolution", dict(size=128, noise=0.02)),
    "compressed-sensing": ("compressed-sensing", dict(size=64, ratio=0.5, noise=0.02)),
}


def _load(name: str) -> tuple[Any, Any, Any, float]:
    problem, options = PROBLEMS[name]
    A, b, x, info = ip.problem(problem, **options)
    return A, b, x, math.hypot(info.noise_level, info.model_error)


def discrepancy(name: str) -> dict[str, Any]:
    """The image of the rule, and an accurate solve for its λ from a cold start: ‖Au - b‖ relative to the target."""
    A, b, _, delta = _load(name)
    x, info = ip.tv(A, b, "discrepancy", delta)
    choice = info.extra["choice"]
    again = ip.tv(A, b, choice.lam, tol=1e-5, niter=5000)[0]
    errors = [abs(float(np.linalg.norm(A.apply(u) - b)) / delta - 1) for u in (x, again)]
    return {"error": errors[0], "again": errors[1], "solves": choice.solves, "lam": choice.lam}


def rules(name: str) -> dict[str, float]:
    """PSNR lost by each rule against the best λ; the rules share the solves along one grid."""
    A, b, x_true, delta = _load(name)
    R = ip.TV(A.dims)
    solve = _kept(lambda lam, **given: _tv(A, lam, **given), b)
    options = dict(lam0=tv_weight(A, b, delta), x_true=x_true)
    choices = {
        "l_curve": l_curve(solve, A, b, R.value, **options),
        "gcv": gcv(solve, A, b, noise_level=delta, **options),
        "sure": sure(solve, A, b, delta, **options),
    }
    curve = choices["sure"].curve
    fine = np.linspace(*np.log(curve["lam"][[0, -1]]), 1001)
    best = float(CubicSpline(np.log(curve["lam"]), curve["psnr"])(fine).max())
    return {rule: max(best, curve["psnr"].max()) - ip.psnr(abs(c.x), abs(x_true)) for rule, c in choices.items()}


def _tv(A: Any, lam: float, b: np.ndarray, start: Any, tol: float | None) -> tuple[np.ndarray, Any]:
    return VariationalFamily(ip.L2(A, b), ip.TV(A.dims))(lam, start=start, tol=tol)


def _kept(solve: Callable[..., Any], data: np.ndarray) -> Callable[..., Any]:
    """``solve``, made once for each λ and data: all rules go along the same grid in the same order."""
    known: dict[Any, Any] = {}

    def reconstruct(lam: float, start: Any = None, b: np.ndarray | None = None, tol: float | None = None) -> Any:
        b = data if b is None else b
        key = (lam, tol, b.tobytes())
        if key not in known:
            known[key] = solve(lam, b=b, start=start, tol=tol)
        return known[key]

    return reconstruct
