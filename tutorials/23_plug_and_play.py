"""Plug-and-play and RED: any denoiser as a prior, what the iterations converge to, and whether they do.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes a smaller photograph.
"""

# %% A network that removes noise, and a blurred photograph
# Neither knows of the other: the network was trained on photographs with Gaussian noise, never on blur.  This one is
# shipped; any torch module that is called ``net(x, sigma)`` or ``net(x)`` will do, and so will a function of an array.
import os
from pathlib import Path

import numpy as np
import torch

import ipbox as ip

torch.set_num_threads(1)
FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
size = 96 if FAST else 256

net = ip.learned.pretrained("drunet_fine")
A, b, x_true, info = ip.problem("blur", size=size, kernel="out-of-focus", noise=0.03, radius=3.0)


def psnr(x: np.ndarray) -> float:
    return ip.psnr(x, x_true)


# %% Plug-and-play with the noise levels of DPIR
# Half-quadratic splitting minimises ½‖Au - b‖² + R(u) by turns: u = argmin_v ½‖Av - b‖² + ρ/2 ‖v - x‖², which knows
# the operator, and x = prox_{R/ρ}(u), which removes noise of level √(1/ρ) from u.  There the network stands in for
# prox, and R is never written down.  The noise level falls from 49/255 to that of the data in eight steps.
x_pnp, run = ip.pnp(A, b, net, noise_level=info.noise_level)
print("noise levels", np.round(run.extra["sigma"], 3), "with ρ", np.round(run.solver.schedule, 4))

# %% Against classical methods
# TV gets the best of several weights, chosen with the truth in hand; plug-and-play used its defaults.
s = info.noise_level / size
x_wiener, _ = ip.wiener(A, b, info.noise_level, edgetaper=A.diagonal is None)
x_tv = max((ip.tv(A, b, lam * s**2)[0] for lam in (2.5, 5.0, 10.0, 20.0)), key=psnr)
found = {"blurred": b, "Wiener": x_wiener, "TV": x_tv, "plug-and-play": x_pnp}
for name, x in found.items():
    print(f"{name:14} {psnr(x):6.2f} dB")
assert psnr(x_pnp) > psnr(x_wiener) + 1
assert psnr(x_pnp) > psnr(x_tv)

# %% A network that takes no noise level
# Called ``net(x)``, it removes whatever noise it was made for.  How much its images weigh then follows from the data:
# ADMM moves ρ to where ‖Ax - b‖ is the noise level.  Where a signature does not tell, ``takes_sigma=`` does.


class Blind(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = ip.learned.pretrained("dncnn")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x, 0.06)


x_blind, run = ip.pnp(A, b, Blind(), noise_level=info.noise_level, niter=40)
misfit = np.linalg.norm(A.apply(x_blind) - b) / info.noise_level
print(f"a blind network {psnr(x_blind):6.2f} dB, ‖Ax - b‖ {misfit:.2f} times the noise level")
assert psnr(x_blind) > psnr(x_wiener) and 0.9 < misfit < 1.1

# %% Other methods, and what they have in common
# Forward-backward, FISTA, ADMM and the primal-dual method all have the fixed points x = D(x - τ∇E(x)), with τ = 1/ρ for
# ADMM.  Where D is linear, D = W, the fixed point is known: (Id - W + τ W A*A) x = τ W A*b.


class Smoother(torch.nn.Module):
    """A mean over neighbours: linear, symmetric, and non-expansive."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = 0.5 * x + 0.25 * (x.roll(1, -1) + x.roll(-1, -1))
        return 0.5 * x + 0.25 * (x.roll(1, -2) + x.roll(-1, -2))


small, c, _, _ = ip.problem("blur", size=16, sigma=1.0, dtype="float64")
n, tau = 256, 1 / small.norm() ** 2
eye = np.eye(n).reshape(n, 16, 16)
W = Smoother()(torch.from_numpy(eye)[:, None]).reshape(n, n).numpy().T
AA = small.apply_adjoint(small.apply(eye)).reshape(n, n)
fixed = np.linalg.solve(np.eye(n) - W + tau * W @ AA, tau * W @ small.apply_adjoint(c).ravel()).reshape(16, 16)
for method in ("forward_backward", "fista", "admm", "pdhg"):
    step = {"rho": 1 / tau} if method == "admm" else {"tau": tau}
    x, run = ip.pnp(small, c, Smoother(), method=method, niter=5000, tol=1e-10, **step)
    print(f"{method:17} {run.niter:5d} iterations, distance to the fixed point {abs(x - fixed).max():.0e}")
    assert abs(x - fixed).max() < 1e-6

# %% Does it converge?
# It does where D is non-expansive (and averaged) and τ < 2/‖A‖².  The monitor compares D at successive iterates, and
# says in words what follows.  A denoiser that is far from non-expansive never settles.


class Restless(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.3 * torch.sin(20 * x)


moves = {}
for name, D in {"smoother": Smoother(), "restless": Restless()}.items():
    track, last = moves.setdefault(name, []), []

    def watch(run: object, track: list = track, last: list = last) -> None:
        if last:
            track.append(np.linalg.norm(run.x - last.pop()))
        last.append(run.x.copy())

    _, run = ip.pnp(small, c, D, method="forward_backward", niter=200, tol=1e-12, callbacks=[watch])
    print(f"{name}: moves by {track[0]:.1e} at first, {track[-1]:.1e} in the end; {run.extra['monitor']}")
assert (np.diff(moves["smoother"]) <= 1e-12).all()  # never a longer step than the one before
assert moves["restless"][-1] > 1e-2

# %% A rule that never fires
# "Stop when ½‖Au - b‖² < δ" suggests itself, but nothing is minimised here: at the fixed point the residual is whatever
# it is.  A strong denoiser keeps it above δ for ever; the relative fixed-point residual (the default) does stop.
level = 0.9 * np.linalg.norm(small.apply(fixed) - c)
rule = ip.stop.discrepancy(level, safety=1.0)
given = dict(method="forward_backward", tau=tau, niter=2000, x0=np.zeros((16, 16)))
_, run = ip.pnp(small, c, Smoother(), stop=rule, **given)
print(f"discrepancy: {run.stop} after {run.niter} iterations")
assert run.stop == "niter"
_, run = ip.pnp(small, c, Smoother(), tol=1e-6, **given)
print(f"fixed-point residual: {run.stop} after {run.niter} iterations")
assert run.stop == "residual"

# %% RED: regularisation by denoising
# R(u) = ½<u, u - D(u)> has the gradient u - D(u), if D is locally homogeneous and its Jacobian symmetric.  The network
# is neither; `check` measures by how much, and what the formula is wrong by.
linear, learned = ip.learned.RED(Smoother()).check(c), ip.learned.RED(net, 0.1).check(x_true)
print("smoother:", linear)
print("network: ", learned)
assert linear.holds and not learned.holds

# %%
# The algorithms of RED use the formula all the same: they solve A*(Au - b) + λ (u - D(u)) = 0, and no objective belongs
# to that.  With the true gradient, by automatic differentiation, there is one, and it falls.
sigma, lam = 0.08, 0.02
x_red, run = ip.red(A, b, net, lam, sigma, niter=5 if FAST else 30)
found["RED"] = x_red
print(f"RED            {psnr(x_red):6.2f} dB, {run.extra['monitor']}")
assert psnr(x_red) > psnr(b) + 1
history = ip.callbacks.History(every=1)
u, run = ip.red(
    small, c, Smoother(), 0.1, method="steepest_descent", gradient="autograd", niter=50, callbacks=[history]
)
values = [record["objective"] for record in run.history]
assert (np.diff(values) <= 1e-12).all()

# %% The pictures
titles = ["truth", *(f"{name}: {psnr(x):.2f} dB" for name, x in found.items())]
ip.show(x_true, *found.values(), titles=titles, vmin=0, vmax=1, path=OUT / "tutorial_23.png")
