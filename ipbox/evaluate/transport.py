"""How far the samples of a generative model are from images: the earth mover's distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import summary
from ipbox.backend import Array, check_array
from ipbox.bayes.known.distances import wasserstein
from ipbox.checks import check_seed
from ipbox.evaluate.generative import entered, samples
from ipbox.keywords import answering

__all__ = ["EarthMover", "earth_mover"]


@dataclass(frozen=True)
class EarthMover:
    """How far the samples of a model are from images, as a whole.

    Attributes
    ----------
    distance : float
        W_1 between samples and a half of the images, mean of the two halves, in the norm and units of the images.
    floor : float
        W_1 between the halves.
    count : int
        How many samples and images each of these sets has: these distances depend on it, so compare only such of one.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import earth_mover
    >>> from ipbox.learned import VAE
    >>> found = earth_mover(VAE(latent=3, dims=(8, 8), widths=(4, 8)), np.zeros((6, 8, 8), "float32"))
    >>> found.distance > found.floor, found.count
    (True, 3)
    """

    distance: float
    floor: float
    count: int

    __repr__ = summary.of_fields


@answering
def earth_mover(model: Any, images: Array, *, noise: bool = False, seed: int = 0) -> EarthMover:
    r"""The earth mover's distance of samples of a model from images, beside that of two halves of the images.

    .. math:: W_1 = \min_π \frac1n \sum_i \|x_i - y_{π(i)}\|

    Parameters
    ----------
    model : Generative
    images : array
        (N, H, W), N >= 2, in the units and the dtype of the model, not among those it was trained with.
    noise : bool
        As for `samples`: whether to draw from N(G(z), Σ(z)), or take G(z).
    seed : int
        Of the samples, and of the halves, which have N/2 images each, rounded down.

    Returns
    -------
    EarthMover

    Raises
    ------
    ValueError, TypeError
        where images do not fit the model, or it has no covariance to draw the noise from.

    Notes
    -----
    The pairing is exact, by `ipbox.bayes.wasserstein`.  Two sets of *one* law in many pixels are far apart, about √2
    deviations, and images without detail are nearer to all others than these are: a distance below the floor is that of
    a model which smooths, or gives one mean image.  Neighbouring slices of one volume lower the floor.

    References
    ----------
    Rubner, Tomasi and Guibas, The earth mover's distance as a metric for image retrieval, Int. J. Comput. Vis. 40
    (2000); Duff, Campbell and Ehrhardt, J. Math. Imaging Vis. 66 (2024), who compare generators by it.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ipbox.evaluate import earth_mover
    >>> from ipbox.learned import Generator
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Unflatten(1, (1, 2, 2)))
    >>> _ = [p.data.zero_() for p in net.parameters()]                      # G(z) = 0
    >>> earth_mover(Generator(net, 1, (2, 2)), np.ones((6, 2, 2), "float32"))
    EarthMover(distance=2, floor=0, count=3)
    """
    if check_array(images, "images").ndim != 3 or len(images) < 2:
        raise ValueError(f"images has shape {images.shape}; expected (N, H, W) with two images at least")
    u, leave = entered(model, images)
    n, u = len(u) // 2, leave(u[:, 0])
    order = np.random.default_rng(check_seed(seed)).permutation(len(images))
    halves, drawn = (u[order[:n]], u[order[n : 2 * n]]), samples(model, 2 * n, noise=noise, seed=seed)
    distances = [wasserstein(x, half, order=1) for x, half in zip((drawn[:n], drawn[n:]), halves, strict=True)]
    return EarthMover(sum(distances) / 2, wasserstein(*halves, order=1), n)
