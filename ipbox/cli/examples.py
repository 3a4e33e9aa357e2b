"""What the help of each command shows: commands to copy, and what they do."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "demo": (
        ("demo ct", "a chest-CT slice by three methods: a table, and build/ct.png"),
        ("demo pet --size 64 --counts 2e5", "a smaller brain, with fewer counts"),
        ("demo learned --slices 1 --methods fbp tv", "some methods of the demonstration alone"),
    ),
    "compare": (
        ("compare ct", "eleven methods; λ and stopping from the noise level alone"),
        ("compare ct --size 128 --views 30 --noise 0.02", "fewer views, more noise"),
        ("compare ct --methods tv tgv --once --json compare.json", "two of them, with a report"),
    ),
    "reconstruct": (
        ("reconstruct scan.npy --angles 0:180:90 --degrees --method fbp --out image.png", "90 views, half a turn"),
        ("reconstruct scan.h5 --dataset entry/b --angles tilt.npy --method tv --lam gcv --out x.npy", "λ by a rule"),
        ("reconstruct counts.tif --flat flat.tif --dark 100 --angles tilt.npy --method cgls --out x.npy", "counts"),
    ),
    "scan": (
        ("scan scan.nxs --out volume.tif", "a beamline's file: flats, darks and the axis of rotation are found"),
        ("scan scan.nxs --method tv --rows 100:140 --bin 2 --out slab.tif", "40 rows, total variation couples slices"),
        ("scan bone.xtekct --method fdk --bin 4 --out bone.nii.gz", "a laboratory's cone-beam scan"),
        ("scan folder --angles 0:180:901 --degrees --pixel-size 0.0065 --out volume.h5", "TIFF files, 901 views"),
        ("scan series.st --linear --method cgls --centre 511.5 --out volume.tif", "a tilt series, its axis known"),
    ),
    "benchmark": (
        ("benchmark posterior --samplers ula --steps 100 --samples 200", "one sampler, against answers that are known"),
    ),
    "info": (
        ("info", "versions, threads, where data and compiled kernels are: for a report of a fault"),
        ("info --classes", "which class takes which arrays and dtypes"),
    ),
}


def told(command: str) -> str:
    """The examples of a command, as the end of its help.

    Examples
    --------
    >>> from ipbox.cli.examples import told
    >>> print(told("info").splitlines()[1])
      python -m ipbox info
    """
    lines = [line for words, what in EXAMPLES[command] for line in (f"  python -m ipbox {words}", f"      {what}")]
    return "\n".join(["examples:", *lines])
