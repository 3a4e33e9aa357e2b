"""Fused hot loops, on the CPU and the GPU: finite differences and the steps of primal-dual TV; others in their rooms.

Numba is imported at the first call, numba.cuda at the first call with a device array.
"""

from ipbox.kernels.tv.front import (
    gradient,
    gradient_adjoint,
    primal_step,
    tv_dual_change,
    tv_dual_size,
    tv_dual_step,
    tv_primal_step,
    tv_step,
    tv_value,
)

__all__ = [
    "gradient",
    "gradient_adjoint",
    "primal_step",
    "tv_dual_change",
    "tv_dual_size",
    "tv_dual_step",
    "tv_primal_step",
    "tv_step",
    "tv_value",
]
