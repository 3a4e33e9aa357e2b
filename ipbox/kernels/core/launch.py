"""Where a kernel runs: on the CPU for host arrays, on the GPU for device arrays; each is imported at its first call."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from ipbox.backend import Array, current_stream, is_device

MAX_BLOCKS_Y = 65535
THREADS = 256  # per block


@dataclass
class StandIn:
    """How kernels read the arrays of what stands in for CuPy where there is no GPU, as in the tests.

    They run in Numba's CUDA simulator, thread by thread, or unless ``simulate`` as their CPU twins.
    """

    device_view: Callable[[Array], Any]
    host_view: Callable[[Array], np.ndarray]
    simulate: bool = True


stand_in: StandIn | None = None


def on_gpu(x: Array) -> bool:
    """Whether the kernels for ``x`` are those of the GPU."""
    return is_device(x) and (stand_in is None or stand_in.simulate)


class Kernels:
    """The kernels of one subject: those of its ``cpu.py`` and, under the same names, of its ``cuda.py``."""

    def __init__(self, subject: str) -> None:
        self.subject = subject

    @functools.cached_property
    def cpu(self) -> ModuleType:
        return importlib.import_module(f"ipbox.kernels.{self.subject}.cpu")

    @functools.cached_property
    def cuda(self) -> ModuleType:
        return importlib.import_module(f"ipbox.kernels.{self.subject}.cuda")

    def run(self, name: str, x: Array, *args: Any, work: int | None = None) -> Any:
        """Call the kernel ``name`` on the device of ``x``; on the CPU in parallel where size and caller allow it.

        The work is that of ``x.size`` pixels unless it is given; nothing is done where ``x`` is empty.
        """
        if x.size == 0:
            return None
        if on_gpu(x):
            return getattr(self.cuda, name)(*args)
        if stand_in is not None and is_device(x):
            args = tuple(stand_in.host_view(a) if is_device(a) else a for a in args)
        return getattr(self.cpu, name).run(x.size if work is None else work, *args)


# ---------------------------------------------------------------- CUDA


def gpu_twin(kernel: Any, *literals: int, over: int = 0) -> Callable[..., None]:
    """``kernel`` of ``numba.cuda``, to be called with the arguments of its CPU twin.

    It gets a thread for each pixel of the argument number ``over``, and after the arguments the ``literals`` in the
    dtype of that array: written in the kernel they would turn float32 into float64 arithmetic.
    """

    def start(*args: Any) -> None:
        real = args[over].dtype.type
        launch(kernel, pixels(args[over]), *args, *(real(v) for v in literals))

    return start


def pixels(x: Array) -> tuple[int, int]:
    """(rows, columns) of all images in ``x``, or of those that vector fields (batch, components, n0, n1, n) are on."""
    columns = x.shape[-1]
    rows = x.size // columns
    return (rows // x.shape[1] if x.ndim == 5 else rows), columns


def launch(kernel: Any, size: tuple[int, int], *args: Any) -> None:
    """Start ``kernel`` for ``size`` = (rows, columns) pixels on CuPy's current stream, without waiting.

    The first of ``args`` is an array, which tells the stream.
    """
    rows, columns = size
    config, cuda = _numba()
    if config.ENABLE_CUDASIM:
        grid, block, stream = (1, 1), (2, 2), 0  # every simulated thread is a Python thread
    else:
        width = min(THREADS, -(-columns // 32) * 32)  # whole warps
        height = THREADS // width
        grid = (-(-columns // width), min(-(-rows // height), MAX_BLOCKS_Y))
        pointer = current_stream(args[0])
        block, stream = (width, height), cuda.external_stream(pointer) if pointer else 0
    kernel[grid, block, stream](*[device_view(a) if is_device(a) else a for a in args])


def device_view(x: Array) -> Any:
    """What a ``numba.cuda`` kernel takes for the device array ``x``: the same memory, nothing copied or waited for."""
    if stand_in is not None:
        return stand_in.device_view(x)
    return _numba()[1].as_cuda_array(x, sync=False)


@functools.cache
def _numba() -> tuple[Any, Any]:
    from numba import config, cuda

    return config, cuda
