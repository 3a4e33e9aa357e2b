"""Regularisers R(u) = inf_z F(u/s, z) + S(z) of a generative model G, as functions of the image and the latent vector.

No solver knows torch: it is given arrays, u of shape (N,) + dims and z of shape (N, latent), and gets arrays.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_not_negative, check_positive
from ipbox.functionals import Functional
from ipbox.learned.bridge.arrays import from_torch, said, to_torch
from ipbox.learned.priors.network import evaluation

__all__ = ["GenerativeModel", "LatentPrior", "start_vectors"]

ROUGH: tuple[type, ...] = (torch.nn.ReLU, torch.nn.LeakyReLU, torch.nn.PReLU, torch.nn.ReLU6, torch.nn.RReLU)
ROUGH += (torch.nn.Hardtanh, torch.nn.MaxPool2d, torch.nn.Softshrink, torch.nn.Hardshrink)
ROUGH += (torch.nn.Hardsigmoid, torch.nn.Threshold)

Maps = Sequence[torch.Tensor]  # what the decoder makes of z: the mean G(z) first, (N, 1, H, W) each


@runtime_checkable
class GenerativeModel(Protocol):
    """A model with ``decode(z)``, from (N, latent) to images (N, 1) + dims; those of `ipbox.learned` are such."""

    latent: int
    dims: tuple[int, ...]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """G(z)."""
        ...


class LatentPrior:
    """Base of R(u) = inf_z F(u/s, z) + μ/2 ‖z‖².

    A subclass gives F: by `at`, and on tensors by `energies`; or, where u is G(z) itself, is ``direct``.

    Parameters
    ----------
    model : torch.nn.Module
        A generative model with ``latent``, ``dims`` and ``decode``.
    scale : float
        s, the unit of the model: images divided by it are like those that it was trained on.
    mu : float
        μ >= 0.
    """

    direct: ClassVar[bool] = False
    sparse: ClassVar[bool] = False  # whether u is G(z) plus something that is sparse
    quadratic: ClassVar[bool] = False  # whether F is, or penalises as, ½‖u/s - G(z)‖²
    formula: ClassVar[str] = ""

    def __init__(self, model: Any, scale: float = 1.0, mu: float = 1.0) -> None:
        if not isinstance(model, torch.nn.Module) or not isinstance(model, GenerativeModel):
            raise TypeError(
                f"model is {type(model).__name__}; expected a torch module with latent, dims and decode, such as a VAE"
            )
        self.model: Any = model
        self.scale, self.mu = check_positive(scale, "scale"), check_not_negative(mu, "mu")
        self.latent, self.dims = int(model.latent), tuple(int(n) for n in model.dims)

    @property
    def name(self) -> str:
        return f"{type(self).__name__}({type(self.model).__name__})"

    def __repr__(self) -> str:
        return f"{self.name}: {self.formula}, z: ({self.latent},), u: {self.dims}"

    def of(self, model: Any) -> LatentPrior:
        """The same with another model."""
        other = copy.copy(self)
        other.model, other.latent = model, int(model.latent)
        return other

    @property
    def rough(self) -> str | None:
        """The name of a part of the decoder that is not continuously differentiable; None where none is known."""
        return next((type(m).__name__ for m in self.model.modules() if isinstance(m, ROUGH)), None)

    # ------------------------------------------------------------ tensors

    def enter(self, z: Array) -> torch.Tensor:
        """z as a tensor of its own.

        Raises
        ------
        ValueError, TypeError
            where its size is not the model's, or the parameters have another dtype or device.
        """
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ValueError(f"z has shape {z.shape}; expected (N, {self.latent}), the latent size of the model")
        t = to_torch(z, copy=True)
        p = next(self.model.parameters(), None)
        if p is not None and p.dtype != t.dtype:
            raise TypeError(
                f"{type(self.model).__name__} has parameters in {p.dtype} and the image is {t.dtype}; expected one "
                f"dtype, as by model.to({t.dtype})"
            )
        if p is not None and p.device != t.device:
            raise ValueError(
                f"{type(self.model).__name__} is on {p.device} and the image on {t.device}; expected one device"
            )
        return t

    def maps(self, t: torch.Tensor) -> Maps:
        """What the decoder makes of the latent vectors t, checked."""
        u = self._checked(self._called(self.model.decode, t, "decode"), t, "decode")
        if t.requires_grad and torch.is_grad_enabled() and not u.requires_grad:
            raise ValueError("model.decode gave images without a gradient by z; expected a decoder that depends on z")
        return [u]

    def _called(self, decode: Callable[[torch.Tensor], Any], t: torch.Tensor, what: str) -> Any:
        """What the model makes of t, or in one sentence why it does not."""
        try:
            return decode(t)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as err:
            raise ValueError(
                f"model.{what} failed on latent vectors of shape {tuple(t.shape)}: {said(err)}; expected a decoder of "
                "the latent size of the model"
            ) from err

    def _checked(self, u: Any, t: torch.Tensor, what: str, channels: int | None = 1) -> torch.Tensor:
        if not isinstance(u, torch.Tensor):
            raise TypeError(f"model.{what} gave {type(u).__name__}; expected a torch tensor")
        if u.dtype != t.dtype:
            raise TypeError(f"model.{what} gave {u.dtype}; expected that of the latent vectors, {t.dtype}")
        c = channels if channels is not None or u.ndim != 4 else u.shape[1]
        if tuple(u.shape) != (len(t), c, *self.dims):
            wanted = (len(t), "F" if channels is None else c, *self.dims)
            raise ValueError(f"model.{what} gave shape {tuple(u.shape)}; expected {wanted}")
        return u

    def check_start(self, maps: Maps) -> None:
        """Refuse maps that no run can start with; later ones of this kind are refused by a line search."""

    def latent_energy(self, t: torch.Tensor) -> torch.Tensor:
        """S(z) = μ/2 ‖z‖², (N,) float64."""
        return 0.5 * self.mu * t.square().sum(dim=1, dtype=torch.float64)

    def energies(self, v: torch.Tensor, t: torch.Tensor, maps: Maps) -> torch.Tensor:
        """F(v, z) + S(z), (N,) float64."""
        return self.latent_energy(t)

    # ------------------------------------------------------------ arrays

    def images(self, maps: Maps, like: Array) -> Array:
        """s·G(z), an array (N,) + dims."""
        return self.array(self.scale * maps[0], like)

    def array(self, t: torch.Tensor, like: Array) -> Array:
        """A map (N, 1) + dims as an array (N,) + dims."""
        return from_torch(t.detach().reshape(-1, *self.dims).contiguous(), xp=backend.array_module(like))

    def at(self, z: Array) -> Functional:
        """R of u for latent vectors that are held: F(u/s, z), without what does not depend on u.

        Parameters
        ----------
        z : array
            (latent,), or (N, latent) for a batch of images.

        Returns
        -------
        Functional
            With gradient or prox, for any solver.
        """
        with evaluation(self.model, gradient=False):
            maps = self.maps(self.enter(z if z.ndim == 2 else z[None]))
            self.check_start(maps)
            return self.functional(maps, z, z.ndim == 2)

    def functional(self, maps: Maps, like: Array, batch: bool = True) -> Functional:
        """`at` of maps that are there."""
        raise TypeError(f"{type(self).__name__} holds u in the range of G; expected a prior with deviations for at(z)")


def start_vectors(R: LatentPrior, restarts: int, z0: Any, seed: int, like: Array | None) -> Array:
    """(restarts, latent): 0 and draws of N(0, I), the same in every library; or those given.

    They are in the library of ``like``, or in that of NumPy where there is none yet.
    """
    if z0 is None:
        z = np.random.default_rng(seed).standard_normal((restarts, R.latent))
        z[0] = 0
        return z if like is None else backend.array_module(like).asarray(z)
    backend.array_module(backend.check_array(z0, "z0"), *([] if like is None else [like]))
    z = z0[None] if z0.ndim == 1 else z0
    fits = z.ndim == 2 and len(z) > 0 and z.shape[1] == R.latent and z.dtype.kind in "fiu"
    if not fits or not bool((abs(z) < np.inf).all()):
        raise ValueError(
            f"z0 has shape {z0.shape} and dtype {z0.dtype}; expected finite real numbers (restarts, {R.latent}), the "
            "latent size"
        )
    return z
