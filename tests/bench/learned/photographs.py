"""Images to train denoisers on: photographs and, as a fraction, slices of the training patients; never a test image.

The photographs come with scikit-image, PyWavelets and scikit-learn, which must be installed (scikit-learn for two
photographs only).  Test images are camera, coins and astronaut, and the slices of the other patients.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from ipbox.problems.truths.brains import brain_slice
from ipbox.problems.truths.datasets import lung_slice

# of skimage.data, with the times each is drawn relative to its pixels
PHOTOGRAPHS = {
    "coffee": 2.0,
    "rocket": 2.0,
    "cat": 2.0,
    "clock": 1.0,
    "moon": 0.5,
    "brick": 0.5,
    "gravel": 0.5,
    "grass": 0.5,
    "immunohistochemistry": 0.5,
    "retina": 0.2,
    "hubble_deep_field": 0.3,
    "stereo_motorcycle": 2.0,
    "text": 1.0,
}
_LUMINANCE = np.array([0.2125, 0.7154, 0.0721], np.float32)
MEDICAL = 0.2  # share of crops


def photographs() -> tuple[list[np.ndarray], np.ndarray]:
    """Grey images in [0, 1], float32, and the probabilities to draw a crop from each."""
    from skimage import data

    images = [(_grey(getattr(data, name)()), times) for name, times in PHOTOGRAPHS.items()]
    images += [(_grey(u), 2.0) for u in _others()]
    weights = np.array([u.size * times for u, times in images])
    weights *= (1 - MEDICAL) / weights.sum()
    slices = [_scaled(lung_slice(k, patient="train")[0]) for k in range(0, 48, 2)]
    slices += [_scaled(brain_slice(k, patient="train")) for k in range(25)]
    images += [(u, 1.0) for u in slices]
    return [u for u, _ in images], np.concatenate([weights, np.full(len(slices), MEDICAL / len(slices))])


def _others() -> list[np.ndarray]:
    import pywt.data
    from sklearn.datasets import load_sample_image

    return [pywt.data.ascent(), pywt.data.aero(), load_sample_image("china.jpg"), load_sample_image("flower.jpg")]


def _grey(u: np.ndarray | tuple) -> np.ndarray:
    u = u[0] if isinstance(u, tuple) else u  # of a stereo pair, with its disparity
    u = u.astype(np.float32) / 255
    return u @ _LUMINANCE if u.ndim == 3 else u


def _scaled(u: np.ndarray) -> np.ndarray:
    return (u / u.max()).astype(np.float32)


class Crops:
    """Batches of clean crops: a place, a scale in [0.5, 1], flips and quarter turns at random.

    Parameters
    ----------
    size, batch_size : int
    pool : int
        Reduced copies of every image, at random scales, made once.
    seed : int
    """

    def __init__(self, size: int = 64, batch_size: int = 16, pool: int = 5, seed: int = 0) -> None:
        self.size, self.batch_size = size, batch_size
        rng = np.random.default_rng(seed)
        images, weights = photographs()
        self.images: list[torch.Tensor] = []
        probabilities = []
        for u, w in zip(images, weights, strict=True):
            for scale in [1.0, *rng.uniform(0.5, 1.0, pool - 1)]:
                v = _reduced(u, scale)
                if min(v.shape) >= size:
                    self.images.append(torch.from_numpy(v))
                    probabilities.append(w)
        self.probabilities = torch.tensor(np.array(probabilities) / np.sum(probabilities))

    def __call__(self, generator: torch.Generator) -> tuple[torch.Tensor]:
        """(batch_size, 1, size, size)."""
        which = torch.multinomial(self.probabilities, self.batch_size, replacement=True, generator=generator)
        draws = torch.rand(self.batch_size, 3, generator=generator)
        turns = torch.randint(8, (self.batch_size,), generator=generator)
        crops = []
        for k, (i, j, darker), turn in zip(which.tolist(), draws.tolist(), turns.tolist(), strict=True):
            u = self.images[k]
            y, x = int(i * (u.shape[0] - self.size + 1)), int(j * (u.shape[1] - self.size + 1))
            u = torch.rot90(u[y : y + self.size, x : x + self.size], turn % 4)
            u = u.T if turn >= 4 else u
            crops.append(u * (1 - 0.5 * darker**2))  # images of less contrast, too
        return (torch.stack(crops)[:, None],)


def _reduced(u: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return np.ascontiguousarray(u)
    shape = [max(1, math.floor(n * scale)) for n in u.shape]
    t = torch.from_numpy(np.ascontiguousarray(u))[None, None]
    reduced = torch.nn.functional.interpolate(t, shape, mode="bicubic", antialias=True, align_corners=False)
    return reduced[0, 0].clamp(0, 1).numpy()
