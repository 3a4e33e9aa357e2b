"""A case of the operators' contracts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from ipbox.operators import Operator


@dataclass(frozen=True)
class OperatorCase:
    """A way to make an operator of class ``cls``; its norm is of ``kind`` and at most 1.05 times the true one."""

    name: str
    cls: type[Operator]
    make: Callable[[np.dtype, ModuleType], Operator]
    kind: str

    def __repr__(self) -> str:
        return self.name
