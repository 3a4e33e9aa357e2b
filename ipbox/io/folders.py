"""Folders of public data sets as they are downloaded: LIDC-IDRI (chest CT) and fastMRI (k-space), read lazily."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np

from ipbox import summary
from ipbox.checks import check_choice
from ipbox.io.checks import folder
from ipbox.io.formats.dicom import Volume, dicom_files, read_dicom_series
from ipbox.io.formats.dicom_slices import read_header
from ipbox.io.hounsfield import hu_to_attenuation
from ipbox.io.raw.fastmri import read_fastmri, read_shape
from ipbox.io.splits import split_by_patient
from ipbox.keywords import answering


@answering
@dataclass(frozen=True)
class LidcIdri:
    """The LIDC-IDRI chest CT collection: root/LIDC-IDRI-0001/<study>/<series>/*.dcm, as TCIA downloads it.

    Nothing is read before it is asked for.

    Parameters
    ----------
    root : str or path
        The folder with the patients' folders, or the one that has it as LIDC-IDRI.

    Raises
    ------
    FileNotFoundError, ValueError
        for a folder that does not exist or has no patient; from its methods also for what `read_dicom_series` refuses.

    References
    ----------
    Armato et al., The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative (IDRI), Medical
    Physics 38, 2011.

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.LidcIdri("no such folder")
    Traceback (most recent call last):
    FileNotFoundError: root is no such folder; there is no such folder
    """

    root: str | os.PathLike

    def __post_init__(self) -> None:
        if not self.patients:
            raise ValueError(f"root is {self.root}, which has no folder LIDC-IDRI-...; expected those of the patients")

    @cached_property
    def patients(self) -> tuple[str, ...]:
        """Names of the patients' folders, LIDC-IDRI-0001 and so on."""
        return tuple(sorted(path.name for path in self._home.glob("LIDC-IDRI-*") if path.is_dir()))

    @cached_property
    def _home(self) -> Path:
        root = folder(self.root)
        inner = root / "LIDC-IDRI"
        return inner if inner.is_dir() else root

    def series(self, patient: str) -> tuple[Path, ...]:
        """The folders of the patient's CT series; radiographs (CR, DX) are left out.  Reads one header each."""
        if patient not in self.patients:
            raise ValueError(
                f"patient is {patient!r}; expected one of the {len(self.patients)} folders of {self._home}"
            )
        found = []
        for path in sorted(self._home.joinpath(patient).glob("*/*")):
            files = dicom_files(path) if path.is_dir() else []
            if files and read_header(files[0], "root")[0].about["modality"] == "CT":
                found.append(path)
        return tuple(found)

    def volume(self, patient: str, series: int | None = None) -> Volume:
        """The patient's CT in Hounsfield units; ``series`` is needed where there are several."""
        found = self.series(patient)
        if not found:
            raise ValueError(f"patient is {patient!r}, who has no CT series")
        if series is None and len(found) > 1:
            raise ValueError(f"series is not given; {patient} has {len(found)}, expected a number from 0")
        if not 0 <= (series or 0) < len(found):
            raise ValueError(f"series is {series}; {patient} has series 0 to {len(found) - 1}")
        return read_dicom_series(found[series or 0], name="root")

    def volumes(self, patients: Iterable[str] | None = None) -> Iterator[tuple[str, Volume]]:
        """(patient, CT) one after the other, all series of the patients; one volume in memory at a time."""
        for patient in self.patients if patients is None else patients:
            for k in range(len(self.series(patient))):
                yield patient, self.volume(patient, k)

    def slices(
        self, patients: Iterable[str] | None = None, unit: str = "attenuation"
    ) -> Iterator[tuple[str, np.ndarray, float]]:
        """(patient, image, pixel width in mm) from the feet up, in 1/mm (``"attenuation"``) or ``"hu"``; float32."""
        check_choice(unit, "unit", ("attenuation", "hu"))
        return self._slices(patients, unit)

    def _slices(self, patients: Iterable[str] | None, unit: str) -> Iterator[tuple[str, np.ndarray, float]]:
        for patient, volume in self.volumes(patients):
            for image in volume.array:
                yield patient, image if unit == "hu" else hu_to_attenuation(image), volume.spacing[1]

    def split(self, fractions: Mapping[str, float] | None = None, seed: int = 0) -> dict[str, tuple[str, ...]]:
        """Patients of each part: `split_by_patient`."""
        return split_by_patient(self.patients, fractions, seed=seed)


@dataclass(frozen=True)
class FastMRISlice:
    """One slice: k-space (coils, ny, nx) or (ny, nx), target and mask or None, the file's attributes, where from."""

    kspace: np.ndarray
    target: np.ndarray | None
    mask: np.ndarray | None
    attributes: dict[str, Any]
    file: Path
    index: int

    __repr__ = summary.of_fields


@answering
@dataclass(frozen=True)
class FastMRI:
    """A fastMRI data set: root/singlecoil_train/*.h5, root/multicoil_val/*.h5 and so on, as it is downloaded.

    Listing reads shapes and attributes only; a slice is read when it is indexed.

    Parameters
    ----------
    root : str or path
    challenge : str
        ``"singlecoil"`` or ``"multicoil"``.

    Raises
    ------
    FileNotFoundError, ValueError
        for a folder that does not exist or has no file of the challenge; from its methods also for what `read_fastmri`
        refuses, and files without a patient.

    References
    ----------
    Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI, arXiv:1811.08839, 2018.

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.FastMRI("no such folder", "singlecoil")
    Traceback (most recent call last):
    FileNotFoundError: root is no such folder; there is no such folder
    """

    root: str | os.PathLike
    challenge: str = "singlecoil"

    def __post_init__(self) -> None:
        check_choice(self.challenge, "challenge", ("singlecoil", "multicoil"))
        if not self.parts:
            raise ValueError(
                f"root is {self.root}, which has no folder {self.challenge}_train with .h5 files; expected one, "
                f"or {self.challenge}_val or {self.challenge}_test"
            )

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Those of train, val, test and challenge that have files."""
        return tuple(part for part in ("train", "val", "test", "challenge") if self._files(part))

    def files(self, part: str) -> tuple[Path, ...]:
        """The files of ``"train"``, ``"val"``, ``"test"`` or ``"challenge"``, sorted."""
        if part not in self.parts:
            raise ValueError(f"part is {part!r}; {self.root} has {', '.join(self.parts)} for {self.challenge}")
        return self._files(part)

    def _files(self, part: str) -> tuple[Path, ...]:
        home = folder(self.root)
        for name in (f"{self.challenge}_{part}", f"{self.challenge}_{part}_v2"):
            if found := tuple(sorted((home / name).glob("*.h5"))):
                return found
        return ()

    @cached_property
    def patients(self) -> dict[str, tuple[Path, ...]]:
        """Patients, by the attribute ``patient_id``, with their files of all parts."""
        found: dict[str, list[Path]] = {}
        for part in self.parts:
            for path in self._files(part):
                _, attributes = read_shape(path, "root")
                if not (patient := attributes.get("patient_id")):
                    raise ValueError(f"{path} has no attribute patient_id; expected one, to keep patients apart")
                found.setdefault(str(patient), []).append(path)
        return {patient: tuple(found[patient]) for patient in sorted(found)}

    def slices(self, part: str | None = None, patients: Iterable[str] | None = None) -> FastMRISlices:
        """The slices of a part, of patients, or of both; of everything without either."""
        files = [path for name in self.parts for path in self.files(name)] if part is None else list(self.files(part))
        if patients is not None:
            wanted = list(patients)
            if unknown := [p for p in wanted if p not in self.patients]:
                raise ValueError(f"patients names {unknown[0]!r}; expected some of the {len(self.patients)} patients")
            kept = {path for p in wanted for path in self.patients[p]}
            files = [path for path in files if path in kept]
        return FastMRISlices(files)

    def split(self, fractions: Mapping[str, float] | None = None, seed: int = 0) -> dict[str, tuple[str, ...]]:
        """Patients of each part: `split_by_patient`."""
        return split_by_patient(self.patients, fractions, seed=seed)


class FastMRISlices(Sequence[FastMRISlice]):
    """Slices of files, one read at a time, as indexed."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._where = [(path, k) for path in files for k in range(read_shape(path, "root")[0][0])]

    def __len__(self) -> int:
        return len(self._where)

    @overload
    def __getitem__(self, index: int) -> FastMRISlice: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[FastMRISlice]: ...

    def __getitem__(self, index: int | slice) -> FastMRISlice | Sequence[FastMRISlice]:
        if isinstance(index, slice):
            part = FastMRISlices(())
            part._where = self._where[index]
            return part
        path, k = self._where[index]
        read = read_fastmri(path, k, "root")
        target, mask = (None if of is None else of[0] for of in (read.target, read.mask))
        return FastMRISlice(read.kspace[0], target, mask, read.about, path, k)
