"""Every format that is read, as a small file of it and what reads it."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import ipbox as ip
from tests.io import scan_writers as scans
from tests.io.twix_writers import protocol, readout, write_twix
from tests.io.writers import acquisition, header, macro, write_dicom, write_enhanced, write_hdf5, write_ismrmrd

VOLUME = np.arange(60, dtype="int16").reshape(3, 4, 5)
IMAGE = VOLUME[0].astype("float32")


@dataclass(frozen=True)
class Format:
    """A format: ``write`` makes a file of it in a folder, ``read`` reads it.

    What is ``sealed`` has a checksum over all that counts: another value must not come out.  ``change`` is how a file
    is changed, where that is not by its bytes as they are.
    """

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], Any]
    sealed: bool = False
    change: Callable[[bytes, np.random.Generator], bytes] | None = None

    def __repr__(self) -> str:
        return self.name

    def changed(self, content: bytes, rng: np.random.Generator) -> bytes:
        from tests.soak.mutations import mutated

        return (self.change or mutated)(content, rng)

    def same(self, found: Any, expected: Any) -> bool:
        return _same(found, expected)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(np.array_equal(np.asarray(a), np.asarray(b)))


# ---------------------------------------------------------------- inside of what is packed


def inside_gzip(content: bytes, rng: np.random.Generator) -> bytes:
    """The file itself changed, or what is packed in it."""
    from tests.soak.mutations import mutated

    if rng.random() < 0.3:
        return mutated(content, rng)
    return gzip.compress(mutated(gzip.decompress(content), rng), 1)


def inside_zip(content: bytes, rng: np.random.Generator) -> bytes:
    """One of the members changed, with a checksum that fits."""
    from tests.soak.mutations import mutated

    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {name: file.read(name) for name in file.namelist()}
        way = file.infolist()[0].compress_type
    name = list(members)[rng.integers(len(members))]
    members[name] = mutated(members[name], rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", way) as file:
        for key, data in members.items():
            file.writestr(key, data)
    return out.getvalue()


def inside_png(content: bytes, rng: np.random.Generator) -> bytes:
    """One of the chunks changed, with a checksum that fits."""
    from tests.soak.mutations import mutated

    chunks, at = [], 8
    while at < len(content):
        size = struct.unpack_from(">I", content, at)[0]
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += size + 12
    k = int(rng.integers(len(chunks)))
    kind, data = chunks[k]
    if kind == b"IDAT" and rng.random() < 0.7:
        data = zlib.compress(mutated(zlib.decompress(data), rng))
    else:
        data = mutated(data, rng)
    chunks[k] = kind, data
    parts = [struct.pack(">I", len(d)) + c + d + struct.pack(">I", zlib.crc32(c + d)) for c, d in chunks]
    return content[:8] + b"".join(parts)


# ---------------------------------------------------------------- images


def image(path: Path) -> Any:
    return ip.read_image(path)


def _saved(name: str, x: np.ndarray, **options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        ip.save(x, folder / name, **options)
        return folder / name

    return write


def _npz(packed: bool) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (np.savez_compressed if packed else np.savez)(folder / "a.npz", b=VOLUME)
        return folder / "a.npz"

    return write


def _hdf5(**options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import h5py

        with h5py.File(folder / "a.h5", "w") as file:
            node = file.create_dataset("x", data=np.tile(VOLUME, (1, 4, 4)), **options)
            node.attrs["spacing"] = (2.0, 1.0, 1.0)
            node.attrs["unit"] = "1/mm"
        return folder / "a.h5"

    return write


def _tiff(**options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import tifffile

        tifffile.imwrite(folder / "a.tif", VOLUME.astype("uint16"), photometric="minisblack", **options)
        return folder / "a.tif"

    return write


def _mat(**options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        from scipy.io import savemat

        savemat(folder / "a.mat", {"x": IMAGE}, **options)
        return folder / "a.mat"

    return write


def _mat73(folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "a.mat", "w", userblock_size=512) as file:
        file["x"] = IMAGE.T
        file["x"].attrs["MATLAB_class"] = np.bytes_("single")
    with open(folder / "a.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return folder / "a.mat"


def _nrrd(encoding: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import nrrd

        told = {"space": "left-posterior-superior", "space directions": np.diag([2.0, 3.0, 5.0]), "encoding": encoding}
        nrrd.write(str(folder / "a.nrrd"), VOLUME, told, index_order="C")
        return folder / "a.nrrd"

    return write


def _jpeg(folder: Path) -> Path:
    from PIL import Image

    Image.fromarray(np.tile(VOLUME[0].astype("uint8"), (4, 4))).save(folder / "a.jpg")
    return folder / "a.jpg"


def _cfl(folder: Path) -> Path:
    IMAGE.astype("<c8").tofile(folder / "a.cfl")
    (folder / "a.hdr").write_text("# Dimensions\n5 4 1 1 \n")
    return folder / "a.cfl"


def _cfl_header(folder: Path) -> Path:
    return _cfl(folder).with_suffix(".hdr")


def _dicom(folder: Path) -> Path:
    return write_dicom(folder / "a.dcm", VOLUME[0])


def _frames(folder: Path) -> Path:
    shared = macro(
        PixelMeasures={"PixelSpacing": [0.5, 0.75], "SliceThickness": 2.0},
        PlaneOrientation={"ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]},
    )
    frames = [macro(PlanePosition={"ImagePositionPatient": [0.0, 0.0, 2.0 * k]}) for k in range(3)]
    return write_enhanced(folder / "a.dcm", VOLUME.astype("uint16"), shared, frames)


IMAGES = [
    Format("npy", _saved("a.npy", IMAGE), image),
    Format("npz", _npz(False), image, sealed=True),
    Format("npz inside", _npz(True), image, change=inside_zip),
    Format("hdf5", _hdf5(), image),
    Format("hdf5 chunks", _hdf5(chunks=(1, 8, 10), compression="gzip", shuffle=True, fletcher32=True), image),
    Format("mat 4", _mat(format="4"), image),
    Format("mat 5", _mat(), image),
    Format("mat 5 packed", _mat(do_compression=True), image),
    Format("mat 7.3", _mat73, image),
    Format("nrrd", _nrrd("raw"), image),
    Format("nrrd gzip", _nrrd("gzip"), image),
    Format("nrrd text", _nrrd("ascii"), image),
    Format("tiff", _tiff(), image),
    Format("tiff packed", _tiff(compression="zlib", predictor=True), image),
    Format("tiff tiles", _tiff(tile=(16, 16), bigtiff=True), image),
    Format("png", _saved("a.png", VOLUME.astype("uint8")), image, sealed=True),
    Format("png inside", _saved("a.png", VOLUME[0].astype("uint16")), image, change=inside_png),
    Format("jpeg", _jpeg, image),
    Format("nifti", _saved("a.nii", VOLUME, spacing=2.0), image),
    Format("nifti gzip", _saved("a.nii.gz", VOLUME, spacing=2.0), image, change=inside_gzip),
    Format("dicom", _dicom, image),
    Format("dicom frames", _frames, image),
    Format("mrc", _saved("a.mrc", VOLUME, spacing=2.0), image),
    Format("cfl", _cfl, image),
    Format("cfl header", _cfl_header, lambda path: ip.read_image(path.with_suffix(".cfl"))),
]


# ---------------------------------------------------------------- scans and raw data


def scan(path: Path) -> Any:
    """All of its frames, and what it tells."""
    found = ip.read_scan(path)
    frames = [getattr(found, kind) for kind in ("projections", "flats", "darks")]
    return [None if of is None else of[:] for of in frames], found.angles


def scan_of_folder(path: Path) -> Any:
    return scan(path.parent)


def _nxtomo(folder: Path) -> Path:
    return scans.write_nxtomo(folder / "a.nxs") if not (folder / "a.nxs").exists() else folder / "a.nxs"


def _dxchange(folder: Path) -> Path:
    return scans.write_dxchange(folder / "a.h5", units="degree")


def _stack(folder: Path) -> Path:
    return scans.write_tiffs(folder, scans.VIEWS) / "proj_7.tif"


def _pages(folder: Path) -> Path:
    import tifffile

    tifffile.imwrite(folder / "a.tif", scans.VIEWS, photometric="minisblack", compression="zlib")
    return folder / "a.tif"


def _nikon(folder: Path) -> Path:
    return scans.write_nikon(folder)


def _series(folder: Path) -> Path:
    ip.save(scans.VIEWS.astype("int16"), folder / "a.mrc")
    (folder / "a.tlt").write_text("\n".join(f"{angle:g}" for angle in scans.DEGREES))
    return folder / "a.mrc"


def _tilts(folder: Path) -> Path:
    return _series(folder).with_suffix(".tlt")


def _edf(folder: Path) -> Path:
    return scans.write_edf(folder / "a.edf", scans.VIEWS)


def _fastmri(folder: Path) -> Path:
    kspace = np.ones((2, 3, 8, 6), "complex64")
    datasets = {"kspace": kspace, "reconstruction_rss": np.ones((2, 4, 6), "float32"), "mask": np.ones(6, bool)}
    return write_hdf5(folder / "a.h5", {"acquisition": "CORPD"}, **datasets, ismrmrd_header=header())


def _ismrmrd(folder: Path) -> Path:
    lines = [acquisition(np.ones((2, 6)), kspace_encode_step_1=k) for k in range(8)]
    return write_ismrmrd(folder / "a.h5", header(), lines)


def _twix(later: bool) -> Callable[[Path], Path]:
    lines = [readout(np.ones((2, 8)), Lin=k) for k in range(9)]
    return lambda folder: write_twix(folder / "a.dat", (protocol(), lines), later=later)


SCANS = [
    Format("NXtomo", _nxtomo, scan),
    Format("DXchange", _dxchange, scan),
    Format("TIFF folder", _stack, scan_of_folder),
    Format("TIFF pages", _pages, scan),
    Format("Nikon", _nikon, scan),
    Format("MRC series", _series, scan),
    Format("MRC angles", _tilts, lambda path: scan(path.with_suffix(".mrc"))),
    Format("EDF", _edf, scan),
    Format("fastMRI", _fastmri, lambda path: vars(ip.read_fastmri(path))["kspace"]),
    Format("twix VB", _twix(False), lambda path: vars(ip.read_twix(path))["kspace"]),
    Format("twix VD", _twix(True), lambda path: vars(ip.read_twix(path))["kspace"]),
    Format("ISMRMRD", _ismrmrd, lambda path: vars(ip.read_ismrmrd(path))["kspace"]),
]


# ---------------------------------------------------------------- checkpoints and weights


def _checkpoint(folder: Path) -> Path:
    problem = ip.Problem(ip.L2(b=IMAGE.astype("float64")) + 0.1 * ip.TV(IMAGE.shape))
    ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(3)).state.save(folder / "a.npz")
    return folder / "a.npz"


def checkpoint(path: Path) -> Any:
    return ip.solvers.State.load(path).arrays()


def _parameters(folder: Path) -> Path:
    from ipbox.bilevel import GridSearch, Weight, learn

    u = np.repeat([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]], 3, axis=0)
    term = Weight(ip.SmoothedTV((6,), eps=0.05))
    learn((u, u + 0.1), term, GridSearch(points=2), bounds=([-2.0], [-1.0])).save(folder / "a.npz")
    return folder / "a.npz"


def parameters(path: Path) -> Any:
    from ipbox.bilevel import Weight, load_theta

    return load_theta(path, Weight(ip.SmoothedTV((6,), eps=0.05)))


def _training(folder: Path) -> Path:
    train(folder / "a.safetensors")
    return folder / "a.safetensors"


def train(path: Path) -> Any:
    """Three steps of a small network, or what is left of them."""
    import torch

    from ipbox.learned.training.fit import fit
    from ipbox.learned.training.losses import Supervised

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    data = [(torch.ones(3) * k, torch.ones(2)) for k in range(4)]
    fit(model, Supervised(), data, steps=3, batch_size=2, validate_every=3, checkpoint=path)
    return {name: t.detach().numpy().copy() for name, t in model.state_dict().items()}


def _weights(folder: Path) -> Path:
    from ipbox.learned.weights import save_weights

    save_weights(folder / "a.safetensors", _network(), {"trained on": "nothing"})
    return folder / "a.safetensors"


def weights(path: Path) -> Any:
    from ipbox.learned.weights import load_weights

    network = _network()
    load_weights(path, network)
    return {name: t.detach().numpy().copy() for name, t in network.state_dict().items()}


def rebuilt(path: Path) -> Any:
    """The network that the file describes."""
    from ipbox.learned.weights import load_weights

    return {name: t.detach().numpy().copy() for name, t in load_weights(path).state_dict().items()}


def _network() -> Any:
    import torch

    from ipbox.learned.networks import DnCNN

    torch.manual_seed(0)
    return DnCNN(width=2, depth=3)


KEPT = [
    Format("checkpoint", _checkpoint, checkpoint, sealed=True),
    Format("checkpoint inside", _checkpoint, checkpoint, change=inside_zip),
    Format("parameters", _parameters, parameters, sealed=True),
    Format("training", _training, train),
    Format("weights", _weights, weights),
    Format("network", _weights, rebuilt),
]

FORMATS = {form.name: form for form in [*IMAGES, *SCANS, *KEPT]}
