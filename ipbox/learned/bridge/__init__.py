"""The only place where arrays cross between torch and the rest, by DLPack."""

from ipbox.keywords import answering_classes
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.bridge.torch_operator import TorchOperator

__all__ = ["LinearMap", "TorchOperator", "from_torch", "to_torch"]

answering_classes(globals())
