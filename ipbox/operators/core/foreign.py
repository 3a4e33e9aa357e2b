"""PyLops, imported with short spins: it brings torch, where installed, in whose GNU OpenMP Numba's kernels run."""

from ipbox.parallel import short_spins

with short_spins():
    import pylops

__all__ = ["pylops"]
