"""All that is to be seen of a generative model, on one page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import backend, figures
from ipbox.backend import Array
from ipbox.checks import check_count, check_seed
from ipbox.evaluate.generative import (
    LogLikelihood,
    RangeError,
    covariance_columns,
    interpolation,
    log_likelihood,
    range_error,
    samples,
)
from ipbox.evaluate.transport import EarthMover, earth_mover
from ipbox.keywords import answering

__all__ = ["GeneratorReport", "evaluate_generator"]


@dataclass(frozen=True)
class GeneratorReport:
    """What `evaluate_generator` finds.

    Attributes
    ----------
    name : str
        Class of the model.
    range : RangeError
        Of all images.
    likelihood : LogLikelihood or None
        Of all images, where the model has one.
    earth_mover : EarthMover
        Of G(z), z ~ N(0, I), and all images.
    images, samples, interpolation : array
        Those that were given, (N, H, W); of the model; between the first and the last image.
    noisy : array or None
        Samples of u ~ N(G(z), Σ(z)), of the same z as ``samples``.
    columns : array or None
        Columns of Σ at the first image, of the ``pixels``.
    pixels : list of (row, column)

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import evaluate_generator
    >>> from ipbox.learned import VAE
    >>> u = np.random.default_rng(0).random((3, 8, 8), "f")
    >>> found = evaluate_generator(VAE(latent=3, dims=(8, 8), widths=(4, 8)), u, n=2, niter=5)
    >>> found.name, found.images.shape
    ('VAE', (3, 8, 8))
    """

    name: str
    range: RangeError
    likelihood: LogLikelihood | None
    earth_mover: EarthMover
    images: Array = field(repr=False)
    samples: Array = field(repr=False)
    interpolation: Array = field(repr=False)
    noisy: Array | None = field(repr=False)
    columns: Array | None = field(repr=False)
    pixels: list[tuple[int, int]] = field(repr=False)

    def __repr__(self) -> str:
        return self.table()

    def table(self) -> str:
        """The figures as text: means over the images."""
        lines = [f"{self.name}, {len(self.images)} images"]
        lines.append(f"range error     {self.range.relative.mean():.4f} of the norm")
        if self.likelihood is not None:
            lines.append(f"likelihood      {self.likelihood.elbo.mean():.4f} nats per pixel (lower bound)")
            lines.append(f"                {self.likelihood.importance_weighted.mean():.4f} (importance weighted)")
        moved = self.earth_mover
        lines.append(
            f"earth mover     {moved.distance:.4g} of {moved.count} samples and images, {moved.floor:.4g} of halves of "
            "the images"
        )
        return "\n".join(lines)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Rows of pictures: samples, interpolation, images and their nearest in the range, columns of Σ.

        What has both signs is blue below zero and red above, each column of Σ on the scale of its correlations.

        Parameters
        ----------
        path : path, optional
            Where to save the figure.

        Returns
        -------
        matplotlib.figure.Figure
        """
        n = len(self.samples)
        images, nearest = (backend.to_host(a)[:n] for a in (self.images, self.range.nearest))
        grey = {"samples": self.samples, "with noise": self.noisy, "interpolation": self.interpolation}
        grey |= {"images": images, "nearest in\nthe range": nearest}
        signed = {"difference": images - nearest, "covariance\nwith the ring": self.columns}
        rows = [(name, backend.to_host(a), False) for name, a in grey.items() if a is not None]
        rows += [(name, backend.to_host(a), True) for name, a in signed.items() if a is not None]
        figure = figures.new(path, figsize=(1.3 * n + 0.8, 1.36 * len(rows)))
        top = float(np.percentile(images, 99.8))
        for axes, (name, pictures, both) in zip(figure.subplots(len(rows), n, squeeze=False), rows, strict=True):
            for k, ax in enumerate(axes):
                ax.set(xticks=[], yticks=[], frame_on=False)
                if k >= len(pictures):
                    continue
                u, limit = pictures[k], float(np.abs(pictures[k] if "ring" in name else pictures).max())
                low, cmap = (-limit, "RdBu_r") if both else (0.0, "gray")
                ax.imshow(u, vmin=low, vmax=limit if both else top, cmap=cmap, interpolation="nearest")
                if "ring" in name:
                    ax.plot(
                        *self.pixels[k][::-1], "o", color="black", markersize=7, fillstyle="none", markeredgewidth=0.6
                    )
            axes[0].set_ylabel(name)
        return figures.shown(figure, path)


@answering
def evaluate_generator(
    model: Any,
    images: Array,
    *,
    n: int = 8,
    pixels: Sequence[tuple[int, int]] | None = None,
    niter: int = 200,
    seed: int = 0,
) -> GeneratorReport:
    """Range error, likelihood, samples and their distance, interpolation and covariance of a model, from unseen images.

    Parameters
    ----------
    model : Generative
    images : array
        (N, H, W), N >= 2, in the units of the model.
    n : int
        Samples, steps of the interpolation, and images in the picture.
    pixels : sequence of (row, column), optional
        Whose columns of Σ to give; by default n of them along the diagonal through the middle.
    niter : int
        Steps of `range_error`.
    seed : int

    Returns
    -------
    GeneratorReport
        With ``table()`` and ``plot(path)``.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import evaluate_generator
    >>> from ipbox.learned import VAE
    >>> u = np.random.default_rng(0).random((3, 8, 8), "f")
    >>> found = evaluate_generator(VAE(latent=3, dims=(8, 8), widths=(4, 8)), u, n=2, niter=10)
    >>> found.samples.shape, found.columns.shape
    ((2, 8, 8), (2, 8, 8))
    """
    from ipbox.learned.networks.generative import VAE

    check_count(n, "n", least=2), check_seed(seed)
    if backend.check_array(images, "images").ndim != 3 or len(images) < 2:
        raise ValueError(f"images has shape {images.shape}; expected (N, H, W) with two images at least")
    near = range_error(model, images, niter=niter, seed=seed)
    H, W = model.dims
    if pixels is None:
        pixels = [(int(H * (0.2 + 0.6 * t)), int(W * (0.2 + 0.6 * t))) for t in np.linspace(0, 1, n)]
    gaussian = isinstance(model, VAE)
    return GeneratorReport(
        type(model).__name__,
        near,
        log_likelihood(model, images, seed=seed) if gaussian else None,
        earth_mover(model, images, seed=seed),
        images,
        samples(model, n, seed=seed),
        interpolation(model, images[0], images[-1], n),
        samples(model, n, noise=True, seed=seed) if gaussian else None,
        covariance_columns(model, images[0], pixels) if gaussian else None,
        list(pixels),
    )
