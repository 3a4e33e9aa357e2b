"""From a scan as it was measured to line integrals, in one call."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import backend, figures, reports, summary
from ipbox.backend import Array
from ipbox.checks import check_between, check_flag, check_integer, check_positive, check_type, counted
from ipbox.keywords import answering
from ipbox.measured.centre import Centre, find_centre
from ipbox.measured.hardening import correct_hardening
from ipbox.measured.noise import LEAST, noise_from_flats, noise_from_views, told_by_flats
from ipbox.measured.panel import Panel, bin_pixels
from ipbox.measured.phase import paganin
from ipbox.measured.pixels import dead_pixels, fill_in, remove_zingers
from ipbox.measured.readings import by_rows, check_frames, check_readings
from ipbox.measured.stripes import remove_stripes
from ipbox.measured.transmission import Guard, flat_field, minus_log
from ipbox.operators.tomography.geometry import check_angles


@dataclass(frozen=True)
class Preparation:
    """What became of a scan, and what is to be known of it.

    Attributes
    ----------
    det_shift, det_spacing : float
        As the operators take them.
    centre : Centre or None
        The axis of rotation, where it was looked for; ``column`` is that of b, after binning.
    noise_level : float
        δ, the expected norm of the noise in b: as ``noise_level`` of λ="discrepancy" and of stop rules.
    noise_from : str
        "flats" or "views": what told it.
    guard : Guard
        Zero, negative and saturated readings, and those of pixels without light.
    dead, zingers : int
        Pixels of the panel, and single readings, that were filled in.
    stripes : float
        Root mean square of what was taken from the columns; 0 where nothing was.
    steps : list of str
        What was done, in order.
    seconds : float
    trusted : array of bool
        False where a reading was made up or held by the guard, of the shape of b; as ``weights`` of `fbp` and the like.
    middle : dict
        Sinograms of the row in the middle, for the picture: "before" (fields and logarithm only) and "after".

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> rng, angles = np.random.default_rng(0), np.linspace(0, np.pi, 60, endpoint=False)
    >>> A = ip.RayTransform((48, 48), angles, n_det=64)
    >>> b_true = A.apply(ip.problem("ct", size=48, views=4)[2]) / 2
    >>> counts, flats = rng.poisson(5000 * np.exp(-b_true)), rng.poisson(5000.0, (20, 64))
    >>> b, info = ip.measured.prepare(counts, flats, angles=angles)
    >>> abs(info.det_shift) < 1, info.noise_level > 0
    (True, True)
    """

    det_shift: float
    det_spacing: float
    centre: Centre | None
    noise_level: float
    noise_from: str
    guard: Guard
    dead: int
    zingers: int
    stripes: float
    steps: list[str]
    seconds: float
    trusted: Array = field(repr=False)
    middle: dict[str, np.ndarray] = field(repr=False)

    __repr__ = summary.of_fields
    report = reports.of_fields

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """The sinogram in the middle before and after, and what is not trusted; saved at ``path`` where given.

        Returns
        -------
        matplotlib.figure.Figure
        """
        before, after, trusted = (self.middle[name] for name in ("before", "after", "trusted"))
        low, high = np.percentile(after, [0.5, 99.5])
        figure = figures.new(path, figsize=(11, 3.8))
        titles = "fields and logarithm only", "prepared", f"not trusted: {(~trusted).mean():.2%} of this row"
        for k, (title, image) in enumerate(zip(titles, (before, after, ~trusted), strict=True)):
            ax = figure.add_subplot(1, 3, k + 1)
            limits = {"vmin": low, "vmax": high} if k < 2 else {"vmin": 0, "vmax": 1}
            drawn = ax.imshow(image, aspect="auto", cmap="gray", interpolation="nearest", **limits)
            ax.set_title(title, fontsize=10)
            ax.set_xlabel("column")
            ax.set_ylabel("view")
            if k == 1:
                figure.colorbar(drawn, ax=ax, label="line integral")
            if k == 1 and self.centre is not None:
                ax.axvline(self.centre.column, color="r", linestyle="--", linewidth=1)
        return figures.shown(figure, path)


@answering
def prepare(
    projections: Array,
    flats: Array,
    darks: Array | None = None,
    *,
    angles: Any,
    flats_after: Array | None = None,
    saturation: float | None = None,
    floor: float = 1e-4,
    dead: bool = True,
    zingers: bool = True,
    stripes: float | None = 2.5,
    hardening: Any = None,
    phase: Mapping[str, Any] | None = None,
    binning: int = 1,
    centre: float | bool = True,
    source_distance: float | None = None,
    detector_distance: float = 0.0,
    det_spacing: float = 1.0,
    dtype: Any = None,
) -> tuple[Array, Preparation]:
    """Line integrals of a measured scan: every step of this room that is asked for, in the order that is right.

    Pixels are binned as counts; dead pixels and zingers go before the logarithm, which would spread them; stripes
    after it, where gains add; phase retrieval and beam hardening, which mix and bend what they get, after that; and the
    axis is looked for at the end.

    Parameters
    ----------
    projections, flats, darks, flats_after, saturation, floor, dtype
        As those of `flat_field`: counts (views, rows, columns) or (views, columns), and frames (n, rows, columns).
    angles : array
        In radians, one for each view.
    dead, zingers : bool
        Whether to look for `dead_pixels` and to `remove_zingers`.
    stripes : float, optional
        ``width`` of `remove_stripes`; None leaves them.
    hardening : sequence of float, optional
        Coefficients of `correct_hardening`.
    phase : dict, optional
        Keywords of `paganin`, whose pixel_size is that after binning.
    binning : int
        As `bin_pixels` does.
    centre : float or bool
        The column of the axis before binning, where it is known; True looks for it by `find_centre`, False takes the
        panel's middle.
    source_distance, detector_distance, det_spacing : float, optional
        Of the geometry, as `find_centre` takes them; det_spacing before binning.

    Returns
    -------
    b : array
        Line integrals, (views, rows, columns) or (views, columns).  For parallel beam, a stack of slices is
        ``b.transpose(1, 0, 2)``.
    info : Preparation
        With ``det_shift``, ``det_spacing``, ``noise_level`` and ``trusted`` for what comes next.

    Raises
    ------
    TypeError, ValueError
        for what its steps refuse.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> rng, angles = np.random.default_rng(0), np.linspace(0, np.pi, 90, endpoint=False)
    >>> A = ip.RayTransform((64, 64), angles, n_det=96, det_shift=3.0)
    >>> b_true = A.apply(ip.problem("ct", size=64, views=4)[2]) / 2
    >>> counts, flats = rng.poisson(5000 * np.exp(-b_true)), rng.poisson(5000.0, (20, 96))
    >>> b, info = ip.measured.prepare(counts, flats, angles=angles)
    >>> round(info.det_shift), bool(abs(info.noise_level / np.linalg.norm(b - b_true) - 1) < 0.2)
    (3, True)
    """
    start = time.perf_counter()
    check_readings(projections, "projections", views=3)
    panel, steps = projections.shape[1:], []
    a = check_angles(angles)
    if a.size != len(projections):
        raise ValueError(
            f"angles has {counted(a.size, 'entry')}; projections has {counted(len(projections), 'view')}, "
            "expected one for each"
        )
    check_flag(dead, "dead"), check_flag(zingers, "zingers")
    check_integer(binning, "binning", 1, min(panel), " of the panel")
    check_positive(det_spacing, "det_spacing")
    if not isinstance(centre, bool):
        check_between(centre, "centre", 0, panel[-1] - 1, "[]", "a column of the panel, True or False")
    if stripes is not None:
        check_positive(stripes, "stripes", "a positive number of columns, or None")
    if phase is not None:
        check_type(phase, "phase", Mapping, "a dictionary of the keywords of paganin")
    fields = [
        None if f is None else check_frames(f, name, panel)
        for f, name in ((flats, "flats"), (darks, "darks"), (flats_after, "flats_after"))
    ]
    full = (
        float(np.iinfo(projections.dtype).max) if saturation is None and projections.dtype.kind in "iu" else saturation
    )
    lost = None
    bad = dead_pixels(fields[0], fields[1]) if dead else None
    if binning > 1:
        lost = _any_saturated(projections, full, binning)
        projections, fields, bad = _binned(projections, fields, bad, binning)
        steps.append(f"binned by {binning}")
    T, guard = flat_field(
        projections, fields[0], fields[1], flats_after=fields[2], saturation=full, floor=floor, dtype=dtype
    )
    steps.append("flat and dark fields")
    trusted = guard.trusted if lost is None else guard.trusted & ~lost
    raw = by_rows(minus_log(T))[:, by_rows(T).shape[1] // 2]
    if bad is not None:
        T, trusted = fill_in(T, bad), trusted & ~bad
        steps.append(f"{int(bad.sum())} dead pixels filled in")
    hits = 0
    if zingers:
        T, where = remove_zingers(T)
        trusted, hits = trusted & ~where, int(where.sum())
        steps.append(f"{hits} zingers removed")
    b = minus_log(T)
    steps.append("logarithm")
    taken = 0.0
    if stripes is not None:
        b, offsets = remove_stripes(b, width=stripes)
        taken = backend.norm(offsets) / offsets.size**0.5
        steps.append(f"stripes of {taken:.2g} removed")
    sigma = noise_from_flats(T, fields[0], fields[1]) if _told_by_flats(T, fields, hardening, phase) else None
    if phase is not None:
        b = paganin(backend.array_module(b).exp(-b), **phase)
        steps.append("phase retrieved")
    if hardening is not None:
        b = correct_hardening(b, hardening)
        steps.append("beam hardening corrected")
    width, known = det_spacing * binning, None
    n = b.shape[-1]
    if centre is True:
        known = find_centre(
            b, a, source_distance=source_distance, detector_distance=detector_distance, det_spacing=width
        )
        steps.append(f"axis found at column {known.column:.2f}")
        shift = known.det_shift
    else:
        old = 0.5 * (panel[-1] - 1) if centre is False else float(centre)
        shift = (0.5 * (n - 1) - (old - 0.5 * (binning - 1)) / binning) * width
    level, told = (backend.norm(sigma), "flats") if sigma is not None else (noise_from_views(b), "views")
    after, sure = (backend.to_host(by_rows(x)[:, by_rows(x).shape[1] // 2]) for x in (b, trusted))
    middle = {"before": backend.to_host(raw), "after": after, "trusted": sure}
    bad_pixels = 0 if bad is None else int(bad.sum())
    found = (known, level, told, guard, bad_pixels, hits, taken, steps, time.perf_counter() - start, trusted, middle)
    return b, Preparation(shift, width, *found)


def _told_by_flats(T: Array, fields: list[Any], hardening: Any, phase: Any) -> bool:
    """Whether the frames tell the noise of b: there are enough of them, and nothing bends or smooths b."""
    enough = all(f is None or len(f) >= LEAST for f in fields[:2])
    return enough and hardening is None and phase is None and told_by_flats(T, *fields[:2])


def _any_saturated(x: Array, full: float | None, by: int) -> Array:
    """Where one of the pixels that are binned is saturated."""
    count = [n // by for n in x.shape[1:]]
    much = x >= (np.inf if full is None else full)
    inner = much[(slice(None), *(slice(0, m * by) for m in count))]
    return inner.reshape(len(x), *(k for m in count for k in (m, by))).any(axis=tuple(range(2, 2 * len(count) + 1, 2)))


def _binned(x: Array, fields: list[Any], bad: Array | None, by: int) -> tuple[Array, list[Any], Array | None]:
    """Counts and frames of wider pixels; dead pixels are filled in before, and then there are none."""
    shape = x.shape[1:]
    panel = Panel(shape, (1.0,) * len(shape), (0.0,) * len(shape))

    def wider(frames: Array) -> Array:
        frames = frames.astype(np.float32) if frames.dtype.kind in "iub" else frames
        return bin_pixels(frames if bad is None else fill_in(frames, bad), panel, by)[0]

    fields = [None if f is None else wider(f) for f in fields]
    return wider(x), fields, None
