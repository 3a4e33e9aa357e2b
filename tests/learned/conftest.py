"""Weights are drawn by torch's own generator: the same ones for a test, whichever ran before it."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
