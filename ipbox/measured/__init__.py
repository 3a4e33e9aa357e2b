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
from ipbox.measured.pixels import dead_pixels, fill_in, remove_zingers
from ipbox.measured.stripes import remove_stripes
from ipbox.measured.transmission import Guard, flat_field, minus_log

__all__ = ["Centre", "Guard", "dead_pixels", "fill_in", "find_centre", "flat_field", "minus_log", "remove_stripes"]
__all__ += ["remove_zingers"]

answering_classes(globals())
