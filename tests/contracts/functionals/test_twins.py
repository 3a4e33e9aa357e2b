"""Functionals that are another one, computed faster: the same value, derivatives, constants and samples."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ipbox import backend
from ipbox.bilevel.terms.fourier_fidelity import FourierL2
from ipbox.functionals import WeightedL2
from ipbox.operators import FourierTransform
from tests.contracts.support import assert_close, draw


def test_weighted_least_squares_of_fourier_samples(dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    dims, complex_dtype = (6, 5), backend.complex_dtype(dtype)
    F = FourierTransform(dims, dtype=complex_dtype)
    b, weights = draw(rng, dims, complex_dtype, xp), xp.ones(dims, dtype=dtype)
    weights[...] = abs(draw(rng, (5,), dtype, xp))
    fast, slow = FourierL2(F, b, weights, (-1,)), WeightedL2(F, b, weights)
    assert fast.L == slow.L and fast.mu == float(weights.min())
    u, v = draw(rng, (2, 3, *dims), complex_dtype, xp)
    np.testing.assert_allclose(fast.value(u, batch=True), slow.value(u, batch=True), rtol=1e-5)
    for x, d in ((u, v), (u[0], v[0])):
        assert_close(fast.grad(x), slow.grad(x), factor=256)
        assert_close(fast.hessian_apply(x, d), slow.hessian_apply(x, d), factor=256)
    assert fast.value_grad(u)[0] == fast.value(u)
