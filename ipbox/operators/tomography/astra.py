"""The ASTRA toolbox's 2-D projectors as an operator; ASTRA is imported here only, when one is made."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import numpy as np

from ipbox.backend import Array
from ipbox.checks import check_choice, check_type
from ipbox.operators.core.base import Operator
from ipbox.operators.tomography.fan import FanBeamTransform
from ipbox.operators.tomography.geometry import Projector

ENGINES = ("cpu", "cuda")
PARALLEL, FAN = ("line", "linear", "strip"), ("line",)  # ASTRA's models of a pixel on the CPU

_running = threading.Lock()  # ASTRA keeps its objects in global tables


class AstraTransform(Operator):
    r"""ASTRA's projector for the geometry of one of our operators, on arrays of the host.

    .. math:: (A u)_{km} \approx \int_{\text{ray } km} u

    Parameters
    ----------
    geometry : RayTransform, JosephTransform or FanBeamTransform
        Where the pixels, the angles and the detector are; its own discretisation is not used.
    engine : str
        ``"cpu"``, or ``"cuda"`` where ASTRA finds a GPU.  ASTRA's CUDA adjoint is not the transpose of its projector.
    projector : str, optional
        Model of a pixel on the CPU: ``"line"``, ``"linear"`` (by default) or ``"strip"`` for parallel beam, ``"line"``
        for fan beam.

    Notes
    -----
    float32 only, as ASTRA.  ASTRA is GPL software, no dependency of this package, and no part of it.

    Raises
    ------
    ImportError
        where ASTRA is not installed.
    RuntimeError
        for ``engine="cuda"`` where ASTRA finds no GPU: it would end the process.
    TypeError, ValueError
        for another geometry, engine or projector, or a geometry in float64.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.operators.tomography.astra import AstraTransform
    >>> A = ip.JosephTransform((64, 64), np.linspace(0, np.pi, 30, endpoint=False))
    >>> AstraTransform(A, projector="area")                 # AstraTransform(A) is an operator where there is ASTRA
    Traceback (most recent call last):
    ValueError: projector is 'area'; expected one of 'line', 'linear', 'strip'
    """

    backends: ClassVar[tuple[str, ...]] = ("numpy",)
    dtypes: ClassVar[tuple[str, ...]] = ("float32",)

    def __init__(self, geometry: Any, engine: str = "cpu", projector: str | None = None) -> None:
        check_type(geometry, "geometry", Projector, "a RayTransform, JosephTransform or FanBeamTransform")
        fan = isinstance(geometry, FanBeamTransform)
        if fan and geometry.detector != "flat":
            raise ValueError(
                f"geometry has a {geometry.detector} detector; expected a flat one, the only one of ASTRA's"
            )
        check_choice(engine, "engine", ENGINES)
        projector = ("line" if fan else "linear") if projector is None else projector
        check_choice(projector, "projector", FAN if fan else PARALLEL)
        if geometry.dtype_in != np.float32:
            raise TypeError(f"geometry has dtype {geometry.dtype_in}; expected float32, the only one ASTRA computes in")
        self._astra = astra = _import_astra()
        if engine == "cuda" and not astra.use_cuda():
            raise RuntimeError("engine is 'cuda', but ASTRA finds no GPU; expected one, or engine='cpu'")
        self.angles, self.geometry, self.engine = geometry.angles, geometry, engine
        super().__init__(geometry.dims, geometry.dimsd, np.float32, name="AstraTransform")
        (ny, nx), h = self.dims, geometry.square_pixel()
        self._volume = astra.create_vol_geom(ny, nx, -nx * h / 2, nx * h / 2, -ny * h / 2, ny * h / 2)
        kind = "fanflat_vec" if fan else "parallel_vec"
        self._detector = astra.create_proj_geom(kind, geometry.n_det, _vectors(geometry))
        if engine == "cuda":
            self._projector = astra.create_projector("cuda", self._detector, self._volume)
        else:
            model = f"{projector}_fanflat" if fan else projector
            self._projector = astra.create_projector(model, self._detector, self._volume)

    def _apply(self, x: Array, out: Array) -> None:
        for xi, oi in zip(x, out, strict=True):
            # ASTRA writes into linked arrays only, and may not be handed read-only memory
            self._run("FP", np.array(xi), oi, "VolumeDataId")

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        for yi, oi in zip(y, out, strict=True):
            self._run("BP", oi, np.array(yi), "ReconstructionDataId")

    def _run(self, kind: str, image: np.ndarray, data: np.ndarray, image_key: str) -> None:
        astra = self._astra
        (image if kind == "BP" else data)[...] = 0  # ASTRA adds to what is there
        with _running:
            ids = [astra.data2d.link("-vol", self._volume, image), astra.data2d.link("-sino", self._detector, data)]
            config = {
                "type": kind + ("_CUDA" if self.engine == "cuda" else ""),
                "ProjectorId": self._projector,
                image_key: ids[0],
                "ProjectionDataId": ids[1],
            }
            algorithm = astra.algorithm.create(config)
            try:
                astra.algorithm.run(algorithm)
            finally:
                astra.algorithm.delete(algorithm)
                astra.data2d.delete(ids)


def _import_astra() -> Any:
    try:
        import astra
    except ImportError as err:
        raise ImportError("ASTRA is not installed: pip install astra-toolbox brings it") from err
    return astra


def _vectors(geometry: Any) -> np.ndarray:
    """(ray or source, detector centre, step of a detector pixel) of every view, each (x, y) with y upwards."""
    c, s = np.cos(geometry.angles), np.sin(geometry.angles)
    shift, ds = geometry.det_shift, geometry.det_spacing
    if isinstance(geometry, FanBeamTransform):
        R, Rd = geometry.source_distance, geometry.detector_distance
        columns = [R * s, -R * c, -Rd * s + shift * c, Rd * c + shift * s, ds * c, ds * s]
    else:
        columns = [-s, c, shift * c, shift * s, ds * c, ds * s]
    y0, x0 = geometry.image_centre  # ASTRA's image has its centre at 0
    for k in (0, 2) if isinstance(geometry, FanBeamTransform) else (2,):
        columns[k], columns[k + 1] = columns[k] - x0, columns[k + 1] - y0
    return np.stack(columns, axis=1)
