"""Where other packages put the pixels, the angles and the detector, as arguments of our operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.checks import check_choice, check_dims, check_flag, check_type, shown
from ipbox.keywords import answering

ROUNDING = 1e-6
BEAMS = {"parallel": "parallel", "parallel_vec": "parallel", "fanflat": "fan", "fanflat_vec": "fan"}  # of ASTRA's types
ENDS = ("MinX", "MaxX", "MinY", "MaxY")


def arguments(convention: str, beam: str, *given: Any, **options: Any) -> dict[str, Any]:
    """What makes the operator of a ``beam`` ("parallel" or "fan") that has the ``convention``'s geometry."""
    found = CONVENTIONS[check_choice(convention, "convention", CONVENTIONS)](*given, **options)
    if found["beam"] != beam:
        raise ValueError(f"the geometry has a {found['beam']} beam; expected a {beam} beam, or {OTHER[beam]}")
    return {name: value for name, value in found.items() if name != "beam"}


@answering
def skimage(sinogram: Any, theta: Any = None, *, circle: bool = True, dims: Any = None) -> dict[str, Any]:
    """Columns are views and degrees; image and detector turn about their pixel n // 2, which is no centre for even n.

    ``radon`` sums over the rows of the image turned by θ: s = x cos θ + y sin θ from that pixel, as ours.
    """
    if not backend.is_array(sinogram):
        advice = "an array as radon gives, (detector pixels, angles); the image's shape is dims="
        raise TypeError(f"sinogram is {shown(sinogram)}; expected {advice}")
    if sinogram.ndim != 2 or sinogram.size == 0:
        raise ValueError(f"sinogram has shape {sinogram.shape}; expected (detector pixels, angles), as of radon")
    if sinogram.dtype not in (np.float32, np.float64):
        raise TypeError(f"sinogram has dtype {sinogram.dtype}; expected float32 or float64, as of radon")
    n, views = sinogram.shape
    theta = np.linspace(0, 180, views, endpoint=False) if theta is None else np.asarray(backend.to_host(theta))
    if theta.dtype.kind not in "fiu":
        raise TypeError(f"theta has dtype {theta.dtype}; expected real numbers, in degrees")
    if not np.isfinite(theta).all():
        raise ValueError("theta has NaN or infinite entries; expected finite degrees")
    if theta.shape != (views,):
        raise ValueError(f"theta has shape {theta.shape}; expected one for each of the {views} columns of sinogram")
    if check_flag(circle, "circle"):
        dims = n if dims is None else dims
    side = math.floor(math.sqrt(n * n / 2))
    ny, nx = _sides(side if dims is None else dims)
    return dict(
        beam="parallel",
        dims=(ny, nx),
        angles=np.deg2rad(theta),
        n_det=n,
        det_shift=0.5 * (n % 2 - 1),
        image_centre=(0.5 * (1 - ny % 2), 0.5 * (nx % 2 - 1)),
        dtype=sinogram.dtype,
    )


def _sides(dims: Any) -> tuple[int, int]:
    sides = check_dims(dims, "dims")
    if len(sides) > 2:
        raise ValueError(f"dims is {dims}; expected (ny, nx), or one side of a square")
    return sides[0], sides[-1]


@answering
def astra(proj_geom: Any, vol_geom: Any, *, dtype: Any = "float32") -> dict[str, Any]:
    """Geometries as ASTRA's ``create_proj_geom`` and ``create_vol_geom`` give them, whose axes are ours."""
    p, v = (check_type(g, name, Mapping, "a geometry of ASTRA, a dict") for g, name in _named(proj_geom, vol_geom))
    kind = check_choice(p.get("type"), "proj_geom['type']", BEAMS)
    ny, nx = int(_entry(v, "vol_geom", "GridRowCount")), int(_entry(v, "vol_geom", "GridColCount"))
    window = _entry(v, "vol_geom", "option")
    left, right, low, high = (float(_entry(window, "vol_geom['option']", f"Window{end}")) for end in ENDS)
    hy, hx = (high - low) / ny, (right - left) / nx
    told = dict(
        beam=BEAMS[kind],
        dims=(ny, nx),
        n_det=int(_entry(p, "proj_geom", "DetectorCount")),
        pixel_size=hx if math.isclose(hy, hx) else (hy, hx),
        image_centre=(0.5 * (low + high), 0.5 * (left + right)),
        dtype=dtype,
    )
    if kind.endswith("_vec"):
        vectors = np.asarray(_entry(p, "proj_geom", "Vectors"), dtype=np.float64)
        if vectors.ndim != 2 or vectors.shape[1] != 6 or not np.isfinite(vectors).all():
            raise ValueError(
                f"proj_geom['Vectors'] has shape {vectors.shape}; expected six finite numbers for each view"
            )
        return told | (_parallel(vectors) if told["beam"] == "parallel" else _fan(vectors))
    told |= dict(angles=_entry(p, "proj_geom", "ProjectionAngles"), det_spacing=_entry(p, "proj_geom", "DetectorWidth"))
    if told["beam"] == "fan":
        told |= dict(
            source_distance=_entry(p, "proj_geom", "DistanceOriginSource"),
            detector_distance=_entry(p, "proj_geom", "DistanceOriginDetector"),
        )
    return told


def _named(proj_geom: Any, vol_geom: Any) -> tuple[tuple[Any, str], ...]:
    return (proj_geom, "proj_geom"), (vol_geom, "vol_geom")


def _entry(geometry: Any, name: str, key: str) -> Any:
    if key not in geometry:
        raise ValueError(f"{name} has no {key!r}; expected a geometry as ASTRA's functions give them")
    return geometry[key]


def _parallel(vectors: np.ndarray) -> dict[str, Any]:
    """Rays, the detector's centre and the step between its pixels, (x, y) each."""
    ray, middle, step = vectors.reshape(-1, 3, 2).transpose(1, 0, 2)
    along, ds = _directions(step)
    _agree(
        _dot(ray, along) / np.maximum(np.linalg.norm(ray, axis=1), np.finfo(float).tiny),
        0.0,
        1.0,
        "rays that meet the detector at right angles",
    )
    return dict(angles=np.arctan2(along[:, 1], along[:, 0]), det_spacing=ds, det_shift=_dot(middle, along))


def _fan(vectors: np.ndarray) -> dict[str, Any]:
    """The source, the detector's centre and the step between its pixels, (x, y) each."""
    source, middle, step = vectors.reshape(-1, 3, 2).transpose(1, 0, 2)
    along, ds = _directions(step)
    away = np.stack([-along[:, 1], along[:, 0]], axis=1)  # from the source to the detector
    R, Rd = -_dot(source, away), _dot(middle, away)
    _agree(_dot(source, along), 0.0, abs(R).max(), "a detector at right angles to the ray through the axis")
    _agree(R, R[0], R[0], "a source that turns on a circle about the axis")
    _agree(Rd, Rd[0], R[0], "a detector that turns about the axis")
    angles = np.arctan2(along[:, 1], along[:, 0])
    distances = dict(source_distance=float(R[0]), detector_distance=float(Rd[0]))
    return dict(angles=angles, det_spacing=ds, det_shift=_dot(middle, along), **distances)


def _directions(step: np.ndarray) -> tuple[np.ndarray, float]:
    size = np.linalg.norm(step, axis=1)
    _agree(size, size[0], size[0], "detector pixels of one width")
    return step / size[:, None], float(size[0])


def _agree(found: np.ndarray, expected: Any, size: Any, what: str) -> None:
    if not (abs(found - expected) <= ROUNDING * size).all() or not (np.asarray(size) > 0).all():
        raise ValueError(f"proj_geom['Vectors'] is no geometry of ours; expected {what}")


OTHER = {"parallel": "FanBeamTransform.like", "fan": "RayTransform.like"}
CONVENTIONS: dict[str, Callable[..., dict[str, Any]]] = {"skimage": skimage, "astra": astra}


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1)
