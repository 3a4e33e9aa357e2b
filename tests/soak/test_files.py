"""Damaged files of every format: read, or refused in one sentence, and no process ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import ipbox as ip
from ipbox.io.hdf5 import opened
from tests.soak.formats import FORMATS, Format
from tests.soak.mutations import judged, mutated, soak


@pytest.mark.parametrize("form", FORMATS.values(), ids=repr)
def test_a_few_damaged_files_of_every_format(form: Format, tmp_path: Path) -> None:
    outcome = soak(form, tmp_path / "files", 20, seed=1)
    assert not outcome.faults
    assert outcome.read + outcome.refused == 20 and outcome.refused > 0


def test_every_way_changes_a_file() -> None:
    content = b"SIZE 12 30\n" + bytes(range(256))
    changed = [mutated(content, np.random.default_rng(k)) for k in range(200)]
    assert sum(one != content for one in changed) > 180 and len({len(one) for one in changed}) > 5


@pytest.mark.parametrize("angle", ["nan", "1e20"])
def test_tilt_angles_that_cannot_be_name_their_file(angle: str, tmp_path: Path) -> None:
    path = FORMATS["MRC angles"].write(tmp_path)
    path.write_text(path.read_text().replace("30", angle, 1))
    with pytest.raises(ValueError, match=r"a\.tlt has angles that are no numbers from -360 to 360; expected tilt"):
        ip.read_scan(path.with_suffix(".mrc"))


# ---------------------------------------------------------------- that the soak can fail


def _form(read: Any) -> Format:
    def write(folder: Path) -> Path:
        (folder / "a.txt").write_bytes(bytes(range(100)))
        return folder / "a.txt"

    return Format("a", write, read)


def _at(content: bytes, what: Any) -> Any:
    """A reader that does ``what`` where a file is another than that."""
    return lambda path: None if path.read_bytes() == content else what()


def test_what_ends_the_process_is_told_with_its_number(tmp_path: Path) -> None:
    form = _form(_at(bytes(range(100)), lambda: os.kill(os.getpid(), signal.SIGKILL)))
    outcome = soak(form, tmp_path / "files", 3)
    assert outcome.faults == [f"{k}: ended the process by SIGKILL" for k in range(3)]


def test_what_does_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.soak.mutations.SECONDS", 0.2)
    outcome = soak(_form(_at(bytes(range(100)), lambda: time.sleep(9))), tmp_path / "files", 2)
    assert outcome.faults == ["0: took more than 0.2 s", "1: took more than 0.2 s"]


def test_what_is_no_clear_error_is_told(tmp_path: Path) -> None:
    def fails(err: Exception) -> Any:
        def read(path: Path) -> None:
            raise err

        return judged(_form(read), tmp_path / "a.txt", None)[0]

    assert fails(ValueError("path is a.txt; expected another")) == "refused"
    for err in (KeyError("a.txt"), ValueError("a.txt\nis bad"), ValueError("is bad"), MemoryError("a.txt")):
        assert fails(err) == "fault"
    sealed = Format("a", lambda folder: folder, lambda path: np.ones(2), sealed=True)
    assert judged(sealed, tmp_path / "a.txt", np.zeros(2))[0] == "fault"


# ---------------------------------------------------------------- the process that looks at HDF5 files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.eye(3)
    return tmp_path / "a.h5"


def _looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """Let another program look at files."""
    (tmp_path / "child.py").write_text(f"import os, signal, sys, time\nprint('ready', flush=True)\n{code}")
    monkeypatch.setattr(opened, "__file__", str(tmp_path / "opened.py"))
    monkeypatch.setattr(opened, "_child", None)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("input(); os.kill(os.getpid(), signal.SIGSEGV)", "HDF5 ends the process that reads it"),
        ("input(); print('.', flush=True); time.sleep(60)", "HDF5 does not get on with it in 0.5 s"),
        (
            "input(); signal.setitimer(signal.ITIMER_PROF, 0.05)\nwhile True: pass",
            "HDF5 does not get on with it in 2 s of the processor's time",
        ),
    ],
)
def test_a_file_that_ends_or_stops_the_process_is_refused(
    code: str, words: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next one, of which that cannot be said, is read."""
    monkeypatch.setattr(opened, "SECONDS", 0.5)
    with monkeypatch.context() as patch:
        _looks(patch, tmp_path, code)
        with pytest.raises(ValueError, match=rf"path is .*a\.h5, which is not a complete HDF5 file .*\({words}\)"):
            ip.read_image(file)
        assert opened._child is None
    monkeypatch.setattr(opened, "SECONDS", 20.0)
    assert np.array_equal(ip.read_image(file)[0], np.eye(3))


def test_a_file_is_looked_at_again_only_where_it_has_changed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(opened, "_ask", asked.append)
    for _ in range(3):
        ip.read_image(file)
    assert asked == [file]
    with h5py.File(file, "a") as changed:
        changed["x"].attrs["unit"] = "1/mm"
    ip.read_image(file)
    assert asked == [file, file]


def test_without_a_python_to_look_nothing_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "_child", None)
    monkeypatch.setattr("sys.executable", "/bin/true")
    with pytest.raises(ValueError, match=r"a\.h5 is not read: /bin/true does not start as a Python with h5py"):
        ip.read_image(file)


def test_a_forked_process_has_one_of_its_own(file: Path) -> None:
    ip.read_image(file)
    with h5py.File(file, "a") as changed:
        changed["x"].attrs["unit"] = "1/mm"
    mine = opened._child
    pid = os.fork()
    if pid == 0:
        ip.read_image(file)
        os._exit(0 if opened._child is not mine and opened._child.of == os.getpid() else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert opened._child is mine and mine.process.poll() is None


def test_it_ends_with_the_process_that_has_asked(file: Path, tmp_path: Path) -> None:
    code = f"import ipbox as ip, ipbox.io.hdf5.opened as o; ip.read_image({str(file)!r}); print(o._child.process.pid)"
    environment = os.environ | {"PYTHONPATH": str(Path(ip.__file__).parents[1])}
    command = [os.sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_a_file_is_not_blamed_for_what_ended_the_process_before(file: Path, by: signal.Signals) -> None:
    ip.read_image(file)
    with h5py.File(file, "a") as changed:
        changed["x"].attrs["unit"] = "1/mm"
    before = opened._child
    before.process.send_signal(by)
    if by is signal.SIGKILL:
        before.process.wait()
    ip.read_image(file)
    assert (opened._child is before) == (by is signal.SIGINT)


def test_it_ends_by_itself_where_hdf5_does_not_get_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.h5")  # opening it waits for who writes, in HDF5's own code
    code = "from ipbox.io.hdf5 import child; child.SECONDS = -4; child.look_at('a.h5')"
    environment = os.environ | {"PYTHONPATH": str(Path(ip.__file__).parents[1])}
    done = subprocess.run([os.sys.executable, "-c", code], cwd=tmp_path, env=environment, timeout=60)
    assert done.returncode == -signal.SIGALRM


def test_it_ends_by_itself_where_hdf5_goes_in_circles(file: Path) -> None:
    """In the small part of an object; numbers may take their time."""
    code = (
        "import h5py; from ipbox.io.hdf5 import child; child.PROCESSOR = 0.3\n"
        "def circles(*args):\n    while True: pass\n"
        "{where} = circles; child.look_at('a.h5')"
    )
    command = [os.sys.executable, "-c", code.format(where="h5py.AttributeManager.__iter__")]
    environment = os.environ | {"PYTHONPATH": str(Path(ip.__file__).parents[1])}
    assert subprocess.run(command, cwd=file.parent, env=environment, timeout=60).returncode == -signal.SIGPROF
    command[2] = code.format(where="h5py.Dataset.__getitem__")
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(command, cwd=file.parent, env=environment, timeout=5)


def test_it_ends_with_a_killed_process_whose_fork_goes_on(file: Path) -> None:
    code = (
        "import os, time, ipbox as ip, ipbox.io.hdf5.opened as o\n"
        f"ip.read_image({str(file)!r})\n"
        "fork = os.fork()\n"
        "if fork:\n    print(o._child.process.pid, fork, flush=True)\n    os.kill(os.getpid(), 9)\n"
        "time.sleep(60)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(ip.__file__).parents[1])}
    with subprocess.Popen([os.sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as process:
        child, fork = map(int, process.stdout.readline().split())
        try:
            deadline = time.monotonic() + 20
            while is_running(child):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert is_running(fork)
        finally:
            os.kill(fork, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
