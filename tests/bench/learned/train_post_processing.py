"""Trains learned post-processing of the CT experiment: ``python -m tests.bench.learned.train_post_processing``.

A U-Net after filtered back-projection.  With ``--noise 0`` the twin that never saw noise nor the model's error, for the
stability figures: its data are exactly those of the operator.
About 15 minutes on one core that multiplies matrices in bfloat16 (AMX), several times that elsewhere.  It goes on from
its checkpoint in build/learned, if there is one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ipbox.learned.maps.direct import PostProcessing
from ipbox.learned.weights.modules import save_weights
from tests.bench.learned import ct_data
from tests.bench.learned.train_unrolled import ROOT, SCALE, train


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m tests.bench.learned.train_post_processing", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--noise", type=float, default=ct_data.NOISE, help="relative noise of the training data")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    name = "post_processing_ct" + ("_noiseless" if args.noise == 0 else "")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = PostProcessing(ct_data.training_pairs().A, width=24, depth=4, scale=SCALE)
    result = train(model, name, args.steps, args.batch_size, lr=1e-3, noise=args.noise, exact=args.noise == 0)
    about = {
        "script": "tests/bench/learned/train_post_processing.py",
        "data": "ct_lung1, slices 5, 17, 29 and 41 held out; 128 x 128, 40 views, "
        + (f"{100 * args.noise:g} % noise" if args.noise else "no noise, data of the operator itself"),
        "steps": result.steps,
        "validation_psnr": round(-result.best, 3),
    }
    out = args.out or ROOT / "data" / f"{name}.safetensors"
    print(f"{out.name}: {save_weights(out, model, about, half=True)}; validation {-result.best:.2f} dB")


if __name__ == "__main__":
    main()
