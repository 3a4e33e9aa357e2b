"""From counts to line integrals: the axis, stripes, values and noise of simulated scans in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np

import ipbox as ip
from tests.measured import scans, test_chain

PHOTONS = 500.0


def centre(turn: str, n: int, shift: float, seeds: int) -> dict[str, Any]:
    """Errors in columns of the axis that is found in Poisson counts, one for each seed."""
    angles = {"half": scans.HALF, "whole": scans.TURN}[turn]
    b = scans.integrals(angles, n, shift)
    found = [ip.measured.find_centre(scans.noisy(b, PHOTONS, seed), angles) for seed in range(seeds)]
    return {"errors": [centre.det_shift - shift for centre in found]}


def striped(image: str, views: int, gain: float, out: str, size: int = 256, photons: float = 1e5) -> dict[str, Any]:
    """PSNR of FBP, in dB: with gain errors, with these removed, and without them; the striped sinogram is written."""
    A, b, _, _ = ip.problem("ct", image=image, size=size, views=views, noise=0.0)
    rng, scale = np.random.default_rng(0), 3 / b.max()
    counts = rng.poisson(photons * np.exp(-scale * b.astype(np.float64)))
    ideal = (-np.log(np.maximum(counts, 1) / photons) / scale).astype(np.float32)
    data = (ideal - np.log(1 + gain * rng.standard_normal(b.shape[1])) / scale).astype(np.float32)
    reference = ip.fbp(A, b)[0]
    np.save(out, data)
    told = {"striped": data, "removed": ip.measured.remove_stripes(data)[0], "ideal": ideal}
    return {name: ip.psnr(ip.fbp(A, y)[0], reference) for name, y in told.items()}


def score(image: str, views: int, sinogram: str, size: int = 256) -> dict[str, Any]:
    """PSNR of FBP of a sinogram that was written, in dB."""
    A, b, _, _ = ip.problem("ct", image=image, size=size, views=views, noise=0.0)
    return {"psnr": ip.psnr(ip.fbp(A, np.load(sinogram).astype(np.float32))[0], ip.fbp(A, b)[0])}


def chain(seed: int) -> dict[str, Any]:
    """Errors of known attenuation through the whole chain, and of the noise level, relative."""
    given = test_chain.scan(fades=0.1, seed=seed, drift=0.005)
    b, info = test_chain.prepared(given, flats_after=given["flats_after"])
    A = ip.RayTransform((test_chain.N, test_chain.N), test_chain.ANGLES, n_det=test_chain.N, det_shift=info.det_shift)
    u = ip.fbp(A, b[:, 1], "hann")[0]
    x = np.arange(test_chain.N) - 0.5 * (test_chain.N - 1)
    errors = {
        str(value): float(u[np.hypot(x - x0, -x[:, None] - y0) < 8].mean()) / value - 1
        for value, (x0, y0) in test_chain.PLACES.items()
    }
    noise = info.noise_level / float(np.linalg.norm(b - given["true"]))
    return {"values": errors, "noise": noise, "centre": info.det_shift - test_chain.SHIFT}
