"""Gridding: the density-compensated adjoint of non-Cartesian MRI."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.keywords import answering
from ipbox.operators.fourier.transform import FourierTransform
from ipbox.operators.mri.coils import inverse_sum_of_squares, root_of_squares
from ipbox.operators.mri.density import density_compensation
from ipbox.operators.mri.non_cartesian import NonCartesianMRI
from ipbox.reconstruct.direct.info import AnalyticInfo, reported


@answering
def gridding(A: NonCartesianMRI, b: Array, density: str | Array = "auto") -> tuple[Array, AnalyticInfo]:
    r"""Gridding reconstruction of radial, spiral, ... MRI.

    .. math:: u = \frac{\sum_c \overline{S_c}\, F^*(w b_c)}{\sum_c |S_c|^2}

    F is the Fourier transform on A's trajectory and w the density compensation, so that F* diag(w) F is nearly the
    identity where the trajectory fills k-space.

    Parameters
    ----------
    A : NonCartesianMRI
    b : array
        Data of shape A.dimsd, or a batch of them.  Where A has no sensitivities, a leading axis are the coils.
    density : str or array
        Weights w of shape A.trajectory.shape[:-1], in cells of the Cartesian grid; or ``"auto"``: ring sectors for
        straight spokes, else Pipe and Menon's iteration (see `ipbox.operators.mri.density`), computed at every call.

    Returns
    -------
    x : array
        Image of shape A.dims (with b's batch axis), zero where every map is.  Without sensitivities: of coils the root
        of the sum of squares √(Σ_c |u_c|²), which is real; of one coil the image itself.
    info : AnalyticInfo
        ``info.parameters["density"]`` are the weights.

    Raises
    ------
    TypeError, ValueError
        where A is no `NonCartesianMRI`, b does not fit A or is not finite, or the weights are not floating, have
        another shape, or are negative or not finite.

    References
    ----------
    Jackson et al., Selection of a convolution function for Fourier inversion using gridding, IEEE Trans. Med. Imaging
    10 (1991); Roemer et al., The NMR phased array, Magn. Reson. Med. 16 (1990).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("mri-radial", size=64, noise=0.0, undersampling=1)
    >>> x, _ = ip.gridding(A, b)
    >>> bool(ip.psnr(abs(x), abs(x_true)) > 30)
    True
    """
    start = time.perf_counter()
    w = _check(A, b, density, "gridding")
    weighted = b * backend.to_device(w.astype(backend.real_dtype(b.dtype)), backend.array_module(b))
    xp, S = backend.array_module(b), A.sensitivities
    if S is not None:
        x = A.apply_adjoint(weighted) * xp.asarray(inverse_sum_of_squares(S))
    elif b.ndim > len(A.dimsd):
        x = root_of_squares(A.coil_images(weighted))
    else:
        x = A.apply_adjoint(weighted)
    return reported(x, "gridding", start, parameters={"density": w})


@answering
def gridded_kspace(A: NonCartesianMRI, b: Array, density: str | Array = "auto") -> Array:
    r"""Cartesian k-space of every coil by gridding, as the estimation of sensitivities takes it.

    .. math:: y_c = F_{\text{Cartesian}} F^*(w b_c)

    It is accurate where the trajectory fills k-space: undersampled spokes do in the middle, and spirals that are dense
    there; an undersampled Archimedean spiral has the same gaps everywhere.

    Parameters
    ----------
    A : NonCartesianMRI
        Its sensitivities, if it has any, are not used.
    b : array, (coils,) + trajectory.shape[:-1]
        Data.
    density : str or array
        As in `gridding`.

    Returns
    -------
    array, (coils,) + A.dims
        Complex, orthonormally scaled, zero frequency at index n // 2.

    Raises
    ------
    TypeError, ValueError
        as for `gridding`.

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.reconstruct.direct.gridding import gridded_kspace
    >>> A, b, x_true, info = ip.problem("mri-radial", size=64, coils=4)
    >>> gridded_kspace(A, b).shape
    (4, 64, 64)
    """
    w = _check(A, b, density, "gridded_kspace")
    xp = backend.array_module(b)
    weighted = b * backend.to_device(w.astype(backend.real_dtype(b.dtype)), xp)
    return FourierTransform(tuple(A.dims), A.dtype_out).apply(A.coil_images(weighted))


def _check(A: Any, b: Array, density: str | Array, method: str) -> np.ndarray:
    """The weights, on the host."""
    if not isinstance(A, NonCartesianMRI):
        raise TypeError(f"A is {type(A).__name__}; {method} expects a NonCartesianMRI")
    check_fits(A, check_data(b))
    shape = A.trajectory.shape[:-1]
    if isinstance(density, str):
        if density != "auto":
            raise ValueError(f"density is {density!r}; expected 'auto' or weights of shape {shape}")
        return density_compensation(A.trajectory, tuple(A.dims))
    backend.check_array(density, "density", f"'auto' or an array of shape {shape}")
    if density.shape != shape:
        raise ValueError(
            f"density has shape {density.shape}; expected {shape}, a weight for each sample of A's trajectory"
        )
    if density.dtype not in (np.float32, np.float64):
        raise TypeError(f"density has dtype {density.dtype}; expected float32 or float64")
    w = backend.to_host(density)
    if not (np.isfinite(w).all() and w.min() >= 0):
        raise ValueError("density has negative, NaN or infinite entries; expected weights >= 0")
    return w
