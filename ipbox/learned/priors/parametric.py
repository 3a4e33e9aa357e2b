"""An energy of torch's with parameters, E(u, θ): its derivatives by u and by θ, by automatic differentiation."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.networks.energy import Energy

__all__ = ["ParametricEnergy"]

SETTLED = 1e-3  # relative change of ‖∇²E‖ at which the power method ends
FAILURES = (RuntimeError, ValueError, IndexError, TypeError, AssertionError, NotImplementedError)
PARAMETERS_OF_FUNCTIONS = "expected a tuple of strings, one for each entry of theta"


class ParametricEnergy:
    """E(u_i, θ), i = 1, ..., n, of a batch of images, θ a vector on the host; arrays in and out.

    Parameters
    ----------
    energy : torch.nn.Module or callable
        ``module(u)``, where θ stands for all its parameters, or ``function(u, theta)``; from a tensor (n,) + dims to n
        numbers, or from (n, 1) + dims where it cannot take the former.  Of a module a copy is taken, in evaluation
        mode.
    names : tuple of str, optional
        Of the entries of θ, for a function.

    Raises
    ------
    TypeError, ValueError
        for other arguments, and for an energy that does not give n numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.learned.priors.parametric import ParametricEnergy
    >>> E = ParametricEnergy(lambda u, theta: theta[0] * u.square().sum(1), ("weight",))
    >>> u, theta = np.array([[1.0, 2.0]]), np.array([0.5])
    >>> E.values(u, theta), E.gradient(u, theta), E.mixed(u, u, theta)
    (array([2.5]), array([[1., 2.]]), array([[10.]]))
    """

    def __init__(self, energy: Any, names: tuple[str, ...] | None = None) -> None:
        self.module = isinstance(energy, torch.nn.Module)
        self.training = self.module and energy.training
        self._channel: bool | None = None  # whether it takes images (n, 1) + dims; not known before the first call
        if not self.module and (isinstance(energy, type) or not callable(energy)):
            shown = energy.__name__ if isinstance(energy, type) else type(energy).__name__
            raise TypeError(f"energy is {shown}; expected a torch module, or a function of u and theta")
        if self.module and names is not None:
            raise ValueError(f"names is {names!r}; expected None, as theta stands for the module's own parameters")
        if self.module:
            energy = copy.deepcopy(energy).eval().requires_grad_(False)
            names = tuple(
                f"{name}[{', '.join(map(str, index))}]" if index else name
                for name, p in energy.named_parameters()
                for index in np.ndindex(tuple(p.shape))
            )
        if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"names is {names!r}; {PARAMETERS_OF_FUNCTIONS}")
        if not names:
            raise ValueError(f"energy has no parameters; {PARAMETERS_OF_FUNCTIONS}, or a module with parameters")
        self.energy, self.names = energy, tuple(names)

    def initial(self) -> np.ndarray | None:
        """θ of the module's parameters as they were given; None for a function."""
        if not self.module:
            return None
        values = torch.cat([p.detach().reshape(-1) for p in self.energy.parameters()])
        return from_torch(values.double(), copy=True, xp="numpy")

    # ------------------------------------------------------------ derivatives

    def values(self, u: Array, theta: np.ndarray) -> np.ndarray:
        """E(u_i, θ): float64, shape (n,)."""
        with torch.no_grad():
            t = to_torch(u, copy=True)  # the energy may work in place
            return from_torch(self._energies(t, _like(t, theta)).double(), copy=True, xp="numpy")

    def gradient(self, u: Array, theta: np.ndarray) -> Array:
        """∇E(u_i, θ), as ``u``."""
        with torch.inference_mode(False), torch.enable_grad():
            t = _leaf(u)
            return _array(_grad(self._energies(t, _like(t, theta)).sum(), t), u)

    def hessian(self, u: Array, v: Array, theta: np.ndarray) -> Array:
        """∇²E(u_i, θ) v_i, as ``u``: the gradient of <∇E(u, θ), v>."""
        with torch.inference_mode(False), torch.enable_grad():
            t = _leaf(u)
            g = _grad(self._energies(t, _like(t, theta)).sum(), t, create_graph=True)
            return _array(_grad(g, t, to_torch(v, copy=None)), u)

    def mixed(self, u: Array, q: Array, theta: np.ndarray) -> np.ndarray:
        """∂_θ <∇E(u_i, θ), q_i>: float64, shape (n, p); one sample after another, as each has its own gradient by θ."""
        rows = []
        with torch.inference_mode(False), torch.enable_grad():
            for t, d in zip(to_torch(u, copy=True), to_torch(q, copy=None), strict=True):
                t, d = t[None].requires_grad_(), d[None]
                p = _like(t, theta).requires_grad_()
                g = _grad(self._energies(t, p).sum(), t, create_graph=True)
                rows.append(_grad(g, p, d))
        return from_torch(torch.stack(rows).double(), copy=True, xp="numpy")

    def mixed_apply(self, u: Array, dtheta: np.ndarray, theta: np.ndarray) -> Array:
        """The change of ∇E(u_i, θ) with dθ, as ``u``: the gradient by u of <∂_θ E(u, θ), dθ>."""
        with torch.inference_mode(False), torch.enable_grad():
            t = _leaf(u)
            p = _like(t, theta).requires_grad_()
            g = _grad(self._energies(t, p).sum(), p, create_graph=True)
            return _array(_grad(g, t, _like(t, dtheta)), u)

    def curvature(self, u: Array, theta: np.ndarray, steps: int = 50) -> tuple[float, tuple[Array, Array], int]:
        """‖∇²E(u_i, θ)‖, the largest over the images, from below by the power method from a seeded start.

        Also the image and the direction it was found at, two arrays of one sample each, and the Hessian products spent.
        """
        v = np.random.default_rng(0).standard_normal((1, *u.shape[1:])).astype(u.dtype)
        v = backend.array_module(u).asarray(np.repeat(v, len(u), axis=0))
        largest, spent, size = np.zeros(len(u)), 0, np.sqrt(backend.sum_squares(v, True))
        for _ in range(steps):
            unit = v * backend.per_sample(1 / np.maximum(size, np.finfo(np.float32).tiny), v)
            v, spent = self.hessian(u, unit, theta), spent + len(u)
            size = np.sqrt(backend.sum_squares(v, True))
            if not np.isfinite(size).all():
                break
            settled = (abs(size - largest) <= SETTLED * size).all()
            largest = np.maximum(largest, size)
            if settled:
                break
        i = int(largest.argmax())
        return float(largest[i]), (u[i : i + 1], unit[i : i + 1]), spent

    def curvature_gradient(self, u: Array, v: Array, theta: np.ndarray) -> np.ndarray:
        """∂_θ <∇²E(u, θ) v, v>/‖v‖², of one image: that of ‖∇²E‖ where v is its leading eigenvector."""
        with torch.inference_mode(False), torch.enable_grad():
            t, d = _leaf(u), to_torch(v, copy=None)
            p = _like(t, theta).requires_grad_()
            g = _grad(self._energies(t, p).sum(), t, create_graph=True)
            h = _grad(g, t, d, create_graph=True)
            slope = _grad(h, p, d)
        return from_torch(slope.double(), copy=True, xp="numpy") / backend.sum_squares(v)

    def constants(self, theta: np.ndarray) -> tuple[tuple[float, float], tuple[np.ndarray, np.ndarray]]:
        """μ and L that the network proves of E(·, θ), an `Energy`, and their derivatives by θ; μ < 0 for -ρ."""
        if not isinstance(self.energy, Energy):
            raise TypeError(f"energy is {type(self.energy).__name__}; expected an Energy, which proves its constants")
        net = self.module_at(theta).double()
        with torch.inference_mode(False), torch.enable_grad():
            self._set(net, theta)  # in double precision
            L, rho, mu = net.bounds()
            slopes = [_slope(c, list(net.parameters())) for c in (mu - rho, L)]
        return (float((mu - rho).detach()), float(L.detach())), (slopes[0], slopes[1])

    def module_at(self, theta: np.ndarray) -> torch.nn.Module:
        """A copy of the module with θ in the place of its parameters, which learn again."""
        if not self.module:
            raise TypeError("energy is a function, and theta its argument; expected a module")
        net = copy.deepcopy(self.energy).requires_grad_(True).train(self.training)
        self._set(net, theta)
        return net

    # ------------------------------------------------------------ helpers

    # ------------------------------------------------------------ helpers

    @staticmethod
    def _set(net: torch.nn.Module, theta: np.ndarray) -> None:
        parameters = list(net.parameters())
        values = to_torch(np.array(theta, dtype=np.float64)).split([p.numel() for p in parameters])
        with torch.no_grad():
            for p, value in zip(parameters, values, strict=True):
                p.copy_(value.view(p.shape))

    def _energies(self, t: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        if self._channel is None:
            blank = t.detach().new_zeros((2, *t.shape[1:]))  # two: a convolution takes one image for a channel
            self._channel = not self._takes(blank, theta) and self._takes(blank[:, None], theta)
        e = self._call(t[:, None] if self._channel else t, theta)
        if not isinstance(e, torch.Tensor) or e.shape != t.shape[:1]:
            given = f"shape {tuple(e.shape)}" if isinstance(e, torch.Tensor) else type(e).__name__
            raise ValueError(f"energy gave {given}; expected a tensor of shape ({len(t)},), a number for each image")
        if e.is_complex():
            raise TypeError(f"energy gave {e.dtype}; expected real numbers")
        return e

    def _call(self, t: torch.Tensor, theta: torch.Tensor) -> Any:
        return (
            torch.func.functional_call(self.energy, self._state(theta), (t,)) if self.module else self.energy(t, theta)
        )

    def _takes(self, t: torch.Tensor, theta: torch.Tensor) -> bool:
        try:
            with torch.no_grad():
                e = self._call(t, theta.detach())
        except FAILURES:
            return False
        return isinstance(e, torch.Tensor) and e.shape == t.shape[:1]

    def _state(self, theta: torch.Tensor) -> dict[str, torch.Tensor]:
        """The module's parameters from θ, and its buffers in the dtype and on the device of θ."""
        parameters = dict(self.energy.named_parameters())
        parts = theta.split([p.numel() for p in parameters.values()])
        state = {name: part.view(p.shape) for (name, p), part in zip(parameters.items(), parts, strict=True)}
        for name, b in self.energy.named_buffers():
            state[name] = b.to(theta if b.is_floating_point() else theta.device)
        return state


def _like(t: torch.Tensor, theta: np.ndarray) -> torch.Tensor:
    """θ in the precision and on the device of the images t."""
    return to_torch(np.array(theta, dtype=np.float64)).to(t.device, t.dtype.to_real())


def _leaf(u: Array) -> torch.Tensor:
    return to_torch(u, copy=None).requires_grad_()


def _grad(y: torch.Tensor, x: torch.Tensor, v: torch.Tensor | None = None, create_graph: bool = False) -> torch.Tensor:
    """The gradient of Re<y, v> by x; zero where y does not depend on x."""
    if not y.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(y, x, v, create_graph=create_graph, materialize_grads=True)[0]


def _slope(value: torch.Tensor, parameters: list[torch.Tensor]) -> np.ndarray:
    """∂_θ of a number; zero where it does not depend on θ."""
    if not value.requires_grad:
        return np.zeros(sum(p.numel() for p in parameters))
    parts = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return from_torch(torch.cat([g.reshape(-1) for g in parts]), copy=True, xp="numpy")


def _array(t: torch.Tensor, like: Array) -> Array:
    return from_torch(t, copy=None, xp=backend.array_module(like))
