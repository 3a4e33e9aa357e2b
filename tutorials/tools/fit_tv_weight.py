"""Fit the factor c of `ipbox.choose.tv_weight` on CT slices of the training patient (a few minutes).

For each problem the PSNR is computed for a grid of factors; the factor of least mean loss against each problem's own
best is the one in `ipbox.choose.TV_FACTOR`.  The test patient is never looked at.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

import ipbox as ip
from ipbox.choose import TV_FACTOR, tv_weight

FACTORS = 2.0 ** np.arange(-2.0, 1.51, 0.5)
SIZES, VIEWS, NOISES, SLICES = (128, 256), (30, 120), (0.003, 0.01, 0.03), (10, 30)


def quality(size: int, views: int, noise: float, index: int) -> np.ndarray:
    """PSNR of the TV reconstruction for each factor."""
    A, b, x_true, info = ip.problem("ct", size=size, views=views, noise=noise, slice=index, patient="train")
    unit = tv_weight(A, b, math.hypot(info.noise_level, info.model_error), factor=1.0)
    values, x = [], None
    for factor in FACTORS:
        x, _ = ip.tv(A, b, float(factor) * unit, nonneg=True, x0=x, tol=5e-4, niter=500)
        values.append(ip.psnr(x, x_true))
    return np.array(values)


def main() -> None:
    print("size views noise slice  best c  PSNR at c =" + "".join(f"{c:7.2f}" for c in FACTORS))
    losses = []
    for size, views, noise, index in itertools.product(SIZES, VIEWS, NOISES, SLICES):
        values = quality(size, views, noise, index)
        losses.append(values.max() - values)
        about = f"{size:4d} {views:5d} {noise:5.3f} {index:5d} {FACTORS[values.argmax()]:7.2f}"
        print(f"{about:43s}" + "".join(f"{v:7.2f}" for v in values), flush=True)
    mean, worst = np.mean(losses, axis=0), np.max(losses, axis=0)
    for name, loss in (("mean", mean), ("worst", worst)):
        print(f"{name + ' loss in dB':43s}" + "".join(f"{v:7.2f}" for v in loss))
    k = int(np.clip(mean.argmin(), 1, len(FACTORS) - 2))
    a, slope, _ = np.polyfit(np.log2(FACTORS[k - 1 : k + 2]), mean[k - 1 : k + 2], 2)
    print(f"least mean loss at c = {2.0 ** (-slope / (2 * a)):.2f}; in use: {TV_FACTOR}")


if __name__ == "__main__":
    main()
