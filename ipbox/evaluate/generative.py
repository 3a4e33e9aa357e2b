"""How good a generative model is: range, samples and their distance from images, likelihood of these, covariance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import backend, summary
from ipbox.backend import Array, check_array
from ipbox.checks import check_count, check_flag, check_not_negative, check_positive, check_seed, is_integer, shown
from ipbox.keywords import answering
from ipbox.reconstruct.domain import ImageDomain, Stated

__all__ = ["LogLikelihood", "RangeError", "covariance_columns", "interpolation"]
__all__ += ["entered", "log_likelihood", "range_error", "samples"]


# ---------------------------------------------------------------- range


@dataclass(frozen=True)
class RangeError:
    """How near a generator comes to images.

    Attributes
    ----------
    error, relative : numpy.ndarray
        min_z ‖u - G(z)‖ as found, so from above, and over ‖u‖; (N,).  Of an image that is zero the latter is infinite,
        or 0 where G makes it too.
    nearest : array
        G(z), (N, H, W).
    z : array
        (N, latent).
    history : list of float
        Mean over the images of the root of the least objective so far, every ten steps.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ipbox.evaluate import range_error
    >>> from ipbox.learned import Generator
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 2, bias=False), torch.nn.Unflatten(1, (1, 1, 2)))
    >>> _ = net[0].weight.data.copy_(torch.tensor([[1.0], [0.0]]))           # G(z) = (z, 0)
    >>> found = range_error(Generator(net, 1, (1, 2)), np.array([[3.0, 4.0]], "float32"))
    >>> found.relative.round(3), found.nearest.shape
    (array([0.8]), (1, 1, 2))
    """

    error: np.ndarray
    relative: np.ndarray
    nearest: Array
    z: Array = field(repr=False)
    history: list[float] = field(repr=False)

    __repr__ = summary.of_fields


@answering
def range_error(
    model: Any, images: Array, *, niter: int = 200, restarts: int = 2, lam: float = 0.0, lr: float = 0.05, seed: int = 0
) -> RangeError:
    r"""The distance of images from the range of a generator, :math:`\min_z \|u - G(z)\|`.

    By Adam on :math:`\|u - G(z)\|^2 + \lambda \|z\|^2`, all images and starts at once; of each image the best z counts.

    Parameters
    ----------
    model : Generative
        A generative model of `ipbox.learned.networks.generative`.
    images : array
        (N, H, W) or (H, W), in the units and the dtype of the model.
    niter : int
        Steps.
    restarts : int
        Random starts z ~ N(0, I) of each image, beside what the encoder gives where there is one.
    lam : float
        λ >= 0, which keeps z where N(0, I) has it.
    lr : float
        Rate of Adam, in units of z; it falls to zero as a cosine.
    seed : int

    Returns
    -------
    RangeError

    Raises
    ------
    ValueError, TypeError
        where images do not fit the model.

    References
    ----------
    Bora, Jalal, Price and Dimakis, Compressed sensing using generative models, ICML (2017).

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ipbox.evaluate import range_error
    >>> from ipbox.learned import Generator
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 2, bias=False), torch.nn.Unflatten(1, (1, 1, 2)))
    >>> _ = net[0].weight.data.copy_(torch.tensor([[1.0], [0.0]]))           # G(z) = (z, 0)
    >>> range_error(Generator(net, 1, (1, 2)), np.array([[3.0, 4.0]], "float32")).error.round(3)
    array([4.])
    """
    import torch

    from ipbox.learned.priors.network import evaluation

    check_count(niter, "niter"), check_count(restarts, "restarts", least=0), check_not_negative(lam, "lam")
    check_positive(lr, "lr"), check_seed(seed)
    u, leave = entered(model, images)
    generator = torch.Generator(u.device).manual_seed(seed)
    with evaluation(model, gradient=False):
        starts = [
            torch.randn(len(u), model.latent, generator=generator, dtype=u.dtype, device=u.device)
            for _ in range(restarts)
        ]
        starts += [model.encode(u)] if model.has_encoder else []
    if not starts:
        raise ValueError("restarts is 0 and the model has no encoder; expected a start")
    z, target = torch.cat(starts).requires_grad_(), u.repeat(len(starts), 1, 1, 1)
    best, best_z = torch.full((len(z),), math.inf, dtype=u.dtype, device=u.device), z.detach().clone()
    best_square = best.clone()
    adam, history = torch.optim.Adam([z], lr=lr), []
    for k in range(niter + 1):
        adam.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * k / niter)) / 2
        with evaluation(model, gradient=True):
            square = (model.decode(z) - target).square().sum(dim=(1, 2, 3))
            value = square + lam * z.square().sum(dim=1)
            (z.grad,) = torch.autograd.grad(value.sum(), z)
        value, square = value.detach(), square.detach()
        better = value < best
        best[better], best_z[better], best_square[better] = value[better], z.detach()[better], square[better]
        if k % 10 == 0:
            history.append(float(best.reshape(len(starts), -1).amin(0).sqrt().mean()))
        adam.step()
    which = best.reshape(len(starts), -1).argmin(0) * len(u) + torch.arange(len(u), device=u.device)
    with evaluation(model, gradient=False):
        nearest = model.decode(best_z[which])
    error = np.array(best_square[which].sqrt().tolist())
    norms = np.array(u.square().sum(dim=(1, 2, 3)).sqrt().tolist())
    relative = np.divide(error, norms, out=np.where(error > 0, np.inf, 0.0), where=norms > 0)
    return RangeError(error, relative, leave(nearest[:, 0]), leave(best_z[which]), history)


# ---------------------------------------------------------------- images of the model


@answering
def samples(model: Any, n: int = 8, *, noise: bool = False, seed: int = 0) -> Array:
    """Images of a model: G(z), z ~ N(0, I), (n, H, W).

    Parameters
    ----------
    model : Generative
    n : int
    noise : bool
        Draw u ~ N(G(z), Σ(z)) instead of the mean, from models with a precision.
    seed : int

    Examples
    --------
    >>> from ipbox.evaluate import samples
    >>> from ipbox.learned import VAE
    >>> samples(VAE(latent=3, dims=(8, 8), widths=(4, 8)), 2, noise=True).shape
    (2, 8, 8)
    """
    import torch

    from ipbox.learned.priors.network import evaluation

    check_count(n, "n"), check_flag(noise, "noise"), check_seed(seed)
    like, leave = _weights(model)
    generator = torch.Generator(like.device).manual_seed(seed)
    with evaluation(model, gradient=False):
        z = torch.randn(n, model.latent, generator=generator, dtype=like.dtype, device=like.device)
        u = model.decode(z)
        if noise:
            u = u + _precision(model, z).sample(generator)
    return leave(u[:, 0])


@answering
def interpolation(model: Any, first: Array, last: Array, n: int = 8) -> Array:
    """G((1 - t) z_0 + t z_1) between the latent vectors of two images, (n, H, W); those of the encoder, or nearest.

    Parameters
    ----------
    model : Generative
    first, last : array
        (H, W).
    n : int
        At least 2: the two ends are among them.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import interpolation
    >>> from ipbox.learned import VAE
    >>> interpolation(VAE(latent=3, dims=(8, 8), widths=(4, 8)), *np.eye(2, 64, dtype="f").reshape(2, 8, 8), 5).shape
    (5, 8, 8)
    """
    import torch

    from ipbox.learned.bridge.arrays import to_torch
    from ipbox.learned.priors.network import evaluation

    check_count(n, "n", least=2)
    for x, name in ((first, "first"), (last, "last")):
        if check_array(x, name).ndim != 2:
            raise ValueError(f"{name} has shape {x.shape}; expected an image (H, W)")
    pairs = [entered(model, x, name) for x, name in ((first, "first"), (last, "last"))]
    u, leave = torch.cat([one for one, _ in pairs]), pairs[0][1]
    with evaluation(model, gradient=False):
        ends = model.encode(u) if model.has_encoder else None
    if ends is None:
        ends = to_torch(range_error(model, leave(u[:, 0])).z)
    t = torch.linspace(0, 1, n, dtype=u.dtype, device=u.device)[:, None]
    with evaluation(model, gradient=False):
        return leave(model.decode((1 - t) * ends[:1] + t * ends[1:])[:, 0])


# ---------------------------------------------------------------- likelihood


@dataclass(frozen=True)
class LogLikelihood:
    """How likely a variational autoencoder finds images, in nats per pixel; both bound log p(u)/n from below.

    Attributes
    ----------
    elbo : numpy.ndarray
        The evidence lower bound, (N,), by as many draws.
    importance_weighted : numpy.ndarray
        log of the mean of p(u, z)/q(z | u) over the draws, (N,): at least the former on average, nearer to log p(u).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import log_likelihood
    >>> from ipbox.learned import VAE
    >>> found = log_likelihood(VAE(latent=3, dims=(8, 8), widths=(4, 8)), np.zeros((2, 8, 8), "f"), samples=8)
    >>> found.elbo.shape
    (2,)
    """

    elbo: np.ndarray
    importance_weighted: np.ndarray

    __repr__ = summary.of_fields


@answering
def log_likelihood(model: Any, images: Array, *, samples: int = 64, seed: int = 0) -> LogLikelihood:
    r"""Lower bounds of log p(u)/n of images, n their pixels, under a `VAE` or `CovarianceVAE`.

    With :math:`z_1, ..., z_K \sim q(z | u)` and :math:`w_k = p(u | z_k) p(z_k) / q(z_k | u)`, the mean of log w, and
    log of the mean of w.

    Parameters
    ----------
    model : VAE
        Anything with ``posterior`` and ``log_likelihood``.
    images : array
        (N, H, W) or (H, W), in the units of the model, not among those it was trained with.
    samples : int
        K.
    seed : int

    References
    ----------
    Burda, Grosse and Salakhutdinov, Importance weighted autoencoders, ICLR (2016).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import log_likelihood
    >>> from ipbox.learned import VAE
    >>> found = log_likelihood(VAE(latent=3, dims=(8, 8), widths=(4, 8)), np.zeros((2, 8, 8), "f"), samples=8)
    >>> bool((found.importance_weighted >= found.elbo).all())
    True
    """
    import torch

    from ipbox.learned.networks.generative import VAE
    from ipbox.learned.priors.network import evaluation

    check_count(samples, "samples"), check_seed(seed)
    if not isinstance(model, VAE):
        raise TypeError(f"model is {type(model).__name__}; expected a VAE or CovarianceVAE, which have a likelihood")
    u, _ = entered(model, images)
    generator, rows = torch.Generator(u.device).manual_seed(seed), []
    with evaluation(model, gradient=False):
        m, log_variance = model.posterior(u)
        for _ in range(samples):
            noise = torch.randn(m.shape, generator=generator, dtype=u.dtype, device=u.device)
            z = m + (0.5 * log_variance).exp() * noise
            prior_over_q = 0.5 * (noise.square() + log_variance - z.square()).sum(dim=1)  # the constants cancel
            rows.append((model.log_likelihood(u, z) + prior_over_q).double())
    weights, n = torch.stack(rows), u[0].numel()
    mean = torch.logsumexp(weights, 0) - math.log(samples)
    return LogLikelihood(*(np.array((t / n).tolist()) for t in (weights.mean(0), mean)))


# ---------------------------------------------------------------- covariance


@answering
def covariance_columns(model: Any, image: Array, pixels: Sequence[tuple[int, int]]) -> Array:
    """Columns of Σ(z) at the latent vector of an image: the covariances of each pixel with all, (len(pixels), H, W).

    Parameters
    ----------
    model : VAE or CovarianceVAE
    image : array
        (H, W).
    pixels : sequence of (row, column)

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import covariance_columns
    >>> from ipbox.learned import VAE
    >>> model = VAE(latent=3, dims=(8, 8), widths=(4, 8), noise=0.5)
    >>> columns = covariance_columns(model, np.zeros((8, 8), "float32"), [(2, 3)])
    >>> np.argwhere(columns[0]).tolist(), round(float(columns.max()), 6)
    ([[2, 3]], 0.25)
    """
    import torch

    from ipbox.learned.priors.network import evaluation

    pairs = [tuple(pixel) if np.iterable(pixel) else () for pixel in pixels]
    if not pairs or not all(len(pair) == 2 and all(map(is_integer, pair)) for pair in pairs):
        raise ValueError(f"pixels is {shown(pixels)}; expected pairs (row, column)")
    u, leave = entered(model, image, "image")
    with evaluation(model, gradient=False):
        precision = _precision(model, model.encode(u))
        return leave(torch.cat([precision.column(*pixel)[:1, 0] for pixel in pairs]))


# ---------------------------------------------------------------- in and out


def _weights(model: Any) -> tuple[Any, Callable[[Any], Array]]:
    """A parameter of the model, for its dtype and device; and from a tensor to an array there."""
    import torch

    from ipbox.learned.bridge.arrays import from_torch
    from ipbox.learned.networks.generative import Generative

    if not isinstance(model, Generative):
        raise TypeError(
            f"model is {type(model).__name__}; expected a generative model, or a network of your own as "
            "ip.learned.Generator(net, latent, dims)"
        )
    tensors = itertools.chain(model.parameters(), model.buffers(), [torch.zeros(())])
    return next(t for t in tensors if t.is_floating_point()), lambda t: from_torch(t, copy=True)


def entered(model: Any, images: Array, name: str = "images") -> tuple[Any, Callable[[Any], Array]]:
    """Images as a tensor (N, 1, H, W) of the model's dtype, on its device; and the way back, to their arrays."""
    from ipbox.learned.bridge.arrays import from_torch, to_torch

    like, _ = _weights(model)
    images = check_array(images, name)
    if images.ndim not in (2, 3) or images.dtype.kind not in "fiu" or 0 in images.shape:
        raise ValueError(f"{name} has shape {images.shape} and dtype {images.dtype}; expected real (N, H, W) or (H, W)")
    if images.shape[-2:] != tuple(model.dims):
        raise ValueError(f"{name} has shape {images.shape}; expected images of {tuple(model.dims)}, the model's dims")
    dtype = str(like.dtype).removeprefix("torch.")
    if images.dtype != dtype:
        raise TypeError(
            f"{name} has dtype {images.dtype} and the model {dtype}; expected {name}.astype({dtype!r}), in the model's "
            "units"
        )
    if not bool(backend.array_module(images).isfinite(images).all()):
        raise ValueError(f"{name} has values that are NaN or infinite; expected finite ones")
    if isinstance(model, Stated) and isinstance(model.domain, ImageDomain):
        model.domain.warn(images, None)
    u = to_torch(images.reshape(-1, 1, *images.shape[-2:]), copy=True).to(like)
    xp = backend.array_module(images)
    return model.check_images(u), lambda t: from_torch(t, copy=True, xp=xp)


def _precision(model: Any, z: Any) -> Any:
    from ipbox.learned.networks.generative.base import WithPrecision

    if not isinstance(model, WithPrecision):
        raise TypeError(f"model is {type(model).__name__}, which has no covariance; expected a VAE or CovarianceVAE")
    return model.decode_precision(z)
