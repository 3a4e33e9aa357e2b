"""Numba's CUDA simulator beside PyLops: PyLops compiles with options that the simulator lacks."""

from __future__ import annotations

import functools
from typing import Any

# Options of the real numba.cuda.jit that tune the generated code only.
_CODE_OPTIONS = ("launch_bounds", "lineinfo", "max_registers")


def accept_code_options() -> None:
    """Let the simulator's ``cuda.jit`` ignore those options; does nothing outside the simulator."""
    from numba import config

    if not config.ENABLE_CUDASIM:
        return
    from numba import cuda

    if hasattr(cuda.jit, "__wrapped__"):
        return
    simulated = cuda.jit

    @functools.wraps(simulated)
    def jit(*args: Any, **options: Any) -> Any:
        for name in _CODE_OPTIONS:
            options.pop(name, None)
        return simulated(*args, **options)

    cuda.jit = jit
