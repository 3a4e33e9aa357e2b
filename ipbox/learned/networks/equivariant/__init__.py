"""Networks that commute with rotations and mirror images of the image, Φ(g·u) = g·Φ(u), by their construction."""

from ipbox.keywords import answering_classes
from ipbox.learned.networks.equivariant.actions import act
from ipbox.learned.networks.equivariant.averaging import GroupAverage
from ipbox.learned.networks.equivariant.blocks import EquivariantBlock
from ipbox.learned.networks.equivariant.convolutions import GroupConv, LiftingConv, ProjectionConv
from ipbox.learned.networks.equivariant.denoisers import EquivariantDnCNN, EquivariantUNet
from ipbox.learned.networks.equivariant.expansion import expanded

__all__ = ["EquivariantBlock", "EquivariantDnCNN", "EquivariantUNet", "GroupConv", "LiftingConv", "ProjectionConv"]
__all__ += ["GroupAverage", "act", "expanded"]

answering_classes(globals())
