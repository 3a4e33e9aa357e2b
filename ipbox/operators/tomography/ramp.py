"""The ramp filter as an operator on sinograms: with A* after it, filtered back-projection with an exact adjoint."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice
from ipbox.operators.core.base import Operator
from ipbox.operators.core.held import HeldArray
from ipbox.operators.tomography.joseph import JosephTransform
from ipbox.operators.tomography.ray import RayTransform
from ipbox.operators.tomography.views import Arcs, Scan

__all__ = ["FILTERS", "RampFilter", "angle_weights", "check_filter", "ramp"]

Window = Callable[[np.ndarray], np.ndarray]
WINDOWS: dict[str, Window] = {  # of the frequency f, from 0 to 1 at the cut-off
    "ramp": np.ones_like,
    "shepp-logan": lambda f: np.sinc(0.5 * f),
    "cosine": lambda f: np.cos(0.5 * np.pi * f),
    "hamming": lambda f: 0.54 + 0.46 * np.cos(np.pi * f),
    "hann": lambda f: 0.5 * (1 + np.cos(np.pi * f)),
}
WINDOWS["ram-lak"] = WINDOWS["ramp"]  # its name in MATLAB
FILTERS = tuple(WINDOWS)
FARTHEST = 2.5  # radians: more than rays through an object are apart


def ramp(n: int, ds: float, filter: str | Window, cutoff: float = 1.0, turn: float = 0.0) -> np.ndarray:
    """The filter's frequency response on rfft's n//2 + 1 frequencies: |ω|/2π sampled in space, times the window.

    The window is stretched to end at ``cutoff`` of the detector's Nyquist frequency π/ds; what is beyond is 0.
    On detectors with an angle ``turn`` from pixel to pixel, the k-th sample is multiplied by (k turn/sin(k turn))².
    """
    k = np.rint(np.fft.fftfreq(n, 1 / n)).astype(int)  # 0, 1, ..., -1
    odd = k % 2 == 1
    h = np.zeros(n)
    h[odd] = -1 / (np.pi * k[odd] * ds) ** 2
    h[0] = 1 / (4 * ds**2)
    if turn > 0:
        h /= np.sinc(np.minimum(np.abs(k) * turn, FARTHEST) / np.pi) ** 2
    f = 2 * np.arange(n // 2 + 1) / n / cutoff  # of the cut-off
    window = WINDOWS[filter] if isinstance(filter, str) else filter
    return np.fft.rfft(h).real * ds * np.where(f <= 1 + 1e-12, window(np.minimum(f, 1.0)), 0)


def check_filter(filter: Any) -> str | Window:
    """A name, or an own window as a function on arrays of frequencies in [0, 1]; one that is an array is sampled."""
    if isinstance(filter, str):
        return check_choice(filter.lower(), "filter", FILTERS, ", a function of the frequency, or an array")
    if callable(filter):
        return functools.partial(_values, filter)
    w = np.asarray(backend.to_host(filter) if backend.is_array(filter) else filter)
    if w.ndim != 1 or w.size < 2 or w.dtype.kind not in "fiu":
        given = f"an array of shape {w.shape} and dtype {w.dtype}" if w.dtype.kind != "O" else repr(filter)
        raise TypeError(
            f"filter is {given}; expected a name, a function of the frequency, or a vector of real samples of one"
        )
    return functools.partial(np.interp, xp=np.linspace(0, 1, w.size), fp=_finite(w))


def check_window(filter: Any) -> str:
    """The name of a window, in small letters or as MATLAB writes it."""
    return check_choice(filter.lower() if isinstance(filter, str) else filter, "filter", FILTERS)


def _values(filter: Any, f: np.ndarray) -> np.ndarray:
    w = np.asarray(filter(f.copy()))
    if w.shape not in ((), f.shape) or w.dtype.kind not in "fiu":
        raise TypeError(
            f"filter gives shape {w.shape} and dtype {w.dtype} for an array of {f.size} frequencies; "
            f"expected a real number for each"
        )
    return _finite(w)


def _finite(w: np.ndarray) -> np.ndarray:
    if not np.isfinite(w).all():
        raise ValueError("filter has values that are not finite; expected finite ones from frequency 0 to the cut-off")
    return w


def angle_weights(angles: np.ndarray) -> np.ndarray:
    """Δθ of each angle: half the distance to its two neighbours modulo π, which nearly equal angles share.

    A wedge that is not measured is worth twice the median distance.
    """
    return Arcs.of(angles, np.pi, rim=2.0).cells


class RampFilter(Operator):
    r"""F: b_θ ↦ (Δθ ds/h²) h_ramp * b_θ on parallel-beam sinograms, self-adjoint and positive; A*F b is nearly `fbp`.

    A*F(Au - b) is the gradient of ½⟨Au - b, F(Au - b)⟩, and A*FA is nearly the identity on what the views see, where
    A*A blurs: gradient descent with it needs few steps.

    Parameters
    ----------
    A : RayTransform or JosephTransform
        The geometry; Δθ is half the distance between the two neighbouring angles, ds and h are the widths of the
        detector's and of the image's pixels.
    filter : str
        ``"ramp"``, ``"shepp-logan"``, ``"cosine"``, ``"hamming"`` or ``"hann"``, as of `ipbox.fbp`.

    Raises
    ------
    TypeError, ValueError
        for another operator, an unknown filter, or a detector that is set to one side of a full turn: it sees the
        middle twice and the rest once, for which `fbp` has weights and no such F is known.

    References
    ----------
    Kak and Slaney, Principles of Computerized Tomographic Imaging, SIAM 2001, chapter 3.

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.operators.tomography.ramp import RampFilter
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=90)
    >>> x = (A.H @ RampFilter(A, "hann")).apply(b)
    >>> bool(ip.nrmse(x, ip.fbp(A, b, "hann")[0]) < 0.02)
    True
    """

    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64")

    def __init__(self, A: RayTransform | JosephTransform, filter: str = "ramp") -> None:
        if not isinstance(A, RayTransform | JosephTransform):
            raise TypeError(f"A is {type(A).__name__}; expected a RayTransform or JosephTransform")
        filter = check_window(filter)
        from scipy.fft import next_fast_len

        scan, (hy, hx) = Scan.of(A), A.pixel_widths
        near = 0.4 * min(hy * A.dims[0], hx * A.dims[1])
        lo, hi = scan.ends
        if min(-lo, hi) < near and scan.one_sided() and scan.goes_around():
            raise ValueError(
                f"A has a detector from {lo:g} to {hi:g} that sees the middle twice in a full turn; "
                f"expected one that sees all of the image from half a turn, or ip.fbp"
            )
        super().__init__(tuple(A.dimsd), tuple(A.dimsd), A.dtype_out, name="RampFilter")
        self.n = 2 * next_fast_len(A.n_det, real=True)  # padded with zeros: no wrap-around
        weights = angle_weights(A.angles) * A.det_spacing / (hy * hx)
        self.response = HeldArray((weights[:, None] * ramp(self.n, A.det_spacing, filter)).astype(A.dtype_out))

    def _apply(self, x: Array, out: Array) -> None:
        fft, response = backend.fft_module(x), self.response.like(x)
        out[...] = fft.irfft(fft.rfft(x, n=self.n, axis=-1) * response, n=self.n, axis=-1)[..., : out.shape[-1]]

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self._apply(y, out)  # the filter is even, and cut to the detector on both sides

    def _compute_norm(self) -> tuple[float, str]:
        return float(np.abs(self.response.host).max()), "bound"
