"""One training step of an unrolled network on CT, through ipbox or through deepinv's Tomography; run as a script.

    python peers_training_step.py ipbox|deepinv REPEATS THREADS

Six steps u ← u + N^k([u, B(Au - b)]), B the filtered back-projection, on a batch of two images with views over [0, π);
N^k are three 3 x 3 convolutions with 32 channels; mean square error, gradient and one step of Adam.  In mixed precision
the convolutions compute in bfloat16 with channels last, the operators always in float32.  Prints the seconds of each
step as JSON, beside the error of the filtered back-projection, which tells that both mean the same.  Both are the
projectors of the square image without normalisation; deepinv's has its faster adjoint
(``adjoint_via_backprop=False``), and computes all angles at once or in turn, of which the faster counts.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

BATCH, STEPS, WIDTH = 2, 6, 32
SETTINGS = {  # pixels a side, views, mixed precision
    "256 x 256, 90 views, mixed precision": (256, 90, True),
    "128 x 128, 40 views, mixed precision": (128, 40, True),
    "128 x 128, 40 views": (128, 40, False),
}
Maps = tuple[Callable, Callable]


class Unrolled(nn.Module):
    """u ← u + N^k([u, B(Au - b)]), started at B b."""

    def __init__(self, A: Callable, B: Callable, mixed: bool) -> None:
        super().__init__()
        self.maps = [A, B]  # in a list: parameters of A are not those of the network
        self.mixed = mixed

        def network() -> nn.Module:
            convs = [nn.Conv2d(*c, 3, padding=1) for c in ((2, WIDTH), (WIDTH, WIDTH), (WIDTH, 1))]
            return nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])

        self.networks = nn.ModuleList(network() for _ in range(STEPS))

    def forward(self, b: torch.Tensor) -> torch.Tensor:
        A, B = self.maps
        u = B(b)
        for N in self.networks:
            z = torch.cat([u, B(A(u) - b)], dim=1)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.mixed):
                z = N(z)
            u = u + z.float()
        return u


def ipbox_maps(size: int, views: int) -> Maps:
    import ipbox as ip
    from ipbox.learned.bridge.linear_map import LinearMap
    from ipbox.operators.tomography.ramp import RampFilter

    A = ip.RayTransform((size, size), [math.pi * k / views for k in range(views)], dtype="float32")
    L, F = LinearMap(A), LinearMap(RampFilter(A))
    return L, lambda b: L.adjoint(F(b))


def deepinv_maps(size: int, views: int, parallel: bool) -> Maps:
    from deepinv.physics import Tomography

    angles = torch.arange(views) * (180.0 / views)
    options = {"circle": False, "normalize": False, "adjoint_via_backprop": False}
    physics = Tomography(angles, size, parallel_computation=parallel, **options)
    return physics.A, lambda b: physics.A_dagger(b, fbp=True)


def disc(size: int) -> torch.Tensor:
    """A smooth disc."""
    t = torch.linspace(-1, 1, size)
    return torch.sigmoid((0.5 - torch.hypot(t[:, None], t[None, :])) * 30).expand(BATCH, 1, size, size)


def measured(maps: Maps, u: torch.Tensor, mixed: bool, repeats: int) -> dict[str, list[float] | float]:
    """Seconds of each step."""
    torch.manual_seed(0)
    A, B = maps
    b = A(u).detach()
    net = Unrolled(A, B, mixed)
    if mixed:
        net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    seconds = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        optimizer.zero_grad()
        (net(b) - u).square().mean().backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    n = u.shape[-1] // 4
    middle = (..., slice(n, -n), slice(n, -n))
    error = (B(b)[middle] - u[middle]).norm() / u[middle].norm()
    return {"seconds": seconds[2:], "fbp_error": float(error)}  # the first two plan and compile


def main() -> None:
    which, repeats = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(int(sys.argv[3]))
    if which == "deepinv":
        library = torch.library.Library("torchvision", "DEF")  # deepinv imports torchvision, which misses two operators
        for name in ("nms", "qnms"):
            library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    found: dict[str, dict] = {}
    for setting, (size, views, mixed) in SETTINGS.items():
        if which == "ipbox":
            variants = {"ipbox": ipbox_maps(size, views)}
        else:
            ways = {"angles at once": True, "angles in turn": False}
            variants = {f"deepinv, {way}": deepinv_maps(size, views, parallel) for way, parallel in ways.items()}
        found[setting] = {name: measured(maps, disc(size), mixed, repeats) for name, maps in variants.items()}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
