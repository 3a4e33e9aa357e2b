"""LISTA: iterative soft thresholding whose matrices and thresholds are learned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from ipbox.checks import check_count, check_flag, check_not_negative
from ipbox.keywords import answering
from ipbox.learned.maps.base import LearnedMap

__all__ = ["LISTA", "soft_threshold"]


@answering
class LISTA(LearnedMap):
    r"""Learned iterative soft thresholding.

    .. math:: u^{k+1} = S_{θ_k}(W_1 b + W_2 u^k), \quad u^0 = 0, \quad S_θ(z) = \mathrm{sign}(z) \max(|z| - θ, 0)

    At first W₁ = A*/L, W₂ = I - A*A/L and θ_k = λ/L with L = ‖A‖², which is ISTA for ½‖Au - b‖² + λ‖u‖₁.

    Parameters
    ----------
    A : Operator or matrix
        Real, and small: W₁ and W₂ are held as matrices.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    niter : int
        K, the number of layers.
    lam : float
        λ >= 0 at the start.
    shared : bool
        Whether the layers share W₁ and W₂, as in the paper; each has thresholds of its own, one for each entry of u.

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above, or A is complex.

    References
    ----------
    Gregor and LeCun, Learning fast approximations of sparse coding, ICML 2010; Chen, Liu, Wang and Yin, Theoretical
    linear convergence of unfolded ISTA and its practical weights and thresholds, NeurIPS 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.learned.maps.lista import LISTA
    >>> x, info = LISTA(np.eye(2, dtype="float32"), niter=1, lam=0.5).reconstruct(np.array([2.0, 0.1], "float32"))
    >>> x.tolist()
    [1.5, 0.0]
    """

    def __init__(
        self, A: Any, niter: int = 8, lam: float = 0.1, shared: bool = True, *, shape: tuple[int, ...] | None = None
    ) -> None:
        super().__init__(A, shape=shape)
        self.config = dict(niter=niter, lam=lam, shared=check_flag(shared, "shared"))
        self.niter = check_count(niter, "niter")
        check_not_negative(lam, "lam", "a number >= 0")
        if self.A.A.dtype_in.kind == "c" or self.A.A.dtype_out.kind == "c":
            raise TypeError(
                f"A is complex ({self.A.A.dtype_in} to {self.A.A.dtype_out}); LISTA expects a real operator"
            )
        m, n = self.A.A.shape
        dtype = self.dtype
        matrix = self.A(torch.eye(n, dtype=dtype).reshape(n, *self.dims)).reshape(n, m).T
        L = float(torch.linalg.matrix_norm(matrix.double(), 2)) ** 2
        if not L > 0:
            raise ValueError("A is 0; expected a matrix with entries")
        layers = 1 if shared else niter
        self.W1 = nn.Parameter((matrix.T / L).repeat(layers, 1, 1))
        self.W2 = nn.Parameter((torch.eye(n, dtype=dtype) - matrix.T @ matrix / L).repeat(layers, 1, 1))
        self.theta = nn.Parameter(torch.full((niter, n), lam / L, dtype=dtype))

    def iterates(self, b: torch.Tensor) -> Iterator[torch.Tensor]:
        """u⁰, ..., u^K: (N,) + dims for data (N,) + dimsd."""
        flat = b.reshape(len(b), -1)
        u = flat.new_zeros((len(b), self.theta.shape[1]))
        yield u.reshape(len(b), *self.dims)
        for k, theta in enumerate(self.theta):
            W1, W2 = (W[k % len(W)] for W in (self.W1, self.W2))
            u = soft_threshold(flat @ W1.T + u @ W2.T, theta)
            yield u.reshape(len(b), *self.dims)


def soft_threshold(z: torch.Tensor, theta: torch.Tensor | float) -> torch.Tensor:
    """S_θ(z) = sign(z) max(|z| - θ, 0).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.maps.lista import soft_threshold
    >>> soft_threshold(torch.tensor([-2.0, 0.5]), 1.0)
    tensor([-1., 0.])
    """
    return z.sign() * (z.abs() - theta).clamp(min=0)
