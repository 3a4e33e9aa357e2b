"""What is asked of an operator does not change what it answers next, to the last bit."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ipbox.operators import Operator
from tests.contracts.operators.case import OperatorCase
from tests.contracts.support import draw, listed

CASES: list[OperatorCase] = listed("operators")


def drawn(A: Operator, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return draw(rng, tuple(A.dims), A.dtype_in, np), draw(rng, tuple(A.dimsd), A.dtype_out, np)


def of_subsets(A: Operator) -> list[bytes]:
    n = min(2, A.dimsd[0]) if A.has_subsets else 0
    return [B.apply(drawn(A)[0]).tobytes() for B in (A.subsets(n) if n else [])]


def of_copy(A: Operator) -> tuple[bytes, ...]:
    B = copy.copy(A)
    return B.apply(drawn(A)[0]).tobytes(), B.shape, *of_subsets(B)


def of_pickle(A: Operator) -> bytes | None:
    try:
        B = pickle.loads(pickle.dumps(A))
    except (pickle.PicklingError, AttributeError, TypeError):  # functions of the user's
        return None
    return B.apply(drawn(A)[0]).tobytes()


QUESTIONS: dict[str, Callable[[Operator], Any]] = {
    "print": str,
    "shape": lambda A: A.shape,
    "apply": lambda A: A.apply(drawn(A)[0]).tobytes(),
    "@": lambda A: (A @ drawn(A)[0]).tobytes(),
    "adjoint": lambda A: A.apply_adjoint(drawn(A)[1]).tobytes(),
    "norm": lambda A: (A.norm(), A.norm_kind),
    "N": lambda A: A.N.apply(drawn(A)[0]).tobytes(),
    "subsets": of_subsets,
    "copy": of_copy,
    "pickle": of_pickle,
}


# torch's convolutions are slow, and a TorchOperator keeps nothing between them
@pytest.mark.parametrize("case", [case for case in CASES if case.cls.__name__ != "TorchOperator"], ids=repr)
def test_no_question_changes_the_answer_to_another(case: OperatorCase) -> None:
    def make() -> Operator:
        return case.make(np.dtype("float32"), np)

    answers = {name: ask(make()) for name, ask in QUESTIONS.items()}
    for first in QUESTIONS.values():
        for name, second in QUESTIONS.items():
            A = make()
            first(A)
            assert second(A) == answers[name], name
