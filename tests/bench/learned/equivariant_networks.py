"""Equivariant networks with random weights, on a slice of the chest: how well they commute, and what they cost.

Errors are ‖Φ(g·u) - g·Φ(u)‖/‖Φ(u)‖, the largest over the group, where Φ(u) is what networks add to u, without its
mean, and weights are so large that images do not fade from layer to layer.  For angles that are no quarter turns they
are those inside of a disc, in the mean over these angles: turned images are interpolated and cut, and so is the
reference; an ordinary network of as many channels stands beside.  Times are of one thread, the least of calls of both
in turn.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import ipbox as ip
from ipbox.groups import Dihedral, as_group
from ipbox.learned.bridge.arrays import to_torch
from ipbox.learned.networks.blocks import ResidualBlock
from ipbox.learned.networks.denoisers import DnCNN
from ipbox.learned.networks.equivariant import (
    EquivariantBlock,
    EquivariantDnCNN,
    EquivariantUNet,
    GroupConv,
    LiftingConv,
    ProjectionConv,
    act,
    expanded,
)
from ipbox.learned.networks.equivariant.convolutions import EquivariantConv
from tests.bench.learned.overhead import seconds

SIZE, WIDTH, REPEATS, SEEDS = 128, 32, 60, 3
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "EquivariantBlock": lambda: EquivariantBlock(1, 1, WIDTH // 8, "D4", zero=False),
    "EquivariantDnCNN": lambda: EquivariantDnCNN(1, WIDTH // 8, 10, "D4"),
    "EquivariantUNet": lambda: EquivariantUNet(1, WIDTH // 8, 3, "D4"),
}
OTHER = ("Z6", "Z8", "Z12")


def compute() -> dict[str, Any]:
    """Errors and times."""
    x_true = ip.problem("ct", size=SIZE, views=40)[2]
    u = to_torch((x_true / x_true.max()).astype("float32"))[None, None]
    result: dict[str, Any] = {"threads": torch.get_num_threads()}
    with torch.no_grad():
        for name, make in NETWORKS.items():
            torch.manual_seed(0)
            net = lively(make())
            v, plain = net(u), expanded(net)
            size = (v - u - (v - u).mean()).norm()
            error = max(float((net(act(g, u)) - act(g, v)).norm() / size) for g in Dihedral(4))
            difference = float((plain(u) - v).norm() / size)
            result[name] = {"error": error, "expanded": difference}
        for name in OTHER:
            made = [[others(net, name, u) for net in (chain(name), ordinary(name))] for _ in seeded()]
            result[name] = dict(zip(("error", "ordinary"), map(statistics.mean, zip(*made, strict=True)), strict=True))
    return result | {"forward": forward(u), "training": training(u)}


def lively(net: nn.Module) -> nn.Module:
    """Weights of He's size, of which those that start at 0 are none: images keep their size under ReLU."""
    for part in net.modules():
        if isinstance(part, EquivariantConv | nn.Conv2d):
            part.reset_parameters()
            part.weight.data *= math.sqrt(6)
    return net


def seeded() -> Any:
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        yield seed


def chain(group: str) -> nn.Module:
    return nn.Sequential(
        LiftingConv(1, 4, group), nn.ReLU(), GroupConv(4, 4, group), nn.ReLU(), ProjectionConv(4, 1, group)
    )


def ordinary(group: str) -> nn.Module:
    n = 4 * as_group(group).order
    convs = [nn.Conv2d(a, b, 3, padding=1) for a, b in ((1, n), (n, n), (n, 1))]
    return nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])


def others(net: nn.Module, group: str, u: torch.Tensor) -> float:
    """Mean error over the angles that are no quarter turns."""
    x = torch.linspace(-1, 1, SIZE)
    r = x[:, None] ** 2 + x**2
    u, inner = u * (r < 0.9), r < 0.7
    v = net(u)
    size = ((v - v[..., inner].mean()) * inner).norm()
    return statistics.mean(
        float(((net(act(g, u)) - act(g, v)) * inner).norm() / size) for g in as_group(group) if not g.exact
    )


def forward(u: torch.Tensor) -> float:
    """Time of the expanded network over that of an ordinary one."""
    net, plain = expanded(EquivariantDnCNN(1, WIDTH // 4, 10, "Z4")), DnCNN(1, WIDTH, 10)
    with torch.no_grad():
        return ratio(lambda: net(u, 0.1), lambda: plain(u, 0.1))


def training(u: torch.Tensor) -> float:
    """Time of a gradient of the weights, kernels made in every call, over that of the ordinary block."""

    def gradient(net: nn.Module) -> Callable[[], None]:
        def call() -> None:
            net.zero_grad()
            net(u).square().sum().backward()

        return call

    return ratio(
        gradient(EquivariantBlock(1, 1, WIDTH // 4, "Z4", zero=False)), gradient(ResidualBlock(1, 1, WIDTH, False))
    )


def ratio(first: Callable[[], Any], second: Callable[[], Any]) -> float:
    first(), second()
    times = [(seconds(first), seconds(second)) for _ in range(REPEATS)]
    return min(t for t, _ in times) / min(t for _, t in times)


def rows(result: dict[str, Any]) -> list[tuple]:
    table = []
    for name in NETWORKS:
        r = result[name]
        table.append((f"{name} of D4, worst error of 8 elements", 1e-5, "<=", r["error"], "float32, random weights"))
        table.append((f"{name} of D4, expanded, difference", 1e-6, "<=", r["expanded"], "relative"))
    for name in OTHER:
        r = result[name]
        note = f"ordinary network {r['ordinary']:.2f}; 3 convolutions 3 x 3, inside of a disc"
        table.append(
            (f"equivariant network of {name}, mean error of interpolated turns", float("inf"), "<=", r["error"], note)
        )
    note = f"{WIDTH} channels, 10 convolutions, {SIZE}², one thread"
    table.append(("expanded equivariant DnCNN / DnCNN, time", 1.05, "<=", result["forward"], note))
    note = f"a gradient, {WIDTH} channels, {SIZE}², one thread"
    table.append(("equivariant block / residual block, time of training", float("inf"), "<=", result["training"], note))
    return table
