"""Putting the stand-in where ``import cupy``, ``import cupyx`` and ``import cufinufft`` look."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np

from . import api
from .modules import GRIDS, StandinModule
from .simulator import accept_code_options


def install() -> types.ModuleType:
    """Install the stand-in and return its ``cupy``; a second call returns the same module.

    Raises
    ------
    RuntimeError
        if CuPy or PyLops (which looks for CuPy once, at its import) has been imported before.
    """
    present = sys.modules.get("cupy")
    if isinstance(present, StandinModule):
        return present
    for name in ("cupy", "pylops"):
        if name in sys.modules:
            raise RuntimeError(f"{name} is already imported; the stand-in must be installed before it")
    modules = _modules()
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    sys.modules.update(modules)
    accept_code_options()
    _lend_to_kernels()
    return modules["cupy"]


def _lend_to_kernels() -> None:
    """Tell the fused kernels how to read the stand-in's arrays."""
    from ipbox.kernels.core import launch

    from .array import ndarray, simulated_view

    launch.stand_in = launch.StandIn(simulated_view, ndarray._payload.__get__)


def _modules() -> dict[str, types.ModuleType]:
    import scipy.fft
    import scipy.linalg
    import scipy.ndimage
    import scipy.signal
    import scipy.special

    from . import creation, cuda, nufft, random, sparse

    modules = [
        StandinModule("cupy", np, _top()),
        StandinModule("cupy.cuda", None, cuda.contents()),
        StandinModule("cupy.fft", np.fft),
        StandinModule("cupy.lib", None),
        StandinModule("cupy.lib.stride_tricks", np.lib.stride_tricks),
        StandinModule("cupy.linalg", np.linalg),
        StandinModule("cupy.random", None, random.contents()),
        StandinModule("cupyx", None, _cupyx()),
        StandinModule("cupyx.scipy", None, {"get_array_module": creation.get_array_module}),
        StandinModule("cupyx.scipy.fft", scipy.fft),
        StandinModule("cupyx.scipy.linalg", scipy.linalg),
        StandinModule("cupyx.scipy.ndimage", scipy.ndimage),
        StandinModule("cupyx.scipy.signal", scipy.signal),
        StandinModule("cupyx.scipy.sparse", None, sparse.contents()),
        StandinModule("cupyx.scipy.sparse.linalg", None),
        StandinModule("cupyx.scipy.special", scipy.special),
        StandinModule("cufinufft", None, {"Plan": nufft.Plan, "__version__": "2.5.0"}),
    ]
    return {module.__name__: module for module in modules}


def _top() -> dict[str, Any]:
    """What ``cupy`` itself does not share with NumPy."""
    from . import creation, cuda
    from .array import ndarray
    from .ufuncs import ufunc

    names = "array asarray ascontiguousarray asfortranarray asnumpy from_dlpack get_array_module result_type"
    return GRIDS | {name: getattr(creation, name) for name in names.split()} | {
        "asanyarray": creation.asarray,
        "get_default_memory_pool": lambda: cuda.POOL,
        "get_default_pinned_memory_pool": lambda: cuda.POOL,
        "is_available": lambda: True,
        "ndarray": ndarray,
        "ufunc": ufunc,
        "__version__": api.VERSION,
    }  # fmt: skip


def _cupyx() -> dict[str, Any]:
    """``cupyx``: scatter operations, pinned host memory, ``rsqrt``."""
    from .ufuncs import ufunc

    def pinned(function: Any) -> Any:
        return lambda shape, dtype=float, order="C": function(shape, dtype, order)

    return {
        "empty_pinned": pinned(np.empty),
        "zeros_pinned": pinned(np.zeros),
        "rsqrt": ufunc(lambda x, **kwargs: np.divide(x.dtype.type(1), np.sqrt(x), **kwargs), "rsqrt"),
        "scatter_add": lambda a, slices, value: a.scatter_add(slices, value),
        "scatter_max": lambda a, slices, value: a.scatter_max(slices, value),
        "scatter_min": lambda a, slices, value: a.scatter_min(slices, value),
    }
