"""Slices of the head to train generative models on: of the training patient, varied; some held out to choose by.

Images are 64 x 64 means of the stored 256 x 256, divided by the largest value of their slice before, so in [0, 1].
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from ipbox.problems.truths.brains import brain_slice

SIZE = 64
HELD_OUT = (3, 9, 15, 21)
TRAINING = tuple(k for k in range(25) if k not in HELD_OUT)
TURN, ZOOM, SHIFT = 0.15, 0.12, 0.08  # largest: radians, relative, of half the field
BEND, KNOTS = 0.02, 5  # standard deviation at the knots of an elastic deformation, of half the field
GAMMA, SHADE = 0.35, 0.1  # logarithms: of the exponent, at most; of a smooth factor, standard deviation


class Slices:
    """Batches (batch_size, 1, 64, 64): turned, zoomed, shifted, bent, mirrored; exponent and shade of the values.

    Parameters
    ----------
    batch_size : int
    """

    def __init__(self, batch_size: int = 16) -> None:
        self.batch_size = batch_size
        slices = np.stack([brain_slice(k, 2 * SIZE, "train") for k in TRAINING])
        self.images = torch.tensor(slices, dtype=torch.float32)[:, None]

    def __call__(self, generator: torch.Generator) -> tuple[torch.Tensor]:
        n = self.batch_size
        u = self.images[torch.randint(len(self.images), (n,), generator=generator)]
        turn, zoom, wide, down, right, gamma = 2 * torch.rand(6, n, generator=generator) - 1
        mirror = torch.randint(2, (n,), generator=generator) * 2 - 1
        c, s = torch.cos(TURN * turn), torch.sin(TURN * turn)
        y, x = 1 + ZOOM * zoom, (1 + ZOOM * zoom) * (1 + ZOOM / 3 * wide) * mirror
        rows = [torch.stack([c * x, -s * y, SHIFT * right], 1), torch.stack([s * x, c * y, SHIFT * down], 1)]
        grid = functional.affine_grid(torch.stack(rows, 1), [n, 1, 2 * SIZE, 2 * SIZE], align_corners=False)
        smooth = torch.randn(n, 3, KNOTS, KNOTS, generator=generator)
        smooth = functional.interpolate(smooth, 2 * SIZE, mode="bicubic", align_corners=True)
        grid = grid + BEND * smooth[:, :2].permute(0, 2, 3, 1)
        u = functional.grid_sample(u, grid, padding_mode="border", align_corners=False)
        u = functional.avg_pool2d(u * (SHADE * smooth[:, 2:]).exp(), 2)
        return (u.clamp(0, 1) ** (GAMMA * gamma).exp()[:, None, None, None],)


def held_out() -> torch.Tensor:
    """The slices of the training patient that no training saw, as they are and mirrored, (8, 1, 64, 64)."""
    u = torch.tensor(np.stack([brain_slice(k, SIZE, "train") for k in HELD_OUT]), dtype=torch.float32)[:, None]
    return torch.cat([u, u.flip(-1)])


def test_slices(step: int = 1) -> np.ndarray:
    """Those of the other patient, (N, 64, 64) float32."""
    return np.stack([brain_slice(k, SIZE, "test") for k in range(0, 23, step)]).astype(np.float32)
