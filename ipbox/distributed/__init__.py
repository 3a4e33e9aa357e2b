"""Work that is shared by the ranks of MPI: samples, the data of one image, or the slices of a volume."""

from ipbox.distributed.checkpoint import RanksCheckpoint
from ipbox.distributed.communicator import Communicator
from ipbox.distributed.cost import Cost, cost_of_samples, cost_of_slices, cost_of_views
from ipbox.distributed.operators import MPIBlockDiag, MPIVStack
from ipbox.distributed.ranks import Ranks
from ipbox.distributed.world import world
from ipbox.keywords import answering_classes

__all__ = ["Communicator", "Cost", "MPIBlockDiag", "MPIVStack", "Ranks", "RanksCheckpoint"]
__all__ += ["cost_of_samples", "cost_of_slices", "cost_of_views", "world"]

answering_classes(globals())
