"""ASTRA's CPU fan-beam projector ``line_fanflat``, called directly."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import astra
import numpy as np

from .worker import repeat_for


class LineFanFlat:
    """Projection and back-projection between arrays that ASTRA links, without copies."""

    def __init__(self, n: int, n_angles: int, n_det: int) -> None:
        angles = np.arange(n_angles) * 2 * math.pi / n_angles
        volume = astra.create_vol_geom(n, n)
        geometry = astra.create_proj_geom("fanflat", 1.5, n_det, angles, 2.0 * n, 1.0 * n)
        projector = astra.create_projector("line_fanflat", geometry, volume)
        self.x, self.y = np.zeros((n, n), np.float32), np.zeros((n_angles, n_det), np.float32)
        ids = {
            "ProjectorId": projector,
            "VolumeDataId": astra.data2d.link("-vol", volume, self.x),
            "ProjectionDataId": astra.data2d.link("-sino", geometry, self.y),
        }
        forward = {k: ids[k] for k in ("ProjectorId", "VolumeDataId", "ProjectionDataId")}
        adjoint = {"ReconstructionDataId": ids["VolumeDataId"]} | {
            k: ids[k] for k in ("ProjectorId", "ProjectionDataId")
        }
        self._forward = astra.algorithm.create({"type": "FP", **forward})
        self._adjoint = astra.algorithm.create({"type": "BP", **adjoint})

    def forward(self) -> None:
        astra.algorithm.run(self._forward)

    def adjoint(self) -> None:
        astra.algorithm.run(self._adjoint)


_operator = cache(LineFanFlat)


def forward_adjoint(n: int, n_angles: int, n_det: int, seconds: float) -> dict[str, Any]:
    """Seconds of a projection and of a back-projection."""
    A = _operator(n, n_angles, n_det)
    A.x[...] = np.random.default_rng(0).random(A.x.shape, dtype=np.float32)
    A.forward()
    forward = repeat_for(A.forward, seconds)
    adjoint = repeat_for(A.adjoint, seconds)
    return {"seconds": forward + adjoint, "forward": forward, "adjoint": adjoint, "n_det": n_det}


def project(data: str, n_angles: int, n_det: int, out: str) -> dict[str, Any]:
    """The fan sinogram of a saved image in units of pixels, and its back-projection."""
    x = np.load(data)
    A = _operator(x.shape[0], n_angles, n_det)
    A.x[...] = x
    A.forward()
    A.adjoint()
    np.savez(out, y=A.y, x=A.x)
    return {}
