"""algotom's removal of stripes."""

from __future__ import annotations

from typing import Any

import numpy as np
from algotom.prep import removal

METHODS = {
    "sorting": lambda b: removal.remove_stripe_based_sorting(b, 21),
    "sorting 5": lambda b: removal.remove_stripe_based_sorting(b, 5),
    "filtering": lambda b: removal.remove_stripe_based_filtering(b, 3, 21),
    "normalization 3": lambda b: removal.remove_stripe_based_normalization(b, 3, 1),
    "all": lambda b: removal.remove_all_stripe(b, 3.0, 51, 21),
    "wavelet": removal.remove_stripe_based_wavelet_fft,
}


def remove(sinogram: str, outs: dict[str, str]) -> dict[str, Any]:
    """Write the sinogram without stripes by each method."""
    b = np.load(sinogram)
    for name, path in outs.items():
        np.save(path, METHODS[name](b.copy()))
    return {}
