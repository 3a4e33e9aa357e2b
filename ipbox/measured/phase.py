"""Phase retrieval from one distance: what propagation did to the edges is undone."""

from __future__ import annotations

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_not_negative, check_positive
from ipbox.keywords import answering
from ipbox.measured.readings import by_rows, check_integrals

WAVELENGTH = 1.23984198e-9  # h c in keV m
PAD = 0.25  # of the panel, on either side, against what wraps around


@answering
def paganin(
    T: Array, *, delta_beta: float, energy: float, distance: float, pixel_size: float | tuple[float, float]
) -> Array:
    r"""Line integrals of an object of one material from its transmission after free propagation.

    .. math:: b = -\log F^{-1}\Bigl[\frac{F[T]}{1 + z \frac{δ}{μ} |ω|^2}\Bigr], \qquad
        μ = \frac{4π β}{λ}, \quad \frac{δ}{μ} = \frac{δ}{β} \frac{λ}{4π}

    from the transport of intensity behind a plane wave: b = μ t, as `minus_log` would give without propagation, and
    less noisy.  ω is the angular frequency on the panel.  For a point source, pixel_size is that at the object, and z
    the effective distance R₁ R₂/(R₁ + R₂).

    Parameters
    ----------
    T : array
        Transmission, (views, rows, columns), or (views, columns) of what varies along the columns only, float32 or
        float64; positive, as `flat_field` gives it.
    delta_beta : float
        δ/β of the material: 100 to 2000 of light ones.
    energy : float
        In keV: λ = 1.2398/energy nm.
    distance : float
        z from the object to the panel, in metres; 0 does nothing but the logarithm.
    pixel_size : float or (float, float)
        Of the panel's square pixels, or (height, width), in metres.

    Returns
    -------
    b : array
        Of the shape and dtype of T.

    Raises
    ------
    TypeError, ValueError
        for what is no array of transmissions, or numbers that are not positive.

    References
    ----------
    Paganin, Mayo, Gureyev, Miller and Wilkins, Simultaneous phase and amplitude extraction from a single defocused
    image of a homogeneous object, J. Microsc. 206 (2002).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> T = np.full((1, 16, 16), np.exp(-0.5))
    >>> b = ip.measured.paganin(T, delta_beta=500.0, energy=20.0, distance=0.2, pixel_size=1e-6)
    >>> bool(abs(b - 0.5).max() < 1e-12)
    True
    """
    check_integrals(T, "T")
    if not bool((T > 0).all()):
        raise ValueError(f"T has {int((T <= 0).sum())} entries that are not positive; expected those of flat_field")
    ratio, z = check_positive(delta_beta, "delta_beta"), check_not_negative(distance, "distance")
    length = WAVELENGTH / check_positive(energy, "energy", "a positive number of keV")
    sizes = pixel_size if isinstance(pixel_size, tuple | list) else (pixel_size, pixel_size)
    if len(sizes) != 2:
        raise ValueError(f"pixel_size is {pixel_size!r}; expected a number of metres, or (height, width)")
    height, width = (check_positive(h, "pixel_size", "a positive number of metres") for h in sizes)
    xp, fft, views = backend.array_module(T), backend.fft_module(T), by_rows(T)
    pads = [0 if n == 1 else int(np.ceil(PAD * n)) for n in views.shape[1:]]
    shape = [n + 2 * p for n, p in zip(views.shape[1:], pads, strict=True)]
    rows = 2 * np.pi * np.fft.fftfreq(shape[0], sizes[0])
    columns = 2 * np.pi * np.fft.rfftfreq(shape[1], sizes[1])
    filtering = 1 / (1 + z * ratio * length / (4 * np.pi) * (rows[:, None] ** 2 + columns**2))
    filtering = xp.asarray(filtering, dtype=T.dtype)
    out = xp.empty_like(views)
    for j in range(len(views)):
        wide = xp.pad(views[j], [(p, p) for p in pads], mode="edge")
        smooth = fft.irfft2(fft.rfft2(wide) * filtering, s=tuple(shape))
        out[j] = smooth[pads[0] : shape[0] - pads[0], pads[1] : shape[1] - pads[1]]
    return -xp.log(xp.maximum(out, np.finfo(T.dtype).tiny)).reshape(T.shape)
