"""What the k-space readers return, and the ISMRMRD header both kinds of file carry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ipbox import summary


@dataclass(frozen=True)
class KSpace:
    """Cartesian k-space of one examination, as centred orthonormal FFTs take it.

    Attributes
    ----------
    kspace : numpy.ndarray
        (slices, coils, ny, nx) complex64, zero frequency at (ny // 2, nx // 2); without the axis of coils where the
        file has none (fastMRI single coil).
    mask : numpy.ndarray or None
        (slices, ny, nx) bool, True where measured; None where the file does not say.
    target : numpy.ndarray or None
        (slices, rows, columns) float32: the reconstruction the file brings along.
    encoding : Encoding or None
        Matrices and fields of view of the file's ISMRMRD header.
    about : dict
        Everything else the file says; the readers list it.
    """

    kspace: np.ndarray = field(repr=False)
    mask: np.ndarray | None = field(repr=False)
    target: np.ndarray | None = field(repr=False)
    encoding: Encoding | None
    about: dict[str, Any] = field(repr=False)

    __repr__ = summary.of_fields


@dataclass(frozen=True)
class Encoding:
    """One encoding of an ISMRMRD header; axes in the order (z, y, x), lengths in mm.

    ``matrix`` and ``field_of_view`` are those of the measured k-space, with any oversampling; ``recon_matrix`` and
    ``recon_field_of_view`` those of the image to show; ``centre`` is the line of zero frequency, None where the header
    does not say.
    """

    trajectory: str
    matrix: tuple[int, int, int]
    field_of_view: tuple[float, float, float]
    recon_matrix: tuple[int, int, int]
    recon_field_of_view: tuple[float, float, float]
    centre: int | None


def encodings(xml: bytes | str) -> tuple[Encoding, ...]:
    """The encodings of an ISMRMRD header; a header with a document type, which may define entities, is refused.

    Raises
    ------
    ValueError
        for text that is no such header.
    """
    text = xml.decode("utf-8") if isinstance(xml, bytes) else xml
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("its header defines a document type or entities; expected plain XML")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as err:
        raise ValueError(f"its header is no complete XML: {err}") from err
    found = tuple(_encoding(node) for node in root.findall("{*}encoding"))
    if not found:
        raise ValueError("its header has no encoding")
    return found


def _encoding(node: ElementTree.Element) -> Encoding:
    limits = node.find("{*}encodingLimits/{*}kspace_encoding_step_1")
    centre = None if limits is None else int(_text(limits, "{*}center"))
    return Encoding(
        _text(node, "{*}trajectory").lower(),
        _axes(node, "encodedSpace", "matrixSize", int),
        _axes(node, "encodedSpace", "fieldOfView_mm", float),
        _axes(node, "reconSpace", "matrixSize", int),
        _axes(node, "reconSpace", "fieldOfView_mm", float),
        centre,
    )


def _axes(node: ElementTree.Element, space: str, what: str, kind: type) -> tuple[Any, Any, Any]:
    values = tuple(kind(_text(node, f"{{*}}{space}/{{*}}{what}/{{*}}{axis}")) for axis in "zyx")
    if not all(0 < v < 2**20 for v in values):
        raise ValueError(f"its header has {what} {values}")
    return values


def _text(node: ElementTree.Element, path: str) -> str:
    found = node.findtext(path)
    if found is None:
        raise ValueError(f"its header has no {path.replace('{*}', '')}")
    return found.strip()


def centre_crop(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The middle of the last two axes, with the centre n // 2 on the centre: a view.

    fastMRI reads twice the field of view along the readout; its targets are the middle of the image.

    Raises
    ------
    ValueError
        where the image is smaller than ``shape``.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.io.raw.kspace import centre_crop
    >>> centre_crop(np.arange(30).reshape(5, 6), (1, 2))
    array([[14, 15]])
    """
    if any(not 0 < n <= m for n, m in zip(shape, image.shape[-2:], strict=True)):
        raise ValueError(f"shape is {tuple(shape)}; expected at most {image.shape[-2:]}, the size of the image")
    (r, c), (ny, nx) = ((m // 2 - n // 2 for n, m in zip(shape, image.shape[-2:], strict=True)), shape)
    return image[..., r : r + ny, c : c + nx]
