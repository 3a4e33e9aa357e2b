r"""Gaussians whose precision has a sparse Cholesky factor: :math:`\Sigma^{-1} = L L^T` with L lower triangular.

L is stored as images.  With the pixels in raster order (row by row), a neighbourhood of (2k + 1) x (2k + 1) pixels and
:math:`q_1, ..., q_F` the F = 2k(k + 1) pixels of it that come after p,

.. math:: (L^T x)_p = e^{d_p} x_p + \sum_f w_{f, p} x_{q_f},

with pixels outside the image zero: nothing wraps around.  F is 0 (diagonal), 4 (3 x 3) or 12 (5 x 5).

Tensors are x, d of (N, 1, H, W) and w of (N, F, H, W); N = 1 goes with any other N.

Dorta, Vicente, Agapito, Campbell and Simpson, Structured uncertainty prediction networks, CVPR (2018).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch.nn.functional import pad

__all__ = ["StructuredPrecision", "covariance_column", "l_apply", "log_det", "lt_apply", "neighbours", "sample"]
__all__ += ["solve_l", "solve_lt"]

Offsets = tuple[tuple[int, int], ...]


class StructuredPrecision(NamedTuple):
    """The precision L Lᵀ of N images, as its maps.

    Attributes
    ----------
    log_diagonal : torch.Tensor
        d, (N, 1, H, W).
    off_diagonal : torch.Tensor
        w, (N, F, H, W).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.generative.cholesky import StructuredPrecision
    >>> precision = StructuredPrecision(torch.zeros(1, 1, 2, 2), torch.full((1, 4, 2, 2), 0.5))
    >>> x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> precision.lt_apply(x).tolist()          # 1 + (2 + 3 + 4)/2, 2 + (3 + 4)/2, 3 + 4/2, 4
    [[[[5.5, 5.5], [5.0, 4.0]]]]
    >>> precision.energy(x).item(), precision.log_det().item()
    (50.75, -0.0)
    """

    log_diagonal: torch.Tensor
    off_diagonal: torch.Tensor

    def lt_apply(self, x: torch.Tensor) -> torch.Tensor:
        """Lᵀx."""
        return lt_apply(x, *self)

    def l_apply(self, y: torch.Tensor) -> torch.Tensor:
        """L y."""
        return l_apply(y, *self)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Σ⁻¹x."""
        return l_apply(lt_apply(x, *self), *self)

    def solve(self, x: torch.Tensor) -> torch.Tensor:
        """Σx, exactly, by two triangular solves; without gradients."""
        return solve_lt(solve_l(x, *self), *self)

    def energy(self, x: torch.Tensor) -> torch.Tensor:
        """½ xᵀΣ⁻¹x of each image, (N,)."""
        return 0.5 * lt_apply(x, *self).square().sum(dim=(1, 2, 3))

    def log_det(self) -> torch.Tensor:
        """log det Σ of each image, (N,)."""
        return log_det(self.log_diagonal)

    def log_density(self, x: torch.Tensor) -> torch.Tensor:
        """log N(x; 0, Σ) of each image, (N,), with all constants."""
        n = self.log_diagonal[0].numel()
        return -self.energy(x) - 0.5 * self.log_det() - 0.5 * n * math.log(2 * math.pi)

    def sample(self, generator: torch.Generator | None = None) -> torch.Tensor:
        """One image of N(0, Σ) each, (N, 1, H, W)."""
        return sample(*self, generator=generator)

    def column(self, row: int, column: int) -> torch.Tensor:
        """The covariances with one pixel, (N, 1, H, W)."""
        return covariance_column((row, column), *self)


def neighbours(count: int) -> tuple[int, Offsets]:
    """k, and the (row, column) steps from a pixel to its ``count`` later neighbours.

    Raises
    ------
    ValueError
        unless count is 0, or half the pixels around the middle one of a square.

    Examples
    --------
    >>> from ipbox.learned.networks.generative.cholesky import neighbours
    >>> neighbours(4)
    (1, ((0, 1), (1, -1), (1, 0), (1, 1)))
    """
    k = (math.isqrt(2 * count + 1) - 1) // 2
    if 2 * k * (k + 1) != count:
        raise ValueError(f"off_diagonal has {count} maps; expected 0, 4 (3 x 3) or 12 (5 x 5)")
    return k, tuple((dy, dx) for dy in range(k + 1) for dx in range(-k, k + 1) if (dy, dx) > (0, 0))


def lt_apply(x: torch.Tensor, d: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Lᵀx, (N, 1, H, W)."""
    k, steps = _checked(x, d, w)
    y = d.exp() * x
    if steps:
        H, W = x.shape[-2:]
        wide = pad(x, (k, k, 0, k))
        for f, (dy, dx) in enumerate(steps):
            y = y + w[:, f : f + 1] * wide[..., dy : dy + H, k + dx : k + dx + W]
    return y


def l_apply(y: torch.Tensor, d: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """L y, the adjoint of `lt_apply`, (N, 1, H, W)."""
    k, steps = _checked(y, d, w)
    x = d.exp() * y
    if steps:
        H, W = y.shape[-2:]
        wide = pad(x, (k, k, 0, k))
        for f, (dy, dx) in enumerate(steps):
            wide[..., dy : dy + H, k + dx : k + dx + W] += w[:, f : f + 1] * y
        x = wide[..., :H, k : k + W]
    return x


def log_det(d: torch.Tensor) -> torch.Tensor:
    """log det Σ = -2 Σ_p d_p of each image, (N,), exactly.

    Raises
    ------
    ValueError
        where d is not finite, so that Σ or its inverse is singular.
    """
    check_log_diagonal(d)
    return -2 * d.sum(dim=(1, 2, 3))


@torch.no_grad()
def solve_lt(y: torch.Tensor, d: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """x with Lᵀx = y, by substitution from the last pixel; without gradients."""
    return _substituted(y, d, w, later=True)


@torch.no_grad()
def solve_l(x: torch.Tensor, d: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """y with L y = x, by substitution from the first pixel; without gradients."""
    return _substituted(x, d, w, later=False)


def sample(d: torch.Tensor, w: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Images of N(0, Σ), as L⁻ᵀε with ε ~ N(0, I): one for each d, (N, 1, H, W)."""
    noise = torch.randn(d.shape, generator=generator, dtype=d.dtype, device=d.device)
    return solve_lt(noise, d, w)


def covariance_column(pixel: tuple[int, int], d: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Σe_p = L⁻ᵀL⁻¹e_p, the covariances of all pixels with p = (row, column), (N, 1, H, W)."""
    e = torch.zeros_like(d)
    H, W = d.shape[-2:]
    row, column = pixel
    if not (row in range(H) and column in range(W)):
        raise ValueError(f"pixel is {pixel}; expected (row, column) of an image of {H} x {W}")
    e[..., row, column] = 1
    return solve_lt(solve_l(e, d, w), d, w)


def check_log_diagonal(d: torch.Tensor) -> torch.Tensor:
    """``d`` where it is finite; else the covariance is singular."""
    if not bool(torch.isfinite(d).all()):
        raise ValueError("log_diagonal has values that are not finite, a singular covariance; expected finite ones")
    return d


def _checked(x: torch.Tensor, d: torch.Tensor, w: torch.Tensor) -> tuple[int, Offsets]:
    shapes = [tuple(t.shape) for t in (x, d, w)]
    fits = all(len(s) == 4 and s[2:] == shapes[0][2:] for s in shapes) and shapes[0][1] == shapes[1][1] == 1
    if not fits or shapes[1][0] != shapes[2][0] or (1 not in (shapes[0][0], shapes[1][0]) and len(x) != len(d)):
        raise ValueError(
            f"image, log_diagonal and off_diagonal have shapes {shapes[0]}, {shapes[1]} and {shapes[2]}; expected "
            "(N, 1, H, W) twice and (N, F, H, W)"
        )
    return neighbours(shapes[2][1])


def _substituted(v: torch.Tensor, d: torch.Tensor, w: torch.Tensor, later: bool) -> torch.Tensor:
    """Substitution, for all pixels of a wavefront (k + 1) row + column = const at once: they do not need each other."""
    k, steps = _checked(v, d, w)
    check_log_diagonal(d)
    scale = (-d).exp()
    if not steps:
        return scale * v
    N, (H, W) = max(len(v), len(d)), v.shape[-2:]
    fronts, own, others = _wavefronts(H, W, k, later, v.device)
    right = (scale * v).expand(N, 1, H, W).flatten(1)[:, own]
    factors = pad(w * scale if later else w, (k, k, k, k)).flatten(1)
    inside = _inside(own, W, k)
    size = (H + 2 * k) * (W + 2 * k)
    at = torch.stack([f * size + (inside if later else others[f]) for f in range(len(steps))])
    factors = factors[:, at]  # (N, F, pixels in the order of the fronts)
    if not later:
        factors = factors * scale.flatten(1)[:, None, own]
    x = v.new_zeros(N, size)
    for first, end in fronts:
        sums = (factors[..., first:end] * x[:, others[:, first:end]]).sum(dim=1)
        x[:, inside[first:end]] = right[:, first:end] - sums
    return x.unflatten(1, (1, H + 2 * k, W + 2 * k))[..., k : k + H, k : k + W].contiguous()


def _inside(own: torch.Tensor, W: int, k: int) -> torch.Tensor:
    """Places in an image with k more pixels on each side."""
    return (own // W + k) * (W + 2 * k) + own % W + k


@functools.lru_cache(maxsize=16)
def _wavefronts(
    H: int, W: int, k: int, later: bool, device: torch.device
) -> tuple[list[tuple[int, int]], torch.Tensor, torch.Tensor]:
    """Beginnings and ends of the fronts; pixels in their order; places of the neighbours that each waits for."""
    rows, columns = torch.arange(H, device=device)[:, None], torch.arange(W, device=device)
    front = ((k + 1) * rows + columns).flatten()
    order = torch.argsort(-front if later else front, stable=True)
    ends = torch.bincount(front).cumsum(0).tolist() if not later else torch.bincount(front).flip(0).cumsum(0).tolist()
    sign = 1 if later else -1
    _, steps = neighbours(2 * k * (k + 1))
    jumps = torch.tensor([sign * (dy * (W + 2 * k) + dx) for dy, dx in steps], device=device)
    return list(zip([0, *ends[:-1]], ends, strict=True)), order, _inside(order, W, k) + jumps[:, None]
