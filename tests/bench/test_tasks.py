"""The benchmark's tasks are where its rows call them, and find what they measure: too rarely run to tell by itself."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.bench import ipbox_operators

HERE = Path(__file__).parent
CALLS = re.compile(r'(?:call\("ipbox",|interleave\()\s*"(\w+)\.(\w+)"')
TASKS = sorted({found for file in HERE.glob("rows_*.py") for found in CALLS.findall(file.read_text())})


@pytest.mark.parametrize("family, task", TASKS)
def test_every_task_is_there(family: str, task: str) -> None:
    assert callable(getattr(import_module(f"tests.bench.ipbox_{family}"), task))


def test_operators_are_those_of_the_contracts() -> None:
    cases, support = ipbox_operators._registry()
    assert len(cases) > 100 and callable(support.dot_test) and callable(support.dense)
