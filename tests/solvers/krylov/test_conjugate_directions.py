"""Conjugate gradients for a batch of systems: samples that are done leave, and nothing else changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.solvers.krylov.conjugate_directions import Apply, Blocks, solve_definite

N, DIFFERENT = 12, (1, 3, 6, 2, 0)  # eigenvalues, and how many different ones: as many iterations; none for b = 0


def test_samples_that_are_done_leave_the_batch(rng: np.random.Generator, xp: Any) -> None:
    count = len(DIFFERENT)
    Q = np.linalg.qr(rng.standard_normal((count, N, N)))[0]
    values = np.stack([1.0 + 3 * (np.arange(N) % max(n, 1)) for n in DIFFERENT])
    M, b = (Q * values[:, None]) @ Q.swapaxes(1, 2), rng.standard_normal((count, N))
    b[-1] = 0
    on_device, tolerance = xp.asarray(M), 1e-10 * np.linalg.norm(b, axis=1)
    rows: list[int] = []

    def of(samples: np.ndarray) -> Apply:
        part = on_device[samples]

        def apply(d: Blocks, q: Blocks) -> None:
            rows.append(len(d[0]))
            q[0][...] = (part * d[0][:, None]).sum(axis=2)

        return apply

    def solved(**options: Any) -> np.ndarray:
        blocks = [[xp.zeros((count, N))], [xp.array(b)], [xp.zeros((count, N))], [xp.zeros((count, N))]]
        rows.clear()
        solve_definite(of(np.arange(count)), *blocks, tolerance, 50, True, **options)
        return backend.to_host(blocks[0][0])

    together = solved()
    assert rows == [count] * max(DIFFERENT)
    np.testing.assert_array_equal(solved(take=of), together)
    assert rows == [sum(n > k for n in DIFFERENT) for k in range(max(DIFFERENT))]
    np.testing.assert_allclose(together, np.linalg.solve(M, b[..., None])[..., 0], rtol=1e-8, atol=1e-10)
