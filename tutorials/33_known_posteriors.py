"""Do samplers sample?  Posteriors that are known in closed form, and intervals that hold what they say.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes fewer samples and steps.
"""

# %% A posterior in closed form
# The prior is a mixture of three Gaussians of 8 x 8 images: a bright square on the left, on the right, or in the
# middle, with correlated variation.  From six views with Gaussian noise the posterior is a mixture again: each
# component by the formulas of Kalman's update, with a weight that says how well it explains the data.
import os
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

import ipbox as ip
from ipbox.bayes import MixtureScore, benchmark, known_problem, rank_uniformity, ranks

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
samples, steps = (100, (20, 60)) if FAST else (400, (20, 60, 200))

problem = known_problem("ct-mixture")
prior, posterior = problem.prior, problem.posterior
print(f"weights of the components: prior {prior.weights}, posterior {posterior.weights.round(2)}")
assert np.sort(posterior.weights)[-2] > 0.05  # the data leave two possibilities

# %% Its score is known, too: no network stands between a sampler and the truth
# With noise of level σ the prior is a mixture with the covariances C + σ²I.  By Tweedie's formula the score gives the
# best denoiser; a network would have to learn it.
score, sigma = MixtureScore(prior), 1.0
u = prior.sample(2000, seed=3)
x = u + sigma * np.random.default_rng(4).standard_normal(u.shape)
error = ((score.denoise(x, sigma) - u) ** 2).mean()
linear = prior.covariance @ np.linalg.inv(prior.covariance + sigma**2 * np.eye(64))  # the best linear one
wiener = (((x - prior.mean).reshape(-1, 64) @ linear.T + prior.mean.ravel() - u.reshape(-1, 64)) ** 2).mean()
print(f"mean squared error of the denoiser {error:.3f}, of the best linear one {wiener:.3f}")
assert error < wiener

# %% Samplers against the truth
# W2 is the distance to the posterior in its own deviations; a finite number of exact samples has one, too, the floor.
# Coverage says how often their 90 per cent regions hold the truth: below, they are too sure.
found = benchmark(
    ["exact", "ula", "reverse", "diffpir", "dps", "daps"], ["inpaint-gaussian"], steps=steps, samples=samples
)
print(found.table())
(best,) = found["inpaint-gaussian", "exact"]
assert abs(best.coverage - 0.9) < 0.06
sure = found["inpaint-gaussian", "dps"][-1]
assert sure.coverage < 0.5  # DPS guides to the data, and is not a sampler of the posterior
nearest = found["inpaint-gaussian", "reverse"][-1]
assert nearest.gap < 0.2 and nearest.spread > 0.85  # with the posterior's own score nothing is wrong but the steps
found.show(OUT / "tutorial_33_benchmark.png")

# %% Your own sampler
# Any function of the problem that gives samples can be measured: here the posterior's mean with the right deviation in
# each pixel, but no correlation.


def independent(problem: ip.bayes.KnownProblem, samples: int, steps: int, seed: int) -> np.ndarray:
    law = problem.posterior
    z = np.random.default_rng(seed).standard_normal((samples, *law.dims))
    return law.mean + z * np.sqrt(np.diagonal(law.covariance)).reshape(law.dims)


(row,) = benchmark({"independent": independent}, ["inpaint-gaussian"], steps=[1], samples=1000).rows
print(f"independent pixels: spread {row.spread:.2f}, W2 {row.w2:.2f} with a floor of {row.floor:.2f}")
assert abs(row.spread - 1) < 0.1 and row.w2 > 1.5 * row.floor  # the right deviations, and the wrong law

# %% Ranks: one problem after the other
# Draw an image and its data many times, and rank it among samples of its posterior: all ranks are equally probable
# where the sampler is exact.  A sampler that halves the deviation has its truths outside too often.
repetitions, N, rng = 200, 19, np.random.default_rng(5)
truths = prior.sample(repetitions, seed=6)
drawn = []
for k, u in enumerate(truths):
    b = problem.A.apply(u)
    b += problem.deviation * rng.standard_normal(b.shape)
    law = prior.posterior(problem.A, b, problem.noise_level)
    x = law.sample(N, seed=k)
    drawn.append([x.mean(axis=(1, 2)), (law.mean + 0.5 * (x - law.mean)).mean(axis=(1, 2))])
exact, halved = np.array(drawn).swapaxes(0, 1)
of_mean = truths.mean(axis=(1, 2))
p = [rank_uniformity(ranks(of_mean, x), N) for x in (exact, halved)]
print(f"p-values of uniform ranks: exact {p[0]:.2f}, half the deviation {p[1]:.1e}")
assert p[0] > 0.01 > 1e-6 > p[1]

# %% Where no posterior is known: intervals by calibration
# Around any reconstruction, on real images: how far was it off on slices that are known?  Conformal calibration turns
# this into intervals which hold 90 per cent of the pixels of a new slice, on average, whatever the reconstruction,
# as long as new slices are like the known ones.  Here every other slice of one patient calibrates, and the others test.
slices = range(40) if FAST else range(60)
posed = [ip.problem("ct", size=64, views=30, noise=0.02, slice=k, seed=k) for k in slices]
images = {b.tobytes(): ip.fbp(A, b, "hann")[0] for A, b, _, _ in posed}


def phi(b: np.ndarray) -> np.ndarray:
    return images[b.tobytes()]


def slope(b: np.ndarray) -> np.ndarray:
    """Where errors are expected: near edges, and some everywhere."""
    x = gaussian_filter(phi(b), 1.0)
    s = np.hypot(*np.gradient(x))
    return s + s.mean()


pairs = [(b, x_true) for _, b, x_true, _ in posed]
for s in (None, slope):
    intervals = ip.evaluate.calibrate(phi, pairs[::2], alpha=0.1, deviation=s)
    held = intervals.coverage(pairs[1::2])
    told = "one width" if s is None else "wide at edges"
    print(f"fbp, {told}: {100 * held.mean:.1f} ± {100 * held.error:.1f} % inside; mean width {held.width:.4f} / mm")
    assert 0.9 - 2 * held.error < held.mean < 0.9 + 2 / (len(pairs[::2]) + 1) + 2 * held.error
try:
    intervals.coverage(pairs[:2])
except ValueError as err:
    print(f"refused: {err}")

# %% What it looks like
b, x_true = pairs[len(pairs) // 2 | 1]
intervals.show(b, x_true, path=OUT / "tutorial_33.png", unit="1/mm")
print(f"pictures: {OUT / 'tutorial_33.png'}, {OUT / 'tutorial_33_benchmark.png'}")
