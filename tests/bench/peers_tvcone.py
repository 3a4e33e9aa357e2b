"""RTK's total variation and mbirjax's reconstruction from noisy cone-beam data: C++ and JAX on the CPU."""

from __future__ import annotations

import time
from typing import Any

import numpy as np


def rtk(data: str, n: int, out: str, gamma: float, outer: int) -> dict[str, Any]:
    """Seconds of RTK's regularised conjugate gradients: ``outer`` times 4 of them, values below 0 cut, 10 steps of TV.

    Without weights, which would all be 1: itk-rtk 2.7 asks of those for the volume's region, and fails where there are
    fewer views than slices.  Its ADMM for TV fails (a region outside of the buffered one) on every projector it has on
    the CPU.
    """
    from itk import RTK

    from . import peers_cone as cone

    b = np.load(data)
    made = RTK.RegularizedConjugateGradientConeBeamReconstructionFilter[cone.IMAGE].New()
    made.SetForwardProjectionFilter(made.ForwardProjectionType_FP_JOSEPH)
    made.SetBackProjectionFilter(made.BackProjectionType_BP_JOSEPH)
    about, empty, stack = cone.geometry(n, len(b), b.shape[1]), cone.volume(np.zeros((n, n, n))), cone.stack(b, n)
    made.SetGeometry(about)
    made.SetInputVolume(empty)
    made.SetInputProjectionStack(stack)
    made.SetMainLoop_iterations(outer)
    made.SetCG_iterations(4)
    made.SetPerformPositivity(True)
    made.SetPerformTVSpatialDenoising(True)
    made.SetPerformWaveletsSpatialDenoising(False)
    made.SetGammaTV(gamma)
    made.SetTV_iterations(10)
    start = time.perf_counter()
    made.Update()
    seconds = time.perf_counter() - start
    np.save(out, cone.array(made.GetOutput()).transpose(1, 0, 2))
    return {"seconds": seconds}


def mbirjax(data: str, n: int, out: str, sharpness: float) -> dict[str, Any]:
    """Seconds of mbirjax's reconstruction (a Markov random field, by coordinate descent) as it stops by itself.

    On one of JAX's devices, whose threads are as many as there are cores: on two, its default on two cores, mbirjax
    0.7.3 was ended by JAX at 128³, as one of them waited too long for the other.
    """
    from . import peers_cone_others as others

    b = np.load(data)
    made = others.Mbirjax(n, len(b), b.shape[1])
    made.model.set_params(sharpness=sharpness, verbose=0)
    made.model.configure_devices(1)
    start = time.perf_counter()
    x, _ = made.model.recon(b)
    x = np.asarray(x)
    seconds = time.perf_counter() - start
    np.save(out, x.transpose(2, 0, 1))
    return {"seconds": seconds}
