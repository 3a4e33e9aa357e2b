"""Files the package writes: all of a file or nothing, whatever ends the save; and what damaged ones are told."""

from __future__ import annotations

import io
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ipbox as ip
from ipbox import files
from ipbox.files import NotSaved, check_writable, replacing
from ipbox.io.arrays import read_array
from ipbox.solvers import State

PROBLEM = ip.Problem(ip.L2(ip.Identity((40, 50), "float64"), np.ones((40, 50))))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may be longer than 4096 bytes: to a program, as a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


def test_text_with_characters_that_are_none_is_refused() -> None:
    """Python, asked to decode JSON in it, would end in a SystemError."""
    file = io.BytesIO()
    np.save(file, np.array(["{a}"]))
    content = bytearray(file.getvalue())
    content[-4:] = b"\xff\xff\xff\x7f"
    with pytest.raises(ValueError, match="it holds text with characters that are none"):
        files.read_npy(io.BytesIO(content), len(content))
    content[-4:] = "ü".encode("utf-32-le")
    assert files.read_npy(io.BytesIO(content), len(content)).tolist() == ["{aü"]


# ---------------------------------------------------------------- all or nothing


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(KeyError), replacing(tmp_path / "a") as file:
        file.write(b"ne")
        raise KeyError
    assert (tmp_path / "a").read_bytes() == b"old" and names(tmp_path) == ["a"]


def test_links_and_long_names(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "a")
    for name in ("link", "n" * 255, "ä" * 127):
        with replacing(tmp_path / name) as file:
            file.write(b"new")
        assert (tmp_path / name).read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink() and names(tmp_path / "disk") == ["a"]


def test_threads_that_save_to_one_path(tmp_path: Path) -> None:
    """Each file is one thread's, whole; the last one stays."""
    path, wrong = tmp_path / "c.npz", []

    def save(k: int) -> None:
        for _ in range(20):
            State(x=np.full(5000, float(k))).save(path)
            x = State.load(path).x
            if x.min() != x.max():
                wrong.append(x)

    threads = [threading.Thread(target=save, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and names(tmp_path) == ["c.npz"]


KILLED = """
import os, sys, numpy as np
from ipbox.solvers import State
def stop(*of):
    print(flush=True)
    os.read(0, 1)
os.fsync = stop
State(x=np.ones(1000)).save(sys.argv[1])
"""


def test_what_a_killed_save_leaves_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    environment = os.environ | {"PYTHONPATH": str(Path(ip.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        process.stdout.readline()
        State(x=np.zeros(3)).save(path)
        assert len(names(tmp_path)) == 2  # the other one is still at it
        process.kill()
    assert len(names(tmp_path)) == 2
    State(x=np.zeros(3)).save(path)
    assert names(tmp_path) == ["c.npz"]


def test_only_what_is_abandoned_is_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here, there = files._machine(), "0" * 8
    kept = [".c.npz.tmp", ".d.npz.5.tmp", f".c.npz.{there}-{gone.pid}-00000000.tmp", f".c.npz.{here}-1-00000000.tmp"]
    removed = [f".c.npz.{gone.pid}.tmp", f".c.npz.{here}-{gone.pid}-00000000.tmp", f".c.npz.{here}-{os.getpid()}.tmp"]
    removed += [f".c.npz.{there}-1-0000000a.tmp"]  # of another machine, a month ago
    for name in kept + removed:
        (tmp_path / name).touch()
    os.utime(tmp_path / removed[-1], (time.time() - 30 * 24 * 3600,) * 2)
    check_writable(tmp_path / "c.npz")
    assert names(tmp_path) == sorted(kept)


# ---------------------------------------------------------------- folders and disks that cannot take it


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder in which nobody can write")
def test_a_folder_that_cannot_be_written_is_met_at_the_start() -> None:
    from ipbox.bilevel import dfo

    with pytest.raises(NotSaved, match=r"^path is /proc/c\.npz, which cannot be written: ") as caught:
        ip.callbacks.Checkpoint("/proc/c.npz")
    assert isinstance(caught.value, OSError) and "\n" not in str(caught.value)
    with pytest.raises(NotSaved, match=r"^checkpoint is /proc/c\.npz, which cannot be written: "):
        dfo(lambda x, accuracy: x, [1.0], accuracy=None, checkpoint="/proc/c.npz")
    with pytest.raises(NotSaved, match="path is /proc, which cannot be written: Is a directory"):
        State(x=np.zeros(3)).save("/proc")


def test_a_full_disk_is_met_before_the_first_step(tmp_path: Path, small_disk: None) -> None:
    steps = []
    with pytest.raises(NotSaved, match=r"c\.npz, which cannot be written: File too large"):
        ip.solve(PROBLEM, ip.GradientDescent(), callbacks=[ip.callbacks.Checkpoint(tmp_path / "c.npz"), steps.append])
    assert not steps and not names(tmp_path)


def test_a_disk_that_fills_up_later_leaves_the_iterate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.npz"
    checkpoint = ip.callbacks.Checkpoint(path, every=2)

    def full(run: ip.solvers.Run) -> None:
        if run.k == 3:
            monkeypatch.setattr(os, "fsync", lambda of: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    with pytest.raises(NotSaved, match=r"^path is .*c\.npz, which cannot be written: No space left") as caught:
        ip.solve(PROBLEM, ip.GradientDescent(tau=0.5), stop=ip.stop.niter(9), callbacks=[full, checkpoint])
    err = caught.value
    assert err.k == 4 and np.allclose(err.x, 1 - 0.5**4) and err.path == path
    assert State.load(path).k == 2 and names(tmp_path) == ["c.npz"]  # the one before
    sol = ip.solve(PROBLEM, ip.GradientDescent(tau=0.5), state=err.state, stop=ip.stop.niter(2))
    assert np.allclose(sol.x, 1 - 0.5**6)


def test_other_callbacks_end_where_one_cannot(tmp_path: Path) -> None:
    ended = []

    class Ends:
        def __call__(self, run: ip.solvers.Run) -> None: ...

        def finish(self, run: ip.solvers.Run) -> None:
            ended.append(run.k)

    class Fails(Ends):
        def finish(self, run: ip.solvers.Run) -> None:
            raise NotSaved("no")

    with pytest.raises(NotSaved):
        ip.solve(PROBLEM, ip.GradientDescent(), stop=ip.stop.niter(2), callbacks=[Ends(), Fails(), Ends()])
    assert ended == [2, 2]


# ---------------------------------------------------------------- damaged files


def state() -> State:
    return State(x=np.arange(6.0), y=[np.ones((2, 3), "complex64")], tau=0.1)


@pytest.mark.parametrize(("bits", "every"), [(255, 1), (1, 5)])
def test_every_byte_of_a_checkpoint(tmp_path: Path, bits: int, every: int) -> None:
    """It is read as it was or refused in one sentence: never another exception, never other numbers."""
    path, fine = tmp_path / "c.npz", state()
    fine.save(path)
    content = path.read_bytes()
    for place in range(0, len(content), every):
        path.write_bytes(content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :])
        try:
            read = State.load(path)
        except ValueError as err:
            assert str(err) == f"path is {path}, which is no complete checkpoint; expected one of State.save"
        else:
            assert np.array_equal(read.x, fine.x) and np.array_equal(read.y[0], fine.y[0]) and read.tau == 0.1


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_byte_of_an_image(tmp_path: Path, save: object) -> None:
    path, image = tmp_path / "b.npz", np.arange(60, dtype="uint8").reshape(6, 10)
    save(path, b=image)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            assert np.array_equal(read_array(path), image)
        except ValueError as err:
            assert "\n" not in str(err) and "b.npz" in str(err)


@pytest.mark.parametrize("name", ["b.npy", "b.npz"])
def test_header_of_a_smaller_array(tmp_path: Path, name: str) -> None:
    """One digit less, and an image was read short: the rest of the file, with the ZIP's checksum, was not looked at."""
    path = tmp_path / name
    (np.save if name == "b.npy" else np.savez)(path, np.ones((40, 50)))
    content = path.read_bytes()
    assert content.count(b"(40, 50)") == 1
    path.write_bytes(content.replace(b"(40, 50)", b"(40, 10)"))
    with pytest.raises(ValueError, match=r"\(its header claims \(40, 10\) of float64, and 16000 bytes"):
        read_array(path)


def test_checksum_of_the_zip(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", b=np.ones((40, 50)))
    content = bytearray((tmp_path / "b.npz").read_bytes())
    content[5000] ^= 1
    (tmp_path / "b.npz").write_bytes(content)
    with pytest.raises(ValueError, match="Bad CRC-32"):
        read_array(tmp_path / "b.npz")


def test_bombs_take_no_memory(tmp_path: Path) -> None:
    """A .npy header of a petabyte, and a ZIP whose directory claims as much."""
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (100000, 100000, 10000), }".ljust(117) + "\n"
    bomb = b"\x93NUMPY\x01\x00\x76\x00" + header.encode()
    (tmp_path / "b.npy").write_bytes(bomb)
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as file:
        file.writestr("b.npy", bomb)
    for name in ("b.npy", "b.npz"):
        with pytest.raises(ValueError, match=r"its header claims \(100000, 100000, 10000\) of float64, and 0 bytes"):
            read_array(tmp_path / name)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_and_are_ours(tmp_path: Path, save: object) -> None:
    arrays = {
        "large": np.random.default_rng(0).standard_normal((300, 1000)),
        "columns": np.asfortranarray(np.arange(12).reshape(3, 4)),
        "empty": np.zeros((0, 4)),
        "number": np.array(3.0),
        "words": np.array(["a", "bcd", ""]),
        "nothing": np.array([""]),
        "dates": np.array(["2020-01-01"], "datetime64[D]"),
        "pairs": np.zeros(3, [("a", "f4"), ("b", "i2")]),
        "big": np.arange(3, dtype=">f8"),
    }
    save(tmp_path / "b.npz", **arrays)
    with open(tmp_path / "b.npz", "rb") as file:
        found = files.Npz(file)
        assert found.names == list(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype and np.array_equal(found[name], array)
            assert found[name].flags.writeable


def test_reading_takes_memory_once(tmp_path: Path) -> None:
    import tracemalloc

    for save in (np.save, np.savez):
        save(tmp_path / f"b{'.npy' if save is np.save else '.npz'}", np.ones(2**22))
    for name in ("b.npy", "b.npz"):
        tracemalloc.start()
        read_array(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 1.3 * 2**25
        tracemalloc.stop()


def test_a_device_or_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    """The new file would take the place of /dev/null."""
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(NotSaved, match=r"path is .*pipe.npz, which cannot be written: it is no regular file"):
        ip.solvers.State(x=np.zeros(3)).save(tmp_path / "pipe.npz")
    assert (tmp_path / "pipe.npz").is_fifo()


@pytest.mark.parametrize("path", [3, None, b"a.npz"])
def test_what_is_no_path(path: object) -> None:
    places = [ip.read_image, ip.read_fastmri, ip.read_ismrmrd, ip.read_twix, ip.read_dicom_series]
    for use in [*places, ip.callbacks.Checkpoint, ip.solvers.State(x=np.zeros(3)).save]:
        with pytest.raises(TypeError, match=rf"(path|source) is {type(path).__name__}; expected .* files?"):
            use(path)


def test_a_state_without_a_field_of_its_solver(tmp_path: Path) -> None:
    """As another version of the package may have written it."""
    problem = ip.Problem(ip.L2(b=np.arange(3.0)))
    state = ip.solve(problem, ip.LBFGS(), stop=ip.stop.niter(1)).state
    del state.gamma
    state.save(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="its field gamma is not there"):
        ip.solve(problem, ip.LBFGS(), state=tmp_path / "a.npz")
