"""A torch module, or a plain function of arrays, called on images: scale, noise level, dtype, evaluation mode."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice, check_positive, counted
from ipbox.functionals.core.base import Work, buffer
from ipbox.learned.bridge.arrays import name_of, said
from ipbox.learned.priors.layout import Layout
from ipbox.learned.priors.signature import check_made, noise_argument, unwrapped

COMPUTE = {name: getattr(torch, name) for name in ("float16", "bfloat16", "float32", "float64")}


@runtime_checkable
class WarmStarted(Protocol):
    """A denoiser by iteration that starts from its last image unless ``restart`` is True, as deepinv's TV and TGV."""

    restart: bool
    x2: Any
    u2: Any


class Network:
    """x ↦ scale · net(x/scale, sigma/scale) on arrays.

    Parameters
    ----------
    net : torch.nn.Module or callable
        A module works on tensors (N, C) + pixels, as ``layout`` makes them; another callable on arrays, one image at
        a time.  It is called ``net(x, sigma)``, or ``net(x)`` where it has no noise level.
    layout : Layout
    scale : float
        Images are divided by it before, and multiplied by it afterwards.
    dtype : str, optional
        ``"float16"``, ``"bfloat16"``, ``"float32"`` or ``"float64"``: compute in this dtype.  By default that of the
        image, which the network's parameters must have too.
    takes_sigma : bool, optional
        Whether ``net`` takes a noise level; by default read from its signature, see `noise_argument`.
    given : bool
        Whether there is a noise level to give.
    """

    def __init__(
        self, net: Any, layout: Layout, scale: float, dtype: str | None, takes_sigma: bool | None, given: bool = True
    ) -> None:
        if not callable(check_made(net)):
            raise TypeError(f"net is {type(net).__name__}; expected a torch module or a function of an image")
        if dtype is not None:
            check_choice(dtype, "dtype", COMPUTE)
        self.net, self.layout, self.scale, self.dtype = net, layout, check_positive(scale, "scale"), dtype
        self.is_module = isinstance(net, torch.nn.Module)
        self.argument = noise_argument(net, takes_sigma, given)

    @property
    def name(self) -> str:
        return name_of(unwrapped(self.net))

    @property
    def takes_sigma(self) -> bool:
        """Whether the network is given a noise level."""
        return self.argument is not None

    def __call__(self, x: Array, sigma: Any = None, work: Work = None) -> Array:
        """The network's images, in an array of their own of the shape and dtype of ``x``.

        ``work`` keeps the network's input from call to call: new memory costs more than writing to it.

        Raises
        ------
        TypeError, ValueError
            where the network's dtype or device is not the image's, or it fails on the image, or gives another shape.
        """
        if not self.is_module:
            return self._by_images(x, sigma)
        with evaluation(self.net, gradient=False):
            t = self.enter(x, work)
            return self.leave(self.apply(t, self.level(sigma, x, t)), x)

    # ------------------------------------------------------------ modules

    def enter(self, x: Array, work: Work = None) -> torch.Tensor:
        """x/scale as a tensor of its own (a module may work in place), in the network's dtype and on its device."""
        z = buffer(work, "input", x)
        if self.scale == 1.0:
            z[...] = x
        else:
            backend.array_module(x).divide(x, self.scale, out=z)
        t = self.layout.pack(z)
        if self.dtype is not None:
            t = t.to(COMPUTE[self.dtype])
        self._check_module(t)
        return t

    def apply(self, t: torch.Tensor, sigma: Any) -> torch.Tensor:
        """net(t, sigma), an image for each image."""
        result = self.call(t, sigma)
        if result.shape != t.shape:
            raise ValueError(
                f"{self.name} gave shape {tuple(result.shape)}; expected that of its input, {tuple(t.shape)}"
            )
        return result

    def call(self, t: torch.Tensor, sigma: Any) -> torch.Tensor:
        """net(t, sigma), a tensor of the dtype of t."""
        try:
            result = self._invoke(t, sigma)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError) as err:
            raise (TypeError if isinstance(err, TypeError) else ValueError)(
                f"{self.name} failed on a tensor of shape {tuple(t.shape)} (samples, channels, pixels): {said(err)}"
            ) from err
        if not isinstance(result, torch.Tensor) or result.layout is not torch.strided:
            given = result.layout if isinstance(result, torch.Tensor) else type(result).__name__
            raise TypeError(f"{self.name} gave {given}; expected a torch tensor")
        if result.dtype != t.dtype:
            raise TypeError(f"{self.name} gave {result.dtype}; expected that of its input, {t.dtype}")
        return result

    def leave(self, t: torch.Tensor, x: Array, factor: float | None = None) -> Array:
        """factor · t (the scale by default) as an array of its own like ``x``: networks may return a buffer."""
        factor = self.scale if factor is None else factor
        t = t.detach()
        if self.dtype is not None:
            t = t.to(COMPUTE[str(backend.real_dtype(x.dtype))])
        return self.layout.unpack(t.clone() if factor == 1.0 else t * factor, x)

    def level(self, sigma: Any, x: Array, t: torch.Tensor) -> Any:
        """sigma/scale: a float, or a tensor of one for each image of ``t`` where sigma has one for each sample."""
        if sigma is None or self.argument is None:
            return None
        if np.ndim(sigma) == 0:
            level, axes = float(sigma) / self.scale, self.argument.axes
            return level if axes is None else torch.full((1,) * axes, level, dtype=t.dtype, device=t.device)
        levels = np.repeat(np.asarray(sigma) / self.scale, self.layout.samples(x))
        if self.layout.channels == "separate":
            levels = np.concatenate([levels, levels])
        return torch.tensor(levels.tolist(), dtype=t.dtype, device=t.device)

    def _check_module(self, t: torch.Tensor) -> None:
        for name, p in itertools.chain(self.net.named_parameters(), self.net.named_buffers()):
            if not p.is_floating_point():
                continue
            if p.dtype != t.dtype:
                given = "the image is" if self.dtype is None else "dtype is"
                raise TypeError(
                    f"{self.name} has {name} in {p.dtype}, {given} {t.dtype}; expected one dtype, by net.to({t.dtype})"
                    + (f", or dtype='{str(p.dtype)[6:]}' to compute in the network's" if self.dtype is None else "")
                )
            if p.device != t.device:
                raise ValueError(
                    f"{self.name} has {name} on {p.device}, the image is on {t.device}; expected one device, as by "
                    f"net.to('{t.device}')"
                )

    # ------------------------------------------------------------ functions of arrays

    def _by_images(self, x: Array, sigma: Any) -> Array:
        """One image after another, each a new array, which the function may change."""
        if x.dtype.kind == "c" and self.layout.channels != "complex":
            raise TypeError(f"the image is complex; {self.name} as a function of arrays expects channels='complex'")
        xp, axes = backend.array_module(x), self.layout.axes + (self.layout.channels in ("first", "last"))
        if x.ndim < axes:
            raise ValueError(f"the image has shape {x.shape}; expected at least {counted(axes, 'axis')}")
        result = xp.empty(x.shape, dtype=x.dtype)
        images = x.reshape(-1, *x.shape[x.ndim - axes :])
        levels = [None] * len(images) if sigma is None else np.repeat(sigma, len(images) // np.size(sigma)).tolist()
        for image, out, level in zip(images, result.reshape(images.shape), levels, strict=True):
            z = image / self.scale
            if self.dtype is not None:
                z = z.astype(np.promote_types(self.dtype, "F") if z.dtype.kind == "c" else self.dtype)
            try:
                d = self._invoke(z, None if level is None else level / self.scale)
            except TypeError as err:
                raise TypeError(
                    f"{self.name} failed on an array of shape {z.shape}: {said(err)}; expected a function of arrays, "
                    "or for tensors a torch module"
                ) from err
            out[...] = self._checked(d, z, xp)
        if self.scale != 1.0:
            result *= self.scale
        return result

    def _invoke(self, z: Any, level: Any) -> Any:
        for part in self.net.modules() if self.is_module else ():
            if isinstance(part, WarmStarted):
                part.restart = True  # else the image depends on those before
        if self.argument is None:
            return self.net(z)
        keyword = self.argument.keyword
        return self.net(z, level) if keyword is None else self.net(z, **{keyword: level})

    def _checked(self, d: Any, z: Array, xp: Any) -> Array:
        if not backend.is_array(d) or backend.array_module(d) is not xp:
            raise TypeError(f"{self.name} gave {type(d).__name__}; expected an array of {xp.__name__}")
        if d.shape != z.shape:
            raise ValueError(f"{self.name} gave shape {d.shape}; expected that of its input, {z.shape}")
        if d.dtype != z.dtype:
            wanted = backend.real_dtype(d.dtype) if d.dtype.kind == z.dtype.kind else None
            advice = f", or dtype='{wanted}'" if str(wanted) in COMPUTE else ""
            raise TypeError(f"{self.name} gave {d.dtype} for an image of {z.dtype}; expected the same{advice}")
        return d


@contextlib.contextmanager
def evaluation(net: torch.nn.Module, gradient: bool) -> Iterator[None]:
    """The module in evaluation mode, with gradients recorded or not; every part's training flag is restored.

    Not `torch.inference_mode`: a network that differentiates inside, such as a gradient step, could not.
    """
    with mode(net, False), torch.set_grad_enabled(gradient):
        yield


@contextlib.contextmanager
def mode(net: torch.nn.Module, training: bool) -> Iterator[None]:
    """All modules in training or evaluation mode; afterwards each as it was."""
    changed = [m for m in net.modules() if m.training != training]
    if changed:
        net.train(training)
    try:
        yield
    finally:
        for m in changed:
            m.training = not training
