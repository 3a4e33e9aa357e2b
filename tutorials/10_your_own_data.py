"""Your own files: a DICOM series, sinograms of other packages, k-space of a scanner, and a split by patient.

The files are made here, of the shipped scans, in the formats that scanners and the public data sets use.  Put the
paths of your own in their place.  Needs ``pip install 'ipbox[io]'``.
"""

# %% A DICOM series
# A CT comes as one file a slice, in a folder, in any order.
import json
import math
import os
from pathlib import Path

import h5py
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

import ipbox as ip
from ipbox.problems.truths.datasets import field_of_view, hu_to_attenuation, load

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
FILES = OUT / "your_own_data"


def write_slice(path, hu, z, pixel_size):
    """What a scanner writes: integers, and how to turn them into Hounsfield units and millimetres."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    data.PatientID, data.Modality, data.SeriesDescription = "lung2", "CT", "thorax"
    data.StudyInstanceUID, data.SeriesInstanceUID = (generate_uid(entropy_srcs=[s]) for s in ("study", "series"))
    data.ImagePositionPatient, data.ImageOrientationPatient = [0.0, 0.0, z], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    data.PixelSpacing = [pixel_size, pixel_size]
    data.Rows, data.Columns = hu.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = (hu + 1024).astype("<u2").tobytes()
    data.save_as(path, enforce_file_format=True)


(FILES / "thorax").mkdir(parents=True, exist_ok=True)
h = 2 * 0.6269531  # mm, see data/README.md
for k, hu in enumerate(load("ct_lung2")["hu"][20:25]):
    write_slice(FILES / "thorax" / f"{(7 * k) % 5}.dcm", hu, z=5.0 * k, pixel_size=h)

# %% Read it, and reconstruct
# `read_dicom_series` sorts the slices by their position, turns stored values into Hounsfield units, and refuses a
# series with a slice missing or slices of different sizes.  The sinogram is simulated by the same A that is inverted:
# an inverse crime, to see what FBP alone loses.  Tutorial 1 does not commit it.
volume = ip.read_dicom_series(FILES / "thorax")
print(f"{volume.array.shape} {volume.about['units']}, spacing {volume.spacing} mm, {volume.about['description']}")
u_ct = hu_to_attenuation(volume.array[2]) * field_of_view(volume.array.shape[1:])
views = 180 if FAST else 720
A = ip.RayTransform(u_ct.shape, np.arange(views) * math.pi / views, 364, pixel_size=volume.spacing[1], dtype="float32")
x_ct, run = ip.fbp(A, A.apply(u_ct))
psnr_ct = ip.psnr(x_ct, u_ct)

# %% Sinograms of other packages
# `like` puts pixels, angles and detector where another package has them.  scikit-image has views in columns, degrees,
# and an axis through pixel n // 2, which for even n is not the middle; ASTRA's geometries are dicts.
A_sk = ip.RayTransform.like("skimage", np.zeros((363, views), "float32"), np.arange(views) * 180 / views, circle=False)
A_astra = ip.RayTransform.like(
    "astra",
    dict(type="parallel", DetectorCount=363, DetectorWidth=1.0, ProjectionAngles=np.arange(views) * math.pi / views),
    dict(
        GridRowCount=256,
        GridColCount=256,
        option=dict(WindowMinX=-128, WindowMaxX=128, WindowMinY=-128, WindowMaxY=128),
    ),
)
for name, other in (("scikit-image", A_sk), ("ASTRA", A_astra)):
    print(f"{name}: {tuple(other.dims)} -> {tuple(other.dimsd)}, axis to image {other.image_centre}")
apart = np.linalg.norm(A_sk.apply(u_ct) - A_astra.apply(u_ct)) / np.linalg.norm(A_astra.apply(u_ct))
print(f"the two sinograms of one image differ by {apart:.1%}: half a pixel")

# %% A slice that is missing is noticed
(FILES / "thorax" / "4.dcm").replace(FILES / "elsewhere.dcm")
try:
    ip.read_dicom_series(FILES / "thorax")
except ValueError as err:
    print(err)
    noticed = "slices are missing" in str(err)

# %% k-space in fastMRI's format: HDF5 with the coils' k-space and the reconstruction
# Two patients, and a folder for training as the data set comes.  The coils see the head from four sides.
y, x = np.meshgrid(np.linspace(-1, 1, 256), np.linspace(-1, 1, 256), indexing="ij")
coils = np.stack(
    [np.exp(-((y - a) ** 2 + (x - b) ** 2) / 2 + 1j * (a * x - b * y)) for a, b in ((1, 0), (-1, 0), (0, 1), (0, -1))]
)


def centred(transform, v):
    """The centred, orthonormal FFT of the last two axes: the convention of fastMRI and of `ipbox.FourierTransform`."""
    return np.fft.fftshift(transform(np.fft.ifftshift(v, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))


folder = FILES / "multicoil_train"
folder.mkdir(exist_ok=True)
for patient, images in load("mr_brain").items():
    images = images[:, ::-1]  # stored with the back of the head first
    for k in (8, 12):
        images_of_coils = coils * (images[k : k + 2, None] / images[k : k + 2].max())
        with h5py.File(folder / f"{patient}_{k}.h5", "w") as file:
            file["kspace"] = centred(np.fft.fft2, images_of_coils).astype("complex64")
            file["reconstruction_rss"] = np.sqrt((abs(images_of_coils) ** 2).sum(axis=1)).astype("float32")
            file.attrs.update(patient_id=patient, acquisition="AXT1POST")

# %% Read it: only the slice that is asked for
# The inverse FFT of each coil, then the root of the sum of squares: the reconstruction that the file brings along as
# its target.
scan = ip.read_fastmri(folder / "brain2_8.h5", slices=1)
rss = np.sqrt((abs(centred(np.fft.ifft2, scan.kspace[0])) ** 2).sum(axis=0))
error = np.linalg.norm(rss - scan.target[0]) / np.linalg.norm(scan.target[0])
print(f"k-space {scan.kspace.shape}, {scan.about['acquisition']}; root of the sum of squares to {error:.1e}")

# %% Training and test data share no patient
# Slices of one patient look alike: a network that has seen one of them knows the others.  So patients are split, and
# slices follow.
data = ip.FastMRI(FILES, "multicoil")
parts = data.split({"train": 0.5, "test": 0.5}, seed=0)
slices = {name: data.slices(patients=patients) for name, patients in parts.items()}
print({name: f"{', '.join(parts[name])}: {len(of)} slices" for name, of in slices.items()})
training, test = slices["train"][0], slices["test"][0]

# %% Keep it
# The ending tells the format: TIFF and HDF5 keep values, spacing and unit, NIfTI and DICOM also the patient's axes.
# A PNG is a picture, and asks what is black and what is white.
ip.save(x_ct, FILES / "slice.tif", spacing=volume.spacing[1:], unit="1/mm")
ip.save(volume.array, FILES / "thorax.nii.gz", spacing=volume.spacing, unit="HU")
ip.save(x_ct, FILES / "slice.png", window=(0, 0.025))
(FILES / "slice.json").write_text(json.dumps(run.report(), indent=1))  # method, parameters, seconds, versions
kept, kept_spacing = ip.read_image(FILES / "thorax.nii.gz")
picture, _ = ip.read_image(FILES / "slice.png")
print(f"slice.tif, thorax.nii.gz ({kept_spacing} mm), slice.png ({picture.dtype})")

# %% Look
titles = ["DICOM slice", f"FBP: {psnr_ct:.1f} dB", "fastMRI file: one coil", "root sum of squares"]
titles += [f"training patient: {training.attributes['patient_id']}", f"test patient: {test.attributes['patient_id']}"]
coil = abs(centred(np.fft.ifft2, scan.kspace[0, 0]))
shown = [u / u_ct.max() for u in (u_ct, x_ct)] + [u / rss.max() for u in (coil, rss)]
shown += [u / u.max() for u in (training.target, test.target)]
unit = "of the maximum of each"
ip.show(*shown, titles=titles, vmin=0, vmax=0.6, unit=unit, path=OUT / "tutorial_10.png")

# %% The headline: what is read is what was written, and no patient is on both sides
assert noticed
assert np.array_equal(ip.read_image(FILES / "slice.tif")[0], x_ct) and np.array_equal(kept, volume.array)
assert np.allclose(kept_spacing, volume.spacing)
assert psnr_ct > 30 and error < 1e-5 and A_sk.dims == A_astra.dims == u_ct.shape and apart > 0.005
assert not {s.attributes["patient_id"] for s in slices["train"]} & {s.attributes["patient_id"] for s in slices["test"]}
