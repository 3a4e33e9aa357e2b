"""Plug-and-play with a network of your own.

MATLAB: (in none of the toolboxes)
"""

import torch

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=32, views=45, noise=0.02, seed=0)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.mean = torch.nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x):
        return 0.7 * x + 0.3 * self.mean(x)


net = Net()

# %% now the five lines
x, run = ip.pnp(A, b, denoiser=net, noise_level=info.noise_level, niter=20)

# %% and what came of them
assert ip.psnr(x, x_true) > 20, ip.psnr(x, x_true)
