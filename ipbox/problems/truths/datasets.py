"""The real images and measurements shipped in ``data/``: found, checked against their SHA-256, and loaded."""

from __future__ import annotations

import hashlib
import io
import math
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.checks import check_choice, check_integer
from ipbox.io.hounsfield import hu_to_attenuation

_PYRADIOMICS = ("pyradiomics 3.0.1 (https://github.com/AIM-Harvard/pyradiomics)", "BSD-3-Clause, see data/README.md")


@dataclass(frozen=True)
class Dataset:
    """One data set: its files with their SHA-256 (arrays of several files are joined), source and licence."""

    files: dict[str, str]
    source: str
    licence: str


DATASETS: dict[str, Dataset] = {
    "ct_lung1": Dataset(
        {"ct_lung1.npz": "c4f394ec4d6c73dd72ea38dffb29972a8557c1e1a0094346ae8d65cd001cd37b"}, *_PYRADIOMICS
    ),
    "ct_lung2": Dataset(
        {
            "ct_lung2a.npz": "f5923c025484b1b73c1060bcfaceaeaca52f7d6c270095c41618055c7c2f4c26",
            "ct_lung2b.npz": "d8da5cc1395690ac88bee67569c0e797411383bb9b0839d3c8749a981eaf8f89",
        },
        *_PYRADIOMICS,
    ),
    "ct_lung2_full": Dataset(
        {"ct_lung2_full.npz": "892a12e13c00b2ba6fa726b57ee4f250d73f5699a6ac3944c45108c90a3fb685"}, *_PYRADIOMICS
    ),
    "foe_48": Dataset(
        {"foe_48.npz": "84408c87c65b4ae7deada7e746a70133d3441c9a3d76ae3bdab946da7a5c055d"},
        "learned from mr_brain by tests/bench/bilevel/foe_training.py",
        "BSD-3-Clause, see data/README.md",
    ),
    "mni": Dataset(
        {"mni.npz": "9e7a906edb04c1bd32c943b488bd813326e7753d3eba1518cf722c113898912c"},
        "MNI ICBM152 2009, cut from nilearn 0.14.1 (https://github.com/nilearn/nilearn)",
        "ICBM: free use with its notice, see data/README.md",
    ),
    "mr_brain": Dataset(
        {"mr_brain.npz": "d6dcacab08c9312b60174e58237e71a8099e32dd580cd780922715f1841b6250"}, *_PYRADIOMICS
    ),
    "tomo_haadf": Dataset(
        {"tomo_haadf.npz": "06f048c950454935a9f48f938e2cbf734807faf235abf80d386f7ef2517881c2"},
        "etspy 1.3.0 (https://github.com/usnistgov/etspy)",
        "NIST public licence, see data/README.md",
    ),
}

# pixel widths in mm of the original 512 x 512 slices
_PIXEL_MM = {"train": 0.5703125, "test": 0.6269531}
LUNGS = {"train": "ct_lung1", "test": "ct_lung2"}
_FULL_SLICES = (5, 17, 29, 41, 53)  # the slices of ct_lung2 that ct_lung2_full holds at 512 x 512


def folders() -> list[Path]:
    """Where data files are looked for: ``$IPBOX_DATA`` alone where it is set, else the repository, then packages."""
    if os.environ.get("IPBOX_DATA"):
        return [Path(os.environ["IPBOX_DATA"])]
    package = Path(__file__).resolve().parents[2]
    weights = find_spec("ipbox_weights")  # of the distribution ipbox-weights, which data/pyproject.toml makes
    apart = [] if weights is None else [Path(folder) for folder in weights.submodule_search_locations or ()]
    return [package.parent / "data", package / "data", *apart]


def paths(name: str) -> tuple[Path, ...]:
    """The files of the data set ``name``.

    Raises
    ------
    ValueError
        for an unknown name.
    FileNotFoundError
        where a file is missing.

    Examples
    --------
    >>> from ipbox.problems.truths import datasets
    >>> [p.name for p in datasets.paths("tomo_haadf")]
    ['tomo_haadf.npz']
    """
    return tuple(find(file) for file in _dataset(name).files)


def load(name: str) -> dict[str, np.ndarray]:
    """The arrays of the data set ``name``, after a check of its files' SHA-256.

    Parameters
    ----------
    name : str
        One of ``DATASETS``, such as ``"ct_lung1"``; ``data/README.md`` describes them.

    Raises
    ------
    ValueError
        for an unknown name, or a file whose SHA-256 is not the recorded one.
    FileNotFoundError
        where a file is missing.

    Examples
    --------
    >>> from ipbox.problems.truths import datasets
    >>> datasets.load("ct_lung2_full")["hu"].shape
    (5, 512, 512)
    """
    parts = []
    for file, sha256 in _dataset(name).files.items():
        path = find(file)
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise ValueError(f"{path} has SHA-256 {found}; expected {sha256}: the file is damaged, fetch it again")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            parts.append(dict(arrays))
    if len(parts) == 1:
        return parts[0]
    return {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}


def _dataset(name: str) -> Dataset:
    return DATASETS[check_choice(name, "name", DATASETS)]


def credit(name: str) -> dict[str, str]:
    """Source and licence of a data set, as `ProblemInfo` has them."""
    return {"source": DATASETS[name].source, "licence": DATASETS[name].licence}


def find(file: str) -> Path:
    """The data file of this name, in the first of `folders` that has it."""
    for folder in folders():
        if (folder / file).is_file():
            return folder / file
    looked = " or ".join(str(folder) for folder in folders())
    weights = ", in ipbox-weights (pip install ./data in a clone)" if file.endswith(".safetensors") else ""
    raise FileNotFoundError(f"{file} is not in {looked}; expected there{weights}, or in the folder IPBOX_DATA names")


# ---------------------------------------------------------------- chest CT slices


def field_of_view(shape: tuple[int, int]) -> np.ndarray:
    """The disc inscribed in an image: True where a pixel's centre lies in it (bool, of ``shape``).

    Examples
    --------
    >>> from ipbox.problems.truths.datasets import field_of_view
    >>> field_of_view((4, 4)).astype(int)
    array([[0, 1, 1, 0],
           [1, 1, 1, 1],
           [1, 1, 1, 1],
           [0, 1, 1, 0]])
    """
    ny, nx = shape
    y, x = np.ogrid[:ny, :nx]
    return (x - (nx - 1) / 2) ** 2 + (y - (ny - 1) / 2) ** 2 <= (min(ny, nx) / 2) ** 2


def lung_slice(index: int, size: int | None = None, patient: str = "test") -> tuple[np.ndarray, float]:
    """A chest-CT slice as attenuation.

    Other sizes than the stored one are exact area averages of the finest slice there is.

    Parameters
    ----------
    index : int
        Slice.  For the test patient, 0 to 4 are the five slices stored at 512 x 512 and 5 to 60 the others, stored at
        256 x 256, each from one end of the chest to the other; so an index means the same slice at every size.  The
        training patient has 0 to 47, stored at 256 x 256.
    size : int, optional
        Pixels a side, at most the stored size, which is the default.
    patient : str
        ``"test"`` or ``"train"``: two different people; train on one, report on the other.

    Returns
    -------
    image : numpy.ndarray
        Attenuation in 1/mm, (size, size) float64, row 0 is the chest's front.
    pixel_size : float
        Width of a pixel in mm.

    Raises
    ------
    ValueError
        for an unknown patient, a slice that does not exist, or a size that is not positive or beyond the stored one.

    Examples
    --------
    >>> from ipbox.problems.truths.datasets import lung_slice
    >>> image, h = lung_slice(0, size=256)
    >>> image.shape, round(h, 3)
    ((256, 256), 1.254)
    """
    fine, width = _finest_slice(index, patient)
    n = fine.shape[0]
    size = n if size is None else size
    check_integer(size, "size", 1, n, ", the stored size of this slice")
    return area_average(fine, (size, size)), width * n / size


def _finest_slice(index: int, patient: str) -> tuple[np.ndarray, float]:
    """The slice at its stored size, and its pixel width in mm."""
    check_choice(patient, "patient", _PIXEL_MM)
    count = 48 if patient == "train" else 61
    check_integer(index, "slice", 0, count - 1, f", the slices of patient {patient!r}")
    if patient == "train":
        hu = load("ct_lung1")["hu"][index]
    elif index < len(_FULL_SLICES):
        hu = load("ct_lung2_full")["hu"][index]
    else:
        others = [k for k in range(count) if k not in _FULL_SLICES]
        hu = load("ct_lung2")["hu"][others[index - len(_FULL_SLICES)]]
    return hu_to_attenuation(hu), _PIXEL_MM[patient] * 512 / hu.shape[0]


def area_average(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The mean of a piecewise constant ``image`` over each pixel of a grid of ``shape`` on the same square.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.truths.datasets import area_average
    >>> area_average(np.array([[0.0, 0.0, 3.0]]), (1, 2))
    array([[0., 2.]])
    """
    rows, cols = (_overlaps(n, m) for n, m in zip(image.shape, shape, strict=True))
    return np.ascontiguousarray((cols @ (rows @ image).T).T)


def _overlaps(n: int, m: int) -> Any:
    """Sparse (m, n) matrix: the share of each of n cells in each of m equal cells of the same interval."""
    from scipy.sparse import csr_array

    if n % m == 0:
        k = n // m
        return csr_array((np.full(n, 1 / k), (np.arange(n) // k, np.arange(n))), shape=(m, n))
    # in units in which both grids have integer edges, so that no overlap is a rounding error
    big = math.lcm(n, m)
    edges = np.unique(np.concatenate([np.arange(n + 1) * (big // n), np.arange(m + 1) * (big // m)]))
    start, length = edges[:-1], np.diff(edges)
    return csr_array((length * (m / big), (start // (big // m), start // (big // n))), shape=(m, n))
