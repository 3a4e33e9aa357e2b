"""TV of a volume in blocks, its arrays in files: the iterates of memory bit for bit, and what is said and refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox import scratch
from ipbox.files import NotSaved
from ipbox.kernels.cone import front
from ipbox.operators.tomography.cone import stack
from ipbox.reconstruct.variational import memory
from tests.test_scratch import is_mapped

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # few ended it

DIMS = (12, 16, 16)
ROOM = 120_000  # bytes: less than the arrays of the volume need, more than blocks
RUN: dict[str, Any] = dict(nonneg=True, niter=5, tol=1e-12)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small volumes count as large, and blocks are of three slices and few views."""
    monkeypatch.setattr(memory, "LARGE", 1000)
    monkeypatch.setattr(scratch, "SMALL", 0)
    monkeypatch.setattr(front, "CHUNK", 3 * 16 * 16)
    monkeypatch.setattr(front, "SLICES", 1)
    monkeypatch.setattr(front, "READINGS", 5 * 12 * 20)
    monkeypatch.setattr(stack, "CHUNK", 3 * 12 * 20)


def cone() -> Any:
    beta = np.arange(12) * (2 * np.pi / 12)
    return ip.ConeBeamTransform(DIMS, beta, (12, 20), 1.6, source_distance=60.0, detector_distance=30.0)


def helix() -> Any:
    g, up = cone().geometry, np.linspace(-1, 1, 12)[:, None] * [1.0, 0.0, 0.0]
    return ip.ConeVectorTransform(DIMS, g.sources + up, g.panels + up, g.along_rows, g.along_columns, (12, 20))


def slices() -> Any:
    return ip.SliceStack(ip.JosephTransform(DIMS[1:], np.arange(12) * (np.pi / 12), n_det=20), DIMS[0])


def data(A: Any) -> np.ndarray:
    k, i, j = np.ogrid[-5.5:6, -7.5:8, -7.5:8]
    return A.apply((k**2 + i**2 + j**2 < 25).astype("float32"))


@pytest.fixture
def scan() -> Iterator[tuple[Any, np.ndarray]]:
    A = cone()
    b = data(A)
    kept = b.copy()
    yield A, b
    assert np.array_equal(b, kept)


@pytest.mark.parametrize("make", [cone, helix, slices])
def test_blocks_are_memory_bit_for_bit(make: Any, tmp_path: Path) -> None:
    A = make()
    b = data(A)
    assert len(A.parts) == 4
    x, inside = ip.tv(A, b, 0.05, **RUN)
    y, outside = ip.tv(A, b, 0.05, memory=ROOM, scratch=tmp_path, **RUN)
    assert type(inside.solver) is type(outside.solver) is ip.PDHG
    assert np.array_equal(x, y) and y.any() and is_mapped(y) and not is_mapped(x)
    old, new = inside.state.arrays(), outside.state.arrays()
    assert all(np.array_equal(old[name], new[name]) for name in old)
    assert all(is_mapped(new[name]) for name in ("x", "x_bar", "d", "y/0", "y/1", "loop/settled_x"))
    assert os.listdir(tmp_path) == []


def test_other_fidelities_and_boxes_in_blocks(scan: Any, tmp_path: Path) -> None:
    A, b = scan
    for options in ({"fidelity": "l1"}, {"box": (0.0, 0.9)}, {"nonneg": False}):
        x, _ = ip.tv(A, b, 0.05, **(RUN | {"nonneg": "box" not in options} | options))
        y, _ = ip.tv(A, b, 0.05, memory=ROOM, scratch=tmp_path, **(RUN | {"nonneg": "box" not in options} | options))
        assert np.array_equal(x, y) and is_mapped(y)


def test_it_goes_on_from_a_checkpoint_in_blocks(scan: Any, tmp_path: Path) -> None:
    A, b = scan
    whole, _ = ip.tv(A, b, 0.05, **(RUN | {"niter": 8}))
    _, first = ip.tv(A, b, 0.05, memory=ROOM, scratch=tmp_path, **(RUN | {"niter": 3}))
    first.state.save(tmp_path / "state.npz")
    for state in (tmp_path / "state.npz", first.state):
        x, run = ip.tv(A, b, 0.05, memory=ROOM, scratch=tmp_path, state=state, **RUN)
        assert np.array_equal(x, whole) and all(is_mapped(a) for a in (x, run.state.x, run.state.y[1]))
    y, _ = ip.tv(A, b, 0.05, state=tmp_path / "state.npz", **RUN)  # in memory what was begun in blocks
    assert np.array_equal(y, whole)


def test_a_rule_chooses_the_weight_in_blocks(scan: Any, tmp_path: Path) -> None:
    A, b = scan
    options = RUN | {"niter": 30, "tol": 1e-3, "lams": [0.01, 0.1, 1.0]}
    x, inside = ip.tv(A, b, "l_curve", **options)
    y, outside = ip.tv(A, b, "l_curve", memory=ROOM, scratch=tmp_path, **options)
    assert inside.extra["lam"] == outside.extra["lam"] and np.array_equal(x, y) and is_mapped(outside.state.x)


# ---------------------------------------------------------------- what is said, and refused


def test_it_says_beforehand_what_it_needs_and_does(
    scan: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    A, b = scan
    ip.tv(A, b, 0.05, memory=ROOM, scratch=tmp_path, progress=True, **RUN)
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("a volume of (12, 16, 16): about 0.18 MiB beside the data, of 0.11 MiB that it may take: ")
    assert f"in blocks of 3 slices, with 0.09 MiB and 0.14 MiB of files in {tmp_path}, of " in first
    monkeypatch.setattr(memory, "available", lambda: ROOM)
    with pytest.warns(RuntimeWarning, match=r"of 0.11 MiB that are free: in blocks of 3 slices.*memory= and scratch="):
        ip.tv(A, b, 0.05, **RUN)


def test_fewer_arrays_come_before_blocks(scan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapted steps take three times as much memory; below the size of large volumes they are the default."""
    A, b = scan
    monkeypatch.setattr(memory, "LARGE", 1 << 22)
    for room, solver, mapped in ((10**7, ip.AdaptivePDHG, False), (200_000, ip.PDHG, False), (ROOM, ip.PDHG, True)):
        x, run = ip.tv(A, b, 0.05, memory=room, **RUN)
        assert type(run.solver) is solver and is_mapped(x) is mapped


def test_what_does_not_fit_in_blocks_either_is_refused(scan: Any, tmp_path: Path) -> None:
    A, b = scan
    with pytest.raises(MemoryError, match=r"needs about 0.18 MiB beside the data, and 0.09 MiB in blocks, of 0.01 MiB"):
        ip.tv(A, b, 0.05, memory=10_000)
    with pytest.raises(MemoryError, match="and it is in blocks for TV alone, with PDHG"):
        ip.wavelet(A, b, 0.05, memory=ROOM)
    with pytest.raises(MemoryError, match="and it is in blocks for TV alone, with PDHG"):
        ip.tv(A, b, 0.05, memory=ROOM, solver=ip.AdaptivePDHG())
    with pytest.raises(MemoryError, match="and it is in blocks for scans alone"):
        ip.tv(None, np.ones(DIMS, np.float32), 0.05, memory=50_000)


def test_bad_input(scan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    A, b = scan
    for wrong in (0, -1.0, "8 GB", float("inf"), True):
        with pytest.raises(ValueError, match=r"memory is .*; expected a positive number of bytes"):
            ip.tv(A, b, 0.05, memory=wrong)
    with pytest.raises(ValueError, match=r"memory is given for an image of shape \(16, 16\); expected it for one"):
        ip.tv(None, np.ones((16, 16), np.float32), 0.05, memory=ROOM)
    with pytest.raises(ValueError, match=r"scratch is given for an image of shape \(2, 12, 16, 16\)"):
        ip.tv(A, np.stack([b, b]), 0.05, scratch=tmp_path)
    with pytest.raises(NotSaved, match="scratch is .*none, where nothing can be written"):
        ip.tv(A, b, 0.05, memory=ROOM, scratch=tmp_path / "none")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(NotSaved, match=r"where .* GiB are free; expected a folder with"):
        ip.tv(A, b, 0.05, memory=ROOM, scratch=tmp_path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_nothing_is_left_behind(scan: Any, tmp_path: Path, error: type[BaseException]) -> None:
    A, b = scan
    seen = []

    def look(run: Any) -> None:
        seen.append((is_mapped(run.x), os.listdir(tmp_path)))
        if run.k == 2:
            raise error

    with pytest.raises(error):
        ip.tv(A, b, 0.05, memory=ROOM, scratch=tmp_path, callbacks=[look], **RUN)
    assert seen == [(True, [])] * 3 and os.listdir(tmp_path) == []
    assert not is_mapped(scratch.zeros((200, 200), "float32"))


@pytest.mark.slow
def test_memory_in_blocks_is_what_is_told() -> None:
    """Anonymous memory, which no file backs: 96³ voxels in blocks take what is told, in memory ten volumes."""
    found = {}
    for room in (0, 10**7):
        command = [sys.executable, "-m", "tests.bench.memory_volume", "96", "8", "2", str(room), "16"]
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        found[room] = json.loads(run.stdout.splitlines()[-1])
    inside, outside = found[0], found[10**7]
    assert outside["objective"] == inside["objective"]
    assert 6 < inside["anonymous"] < 10 and outside["anonymous"] < 0.4 * inside["anonymous"]
    assert outside["anonymous_gib"] < 1.1 * outside["told_gib"]
