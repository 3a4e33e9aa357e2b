"""The error in a part of the image.

MATLAB: norm(x(rows, cols) - x_true(rows, cols), 'fro')
"""

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, seed=0)
x, _ = ip.fbp(A, b, filter="hann")

# %% now the five lines
roi = (slice(20, 44), slice(20, 44))
print(ip.psnr(x[roi], x_true[roi]), ip.ssim(x[roi], x_true[roi]))
ip.show(x_true[roi], x[roi], path="roi.png")

# %% and what came of them
assert ip.psnr(x[roi], x_true[roi]) > 15
