"""Reconstruction maps Φ: b -> u, as functions (A, b, ...) -> x, info."""

from ipbox.reconstruct.analytic import analytic
from ipbox.reconstruct.deblurring import truncated_inverse, wiener
from ipbox.reconstruct.filtered import fbp
from ipbox.reconstruct.gridding import gridded_kspace, gridding
from ipbox.reconstruct.iterative import cgls, landweber
from ipbox.reconstruct.mri import root_sum_of_squares, sense, zero_filled
from ipbox.reconstruct.pseudo_inverse import pseudo_inverse
from ipbox.reconstruct.sensitivities import estimate_sensitivities
from ipbox.reconstruct.variational import tikhonov, tv

__all__ = [
    "analytic",
    "cgls",
    "estimate_sensitivities",
    "fbp",
    "gridded_kspace",
    "gridding",
    "landweber",
    "pseudo_inverse",
    "root_sum_of_squares",
    "sense",
    "tikhonov",
    "truncated_inverse",
    "tv",
    "wiener",
    "zero_filled",
]
