"""What runs where: every class of the package is in the table, and what a class does not declare it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from ipbox.cli import main
from ipbox.cli.capabilities import classes, markdown
from tests.contracts.functionals.registry import cases, make
from tests.contracts.support import listed

REAL = {cls for of_kind in classes().values() for cls in of_kind if "complex64" not in cls.dtypes}


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture) -> None:
    assert main(["info", "--classes"]) == 0
    assert capsys.readouterr().out == markdown() + "\n"


def test_it_holds_every_room() -> None:
    rooms = {cls.__module__.split(".")[1] for of_kind in classes().values() for cls in of_kind}
    assert rooms == {"operators", "functionals", "solvers", "bilevel", "learned", "bayes", "distributed"}
    assert not {cls.__name__ for of_kind in classes().values() for cls in of_kind} & {
        "Fidelity",
        "Sampler",
        "Descent",
        "DiffusionSampler",
    }


@pytest.mark.parametrize("case", [case for case in cases() if case.cls in REAL], ids=repr)
def test_a_real_functional_refuses_complex_images(case) -> None:
    f, x = make(case, np.dtype("float32"), np), np.zeros(case.dims, np.complex64)
    for call in (f.value, *([lambda x: f.prox(x, 1.0)] if f.has_prox else [])):
        with pytest.raises(TypeError, match="complex(64|128)"):  # values are computed in double precision
            call(x)


@pytest.mark.parametrize("case", [case for case in listed("operators") if case.cls in REAL], ids=repr)
def test_a_real_operator_refuses_complex_images(case) -> None:
    with pytest.raises(TypeError, match="complex64"):
        case.make(np.dtype("complex64"), np)
