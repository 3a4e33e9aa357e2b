"""The state of one training: model, optimizer, random numbers, counters; one step, and one row of the history."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch

from ipbox.checks import check_type, is_number
from ipbox.learned.priors.network import evaluation, mode
from ipbox.learned.priors.signature import unwrapped
from ipbox.learned.training.batches import Batches, as_batch
from ipbox.learned.training.checkpoints import describe
from ipbox.learned.training.options import Options, as_number
from ipbox.learned.weights.modules import config_of
from ipbox.solvers.core.divergence import Diverged

__all__ = ["TrainingRun"]

Weights = dict[str, torch.Tensor]
TOLD = ("batch_size", "schedule", "validation", "validate_every", "early_stopping", "seed", "autocast", "clip")


@runtime_checkable
class Projected(Protocol):
    """A module whose weights are projected onto those that it allows, after every step: non-negative ones, say."""

    def project_(self) -> Any: ...


class TrainingRun:
    """What `training.fit` trains with; the first three arguments are its own.

    Attributes
    ----------
    step : int
        Steps made.
    history : list of dict
    best, best_step, best_weights : float, int and dict, or None
        The least validation, its step and weights.
    waited : int
        Validations since then.
    good_weights : dict
        Weights at the last row of the history, or at the start.
    """

    def __init__(self, model: torch.nn.Module, loss: Callable, data: Any, options: Options) -> None:
        check_type(model, "model", torch.nn.Module, "a torch.nn.Module")
        if not callable(loss):
            raise TypeError(f"loss is {type(loss).__name__}; expected a function of model, batch and generator")
        self.model, self.loss, self.options = model, loss, options
        self.module = unwrapped(model)  # so that weights have the same names, compiled or not
        self.parameters, self.device = _trained(self.module)
        self.unbounded = {k for k, b in self.module.named_buffers() if not bool(torch.isfinite(b).all())}
        self.batches = Batches(data, options.batch_size)
        self.optimizer = options.made_optimizer(self.parameters)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.generator = torch.Generator(self.device).manual_seed(options.seed)
        self.history: list[dict[str, float]] = []
        self.best: float | None = None
        self.best_step: int | None = None
        self.best_weights: Weights | None = None
        self.step = self.waited = self.counted = 0
        self.total = self.seconds = 0.0
        self.good_weights = self._copy()
        self._since = time.perf_counter()

    def settings(self) -> dict[str, Any]:
        """What must be the same where a run goes on."""
        o, data = self.options, self.batches.data
        groups = self.optimizer.state_dict()["param_groups"]
        return {
            "model": [
                type(self.module).__qualname__,
                describe(config_of(self.module)),
                {k: f"{t.dtype} {tuple(t.shape)}" for k, t in self.module.state_dict().items()},
                [k for k, p in self.module.named_parameters() if p.requires_grad],
            ],
            "loss": describe(self.loss),
            "data": describe(data)
            if callable(data)
            else [type(data).__qualname__, len(data), describe(as_batch(data[0], self.device))],
            "optimizer": [type(self.optimizer).__qualname__, describe(groups)],
            "steps": None if o.schedule is None else o.steps,
            **{name: describe(getattr(o, name)) for name in TOLD},
        }

    def finished(self) -> str | None:
        """Why there is nothing more to do, if so."""
        patience = self.options.early_stopping
        if patience is not None and self.waited >= patience:
            return "early stopping"
        return "steps" if self.step >= self.options.steps else None

    # ------------------------------------------------------------ training

    @contextlib.contextmanager
    def seeded(self) -> Iterator[None]:
        """Training mode, and torch's own generators seeded, for layers such as dropout; afterwards as they were."""
        cuda = [self.device] if self.device.type == "cuda" else []
        with mode(self.model, True), torch.random.fork_rng(cuda), torch.enable_grad():
            torch.default_generator.manual_seed(self.options.seed)
            for device in cuda:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(self.options.seed)
            yield

    def advance(self) -> None:
        """One step of the optimizer."""
        factor = self.options.factor(self.step)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        batch = self.batches.next(self.device, self.generator)
        self.optimizer.zero_grad()
        value = self._loss(batch, self.generator)
        if value.requires_grad:
            value.backward(inputs=self.parameters)  # and nobody else's: a loss may hold a critic, or need h'(b)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if not gradients:
            raise ValueError("loss does not depend on the parameters of model; expected a function that does")
        if any(g.layout is not torch.strided for g in gradients):
            names = [k for k, p in self.module.named_parameters() if p.grad is not None and p.grad.is_sparse]
            raise TypeError(f"the gradient of {', '.join(names)} is sparse; expected dense ones, as of sparse=False")
        norm = torch.nn.utils.get_total_norm(gradients)
        number = float(value.detach())
        if not (math.isfinite(number) and math.isfinite(norm)):
            what = "gradient of the loss" if math.isfinite(number) else "loss"
            raise self._diverged(what, self.step + 1)
        if self.options.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.options.clip, norm)
        self.optimizer.step()
        if isinstance(self.module, Projected):
            with torch.no_grad():
                self.module.project_()
        self.step += 1
        self.total, self.counted = self.total + number, self.counted + 1

    def record(self) -> None:
        """A row of the history; keeps the weights, and the best ones."""
        weights = self.module.state_dict()
        if not all(bool(torch.isfinite(t).all()) for k, t in weights.items() if k not in self.unbounded):
            raise self._diverged("a weight", self.step)
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now
        row = {
            "step": self.step,
            "loss": self.total / self.counted,
            "factor": self.options.factor(self.step),
            "seconds": self.seconds,
        }
        self.total, self.counted = 0.0, 0
        if self.options.validation is not None:
            with evaluation(self.model, gradient=False):
                row["validation"] = self._validate()
            if not math.isfinite(row["validation"]):
                raise self._diverged("validation", self.step)
            self.waited += 1
            if self.best is None or row["validation"] < self.best:
                self.best, self.best_step, self.waited = row["validation"], self.step, 0
                self.best_weights = self._copy()
        self.history.append(row)
        self.good_weights = self.best_weights or self._copy()

    def _loss(self, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.autocast is not None):
            try:
                value = self.loss(self.model, batch, generator)
            except RuntimeError as err:
                self._check_dtypes(batch, err)
                raise
        if not isinstance(value, torch.Tensor) or value.ndim or value.is_complex():
            raise TypeError("loss does not return a real scalar tensor; expected one, such as a mean")
        return value

    def _check_dtypes(self, batch: tuple, err: RuntimeError) -> None:
        """What a loss that failed comes from, most often."""
        mine = self.parameters[0].dtype.to_real()
        given = {t.real.dtype for t in batch if t.is_floating_point() or t.is_complex()} or {t.dtype for t in batch}
        if given and given != {mine}:
            raise TypeError(
                f"data is {', '.join(map(str, given))}, the parameters of {type(self.module).__name__} are {mine}; "
                f"expected one dtype, by model.to({min(given, key=str)}) or data of the other"
            ) from err

    def _validate(self) -> float:
        if callable(self.options.validation):
            value = as_number(self.options.validation(self.model))
            if not is_number(value):
                raise TypeError(f"validation gives {type(value).__name__}; expected a number")
            return float(value)
        generator = torch.Generator(self.device).manual_seed(self.options.seed)
        values = [
            float(self._loss(as_batch(batch, self.device, copy=True), generator).detach())
            for batch in self.options.validation
        ]
        return sum(values) / len(values)

    def _diverged(self, what: str, step: int) -> Diverged:
        return Diverged(
            f"{what} of {type(self.module).__name__} is not finite in step {step}; the model has its best weights "
            "again, or the last recorded ones",
            k=step,
        )

    # ------------------------------------------------------------ checkpoints

    def restore(self, weights: Weights) -> None:
        """Give the model these weights."""
        self.module.load_state_dict(weights)

    def _copy(self) -> Weights:
        return {name: t.detach().clone() for name, t in self.module.state_dict().items()}

    def random_state(self) -> Weights:
        """The states of all generators."""
        states = {"generator": self.generator.get_state(), "torch": torch.get_rng_state()}
        return states | ({"cuda": torch.cuda.get_rng_state(self.device)} if self.device.type == "cuda" else {})

    def counters(self) -> dict[str, Any]:
        """Everything else, as JSON holds it."""
        names = ("step", "waited", "counted", "total", "seconds", "best", "best_step", "history", "rates")
        return {name: getattr(self, name) for name in names} | {"queue": self.batches.queue}

    def resume(self, counters: dict[str, Any], best_weights: Weights | None, random: Weights) -> None:
        """Go on from what `counters` and `random_state` gave."""
        self.batches.queue = counters.pop("queue")
        vars(self).update(counters)
        self.best_weights = best_weights
        self.good_weights = best_weights or self._copy()
        self.generator.set_state(random["generator"])
        torch.set_rng_state(random["torch"])
        if "cuda" in random:
            torch.cuda.set_rng_state(random["cuda"], self.device)


def _trained(module: torch.nn.Module) -> tuple[list[torch.nn.Parameter], torch.device]:
    """The parameters that require a gradient, and the device that they are on."""
    for name, p in module.named_parameters():
        if isinstance(p, torch.nn.UninitializedParameter):
            raise ValueError(f"model has {name} of no shape yet; expected a model that was called with a batch")
        if p.is_meta:
            raise ValueError(f"model has {name} on the device meta, without values; expected a CPU or a GPU")
        if not bool(torch.isfinite(p).all()):
            raise ValueError(f"model has values in {name} that are not finite; expected finite ones")
    parameters = [p for p in module.parameters() if p.requires_grad]
    devices = {p.device for p in parameters}
    if not parameters:
        raise ValueError(f"model is {type(module).__name__}, of no parameter that requires a gradient; expected one")
    if len(devices) > 1:
        raise ValueError(f"model has parameters to train on {len(devices)} devices; expected 1")
    return parameters, devices.pop()
