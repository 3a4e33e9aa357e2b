"""A network that is non-expansive by construction: steps x - τ Kᵀ s(K x) with ‖K‖ bounded, not estimated."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from ipbox.checks import check_flag
from ipbox.learned.networks.layers import check_images, check_width, noise_map

__all__ = ["NonExpansive", "norm_bound"]

_GRID = 64  # frequencies a side
_SLACK = 1e-6  # for the rounding of kernels to float32
_TINY = 1e-12


class NonExpansive(nn.Module):
    r"""A denoiser with :math:`\|N(x, \sigma) - N(y, \sigma)\|_2 \le \|x - y\|_2` for all x, y and all weights.

    The composition of the steps

    .. math:: x \mapsto x - \tau K^T s(K x), \qquad 0 < \tau \|K\|^2 < 2,

    with convolutions K to ``features`` channels, and :math:`s(z) = \min(\max(z, -\sigma l), \sigma l)`, l > 0 for each
    channel, which does not decrease and has the Lipschitz constant 1.  A step is one of gradient descent on a convex
    function with a :math:`\|K\|^2`-Lipschitz gradient, so it is averaged with :math:`\alpha = \tau \|K\|^2 / 2`.

    Parameters
    ----------
    channels : int
        C, of the images.
    features : int
        Channels of K x.
    layers : int
        Steps.
    kernel : int
        Pixels a side of the kernels, odd.
    firm : bool
        Give the firmly non-expansive (1/2-averaged) :math:`(1 - 1/2\alpha) x + N(x) / 2\alpha`, with :math:`\alpha` the
        averagedness of N: what Douglas-Rachford and ADMM ask for, at the price of a weaker denoiser.

    Notes
    -----
    ``net(x, sigma)``: x of shape (N, C, H, W), any size; sigma in the units of x, a number or one for each sample.
    It is homogeneous, N(a x, a σ) = a N(x, σ) for a > 0, and the identity at σ = 0.  The image is continued
    periodically, so that the Fourier transform of the kernels bounds ‖K‖ for images of all sizes, see `norm_bound`; at
    every call the kernels are divided by this bound.

    References
    ----------
    Sherry, Celledoni, Ehrhardt, Murari, Owren and Schönlieb, Designing stable neural networks using convex analysis and
    ODEs, Physica D 463 (2024).
    Combettes and Yamada, Compositions and convex combinations of averaged nonexpansive operators, J. Math. Anal. Appl.
    425 (2015).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.non_expansive import NonExpansive
    >>> net = NonExpansive(features=4, layers=2, kernel=3)
    >>> x, y = torch.rand(2, 1, 1, 16, 15)
    >>> bool((net(x, 0.1) - net(y, 0.1)).norm() <= (x - y).norm()), round(net.lipschitz_bound(), 6)
    (True, 1.0)
    """

    def __init__(
        self, channels: int = 1, features: int = 32, layers: int = 12, kernel: int = 7, firm: bool = False
    ) -> None:
        super().__init__()
        check_width(channels=channels, features=features, layers=layers, kernel=kernel)
        if kernel % 2 == 0:
            raise ValueError(f"kernel is {kernel}; expected an odd number of pixels")
        self.config = dict(
            channels=channels, features=features, layers=layers, kernel=kernel, firm=check_flag(firm, "firm")
        )
        self.kernels = nn.Parameter(torch.randn(layers * features, channels, kernel, kernel))
        with torch.no_grad():  # differences: what is constant passes at first
            self.kernels -= self.kernels.mean(dim=(-2, -1), keepdim=True)
        self.steps = nn.Parameter(torch.zeros(layers))
        self.widths = nn.Parameter(torch.full((layers * features, 1, 1, 1), -2.0))
        self._kept: tuple | None = None

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        check_images(x, self.config["channels"])
        level = noise_map(sigma, x)
        floor = level.clamp(min=_TINY)  # Lipschitz constant level/floor <= 1, also at sigma = 0
        K, tau = self._normalised(), self._tau()
        width = functional.softplus(self.widths).unflatten(0, (len(K), -1))
        inner, outer = K / width, K * width  # Kᵀ σl h(Kx/σl) with h(z) = min(max(z, -1), 1)
        z = x
        for k in range(len(K)):
            s = functional.hardtanh(_convolve(z / floor, inner[k]))
            z = z - tau[k] * level * _convolve_adjoint(s, outer[k])
        if not self.firm:
            return z
        weight = 0.5 / self._alpha()
        return x + weight * (z - x)

    def lipschitz_bound(self) -> float:
        """A proved bound of the Lipschitz constant, for the kernels as they are used, in float64: ∏ max(1, τ‖K‖² - 1).

        Rounding inside the network is not part of it.
        """
        with torch.no_grad():
            squares = self._squares()
        return float(torch.clamp(squares - 1, min=1.0).prod())

    def averagedness(self) -> float:
        """The smallest proved α in (0, 1) for which N = (1 - α) Id + α T with T non-expansive; 1/2 if ``firm``."""
        return 0.5 if self.firm else self._alpha()

    @property
    def firm(self) -> bool:
        """Whether the firmly non-expansive version is given; can be set."""
        return bool(self.config["firm"])

    @firm.setter
    def firm(self, value: bool) -> None:
        self.config["firm"] = bool(value)

    def _alpha(self) -> float:
        with torch.no_grad():
            alpha = self._squares() / 2  # of each step
        if not float(alpha.max()) < 1:
            raise ValueError("weights are not finite, or vary too much for their dtype; expected moderate ones")
        total = float((alpha / (1 - alpha)).sum())
        return total / (1 + total)

    def _squares(self) -> torch.Tensor:
        """τ‖K‖² of each step, at most."""
        return self._tau().double() * norm_bound(self._normalised()) ** 2

    def _tau(self) -> torch.Tensor:
        return 1.98 * torch.sigmoid(self.steps)

    def _normalised(self) -> torch.Tensor:
        """Kernels with ‖K‖ <= 1; they are kept while the parameter does not change and needs no gradient."""
        K = self.kernels
        if K.is_inference() or (K.requires_grad and torch.is_grad_enabled()):
            return self._divided(K)
        kept = self._kept
        if kept is None or kept[0].dtype != K.dtype or kept[0].device != K.device or not torch.equal(kept[0], K):
            with torch.inference_mode(False), torch.no_grad():
                self._kept = kept = (K.clone(), self._divided(K))
        return kept[1]

    def _divided(self, K: torch.Tensor) -> torch.Tensor:
        K = K.unflatten(0, (len(self.steps), -1))
        norms = norm_bound(K) * (1 + _SLACK) + torch.finfo(K.dtype).tiny
        return (K.double() / norms.reshape(-1, 1, 1, 1, 1)).to(K.dtype)


def norm_bound(kernels: torch.Tensor) -> torch.Tensor:
    r"""An upper bound of the norms of periodic convolutions, for images of every size.

    Parameters
    ----------
    kernels : torch.Tensor
        (..., c_out, c_in, k, k).

    Returns
    -------
    torch.Tensor
        (...), float64.

    Notes
    -----
    The Fourier transform turns a periodic convolution into matrices :math:`\hat K(\omega)`, c_out x c_in, at the
    frequencies of the image, so its norm is at most the largest :math:`\|\hat K(\omega)\|_2` over all frequencies.
    Along each axis :math:`v^* \hat K(\omega) w` is a trigonometric polynomial of degree d = (k - 1)/2, up to a phase;
    by a lemma of M. Riesz the largest modulus on a grid of n > 2d frequencies times 1/cos(π d/n) bounds it between
    them.  On the grid :math:`\|\hat K\|_2^2 \le \|\hat K^* \hat K\|_F`, an equality for one channel.

    References
    ----------
    Sedghi, Gupta and Long, The singular values of convolutional layers, ICLR (2019).
    Pfister and Bresler, Bounding multivariate trigonometric polynomials, IEEE Trans. Signal Process. 67 (2019).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.non_expansive import norm_bound
    >>> difference = torch.tensor([[[[0.0, 0, 0], [0, -1, 1], [0, 0, 0]]]])
    >>> 2 <= norm_bound(difference).item() <= 2.005
    True
    """
    k = kernels.shape[-1]
    n = max(_GRID, 4 * k)
    symbol = torch.fft.rfft2(kernels.double(), s=(n, n))
    gram = torch.einsum("...oihw,...ojhw->...hwij", symbol.conj(), symbol)
    squares = gram.abs().square().sum(dim=(-2, -1)).amax(dim=(-2, -1)).sqrt()  # largest ‖K̂*K̂‖_F
    return squares.sqrt() / math.cos(math.pi * (k // 2) / n) ** 2


def _wrapped(n: int, d: int, device: torch.device) -> torch.Tensor:
    return torch.arange(-d, n + d, device=device) % n


def _convolve(x: torch.Tensor, K: torch.Tensor) -> torch.Tensor:
    """K x, periodic, for images of any size, also smaller than the kernel."""
    d = K.shape[-1] // 2
    rows, columns = (_wrapped(n, d, x.device) for n in x.shape[-2:])
    return functional.conv2d(x.index_select(-2, rows).index_select(-1, columns), K)


def _convolve_adjoint(z: torch.Tensor, K: torch.Tensor) -> torch.Tensor:
    """Kᵀ z."""
    d = K.shape[-1] // 2
    h, w = z.shape[-2:]
    rows, columns = _wrapped(h, d, z.device), _wrapped(w, d, z.device)
    full = functional.conv_transpose2d(z, K)
    full = full.new_zeros(*full.shape[:2], h, full.shape[-1]).index_add(-2, rows, full)
    return full.new_zeros(*full.shape[:3], w).index_add(-1, columns, full)
