"""Learned primal-dual: networks in place of the two proximal maps of a primal-dual method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ipbox.checks import check_count
from ipbox.keywords import answering
from ipbox.learned.maps.base import LearnedMap
from ipbox.learned.maps.channels import channels_of, check_plane, each_slice, from_channels, norm_of, to_channels
from ipbox.learned.networks.blocks import Factory, make_networks
from ipbox.operators import Operator
from ipbox.operators.core.adapters import image_operator

__all__ = ["LearnedPrimalDual"]


@answering
class LearnedPrimalDual(LearnedMap):
    r"""Learned primal-dual reconstruction.

    .. math::
        h^{k+1} = h^k + Γ^k([h^k, A f^k_2, b]), \qquad f^{k+1} = f^k + Λ^k([f^k, A^* h^{k+1}_1]),
        \qquad Φ(b) = f^K_1

    f are ``memory`` images and h ``memory`` data, zero at first; A is divided by its norm.

    Parameters
    ----------
    A : Operator
        With two-dimensional images and data for the networks given by name; complex ones are two channels (Re, Im).
        Data with more axes than the images, as of several coils, are seen one coil at a time.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    niter : int
        K.
    network : {"residual", "unet"} or callable
        Λ^k and Γ^k with the sum (see `ipbox.learned.networks.blocks`); or ``network(c_in, c_out)`` gives a torch module
        that maps [f, A*h] to the new f, and [h, A f, b] to the new h: of volumes one of 3-D convolutions.
    width : int
        Channels inside of the networks given by name.
    memory : int
        How many images, and how many data; at least 2.
    shared : bool
        Whether the Λ^k are one, and the Γ^k.
    scale : float
        Size of the images' values: networks see u/scale.

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    References
    ----------
    Adler and Öktem, Learned primal-dual reconstruction, IEEE Trans. Med. Imaging 37 (2018).

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.learned.maps.primal_dual import LearnedPrimalDual
    >>> A, b, x_true, info = ip.problem("ct", size=32, views=20)
    >>> x, info = LearnedPrimalDual(A, niter=2, width=4, scale=0.04).reconstruct(b)
    >>> x.shape
    (32, 32)
    """

    def __init__(
        self,
        A: Any,
        niter: int = 10,
        network: str | Factory = "residual",
        width: int = 32,
        memory: int = 5,
        shared: bool = False,
        scale: float = 1.0,
        *,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        A = image_operator(A, shape)
        check_plane(A, network)
        if isinstance(network, str) and len(A.dimsd) < 2:
            raise ValueError(
                f"A has data of shape {tuple(A.dimsd)}, and network {network!r} is for two axes or more; expected such "
                "an A, or LearnedProximalGradient, whose networks see images alone"
            )
        if network in ("equivariant", "dihedral"):
            raise ValueError(
                f"network is {network!r}, which turns data as images; expected 'residual', 'unet' or a callable, or "
                "LearnedProximalGradient, whose networks see images alone"
            )
        super().__init__(A, scale)
        self.config = dict(niter=niter, network=network, width=width, memory=memory, shared=shared, scale=scale)
        self.memory = check_count(memory, "memory", 2)
        c, d = channels_of(self.A.A.dtype_in), channels_of(self.A.A.dtype_out)
        self.channels = c
        self.primal = make_networks(network, c * (memory + 1), c * memory, width, niter, shared, zero=False)
        self.dual = make_networks(network, d * (memory + 2), d * memory, width, niter, shared, zero=False)
        self._as_exact_as_data()

    any_coils = True

    def _set_operator(self, A: Operator) -> None:
        super()._set_operator(A)
        self.norm = norm_of(A)

    def iterates(self, b: torch.Tensor) -> Iterator[torch.Tensor]:
        """f⁰_1, ..., f^K_1: images (N,) + dims for data (N,) + dimsd."""
        g = to_channels(b / (self.scale * self.norm))
        c, d = self.channels, g.shape[1]
        f = g.new_zeros((len(b), c * self.memory, *self.dims))
        h = g.new_zeros((len(b), d * self.memory, *self.dimsd))
        yield self.scale * from_channels(f[:, :c])
        for Γ, Λ in zip(self.dual, self.primal, strict=True):
            Af = self.A(from_channels(f[:, c : 2 * c])) / self.norm
            h = each_slice(Γ, torch.cat([h, to_channels(Af), g], dim=1), len(self.dims)).to(g.dtype)
            Ah = self.A.adjoint(from_channels(h[:, :d])) / self.norm
            f = Λ(torch.cat([f, to_channels(Ah)], dim=1)).to(g.dtype)
            yield self.scale * from_channels(f[:, :c])
