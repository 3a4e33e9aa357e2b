"""From raw frames to line integrals, some rows at a time.

Nothing heavy is imported before the command runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import ipbox
from ipbox.cli.shared import UsageError

WIDTH = 0.01  # of what a stripe is, in widths of the panel: with more, edges of the object go too
FRAMES = 16  # flats and darks that are looked at for dead pixels


@dataclass
class Counted:
    """What the corrections met, over all rows."""

    readings: int = 0
    low: int = 0
    saturated: int = 0
    dead: int = 0
    zingers: int = 0
    offset: float = 0.0  # the largest one of a column
    rows: int = field(default=0, repr=False)

    def lines(self) -> list[str]:
        if not self.readings:  # line integrals, of which none was corrected
            return []
        told = {"without light": self.low, "saturated": self.saturated, "of dead pixels": self.dead}
        told |= {"hit by stray photons": self.zingers}
        found = ", ".join(f"{count} {what}" for what, count in told.items() if count)
        return [f"readings: {self.readings}, {found or 'all in range'}"]


class Corrected:
    """Line integrals (views, rows, columns) of some rows of a scan, as float32.

    Counts are averaged over those of ``bin`` x ``bin`` pixels that live, divided by the flat field, filled in where
    none lives, cleared of stray photons, and after the logarithm of stripes.  From ``saturation`` counts on, by default
    the most that the file's type holds, a reading is saturated.  Without flats the projections are taken for line
    integrals.
    """

    def __init__(
        self, scan: Any, bin: int, zingers: bool, linear: bool, stripes: bool = False, saturation: float | None = None
    ) -> None:
        import numpy as np

        self.bin, self.stripes, self.zingers, self.linear = bin, stripes, zingers, linear
        _, rows, columns = scan.shape
        if min(rows, columns) < bin:
            raise UsageError(f"--bin is {bin}; FILE has {rows} x {columns} pixels, expected less")
        # what is left over at the lower and the right end goes first, so that binning moves no middle
        self.scan = scan.part(rows=slice(rows // bin * bin), columns=slice(columns // bin * bin))
        self.shape = (scan.shape[0], rows // bin, columns // bin)
        self.counted = Counted()
        self.variance = 0.0  # of the noise, summed over the readings that came last
        dtype = scan.projections.dtype
        self.full = float(np.iinfo(dtype).max) if saturation is None and dtype.kind in "iu" else saturation
        flats, darks = (None if frames is None else frames[:] for frames in (self.scan.flats, self.scan.darks))
        self.live = np.ones(self.scan.shape[1:], dtype=bool)
        if not linear:
            self.live = ~_dead(flats, darks)
            # without any light a pixel is dead to flat_field too, which fills it in and counts it
            flats, darks = (None if frames is None else frames * self.live for frames in (flats, darks))
        every = slice(0, self.shape[1])
        flats, self.darks = (None if frames is None else self._binned(frames, every) for frames in (flats, darks))
        self.flats = _in_time(self.scan, flats)
        self.seeing = self._parts(self.live[None]).any(axis=(0, 2, 4)).any(axis=1)  # rows of which a pixel lives

    def geometry(self) -> Any:
        """That of the binned pixels."""
        from dataclasses import replace

        geometry = self.scan.geometry
        size = geometry.pixel_size
        return geometry if size is None else replace(geometry, pixel_size=(size[0] * self.bin, size[1] * self.bin))

    def __call__(self, rows: slice, count: bool = True) -> Any:
        """The line integrals of some rows; ``count`` adds what was met to what is told."""
        import numpy as np

        from ipbox import measured
        from ipbox.measured.noise import LEAST, told_by_flats

        asked, rows = rows, self._around(rows)
        own = slice(asked.start - rows.start, asked.stop - rows.start)
        counts = self._binned(self.scan.projections[:, rows.start * self.bin : rows.stop * self.bin], rows)
        if self.linear:
            if not np.isfinite(counts).all():
                raise ValueError("FILE has NaN or infinite entries; expected finite line integrals")
            b = np.ascontiguousarray(counts, dtype=np.float32)
            hits = 0
        else:
            flats, after, darks = (None if of is None else of[:, rows] for of in (*self.flats, self.darks))
            fields: dict[str, Any] = {"flats_after": after, "saturation": self.full, "dtype": "float32"}
            T, guard = measured.flat_field(counts, flats, darks, **fields)
            hits = 0
            if self.zingers and len(T) > 2:
                T, where = measured.remove_zingers(T)
                hits = int(where[:, own].sum())
            b = measured.minus_log(T)[:, own]
            known = darks if darks is not None and len(darks) >= LEAST else None
            if flats is not None and len(flats) >= LEAST and told_by_flats(T, flats, known):
                sigma = measured.noise_from_flats(T, flats, known)[:, own]
                self.variance = float((sigma**2).sum(dtype=np.float64))
            if count:
                self.counted.readings += b.size
                for name in ("low", "saturated", "dead"):
                    vars(self.counted)[name] += vars(guard)[name]
        if self.stripes:
            b, offsets = measured.remove_stripes(b, width=min(5.0, max(1.0, b.shape[-1] * WIDTH)))
            if count:
                self.counted.offset = max(self.counted.offset, float(abs(offsets).max()))
        if count:
            self.counted.zingers += hits
        return b

    def _around(self, rows: slice) -> slice:
        """These rows, and where dead ones are at their ends those up to one that lives, which fills them in."""
        import numpy as np

        living = np.flatnonzero(self.seeing)
        if self.linear or not living.size:
            return rows
        before, behind = living[living <= rows.start], living[living >= rows.stop - 1]
        begin = before[-1] if before.size else 0
        end = behind[0] + 1 if behind.size else self.shape[1]
        return slice(int(begin), int(end))

    def _parts(self, frames: Any) -> Any:
        """(frames, rows, n, columns, n), of n x n pixels each."""
        n = self.bin
        return frames.reshape(frames.shape[0], frames.shape[1] // n, n, frames.shape[2] // n, n)

    def _binned(self, frames: Any, rows: slice) -> Any:
        """Means of the pixels that live; a saturated one makes its mean so, which would hide it."""
        import numpy as np

        if self.bin == 1:
            return frames
        live = self._parts(self.live[None, rows.start * self.bin : rows.stop * self.bin])
        parts = self._parts(frames)
        sums = np.where(live, parts, 0).sum(axis=(2, 4), dtype=np.float64)
        means = (sums / np.maximum(live.sum(axis=(2, 4)), 1)).astype(np.float32)
        if self.full is not None:
            means[((parts >= self.full) & live).any(axis=(2, 4))] = self.full
        return means


def _dead(flats: Any, darks: Any) -> Any:
    """Pixels of the panel that do not see as those beside them do."""
    from ipbox import measured

    few = (None if frames is None else frames[:: -(-len(frames) // FRAMES)] for frames in (flats, darks))
    return measured.dead_pixels(*few)


def _in_time(scan: Any, flats: Any) -> tuple[Any, Any]:
    """Flats before and after the views, where the file tells that there are both: the beam may have changed."""
    import numpy as np

    at, views = (np.array(scan.about.get(name, ())) for name in ("flats_at", "views_at"))
    if flats is None or len(at) != len(flats) or not len(views):
        return flats, None
    early, late = at < views.min(), at > views.max()
    if not early.any() or not late.any():
        return flats, None
    return (flats[early], flats[late]) if views[0] <= views[-1] else (flats[late], flats[early])


def striped(b: Any) -> float:
    """How much columns differ for good from their neighbours, in units of what noise does: about 1 without stripes.

    Of line integrals (views, rows, columns).  Medians over the views of second differences along the columns see
    little of the object, whose edges pass a column in few views; what pairs of neighbouring rows have in common, such
    as a rim about the axis, is taken from them.
    """
    import numpy as np

    d = np.diff(b, 2, axis=-1)
    pairs = d.shape[1] // 2
    if pairs:
        d = d[:, 1 : 2 * pairs : 2] - d[:, 0 : 2 * pairs : 2]
    noise = 1.2533 * np.median(abs(np.diff(d, axis=0))) / math.sqrt(2 * len(d))  # of a median over the views
    offset = np.median(abs(np.median(d, axis=0)))
    return float(offset / noise) if noise > 0 else 0.0


def opened(args: Any) -> Any:
    """The scan that the command line names."""
    from ipbox.cli.scan import read_angles

    geometry = {name: vars(args)[name] for name in ("beam", "source_distance", "detector_distance")}
    scan = ipbox.read_scan(
        args.file,
        flats=args.flats,
        darks=args.darks,
        pixel_size=args.pixel_size,
        entry=args.entry,
        name="FILE",
        **geometry,
    )
    if args.angles is not None:
        from dataclasses import replace

        scan = replace(scan, angles=read_angles(args, scan.shape[0], f"FILE has {scan.shape[0]} views"))
    if scan.angles is None:
        raise UsageError(f"FILE {args.file} does not tell the angles; expected --angles start:stop:n, or a file")
    if scan.flats is None and not args.linear:
        raise UsageError(f"FILE {args.file} has no flat field; expected --flats, or --linear for line integrals")
    return scan.part(views=slice(None, None, args.every))
