"""Arrays in files without names: what they hold, who makes them, and what is refused."""

from __future__ import annotations

import errno
import gc
import mmap
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ipbox import scratch
from ipbox.files import NotSaved
from ipbox.scratch import Scratch


def is_mapped(x: Any) -> bool:
    """Whether the memory of an array is that of a file."""
    while isinstance(x, np.ndarray):
        x = x.base
    return isinstance(x.obj if isinstance(x, memoryview) else x, mmap.mmap)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_an_array_in_a_file_is_one_like_any_other(tmp_path: Path, dtype: str, rng: np.random.Generator) -> None:
    values = rng.standard_normal((3, 100, 100)).astype(dtype)
    with Scratch(tmp_path).use():
        x, y = scratch.zeros((3, 100, 100), dtype), scratch.copied(values)
    assert type(x) is np.ndarray and is_mapped(x) and is_mapped(y) and x.flags.c_contiguous and x.flags.writeable
    assert not x.any() and x.dtype == dtype and np.array_equal(y, values)
    x += values
    x[1] *= 2
    assert np.array_equal(x[1], 2 * values[1]) and not np.shares_memory(x, y)


def test_only_what_is_large_and_made_while_it_is_in_use(tmp_path: Path) -> None:
    large, place = (200, 200), Scratch(tmp_path)
    assert not is_mapped(scratch.zeros(large, "float32"))
    with place.use():
        assert is_mapped(scratch.zeros(large, "float32")) and not is_mapped(scratch.zeros((2, 2), "float32"))
        assert scratch.zeros((0, 9), "float32").shape == (0, 9)
    with pytest.raises(KeyboardInterrupt), place.use():
        raise KeyboardInterrupt
    assert not is_mapped(scratch.copied(np.ones(large)))


def test_arrays_of_the_device_stay_there(xp: ModuleType, tmp_path: Path) -> None:
    with Scratch(tmp_path).use():
        x = scratch.zeros((200, 200), "float32", xp)
        assert type(scratch.copied(x)) is type(x) is xp.ndarray and is_mapped(x) == (xp is np)


def test_files_have_no_names_and_end_with_their_arrays(tmp_path: Path) -> None:
    before, free = open_files(), Scratch(tmp_path).free
    with Scratch(tmp_path).use():
        arrays = [scratch.zeros((1 << 20,), "float64") for _ in range(4)]
    assert os.listdir(tmp_path) == [] and open_files() == before + 4
    assert Scratch(tmp_path).free < free - 3 * 2**23  # their space is taken, not only promised
    part = arrays[0][5:7]
    del arrays
    gc.collect()
    part += 1
    assert open_files() == before + 1 and part.tolist() == [1, 1]


def test_a_full_disk_is_refused_and_nothing_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Scratch(tmp_path)
    with pytest.raises(NotSaved, match=r"scratch is .*, where .* GiB are free; expected a folder with 1e\+0?9 GiB"):
        place.check_free(10**9 * 2**30)
    place.check_free(1)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = open_files()
    monkeypatch.setattr(os, "posix_fallocate", full)
    with place.use(), pytest.raises(NotSaved, match="where nothing can be written: No space left on device"):
        scratch.zeros((1 << 20,), "float32")
    assert open_files() == before and os.listdir(tmp_path) == []


def test_folders_in_which_nothing_can_be_kept_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (tmp_path / "none", file, str(file)):
        with pytest.raises(NotSaved, match=r"scratch is .*(none|file), where nothing can be written: "):
            Scratch(folder)
    with pytest.raises(TypeError, match="scratch is int; expected the path of a folder"):
        Scratch(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scratch is ''; expected the path of a folder"):
        Scratch("")
    monkeypatch.setattr(scratch, "_is_in_memory", lambda _: True)
    with pytest.raises(NotSaved, match="which is kept in memory; expected a folder on a disk"):
        Scratch(tmp_path)


def test_what_is_kept_in_memory_is_known_by_its_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path.stat().st_dev
    line = f"36 35 {os.major(device)}:{os.minor(device)} / /x rw,nosuid shared:1 - {{}} /dev/x rw"
    for kind, found in (("tmpfs", True), ("ext4", False)):
        monkeypatch.setattr(Path, "read_text", lambda *_, kind=kind: line.format(kind))
        assert scratch._is_in_memory(tmp_path) is found
