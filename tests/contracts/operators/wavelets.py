"""Wavelet transforms whose axes are shorter and longer than the filter, in one to three dimensions."""

from __future__ import annotations

from ipbox.backend import complex_dtype
from ipbox.operators import Wavelet
from tests.contracts.operators.case import OperatorCase


def wavelet(name: str, *args) -> OperatorCase:
    return OperatorCase(f"wavelet {name}", Wavelet, lambda dtype, xp: Wavelet(*args, dtype=dtype), "exact")


CASES = [
    wavelet("haar", (6, 10), "haar"),
    wavelet("db4 of a short image", (12, 4), "db4", 2),
    wavelet("db2 of a long image", (6, 52), "db2", 1),
    wavelet("sym8 1-D", (136,), "sym8", 3),
    wavelet("db3 3-D", (4, 44, 2), "db3", 1),
    wavelet("db2 of odd sizes", (7, 45), "db2", 2),
    wavelet("haar 3-D with an axis of one entry", (3, 1, 5), "haar", 2),
    OperatorCase(
        "complex wavelet", Wavelet, lambda dtype, xp: Wavelet((4, 36), "db2", 2, complex_dtype(dtype)), "exact"
    ),
]
