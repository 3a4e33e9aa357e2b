"""Problems of image processing on real images: denoising, inpainting, super-resolution, compressed sensing."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_choice, check_count, check_not_negative, check_positive
from ipbox.operators import Downsampling, GaussianBlur, GaussianMeasurements, Identity, Mask, Operator
from ipbox.problems import ProblemInfo
from ipbox.problems.measuring import noise as noises
from ipbox.problems.measuring.masks import inpainting_mask
from ipbox.problems.simulated.posed import check_common, pose
from ipbox.problems.truths import datasets
from ipbox.problems.truths.brains import brain_slice
from ipbox.problems.truths.scenes import scene

KINDS = ("gaussian", "poisson", "salt-and-pepper")


def denoise(
    size: int | None = None,
    noise: float | str = 0.1,
    seed: int = 0,
    image: str | Array = "camera",
    slice: int = 11,
    patient: str = "test",
    photons: float = 100.0,
    fraction: float = 0.1,
    dtype: Any = "float32",
    xp: str = "numpy",
) -> tuple[Identity, Array, Array, ProblemInfo]:
    """A noisy image, b = x + n: A is the identity.

    Parameters
    ----------
    size : int, optional
        Pixels a side; 256 by default.
    noise : float or str
        Relative level ‖n‖/‖x‖ of Gaussian noise (``"gaussian"`` is 0.1); ``"poisson"`` for photon counts, in units of
        the image; ``"salt-and-pepper"`` for pixels lost to the image's extremes.
    seed : int
        Seed of the noise.
    image : str or array
        Name of a photograph (`ipbox.problems.truths.photographs`), ``"brain"`` (MR magnitude), ``"lung"`` (CT, in
        1/mm), or a real floating image of your own.
    slice, patient : int, str
        Of ``"brain"`` and ``"lung"``; see `ipbox.problems.truths.brains.brain_slice` and
        `ipbox.problems.truths.datasets.lung_slice`.
    photons : float
        Photons expected in the brightest pixel, for ``"poisson"``; the image must not be negative.
    fraction : float
        Share of lost pixels, for ``"salt-and-pepper"``.
    dtype : dtype
        float32 or float64, of A, b and x.
    xp : str
        ``"numpy"`` or ``"cupy"``: everything is simulated on the host and moved once.

    Returns
    -------
    A : Identity
    b, x : array, (ny, nx)
        The noisy image and the truth.
    info : ProblemInfo

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    Examples
    --------
    >>> from ipbox.problems.simulated.restoration import denoise
    >>> A, b, x, info = denoise(size=64, noise="poisson", image="coins")
    >>> b.shape, info.extra["noise"]
    ((64, 64), 'poisson')
    """
    kind, level = (noise, 0.1) if isinstance(noise, str) else ("gaussian", noise)
    check_choice(kind, "noise", KINDS, ", or a level")
    x, about = _truth(image, size, slice, patient, dtype, xp)
    if kind == "gaussian":
        b, noise_level = noises.gaussian(x, level, seed)
    elif kind == "salt-and-pepper":
        b, noise_level = noises.salt_and_pepper(x, fraction, seed=seed)
    else:
        b, noise_level = _photon_noise(x, photons, seed)
    about["extra"]["noise"] = kind
    return pose(Identity(x.shape, dtype), b, x, noise_level, None, xp, name="denoise", seed=seed, **about)


def inpaint(
    size: int | None = None,
    mask: str | Array = "random",
    missing: float | None = None,
    noise: float = 0.01,
    seed: int = 0,
    image: str | Array = "camera",
    slice: int = 11,
    patient: str = "test",
    dtype: Any = "float32",
    xp: str = "numpy",
) -> tuple[Mask, Array, Array, ProblemInfo]:
    """An image of which some pixels are missing: A multiplies with a mask, and b is 0 where nothing is known.

    Parameters
    ----------
    mask : str or array
        ``"random"``, ``"block"``, ``"text"`` (see `ipbox.problems.measuring.masks.inpainting_mask`), or a bool array of
        the image's shape that is True where a pixel is known.
    missing : float, optional
        Share of missing pixels: 0.5 at random, 0.05 for the block.
    noise : float
        Relative level of Gaussian noise on the known pixels.
    size, seed, image, slice, patient, dtype, xp
        As for `denoise`; ``seed`` is also that of the random mask.

    Returns
    -------
    A : Mask
    b, x : array, (ny, nx)
    info : ProblemInfo
        ``info.extra["mask"]``: True where a pixel is known, on the host.

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    Examples
    --------
    >>> from ipbox.problems.simulated.restoration import inpaint
    >>> A, b, x, info = inpaint(size=64, missing=0.75)
    >>> float((b == 0).mean())
    0.75
    """
    check_common(xp, seed, noise)
    x, about = _truth(image, size, slice, patient, dtype, xp)
    known = inpainting_mask(mask, x.shape, missing, seed) if isinstance(mask, str) else _own_mask(mask, x, missing)
    A = Mask(known, dtype)
    b = np.zeros_like(x)
    b[known], noise_level = noises.gaussian(x[known], noise, seed)
    about["extra"] |= {"mask": known}
    return pose(A, b, x, noise_level, None, xp, name="inpaint", seed=seed, **about)


def super_resolution(
    size: int | None = None,
    factor: int = 2,
    blur: float = 0.0,
    noise: float = 0.01,
    seed: int = 0,
    image: str | Array = "camera",
    slice: int = 11,
    patient: str = "test",
    dtype: Any = "float32",
    xp: str = "numpy",
) -> tuple[Operator, Array, Array, ProblemInfo]:
    """An image seen by a detector with pixels ``factor`` times as wide.

    The data are made with A itself: what the image is between its own pixels is not known.

    Parameters
    ----------
    factor : int
        Divides the size.
    blur : float
        0: each data pixel is the mean over its block.  Otherwise σ, in pixels of x, of a Gaussian blur (reflective
        boundary) before every ``factor``-th pixel is taken.
    noise : float
        Relative level of Gaussian noise.
    size, seed, image, slice, patient, dtype, xp
        As for `denoise`.

    Returns
    -------
    A : Downsampling, or its composition with a GaussianBlur
    b : array, (ny / factor, nx / factor)
    x : array, (ny, nx)
    info : ProblemInfo

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    Examples
    --------
    >>> from ipbox.problems.simulated.restoration import super_resolution
    >>> A, b, x, info = super_resolution(size=64, factor=4)
    >>> b.shape
    (16, 16)
    """
    check_not_negative(blur, "blur")
    check_count(factor, "factor")
    x, about = _truth(image, size, slice, patient, dtype, xp)
    A: Operator = Downsampling(x.shape, factor, average=blur == 0, dtype=dtype)
    if blur > 0:
        A = A @ GaussianBlur(x.shape, blur, "reflective", dtype=dtype)
    b, noise_level = noises.gaussian(A.apply(x), noise, seed)
    about["extra"] |= {"factor": int(factor), "blur": float(blur)}
    return pose(A, b, x, noise_level, None, xp, name="super-resolution", seed=seed, **about)


def compressed_sensing(
    size: int | None = None,
    ratio: float = 0.3,
    noise: float = 0.01,
    seed: int = 0,
    image: str | Array = "camera",
    slice: int = 11,
    patient: str = "test",
    dtype: Any = "float32",
    xp: str = "numpy",
) -> tuple[GaussianMeasurements, Array, Array, ProblemInfo]:
    """A small image, 64 pixels a side by default, measured with a dense Gaussian matrix.

    Parameters
    ----------
    ratio : float
        Measurements m over pixels n, in (0, 1].
    noise : float
        Relative level of Gaussian noise.
    size, seed, image, slice, patient, dtype, xp
        As for `denoise`; ``seed`` is also that of the matrix.  The matrix has ratio · size⁴ entries.

    Returns
    -------
    A : GaussianMeasurements
    b : array, (m,)
    x : array, (ny, nx)
    info : ProblemInfo

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    Examples
    --------
    >>> from ipbox.problems.simulated.restoration import compressed_sensing
    >>> A, b, x, info = compressed_sensing(size=32, ratio=0.25)
    >>> b.shape
    (256,)
    """
    check_between(ratio, "ratio", 0, 1, "(]")
    x, about = _truth(image, 64 if size is None and isinstance(image, str) else size, slice, patient, dtype, xp)
    A = GaussianMeasurements(x.shape, max(1, round(ratio * x.size)), seed, dtype)
    b, noise_level = noises.gaussian(A.apply(x), noise, seed)
    return pose(A, b, x, noise_level, None, xp, name="compressed-sensing", seed=seed, **about)


# ---------------------------------------------------------------- the parts


def _truth(
    image: str | Array, size: int | None, index: int, patient: str, dtype: Any, xp: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """The truth on the host, and what `ProblemInfo` has to tell of it."""
    backend.as_module(xp)
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"dtype is {dtype}; expected float32 or float64")
    if not isinstance(image, str) or image not in ("brain", "lung"):
        x, _, about = scene(image, size, (0, 0))
    else:
        n = 256 if size is None else size
        if image == "brain":
            x, units, unit, data = brain_slice(index, n, patient), "x in [0, 1], lengths in pixels", "", "mr_brain"
        else:
            x, units, unit = datasets.lung_slice(index, n, patient)[0], "x in 1/mm, lengths in pixels", "1/mm"
            data = datasets.LUNGS[patient]
        about = dict(units=units, unit=unit, extra={"image": image, "slice": int(index), "patient": patient})
        about |= datasets.credit(data)
    return x.astype(dtype), about


def _photon_noise(x: np.ndarray, photons: float, seed: int) -> tuple[np.ndarray, float]:
    """Poisson counts with ``photons`` expected in the brightest pixel, scaled back to the image's units."""
    check_positive(photons, "photons")
    if not (x.min() >= 0 and x.max() > 0):
        raise ValueError(f"image has values from {x.min():g} to {x.max():g}; photon counts expect no negative ones")
    scale = float(photons) / float(x.max())
    counts, noise_level = noises.poisson(x * scale, seed)
    return counts / x.dtype.type(scale), noise_level / scale


def _own_mask(mask: Array, x: np.ndarray, missing: float | None) -> np.ndarray:
    backend.check_array(mask, "mask", "a NumPy or CuPy array of bool")
    if mask.dtype != bool or mask.shape != x.shape:
        raise ValueError(f"mask has dtype {mask.dtype} and shape {mask.shape}; expected bool of shape {x.shape}")
    if missing is not None:
        raise ValueError(f"missing is {missing}; expected none with a mask of your own")
    return np.array(backend.to_host(mask))
