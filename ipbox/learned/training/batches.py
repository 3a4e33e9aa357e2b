"""Batches of training samples, drawn without replacement from a seeded generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from ipbox.backend import is_array
from ipbox.checks import check_type
from ipbox.learned.bridge.arrays import to_torch

__all__ = ["Batches", "as_batch"]


@runtime_checkable
class Samples(Protocol):
    """A sequence of samples, as torch's data sets are."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Any: ...


class Batches:
    """The batches of a run: ``next(device, generator)`` is a tuple of tensors.

    Parameters
    ----------
    data : sequence or callable
        Samples, or a function ``data(generator)`` that returns a batch.
    batch_size : int
        Of a sequence; samples left over at the end of a pass come first in the next.
    """

    def __init__(self, data: Sequence | Callable[[torch.Generator], Any], batch_size: int) -> None:
        self.data, self.size = data, batch_size
        self.queue: list[int] = []  # what is left of this pass
        if not callable(data):
            check_type(data, "data", Samples, "a sequence of samples, or a function")
            if isinstance(data, Mapping) or not len(data):
                found = type(data).__name__ if isinstance(data, Mapping) else "empty"
                raise ValueError(f"data is {found}; expected a sequence with one sample at least")
            if not 1 <= batch_size <= len(data):
                raise ValueError(
                    f"batch_size is {batch_size}; expected 1 to {len(data)}, the number of samples in data"
                )

    def next(self, device: torch.device, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        if callable(self.data):
            return as_batch(self.data(generator), device, copy=True)
        if len(self.queue) < self.size:
            order = torch.randperm(len(self.data), generator=generator, device=generator.device).tolist()
            # no sample twice in a batch
            self.queue += [i for i in order if i not in self.queue] + [i for i in order if i in self.queue]
        taken, self.queue = self.queue[: self.size], self.queue[self.size :]
        samples = [as_batch(self.data[i], device) for i in taken]
        if len({tuple(t.shape for t in s) for s in samples}) > 1:
            raise ValueError("data has samples of different shapes in one batch; expected the same, or batch_size=1")
        return tuple(torch.stack(column) for column in zip(*samples, strict=True))


def as_batch(value: Any, device: torch.device, copy: bool = False) -> tuple[torch.Tensor, ...]:
    """Tensors, arrays or integers, one or several, as a tuple of tensors on ``device``; copies for in-place models."""
    parts = value if isinstance(value, tuple | list) else (value,)
    if not parts or not all(isinstance(t, torch.Tensor | np.integer | int) or is_array(t) for t in parts):
        raise TypeError("data gives something else than tensors; expected a tuple of tensors or NumPy arrays")
    return tuple(_tensor(t).to(device, copy=copy) for t in parts)


def _tensor(part: Any) -> torch.Tensor:
    if isinstance(part, torch.Tensor):
        return part
    if isinstance(part, np.integer | int):  # the index of an operator, a class
        return torch.tensor(int(part))
    if part.dtype.kind in "iub" or part.dtype == np.float16:
        return torch.tensor(part.tolist() if part.dtype.kind != "f" else part.astype("float32")).to(
            getattr(torch, part.dtype.name)
        )
    return to_torch(part, copy=True)
