"""The shipped equivariant denoiser beside the ordinary one: alone, and in plug-and-play, upright and turned.

Both DnCNN have 32 channels and ten convolutions, and learned in as many steps from the same images and noise.  The
ordinary one is taken as it is, turned by a random element of Z_4 in each iteration, and averaged over the group.  CT of
the test patient as in ``python -m ipbox demo equivariance``; its lam is the best of 0.02, 0.05, 0.1 and 0.2 for either
denoiser on two slices of the training patient.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.cli.demos.learned import PNP, SCALE, SETTING
from ipbox.evaluate import equivariance_error
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.weights.modules import pretrained
from tests.bench.learned.denoisers import SIGMA, pairs

SLICES = (8, 23, 38, 53)
GROUP = ip.groups.Rotations(4)
TURN = GROUP.element(1)
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "ordinary": ("dncnn", {}),
    "turned at random": ("dncnn", {"equivariant": GROUP}),
    "averaged": ("dncnn", {"equivariant": GROUP, "average": True}),
    "equivariant": ("equivariant_dncnn", {}),
}


def compute() -> dict[str, Any]:
    """PSNR upright and turned, and errors, of denoisers and of plug-and-play; a figure for each image."""
    torch.set_num_threads(1)
    scans = [ip.problem("ct", **SETTING, slice=k, seed=k) for k in SLICES]
    nets = {name: pretrained(name) for name in ("dncnn", "equivariant_dncnn")}
    runs = {kind: [reconstructed(nets[name], given, *s) for s in scans] for kind, (name, given) in KINDS.items()}
    return {
        "pnp": runs,
        "denoising": {name: [denoised(net, x, b) for x, b in pairs().values()] for name, net in nets.items()},
        "parameters": {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()},
    }


def denoised(net: torch.nn.Module, x: np.ndarray, b: np.ndarray) -> list[float]:
    """PSNR of a photograph upright, of it turned with its noise, and how far they are apart."""

    def phi(b: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return from_torch(net(to_torch(b, copy=True)[None, None], SIGMA))[0, 0]

    return figures(phi(TURN(b)), TURN(phi(b)), TURN(x))


def reconstructed(net: torch.nn.Module, given: dict[str, Any], A: Any, b: np.ndarray, x: np.ndarray, info: Any) -> list:
    """The same of a scan."""
    options = dict(noise_level=info.noise_level, scale=SCALE, progress=False, **PNP, **given)
    error = equivariance_error(lambda b: ip.pnp(A, b, net, **options)[0], A, [TURN], data=b)
    return figures(error.found, error.expected, TURN(x))


def figures(found: np.ndarray, expected: np.ndarray, x: np.ndarray) -> list[float]:
    apart = float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
    return [float(ip.psnr(expected, x)), float(ip.psnr(found, x)), apart]


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    table = []
    of = {name: np.array(values).T for name, values in result["denoising"].items()}
    for name, (upright, turned, _) in of.items():
        note = f"turned {turned.mean():.2f}; {result['parameters'][name]} parameters"
        table.append((f"{name}, photographs, noise {SIGMA:g}: PSNR, dB", np.inf, ">=", upright.mean(), note))
    apart = of["equivariant_dncnn"][2].max()
    note = f"ordinary {of['dncnn'][2].max():.1e}"
    table.append(("equivariant_dncnn: error under a quarter turn", 1e-5, "<=", apart, note))
    of = {kind: np.array(values).T for kind, values in result["pnp"].items()}
    for kind, (upright, turned, apart) in of.items():
        lost = (upright - turned).mean()
        note = f"turned {turned.mean():.2f}, lost {lost:+.2f}; error {apart.max():.1e}"
        table.append((f"pnp, denoiser {kind}: PSNR, dB", np.inf, ">=", upright.mean(), note))
    lost, apart = np.abs(of["equivariant"][0] - of["equivariant"][1]).max(), of["equivariant"][2].max()
    table.append(("pnp, denoiser equivariant: lost on a turned scan, dB", 0.1, "<=", lost, f"error {apart:.1e}"))
    gain = (of["equivariant"][1] - of["ordinary"][1]).mean()
    table.append(("pnp, equivariant over ordinary on turned scans, dB", np.inf, ">=", gain, f"{len(SLICES)} slices"))
    return table
