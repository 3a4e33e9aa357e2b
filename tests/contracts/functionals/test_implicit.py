"""What priors without a value promise: denoisers, and regularisation by denoising with its residual as gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ipbox.functionals import Functional
from tests.contracts.functionals.registry import DIMS
from tests.contracts.support import assert_close, draw, freeze, host

pytest.importorskip("torch", reason="torch is not installed")

from ipbox.learned.priors import RED, Denoiser  # noqa: E402
from tests.contracts.functionals.learned import smoothing  # noqa: E402

Make = Callable[[np.dtype], Functional]
CASES: dict[str, Make] = {
    "blind module": lambda dtype: Denoiser(smoothing(dtype), scale=2.0),
    "relaxed module": lambda dtype: Denoiser(smoothing(dtype), strength=0.5, box=(-1.0, 1.0)),
    "function": lambda dtype: Denoiser(lambda x, sigma: x / (1 + sigma), sigma=0.3),
    "function by the step size": lambda dtype: Denoiser(lambda x, sigma: x / (1 + sigma), lam=0.3),
    "RED": lambda dtype: RED(smoothing(dtype), inner=2),
}
every = pytest.mark.parametrize("make", CASES.values(), ids=CASES)


@every
def test_it_has_a_prox_and_no_value(make: Make, dtype: np.dtype, xp: ModuleType) -> None:
    f, x = make(dtype), xp.ones(DIMS, dtype=dtype)
    assert f.has_prox and not f.explicit and xp.__name__ in f.backends
    with pytest.raises(TypeError, match="has no value"):
        f.value(x)


@every
def test_prox(make: Make, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    """Dtype, device, memory, batches, and the same twice."""
    f, x = make(dtype), draw(rng, (3, *DIMS), dtype, xp)
    before, p, steps = freeze(x), f.prox(x, 0.4), np.array([0.1, 0.5, 2.0])
    assert host(x).tobytes() == before and isinstance(p, xp.ndarray) and (p.dtype, p.shape) == (dtype, x.shape)
    assert_close(p, xp.stack([f.prox(xi, 0.4) for xi in x]))
    assert_close(f.prox(x, steps), xp.stack([f.prox(xi, float(t)) for xi, t in zip(x, steps, strict=True)]))
    out = x.copy()
    f.prox(out, 0.4, out=out, work={})
    assert_close(out, p, factor=1)


@every
def test_what_it_refuses(make: Make, dtype: np.dtype, xp: ModuleType) -> None:
    f, x = make(dtype), xp.ones(DIMS, dtype=dtype)
    for step, error in ((0.0, ValueError), (-1.0, ValueError), (math.nan, ValueError), (1j, TypeError)):
        with pytest.raises(error, match="^tau is"):
            f.prox(x, step)
    with pytest.raises(TypeError, match="^x has dtype int"):
        f.prox(xp.ones(DIMS, dtype=int), 1.0)


def test_the_gradient_of_red_is_the_residual(dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    x, net = draw(rng, DIMS, dtype, xp), smoothing(dtype)
    f: Any = RED(net)
    assert_close(f.grad(x), x - Denoiser(net).prox(x, 1.0))
    assert_close(f.grad(x), RED(net, gradient="autograd").grad(x))
