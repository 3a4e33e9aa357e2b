"""From a measured scan to line integrals: fields, bad pixels, stripes, and where the axis is.

>>> import numpy as np, ipbox as ip
>>> counts = np.random.default_rng(0).poisson(1000.0, (90, 64)).astype("uint16")
>>> T, guard = ip.measured.flat_field(counts, np.full((10, 64), 1000))
>>> b = ip.measured.minus_log(T)
>>> b.shape, guard.low
((90, 64), 0)
"""

from ipbox.keywords import answering_classes
from ipbox.measured.centre import Centre, find_centre
from ipbox.measured.chain import Preparation, prepare
from ipbox.measured.hardening import correct_hardening, fit_hardening
from ipbox.measured.noise import noise_from_flats, noise_from_repeats, noise_from_views
from ipbox.measured.panel import Panel, bin_pixels, crop, pad
from ipbox.measured.phase import paganin
from ipbox.measured.pixels import dead_pixels, fill_in, remove_zingers
from ipbox.measured.sharpness import check_centre
from ipbox.measured.stripes import remove_stripes
from ipbox.measured.transmission import Guard, flat_field, minus_log

__all__ = ["Centre", "Guard", "Panel", "Preparation", "bin_pixels", "check_centre", "correct_hardening", "crop"]
__all__ += ["dead_pixels", "fill_in", "find_centre", "fit_hardening", "flat_field", "minus_log", "noise_from_flats"]
__all__ += ["noise_from_repeats", "noise_from_views", "pad", "paganin", "prepare", "remove_stripes", "remove_zingers"]

answering_classes(globals())
