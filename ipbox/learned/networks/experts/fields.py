"""Fields of Experts: smoothed absolute values of filter responses, filters and weights learned."""

from __future__ import annotations

import torch
from torch import nn

from ipbox.learned.networks.energy import Energy, check_kernel
from ipbox.learned.networks.experts.filter_bank import correlate, correlation_norm, extend, parities, waves
from ipbox.learned.networks.layers import check_images, check_width

__all__ = ["FieldsOfExperts"]

SHARPNESS = 8.0  # unit of the logarithms of ν, which objectives depend on less than on those of weights


class FieldsOfExperts(Energy):
    r"""Fields of Experts, :math:`R(u) = \sum_k w_k \sum_i \sqrt{(c_k * u)_i^2 + \nu_k^2}`, smooth and convex.

    The filters c_k have mean zero and any norm: their coefficients by the cosine transform learn, with log w_k and
    log ν_k.  It is `ipbox.bilevel.FieldsOfExperts` with ρ = 0, and its parameters in their order are the same θ.

    Parameters
    ----------
    filters : int
        K; those of the lowest frequencies at the start.
    size : int
        s, pixels a side of the filters, odd.

    Notes
    -----
    ``module(u)``: u of shape (N, 1, H, W), any size, reflected about its boundary.  ∇R has the Lipschitz constant
    ‖Σ_k (w_k/ν_k) C_kᵀC_k‖.  A reflected image is a quarter of a periodic one, the other quarters see mirrored filters:
    so :math:`4 \max_\omega p(\omega)`, :math:`p = \sum_k (w_k/\nu_k) |\hat c_k|^2`, is a bound.  With the four parts
    of a filter that are even or odd along either axis, and shares s > 0 with Σ s = 1, another is that of p with
    :math:`\sum |\hat c_{kp}|^2 / s_{kp}` in the place of :math:`|\hat c_k|^2`; it is sharp for cosines.  The smaller
    one is taken.

    References
    ----------
    Roth and Black, Fields of experts, Int. J. Comput. Vis. 82 (2009).
    Chen, Ranftl and Pock, Insights into analysis operator learning, IEEE Trans. Image Process. 23 (2014).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks import FieldsOfExperts
    >>> R = FieldsOfExperts(filters=4, size=3)
    >>> u, v = torch.rand(2, 1, 1, 9, 8)
    >>> bool(R((u + v) / 2) <= (R(u) + R(v)) / 2), R.weak_convexity
    (True, 0.0)
    """

    convex = True

    def __init__(self, filters: int = 48, size: int = 7) -> None:
        super().__init__()
        check_width(filters=filters)
        if check_kernel(size, "size") < 3:
            raise ValueError(f"size is {size}; expected 3, 5, 7 or another odd number")
        if filters > size**2 - 1:
            raise ValueError(f"filters is {filters}; expected at most {size**2 - 1}, the number of cosine filters")
        self.config = {"filters": filters, "size": size}
        self.log_weight = nn.Parameter(torch.zeros(()))
        self.log_weights = nn.Parameter(torch.full((filters,), -5.0))
        self.log_nu = nn.Parameter(torch.full((filters,), -5.0 / SHARPNESS))
        k = torch.arange(1, size**2)
        order = torch.argsort((k // size) ** 2 + (k % size) ** 2, stable=True)
        self.coefficients = nn.Parameter(torch.eye(size**2 - 1)[order[:filters]])
        self.register_buffer("basis", waves(size)[1:], persistent=False)

    def filters(self) -> torch.Tensor:
        """c_k, (K, 1, s, s)."""
        return torch.einsum("kj,jab->kab", self.coefficients, self.basis.to(self.coefficients))[:, None]

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        check_images(u, 1)
        t = correlate(extend(u, self.config["size"] // 2), self.filters().to(u))
        w, nu = (p.to(u) for p in self._experts())
        return (t.square() + nu.square()[:, None, None]).sqrt().sum((-2, -1)) @ w

    def bounds(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        w, nu = (p.double() for p in self._experts())
        c, a = self.filters(), w / nu
        parts = parities(c.double())
        sizes = parts.square().sum((-3, -2, -1)).add(torch.finfo(parts.dtype).tiny).sqrt()  # (4, K)
        shares = sizes / sizes.sum(0)
        mirrored = correlation_norm(parts.flatten(0, 1), (a / shares.clamp(min=1e-12)).flatten())
        L = torch.minimum(4 * correlation_norm(c, a), mirrored)
        return L, torch.zeros_like(L), torch.zeros_like(L)

    def _experts(self) -> tuple[torch.Tensor, torch.Tensor]:
        """w and ν."""
        return torch.exp(self.log_weight + self.log_weights), torch.exp(SHARPNESS * self.log_nu)
