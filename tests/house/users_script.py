"""A script as users write it: type checkers find nothing in it, and it runs (`test_typing`)."""

import numpy as np
from numpy.typing import NDArray

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=20, noise=0.01, seed=0)
level = info.noise_level
x_fbp, _ = ip.fbp(A, b, filter="hann")
x_cgls, run = ip.cgls(A, b, noise_level=level)
x_tv, chosen = ip.tv(A, b, lam="discrepancy", noise_level=level, nonneg=True)
print(run.stop, run.niter, ip.psnr(x_tv, x_true), ip.ssim(x_tv, x_true))
figure = ip.show(x_true, x_fbp, x_cgls, x_tv, titles=["truth", "fbp", "cgls", "tv"], path="ct.png")

angles = np.linspace(0, np.pi, 30, endpoint=False)
R = ip.RayTransform((64, 64), angles, dtype="float64")
sinogram: NDArray[np.float64] = R @ np.ones((64, 64))
back = R.H @ sinogram
stack = ip.VStack([ip.Identity((64, 64), "float64"), ip.Gradient((64, 64), dtype="float64")])
norm: float = R.norm() + stack.norm()

problem = ip.Problem(ip.L2(A, b) + 0.2 * ip.TV((64, 64)) + ip.Box(0, 0.1))
rule = ip.stop.gap(1e-3) | ip.stop.niter(20)
history = ip.callbacks.History(every=5)
solution = ip.solve(problem, ip.PDHG(), stop=rule)
solution = ip.solve(problem, ip.PDHG(), state=solution.state, stop=ip.stop.niter(5), callbacks=[history])
verdict = ip.PDHG().is_provably_convergent(problem)
print(solution.niter, solution.splitting, verdict.reason, solution.history[-1])

smooth = ip.L2(A, b) + 1e-3 * ip.Tikhonov((64, 64))
u = ip.solve(ip.Problem(smooth), ip.LBFGS(), stop=ip.stop.niter(5)).x
value: float = smooth.value(u)


result = ip.compare((A, b, x_true, info), {"fbp": ip.fbp, "sirt": lambda A, b: ip.sirt(A, b, niter=5)})
print(result.table(), result["fbp"].psnr)


with ip.counting(A) as count:
    A.apply(x_true)
print(count.total, ip.functionals.L2, ip.operators.Operator, ip.metrics.nrmse(u, x_true))
