"""Fixed points u = f(u) of maps on batches of tensors: plain iteration and Anderson acceleration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from ipbox import summary
from ipbox.checks import check_between, check_count, check_not_negative, check_positive

__all__ = ["Anderson", "FixedPointResult"]

CHANGES = 5  # of u and r that tell of the error
NOISE = 1e-5  # of the Δr_i, beside their squares
Map = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class FixedPointResult:
    """What `Anderson.solve` returns.

    Attributes
    ----------
    u : torch.Tensor
        The last iterate.
    residual : torch.Tensor
        ‖f(u) - u‖/‖f(u)‖ of each sample.
    history : list of float
        The largest residual over the samples, of each iteration.
    converged : bool
        Whether every error is at most the tolerance.
    error : torch.Tensor
        Estimate of ‖u - u*‖/‖u‖ of each sample, u* the fixed point; infinite where nothing tells of it.
    """

    u: torch.Tensor
    residual: torch.Tensor
    history: list[float]
    converged: bool
    error: torch.Tensor

    __repr__ = summary.of_fields

    @property
    def niter(self) -> int:
        """Evaluations of f."""
        return len(self.history)


@dataclass(frozen=True)
class Anderson:
    r"""Anderson acceleration for u = f(u), each sample of the batch by itself.

    .. math:: u^{k+1} = \sum_i α_i ((1 - β) u^{k-i} + β f(u^{k-i})), \qquad
        α = \arg\min_{\sum α_i = 1} \big\| \sum_i α_i (f(u^{k-i}) - u^{k-i}) \big\|^2 + λ r^2 \|α\|^2

    with r² the mean of the ‖f(u^{k-i}) - u^{k-i}‖².  A sample whose residual has grown to more than twice the least
    one takes a plain step.

    The residual r = f(u) - u is a step, and small where f is slow, not only where u is near its fixed point:
    u - u* = -(1 - f')⁻¹ r.  ‖(1 - f')⁻¹‖ is estimated, from below, by the largest ‖Δu‖/‖Δr‖ among the combinations of
    the last changes of u and r, and never taken for less than 1; the iteration ends by the error that follows.

    Parameters
    ----------
    memory : int
        Iterates that are combined; 1 is the plain iteration.
    beta : float
        β in (0, 1].
    regularisation : float
        λ >= 0.
    tol : float
        Estimated relative error at which a sample is done.
    niter : int
        Most evaluations of f.

    Raises
    ------
    ValueError
        where a number is not as above.

    References
    ----------
    Anderson, J. ACM 12 (1965); Walker and Ni, SIAM J. Numer. Anal. 49 (2011).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.methods.anderson import Anderson
    >>> found = Anderson(tol=1e-6).solve(torch.cos, torch.zeros(1, 1))
    >>> round(float(found.u), 5), found.converged
    (0.73909, True)
    """

    memory: int = 5
    beta: float = 1.0
    regularisation: float = 1e-8
    tol: float = 1e-3
    niter: int = 50

    def __post_init__(self) -> None:
        check_count(self.memory, "memory")
        check_count(self.niter, "niter")
        check_between(self.beta, "beta", 0, 1, "(]")
        check_not_negative(self.regularisation, "regularisation", "a number that is not negative")
        check_positive(self.tol, "tol")

    def solve(self, f: Map, u: torch.Tensor) -> FixedPointResult:
        """Iterate from ``u``, shape (N, ...), until every sample is done or ``niter`` evaluations are made."""
        history: list[float] = []
        for v, residual, error in self._run(f, u):
            history.append(float(residual.max()))
            largest = float(error.max())
            if not largest > self.tol or len(history) == self.niter:  # also where it is NaN
                return FixedPointResult(v, residual, history, largest <= self.tol, error)
        raise AssertionError("the iterates have no end")

    def iterates(self, f: Map, u: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """u^k and the relative residual of each sample at u^k, for k = 0, 1, ... without end."""
        return ((v, residual) for v, residual, _ in self._run(f, u))

    def _run(self, f: Map, u: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """The same, and the estimated relative error."""
        U: list[torch.Tensor] = []
        F: list[torch.Tensor] = []
        least = torch.full_like(norms(u), math.inf)
        changes: list[tuple[torch.Tensor, torch.Tensor]] = []
        while True:
            fu = f(u)
            size, whole = norms(fu - u), norms(fu)
            residual = torch.where(size > 0, size / whole, size)  # 0/0 is a fixed point
            if U:
                changes = [*changes, (u - U[-1], (fu - u) - (F[-1] - U[-1]))][-CHANGES:]
            gain = _gain(changes, whole) if changes else torch.full_like(size, math.inf)
            yield u, residual, torch.where(size > 0, residual * gain, size)
            least = torch.minimum(least, size)
            U, F = [*U, u][-self.memory :], [*F, fu][-self.memory :]
            u = self._combine(U, F, size > 2 * least)

    def _combine(self, U: list[torch.Tensor], F: list[torch.Tensor], plain: torch.Tensor) -> torch.Tensor:
        """Σ α_i ((1 - β) u_i + β f(u_i)); the last alone where ``plain``."""
        stacked = torch.stack([_rows(fu - u) for u, fu in zip(U, F, strict=True)], dim=1)  # (N, memory, pixels)
        stacked = stacked / _largest(stacked.flatten(1))[:, :, None]  # squares stay within the range of the dtype
        gram = stacked @ stacked.mH
        gram = (gram.real if gram.is_complex() else gram).double()
        scale = gram.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(torch.finfo(torch.float64).tiny)
        eye = torch.eye(len(U), dtype=gram.dtype, device=gram.device)
        gram = gram / scale[:, None, None] + max(self.regularisation, 1e-14) * eye
        alpha = torch.linalg.solve(gram, gram.new_ones(len(gram), len(U), 1))[..., 0]
        alpha = alpha / alpha.sum(dim=1, keepdim=True)
        last = torch.zeros_like(alpha)
        last[:, -1] = 1
        good = torch.isfinite(alpha).all(dim=1) & ~plain
        alpha = torch.where(good[:, None], alpha, last).to(_real(U[-1]))
        new = torch.zeros_like(U[-1])
        for i, (u, fu) in enumerate(zip(U, F, strict=True)):
            new += alpha[:, i].reshape(-1, *[1] * (u.ndim - 1)) * (u + self.beta * (fu - u))
        return new


FixedPoint = FixedPointResult  # its name of old


def norms(u: torch.Tensor) -> torch.Tensor:
    """‖u_i‖ of each sample, also where squares leave the range of the dtype."""
    rows = _rows(u)
    size = _largest(rows)
    return size[:, 0] * torch.linalg.vector_norm(rows / size, dim=1)


def _gain(changes: list[tuple[torch.Tensor, torch.Tensor]], size: torch.Tensor) -> torch.Tensor:
    """max ‖Σ c_i Δu_i‖/‖Σ c_i Δr_i‖ of each sample, at least 1; 1 where rounding is all there is of the Δr_i."""
    dU, dR = (torch.stack([_rows(pair[i]) for pair in changes], dim=1) for i in (0, 1))
    lengths = norms(dR.flatten(0, 1)).reshape(*dR.shape[:2], 1)
    known = lengths > 100 * torch.finfo(size.dtype).eps * size[:, None, None]
    dU, dR = (torch.where(known, d / lengths, 0.0) for d in (dU, dR))
    gram_u, gram_r = ((d @ d.mH).to(torch.complex128 if d.is_complex() else torch.float64) for d in (dU, dR))
    eye = torch.eye(len(changes), dtype=gram_r.dtype, device=gram_r.device)
    L = torch.linalg.cholesky_ex(gram_r + NOISE * eye)[0]
    half = torch.linalg.solve_triangular(L, gram_u, upper=False)
    whole = torch.linalg.solve_triangular(L, half.mH, upper=False)
    finite = torch.isfinite(whole.abs()).all(dim=2).all(dim=1)
    whole = torch.where(finite[:, None, None], whole, eye)
    gain = torch.linalg.eigvalsh(0.5 * (whole + whole.mH))[:, -1].clamp_min(1.0).sqrt()
    return torch.where(finite, gain, torch.nan).to(size.dtype)


def _largest(rows: torch.Tensor) -> torch.Tensor:
    """The largest modulus of each row, (N, 1); 1 where that is 0."""
    size = rows.abs().amax(dim=1, keepdim=True)
    return torch.where(size > 0, size, 1.0)


def _rows(u: torch.Tensor) -> torch.Tensor:
    return u.reshape(len(u), -1)


def _real(u: torch.Tensor) -> torch.dtype:
    return u.dtype.to_real() if u.is_complex() else u.dtype
