"""Deep equilibrium: the fixed point of one learned iteration, differentiated implicitly."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ipbox.backend import Array
from ipbox.checks import check_choice, check_positive
from ipbox.keywords import answering
from ipbox.learned.maps.channels import channels_of, check_plane, from_channels, to_channels
from ipbox.learned.maps.gradient import GradientMap
from ipbox.learned.methods.anderson import Anderson, FixedPointResult, norms
from ipbox.learned.networks.blocks import Factory, make_networks
from ipbox.operators import Operator
from ipbox.operators.core.adapters import image_operator
from ipbox.reconstruct.direct.info import AnalyticInfo
from ipbox.solvers.core.divergence import Diverged

__all__ = ["DeepEquilibrium"]

BACKWARD = ("implicit", "jacobian_free")


class _FirstOrder(torch.autograd.Function):
    """w, of which no derivative is known: where ``of``, what it depends on, is to have one, that is refused."""

    @staticmethod
    def forward(ctx: Any, w: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
        return w.clone()

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple:
        raise RuntimeError(
            "DeepEquilibrium has first derivatives alone; expected no derivative of them: unroll the iteration with "
            "LearnedProximalGradient(shared=True) for more"
        )


@answering
class DeepEquilibrium(GradientMap):
    r"""Deep equilibrium: u = f(u), with one network N in every iteration.

    .. math:: f(u) = N(u - η ∇E(u)) \;\text{(prox)} \quad\text{or}\quad f(u) = N(u) - η ∇E(u) \;\text{(gradient)},
        \qquad ∇E(u) = A^*F(Au - b)

    Parameters
    ----------
    A : Operator
        With two-dimensional images for the networks given by name; complex images are two channels (Re, Im).
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    method : {"prox", "gradient"}
    network : {"residual", "unet", "equivariant", "dihedral"} or callable
        N, as for `LearnedProximalGradient`; it is the identity at first where it is given by name.
    width : int
    filter : None, str, or Operator
        F, as for `LearnedProximalGradient`.
    eta : float, optional
        η > 0 at the start, by default 1/‖A*FA‖; it is learned.
    tol, niter, memory : float, int, int
        Of `Anderson`: estimated relative error of the fixed point, and of the solution w below, at which to stop, most
        evaluations of f, and iterates that are combined.
    backward : {"implicit", "jacobian_free"}
        Derivatives by the implicit function theorem, (I - J_f*)w = ∂l/∂u solved by the same iteration; or with w =
        ∂l/∂u, which is cheaper, and no gradient but often a descent direction where f is a contraction.
    scale : float
        Size of the images' values: networks see u/scale.

    Attributes
    ----------
    found : FixedPointResult or None
        How the last call ended.
    found_backward : FixedPointResult or None
        How the solve of its last derivative ended.

    Notes
    -----
    The fixed point is unique and the iteration converges where f is a contraction, which training does not guarantee:
    `contraction` measures ‖J_f‖ at the fixed point, and `reconstruct` reports the residual and the error.  Where a
    solve ends without having reached its tolerance, derivatives are off: a `RuntimeWarning` says by how much.  Second
    derivatives raise a RuntimeError.

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    References
    ----------
    Bai, Kolter and Koltun, Deep equilibrium models, NeurIPS 2019; Gilton, Ongie and Willett, Deep equilibrium
    architectures for inverse problems in imaging, IEEE Trans. Comput. Imaging 7 (2021); Fung et al., JFB: Jacobian-free
    backpropagation for implicit networks, AAAI 2022.

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.learned.maps.equilibrium import DeepEquilibrium
    >>> A, b, x_true, info = ip.problem("ct", size=32, views=20)
    >>> net = DeepEquilibrium(A, width=4, filter="ramp", scale=0.04)
    >>> x, info = net.reconstruct(b)     # not trained yet: least squares
    >>> info.parameters["residual"] < 1e-3
    True
    """

    def __init__(
        self,
        A: Any,
        method: str = "prox",
        network: str | Factory = "unet",
        width: int = 32,
        filter: str | Operator | None = None,
        eta: float | None = None,
        tol: float = 1e-3,
        niter: int = 50,
        memory: int = 5,
        backward: str = "implicit",
        scale: float = 1.0,
        *,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        check_choice(method, "method", ("prox", "gradient"))
        check_choice(backward, "backward", BACKWARD)
        if eta is not None:
            check_positive(eta, "eta", "a positive number, or None")
        A = image_operator(A, shape)
        check_plane(A, network)
        self.filter, self.method, self.backward = filter, method, backward
        self.solver = Anderson(memory=memory, tol=tol, niter=niter)
        self.found: Any = None  # a FixedPointResult, after the first call
        self.found_backward: FixedPointResult | None = None
        super().__init__(A, scale)
        self.config = dict(method=method, network=network, width=width, filter=filter, eta=eta, tol=tol, niter=niter)
        self.config |= dict(memory=memory, backward=backward, scale=scale)
        c = channels_of(A.dtype_in)
        (self.network,) = make_networks(network, c, c, width, 1, True, zero=True)
        eta = 1.0 / self.E.lipschitz() if eta is None else float(eta)
        self.eta = nn.Parameter(torch.tensor(eta, dtype=self.dtype.to_real()))
        self._as_exact_as_data()

    # ------------------------------------------------------------ the iteration

    def step(self, u: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """f(u), for data b; both in units of ``scale``."""
        move = self.eta * self.E.gradient(u, b)
        z = to_channels(u - move if self.method == "prox" else u)
        fu = from_channels(self.network(z).to(z.dtype))  # autocast gives half precision
        return fu if self.method == "prox" else fu - move

    def iterates(self, b: torch.Tensor) -> Iterator[torch.Tensor]:
        """The iterates of Anderson's acceleration, ``niter`` of them whatever the residual."""
        b = b / self.scale
        for k, (u, _) in enumerate(self.solver.iterates(lambda u: self.step(u, b), self.E.start(b))):
            yield self.scale * u
            if k == self.solver.niter:
                return

    def forward(self, b: torch.Tensor) -> torch.Tensor:
        """The fixed point."""
        b = b / self.scale
        with torch.no_grad():
            self.found = self.solver.solve(lambda u: self.step(u, b), self.E.start(b))
        u = self.found.u
        if torch.is_grad_enabled():
            u = self._attach(u, b)
        return self.scale * u

    def _attach(self, u: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """f(u), whose derivatives with respect to b and the parameters are those of the fixed point."""
        fu = self.step(u, b)
        if self.backward == "jacobian_free" or not fu.requires_grad:
            return fu
        _warn(self.found, "the fixed point")
        v = u.clone().requires_grad_()
        fv = self.step(v, b)

        def solve_adjoint(g: torch.Tensor | None) -> torch.Tensor | None:  # (I - J*) w = g
            if g is None:
                return None

            def transposed(w: torch.Tensor) -> torch.Tensor:
                return torch.autograd.grad(fv, v, w, retain_graph=True)[0] + g

            with torch.no_grad():
                self.found_backward = self.solver.solve(torch.enable_grad()(transposed), g)
            _warn(self.found_backward, "the derivative of the fixed point")
            w = self.found_backward.u
            return _FirstOrder.apply(w, fv) if torch.is_grad_enabled() else w

        fu.register_hook(solve_adjoint)
        return fu

    # ------------------------------------------------------------ reports

    def reconstruct(self, b: Array) -> tuple[Array, AnalyticInfo]:
        """Φ(b), as `LearnedMap.reconstruct`.

        ``info.niter`` counts evaluations of f, ``info.stop`` is "residual" where the fixed point was reached to the
        tolerance, else "niter"; ``info.parameters["residual"]`` and ``["error"]`` are the largest relative residual and
        estimated relative error of a sample.
        """
        x, info = super().reconstruct(b)
        if not math.isfinite(self.found.history[-1]):
            k = self.found.niter - 1
            raise Diverged(f"DeepEquilibrium gives values that are not finite, first from iterate {k}", x, k)
        stop = "residual" if self.found.converged else "niter"
        sizes = {"residual": float(self.found.residual.max()), "error": float(self.found.error.max())}
        return x, replace(info, niter=self.found.niter, stop=stop, parameters=info.parameters | sizes)

    def contraction(self, b: torch.Tensor, niter: int = 20, seed: int = 0) -> torch.Tensor:
        """‖J_f‖ at the fixed point of each sample, from below, by ``niter`` power iterations on J_f*J_f.

        Below 1, the plain iteration converges near the fixed point.
        """
        with torch.no_grad():
            u = self(b) / self.scale
        b = b / self.scale
        f = lambda u: self.step(u, b)  # noqa: E731
        generator = torch.Generator(u.device).manual_seed(seed)
        d = torch.randn(u.shape, dtype=u.dtype, device=u.device, generator=generator)
        axes = (-1,) + (1,) * (u.ndim - 1)
        for _ in range(niter):
            d = d / norms(d).reshape(axes)
            Jd = torch.func.jvp(f, (u,), (d,))[1]
            size = norms(Jd)
            with torch.enable_grad():
                v = u.clone().requires_grad_()
                (d,) = torch.autograd.grad(f(v), v, Jd)
        return size.detach()

    def jacobian_penalty(self, b: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """E‖J_f* ε‖²/n for ε ~ N(0, I), one draw for each sample, at the last fixed point: its mean, differentiable.

        It does not bound ‖J_f‖, which may stay above 1, but favours maps f whose iteration converges.

        References
        ----------
        Bai, Koltun and Kolter, Stabilizing equilibrium models by Jacobian regularization, ICML 2021.
        """
        if self.found is None:
            raise ValueError("the map was not called; expected a call of it before its jacobian_penalty")
        v = self.found.u.clone().requires_grad_()
        noise = torch.randn(v.shape, dtype=v.dtype, device=v.device, generator=generator)
        (Jn,) = torch.autograd.grad(self.step(v, b / self.scale), v, noise, create_graph=True)
        return Jn.abs().square().mean()


def _warn(found: FixedPointResult, what: str) -> None:
    """Say where a solve has ended before its tolerance."""
    if not found.converged:
        off = f"off by about {float(found.error.max()):.1%} after {found.niter} evaluations"
        warnings.warn(
            f"{what} of DeepEquilibrium is {off}; expected a larger niter, or a map that contracts more, for training",
            RuntimeWarning,
            stacklevel=2,
        )
