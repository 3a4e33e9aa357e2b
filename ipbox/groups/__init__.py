r"""Groups acting on images: rotations, mirror images and periodic translations of the plane of the last two axes.

.. math:: (g \cdot u)(x) = π(R)\, u(R^{-1}(x - t)), \qquad g = (t, R), \qquad R = ρ^k s^f

ρ is the rotation by 2π/m, counterclockwise as images are drawn, and s the mirror image, left for right.  π says what
the channels are (see `Isometry`).  Turns are about the centre of the image, translations are periodic, by whole pixels.
Enlargements are no group on pixels (replication has a left inverse only), and there are none here.

>>> import numpy as np, ipbox as ip
>>> u = np.arange(16.0).reshape(4, 4)
>>> all(np.allclose((g @ h)(u), g(h(u))) for g in ip.groups.Dihedral(4) for h in ip.groups.Dihedral(4))
True
"""

from ipbox.groups.averages import Averaged
from ipbox.groups.families import Dihedral, Rotations, RotoTranslations, Translations, as_group
from ipbox.groups.isometries import FIELDS, Group, Isometry

__all__ = ["FIELDS", "Averaged", "Dihedral", "Group", "Isometry", "RotoTranslations", "Rotations", "Translations"]
__all__ += ["as_group"]
