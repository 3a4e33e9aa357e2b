"""Work that is shared by the ranks of MPI: samples, the data of one image, or the slices of a volume."""

from ipbox.distributed.checkpoint import RanksCheckpoint
from ipbox.distributed.communicator import Communicator
from ipbox.distributed.operators import MPIBlockDiag, MPIVStack
from ipbox.distributed.ranks import Ranks
from ipbox.distributed.world import world
from ipbox.keywords import answering_classes

__all__ = ["Communicator", "MPIBlockDiag", "MPIVStack", "Ranks", "RanksCheckpoint", "world"]

answering_classes(globals())
