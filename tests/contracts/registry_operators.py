"""Every operator's cases: the lists ``CASES`` of the files ``operators_*.py`` beside this one."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tests.contracts.case import OperatorCase

FILES = sorted(Path(__file__).parent.glob("operators_*.py"))
CASES: list[OperatorCase] = [case for file in FILES for case in import_module(f"tests.contracts.{file.stem}").CASES]
