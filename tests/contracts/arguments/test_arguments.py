"""Wrong types, shapes and dtypes in the place of every argument of an example: one sentence that names the argument."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.keywords import answering
from tests.contracts.arguments.spoiled import answers, is_held
from tests.house.test_keywords import PUBLIC

# one makes a folder that must not be there: what one wrong argument leaves is in the way of the next
NAMES = [name for name, value in PUBLIC.items() if not is_held(value) and name != "ip.save_dicom_series"]
SLOW = {
    f"ip.{name}" for name in "InfConvTV JosephTransform ParallelVectorTransform SliceStack variational wavelet".split()
}
SLOW |= {"choose.fit_parameters"} | {
    f"evaluate.{name}" for name in ("check_domain", "domain_statistics", "evaluate_generator")
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in NAMES])
def test_wrong_arguments_are_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # "junk" may be taken for a path
    wrong = [f"{of.argument}, {of.kind}: {of.fault}" for of in answers(name, PUBLIC[name]) if of.fault]
    assert not wrong


# ---------------------------------------------------------------- what names them


@answering
def scaled(x: Any, by: float, axes: tuple[int, ...] | None = None, name: str = "x") -> Any:
    """A function that checks nothing."""
    if axes is not None and len(axes) > 3:
        raise ValueError(f"axes is {axes}; expected three of them at most")
    return by * x + (0 if axes is None else axes[0])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((np.ones(2), "a"), "by is str; expected a number"),
        ((np.ones(2), 2.0, 3), "axes is int; expected a sequence or None"),
        ((np.ones(2), True, "x"), "by is bool; expected a number"),
        ((np.ones(2), "a", (1, 2, 3, 4)), r"axes is \(1, 2, 3, 4\); expected three of them at most"),
    ],
)
def test_what_an_annotation_says_is_told_after_an_error_that_names_nothing(args: tuple, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{words}$"):
        scaled(*args)


def test_other_errors_stay() -> None:
    with pytest.raises(TypeError, match="unsupported operand") as caught:
        scaled(object(), 2.0)  # of what may be anything
    assert caught.value.__cause__ is None
    with pytest.raises(TypeError, match=r"^x is list; expected a NumPy or CuPy array$") as caught:
        ip.psnr([1.0], np.ones(1))
    assert re.match("expected a NumPy or CuPy array, got list", str(caught.value.__cause__))
