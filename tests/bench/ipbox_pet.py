"""PET: the signs of its projections, and counts between the model and its sensitivity image."""

from __future__ import annotations

from typing import Any

import numpy as np

import ipbox as ip


def _problem(size: int, dtype: str) -> tuple[Any, np.ndarray, np.ndarray, list[np.ndarray]]:
    """A, b, r and images >= 0: the brain, single pixels, noise over many powers of ten, denormal numbers."""
    A, b, x, info = ip.problem("pet", size=size, dtype=dtype)
    rng = np.random.default_rng(0)
    points = np.zeros(x.shape, dtype)
    points[rng.integers(0, size, 20), rng.integers(0, size, 20)] = 1.0
    spread = (10.0 ** rng.uniform(-30, 6, x.shape)).astype(dtype)
    tiny = np.full(x.shape, np.finfo(dtype).smallest_subnormal)
    return A, b, info.extra["background"], [x, points, spread, tiny, rng.random(x.shape).astype(dtype)]


def negatives(size: int) -> dict[str, Any]:
    """Entries < 0 of A u, A u + r and A* y for u, y >= 0, in both precisions; and those of a Fourier projector."""
    found, fourier = {}, {}
    for dtype in ("float32", "float64"):
        A, b, r, images = _problem(size, dtype)
        projections = [A.apply(u) for u in images]
        results = projections + [p + r for p in projections] + [A.apply_adjoint(y) for y in [b, *projections]]
        found[dtype] = int(sum((v < 0).sum() for v in results))
        ray = ip.RayTransform(A.dims, A.projector.angles, A.projector.n_det, dtype=dtype)
        fourier[dtype] = int((ray.apply(images[0]) < 0).sum())
    return {"negative": sum(found.values()), "by dtype": found, "Fourier": fourier}


def counts(size: int) -> dict[str, Any]:
    """The worst |Σ A u - <u, A* 1>| / Σ A u, both sums in float64; of all angles and of each of 6 subsets."""
    errors = {}
    for dtype in ("float32", "float64"):
        A, _, _, images = _problem(size, dtype)
        for name, B in [("all", A), *((f"subset {k}", S) for k, S in enumerate(A.subsets(6)))]:
            for u in [images[0], images[1], images[4]]:
                total = B.apply(u).sum(dtype=np.float64)
                seen = np.vdot(u.astype(np.float64), B.sensitivity().astype(np.float64))
                errors[f"{dtype} {name}"] = max(errors.get(f"{dtype} {name}", 0.0), float(abs(total - seen) / total))
    return {"error": max(errors.values()), "errors": errors}


def white_matter(size: int, fwhm: float, niter: int) -> dict[str, Any]:
    """Bias of white matter and contrast recovery of grey: MLEM stopped automatically, and filtered at convergence."""
    A, b, x, _ = ip.problem("pet", size=size)
    white, grey = abs(x - 1) < 0.05, x > 3.5
    u, run = ip.mlem(A, b, noise_level="poisson", niter=niter)
    images = {"stopped": u, "filtered": ip.mlem(A, b, niter=niter, post_filter=fwhm)[0]}
    return {
        name: {
            "bias": float(u[white].mean() / x[white].mean() - 1),
            "contrast": ip.contrast_recovery(u, x, grey, white),
            "psnr": ip.psnr(u, x),
        }
        for name, u in images.items()
    } | {"niter": run.niter}
