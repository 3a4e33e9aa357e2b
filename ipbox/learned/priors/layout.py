"""How an image stands before a network: as a tensor (N, channels, rows, columns)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import counted
from ipbox.learned.bridge.arrays import from_torch, to_torch, writeable

CHANNELS = (None, "first", "last", "complex", "separate")


@dataclass(frozen=True)
class Layout:
    """Arrays of shape batch + image to tensors (N, C) + pixels, and back.

    Parameters
    ----------
    channels : str, optional
        None: real images of one channel; ``"first"`` or ``"last"``: the image's first or last axis is that of the
        channels (colours); ``"complex"``: real and imaginary part are two channels; ``"separate"``: they are two
        images of one channel each.
    axes : int
        Number of the axes of pixels; those before them (and before the channels) are samples.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.learned.priors.layout import Layout
    >>> Layout("complex").pack(np.zeros((5, 4, 3), "complex64")).shape
    torch.Size([5, 2, 4, 3])
    """

    channels: str | None = None
    axes: int = 2

    def __post_init__(self) -> None:
        if self.channels not in CHANNELS:
            raise ValueError(f"channels is {self.channels!r}; expected one of {', '.join(map(repr, CHANNELS))}")
        if self.axes not in (1, 2, 3):
            raise ValueError(f"axes is {self.axes!r}; expected 1, 2 or 3, the number of axes of pixels")

    def pack(self, x: Array) -> torch.Tensor:
        """The images as a tensor that shares their memory where it can.

        Raises
        ------
        TypeError
            for complex images where ``channels`` does not say how, and for real ones where it does.
        ValueError
            for images with too few axes.
        """
        as_complex = self.channels in ("complex", "separate")
        if (x.dtype.kind == "c") != as_complex:
            wanted = "None, 'first' or 'last'" if as_complex else "'complex' (two channels) or 'separate' (two images)"
            raise TypeError(f"the image has dtype {x.dtype} and channels is {self.channels!r}; expected {wanted}")
        if x.ndim < self._axes:
            raise ValueError(f"the image has shape {x.shape}; expected at least {counted(self._axes, 'axis')}")
        shareable = x.flags.c_contiguous and writeable(x)
        t = to_torch(x, copy=not shareable)
        if as_complex:
            t = torch.view_as_real(t)
            if self.channels == "complex":
                return t.reshape(-1, *t.shape[-1 - self.axes :]).movedim(-1, 1)
            return t.movedim(-1, 0).reshape(-1, 1, *x.shape[-self.axes :])
        if self.channels is None:
            return t.reshape(-1, 1, *t.shape[-self.axes :])
        t = t.reshape(-1, *t.shape[-self._axes :])
        return t if self.channels == "first" else t.movedim(-1, 1)

    def unpack(self, t: torch.Tensor, like: Array) -> Array:
        """What `pack` made of ``like``, as an array of the same shape, dtype and library."""
        if self.channels in ("last", "complex"):
            t = t.movedim(1, -1)
        elif self.channels == "separate":
            t = t.reshape(2, *like.shape).movedim(0, -1)
        t = t.contiguous()
        if like.dtype.kind == "c":
            t = torch.view_as_complex(t)
        return from_torch(t.reshape(like.shape), xp=backend.array_module(like))

    def samples(self, x: Array) -> int:
        """How many images the tensor of ``x`` holds for each of its first axis."""
        n = 1
        for size in x.shape[1 : x.ndim - self._axes]:
            n *= size
        return n

    @property
    def _axes(self) -> int:
        return self.axes + (self.channels in ("first", "last"))
