"""Raw scans of a known chest, as a beamline's NXtomo and a laboratory's .xtekct file, with what goes wrong in both."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.problems.truths.slices import held_out_slices
from tests.io.scan_writers import write_nikon, write_nxtomo

MICRONS = {f"instrument/detector/{axis}_pixel_size": "um" for axis in "xy"}


def counts(p: np.ndarray, light: float, gains: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a panel of unequal pixels counts of line integrals, with its dark current of 100."""
    return (100 + rng.poisson(light * gains * np.exp(-p))).clip(0, 65535).astype(np.uint16)


def parallel_scan(
    path: Path,
    size: int = 96,
    views: int = 150,
    rows: int = 4,
    shift: float = 3.3,
    light: float = 2e4,
    drift: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """An NXtomo file of slices over half a turn, the axis ``shift`` columns off; the truth in 1/mm, 1 mm pixels.

    Pixels have gains that differ by 3 %, which flats tell, and that change by ``drift`` after them, which makes rings.
    """
    rng = np.random.default_rng(seed)
    truth = held_out_slices("ct", size)[:rows].astype(np.float64)
    y, x = np.ogrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    truth *= (x / 0.94) ** 2 + (y / 0.8) ** 2 < 1  # a rim that is no circle about the axis, which stripes are too
    degrees, columns = 180.0 * np.arange(views) / views, size + 16
    A = ip.RayTransform((size, size), np.deg2rad(degrees), columns, 1.0, shift, 1.0, dtype="float64")
    p = np.stack([A.apply(u) for u in truth], axis=1)
    gains = 1 + 0.03 * rng.standard_normal((rows, columns))
    flats = counts(np.zeros((12, rows, columns)), light, gains, rng)
    darks = counts(np.full((5, rows, columns), np.inf), light, gains, rng)
    sizes = {name: 1000.0 for name in MICRONS}
    write_nxtomo(
        path,
        counts(p, light, gains * (1 + drift * rng.standard_normal(gains.shape)), rng),
        degrees,
        flats,
        darks,
        units=MICRONS,
        **sizes,
    )
    return truth


def cone_scan(folder: Path, size: int = 48, views: int = 120, light: float = 5e4, seed: int = 0) -> np.ndarray:
    """An .xtekct file of a whole turn of `ip.problem("cone")`, whose angles go the other way; the truth in 1/mm."""
    rng = np.random.default_rng(seed)
    A, b, truth, _ = ip.problem("cone", size=size, views=views, noise=0.0)
    white = counts(np.asarray(b, np.float64).clip(0), light, np.ones(1), rng) - np.uint16(100)
    settings = {"SrcToObject": A.source_distance, "SrcToDetector": A.source_distance + A.detector_distance}
    settings |= {"DetectorPixelSizeX": A.det_spacing[1], "DetectorPixelSizeY": A.det_spacing[0]}
    write_nikon(folder, white, 0.0, -360.0 / views, WhiteLevel=light, **settings)
    return truth
