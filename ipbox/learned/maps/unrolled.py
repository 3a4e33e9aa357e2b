"""Learned proximal gradient: a few gradient steps, each followed by a network instead of a proximal map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from ipbox.checks import check_choice, check_count, check_flag, check_positive
from ipbox.keywords import answering
from ipbox.learned.maps.channels import channels_of, check_plane, from_channels, to_channels
from ipbox.learned.maps.gradient import GradientMap
from ipbox.learned.networks.blocks import Factory, make_networks
from ipbox.operators import Operator
from ipbox.operators.core.adapters import image_operator

__all__ = ["LearnedProximalGradient"]


@answering
class LearnedProximalGradient(GradientMap):
    r"""Learned proximal gradient.

    .. math:: u^{k+1} = N^k(u^k - τ_k ∇E(u^k)), \qquad ∇E(u) = A^*F(Au - b), \qquad k = 0, ..., K - 1

    Parameters
    ----------
    A : Operator
        With two-dimensional images for the networks given by name; complex images are two channels (Re, Im).
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    niter : int
        K.
    network : {"residual", "unet", "equivariant", "dihedral"} or callable
        N^k (see `ipbox.learned.networks.blocks`); or ``network(c_in, c_out)`` gives a torch module on (N, c_in) + dims.
        Those of ``"equivariant"`` commute with quarter turns, of ``"dihedral"`` with mirror images too (see
        `EquivariantBlock`); as far as A*A does, so does the map from u to Φ(Au).
    width : int
        Channels inside of the networks given by name.
    memory : int
        Channels s that are handed on beside u, zero at first.
    inputs : {"step", "gradient"}
        N^k is given [u - τ_k ∇E(u), s], or [u, s, ∇E(u)] and finds out what to do with it (there is no τ_k then).
    filter : None, str, or Operator
        F, self-adjoint and positive on the data: None is 1/‖A‖², the plain gradient; ``"ramp"`` or another name of
        `RampFilter` preconditions parallel-beam CT: A*F is nearly filtered back-projection.
    shared : bool
        Whether the N^k are one, and the τ_k.
    tau : float, optional
        τ_k at the start, positive; by default 1/‖A*FA‖.  They are learned.
    scale : float
        Size of the images' values: networks see u/scale.

    Notes
    -----
    Starts at u⁰ = 0 with the plain gradient, with a filter at A*F b.
    Under ``torch.autocast`` only the networks compute in lower precision.

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    References
    ----------
    Adler and Öktem, Solving ill-posed inverse problems using iterative deep neural networks, Inverse Problems 33
    (2017); Celledoni, Ehrhardt, Etmann, Owren, Schönlieb and Sherry, Equivariant neural networks for inverse problems,
    Inverse Problems 37 (2021).

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.learned.maps.unrolled import LearnedProximalGradient
    >>> A, b, x_true, info = ip.problem("ct", size=32, views=20)
    >>> net = LearnedProximalGradient(A, niter=2, width=4, filter="ramp", scale=0.04)
    >>> x, info = net.reconstruct(b)     # not trained yet: two steps of gradient descent
    >>> x.shape
    (32, 32)
    """

    def __init__(
        self,
        A: Any,
        niter: int = 6,
        network: str | Factory = "residual",
        width: int = 32,
        memory: int = 0,
        inputs: str = "step",
        filter: str | Operator | None = None,
        shared: bool = False,
        tau: float | None = None,
        scale: float = 1.0,
        *,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        check_choice(inputs, "inputs", ("step", "gradient"))
        if tau is not None:
            check_positive(tau, "tau", "a positive number, or None")
        A = image_operator(A, shape)
        check_plane(A, network)
        self.memory, self.inputs, self.filter = check_count(memory, "memory", 0), inputs, filter
        super().__init__(A, scale)
        self.config = dict(niter=niter, network=network, width=width, memory=memory, inputs=inputs, filter=filter)
        self.config |= dict(shared=check_flag(shared, "shared"), tau=tau, scale=scale)
        c = channels_of(A.dtype_in)
        c_in = c + memory + (c if inputs == "gradient" else 0)
        self.networks = make_networks(network, c_in, c + memory, width, niter, shared, zero=True)
        if inputs == "step":
            tau = 1.0 / self.E.lipschitz() if tau is None else float(tau)
            self.tau = nn.Parameter(torch.full((1 if shared else niter,), tau, dtype=self.dtype.to_real()))
        self._as_exact_as_data()

    def iterates(self, b: torch.Tensor) -> Iterator[torch.Tensor]:
        """u⁰, ..., u^K."""
        b = b / self.scale
        u = self.E.start(b)
        yield self.scale * u
        s = to_channels(u).new_zeros((len(u), self.memory, *self.dims))
        for k, N in enumerate(self.networks):
            g = self.E.gradient(u, b)
            if self.inputs == "step":
                z = torch.cat([to_channels(u - self.tau[k % len(self.tau)] * g), s], dim=1)
            else:
                z = torch.cat([to_channels(u), s, to_channels(g)], dim=1)
            z = N(z).to(z.dtype)  # autocast gives half precision
            c = z.shape[1] - self.memory
            u, s = from_channels(z[:, :c]), z[:, c:]
            yield self.scale * u
