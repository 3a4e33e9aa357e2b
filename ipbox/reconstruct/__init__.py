"""Reconstruction maps Φ: b -> u, as functions (A, b, ...) -> x, info."""

from ipbox.reconstruct.filtered import fbp
from ipbox.reconstruct.iterative import cgls, landweber
from ipbox.reconstruct.variational import tikhonov, tv

__all__ = ["cgls", "fbp", "landweber", "tikhonov", "tv"]
