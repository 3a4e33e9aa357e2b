"""Plug-and-play that runs on: plain, turned at random, averaged over D_4, with shipped denoisers.

``python -m tests.bench.learned.equivariant_pnp`` prints the PSNR along the iterates for a chest slice of the test
patient, and how far the last image is from equivariant.  No parameter is fitted to it: τ = 1/‖A‖², noise levels as
given below.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.evaluate import equivariance_error
from ipbox.learned import pretrained

SETTING = {"size": 64, "views": 40, "noise": 0.01, "slice": 23, "seed": 23}
SCALE, SIGMA = 0.04, 0.01  # of the images; of denoisers that take a noise level, in units of the scale
DENOISERS = {"dncnn": None, "drunet_fine": SIGMA * SCALE, "gradient_step": SIGMA * SCALE}
KINDS: dict[str, dict[str, Any]] = {"plain": {}, "random": {"equivariant": ip.groups.Dihedral(4)}}
KINDS["averaged"] = KINDS["random"] | {"average": True}
SHOWN = (10, 30, 100, 300)


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.bench.learned.equivariant_pnp", description=__doc__)
    parser.add_argument("--denoisers", nargs="+", choices=DENOISERS, default=list(DENOISERS))
    parser.add_argument("--niter", type=int, default=SHOWN[-1])
    args = parser.parse_args()
    torch.set_num_threads(1)
    A, b, x_true, info = ip.problem("ct", **SETTING)
    shown = [k for k in SHOWN if k <= args.niter]
    print(f"{'denoiser':14} {'kind':9}" + "".join(f"{f'k = {k}':>9}" for k in shown) + f"{'best':>9}{'error':>10}")
    for name in args.denoisers:
        net = pretrained(name)
        for kind, options in KINDS.items():

            def phi(b: np.ndarray, net: Any = net, name: str = name, options: Any = options) -> tuple[Any, Any]:
                given = dict(sigma=DENOISERS[name], noise_level=info.noise_level, scale=SCALE, nonneg=True, tol=1e-12)
                given |= dict(method="forward_backward", niter=args.niter, progress=False, x_true=x_true)
                return ip.pnp(A, b, net, **given, **options)

            try:
                run = phi(b)[1]
            except ip.solvers.Diverged as err:
                print(f"{name:14} {kind:9} diverged: {err}")
                continue
            psnr = run.history["psnr"]
            g = [ip.groups.Rotations(4).element(1)]
            error = equivariance_error(lambda b, phi=phi: phi(b)[0], A, g, data=b).worst
            values = "".join(f"{psnr[k - 1]:9.2f}" for k in shown)
            print(f"{name:14} {kind:9}{values}{max(psnr):9.2f}{error:10.1e}", flush=True)


if __name__ == "__main__":
    main()
