"""One loop that trains any module: seeds, validation, early stopping, checkpoints, exact resume, progress."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ipbox import reports, summary
from ipbox.checks import check_flag, check_type
from ipbox.files import Pace
from ipbox.keywords import answering
from ipbox.learned.training import checkpoints
from ipbox.learned.training.options import Options
from ipbox.learned.training.run import TrainingRun
from ipbox.progress import bar
from ipbox.solvers.core.callbacks import says_stop
from ipbox.solvers.core.divergence import Diverged

__all__ = ["FitResult", "fit"]

Loss = Callable[[torch.nn.Module, tuple, torch.Generator], torch.Tensor]


@dataclass(frozen=True)
class FitResult:
    """What `fit` returns.

    Attributes
    ----------
    history : list of dict
        A row every ``validate_every`` steps: step, mean loss since the last row, factor of the learning rate, seconds,
        and the validation if there is one.
    best, best_step : float and int, or None
        The least validation, and its step.
    steps : int
        Those that were made.
    stop : str
        ``"steps"``, ``"early stopping"`` or ``"callback"``.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned import fit
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> def mse(model, batch, generator):
    ...     return (model(batch[0]) - batch[1]).square().mean()
    >>> pairs = [(torch.tensor([t]), torch.tensor([3 * t])) for t in (1.0, 2.0, 3.0)]
    >>> found = fit(model, mse, pairs, steps=20, batch_size=3, lr=0.1)
    >>> found.steps, found.stop
    (20, 'steps')
    """

    history: list[dict[str, float]]
    best: float | None
    best_step: int | None
    steps: int
    stop: str

    __repr__ = summary.of_fields
    report = reports.of_fields


@answering
def fit(
    model: torch.nn.Module,
    loss: Loss,
    data: Sequence | Callable[[torch.Generator], Any],
    *,
    steps: int,
    batch_size: int = 1,
    optimizer: Callable[[Any], torch.optim.Optimizer] | None = None,
    lr: float | None = None,
    schedule: str | Callable[[int, int], float] | None = "cosine",
    validation: list | Callable[[torch.nn.Module], float] | None = None,
    validate_every: int = 100,
    early_stopping: int | None = None,
    clip: float | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    autocast: str | None = None,
    progress: bool = False,
    callbacks: Sequence[Callable[[int, torch.nn.Module], Any]] = (),
) -> FitResult:
    """Train ``model`` in place: ``steps`` steps of a stochastic gradient method on ``loss``.

    Parameters
    ----------
    model : torch.nn.Module
        Parameters that require a gradient are trained, on the device they are on; compiled or not, which checkpoints do
        not tell apart.  Where it has a method ``project_()``, as networks with non-negative weights do, that is called
        after every step.
    loss : callable
        ``loss(model, batch, generator)``, a real scalar tensor, mean over the batch, which is a tuple of tensors; see
        `ipbox.learned.training.losses`.
    data : sequence or callable
        Samples, each a tuple of tensors, NumPy arrays or integers (or one of them), drawn without replacement in a new
        order each time all were used, and stacked; or a function ``data(generator)`` that returns a batch, and draws
        all that is random from ``generator``, a torch.Generator on the device of the model.  They are not changed, also
        by a model that works in place.
    steps : int
        In all, with those before a resumption.
    batch_size : int
        At most the number of samples; not used where ``data`` is a function.
    optimizer : callable, optional
        From the parameters to an optimizer: ``lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)``; default Adam.
    lr : float, optional
        Learning rate of Adam; default 1e-3.
    schedule : "cosine", None or callable
        Factor of the learning rates at step k of K: (1 + cos(πk/K))/2, 1, or ``schedule(k, K)``.
    validation : list or callable, optional
        Batches over which the loss is averaged, with the same noise each time; or a function of the model that returns
        a number, less being better.  The model is in evaluation mode.  The weights with the least one are kept, and the
        model has them in the end.
    validate_every : int
        Steps between rows of the history, and validations.
    early_stopping : int, optional
        Stop after this many validations in a row without a new least one.
    clip : float, optional
        Largest norm of the gradient, over all parameters.
    seed : int
        From 0 to 2^32 - 1; of everything random: the order of samples, the loss, and layers such as dropout.  The
        caller's own torch generator is left as it was.
    checkpoint : str or Path, optional
        A .safetensors file with weights, best weights, state of the optimizer and of the random numbers, and history;
        written atomically with rows of the history, so often that it takes at most 2 % of the time, and at the end.
    resume : bool
        Go on from ``checkpoint`` where it exists: k + m steps at once, or k, and m in another process, give the same
        weights, bit for bit.  With False it is overwritten.
    autocast : "bfloat16", optional
        Compute the loss under torch.autocast; parameters keep their dtype.
    progress : bool
        Show a bar.
    callbacks : sequence of callable
        Each is called as ``callback(step, model)`` after every step, without gradients: to project weights, or to stop
        by returning True.

    Returns
    -------
    FitResult

    Raises
    ------
    Diverged
        where loss, gradient or validation is not finite; it names the step.  The model has its best weights again, or
        without validation those of the last row of the history; the checkpoint is of this row or before.
    ValueError, TypeError
        for arguments that do not fit; where the checkpoint belongs to another model, loss, seed or setting.

    Notes
    -----
    Of functions a checkpoint knows the names, of losses and modules the class and the arguments, of data the number and
    the first sample: what changes beyond that is not noticed.  Callbacks may change.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.training.fit import fit
    >>> pairs = [(torch.tensor([t]), torch.tensor([3 * t])) for t in (1.0, 2.0, 3.0)]
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> def mse(model, batch, generator):
    ...     return (model(batch[0]) - batch[1]).square().mean()
    >>> result = fit(model, mse, pairs, steps=200, batch_size=3, lr=0.1)
    >>> result.stop, round(model.weight.item(), 1)
    ('steps', 3.0)
    """
    check_flag(resume, "resume"), check_flag(progress, "progress")
    check_type(callbacks, "callbacks", Sequence, "a sequence of functions of step and model")
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"callbacks has {type(callback).__name__}; expected functions of step and model")
    options = Options(
        steps=steps,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=lr,
        schedule=schedule,
        validation=validation,
        validate_every=validate_every,
        early_stopping=early_stopping,
        clip=clip,
        seed=seed,
        autocast=autocast,
    )
    run = TrainingRun(model, loss, data, options)
    settings = run.settings()
    path, pace = None if checkpoint is None else checkpoints.check_path(checkpoint), Pace()
    with run.seeded(), _shown(progress, type(model).__name__, steps) as show:
        if path is not None and resume and path.exists():
            checkpoints.load(path, run, settings)
        show(run)
        stop = run.finished()
        while stop is None:
            try:
                run.advance()
                with torch.no_grad():
                    stop = "callback" if any([says_stop(c(run.step, model)) for c in callbacks]) else None
                if run.step % validate_every == 0 or run.step == steps:
                    run.record()
            except Diverged:
                run.restore(run.best_weights or run.good_weights)
                raise
            stop = run.finished() or stop
            if path is not None and (stop or (run.step % validate_every == 0 and pace.is_due())):
                with pace.writing():
                    checkpoints.save(path, run, settings)
            show(run)
        if run.best_weights is not None:
            run.restore(run.best_weights)
    return FitResult(run.history, run.best, run.best_step, run.step, stop)


@contextlib.contextmanager
def _shown(progress: bool, name: str, steps: int) -> Iterator[Callable[[TrainingRun], None]]:
    """A function that shows the progress of the run."""
    with bar(name, "step", steps, shown=progress) as shown:

        def show(run: TrainingRun) -> None:
            if run.history:
                row = run.history[-1]
                shown.set_postfix_str(", ".join(f"{k}={row[k]:.4g}" for k in ("loss", "validation") if k in row))
            shown.update(run.step - shown.n)

        yield show
