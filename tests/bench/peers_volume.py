"""TV denoising of volumes by scikit-image."""

from __future__ import annotations

import time
from typing import Any

import numpy as np


def denoise(data: str, lam: float, out: str, niter: int | None = None) -> dict[str, Any]:
    """Seconds for denoise_tv_chambolle, ``niter`` iterations or until its own rule stops it; the image is saved."""
    from skimage.restoration import denoise_tv_chambolle

    b = np.load(data)
    start = time.perf_counter()
    x = denoise_tv_chambolle(b, weight=lam, **({} if niter is None else {"eps": 0.0, "max_num_iter": niter}))
    seconds = time.perf_counter() - start
    np.save(out, x)
    return {"seconds": seconds}
