"""How `training.fit` trains: its arguments, checked once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ipbox.checks import check_count, check_not_negative, check_positive, check_seed

__all__ = ["Options", "as_number"]


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
        counts = ("steps", "batch_size", "validate_every")
        checked: dict[str, float] = {name: check_count(getattr(self, name), name) for name in counts}
        checked["seed"] = check_seed(self.seed, bits=32)  # which torch tells apart
        if self.early_stopping is not None:
            checked["early_stopping"] = check_count(self.early_stopping, "early_stopping")
        for name in ("clip", "lr"):
            if (value := getattr(self, name)) is not None:
                checked[name] = check_positive(value, name, "a positive number or None")
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # checkpoints hold no NumPy numbers
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
        if isinstance(self.schedule, str):
            return (1 + math.cos(math.pi * step / self.steps)) / 2
        return check_not_negative(as_number(self.schedule(step, self.steps)), f"what schedule gives in step {step}")

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
        known = {id(p) for p in parameters}
        if any(id(p) not in known for group in made.param_groups for p in group["params"]):
            raise ValueError(
                f"optimizer gives {type(made).__name__} of parameters that are not the model's to train; expected one "
                "of those that it is called with"
            )
        return made


def as_number(value: Any) -> Any:
    """A tensor of one entry as a number; what else a function gives as it is."""
    return value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value
