"""Cone beam by diffct (Siddon's ray sums, torch on the CPU) and by mbirjax (voxel footprints, JAX on the CPU)."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from . import cone_phantom


class Diffct:
    """diffct's panel is (columns, rows), and its volumes (z, y, x) have y upwards: turned round on the way."""

    def __init__(self, n: int, views: int, n_det: int) -> None:
        import diffct
        import torch

        self.torch, self.diffct, s = torch, diffct, cone_phantom.scan(n, views, n_det)
        self.beta = torch.as_tensor(cone_phantom.angles(views))
        c, sn, o = torch.cos(self.beta), torch.sin(self.beta), torch.zeros(views)
        self.trajectory = tuple(
            torch.stack(parts, dim=1).float()
            for parts in (
                (s["source"] * sn, -s["source"] * c, o),
                (-s["panel"] * sn, s["panel"] * c, o),
                (c, sn, o),
                (o, o, o + 1),
            )
        )
        self.shape, self.panel = (n, n, n), (n_det, n_det)
        self.options = dict(detector_spacing=s["pixel"], backend="torch")
        self.projector = diffct.Projector(self.trajectory, self.shape, self.panel, beam="cone", **self.options)

    def forward(self, x: np.ndarray) -> np.ndarray:
        y = self.projector.project(self.torch.as_tensor(np.ascontiguousarray(x[:, ::-1])))
        return y.numpy().transpose(0, 2, 1)

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        x = self.projector.backproject(self.torch.as_tensor(np.ascontiguousarray(y.transpose(0, 2, 1))))
        return x.numpy()[:, ::-1]

    def fdk(self, y: np.ndarray) -> np.ndarray:
        y = self.torch.as_tensor(np.ascontiguousarray(y.transpose(0, 2, 1)))
        return self.diffct.fdk(y, self.trajectory, self.shape, self.beta.float(), **self.options).numpy()[:, ::-1]


class Mbirjax:
    """mbirjax's volumes are (rows, columns, slices)."""

    def __init__(self, n: int, views: int, n_det: int) -> None:
        import mbirjax

        s = cone_phantom.scan(n, views, n_det)
        distances = {"source_detector_dist": s["source"] + s["panel"], "source_iso_dist": s["source"]}
        self.model = mbirjax.ConeBeamModel((views, n_det, n_det), cone_phantom.angles(views), **distances)
        self.model.set_params(delta_det_channel=s["pixel"], delta_det_row=s["pixel"], delta_voxel=1.0)
        self.model.set_params(recon_shape=(n, n, n))

    def forward(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.forward_project(_to_mbirjax(x)))

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        return _from_mbirjax(self.model.back_project(y))

    def fdk(self, y: np.ndarray) -> np.ndarray:
        return _from_mbirjax(self.model.fdk_recon(y))


def _to_mbirjax(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(1, 2, 0))


def _from_mbirjax(x: Any) -> np.ndarray:
    return np.asarray(x).transpose(2, 0, 1)


LIBRARIES = {"diffct": Diffct, "mbirjax": Mbirjax}


def fdk(library: str, data: str, n: int, out: str) -> dict[str, Any]:
    """Seconds of FDK, of a projection and of its transpose, each once; the volume."""
    b = np.load(data)
    made, seconds = LIBRARIES[library](n, len(b), b.shape[1]), {}
    for name, given in (("fdk", b), ("forward", np.ones((n, n, n), np.float32)), ("adjoint", b)):
        start = time.perf_counter()
        found = getattr(made, name)(given)
        seconds[name] = time.perf_counter() - start
        if name == "fdk":
            np.save(out, found)
    return {"seconds": seconds["fdk"], "forward": seconds["forward"], "adjoint": seconds["adjoint"]}
