"""Composing a problem: functionals, a solver, stop rules, certificates, and going on from where you stopped."""

# %% A problem is a sum of functionals
# Denoising by min ½‖u - b‖² + λ TV(u), u in [0, 1].  Each solver says which role it gives to each term.
import os
from pathlib import Path

import numpy as np
from skimage import data

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

x_true = data.camera()[:: 8 if FAST else 2, :: 8 if FAST else 2] / 255.0
b = x_true + 0.1 * np.random.default_rng(0).standard_normal(x_true.shape)
problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV(b.shape) + ip.Box(0, 1))
print(problem.assign(ip.PDHG.takes).describe())

# %% A solver is a configuration; the loop is always the same
# Stop rules combine with | and &.  The duality gap bounds how far the objective is from its minimum, and by strong
# convexity how far the image is from the solution: that is the certificate.
solution = ip.solve(problem, ip.PDHG(), stop=ip.stop.gap(1e-5) | ip.stop.niter(2000))
print(solution)
assert solution.stop == "gap"

reference = ip.solve(problem, ip.PDHG(), stop=ip.stop.gap(1e-8) | ip.stop.niter(20000))
error = np.linalg.norm(solution.x - reference.x)
print(f"distance to a far more accurate solution {error:.2e}, certified {solution.certificate.bound:.2e}")
assert error <= solution.certificate.bound

# %% Stop, save, go on: the result is the same, bit for bit
half = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(50))
half.state.save(OUT / "tutorial_02.npz")
resumed = ip.solve(problem, ip.PDHG(), state=OUT / "tutorial_02.npz", stop=ip.stop.niter(50))
whole = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(100))
assert np.array_equal(resumed.x, whole.x)

# %% What happened on the way: callbacks record it, and the solution plots it
watched = [ip.callbacks.History(every=5, gap=True), ip.callbacks.Metrics(x_true, every=5)]
watched = ip.solve(problem, ip.PDHG(), stop=ip.stop.gap(1e-5), callbacks=watched)
watched.plot(OUT / "tutorial_02_history.png")
assert watched.history["gap"][-1] <= 1e-5

# %% Does a theorem say that it converges?
print(ip.PDHG().is_provably_convergent(problem))
print(ip.GradientDescent().is_provably_convergent(problem))

# %% PyProximal's functionals take part, ours work in their solvers
import pyproximal  # noqa: E402

foreign = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV(b.shape) + ip.as_functional(pyproximal.Box(0, 1)))
print(foreign.assign(ip.PDHG.takes).describe())
same = ip.solve(foreign, ip.PDHG(), stop=ip.stop.niter(500))
assert np.linalg.norm(same.x - reference.x) < 1e-3 * np.linalg.norm(reference.x)

# %% So do functions of your own: a value and a prox, or a gradient
# Elastic net on wavelet coefficients, ‖Wu‖₁ + ½‖Wu‖²: its prox shrinks, then scales.  `check` finds a prox
# that does not belong to the value.
elastic = ip.functional(
    lambda c: abs(c).sum() + 0.5 * (c * c).sum(),
    prox=lambda c, tau: np.sign(c) * np.maximum(abs(c) - tau, 0) / (1 + tau),
    name="elastic net",
)
elastic.check(np.array([2.0, -0.3, 0.7]))
W = ip.Wavelet(b.shape, dtype="float64")
own = ip.Problem(ip.L2(b=b) + 0.1 * elastic @ W + ip.Box(0, 1))
print(own.assign(ip.PDHG.takes).describe())
net = ip.solve(own, ip.PDHG(), stop=ip.stop.residual(1e-5) | ip.stop.niter(500), progress=False)
assert net.stop == "residual" and ip.psnr(net.x, x_true) > ip.psnr(b, x_true)

# %% Look
psnr = ip.psnr(solution.x, x_true)
titles = ["truth", "noisy", f"TV: {psnr:.1f} dB"]
ip.show(x_true, b, solution.x, titles=titles, path=OUT / "tutorial_02.png")

# %% The headline: a certified solution, better than the data
assert psnr > ip.psnr(b, x_true) + (2 if FAST else 5)
