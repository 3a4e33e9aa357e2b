"""With other packages: one deblurring problem, with parts of PyLops, PyProximal, SciPy, deepinv, CUQIpy and xarray."""

# %% One problem
# A photograph behind a blur, with noise, and total variation: min ½‖Au - b‖² + λ TV(u).  The blur continues the
# image by zeros, as PyLops and SciPy do.
import os
from pathlib import Path

import numpy as np
import pylops
import scipy.sparse.linalg as spla
from pylops.optimization.callback import Callbacks
from pyproximal.optimization.cls_primal import ProximalGradient
from scipy.signal import convolve2d
from skimage import data

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

x_true = np.ascontiguousarray(data.camera()[64:320, 128:384][:: 4 if FAST else 1, :: 4 if FAST else 1]) / 255.0
n, lam, steps = len(x_true), 2e-3, 30 if FAST else 60
t = np.arange(-3, 4)
kernel = np.exp(-(t[:, None] ** 2 + t**2) / 4.5)
kernel /= kernel.sum()
A = ip.Blur((n, n), kernel, boundary="zero", dtype="float64")
b = A.apply(x_true) + 0.01 * np.random.default_rng(0).standard_normal((n, n))
data_term, regulariser = ip.L2(A, b), lam * ip.TV((n, n), accuracy=1e-5)
F, tau = data_term + regulariser, 0.95 / data_term.L  # norms of foreign operators are estimates, taken 2 % larger
fista = ip.FISTA(tau=tau)

# %% All of ours: FISTA, with the objective of every step
history = []
ours = ip.solve(ip.Problem(F), fista, stop=ip.stop.niter(steps), callbacks=[lambda run: history.append(F.value(run.x))])


# %% Our functionals in PyProximal's solver
# Its solvers are classes; images are flat vectors.  Our functionals take them, with the same values and gradients.
class Objective(Callbacks):
    def __init__(self):
        self.values = [F.value(np.zeros(n * n))]

    def on_step_end(self, solver, x):
        self.values.append(F.value(x))


seen = Objective()
x_pyproximal = ProximalGradient(callbacks=[seen]).solve(
    data_term, regulariser, np.zeros(n * n), tau=tau, niter=steps, acceleration="fista"
)[0]

# %% PyLops' operator in our solver
# The same blur from another package, with its own adjoint; `as_operator` is called where an operator is expected.
C = pylops.signalprocessing.Convolve2D((n, n), kernel, offset=(3, 3), dtype="float64")
x_pylops = ip.solve(ip.Problem(ip.L2(C, b) + regulariser), fista, stop=ip.stop.niter(steps)).x

# %% A SciPy operator in ours, ours in SciPy
# SciPy's operators are flat: shape= says of which image, data are flat.  The kernel is symmetric, and so is
# the blur.
S = spla.LinearOperator(
    (n * n, n * n),
    matvec=lambda u: convolve2d(u.reshape(n, n), kernel, mode="same").ravel(),
    rmatvec=lambda v: convolve2d(v.reshape(n, n), kernel, mode="same").ravel(),
    dtype="float64",
)
x_scipy = ip.solve(ip.Problem(ip.L2(S, b.ravel(), shape=(n, n)) + regulariser), fista, stop=ip.stop.niter(steps)).x
x_lsqr = spla.lsqr(A, b.ravel(), damp=0.1, atol=1e-12, btol=1e-12, iter_lim=300)[0].reshape(n, n)
x_tikhonov, _ = ip.tikhonov(A, b, 0.01, tol=1e-12)

# %% How far they are from each other
distances = {
    "PyProximal's solver": np.linalg.norm(x_pyproximal.reshape(n, n) - ours.x),
    "PyLops' operator": np.linalg.norm(x_pylops - ours.x),
    "SciPy's operator": np.linalg.norm(x_scipy - ours.x),
    "SciPy's LSQR, our Tikhonov": np.linalg.norm(x_lsqr - x_tikhonov),
}
for name, distance in distances.items():
    print(f"{name:28} {distance / np.linalg.norm(ours.x):.1e}")

# %% With deepinv, where it is installed
# A physics of ours on tensors (N, 1, rows, columns), and a denoiser of deepinv's that needs no weights in
# plug-and-play: its TVDenoiser is the proximal operator of σ TV, so forward-backward steps of size τ lead to λ = σ/τ.
try:
    import deepinv
except (ImportError, RuntimeError) as err:
    print(f"deepinv is not installed, or does not load ({type(err).__name__}): its part is left out")
else:
    import torch

    K = ip.learned.LinearMap(A)
    physics = deepinv.physics.LinearPhysics(A=K, A_adjoint=K.adjoint, img_size=(1, n, n))
    print(
        "deepinv's test of our adjoint", float(physics.adjointness_test(torch.zeros(1, 1, n, n, dtype=torch.float64)))
    )
    denoiser = deepinv.models.TVDenoiser(n_it_max=100, crit=1e-6)
    x_deepinv, _ = ip.pnp(
        A, b, denoiser, method="fista", sigma=lam * tau, tau=tau, niter=steps, stop=ip.stop.niter(steps)
    )
    print(f"deepinv's TVDenoiser: {ip.psnr(x_deepinv, x_true):.2f} dB, ours {ip.psnr(ours.x, x_true):.2f} dB")

# %% With CUQIpy, where it is installed
# For N(0, 1/10) as prior and noise of standard deviation 0.01 the maximum of the posterior is Tikhonov's solution with
# weight 0.01² · 10.  Functions, not the operator itself: CUQIpy would take it for a matrix.
try:
    import cuqi
except ImportError:
    print("CUQIpy is not installed: its part is left out")
else:
    small = ip.Blur((16, 16), kernel, boundary="zero", dtype="float64")
    y = small.apply(x_true[:16, :16].copy())
    grid = cuqi.geometry.Image2D((16, 16))
    model = cuqi.model.LinearModel(lambda u: small @ u.ravel(), lambda v: small.H @ v.ravel(), grid, grid)
    u = cuqi.distribution.Gaussian(np.zeros(256), 0.1, geometry=grid, name="u")
    v = cuqi.distribution.Gaussian(model(u), 1e-4, geometry=grid, name="v")
    x_map = cuqi.problem.BayesianProblem(v, u).set_data(v=y.ravel()).MAP(disp=False)
    x_ours, _ = ip.tikhonov(small, y, 1e-3, tol=1e-13)
    print(f"CUQIpy's MAP estimate and our Tikhonov: {np.abs(np.asarray(x_map).reshape(16, 16) - x_ours).max():.1e}")

# %% With xarray, where it is installed
# A DataArray is refused, with the way to its values; `copy(data=x)` gives an image on the same grid its coordinates.
try:
    import xarray
except ImportError:
    print("xarray is not installed: its part is left out")
else:
    labelled = xarray.DataArray(b, {"y": 0.5 * np.arange(n), "x": 0.5 * np.arange(n)}, ("y", "x"), attrs={"units": "1"})
    try:
        ip.tv(A, labelled, lam)
    except TypeError as err:
        print(err)
    image = labelled.copy(data=ours.x)
    print("at y = 10, x = 12:", float(image.sel(y=10, x=12)), "is", ours.x[20, 24])

# %% Look
# Both objectives lie on one line: the solvers make the same steps.
import matplotlib.pyplot as plt  # noqa: E402

figure, axes = plt.subplots(1, 5, figsize=(15, 3.2), layout="constrained")
difference = np.abs(x_pyproximal.reshape(n, n) - ours.x)
titles = [
    "truth",
    "data",
    f"ours: {ip.psnr(ours.x, x_true):.1f} dB",
    f"PyProximal's: off by\nat most {difference.max():.0e}",
]
for ax, image_, title in zip(axes, (x_true, b, ours.x, x_pyproximal.reshape(n, n)), titles, strict=False):
    ax.imshow(image_, cmap="gray", vmin=0, vmax=1)
    ax.set(title=title, xticks=[], yticks=[])
least = min(*history, *seen.values)
axes[4].semilogy(np.array(history)[:-1] - least + 1e-9, label="ours", linewidth=4, alpha=0.4)
axes[4].semilogy(np.array(seen.values)[:-1] - least + 1e-9, "k--", label="PyProximal's", linewidth=1)
axes[4].set(title="F(uₖ) - least of F", xlabel="k")
axes[4].legend()
figure.savefig(OUT / "tutorial_39.png", dpi=100)
plt.close(figure)

# %% The headline: whoever provides the operator, the functional or the solver, the image is the same
assert max(distances.values()) < 1e-5 * np.linalg.norm(ours.x)
assert ip.psnr(ours.x, x_true) > ip.psnr(b, x_true) + 1
