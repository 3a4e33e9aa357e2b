"""Work that is shared by the ranks of MPI: samples of a batch or of bilevel learning."""

from ipbox.distributed.ranks import Ranks
from ipbox.distributed.world import world
from ipbox.keywords import answering_classes

__all__ = ["Ranks", "world"]

answering_classes(globals())
