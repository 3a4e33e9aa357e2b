"""Test problems: ``problem(name, ...)`` gives an operator A, data b, the truth x and what is known about them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from ipbox import reports
from ipbox.backend import Array, is_array
from ipbox.checks import check_choice
from ipbox.keywords import answering, slip
from ipbox.moved import attributes

__all__ = ["ProblemInfo", "names", "problem"]

# name -> module:function; the modules are imported when a problem is asked for
_PROBLEMS = {
    "blur": "ipbox.problems.simulated.blur:blur",
    "blur-varying": "ipbox.problems.simulated.blur:blur_varying",
    "compressed-sensing": "ipbox.problems.simulated.restoration:compressed_sensing",
    "cone": "ipbox.problems.simulated.cone:cone",
    "ct": "ipbox.problems.simulated.ct:ct",
    "denoise": "ipbox.problems.simulated.restoration:denoise",
    "deriv2": "ipbox.problems.simulated.fredholm:deriv2",
    "fan": "ipbox.problems.simulated.fan:fan",
    "gravity": "ipbox.problems.simulated.fredholm:gravity",
    "heat": "ipbox.problems.simulated.fredholm:heat",
    "inpaint": "ipbox.problems.simulated.restoration:inpaint",
    "mri": "ipbox.problems.simulated.mri:mri",
    "mri-radial": "ipbox.problems.simulated.mri_radial:mri_radial",
    "pet": "ipbox.problems.simulated.pet:pet",
    "phillips": "ipbox.problems.simulated.fredholm:phillips",
    "shaw": "ipbox.problems.simulated.fredholm:shaw",
    "super-resolution": "ipbox.problems.simulated.restoration:super_resolution",
    "tomography-measured": "ipbox.problems.simulated.ct:measured",
}


@dataclass(frozen=True, kw_only=True)
class ProblemInfo:
    """What is known about a test problem.

    What does not apply to a problem, or is not known, is None.

    Attributes
    ----------
    name : str
        Name of the problem.
    noise_level : float or None
        Expected norm of the noise, σ√m for m data; None where it is unknown (measured data).
    model_error : float or None
        ‖A x - b_clean‖: what simulating the data on a finer grid or with another projector adds to the noise.
    pixel_size : float
        Width of a pixel of x, in the length unit of ``units``.
    units : str
        Units of x and of the pixel size.
    unit : str
        That of x, for a colour bar; empty where x is dimensionless.
    angles : numpy.ndarray or None
        Projection angles in radians, on the host.
    peak : float or None
        max |x|, the peak for PSNR.
    mask : array or None
        Where x can be non-zero (bool, on x's device).
    source, licence : str
        Where the data come from, and on which terms.
    seed : int or None
        Seed of the noise.
    extra : dict
        Anything else the problem has to tell.

    Examples
    --------
    >>> import ipbox as ip
    >>> info = ip.problem("ct", size=32, views=20, noise=0.05, seed=0)[-1]
    >>> info.name, info.unit, round(info.noise_level, 2)
    ('ct', '1/mm', 5.45)
    """

    name: str
    noise_level: float | None = None
    model_error: float | None = None
    pixel_size: float = 1.0
    units: str = "x dimensionless, lengths in pixels"
    unit: str = ""
    angles: np.ndarray | None = field(default=None, repr=False)
    peak: float | None = None
    mask: Array | None = field(default=None, repr=False)
    source: str = ""
    licence: str = ""
    seed: int | None = None
    extra: dict[str, Any] = field(default_factory=dict, repr=False)

    report = reports.of_fields


@answering
def names() -> tuple[str, ...]:
    """The names `problem` knows.

    Examples
    --------
    >>> from ipbox.problems import names
    >>> "ct" in names()
    True
    """
    return tuple(_PROBLEMS)


@answering
def problem(name: str, **options: Any) -> tuple[Any, Array, Array | None, ProblemInfo]:
    """A test problem ``A x = b``.

    Parameters
    ----------
    name : str
        One of `names`.
    **options
        Options of that problem: the arguments of its function, such as `ipbox.problems.simulated.ct.ct`.  An ``image``
        of your own in double precision makes a problem in double precision, unless ``dtype`` says otherwise.

    Returns
    -------
    A : Operator
    b : array
        Data, noise included.
    x : array or None
        The truth; None for measured data.
    info : ProblemInfo

    Raises
    ------
    ValueError
        for an unknown name, or an option's bad value.
    TypeError
        for an option the problem does not have.

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x, info = ip.problem("ct", size=64, views=20, noise=0.01, seed=0)
    >>> b.shape == A.dimsd, x.shape
    (True, (64, 64))
    """
    function = _find(name)
    known = inspect.signature(function).parameters
    if unknown := [option for option in options if option not in known]:
        raise TypeError(slip(f"problem {name!r}", unknown, known))
    if "dtype" in known and "dtype" not in options and _is_double(options.get("image")):
        options["dtype"] = np.result_type(known["dtype"].default, np.float64)
    return function(**options)


def _is_double(image: Any) -> bool:
    """Whether it is an array of double precision, or what `read_image` gives with one."""
    u = image[0] if isinstance(image, tuple | list) and image else image
    return is_array(u) and u.dtype in (np.float64, np.complex128)


def _find(name: str) -> Callable[..., Any]:
    module, function = _PROBLEMS[check_choice(name, "name", _PROBLEMS)].split(":")
    return getattr(import_module(module), function)


__getattr__ = attributes(__name__)
