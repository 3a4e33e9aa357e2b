"""Where kernels run, and what they see of device arrays."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from ipbox import kernels
from ipbox.backend import to_host
from ipbox.kernels.core import launch


@pytest.mark.device
def test_kernels_see_the_same_memory(xp: ModuleType) -> None:
    x = xp.zeros(4, dtype=np.float32)
    view = launch.device_view(x)
    assert view.shape == (4,) and view.dtype == np.float32
    x[2] = 5.0
    assert float(view[2]) == 5.0


@pytest.mark.device
def test_the_stand_in_simulates_or_runs_the_cpu_twin(xp: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    if launch.stand_in is None:
        pytest.skip("on a GPU there is no stand-in")
    x, started = xp.asarray(np.random.default_rng(0).random((3, 4))), []
    monkeypatch.setattr(launch, "launch", lambda *args: started.append(args))
    for simulate in (True, False):
        monkeypatch.setattr(launch.stand_in, "simulate", simulate)
        y, expected = xp.zeros((2, 3, 4)), np.empty((2, 3, 4))
        kernels.gradient(x, y, 2)
        kernels.gradient(to_host(x), expected, 2)
        assert len(started) == 1 and np.array_equal(to_host(y), expected) != simulate
