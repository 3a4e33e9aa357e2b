"""Even quadratic splines of filter responses, with all derivatives by the responses and by the tables."""

from __future__ import annotations

from typing import Any

import torch

from ipbox.kernels.splines.front import influence, spline, spline_sums
from ipbox.learned.bridge.arrays import from_torch, to_torch

__all__ = ["evaluate", "influence_in_place", "tables_of"]


def tables_of(slopes: torch.Tensor, step: float) -> torch.Tensor:
    """φ'', φ' and φ where the intervals begin, (3, K, J + 1), from φ'' on them, (K, J); it is 0 beyond."""
    s = torch.nn.functional.pad(slopes, (0, 1))
    d = (s * step).cumsum(1) - s * step
    rise = d * step + s * (0.5 * step**2)
    return torch.stack([s, d, rise.cumsum(1) - rise])


def evaluate(t: torch.Tensor, tables: torch.Tensor, step: float, order: int = 0) -> torch.Tensor:
    """φ_k, φ_k' or φ_k'' of responses (N, K, H, W); at a knot that from its right.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.experts.splines import evaluate, tables_of
    >>> t = torch.tensor([-3.0, 0.5]).reshape(1, 1, 1, 2)
    >>> evaluate(t, tables_of(torch.ones(1, 1), 1.0), 1.0).tolist()                 # Huber's function
    [[[[2.5, 0.125]]]]
    """
    return torch.zeros_like(t) if order > 2 else _Evaluate.apply(t, tables, step, order)


def influence_in_place(t: torch.Tensor, slopes: torch.Tensor, step: float) -> torch.Tensor:
    """φ_k' of contiguous responses in their own memory, without a graph."""
    if not _on_host(t):
        return _values(t, tables_of(slopes, step), step, 1, t)
    x, s = (from_torch(a.detach(), copy=False, xp="numpy") for a in (t.flatten(2), slopes.double()))
    influence(x, s, step)
    return t


class _Evaluate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, t: torch.Tensor, tables: torch.Tensor, step: float, order: int) -> torch.Tensor:
        ctx.save_for_backward(t, tables)
        ctx.step, ctx.order = step, order
        t = t.contiguous()
        return _values(t, tables, step, order, torch.empty_like(t))

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        t, tables = ctx.saved_tensors
        by_t = g * evaluate(t, tables, ctx.step, ctx.order + 1) if ctx.needs_input_grad[0] else None
        by_tables = None
        if ctx.needs_input_grad[1]:
            by_tables = _Sums.apply(t, g, ctx.step, ctx.order, tables.shape[-1] - 1)
        return by_t, by_tables, None, None


class _Sums(torch.autograd.Function):
    """The adjoint of `_Evaluate` by the tables, which it is linear in."""

    @staticmethod
    def forward(ctx: Any, t: torch.Tensor, g: torch.Tensor, step: float, order: int, intervals: int) -> torch.Tensor:
        ctx.save_for_backward(t, g)
        ctx.step, ctx.order = step, order
        return _sums(t.contiguous(), g.contiguous(), step, order, intervals)

    @staticmethod
    def backward(ctx: Any, c: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None, None]:
        t, g = ctx.saved_tensors
        by_t = g * evaluate(t, c, ctx.step, ctx.order + 1) if ctx.needs_input_grad[0] else None
        by_g = evaluate(t, c, ctx.step, ctx.order) if ctx.needs_input_grad[1] else None
        return by_t, by_g, None, None, None


def _values(t: torch.Tensor, tables: torch.Tensor, step: float, order: int, out: torch.Tensor) -> torch.Tensor:
    tables = tables.to(t).contiguous()
    if _on_host(t):
        arrays = (from_torch(a.detach(), copy=False, xp="numpy") for a in (t.flatten(2), tables, out.flatten(2)))
        x, y, z = arrays
        spline(x, y, step, order, z)
        return out
    at, r = _places(t, step, tables.shape[-1] - 1)
    s, d, p = (table.reshape(-1)[at] for table in tables)
    if order == 0:
        return out.copy_(p + r * (d + 0.5 * r * s))
    return out.copy_(torch.where(t < 0, -d - r * s, d + r * s) if order == 1 else s)


def _sums(t: torch.Tensor, g: torch.Tensor, step: float, order: int, intervals: int) -> torch.Tensor:
    if _on_host(t):
        x, w = (from_torch(a.detach().flatten(2), copy=False, xp="numpy") for a in (t, g))
        return to_torch(spline_sums(x, w, step, order, intervals)).to(t)
    at, r = _places(t, step, intervals)
    w, r = (torch.where(t < 0, -g, g) if order == 1 else g).double(), r.double()
    zero = torch.zeros_like(w)
    parts = [(0.5 * w * r * r, w * r, w), (w * r, w, zero), (w, zero, zero)][order]
    size = t.shape[1] * (intervals + 1)
    return (
        torch.stack([torch.bincount(at.flatten(), a.flatten(), size) for a in parts]).reshape(3, t.shape[1], -1).to(t)
    )


def _on_host(t: torch.Tensor) -> bool:
    return t.device.type == "cpu"


def _places(t: torch.Tensor, step: float, intervals: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The entry of flat tables for every response, and how far |t| is beyond the knot there."""
    a = t.abs()
    j = torch.where(a < step * intervals, a / step, float(intervals)).floor()  # the last one where a is NaN
    first = torch.arange(t.shape[1], device=t.device).reshape(-1, 1, 1) * (intervals + 1)
    return first + j.long(), a - j * step
