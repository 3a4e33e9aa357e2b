"""Large volumes: what a variational method needs, says and refuses, and that the frugal way leads to the same image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.reconstruct.variational import memory


@pytest.fixture
def scan(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A cone-beam scan of a ball that counts as a large volume."""
    monkeypatch.setattr(memory, "LARGE", 1000)
    beta = np.arange(24) * (2 * np.pi / 24)
    A = ip.ConeBeamTransform((12, 16, 16), beta, source_distance=60.0, detector_distance=30.0)
    k, i, j = np.ogrid[-5.5:6, -7.5:8, -7.5:8]
    truth = (k**2 + i**2 + j**2 < 25).astype("float32")
    return A, A.apply(truth), truth


def test_the_frugal_way_leads_to_the_same_volume(scan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    A, b, truth = scan
    x, frugal = ip.tv(A, b, 0.05, nonneg=True, tol=1e-5)
    monkeypatch.setattr(memory, "LARGE", 1 << 30)
    y, lavish = ip.tv(A, b, 0.05, nonneg=True, tol=1e-5)
    assert type(frugal.solver) is ip.PDHG and type(lavish.solver) is ip.AdaptivePDHG
    assert x.dtype == np.float32 and ip.nrmse(x, y) < 2e-3 and ip.nrmse(x, truth) < 0.1
    assert frugal.state.nbytes < 0.55 * lavish.state.nbytes


def test_a_volume_that_does_not_fit_is_refused(scan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    A, b, _ = scan
    monkeypatch.setattr(memory, "available", lambda: 50_000)
    with pytest.raises(MemoryError, match=r"a volume of \(12, 16, 16\), for which PDHG needs about .* that are free"):
        ip.tv(A, b, 0.05, nonneg=True)


def test_what_it_needs_is_said_before_it_starts(scan: Any, capsys: pytest.CaptureFixture[str]) -> None:
    A, b, _ = scan
    ip.tv(A, b, 0.05, nonneg=True, tol=1e-2, progress=True)
    assert "a volume of (12, 16, 16): about 0.37 MiB beside the data, of" in capsys.readouterr().err


def test_available_memory_is_that_of_the_machine() -> None:
    free = memory.available()
    assert free is None or 2**26 < free < 2**46


def test_images_and_small_volumes_are_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 0)
    x, info = ip.tv(None, np.ones((8, 9, 10), np.float32), 0.1)
    assert x.shape == (8, 9, 10)
