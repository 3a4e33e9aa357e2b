"""Train one regulariser in one way: ``python -m tests.bench.learned.trainings NAME --training T [--steps N]``.

Prints the objective and the PSNR before and after on training and held-out crops; with ``--out FILE`` the weights are
written, for `ipbox.learned.weights.modules.load_weights`.  A run that was stopped goes on from ``--checkpoint FILE``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ipbox.learned.weights.modules import save_weights
from tests.bench.learned.trainings.architectures import ARCHITECTURES, network
from tests.bench.learned.trainings.quality import quality
from tests.bench.learned.trainings.table import TRAININGS, figures


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m tests.bench.learned.trainings", description=__doc__)
    parser.add_argument("name", choices=ARCHITECTURES)
    parser.add_argument("--training", choices=TRAININGS, required=True)
    parser.add_argument("--steps", type=int, help="of the training; its own number by default")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    module = TRAININGS[args.training]
    before = quality(network(args.name), ARCHITECTURES[args.name].lam)
    found = module.train(args.name, args.steps or module.STEPS, checkpoint=args.checkpoint)
    after = figures(found)
    print(f"objective {found.objective[0]:.4g} -> {found.objective[-1]:.4g}; work {found.work:.0f} for each image")
    for split in ("training", "held out"):
        print(f"{split}: {before[split]:.2f} -> {after[split]:.2f} dB, λ {after['lam']:.4g}")
    if args.out is not None:
        about = {"script": f"python -m tests.bench.learned.trainings {args.name} --training '{args.training}'"}
        print(args.out, save_weights(args.out, found.net, about))


if __name__ == "__main__":
    main()
