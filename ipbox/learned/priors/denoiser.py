"""A denoiser as an implicit prior: the functional whose proximal operator it would be."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_flag, check_positive, check_seed, check_type, shown
from ipbox.functionals.core.base import Functional, Work, shared
from ipbox.groups import Group, Isometry
from ipbox.groups.averages import check_exact
from ipbox.learned.priors.layout import Layout
from ipbox.learned.priors.monitor import LipschitzMonitor
from ipbox.learned.priors.network import Network
from ipbox.solvers.core.divergence import Diverged


class Denoiser(Functional):
    """An implicit prior: prox(x, τ) = D_σ(x), D_σ(x) = scale · net(x/scale, σ/scale).

    It has no value, so a problem with it has no objective.

    Parameters
    ----------
    net : torch.nn.Module or callable
        A module on tensors (N, C) + pixels, called ``net(x, sigma)`` or ``net(x)`` (networks of this package and of
        deepinv, any other; also compiled, traced or in `torch.nn.DataParallel`); or a function of one image as an
        array (BM3D, scikit-image), called ``f(x, sigma)`` or ``f(x)``.
    sigma : float, optional
        Noise level σ of the denoiser, a standard deviation in the units of the image (of real and imaginary part, each,
        where that is complex).  It has nothing to do with the
        step size τ, which is then not used.
    lam : float, optional
        Instead of ``sigma``: σ = √(λτ), the noise level of which prox_τ of λR, R = -log p, removes Gaussian noise.
    scale : float
        The network's unit: images are divided by it (the largest value of its training images, where those of the
        network lay in [0, 1]).
    channels : str, optional
        Where the channels are: None for real images of one channel; ``"first"`` or ``"last"`` for colours along that
        axis of the image; complex images as ``"complex"`` (two channels) or ``"separate"`` (two images).
    axes : int
        Number of the axes of pixels: axes before them are samples, which are denoised by themselves.
    strength : float
        D = Id + strength (D_σ - Id), in (0, 1]: less than 1 makes a non-expansive denoiser averaged.
    box : (lo, hi), optional
        Project what the denoiser gives onto [lo, hi].
    dtype : str, optional
        Compute in ``"float16"``, ``"bfloat16"``, ``"float32"`` or ``"float64"``.  By default the network's parameters
        must have the image's dtype.
    takes_sigma : bool, optional
        Whether ``net`` takes a noise level, where its signature does not tell: it does where the second argument has no
        default, and where one is called sigma, noise, noise_level, std, ths or the like.
    monitor : LipschitzMonitor, optional
        Sees input and output in each iteration of a solver.
    equivariant : Group, optional
        An exact group, such as ``ip.groups.Dihedral(4)``: D becomes g⁻¹ ∘ D ∘ g for an element g that each iteration
        draws anew, equivariant in expectation; that of iteration k depends on ``seed`` and k alone.
    average : bool
        All elements instead, with |G| times the work: (1/|G|) Σ_g g⁻¹ D(g·x), which is equivariant.
    seed : int

    Notes
    -----
    The module runs in evaluation mode without recording gradients; its parameters and its training flags are left as
    they were.  Denoisers of deepinv that would start from the last image (TV, TGV) start anew, so that D is a function.
    A denoiser that gives NaN ends a solve with `Diverged`, which has the last image it gave.

    Raises
    ------
    TypeError, ValueError
        where an argument is not as above, a noise level is given to a network that takes none, or it is not clear
        whether it takes one; in use, where the network's dtype, device or number of channels is not the
        image's, or what it gives is of another shape.

    References
    ----------
    Venkatakrishnan, Bouman and Wohlberg, Plug-and-play priors for model based reconstruction, GlobalSIP 2013;
    Terris, Moreau, Pustelnik and Tachella, Equivariant plug-and-play image reconstruction, CVPR 2024.

    Examples
    --------
    >>> import numpy as np, torch, ipbox as ip
    >>> mean = torch.nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    >>> D = ip.Denoiser(mean)                          # blind: it takes no noise level
    >>> D.prox(np.eye(3, dtype="float32"), 1.0)[1]
    array([0.33333334, 0.33333334, 0.33333334], dtype=float32)
    """

    has_prox = True
    explicit = False

    def __init__(
        self,
        net: Any,
        sigma: float | None = None,
        *,
        lam: float | None = None,
        scale: float = 1.0,
        channels: str | None = None,
        axes: int = 2,
        strength: float = 1.0,
        box: tuple[float, float] | None = None,
        dtype: str | None = None,
        takes_sigma: bool | None = None,
        monitor: LipschitzMonitor | None = None,
        equivariant: Group | None = None,
        average: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        given = sigma is not None or lam is not None
        self.net = Network(net, Layout(channels, axes), scale, dtype, takes_sigma, given)
        check_type(monitor, "monitor", LipschitzMonitor | None, "a LipschitzMonitor")
        self.strength, self.box, self.monitor = check_between(strength, "strength", 0, 1, "(]"), _box(box), monitor
        self.sigma = None if sigma is None else check_positive(sigma, "sigma")
        self.lam = None if lam is None else check_positive(lam, "lam")
        if sigma is not None and lam is not None:
            raise ValueError("sigma and lam are both given; expected one of them")
        if self.net.takes_sigma and not given:
            raise ValueError(f"sigma is None, and {self.net.name} takes a noise level; expected sigma=... or lam=...")
        self._check_level()
        self.average, self.seed = check_flag(average, "average"), check_seed(seed)
        self.equivariant = self._acting(equivariant)

    def _acting(self, group: Any) -> Group | None:
        """The group, where it acts on the images of the network's layout without interpolation."""
        if group is None:
            if self.average:
                raise ValueError("average is True and equivariant is None; expected a group to average over")
            return None
        check_exact(group, "equivariant")
        if self.net.layout.axes != 2:
            raise ValueError(
                f"axes is {self.net.layout.axes} and equivariant is {group}; expected 2, images in a plane"
            )
        return group

    @property
    def is_random(self) -> bool:
        """Whether each iteration draws an element of the group."""
        return self.equivariant is not None and not self.average

    def _check_level(self) -> None:
        for name, value in (("sigma", self.sigma), ("lam", self.lam)):
            if value is not None and not self.net.takes_sigma:
                raise ValueError(f"{name} is {value:g}, and {self.net.name} takes no noise level; expected None")

    @property
    def name(self) -> str:
        level = f"sigma={self.sigma:g}" if self.sigma is not None else f"lam={self.lam:g}" if self.lam else "blind"
        return f"Denoiser({self.net.name}, {level})"

    def noise_level(self, tau: Any) -> Any:
        """σ at the step size τ: a float, one per sample for such a τ, or None for blind denoisers."""
        return self.sigma if self.lam is None else np.sqrt(self.lam * np.asarray(tau))[()]

    def replaced(self, **changes: Any) -> Denoiser:
        """A copy with another ``sigma``, ``lam``, ``strength``, ``box`` or ``monitor``."""
        f = copy.copy(self)
        if not set(changes) <= {"sigma", "lam", "strength", "box", "monitor"}:
            raise TypeError(f"replaced has {', '.join(changes)}; expected sigma, lam, strength, box or monitor")
        if "sigma" in changes or "lam" in changes:
            changes = {"sigma": None, "lam": None, **changes}
        f.__dict__.update(changes)
        f.box = _box(f.box)
        f._check_level()
        return f

    def denoise(self, x: Array, sigma: float | None = None) -> Array:
        """D_σ(x), at the noise level ``sigma`` (its own by default)."""
        sigma = self.sigma if sigma is None else sigma
        if self.net.takes_sigma and sigma is None:
            raise ValueError(f"sigma is None, and {self.name} takes it from a step size; expected a noise level")
        return self._denoised(self._enter(x), sigma, None, None)

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        sigma = self.noise_level(t)
        d = self._denoised(x, sigma, (work or {}).get("denoised"), work)
        if work is not None:
            if self.monitor is not None:
                self.monitor.see(x, d, sigma, same=not self.is_random)
            work["denoised"] = d  # what a solve whose next denoised image is NaN is left with
        out[...] = d

    def _denoised(self, x: Array, sigma: Any, good: Array | None, work: Work) -> Array:
        """D_σ(x); where that is not finite, `Diverged` with ``good``, the last image that was."""
        d = self._turned(x, sigma, work)
        if self.strength < 1:
            d = x + self.strength * (d - x)
        if not math.isfinite(backend.norm(d)):
            what = "gave" if math.isfinite(backend.norm(x)) else "was given"
            raise Diverged(f"{self.name} {what} NaN or infinite values", good)
        if self.box is not None:
            d = d.clip(*self.box, out=d)
        return d

    def _turned(self, x: Array, sigma: Any, work: Work) -> Array:
        """g⁻¹ D(g·x) of the element g of this iteration, or the mean over all."""
        if self.equivariant is None:
            return self.net(x, sigma, work)
        last = self.net.layout.channels == "last"
        quarter = self.equivariant.element(self.equivariant.m // 4)  # which is what not every image has
        quarter.check(x.shape[-3:-1] if last else x.shape)
        if self.average:
            elements = list(self.equivariant)
        else:
            kept = shared(work)
            k = kept.get("draws", 0)  # in the state of a solve, so that one which is resumed goes on
            kept["draws"] = k + 1
            elements = [self.equivariant.random(np.random.default_rng((self.seed, k)))]
        d: Any = 0
        for g in elements:
            d = d + self._act(g.inverse, self.net(self._act(g, x), sigma, work))
        return d if len(elements) == 1 else d / len(elements)

    def _act(self, g: Isometry, x: Array) -> Array:
        """g·x in the plane of the pixels."""
        if self.net.layout.channels != "last":
            return g(x)
        xp = backend.array_module(x)
        return xp.ascontiguousarray(xp.moveaxis(g(xp.moveaxis(x, -1, -3)), -3, -1))

    def scaled(self, c: float) -> Functional:
        if self.lam is None and c not in (0, 1):
            raise ValueError(f"weight {c:g} of {self.name} has no meaning, its noise level is fixed; expected lam=...")
        return super().scaled(c)


def _box(box: Any) -> tuple[float, float] | None:
    if box is None:
        return None
    if len(box) != 2 or not box[0] < box[1]:
        raise ValueError(f"box is {shown(box)}; expected (lo, hi) with lo < hi")
    return float(box[0]), float(box[1])
