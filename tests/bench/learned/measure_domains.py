"""Where the shipped networks are at home, ``data/domains.json``: ``python -m tests.bench.learned.measure_domains``.

Reconstruction maps: the slices of the training patient that were held out, each in several versions as training has
them (CT: flips, quarter turns, and in half of them small turns and zooms; MRI: flips, shifts, phases, masks and coils),
with noise of seeds of their own.  Denoisers: the images and the noise levels of their training.  Generative models: the
images of theirs.  A few minutes, or with ``--only NAME ...`` what these take, the others as they stand in the file;
prints the SHA-256 that
`ipbox.learned.weights.domains` expects.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ipbox.learned.weights.modules import SHIPPED, load_weights
from ipbox.problems.measuring import noise as noises
from ipbox.problems.truths import datasets
from ipbox.reconstruct.domain import domain_statistics
from tests.bench.diffusion import ct_data as scores
from tests.bench.diffusion.train_score import RANGE
from tests.bench.learned import brains, ct_data, train_mri
from tests.bench.learned.photographs import photographs
from tests.bench.learned.train_denoisers import LARGEST, ROOT

MAPS = ("post_processing_ct", "post_processing_ct_noiseless", "unrolled_ct", "unrolled_shared_ct", "equilibrium_ct")
COPIES, COPIES_MRI = 16, 6
GENERATIVE = ("autoencoder", "vae", "wgan", *(f"covariance_{s}" for s in ("identity", "diagonal", "3x3", "5x5")))
DARKEST = 0.5  # of training crops, relative to their images
DENOISED = f"images in [0, 1] with noise up to {LARGEST:g}: photographs and slices of CT and MR"
CHEST = "chests that fill the field, attenuation in 1/mm, parallel beam, {} data"
HEAD = (
    "heads of T1 weight, largest value about 1, a quarter of the lines, dense in the middle, 6 to 12 coils, 1 % noise"
)


def held_out() -> list[tuple[Any, np.ndarray, np.ndarray]]:
    """(A, clean sinogram, truth) of the versions of the held-out slices."""
    rng = np.random.default_rng(0)
    A = ct_data.training_operator()
    fine = [datasets.lung_slice(k, patient="train")[0] for k in ct_data.VALIDATION]
    found = [ct_data.simulated(ct_data.varied(u, rng, copy), A) for copy in range(COPIES) for u in fine]
    return [(A, clean, truth) for truth, clean in found]


def of_map(name: str, samples: list[tuple[Any, np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """The domain of a reconstruction map; data of the noiseless one are those of the operator itself."""
    A, exact = samples[0][0], name.endswith("noiseless")
    net = load_weights(datasets.find(SHIPPED[name].file), sha256=SHIPPED[name].sha256, A=A)
    data = [A.apply(x) if exact else noises.gaussian(b, ct_data.NOISE, k)[0] for k, (_, b, x) in enumerate(samples)]
    known = domain_statistics(lambda b: net.reconstruct(b)[0], [(A, b) for b in data]).as_dict()
    known |= {what: {k: round(v, 5) for k, v in known[what].items()} for what in ("mean", "std")}
    least, most = ct_data.ZOOMS
    width = [round(A.pixel_size / most, 4), round(A.pixel_size / least, 4)]
    words = CHEST.format("noiseless" if exact else f"{100 * ct_data.NOISE:g} % noise")
    return known | {"words": words, "dims": list(A.dims), "pixel_size": width, "gap": math.pi / len(A.angles)}


def of_mri(name: str) -> dict[str, Any]:
    """The domain of the map of MRI."""
    rng = np.random.default_rng(0)
    data = [train_mri.scan(k, rng) for _ in range(COPIES_MRI) for k in train_mri.VALIDATION]
    net = load_weights(datasets.find(SHIPPED[name].file), sha256=SHIPPED[name].sha256, A=data[0][0])
    phi = {id(b): net.with_operator(A).reconstruct(b)[0] for A, b in data}
    known = domain_statistics(lambda b: phi[id(b)], data).as_dict()
    known |= {what: {k: round(v, 5) for k, v in known[what].items()} for what in ("mean", "std")}
    geometry = {"dims": list(data[0][0].dims), "coils": list(train_mri.COILS), "acceleration": train_mri.ACCELERATION}
    return known | {"words": HEAD} | geometry


def of_denoiser() -> dict[str, Any]:
    """The domain of a denoiser: values are up to 1 with noise of the largest level above."""
    sizes = [float(np.percentile(np.abs(u), 99)) for u in photographs()[0]]
    return {"words": DENOISED, "sigma": LARGEST, "scale": [round(DARKEST * min(sizes), 5), 1 + LARGEST]}


def of_generative(name: str) -> dict[str, Any]:
    """The domain of any generative model: the values of its images in training; there is no noise."""
    generator, draw = torch.Generator().manual_seed(0), brains.Slices()
    sizes = [float(np.percentile(u, 99)) for _ in range(60) for u in draw(generator)[0].tolist()]
    words = f"axial slices of T1-weighted MR heads, {brains.SIZE} x {brains.SIZE}, in [0, 1]"
    return {"words": words, "sigma": 0.0, "scale": [round(min(sizes), 5), 1.0]}


def of_score() -> dict[str, Any]:
    """The domain of the score of chests: values are those of its images, with noise of the largest level above."""
    sizes = [float(np.percentile(u, 99)) for u in scores.training_images(copies=1)]
    words = f"axial slices of the chest, {scores.SIZE} x {scores.SIZE}, attenuation in units of {scores.UNIT:g}/mm"
    return {"words": words, "sigma": RANGE[1], "scale": [round(min(sizes), 5), round(max(sizes) + RANGE[1], 5)]}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m tests.bench.learned.measure_domains", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "domains.json")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=sorted(SHIPPED), help="all by default")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    names = args.only or sorted(n for n, file in SHIPPED.items() if "train_regularisers" not in file.script)
    found = json.loads(datasets.find("domains.json").read_bytes()) if args.only else {}
    samples = held_out() if set(names) & set(MAPS) else []
    known = dict.fromkeys(MAPS, lambda name: of_map(name, samples)) | {"unrolled_mri": of_mri}
    known |= dict.fromkeys(GENERATIVE, of_generative) | {"score_ct": lambda name: of_score()}
    found |= {name: known[name](name) if name in known else of_denoiser() for name in names}
    content = json.dumps(found, indent=1, sort_keys=True).encode() + b"\n"
    args.out.write_bytes(content)
    print(args.out.name, hashlib.sha256(content).hexdigest())


if __name__ == "__main__":
    main()
