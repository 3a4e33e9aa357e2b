"""Network Tikhonov: the plain regulariser that a trained network gives without more."""

from __future__ import annotations

import math
from typing import Any

import torch

from ipbox.checks import check_type, is_number, shown
from ipbox.learned.priors.functional import TorchFunctional

__all__ = ["NETT"]


class NETT(TorchFunctional):
    r"""Network Tikhonov: R(u) = ½‖u - N(u)‖², or :math:`R(u) = \frac1p \|\Phi(u)\|_p^p` of an encoder.

    Parameters
    ----------
    net : torch.nn.Module
        N from images to images, such as a denoiser or a network that was trained to remove artefacts: R is small where
        it changes nothing.  With ``p`` any network Φ, whose output is small for good images.
    p : float, optional
        1 < p <= 2.
    L : float
        Lipschitz constant of ∇R, where it is known.
    dims, scale, channels, axes, dtype
        As for `TorchFunctional`.

    Notes
    -----
    Nothing is proved of R: it is not convex, and unless ``L`` is given ∇R has no known Lipschitz constant, so solvers
    search their steps (`LBFGS`, or ``ForwardBackward(backtracking=True)``) and claim no theorem.  ∇R is by automatic
    differentiation.

    References
    ----------
    Li, Schwab, Antholzer and Haltmeier, NETT: solving inverse problems with deep neural networks, Inverse Problems 36
    (2020).

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ipbox.learned.priors import NETT
    >>> half = torch.nn.Conv2d(1, 1, 1, bias=False).double()
    >>> torch.nn.init.constant_(half.weight, 0.5)[0, 0, 0, 0].item()
    0.5
    >>> R = NETT(half)
    >>> R.value(np.full((2, 2), 2.0)), R.grad(np.full((2, 2), 2.0)).tolist()         # ‖u‖²/8
    (2.0, [[0.5, 0.5], [0.5, 0.5]])
    """

    def __init__(
        self,
        net: torch.nn.Module,
        p: float | None = None,
        *,
        L: float = math.inf,
        dims: tuple[int, ...] | None = None,
        scale: float = 1.0,
        channels: str | None = None,
        axes: int = 2,
        dtype: str | None = None,
    ) -> None:
        check_type(net, "net", torch.nn.Module, "a torch module")
        super().__init__(net, L=L, dims=dims, scale=scale, channels=channels, axes=axes, dtype=dtype)
        if p is not None and not (is_number(p) and 1 < p <= 2):
            raise ValueError(f"p is {shown(p)}; expected a number above 1 and up to 2, or None")
        self.p = p

    @property
    def name(self) -> str:
        name = f"NETT({self.net.name})"
        return name if self.weight == 1.0 else f"{self.weight:g}·{name}"

    def energies(self, t: torch.Tensor, sigma: Any = None) -> torch.Tensor:
        y = self.net.call(t, sigma)
        if self.p is not None:
            return y.abs().pow(self.p).flatten(1).sum(1) / self.p
        if y.shape != t.shape:
            raise ValueError(
                f"{self.net.name} gave shape {tuple(y.shape)}; expected that of its input {tuple(t.shape)}"
            )
        return 0.5 * (t - y).square().flatten(1).sum(1)
