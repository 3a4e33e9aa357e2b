"""States: saved and restored bit for bit, atomically, without pickle."""

from __future__ import annotations

import math
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import ipbox as ip
from ipbox.backend import is_array, to_host
from ipbox.solvers import State

numbers = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5))
arrays = hnp.arrays(
    st.sampled_from(["float32", "float64", "complex64", "complex128", "int64", "bool"]),
    hnp.array_shapes(min_dims=0, max_dims=3, max_side=3),
)
keys = st.text(st.characters(blacklist_characters="/", blacklist_categories=["Cs"]), min_size=1, max_size=6)
trees = st.recursive(
    st.one_of(numbers, arrays),
    lambda node: st.one_of(st.lists(node, max_size=3), st.dictionaries(keys, node, max_size=3)),
    max_leaves=8,
)


def assert_same(a: Any, b: Any) -> None:
    """Equal in type and bits."""
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif is_array(a):
        assert type(a) is type(b) and (a.dtype, a.shape) == (b.dtype, b.shape)
        assert to_host(a).tobytes() == to_host(b).tobytes()
    elif isinstance(a, float) and not math.isnan(a):
        assert struct.pack("d", a) == struct.pack("d", b)
    else:
        assert type(a) is type(b) and (a == b or a != a)


def filled(xp: ModuleType = np) -> State:
    x = xp.asarray(np.random.default_rng(0).standard_normal((3, 5)).astype("float32"))
    s = State(x=x, y=[x[0].copy(), x[1] * 2], aux=[[], [x.copy()]], tau=0.1 + 0.2, t=1e-300, name="ü", none=None)
    s.work = {"g": {"y": x * 3, "t": np.array([1.0, 2.0])}, "empty": {}}
    s.k = 7
    return s


# ---------------------------------------------------------------- round trip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(keys, trees, max_size=4))
def test_round_trip(fields: dict[str, Any], tmp_path: Path) -> None:
    s = State(x=np.ones(1), **{key: value for key, value in fields.items() if key != "x"})
    s.save(tmp_path / "s.npz")
    assert_same(vars(State.load(tmp_path / "s.npz")), vars(s))


def test_round_trip_on_the_device(tmp_path: Path, xp: ModuleType) -> None:
    """Arrays of the device come back there, those of the host stay on the host."""
    s = filled(xp)
    s.save(tmp_path / "s.npz")
    assert_same(vars(State.load(tmp_path / "s.npz", xp.__name__)), vars(s))
    host = State.load(tmp_path / "s.npz")
    assert isinstance(host.x, np.ndarray) and host.x.tobytes() == to_host(s.x).tobytes()


def test_numpy_scalars_become_python_numbers(tmp_path: Path) -> None:
    State(x=np.ones(1), gamma=np.float64(1 / 3), n=np.int64(3), flag=np.bool_(True)).save(tmp_path / "s.npz")
    s = State.load(tmp_path / "s.npz")
    assert (s.gamma, s.n, s.flag) == (1 / 3, 3, True) and type(s.gamma) is float


def test_size_and_names_of_the_arrays() -> None:
    s = filled()
    assert set(s.arrays()) == {"x", "y/0", "y/1", "aux/1/0", "work/g/y", "work/g/t"}
    assert s.nbytes == 4 * (15 + 5 + 5 + 15 + 15) + 16
    assert State(x=s.x, z=s.x).nbytes == 60  # one array under two names


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "field f is object; expected"),
        ({1: 2.0}, "field f has key 1"),
        ({"a/b": 2.0}, "field f has key 'a/b'"),
        ((1, 2), "field f is tuple"),
        (1j, "field f is complex"),
        (np.array([{}]), "field f is ndarray"),
    ],
)
def test_what_cannot_be_saved_is_refused(value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=message):
        State(f=value).save(tmp_path / "s.npz")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- atomic


@pytest.mark.parametrize("what", ["savez", "replace", "fsync"])
def test_a_save_that_fails_leaves_the_old_file(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, s = tmp_path / "s.npz", filled()
    s.save(path)
    before = path.read_bytes()

    def half(file: Any, *args: Any, **kwargs: Any) -> None:
        if what == "savez":
            file.write(b"PK half of a file")
        raise OSError("disk full")

    monkeypatch.setattr(np if what == "savez" else os, what, half)
    s.x += 1
    with pytest.raises(OSError, match="disk full"):
        s.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]  # nothing is left behind
    s.save(path)
    assert np.array_equal(State.load(path).x, s.x)


def test_a_process_killed_during_a_save_leaves_the_old_file(tmp_path: Path) -> None:
    path, s = tmp_path / "s.npz", filled()
    s.save(path)
    pid = os.fork()
    if pid == 0:  # the child dies between writing and renaming
        os.replace = lambda *_: os._exit(9)
        s.x += 1
        s.save(path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert np.array_equal(State.load(path).x, filled().x)


# ---------------------------------------------------------------- bad files


def bad_files(folder: Path) -> dict[str, bytes]:
    filled().save(folder / "good.npz")
    good = (folder / "good.npz").read_bytes()
    np.save(folder / "array.npy", np.ones(3))
    np.savez(folder / "other.npz", x=np.ones(3))
    np.savez(folder / "tree.npz", __tree__=np.array('{"dict": {"x": {"array": "missing", "device": false}}}'))
    np.savez(folder / "list.npz", __tree__=np.array('{"list": []}'))
    np.savez(folder / "three.npz", __tree__=np.array("3"))
    np.savez(folder / "text.npz", __tree__=np.array("not json"))
    files = {name: (folder / name).read_bytes() for name in os.listdir(folder) if name != "good.npz"}
    return files | {
        "empty": b"",
        "half": good[: len(good) // 2],
        "almost": good[:-1],
        "start": good[4:],
        "text": b"x = 3\n",
        "pickle": pickle.dumps({"x": 3}),
        "flipped": good[:200] + bytes([good[200] ^ 0xFF]) + good[201:],
    }


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    for name, content in bad_files(tmp_path / "made").items():
        path = tmp_path / f"{name}.npz"
        path.write_bytes(content)
        try:
            State.load(path)
        except ValueError as err:
            message = r"path is .*, which is no complete checkpoint; expected one of State\.save"
            assert re.fullmatch(message, str(err)), name
        else:
            pytest.fail(f"{name} was read as a checkpoint")
        problem = ip.Problem(ip.L2(b=np.ones(3)))
        with pytest.raises(ValueError, match="^path is"):
            ip.solve(problem, ip.GradientDescent(), state=str(path))


def test_an_object_array_is_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("unpickled",))

    path = tmp_path / "trap.npz"
    np.savez(path, __tree__=np.array('{"dict": {"x": {"array": "x", "device": false}}}'), x=np.array([Trap()]))
    assert "x.npy" in zipfile.ZipFile(path).namelist()
    with pytest.raises(ValueError, match="no complete checkpoint"):
        State.load(path)


@pytest.mark.parametrize("name", ["missing.npz", "."])
def test_missing_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="^path is .*; there is no such checkpoint"):
        State.load(tmp_path / name)


# ---------------------------------------------------------------- states of something else


def test_state_of_another_solver_or_problem() -> None:
    b = np.ones((4, 5), "float32")
    state = ip.solve(ip.Problem(ip.L2(b=b)), ip.FISTA(), stop=ip.stop.niter(2)).state
    with pytest.raises(ValueError, match="^state was made by FISTA; expected one of PDHG"):
        ip.solve(ip.Problem(ip.L2(b=b)), ip.PDHG(), state=state)
    with pytest.raises(ValueError, match=r"^state holds an image of shape \(4, 5\); the problem's is \(5, 4\)"):
        ip.solve(ip.Problem(ip.L2(b=b.T.copy())), ip.FISTA(), state=state)
    with pytest.raises(TypeError, match="^state holds an image of numpy and float32; the problem's .* float64"):
        ip.solve(ip.Problem(ip.L2(b=b.astype("float64"))), ip.FISTA(), state=state)


# ---------------------------------------------------------------- batches


@given(index=st.lists(st.integers(0, 4), min_size=1, unique=True))
def test_take_and_put(index: list[int]) -> None:
    """What is taken is a copy; what is put back touches only its samples."""
    x = np.arange(10.0).reshape(5, 2)
    s = State(x=x.copy(), y=[x + 1, np.zeros(3)], gamma=np.arange(5.0), tau=0.5, loop={"x_old": x - 1})
    part = s.take(np.array(index), 5)
    assert part.x.tolist() == x[index].tolist() and part.y[1].shape == (3,) and part.tau == 0.5
    part.x += 100
    part.gamma = part.gamma * 2
    part.tau, part.k = 0.25, 4
    part.scratch["new"] = {"y": part.x + 1}  # made after other samples were done
    assert s.x.tolist() == x.tolist()
    s.put(np.array(index), part, 5)
    others = [i for i in range(5) if i not in index]
    assert s.x[index].tolist() == (x[index] + 100).tolist() and s.x[others].tolist() == x[others].tolist()
    assert s.gamma.tolist() == [i * (2 if i in index else 1) for i in range(5)]
    assert (s.tau, s.k) == (0.25, 4)
    assert s.scratch["new"]["y"].shape == (5, 2) and s.scratch["new"]["y"][index].tolist() == (x[index] + 101).tolist()
    assert not s.scratch["new"]["y"][others].any()
