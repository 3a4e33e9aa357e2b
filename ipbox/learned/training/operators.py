"""Losses of maps whose operator is another one for each sample: masks, sensitivities, geometries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ipbox.checks import check_type
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.maps.base import LearnedMap
from ipbox.learned.priors.signature import unwrapped
from ipbox.learned.training.self_supervised import SURE
from ipbox.operators import as_operator

__all__ = ["PerOperator"]


class PerOperator:
    """A loss, the mean over the samples, of a map that is `LearnedMap.with_operator` of the operator of each.

    The batch is (i, b) or (i, b, x), i the index of each sample's operator.  Data of another shape (another number of
    coils) do not go into one batch: ``batch_size=1``.

    Parameters
    ----------
    loss : callable
        `Supervised`, `SURE` or another ``loss(model, batch, generator)``; a `SURE` with A predicts the data by the
        sample's operator instead.
    operators : sequence of Operator
        Of the shape that the model takes.

    Raises
    ------
    TypeError, ValueError
        where the operators are none, the model is no `LearnedMap`, or an index is out of range.

    Examples
    --------
    >>> import torch, ipbox as ip
    >>> from ipbox.learned.training.losses import PerOperator, Supervised
    >>> from ipbox.learned.maps.unrolled import LearnedProximalGradient
    >>> one, two = (c * ip.Identity((4, 4), "float32") for c in (1.0, 2.0))
    >>> net, b = LearnedProximalGradient(one, niter=1, width=2), torch.ones(2, 4, 4)
    >>> loss = PerOperator(Supervised(), [one, two])
    >>> float(loss(net, (torch.tensor([0, 1]), b, b), None).detach()) >= 0
    True
    """

    def __init__(self, loss: Callable[..., torch.Tensor], operators: Sequence[Any]) -> None:
        if not callable(loss):
            raise TypeError(f"loss is {type(loss).__name__}; expected a function of model, batch and generator")
        if not operators:
            raise ValueError("operators is empty; expected one operator at least")
        self.loss, self.operators = loss, [as_operator(A) for A in operators]

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator | None) -> torch.Tensor:
        model = unwrapped(model)
        check_type(model, "model", LearnedMap, "a LearnedMap, which has with_operator")
        index, *rest = batch
        if index.is_floating_point() or index.is_complex() or index.ndim != 1:
            raise TypeError(
                f"the batch begins with {index.dtype} of shape {tuple(index.shape)}; expected indices of operators, "
                "one for each sample"
            )
        parts = []
        for k, i in enumerate(index.tolist()):
            if not 0 <= i < len(self.operators):
                raise ValueError(f"the batch has the operator {i}; expected 0 to {len(self.operators) - 1}")
            A, loss = self.operators[i], self.loss
            if isinstance(loss, SURE) and loss.A is not None:
                loss = dataclasses.replace(loss, A=LinearMap(A))
            parts.append(loss(model.with_operator(A), tuple(t[k : k + 1] for t in rest), generator))
        return torch.stack(parts).mean()
