"""Which of the two CPU kernels of a function runs, and which pairs of twin and dtype `make test` compiles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest


def forced(monkeypatch: pytest.MonkeyPatch, twin: str) -> None:
    """Make the dispatch take one of the twins whatever the size."""
    monkeypatch.setattr("ipbox.kernels.core.compile.PARALLEL_SIZE", 0 if twin == "parallel" else math.inf)


def once(*dtypes: Any) -> list[Any]:
    """The dtypes as parameters, those of double precision marked exhaustive: parallel kernels compile for seconds."""
    return [pytest.param(dtype, marks=_marks(dtype)) for dtype in dtypes]


def twins(*dtypes: Any) -> pytest.MarkDecorator:
    """Parametrise over the serial twin in every dtype, and the parallel one as `once` does."""
    parallel = [pytest.param("parallel", dtype, marks=_marks(dtype)) for dtype in dtypes]
    return pytest.mark.parametrize(("twin", "dtype"), parallel + [("serial", dtype) for dtype in dtypes])


def _marks(dtype: Any) -> list[pytest.MarkDecorator]:
    return [pytest.mark.exhaustive] if np.dtype(dtype).name in ("float64", "complex128") else []
