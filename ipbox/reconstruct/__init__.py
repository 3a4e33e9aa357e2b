"""Reconstruction maps Φ: b -> u, as functions (A, b, ...) -> x, info."""

from ipbox.moved import attributes
from ipbox.reconstruct.direct.analytic import analytic
from ipbox.reconstruct.direct.deblurring import truncated_inverse, wiener
from ipbox.reconstruct.direct.fbp import fbp
from ipbox.reconstruct.direct.fdk import fdk
from ipbox.reconstruct.direct.gridding import gridded_kspace, gridding
from ipbox.reconstruct.direct.mri import prewhiten, root_sum_of_squares, sense, zero_filled
from ipbox.reconstruct.direct.pseudo_inverse import pseudo_inverse
from ipbox.reconstruct.direct.sensitivities import estimate_sensitivities
from ipbox.reconstruct.direct.truncated_svd import picard, tsvd
from ipbox.reconstruct.iterative.algebraic import cimmino, kaczmarz, sirt
from ipbox.reconstruct.iterative.bregman import bregman, linearised_bregman
from ipbox.reconstruct.iterative.early_stopping import cgls, landweber
from ipbox.reconstruct.iterative.em import mlem, osem
from ipbox.reconstruct.iterative.krylov import hybrid_lsqr, lsqr
from ipbox.reconstruct.variational.emission import bsrem
from ipbox.reconstruct.variational.methods import tikhonov, tv, variational, wavelet
from ipbox.reconstruct.variational.tgv import tgv

__all__ = ["analytic", "estimate_sensitivities", "fbp", "fdk", "gridded_kspace", "gridding", "prewhiten"]
__all__ += ["pseudo_inverse", "root_sum_of_squares", "sense", "truncated_inverse", "wiener", "zero_filled"]
__all__ += ["picard", "tsvd"]
__all__ += ["bregman", "cgls", "cimmino", "hybrid_lsqr", "kaczmarz", "landweber", "linearised_bregman", "lsqr"]
__all__ += ["mlem", "osem", "sirt"]
__all__ += ["bsrem", "tgv", "tikhonov", "tv", "variational", "wavelet"]

__getattr__ = attributes(__name__)
