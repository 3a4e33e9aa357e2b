"""deepinv's denoisers in `ip.Denoiser` and `ip.pnp`: ``python -m tests.bench.learned.peers_deepinv`` where deepinv is.

Each network (random weights, so nothing is downloaded) gives the same as when deepinv calls it, and runs in every
method of plug-and-play.
"""

from __future__ import annotations

import numpy as np
import torch

import ipbox as ip


def main() -> None:
    library = torch.library.Library("torchvision", "DEF")  # deepinv imports torchvision, which misses two operators
    for name in ("nms", "qnms"):
        library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from deepinv import models

    torch.manual_seed(0)
    torch.set_num_threads(1)
    A, b, _, info = ip.problem("blur", size=32)
    denoisers = {
        "DnCNN": models.DnCNN(1, 1, depth=5, pretrained=None),
        "DRUNet": models.DRUNet(1, 1, nc=[8, 16, 24, 32], nb=1, pretrained=None),
        "GSDRUNet": models.GSDRUNet(in_channels=1, out_channels=1, nc=[8, 16, 24, 32], nb=1, pretrained=None),
        "MedianFilter": models.MedianFilter(),
    }
    for name, net in denoisers.items():
        net = net.eval()
        with torch.no_grad():
            expected = net(torch.from_numpy(b)[None, None], 0.05).detach()[0, 0].numpy()
        got = ip.Denoiser(net, 0.05).denoise(b)
        difference = float(abs(got - expected).max())
        done = []
        for method in ("hqs", "forward_backward", "fista", "admm", "pdhg"):
            x, run = ip.pnp(A, b, net, method=method, noise_level=info.noise_level, niter=1, stop=ip.stop.niter(1))
            done.append(bool(np.isfinite(x).all()) and x.dtype == b.dtype)
        print(f"{name:16} difference {difference:.1e}, methods that ran: {sum(done)} of {len(done)}", flush=True)
        assert difference < 1e-5 and all(done)


if __name__ == "__main__":
    main()
