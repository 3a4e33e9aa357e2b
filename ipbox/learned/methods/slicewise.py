"""A denoiser of images on volumes: slice by slice, in several orientations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_axes, check_type
from ipbox.functionals.core.base import Work, shared
from ipbox.keywords import answering_classes
from ipbox.learned.priors.denoiser import Denoiser
from ipbox.learned.priors.signature import unwrapped

__all__ = ["SlicewiseDenoiser", "denoiser_for"]

PIXELS = 1 << 18  # of slices that are denoised at once: what a network keeps of them is many times as much
KERNEL = 5  # axes of the weights of a convolution in three dimensions


class SlicewiseDenoiser(Denoiser):
    r"""A denoiser of images, for volumes: the mean over orientations of what it makes of all slices.

    .. math:: D(u) = \frac{1}{|O|} \sum_{a \in O} D_a(u), \qquad D_a(u)_k = D_σ(u_k)

    for the slices u_k of u at right angles to the axis a.  Slices in one orientation alone differ from one another by
    what the denoiser makes of their noise, which shows as stripes in the planes across; with three orientations each
    voxel is denoised in three planes.

    Parameters
    ----------
    denoiser : Denoiser
        Of images (``axes=2``) without an axis of channels; its noise level, scale, strength and box hold.
    orientations : tuple of int
        O: axes of the volume (nz, ny, nx).

    Notes
    -----
    D is non-expansive, averaged or linear and self-adjoint where D_σ is.  With all three orientations, permuting the
    axes of the volume and then denoising is denoising and then permuting, where D_σ commutes with transposing.  Slices
    are denoised some at a time, so that memory is that of one more volume and of what the network needs for 2¹⁸ pixels
    (or one slice).  Pixels of slices across may be no squares, where slices are farther apart than pixels: D_σ sees
    them as if they were; ``orientations=(0,)`` leaves those slices out.  ``equivariant`` groups that are drawn from
    take one element for all slices of an iteration.

    A network with convolutions in three dimensions needs none of this: it is ``Denoiser(net, axes=3)``.

    Raises
    ------
    TypeError, ValueError
        for what is no `Denoiser` of images without channels, or axes that a volume has not; in use, for images that are
        no volumes.

    References
    ----------
    Majee et al., Multi-slice fusion for sparse-view and limited-angle 4D CT reconstruction, IEEE Trans. Comput. Imaging
    7 (2021).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> across = lambda image: image - image.mean(axis=0)           # of each column of a slice
    >>> D = ip.SlicewiseDenoiser(ip.Denoiser(across), orientations=(0, 2))
    >>> u = np.arange(2.0).reshape(2, 1, 1) * np.ones((2, 3, 4))
    >>> D.denoise(u)[:, 0, 0]                       # the mean of 0, which slices across z give, and of u less its mean
    array([-0.25,  0.25])
    """

    def __init__(self, denoiser: Denoiser, orientations: tuple[int, ...] = (0, 1, 2)) -> None:
        check_type(denoiser, "denoiser", Denoiser, "a Denoiser, such as ip.Denoiser(net, sigma=0.1)")
        layout = denoiser.net.layout
        if layout.axes != 2 or layout.channels in ("first", "last"):
            raise ValueError(
                f"denoiser has axes={layout.axes} and channels={layout.channels!r}; expected one of images without an "
                "axis of channels"
            )
        self.__dict__.update(denoiser.__dict__)
        self.orientations = check_axes(orientations, 3, "orientations")

    @property
    def name(self) -> str:
        return f"Slicewise{super().name}"

    def _turned(self, x: Array, sigma: Any, work: Work) -> Array:
        """The mean of what all slices become, of every volume of a batch."""
        if x.ndim < 3:
            raise ValueError(f"the image has shape {x.shape}; {self.name} expects volumes (nz, ny, nx)")
        xp, d = backend.array_module(x), backend.array_module(x).zeros(x.shape, dtype=x.dtype)
        volumes, sums = (a.reshape((-1, *x.shape[-3:])) for a in (x, d))
        levels = [None] * len(volumes) if sigma is None else np.repeat(sigma, len(volumes) // np.size(sigma)).tolist()
        kept: dict[str, Any] = {"shared": shared(work)}
        draws = kept["shared"].get("draws", 0)
        for volume, total, level in zip(volumes, sums, levels, strict=True):
            for u, v in self._slices(volume, total):
                kept["shared"]["draws"] = draws
                v += super()._turned(xp.ascontiguousarray(u), level, kept)
        if len(self.orientations) > 1:
            d /= len(self.orientations)
        return d

    def _slices(self, volume: Array, total: Array) -> Iterator[tuple[Array, Array]]:
        """Some slices of ``volume`` at a time, and of where their sum goes, in every orientation."""
        xp = backend.array_module(volume)
        for axis in self.orientations:
            u, v = (xp.moveaxis(a, axis, 0) for a in (volume, total))
            many = max(1, PIXELS // (u.shape[1] * u.shape[2]))
            for k in range(0, len(u), many):
                yield u[k : k + many], v[k : k + many]


def denoiser_for(dims: tuple[int, ...], orientations: Any, net: Any, *args: Any, **options: Any) -> Denoiser:
    """The `Denoiser` of ``net`` for images of shape ``dims``: of volumes slice by slice, or by a network of volumes.

    Examples
    --------
    >>> from ipbox.learned.methods.slicewise import denoiser_for
    >>> [denoiser_for(dims, None, abs).name for dims in ((4, 5), (3, 4, 5))]
    ['Denoiser(abs, blind)', 'SlicewiseDenoiser(abs, blind)']
    """
    is_volume = len(dims) == 3 and options.get("channels") not in ("first", "last")
    if orientations is not None and not is_volume:
        raise ValueError(
            f"orientations is {orientations!r} and the image has shape {dims}; expected it for volumes only"
        )
    if is_volume and orientations is None and _is_volumetric(net):
        return Denoiser(net, *args, axes=3, **options)
    D = Denoiser(net, *args, **options)
    return SlicewiseDenoiser(D, (0, 1, 2) if orientations is None else orientations) if is_volume else D


def _is_volumetric(net: Any) -> bool:
    """Whether a network has convolutions in three dimensions."""
    net = unwrapped(net)
    return isinstance(net, torch.nn.Module) and any(p.ndim == KERNEL for p in net.parameters())


answering_classes(globals())
