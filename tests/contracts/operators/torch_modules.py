"""Linear torch modules, real, complex and from real to complex, with the adjoint by automatic differentiation."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from ipbox.backend import complex_dtype
from tests.contracts.operators.case import OperatorCase

torch = pytest.importorskip("torch", reason="torch is not installed")

from ipbox.learned.bridge.torch_operator import TorchOperator  # noqa: E402


def convolution(dtype: np.dtype, xp: ModuleType) -> TorchOperator:
    """A strided convolution of two channels to three."""
    torch.manual_seed(4)
    module = torch.nn.Conv2d(2, 3, (3, 2), stride=2, bias=False).to(getattr(torch, np.dtype(dtype).name))
    return TorchOperator(module, (2, 7, 6), (3, 3, 3), dtype, xp=xp.__name__)


def complex_matrix(dtype: np.dtype, xp: ModuleType) -> TorchOperator:
    torch.manual_seed(5)
    M = torch.randn(4, 6, dtype=getattr(torch, complex_dtype(dtype).name))
    return TorchOperator(lambda u: u @ M.T, (6,), (4,), complex_dtype(dtype), xp=xp.__name__)


def fourier(dtype: np.dtype, xp: ModuleType) -> TorchOperator:
    """Some lines of the FFT of a real image."""
    return TorchOperator(
        lambda u: torch.fft.fft2(u, norm="ortho")[..., ::2, :],
        (7, 5),
        (4, 5),
        dtype,
        complex_dtype(dtype),
        xp=xp.__name__,
    )


CASES = [
    OperatorCase("torch convolution", TorchOperator, convolution, "estimate"),
    OperatorCase("torch matrix, complex", TorchOperator, complex_matrix, "estimate"),
    OperatorCase("torch FFT of real images", TorchOperator, fourier, "estimate"),
]
