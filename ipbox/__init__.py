"""ipbox: inverse problems A u = b on NumPy and CuPy arrays.

>>> import ipbox as ip
>>> A, b, x_true, info = ip.problem("ct", size=64, views=20, noise=0.01, seed=0)
>>> x, info = ip.fbp(A, b)

Names are loaded when they are first used: ``import ipbox`` is instant.
"""

import lazy_loader

from ipbox import moved

moved.install()

__version__ = "0.1.0"

# The public names are listed once, in __init__.pyi, which editors and type checkers read too.
_load, _, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = sorted([*_names, "stop"])


def __getattr__(name: str) -> object:
    if name == "stop":  # ip.stop.niter(100) reads better than ip.stopping.niter(100)
        from ipbox.solvers import stopping

        globals()["stop"] = stopping
        return stopping
    return _load(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
