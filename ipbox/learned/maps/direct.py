"""Direct maps: networks from data to image (AUTOMAP), and networks after an analytical reconstruction."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from ipbox.checks import check_count, check_positive
from ipbox.keywords import answering
from ipbox.learned.maps.base import LearnedMap
from ipbox.learned.maps.channels import channels_of, check_plane, from_channels, to_channels
from ipbox.learned.maps.gradient import GradientMap
from ipbox.learned.networks.denoisers import UNet
from ipbox.operators import JosephTransform, Operator, RayTransform
from ipbox.operators.core.adapters import image_operator

__all__ = ["AUTOMAP", "PostProcessing"]


@answering
class PostProcessing(GradientMap):
    r"""Learned post-processing: :math:`Φ(b) = N(A^†b)`, a U-Net that corrects an analytical reconstruction.

    Parameters
    ----------
    A : Operator
        With two-dimensional images; complex images are two channels (Re, Im).
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    width, depth : int
        Of the `UNet`, which adds to A†b what it is missing.
    filter : None, str, or Operator
        A† = A*F with F as for `LearnedProximalGradient`: ``"ramp"`` or another name of `RampFilter` for parallel-beam
        CT; None is the adjoint over ‖A‖².  ``"auto"`` is ``"ramp"`` for parallel-beam CT, None for others (MRI, blur).
    scale : float
        Size of the images' values: the network sees u/scale.

    Notes
    -----
    A is used once, so data and image need not agree: nothing makes A Φ(b) near b.

    References
    ----------
    Jin, McCann, Froustey and Unser, Deep convolutional neural network for inverse problems in imaging, IEEE Trans.
    Image Process. 26 (2017).

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.learned.maps.direct import PostProcessing
    >>> A, b, x_true, info = ip.problem("ct", size=32, views=20)
    >>> x, info = PostProcessing(A, width=4, depth=2, filter="ramp", scale=0.04).reconstruct(b)
    >>> x.shape
    (32, 32)
    """

    def __init__(
        self,
        A: Any,
        width: int = 24,
        depth: int = 4,
        filter: str | Operator | None = "auto",
        scale: float = 1.0,
        *,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        A = image_operator(A, shape)
        if isinstance(filter, str) and filter == "auto":
            filter = "ramp" if isinstance(A, RayTransform | JosephTransform) else None
        check_plane(A, "unet")
        self.filter = filter
        super().__init__(A, scale)
        self.config = dict(width=width, depth=depth, filter=filter, scale=scale)
        self.network = UNet(channels_of(A.dtype_in), width, depth)
        self._as_exact_as_data()

    def start(self, b: torch.Tensor) -> torch.Tensor:
        """A†b."""
        return self.E.back(b)

    def forward(self, b: torch.Tensor) -> torch.Tensor:
        """N(A†b)."""
        u = self.start(b) / self.scale
        return self.scale * from_channels(self.network(to_channels(u)).to(u.real.dtype))


@answering
class AUTOMAP(LearnedMap):
    r"""AUTOMAP: a network from data to image that knows nothing of A.

    Two fully connected layers with tanh, from the m data to n² and to n² pixels, two 5 x 5 convolutions (tanh, ReLU)
    and a transposed 7 x 7 convolution.

    Parameters
    ----------
    A : Operator
        Its shapes only; real images (ny, nx); complex data are taken as real and imaginary parts.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    width : int
        Channels of the convolutions.
    scale, scale_data : float
        Sizes of the images' and of the data's values.

    Attributes
    ----------
    features : torch.Tensor or None
        What enters the last layer, of the last call while training: the published loss adds 10⁻⁴ times its 1-norm.

    Notes
    -----
    About mn² + n⁴ parameters: for small images only.

    References
    ----------
    Zhu, Liu, Cauley, Rosen and Rosen, Image reconstruction by domain-transform manifold learning, Nature 555 (2018).

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.learned.maps.direct import AUTOMAP
    >>> A, b, x_true, info = ip.problem("ct", size=16, views=10)
    >>> net = AUTOMAP(A, width=4)
    >>> net.reconstruct(b)[0].shape, sum(p.numel() for p in net.parameters()) > 16**4
    ((16, 16), True)
    """

    def __init__(
        self,
        A: Any,
        width: int = 64,
        scale: float = 1.0,
        scale_data: float = 1.0,
        *,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        A = image_operator(A, shape)
        if len(A.dims) != 2 or A.dtype_in.kind == "c":
            raise ValueError(f"A has images of shape {tuple(A.dims)} and dtype {A.dtype_in}; expected real (ny, nx)")
        check_count(width, "width")
        super().__init__(A, scale)
        self.config = dict(width=width, scale=scale, scale_data=scale_data)
        self.scale_data = check_positive(scale_data, "scale_data")
        n = math.prod(self.dims)
        m = math.prod(self.dimsd) * channels_of(A.dtype_out)
        self.dense = nn.Sequential(nn.Linear(m, n), nn.Tanh(), nn.Linear(n, n), nn.Tanh())
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, width, 5, padding=2), nn.Tanh(), nn.Conv2d(width, width, 5, padding=2), nn.ReLU()
        )
        self.last = nn.ConvTranspose2d(width, 1, 7, padding=3)
        self.features: torch.Tensor | None = None
        self._as_exact_as_data()

    def forward(self, b: torch.Tensor) -> torch.Tensor:
        """N(b)."""
        b = torch.view_as_real(b.resolve_conj()) if b.is_complex() else b
        z = self.dense(b.reshape(len(b), -1) / self.scale_data)
        h = self.convolutions(z.reshape(len(b), 1, *self.dims))
        self.features = h if self.training else None
        return self.scale * self.last(h)[:, 0].to(b.dtype)
