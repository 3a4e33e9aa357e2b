"""The shipped maps on and off their ground, a table: ``python -m tests.bench.learned.organs``.

Chest: the test slices of the main figure.  Head, abdomen, spine: CT images that come with pydicom (``CT_small``, a
spine in a zoomed field of view) and with pydicom-data 1.0.0 (the others), simulated as the chest is: 128 x 128 pixels
in the inscribed disc, 40 views, 1 % noise, from the finer image by another projector.  TV has the weight that is best
for each row.  Figures come from ``results/organs.json``; with RECOMPUTE=1 they are measured again, which wants
``pip install pydicom-data python-gdcm`` and some minutes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.io.hounsfield import hu_to_attenuation
from ipbox.learned.weights.modules import pretrained
from ipbox.problems.measuring import noise as noises
from ipbox.problems.truths import datasets
from tests.bench.learned import ct_data
from tests.bench.learned.__main__ import result_of
from tests.bench.learned.ct import Problems, best_weight, tv

IMAGES = {  # name of the file, of pydicom or of pydicom-data
    "head": "693_UNCI.dcm",
    "abdomen": "explicit_VR-UN.dcm",
    "spine, zoomed": "bad_sequence.dcm",
    "spine, zoomed more": "CT_small.dcm",
}
MAPS = {"post-processing": "post_processing_ct", "unrolled": "unrolled_ct", "equilibrium": "equilibrium_ct"}
LUNG = (0.05, 0.5)  # attenuation relative to water's


def compute() -> dict[str, Any]:
    """PSNR by every method, and what the domain of the unrolled map says."""
    torch.set_num_threads(1)
    networks = {name: pretrained(file, ct_data.training_operator()) for name, file in MAPS.items()}
    for net in networks.values():
        net.domain.told.update((*net.domain.statistics.mean, "pixel size"))  # found is what counts here
    rows = {"chest": ct_data.test_problems()} | {name: [dicom_problem(file)] for name, file in IMAGES.items()}
    found = {name: of_row(problems, networks) for name, problems in rows.items()}
    return {"rows": found, "alarms": alarms(networks["post-processing"])}


def dicom_problem(file: str, seed: int = 0) -> tuple[Any, np.ndarray, np.ndarray, None]:
    """(A, b, x, None) of a CT image in a DICOM file."""
    import pydicom
    from pydicom.data import get_testdata_file

    image = pydicom.dcmread(get_testdata_file(file, download=False) or _bundled(file))
    hu = np.maximum(image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept), -1000)
    fine, width = hu_to_attenuation(hu), float(image.PixelSpacing[0])
    if fine.shape[0] < 256:
        fine, width = np.kron(fine, np.ones((2, 2))), width / 2
    pixel = width * fine.shape[0] / 128
    A = ip.RayTransform((128, 128), ct_data.training_operator().angles, pixel_size=pixel, dtype="float32")
    x, clean = ct_data.simulated(fine, A)
    return A, noises.gaussian(clean, ct_data.NOISE, seed)[0], x, None


def _bundled(file: str) -> str:
    import data_store

    return str(Path(data_store.__file__).parent / "data" / file)


def of_row(problems: Problems, networks: dict[str, Any]) -> dict[str, Any]:
    """Mean PSNR over the problems; score and what is off of the worst."""
    weight = best_weight(problems)["best"]
    images = {"fbp": lambda A, b: ip.fbp(A, b, "hann")[0], "tv": lambda A, b: tv(A, b, weight)}
    psnr = {n: float(np.mean([ip.psnr(run(A, b), x) for A, b, x, _ in problems])) for n, run in images.items()}
    checks: list[Any] = []
    for name, net in networks.items():
        found = [net.as_method()(A, b) for A, b, *_ in problems]
        psnr[name] = float(np.mean([ip.psnr(u, x) for (u, _), (_, _, x, _) in zip(found, problems, strict=True)]))
        checks += [info.parameters["domain"][0] for _, info in found] if name == "unrolled" else []
    worst = max(checks, key=lambda c: (len(c.off), c.score))
    return {
        "images": len(problems),
        "pixel": float(problems[0][0].pixel_size),
        "tv weight": weight,
        "psnr": psnr,
        "score": worst.score,
        "off": list(worst.off),
        "warned": sum(not c.inside for c in checks),
    }


def alarms(net: Any) -> dict[str, Any]:
    """What is off in each slice of the test patient, and its share of lung; the least of a training slice."""
    off, shares = [], []
    for k in range(61):
        A, b, x, _ = ip.problem("ct", size=128, views=40, noise=ct_data.NOISE, slice=k, seed=k)
        off.append(list(net.as_method()(A, b)[1].parameters["domain"][0].off))
        shares.append(lung_share(x))
    training = min(lung_share(datasets.lung_slice(k, 128, "train")[0]) for k in range(48))
    return {"off": off, "lung": shares, "least lung in training": training}


def lung_share(x: np.ndarray) -> float:
    """Of the field of view, the share of pixels with the attenuation of lung."""
    relative = x[datasets.field_of_view(x.shape)] / float(hu_to_attenuation(np.zeros(1))[0])
    return float(((relative > LUNG[0]) & (relative < LUNG[1])).mean())


def table(result: dict[str, Any]) -> str:
    methods = ["fbp", "tv", *MAPS]
    names = ["FBP", "TV", *MAPS]
    lines = [f"| | pixel, mm | {' | '.join(names)} | score | off |", "|---|" + "---|" * (len(names) + 3)]
    for name, row in result["rows"].items():
        label = f"{name} (mean of {row['images']})" if row["images"] > 1 else name
        values = [f"{row['psnr'][m]:.1f}" for m in methods]
        off = ", ".join(row["off"]) or "nothing"
        off += f" ({row['warned']} of {row['images']} slices)" if row["images"] > 1 else ""
        lines.append(f"| {label} | {row['pixel']:.2f} | {' | '.join(values)} | {row['score']:.1f} | {off} |")
    a = result["alarms"]
    chest = [bool(off) for off, lung in zip(a["off"], a["lung"], strict=True) if lung >= a["least lung in training"]]
    other = [bool(off) for off, lung in zip(a["off"], a["lung"], strict=True) if lung < a["least lung in training"]]
    text = (
        f"Of all {len(a['off'])} slices of the test patient, the check warns of {sum(chest)} of the {len(chest)} with "
        f"as much lung as a training slice has at least ({100 * a['least lung in training']:.0f} % of the field), and "
        f"of {sum(other)} of the {len(other)} with less: the upper abdomen."
    )
    return "\n".join([*lines, "", text])


if __name__ == "__main__":
    import sys

    print(table(result_of("organs", sys.modules[__name__])))
