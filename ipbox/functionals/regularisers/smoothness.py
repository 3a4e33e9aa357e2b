"""Tikhonov's quadratic penalties, whose prox is a filter."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_axes
from ipbox.functionals.core.base import Work
from ipbox.functionals.core.images import ImageFunctional
from ipbox.operators.core.held import HeldArray
from ipbox.operators.images.derivatives import Gradient
from ipbox.operators.images.differences import check_scheme, check_spacing


class Tikhonov(ImageFunctional):
    """½‖u‖², ½‖∇u‖² or ½‖Δu‖²; real or complex.

    Parameters
    ----------
    dims : tuple of int
        Image shape.
    order : {0, 1, 2}
        How often u is differentiated.
    spacing : float or tuple of float
        Voxel size, or one for each of ``axes``.
    boundary : {"neumann", "periodic"}
        As in `Gradient`.
    axes : tuple of int, optional
        Those that are coupled, all by default; along the others the image is a stack, such as of slices or channels.

    Notes
    -----
    ∇*∇ is diagonal in the cosine basis (Neumann boundary) or Fourier's (periodic), with eigenvalues
    Λ_k = Σ_a 4 sin²(φ_a)/h_a², φ_a = πk_a/(2n_a) or πk_a/n_a.  So ∇f = Λ^p, L = max Λ^p and
    prox_{τf}(x) = (1 + τΛ^p)⁻¹ x for p = ``order``; f*(y) = ½<y, Λ^-p y>, infinite where p > 0 and Σ y ≠ 0.

    Raises
    ------
    ValueError
        for another order, spacing or boundary.

    References
    ----------
    Hansen, Nagy and O'Leary, Deblurring Images: Matrices, Spectra, and Filtering, SIAM 2006.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f = ip.Tikhonov((1, 3))
    >>> f.value(np.array([[0.0, 1.0, 3.0]])), f.grad(np.array([[0.0, 1.0, 3.0]]))
    (2.5, array([[-1., -1.,  2.]]))
    """

    _L: float
    _mu: float
    dims: tuple[int, ...]
    has_grad = True
    _hessian_lipschitz = 0.0

    def __init__(
        self,
        dims: tuple[int, ...],
        order: int = 1,
        spacing: float | tuple[float, ...] = 1.0,
        boundary: str = "neumann",
        axes: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(dims)
        self.axes = check_axes(axes, len(self.dims))
        if isinstance(order, bool) or order not in (0, 1, 2):
            raise ValueError(f"order is {order!r}; expected 0, 1 or 2")
        self.order, self.spacing = int(order), check_spacing(spacing, len(self.axes))
        self.boundary = check_scheme("forward", boundary)[1]
        self.finite_conj = order == 0
        lengths = [self.dims[a] for a in self.axes]
        waves = [np.arange(n) * (np.pi / (n if boundary == "periodic" else 2 * n)) for n in lengths]
        eigenvalues = [4 * np.sin(w) ** 2 / h**2 for w, h in zip(waves, self.spacing, strict=True)]
        self._eigenvalues = [HeldArray(v) for v in eigenvalues]
        self._L = 1.0 if order == 0 else float(sum(v.max() for v in eigenvalues)) ** self.order
        self._mu = 1.0 if order == 0 else 0.0

    # ------------------------------------------------------------ by differences

    def _formula(self, u: str) -> str:
        return f"½‖{('', '∇', 'Δ')[self.order]}{u}‖²"

    def _derivative(self, z: Array) -> Array:
        """u, ∇u or ∇*∇u."""
        if self.order == 0:
            return z
        D = Gradient(self.dims, z.dtype, self.spacing, boundary=self.boundary, axes=self.axes)
        v = D.apply(z)
        return v if self.order == 1 else D.apply_adjoint(v)

    def _values(self, z: Array) -> np.ndarray:
        return 0.5 * backend.sum_squares(self._derivative(z), True)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        z = self._samples(x)
        v = self._derivative(z)
        if self.order > 0:
            D = Gradient(self.dims, z.dtype, self.spacing, boundary=self.boundary, axes=self.axes)
            v = D.apply_adjoint(v if self.order == 1 else D.apply(v))
        out.reshape(z.shape)[...] = v

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        self._grad(v, out, work)

    # ------------------------------------------------------------ by filters

    def _spectrum(self, z: Array) -> Array:
        """Λ^p, of order 0 the number 1 in an array."""
        xp = backend.array_module(z)
        total = xp.zeros(self.dims, dtype=backend.real_dtype(z.dtype))
        for a, held in zip(self.axes, self._eigenvalues, strict=True):
            total += held.like(z).reshape((-1,) + (1,) * (len(self.dims) - 1 - a)).astype(total.dtype)
        return total**self.order

    def _filter(self, z: Array, h: Array) -> Array:
        """T⁻¹(h T z), T the cosine or Fourier transform."""
        if self.order == 0:
            return h * z
        fft, axes = backend.fft_module(z), tuple(1 + a for a in self.axes)
        if self.boundary == "periodic":
            v = fft.ifftn(h * fft.fftn(z, axes=axes), axes=axes)
            return v if z.dtype.kind == "c" else v.real
        if z.dtype.kind == "c":
            return self._filter(z.real, h) + 1j * self._filter(z.imag, h)
        return fft.idctn(h * fft.dctn(z, axes=axes, norm="ortho"), axes=axes, norm="ortho")

    def _proxes(self, z: Array, t: Any) -> Array:
        return self._filter(z, 1 / (1 + t * self._spectrum(z)))

    def _prox_conj(self, y: Array, sigma: Any, out: Array, work: Work) -> None:
        """prox_{σf*}(y) = λΛ^p (λΛ^p + σ)⁻¹ y."""
        z = self._samples(y)
        spectrum = self.weight * self._spectrum(z)
        p = self._filter(z, spectrum / (spectrum + backend.per_sample(sigma, z)))
        out[...] = p.reshape(out.shape)

    def _conjugates(self, z: Array, weight: float) -> np.ndarray:
        xp, spectrum = backend.array_module(z), self._spectrum(z)
        rounding = 0.0
        if self.order > 0:
            sums = abs(z.sum(axis=tuple(1 + a for a in self.axes))).reshape((len(z), -1))
            mean = backend.to_host(sums.max(axis=1)) / np.sqrt(z[0].size / sums[0].size)
            rounding = np.where(mean <= 64 * np.finfo(z.dtype).eps * np.sqrt(backend.sum_squares(z, True)), 0.0, np.inf)
        inverse = xp.where(spectrum > 0, 1 / xp.where(spectrum > 0, spectrum, 1), 0)
        v = self._filter(z, inverse)
        return rounding + backend.reduce_sum((z * v.conj()).real, True) / (2 * weight)
