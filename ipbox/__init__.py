"""ipbox: inverse problems A u = b on NumPy and CuPy arrays.

>>> import ipbox as ip
>>> A, b, x_true, info = ip.problem("ct", size=64, views=20, noise=0.01, seed=0)
>>> x, info = ip.fbp(A, b)

Names are loaded when they are first used: ``import ipbox`` is instant.
"""

import sys
from importlib.util import find_spec

import lazy_loader


class _OldPaths:
    """Asked last, for modules of ipbox that do not exist: `ipbox.moved` says where they are now."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> object:
        if not name.startswith("ipbox."):
            return None
        from ipbox import moved

        return moved.OldPaths().find_spec(name)


sys.meta_path.append(_OldPaths)

__version__ = "0.1.0"

# The public names are listed once, in __init__.pyi, which editors and type checkers read too.
_load, _, _names = lazy_loader.attach_stub(__name__, __file__)
_NEEDS_TORCH = ("Denoiser", "LearnedRegulariser", "SlicewiseDenoiser", "generative", "learned", "pnp", "red")
# Left out without torch, so that `help(ip)` and `from ipbox import *` work; asked for, they say what to install.
_HIDDEN = () if find_spec("torch") else _NEEDS_TORCH
__all__ = sorted({*_names, "stop"} - {*_HIDDEN})


def __getattr__(name: str) -> object:
    if name == "stop":  # ip.stop.niter(100) reads better than ip.stopping.niter(100)
        from ipbox.solvers import stopping

        globals()["stop"] = stopping
        return stopping
    if name not in _names:
        from ipbox.names import no_attribute

        raise no_attribute(__name__, name, __all__, _use)
    return _load(name)


def _use(name: str) -> str:
    """How a solver is run, for those who took its name for a function's."""
    from ipbox.solvers import Solver

    value = _load(name)
    return (
        f", a solver: ip.solve(problem, ip.{name}())" if isinstance(value, type) and issubclass(value, Solver) else ""
    )


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
