"""A solver's state: every buffer it owns, and numbers; saved atomically without pickle, restored bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ipbox import backend, scratch, summary
from ipbox.backend import Array
from ipbox.checks import is_integer
from ipbox.files import DAMAGED, NotSaved, Npz, replacing
from ipbox.functionals import Functional
from ipbox.solvers.core.fingerprint import Made

SHARED = Functional.shared_work


class State:
    """Arrays, numbers and nested dictionaries or lists of them, as attributes.

    ``x`` is the image, ``k`` the number of steps taken; the rest is the solver's own.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.solvers import State
    >>> s = State(x=np.zeros(4, "float32"), tau=0.5)
    >>> s.nbytes
    16
    """

    __slots__ = ("__dict__", "made")  # the latter apart: it is no part of the state, but tells of what it is one

    if TYPE_CHECKING:  # fields are those that a solver gives it

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...

    x: Any = None  # until a solver has made one
    settings: Any = None  # what a state was made with, where that must not change

    def __init__(self, **fields: Any) -> None:
        self.made: Made | None = None
        self.k = 0
        self.loop: dict[str, Any] = {}  # what stop rules remember, and the seconds spent
        self.scratch: dict[str, Any] = {"smooth": {}, "prox": {}}  # of the solver, and of the functionals by their role
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return f"State: k = {self.k}, x: {summary.of_value(self.x)}, {self.nbytes / 1e6:.3g} MB in all"

    def arrays(self) -> dict[str, Array]:
        """Every array by its path, e.g. ``y/0``."""
        return {path: v for path, v in _leaves(self.__dict__, "") if backend.is_array(v)}

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, each counted once."""
        return sum({id(a): a.nbytes for a in self.arrays().values()}.values())

    # ------------------------------------------------------------ batches

    def take(self, index: np.ndarray, batch: int, shared: frozenset[str] = frozenset()) -> State:
        """The state of the samples ``index`` of a batch: of every array with its first axis.

        The solver's fields ``shared``, and what functionals declare in their scratch, belong to no sample.
        """
        fields = self.__dict__.items()
        return _with(State(), {k: v if k in shared else _take(v, index, batch) for k, v in fields})

    def put(self, index: np.ndarray, part: State, batch: int, shared: frozenset[str] = frozenset()) -> None:
        """Write the samples ``index``, held by ``part``, back into this state."""
        _unshare(self.__dict__, set())  # else one of two names of an array would get what is meant for the other
        _put(self.__dict__, {k: v for k, v in part.__dict__.items() if k not in shared}, index, batch)
        self.__dict__.update({k: v for k, v in part.__dict__.items() if k in shared})

    # ------------------------------------------------------------ checkpoints

    def save(self, path: str | Path) -> None:
        """Write to ``path`` (.npz) atomically: a crash leaves the old file or the new one, never half of one.

        Raises
        ------
        NotSaved
            where the folder or the disk cannot take it; the error has ``x``, ``k`` and this ``state``.
        """
        arrays: dict[str, np.ndarray] = {}
        tree = _pack(self.__dict__, "", arrays)
        made = None if self.made is None else self.made.numbers()
        try:
            with replacing(path) as f:
                np.savez(f, __tree__=np.array(json.dumps(tree)), __made__=np.array(json.dumps(made)), **arrays)
        except NotSaved as err:
            err.x, err.k, err.state = vars(self).get("x"), self.k, self
            raise

    @classmethod
    def load(cls, path: str | Path, xp: str = "numpy") -> State:
        """Read what `save` wrote; ``xp`` says where the arrays go.

        Raises
        ------
        FileNotFoundError, ValueError
            where the file is missing, or is not a checkpoint.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"path is {path}; there is no such checkpoint")
        try:
            with open(path, "rb") as f:
                data = Npz(f, scratch.zeros)
                fields = _unpack(json.loads(str(data["__tree__"])), data, xp)
                if not isinstance(fields, dict) or not backend.is_array(fields.get("x")):
                    raise ValueError("there is no image x in it")
                state = _with(cls(), fields)
                if not (isinstance(state.loop, dict) and isinstance(state.scratch, dict) and is_integer(state.k)):
                    raise ValueError("its fields k, loop and scratch are not those of a state")
                made = json.loads(str(data["__made__"])) if "__made__" in data.names else None
                if made is not None and not isinstance(made, dict):
                    raise ValueError("what it says of the problem is not readable")
                state.made = None if made is None else Made(None, None, made)
                return state
        except DAMAGED as err:
            raise ValueError(f"path is {path}, which is no complete checkpoint; expected one of State.save") from err


def _with(state: State, fields: dict[str, Any]) -> State:
    state.__dict__.update(fields)
    return state


def _leaves(node: Any, path: str) -> Any:
    items: Iterable[tuple[Any, Any]]
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list):
        items = enumerate(node)
    else:
        yield path, node
        return
    for key, value in items:
        yield from _leaves(value, f"{path}/{key}" if path else str(key))


def _pack(node: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """JSON for the structure and the numbers; arrays go to ``arrays`` under their paths."""
    if isinstance(node, dict):
        for key in node:
            if not isinstance(key, str) or "/" in key:
                raise TypeError(f"state field {path[1:] or 'state'} has key {key!r}; expected strings without '/'")
        return {"dict": {k: _pack(v, f"{path}/{k}", arrays) for k, v in node.items()}}
    if isinstance(node, list):
        return {"list": [_pack(v, f"{path}/{i}", arrays) for i, v in enumerate(node)]}
    if backend.is_array(node) and node.dtype.kind != "O":  # an array of objects would be pickled
        arrays[path] = backend.to_host(node)
        return {"array": path, "device": backend.is_device(node)}
    if isinstance(node, np.generic):
        node = node.item()
    if node is None or isinstance(node, bool | int | float | str):
        return {"value": node}  # Python writes floats so that reading gives the same bits
    raise TypeError(f"state field {path[1:]} is {type(node).__name__}; expected arrays, numbers, text, dicts or lists")


def _unpack(tree: Any, data: Any, xp: str) -> Any:
    if "dict" in tree:
        return {k: _unpack(v, data, xp) for k, v in tree["dict"].items()}
    if "list" in tree:
        return [_unpack(v, data, xp) for v in tree["list"]]
    if "array" in tree:
        return backend.to_device(data[tree["array"]], xp if tree["device"] else "numpy")
    return tree["value"]


def _batched(v: Any, batch: int) -> bool:
    return backend.is_array(v) and v.ndim > 0 and v.shape[0] == batch


def _take(v: Any, index: np.ndarray, batch: int) -> Any:
    if isinstance(v, dict):
        return {k: w if k in SHARED else _take(w, index, batch) for k, w in v.items()}
    if isinstance(v, list):
        return [_take(w, index, batch) for w in v]
    return v[index] if _batched(v, batch) else v


def _unshare(node: Any, seen: set[int]) -> None:
    """Give every name of an array an array of its own."""
    for key in node if isinstance(node, dict) else range(len(node)):
        v = node[key]
        if isinstance(v, dict | list):
            _unshare(v, seen)
        elif backend.is_array(v):
            node[key] = v.copy() if id(v) in seen else v
            seen.add(id(v))


def _put(whole: Any, part: Any, index: np.ndarray, batch: int) -> None:
    keys = list(part) if isinstance(part, dict) else range(len(part))
    for key in keys:
        w: Any = whole.get(key) if isinstance(whole, dict) else whole[key]
        p = part[key]
        if key in SHARED:
            whole[key] = p
        elif isinstance(p, dict | list) and not (w is None and isinstance(p, list)):
            whole[key] = w = {} if w is None else w
            _put(w, p, index, batch)
        elif _batched(w, batch) and backend.is_array(p) and (p.ndim == 0 or w.shape[1:] == p.shape[1:]):
            w[index] = p
        elif w is None and _batched(p, len(index)):  # made after the first samples were done
            whole[key] = backend.array_module(p).zeros((batch,) + p.shape[1:], dtype=p.dtype)
            whole[key][index] = p
        else:
            whole[key] = p
