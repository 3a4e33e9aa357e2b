"""Reconstruction maps Φ: b -> u, as functions (A, b, ...) -> x, info."""

from ipbox.reconstruct.algebraic import cimmino, kaczmarz, sirt
from ipbox.reconstruct.analytic import analytic
from ipbox.reconstruct.bregman import bregman, linearised_bregman
from ipbox.reconstruct.deblurring import truncated_inverse, wiener
from ipbox.reconstruct.em import mlem, osem
from ipbox.reconstruct.filtered import fbp
from ipbox.reconstruct.gridding import gridded_kspace, gridding
from ipbox.reconstruct.iterative import cgls, landweber
from ipbox.reconstruct.krylov import hybrid_lsqr, lsqr
from ipbox.reconstruct.mri import root_sum_of_squares, sense, zero_filled
from ipbox.reconstruct.pseudo_inverse import pseudo_inverse
from ipbox.reconstruct.sensitivities import estimate_sensitivities
from ipbox.reconstruct.tgv import tgv
from ipbox.reconstruct.variational import tikhonov, tv, variational, wavelet

__all__ = [
    "analytic",
    "bregman",
    "cgls",
    "cimmino",
    "estimate_sensitivities",
    "fbp",
    "gridded_kspace",
    "gridding",
    "hybrid_lsqr",
    "kaczmarz",
    "landweber",
    "linearised_bregman",
    "lsqr",
    "mlem",
    "osem",
    "pseudo_inverse",
    "root_sum_of_squares",
    "sense",
    "sirt",
    "tgv",
    "tikhonov",
    "truncated_inverse",
    "tv",
    "variational",
    "wavelet",
    "wiener",
    "zero_filled",
]
