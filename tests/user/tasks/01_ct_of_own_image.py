"""CT of an image of your own.

MATLAB: [A, b, x, info] = PRtomo(n, PRset('phantomImage', X))
"""

import numpy as np
from PIL import Image

import ipbox as ip

yy, xx = np.mgrid[-1:1:96j, -1:1:96j]
Image.fromarray(np.uint8(255 * ((xx**2 + yy**2 < 0.7) - 0.5 * (abs(xx) + abs(yy) < 0.4)))).save("mine.png")

# %% now the five lines
image, _ = ip.read_image("mine.png", dtype="float32")
A, b, x_true, info = ip.problem("ct", image=image, views=90, noise=0.01, seed=0)
x, _ = ip.fbp(A, b, filter="hann")
ip.show(x_true, x, x_true=x_true, path="ct.png")

# %% and what came of them
assert x.shape == (96, 96)
assert ip.psnr(x, x_true) > 20
