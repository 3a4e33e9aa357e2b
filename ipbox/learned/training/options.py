"""How `training.fit` trains: its arguments, checked once."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """The arguments of `training.fit` that say how to train; `training.fit` describes them."""

    steps: int
    batch_size: int
    optimizer: Callable | None
    lr: float | None
    schedule: str | Callable | None
    validation: Any
    validate_every: int
    early_stopping: int | None
    clip: float | None
    seed: int
    autocast: str | None

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "validate_every", "early_stopping"):
            value = getattr(self, name)
            optional = name == "early_stopping" and value is None
            if not optional and (not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1):
                raise ValueError(f"{name} is {value!r}; expected a positive integer")
            object.__setattr__(self, name, None if value is None else int(value))  # checkpoints hold no NumPy numbers
        for name in ("clip", "lr"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, numbers.Real) and 0 < value < math.inf):
                raise ValueError(f"{name} is {value!r}; expected a positive number or None")
            object.__setattr__(self, name, None if value is None else float(value))
        if not isinstance(self.seed, numbers.Integral) or isinstance(self.seed, bool) or not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed!r}; expected an integer from 0 to 2^32 - 1, which torch tells apart")
        object.__setattr__(self, "seed", int(self.seed))
        if self.schedule not in ("cosine", None) and not callable(self.schedule):
            raise ValueError(f"schedule is {self.schedule!r}; expected 'cosine', None or a function of step and steps")
        if self.autocast not in (None, "bfloat16"):
            raise ValueError(f"autocast is {self.autocast!r}; expected 'bfloat16' or None")
        self._check_validation()

    def _check_validation(self) -> None:
        if self.validation is None:
            if self.early_stopping is not None:
                raise ValueError("early_stopping is given without validation, which it watches; expected both")
        elif not callable(self.validation):
            if not isinstance(self.validation, list | tuple):
                kind = type(self.validation).__name__
                raise TypeError(f"validation is {kind}; expected a list of batches, or a function of the model")
            if not self.validation:
                raise ValueError("validation is empty; expected at least one batch, or None")

    def factor(self, step: int) -> float:
        """Of the learning rates, at this step."""
        if self.schedule is None:
            return 1.0
        if self.schedule == "cosine":
            return (1 + math.cos(math.pi * step / self.steps)) / 2
        return float(self.schedule(step, self.steps))

    def made_optimizer(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer of these parameters."""
        if self.optimizer is None:
            return torch.optim.Adam(parameters, lr=1e-3 if self.lr is None else self.lr)
        if self.lr is not None:
            raise ValueError(f"lr is {self.lr} beside an optimizer, which has its own rate; expected one of them")
        if not callable(self.optimizer):
            kind = type(self.optimizer).__name__
            raise TypeError(f"optimizer is {kind}; expected a function of the parameters")
        made = self.optimizer(parameters)
        if not isinstance(made, torch.optim.Optimizer) or isinstance(made, torch.optim.LBFGS):
            raise TypeError(
                f"optimizer gives {type(made).__name__}; expected a torch.optim.Optimizer without line search"
            )
        return made
