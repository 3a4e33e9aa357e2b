"""Convex and weakly convex ridge regularisers: sums of profiles of filter responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from ipbox.checks import check_count, check_positive
from ipbox.learned.networks.energy import Energy, positive
from ipbox.learned.networks.experts.filter_bank import FilterBank, correlate, extend, fold, spread
from ipbox.learned.networks.experts.splines import evaluate, influence_in_place, tables_of
from ipbox.learned.networks.layers import check_images, listed

__all__ = ["ConvexRidge", "Ridge", "WeaklyConvexRidge"]

PART = 1 << 22  # bytes of responses that are in work at a time
WIDEST = 18.0  # |log α|: beyond, 1/α² is near the end of single precision
INITIAL = 0.3  # width of the initial profiles √(t² + ν²), as a share of their span


class Ridge(Energy):
    r"""R(u) = Σ_k Σ_i ψ_k((w_k ∗ u)_i): the base of both.

    A profile is :math:`\psi_k(t) = \varphi_k(\alpha_k t) / \alpha_k^2` with φ_k even and φ_k' linear between knots, so
    that :math:`\psi_k''` has the values of :math:`\varphi_k''`.  Filters and their mirror images share it.
    """

    def __init__(self, widths: Sequence[int], kernel: int, knots: int, span: float) -> None:
        super().__init__()
        if check_count(knots, "knots") < 3 or knots % 2 == 0:
            raise ValueError(f"knots is {knots}; expected an odd number from 3 on, as one is at 0")
        self.config = {
            "widths": listed(widths, "widths"),
            "kernel": kernel,
            "knots": knots,
            "span": check_positive(span, "span"),
        }
        self.bank = FilterBank(widths, kernel)
        self.intervals = knots // 2  # of t >= 0
        self.step = self.config["span"] / self.intervals
        self.log_alpha = nn.Parameter(torch.zeros(self.bank.free))

    def slopes(self) -> torch.Tensor:
        """φ_k'' on the intervals of t >= 0, (free, intervals); it is 0 beyond them."""
        raise NotImplementedError("abstract")

    def initial(self) -> torch.Tensor:
        """The slopes of t/√(t² + ν²), times ν, so that the first is about 1."""
        t = torch.arange(self.intervals + 1, dtype=torch.float64) / self.intervals
        influence = t / (t.square() + INITIAL**2).sqrt() * INITIAL
        return (influence.diff() * self.intervals).expand(self.bank.free, -1).float()

    # ------------------------------------------------------------ value and gradient

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        check_images(u, 1)
        phi = evaluate(self.bank.correlate(u, self._scaled()), self._tables(), self.step)
        return phi.sum((-2, -1)) @ self._weights().to(phi)

    def value_gradient(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        check_images(u, 1)
        with torch.no_grad():
            return self._by_parts(u, True)

    def gradient(self, u: torch.Tensor) -> torch.Tensor:
        """∇R(u) = Wᵀ ψ'(W u)."""
        check_images(u, 1)
        with torch.no_grad():
            return self._by_parts(u, False)[1]

    def _by_parts(self, u: torch.Tensor, valued: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """R and ∇R, with the responses of some images, or rows of one, at a time: new memory costs more than they."""
        w, d = self._scaled(), self.bank.radius
        v = extend(u, d)
        g, values = torch.zeros_like(v), torch.zeros(len(u), dtype=torch.float64, device=u.device)
        weights = self._weights()
        slopes = self.slopes().repeat(2, 1) * weights[:, None]
        rows = max(1, PART // (len(w) * u.shape[-1] * u.element_size()))
        some = max(1, rows // u.shape[-2])
        rows = -(-u.shape[-2] // -(-u.shape[-2] // rows))  # parts of about the same size
        for i in range(0, len(u), some):
            for first in range(0, u.shape[-2], rows):
                at = slice(i, i + some), slice(None), slice(first, min(first + rows, u.shape[-2]) + 2 * d)
                t = correlate(v[at], w).contiguous()
                if valued:
                    sums = evaluate(t, self._tables(), self.step).sum((-2, -1), dtype=torch.float64)
                    values[i : i + some] += sums @ weights.double()
                g[at] += spread(influence_in_place(t, slopes, self.step), w)
        return values.to(u), fold(g, d)

    def gradient_map(self) -> Callable[[torch.Tensor], torch.Tensor]:
        w, tables = self._scaled(), self._tables() * self._weights()[:, None]
        return lambda u: self.bank.adjoint(evaluate(self.bank.correlate(u, w), tables, self.step, order=1), w)

    def _scaled(self) -> torch.Tensor:
        """α_k w_k."""
        return self.bank.filters() * torch.exp(self._log_alpha()).repeat(2).reshape(-1, 1, 1, 1)

    def _log_alpha(self) -> torch.Tensor:
        return self.log_alpha.clamp(-WIDEST, WIDEST)

    def _weights(self) -> torch.Tensor:
        """1/α_k²."""
        return torch.exp(-2 * self._log_alpha()).repeat(2)

    def _tables(self) -> torch.Tensor:
        """Of φ_k, for each of the filters."""
        return tables_of(self.slopes(), self.step).repeat(1, 2, 1)

    # ------------------------------------------------------------ what is proved

    def bounds(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        s = self.slopes()
        concave = self.bank.squared_norm((-s).amax(1).clamp(min=0.0))
        return torch.maximum(self.bank.squared_norm(s.amax(1).clamp(min=0.0)), concave), concave, concave.new_zeros(())

    def typical_curvature(self, size: int = 32, steps: int = 8) -> float:
        """The Lipschitz constant of ∇R: that of the flat parts of an image, where profiles curve most."""
        return self.lipschitz

    def profile(self, t: torch.Tensor) -> torch.Tensor:
        """ψ_k'(t), (free, len(t)), to look at."""
        with torch.no_grad():
            alpha = torch.exp(self._log_alpha())[:, None]
            tables = tables_of(self.slopes(), self.step)
            return evaluate((alpha * t)[None, :, None], tables, self.step, 1)[0, :, 0] / alpha


class ConvexRidge(Ridge):
    r"""The convex ridge regulariser :math:`R(u) = \sum_k \sum_i \psi_k((w_k * u)_i)`, ψ_k convex.

    Parameters
    ----------
    widths : sequence of int
        Channels of the small convolutions whose compositions are the filters, see `FilterBank`; there are twice as
        many filters as the last.
    kernel : int
        Pixels a side of each.
    knots : int
        Of the linear splines ψ_k', odd.
    span : float
        The knots are at distances of 2·span/(knots - 1), from -span to span, in units of the image (for α_k = 1).

    Notes
    -----
    ``module(u)``: u of shape (N, 1, H, W), any size.  The slopes of ψ_k' are positive for all values of the parameters,
    so R is convex; with ‖W‖ <= 1, ∇R has at most the largest of them as a Lipschitz constant.  ψ_k' is constant beyond
    the span.

    References
    ----------
    Goujon, Neumayer, Bohra, Ducotterd and Unser, A neural-network-based convex regularizer for inverse problems, IEEE
    Trans. Comput. Imaging 9 (2023).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks import ConvexRidge
    >>> R = ConvexRidge(widths=(2, 4), kernel=3)
    >>> u, v = torch.rand(2, 1, 1, 9, 8)
    >>> bool(R((u + v) / 2) <= (R(u) + R(v)) / 2), R.weak_convexity, bool(R.lipschitz < 1.1)
    (True, 0.0, True)
    """

    convex = True

    def __init__(self, widths: Sequence[int] = (4, 8, 16), kernel: int = 5, knots: int = 21, span: float = 0.1) -> None:
        super().__init__(widths, kernel, knots, span)
        self.raw = nn.Parameter(self.initial().clamp(min=1e-4).expm1().log())  # positive(raw) is the initial one

    def slopes(self) -> torch.Tensor:
        return positive(self.raw)


class WeaklyConvexRidge(Ridge):
    r"""The weakly convex ridge regulariser: R + ½‖u‖² is convex, so that denoising, ½‖u - b‖² + R(u), stays so.

    :math:`R(u) = \sum_k \sum_i \psi_k((w_k * u)_i)` with :math:`\psi_k'' \ge -1` and :math:`\|W\| \le 1`.

    Parameters
    ----------
    widths, kernel, knots, span
        As for `ConvexRidge`.

    Notes
    -----
    The modulus is at most 1 for all values of the parameters: for every v,

    .. math:: v^T \nabla^2 R(u) v = \sum_k \sum_i \psi_k''((w_k * u)_i) (w_k * v)_i^2 \ge -\|W v\|^2 \ge -\|v\|^2.

    `weak_convexity` is max_ω Σ_k (-min ψ_k'')₊ |ŵ_k(ω)|² <= 1.  ψ_k' ends with a value that is not negative, so R is
    bounded from below.  Trained at the noise level σ, s² R(u/s) with s = σ'/σ is for σ', and has the same modulus: the
    ``scale`` of `LearnedRegulariser`.

    References
    ----------
    Goujon, Neumayer and Unser, Learning weakly convex regularizers for convergent image-reconstruction algorithms, SIAM
    J. Imaging Sci. 17 (2024).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks import WeaklyConvexRidge
    >>> R = WeaklyConvexRidge(widths=(2, 4), kernel=3)
    >>> R(torch.rand(2, 1, 9, 8)).shape, 0 <= R.weak_convexity <= 1
    (torch.Size([2]), True)
    """

    def __init__(self, widths: Sequence[int] = (4, 8, 16), kernel: int = 5, knots: int = 21, span: float = 0.1) -> None:
        super().__init__(widths, kernel, knots, span)
        self.raw = nn.Parameter((self.initial() + 1).expm1().log())

    def slopes(self) -> torch.Tensor:
        s = positive(self.raw) - 1
        return s - s.mean(1, keepdim=True).clamp(max=0.0)  # ψ' is not negative where it ends
