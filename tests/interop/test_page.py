"""What docs/interoperability.md tells to type beside packages that the other pages do not need."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests import docs

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::PendingDeprecationWarning"
    ),
    pytest.mark.filterwarnings("ignore:.*ended by niter"),
]


def test_blocks_with_other_packages() -> None:
    """One after the other, in one namespace, as a reader would type them."""
    library = torch.library.Library("torchvision", "FRAGMENT")  # see test_deepinv.py
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    blocks = docs.fenced(docs.ROOT / "docs" / "interoperability.md", "py")
    assert [text.split("\n", 1)[0] for _, text in blocks[:4]] == [
        "import deepinv, numpy as np, torch, ipbox as ip",
        "import cuqi",
        "import odl",
        "import xarray",
    ]
    names: dict[str, Any] = {"library": library}
    for _, text in blocks:
        exec(compile(text, "interoperability.md", "exec"), names)
    assert names["y"].shape == (2, 1, *names["physics"].A(torch.ones(1, 1, 64, 64)).shape[2:])
    assert names["M"].shape == (256, 256) and names["model"].domain_dim == 64 * 64
    K, image, data = _Cil(np.arange(6.0).reshape(2, 3)), _Container((3,)), _Container((2,))
    assert np.array_equal(names["of_cil"](K, image, data).apply(np.ones(3, "float32")), [3.0, 12.0])
    assert names["S"].shape == (2, 64 * 64)
    x, stack = names["x"], names["stack"]
    assert x.dims == ("lat", "lon") and float(x.time) == 10.0 and list(stack.time) == [10.0, 11.5, 13.0]
    for k in range(3):
        assert np.array_equal(stack.values[k], x.values)  # of three equal images


class _Container:
    """What CIL's containers give: `fill` and `as_array`."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.array = shape, np.zeros(shape, "float32")

    def fill(self, array: np.ndarray) -> None:
        self.array[...] = array

    def as_array(self) -> np.ndarray:
        return self.array


class _Cil:
    """What CIL's operators give: `direct` and `adjoint`, of containers."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix.astype("float32")

    def direct(self, x: _Container) -> _Container:
        y = _Container((2,))
        y.fill(self.matrix @ x.as_array())
        return y

    def adjoint(self, y: _Container) -> _Container:
        x = _Container((3,))
        x.fill(self.matrix.T @ y.as_array())
        return x
