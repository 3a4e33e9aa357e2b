"""A network of your own as the regulariser, any module that gives a number for each image.

MATLAB: (in none of the toolboxes)
"""

import torch

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=32, views=45, noise=0.02, seed=0)


class Net(torch.nn.Module):
    def forward(self, u):
        rows, columns = u.diff(dim=-2), u.diff(dim=-1)
        return sum((1e-6 + d.square()).sqrt().sum((1, 2, 3)) for d in (rows, columns))


net = Net()

# %% now the five lines
R = ip.LearnedRegulariser(net)  # with convex=True, L= where you know them: then theorems apply
x, run = ip.variational(A, b, R, "discrepancy", info.noise_level, tol=1e-2)

# %% and what came of them
assert ip.psnr(x, x_true) > ip.psnr(ip.fbp(A, b)[0], x_true) + 1, ip.psnr(x, x_true)
