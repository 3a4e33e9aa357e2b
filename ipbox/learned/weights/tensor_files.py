"""Named tensors and text in safetensors files: written atomically, read with clear errors; never pickle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from ipbox.files import DAMAGED, replacing

__all__ = ["read", "write"]

_PICKLE = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # zip, as of torch.save, and bare


def check_place(path: str | Path, name: str) -> Path:
    """A place for a file of tensors, in a folder that is there."""
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{name} is {path}; expected a file that ends in .safetensors")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{name} is {path}; its folder does not exist")
    return path


def write(path: str | Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str], half: bool = False) -> str:
    """Write atomically: a crash leaves the old file or the new one.

    Tensors that share all their memory are stored once; with ``half``, float32 is stored as float16.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    ValueError
        where the path does not end in .safetensors.
    FileNotFoundError
        where its folder does not exist.
    NotSaved
        where the folder or the disk cannot take it.
    """
    from safetensors.torch import save

    path = check_place(path, "path")
    stored: dict[str, Any] = {}
    aliases: dict[str, str] = {}
    seen: dict[Any, str] = {}
    for name, t in tensors.items():
        key = (t.data_ptr(), t.dtype, tuple(t.shape), t.stride()) if t.numel() else name
        if key in seen:
            aliases[name] = seen[key]
        else:
            seen[key] = name
            # a copy: the format has one order of axes, and no overlap
            dtype = torch.float16 if half and t.dtype == torch.float32 else t.dtype
            stored[name] = t.detach().to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)
    content = _sorted(save(stored, metadata | {"aliases": json.dumps(aliases)}))
    with replacing(path) as f:
        f.write(content)
    return hashlib.sha256(content).hexdigest()


def read(path: str | Path, sha256: str | None = None) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors, on the CPU, and the metadata of a file.

    Raises
    ------
    FileNotFoundError
        where there is no file.
    ValueError
        where the SHA-256 is another, or the file is a pickle or otherwise no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path is {path}; there is no such file")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise ValueError(f"{path} has SHA-256 {found}; expected {sha256}: the file is damaged or another one")
    try:
        tensors = load(content)
        header, _ = _split(content)
    except (SafetensorError, *DAMAGED) as err:
        if content.startswith(_PICKLE):  # only now: a length of the header may look like one
            raise ValueError(
                f"{path} is a pickle file, which can run any code when loaded; expected a safetensors file: "
                "load it where you trust it and write it with ipbox.learned.weights.save_weights"
            ) from err
        raise ValueError(f"{path} is no complete safetensors file; expected one") from err
    metadata = header.get("__metadata__", {})
    aliases = json_of(metadata, "aliases", path)
    lost = sorted(set(aliases.values()) - set(tensors))
    if lost:
        raise ValueError(f"{path} has no tensor {lost[0]!r}, which others in it are equal to; the file is damaged")
    return tensors | {name: tensors[same] for name, same in aliases.items()}, metadata


def _split(content: bytes) -> tuple[dict, bytes]:
    """The header and the rest of a safetensors file."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def _sorted(content: bytes) -> bytes:
    """The same file with its header in order: the library writes metadata in a random one, and the hash would vary."""
    header, rest = _split(content)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + rest


def json_of(metadata: dict[str, str], key: str, path: str | Path) -> dict:
    """The dictionary stored as JSON under ``key``; empty where there is none."""
    try:
        value = json.loads(metadata.get(key, "{}"))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{path} has metadata {key!r} that is no JSON object; expected a file that ipbox wrote")
    return value
