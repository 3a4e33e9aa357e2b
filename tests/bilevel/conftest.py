"""Checkpoints after every iteration, so that a test knows what they hold; when they are due has its own tests."""

from __future__ import annotations

import pytest

from ipbox import files


@pytest.fixture(autouse=True)
def _always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SHARE", 1.0)
