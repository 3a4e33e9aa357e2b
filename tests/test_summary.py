"""How results tell what they are: arrays by shape and dtype, long lists by length."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox import summary


@dataclass
class Result:
    x: Any
    hidden: int = field(default=3, repr=False)

    __repr__ = summary.of_fields


class Plain:
    """Whose own repr has an address."""


@pytest.mark.parametrize(
    "value, text",
    [
        (np.zeros((3, 4), "float32"), "array (3, 4) float32"),
        (np.array(0.123456), "0.1235"),
        (2.5, "2.5"),
        (np.float32(0.1), "0.1"),
        (7, "7"),
        (True, "True"),
        (None, "None"),
        ("gap", "'gap'"),
        (list(range(9)), "list of 9"),
        ([np.ones(2), 1], "[array (2,) float64, 1]"),
        ((1, 2), "(1, 2)"),
        ({"a": np.ones(2)}, "{'a': array (2,) float64}"),
        (np.linalg.norm, "<function norm>"),
        (Plain(), "<tests.test_summary.Plain object>"),
    ],
)
def test_values(value: Any, text: str) -> None:
    assert repr(Result(value)) == f"Result(x={text})"


def test_long_texts_are_shortened() -> None:
    assert summary.shortened("a" * 401) == "a" * 397 + "..."
    assert len(repr(Result("a" * 1000))) < 120


def test_html_is_escaped() -> None:
    assert summary.as_html(Result("<b>")) == "<pre>Result(x=&#x27;&lt;b&gt;&#x27;)</pre>"
    assert summary.table([["<a>"], ["1 & 2"]]) == (
        "<table><tr><th>&lt;a&gt;</th></tr><tr><td>1 &amp; 2</td></tr></table>"
    )


def test_results_hold_no_numbers_of_arrays() -> None:
    problem = ip.problem("ct", size=32, views=8)
    result = ip.compare(problem, {"fbp": ip.fbp, "<lambda>": lambda A, b: ip.fbp(A, b, "hann")})
    assert repr(result) == result.table()
    assert "&lt;lambda&gt;" in result._repr_html_() and "<td>direct</td>" in result._repr_html_()
    posterior = ip.sample(ip.Problem(ip.L2(b=np.ones((4, 4)))), ip.ULA(), n=8)
    for text in map(repr, (result.infos["fbp"], posterior, problem[3])):
        assert len(text) < 500 and "array(" not in text and " at 0x" not in text


def test_a_run_answers_the_names_of_other_toolboxes() -> None:
    _, run = ip.cgls(np.eye(3), np.ones(3), niter=2)
    for name, expected in (
        ("Enrm", 'history["nrmse"]'),
        ("its", "niter"),
        ("StopFlag", "stop"),
        ("RegP", 'extra["lam"]'),
    ):
        with pytest.raises(AttributeError, match="^Solution has no attribute") as caught:
            getattr(run, name)
        assert f"expected {expected}" in str(caught.value)
    assert str(pytest.raises(AttributeError, getattr, run, "colour").value) == "Solution has no attribute 'colour'"
    assert not hasattr(run, "__array__")
    assert copy.copy(run).niter == run.niter
