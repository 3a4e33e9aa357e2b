"""Checkpoints of training: all that a run needs to go on bit for bit, in one safetensors file."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

import torch

from ipbox.files import DAMAGED, check_writable
from ipbox.learned.bridge.arrays import from_torch
from ipbox.learned.weights import tensor_files

__all__ = ["describe", "load", "save"]


def save(path: Path, run: Any, settings: dict[str, Any]) -> None:
    """Write the state of a run of `training.fit`, atomically."""
    tensors = {f"model.{k}": t for k, t in run.module.state_dict().items()}
    tensors |= {f"best.{k}": t for k, t in (run.best_weights or {}).items()}
    tensors |= {f"random.{k}": t for k, t in run.random_state().items()}
    optimizer = run.optimizer.state_dict()
    numbers: dict[str, dict[str, Any]] = {}
    for i, state in optimizer["state"].items():
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{i}.{key}"] = value
            else:
                numbers.setdefault(str(i), {})[key] = value
    metadata = {
        "format": "ipbox checkpoint 1",
        "settings": json.dumps(settings),
        "counters": json.dumps(run.counters()),
        "optimizer": json.dumps({"groups": optimizer["param_groups"], "numbers": numbers}),
    }
    tensor_files.write(path, tensors, metadata)


def load(path: Path, run: Any, settings: dict[str, Any]) -> None:
    """Give ``run`` the state that `save` wrote.

    Raises
    ------
    ValueError
        where the file is no checkpoint, or one of another model, loss, seed or setting.
    """
    tensors, metadata = tensor_files.read(path)
    if metadata.get("format") != "ipbox checkpoint 1":
        raise ValueError(f"checkpoint {path} is not one of fit; expected such a file, or resume=False to overwrite it")
    before, now = tensor_files.json_of(metadata, "settings", path), json.loads(json.dumps(settings))
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise ValueError(
                f"checkpoint {path} is of another run: {key} was {_short(before.get(key))}, now it is "
                f"{_short(now.get(key))}; expected the same, or resume=False to overwrite it"
            )
    try:
        _restore(path, run, tensors, metadata)
    except DAMAGED as err:
        raise ValueError(
            f"checkpoint {path} is damaged ({' '.join(str(err).split())[:120]}); expected one of fit, or resume=False "
            "to overwrite it"
        ) from err


def _restore(path: Path, run: Any, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "best": {}, "random": {}, "optimizer": {}}
    for name, t in tensors.items():
        part, _, key = name.partition(".")
        parts[part][key] = t
    kinds = [{key: (t.shape, t.dtype) for key, t in parts[part].items()} for part in ("model", "best")]
    if kinds[1] and kinds[0] != kinds[1]:
        raise ValueError("its best weights are not those of its model")
    counters = tensor_files.json_of(metadata, "counters", path)
    stored = tensor_files.json_of(metadata, "optimizer", path)
    state: dict[int, dict[str, Any]] = {int(i): dict(values) for i, values in stored["numbers"].items()}
    for name, t in parts["optimizer"].items():
        i, _, key = name.partition(".")
        state.setdefault(int(i), {})[key] = t
    run.optimizer.load_state_dict({"state": state, "param_groups": stored["groups"]})
    run.restore(parts["model"])
    run.resume(counters, parts["best"] or None, parts["random"])


def check_path(path: str | Path) -> Path:
    """``path``, refused before training where nothing could be written to it."""
    path = tensor_files.check_place(path, "checkpoint")
    check_writable(path, name="checkpoint")
    return path


def describe(value: Any) -> Any:
    """What a setting is, as JSON holds it and the same in every process; tensors by shape, dtype and a hash."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor):
        exact = value.dtype in (torch.float32, torch.float64, torch.complex64, torch.complex128)
        content = from_torch(value if exact else value.double(), copy=True, xp="numpy")
        return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(content).hexdigest()[:16]}"
    if isinstance(value, functools.partial):
        return [describe(value.func), [describe(v) for v in value.args], describe(value.keywords)]
    if isinstance(value, dict):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [describe(v) for v in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [type(value).__qualname__, {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}]
    if isinstance(value, torch.nn.Module):
        return [f"{type(value).__qualname__}({value.extra_repr()})", describe(dict(value.state_dict()))]
    named = value if inspect.isroutine(value) or isinstance(value, type) else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
