"""What is asked of an operator does not change what it answers next, to the last bit."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ipbox as ip
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


def of_batch(A: Operator) -> bytes:
    return A.apply(np.stack([drawn(A, 1)[0], drawn(A, 2)[0]])).tobytes()


def of_algebra(A: Operator) -> tuple[bytes, ...]:
    x, y = drawn(A)
    return (2 * A).apply(x).tobytes(), (A + A).H.apply(y).tobytes()


QUESTIONS: dict[str, Callable[[Operator], Any]] = {
    "print": str,
    "shape": lambda A: A.shape,
    "apply": lambda A: A.apply(drawn(A)[0]).tobytes(),
    "@": lambda A: (A @ drawn(A)[0]).tobytes(),
    "adjoint": lambda A: A.apply_adjoint(drawn(A)[1]).tobytes(),
    "norm": lambda A: (A.norm(), A.norm_kind),
    "batch": of_batch,
    "H": lambda A: A.H.apply(drawn(A)[1]).tobytes(),
    "algebra": of_algebra,
    "N": lambda A: A.N.apply(drawn(A)[0]).tobytes(),
    "subsets": of_subsets,
    "copy": of_copy,
    "pickle": of_pickle,
}


# torch's convolutions are slow, and a TorchOperator keeps nothing between them
@pytest.mark.parametrize("case", [case for case in CASES if case.cls.__name__ != "TorchOperator"], ids=repr)
def test_no_question_changes_the_answer_to_another(case: OperatorCase) -> None:
    assert not changed(lambda: case.make(np.dtype("float32"), np))


def changed(make: Callable[[], Operator]) -> list[str]:
    """The ordered pairs of questions of which the first changes the answer to the second."""
    answers = {name: ask(make()) for name, ask in QUESTIONS.items()}
    wrong = []
    for before, first in QUESTIONS.items():
        for name, second in QUESTIONS.items():
            A = make()
            first(A)
            if second(A) != answers[name]:
                wrong.append(f"{before}, {name}")
    return wrong


def test_an_operator_that_remembers_is_told() -> None:
    """That this can fail: an operator whose result, after its norm was asked for, is another in the last bit."""

    class Remembers(ip.Identity):
        def _apply(self, x: Any, out: Any) -> None:
            out[...] = x if self._norm_cache is None else np.nextafter(x, np.float32(2))

    found = changed(lambda: Remembers((3,)))
    assert {"norm, apply", "norm, batch", "norm, @"} <= set(found)
    assert not any(pair.startswith(("apply", "adjoint", "print")) for pair in found)
