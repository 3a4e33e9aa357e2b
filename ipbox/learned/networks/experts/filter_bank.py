"""Filters of ridge regularisers: of norm at most 1 by construction, for reflected images of every size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from ipbox.learned.networks.energy import check_kernel
from ipbox.learned.networks.layers import check_images, check_width, listed

__all__ = ["FilterBank", "correlate", "correlation_norm", "extend", "fold", "parities", "spread", "waves"]

GRID = 256  # frequencies a side
BLOCK = 4  # pixels a side that the adjoint computes at a time: convolutions to one channel are slow
SLACK = 1e-6  # for the rounding of kernels to float32


class FilterBank(nn.Module):
    r"""W u = (w_k ∗ u)_k, filters of mean zero with :math:`\|W\| \le 1` for every value of the parameters.

    The filters are compositions of small convolutions.  Half of the composed ones are made even and half odd under a
    rotation by 180°, and each comes with its mirror image; the image is reflected about its boundary.

    Parameters
    ----------
    widths : sequence of int
        Channels after each of the small convolutions; the last is even.  There are twice as many filters.
    kernel : int
        Pixels a side of the small kernels, odd.

    Notes
    -----
    The norm is bounded by the Fourier transform: the mirror images of an image fill a period of twice its sides, in
    which all four parts have responses of equal norm, as the bank is closed under reflections.  So
    :math:`\sum_k a_k \|w_k * u\|^2 \le \max_\omega \sum_k a_k |\hat w_k(\omega)|^2 \, \|u\|^2` where a_k >= 0 is the
    same for mirror images; the maximum is taken on a grid and multiplied by what a trigonometric polynomial can rise
    between its points.  For a = 1 the filters are divided by it, at every call.

    References
    ----------
    Goujon, Neumayer, Bohra, Ducotterd and Unser, A neural-network-based convex regularizer for inverse problems, IEEE
    Trans. Comput. Imaging 9 (2023), for composed filters.
    Ehlich and Zeller, Schwankung von Polynomen zwischen Gitterpunkten, Math. Z. 86 (1964).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.experts.filter_bank import FilterBank
    >>> bank, u = FilterBank((2, 4), kernel=3), torch.rand(1, 1, 9, 8)
    >>> bank(u).shape, bool(bank(u).norm() <= u.norm()), bool(bank(torch.ones_like(u)).abs().max() < 1e-6)
    (torch.Size([1, 8, 9, 8]), True, True)
    """

    def __init__(self, widths: Sequence[int], kernel: int) -> None:
        super().__init__()
        widths = tuple(listed(widths, "widths"))
        check_width(**{f"widths[{i}]": n for i, n in enumerate(widths)})
        if not widths or widths[-1] % 2:
            raise ValueError(f"widths is {widths}; expected channels of which the last are even in number")
        check_kernel(kernel)
        self.parts = nn.ParameterList(
            nn.Parameter(torch.randn(b, a, kernel, kernel) / math.sqrt(a) / kernel)
            for a, b in zip((1, *widths), widths, strict=False)
        )
        self._kept: tuple[Any, ...] | None = None

    @property
    def free(self) -> int:
        """Filters up to mirror images."""
        return len(self.parts[-1])

    @property
    def radius(self) -> int:
        """Pixels that a filter reaches from its centre."""
        return sum(p.shape[-1] // 2 for p in self.parts)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return self.correlate(u, self.filters())

    def correlate(self, u: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
        """The responses (N, K, H, W) of images reflected about their boundary."""
        check_images(u, 1)
        return correlate(extend(u, self.radius), filters)

    def adjoint(self, t: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
        """Σ_k w_kᵀ t_k."""
        return fold(spread(t, filters), self.radius)

    def filters(self) -> torch.Tensor:
        """w_k, (K, 1, s, s): those of `free`, then their mirror images.

        They are kept while the parameters do not change and need no gradient.
        """
        parts = list(self.parts)
        if parts[0].is_inference() or (torch.is_grad_enabled() and any(p.requires_grad for p in parts)):
            return self._normalised(parts)
        kept = self._kept
        if kept is None or any(
            p.dtype != q.dtype or p.device != q.device or not torch.equal(p, q)
            for p, q in zip(parts, kept[0], strict=True)
        ):
            with torch.inference_mode(False), torch.no_grad():
                self._kept = kept = ([p.clone() for p in parts], self._normalised(parts))
        return kept[1]

    def squared_norm(self, a: torch.Tensor) -> torch.Tensor:
        """A bound of ‖Σ_k a_k W_kᵀW_k‖ for a_k >= 0 of the `free` filters, each also its mirror image's."""
        return correlation_norm(self.filters(), torch.cat([a, a]))

    def _normalised(self, parts: list[torch.Tensor]) -> torch.Tensor:
        first, *rest = (p.double() for p in parts)
        c = (first - first.mean((-2, -1), keepdim=True)).transpose(0, 1)  # (1, channels, s, s): an impulse response
        for p in rest:
            c = functional.conv2d(c, p.flip(-2, -1), padding=p.shape[-1] - 1)
        even, odd = c[0].chunk(2)
        c = torch.cat([even + even.flip(-2, -1), odd - odd.flip(-2, -1)]).unsqueeze(1)
        c = torch.cat([c, c.flip(-1)])
        square = correlation_norm(c, c.new_ones(len(c)))
        return (c / (square * (1 + SLACK) + torch.finfo(c.dtype).tiny).sqrt()).to(parts[0].dtype)


def correlation_norm(filters: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    r"""A bound of :math:`\max_\omega \sum_k a_k |\hat w_k(\omega)|^2` over all frequencies, in float64.

    Parameters
    ----------
    filters : torch.Tensor
        (K, 1, s, s).
    a : torch.Tensor
        (K,), not negative.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.experts.filter_bank import correlation_norm
    >>> difference = torch.tensor([[[[0.0, 0, 0], [0, -1, 1], [0, 0, 0]]]])
    >>> round(correlation_norm(difference, torch.ones(1)).item(), 2)
    4.0
    """
    w, size = filters.double(), filters.shape[-1]
    n = max(GRID, 4 * size)
    weighted = (a.to(w).reshape(-1, 1, 1, 1) * w).transpose(0, 1)
    r = functional.conv2d(functional.pad(weighted, (size - 1,) * 4), w.transpose(0, 1))  # Σ a_k, autocorrelations
    symbol = _symbol(r, n)
    return symbol.amax().clamp(min=0.0) / math.cos(math.pi * (size - 1) / n) ** 2


def _symbol(r: torch.Tensor, n: int) -> torch.Tensor:
    """The real Fourier transform of an even sequence about its centre, on n x n frequencies."""
    d = r.shape[-1] // 2
    centred = functional.pad(r[0, 0], (0, n - r.shape[-1]) * 2).roll((-d, -d), (0, 1))
    return torch.fft.rfft2(centred).real


def parities(c: torch.Tensor) -> torch.Tensor:
    """The parts of filters that are even or odd along both axes, (4, ...): their sum is c."""
    down, across = c.flip(-2), c.flip(-1)
    both = down.flip(-1)
    return torch.stack([c + i * down + j * across + i * j * both for i in (1, -1) for j in (1, -1)]) / 4


def waves(size: int) -> torch.Tensor:
    """The orthonormal filters of the discrete cosine transform, (size², size, size); the first is constant."""
    k = torch.arange(size, dtype=torch.float64)
    rows = torch.cos(math.pi * k[:, None] * (k + 0.5) / size) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return torch.einsum("ai,bj->abij", rows, rows).flatten(0, 1)


def extend(u: torch.Tensor, d: int) -> torch.Tensor:
    """d more pixels on each side, by reflection about the boundary; images may be smaller than d."""
    return _Extend.apply(u, d)


def fold(g: torch.Tensor, d: int) -> torch.Tensor:
    """The adjoint of `extend`."""
    return _Fold.apply(g, d)


def _mirrored(n: int, d: int, device: torch.device) -> torch.Tensor:
    i = torch.arange(-d, n + d, device=device) % (2 * n)
    return torch.minimum(i, 2 * n - 1 - i)


class _Extend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, d: int) -> torch.Tensor:
        ctx.d = d
        rows, columns = (_mirrored(n, d, u.device) for n in u.shape[-2:])
        return u.index_select(-2, rows).index_select(-1, columns)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _Fold.apply(g, ctx.d), None


class _Fold(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, g: torch.Tensor, d: int) -> torch.Tensor:
        ctx.d = d
        for axis in (-2, -1):
            g = _folded(g.transpose(axis, -1), d).transpose(axis, -1)
        return g.contiguous()

    @staticmethod
    def backward(ctx: Any, u: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _Extend.apply(u, ctx.d), None


def _folded(g: torch.Tensor, d: int) -> torch.Tensor:
    """Both ends of the last axis added to what they mirror."""
    n = g.shape[-1] - 2 * d
    if d > n:
        return g.new_zeros(*g.shape[:-1], n).index_add(-1, _mirrored(n, d, g.device), g)
    inner = g[..., d : d + n].clone()
    if d:
        inner[..., :d] += g[..., :d].flip(-1)
        inner[..., n - d :] += g[..., n + d :].flip(-1)
    return inner


def correlate(u: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """w_k ∗ u inside the image, (N, K, H - s + 1, W - s + 1)."""
    return _Correlate.apply(u, w)


def spread(t: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Σ_k w_kᵀ t_k, the adjoint of `correlate`."""
    return _Spread.apply(t, w)


class _Correlate(torch.autograd.Function):
    """t_k = w_k ∗ u inside the image; its derivatives are `_Spread` and itself, so it has all of them."""

    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(u, w)
        return functional.conv2d(u, w)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        u, w = ctx.saved_tensors
        by_u = _Spread.apply(g, w) if ctx.needs_input_grad[0] else None
        return by_u, conv2d_weight(u, w.shape, g) if ctx.needs_input_grad[1] else None


class _Spread(torch.autograd.Function):
    """Σ_k w_kᵀ t_k, computed in blocks of pixels."""

    @staticmethod
    def forward(ctx: Any, t: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(t, w)
        s, (h, n) = w.shape[-1], (k + w.shape[-1] - 1 for k in t.shape[-2:])
        turned, blocks = w.flip(-2, -1)[:, 0], w.new_zeros(BLOCK, BLOCK, len(w), s + BLOCK - 1, s + BLOCK - 1)
        for i in range(BLOCK):
            for j in range(BLOCK):
                blocks[i, j, :, i : i + s, j : j + s] = turned
        t = functional.pad(t, (s - 1, s - 1 + -n % BLOCK, s - 1, s - 1 + -h % BLOCK))
        u = functional.conv2d(t, blocks.flatten(0, 1), stride=BLOCK)
        return functional.pixel_shuffle(u, BLOCK)[..., :h, :n]

    @staticmethod
    def backward(ctx: Any, u: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        t, w = ctx.saved_tensors
        by_t = _Correlate.apply(u, w) if ctx.needs_input_grad[0] else None
        return by_t, conv2d_weight(u, w.shape, t) if ctx.needs_input_grad[1] else None
