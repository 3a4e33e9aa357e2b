"""RTK's cone-beam projectors and its FDK: C++ in as many threads as there are cores, called through its Python.

RTK's axis of rotation is y and its arrays are (z, y, x): ours (z, y, x) are its (y, z, x).
"""

from __future__ import annotations

import math
import time
from functools import cache
from typing import Any

import itk
import numpy as np
from itk import RTK as rtk

from . import cone_phantom
from .worker import repeat_for

IMAGE = itk.Image[itk.F, 3]


@cache
def geometry(n: int, views: int, n_det: int) -> Any:
    s, found = cone_phantom.scan(n, views, n_det), rtk.ThreeDCircularProjectionGeometry.New()
    for beta in cone_phantom.angles(views):
        found.AddProjection(s["source"], s["source"] + s["panel"], math.degrees(beta))
    return found


def stack(y: np.ndarray, n: int) -> Any:
    """Projections (views, rows, columns) with the panel's pixels."""
    return _image(y, [cone_phantom.scan(n, len(y), y.shape[2])["pixel"]] * 2 + [1.0])


def volume(x: np.ndarray) -> Any:
    """A volume that is ours (z, y, x)."""
    return _image(np.ascontiguousarray(x.transpose(1, 0, 2)), [1.0] * 3)


def array(image: Any) -> np.ndarray:
    """The numbers in an image."""
    return itk.GetArrayFromImage(image)


def _image(values: np.ndarray, spacing: list[float]) -> Any:
    image = itk.GetImageFromArray(np.ascontiguousarray(values, dtype=np.float32))
    image.SetSpacing(spacing)
    image.SetOrigin([-0.5 * (m - 1) * h for m, h in zip(values.shape[::-1], spacing, strict=True)])
    return image


def run(name: str, about: Any, *inputs: Any) -> Any:
    """The output of the filter ``name`` for these inputs."""
    made = getattr(rtk, name)
    made = made[IMAGE] if name.startswith("FDK") else made[IMAGE, IMAGE]
    filter = made.New()
    filter.SetGeometry(about)
    for k, given in enumerate(inputs):
        filter.SetInput(k, given)
    filter.InPlaceOff()
    filter.Update()
    return filter.GetOutput()


def forward(n: int, views: int, n_det: int, seconds: float) -> dict[str, Any]:
    """Seconds of JosephForwardProjection."""
    x = volume(np.random.default_rng(0).random((n, n, n), dtype=np.float32))
    about, empty = geometry(n, views, n_det), stack(np.zeros((views, n_det, n_det)), n)
    return {"seconds": repeat_for(lambda: run("JosephForwardProjectionImageFilter", about, empty, x), seconds)}


def adjoint(n: int, views: int, n_det: int, seconds: float, voxel_driven: bool = False) -> dict[str, Any]:
    """Seconds of JosephBackProjection, or of the back-projection that interpolates the projections at the voxels."""
    y = stack(np.random.default_rng(0).random((views, n_det, n_det), dtype=np.float32), n)
    about, empty = geometry(n, views, n_det), volume(np.zeros((n, n, n)))
    name = "BackProjectionImageFilter" if voxel_driven else "JosephBackProjectionImageFilter"
    return {"seconds": repeat_for(lambda: run(name, about, empty, y), seconds)}


def project(data: str, views: int, n_det: int, out: str) -> dict[str, Any]:
    """The projections of a saved volume (nz, ny, nx), and their back-projection by the matched pair."""
    x = np.load(data)
    n = len(x)
    about, empty = geometry(n, views, n_det), stack(np.zeros((views, n_det, n_det)), n)
    y = run("JosephForwardProjectionImageFilter", about, empty, volume(x))
    back = run("JosephBackProjectionImageFilter", about, volume(np.zeros((n, n, n))), y)
    np.savez(out, y=array(y), x=array(back).transpose(1, 0, 2))
    return {}


def fdk(data: str, n: int, out: str) -> dict[str, Any]:
    """Seconds of FDKConeBeamReconstruction with the ramp alone from saved data, and the volume."""
    b = np.load(data)
    about, y, empty = geometry(n, len(b), b.shape[1]), stack(b, n), volume(np.zeros((n, n, n)))
    start = time.perf_counter()
    x = run("FDKConeBeamReconstructionFilter", about, empty, y)
    seconds = time.perf_counter() - start
    np.save(out, array(x).transpose(1, 0, 2))
    return {"seconds": seconds}
