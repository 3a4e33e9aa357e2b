"""ODL's operators as ours and ours as ODL's: its inner products have weights, ours have none."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")]
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def odl() -> ModuleType:
    import odl

    return odl


def pair(T: Any, scale: float = 1.0) -> tuple[Any, Any]:
    """As docs/interoperability.md has it."""
    return lambda u: T(u).asarray(), lambda v: scale * T.adjoint(v).asarray()


def test_their_operator_is_one_of_ours(odl: ModuleType) -> None:
    X = odl.uniform_discr([0, 0], [1, 1], (12, 14), dtype="float64")
    D = odl.PartialDerivative(X, 0)
    A = ip.as_operator(pair(D), shape=(12, 14))
    u, v = RNG.standard_normal((2, 12, 14))
    assert np.array_equal(A.apply(u), D(u).asarray())
    assert abs(np.vdot(A.apply(u), v) - np.vdot(u, A.apply_adjoint(v))) < 1e-12 * np.linalg.norm(A.apply(u)) * 12
    S = ip.as_operator(odl.as_scipy_operator(D), shape=(12, 14), data_shape=(12, 14))
    assert np.allclose(S.apply_adjoint(v), A.apply_adjoint(v))


def test_an_adjoint_in_weighted_inner_products_is_refused_and_scaled_by_the_weights(odl: ModuleType) -> None:
    """ODL's ⟨u, v⟩ of images is h² Σ u v, that of two readings Σ u v: Aᵀ is h² times ODL's adjoint."""
    X = odl.uniform_discr([-1, -1], [1, 1], (16, 16), dtype="float64")
    T = odl.SamplingOperator(X, [[0, 3], [1, 5]], variant="point_eval")
    with pytest.raises(ValueError, match="^adjoint is not that of forward"):
        ip.as_operator(pair(T), shape=(16, 16))
    A = ip.as_operator(pair(T, X.weighting.const), shape=(16, 16))
    u = RNG.standard_normal((16, 16))
    assert np.array_equal(A.apply(u), [u[0, 1], u[3, 5]])
    x, _ = ip.cgls(A, np.array([2.0, -1.0]), niter=5)
    assert np.allclose([x[0, 1], x[3, 5]], [2.0, -1.0]) and np.count_nonzero(abs(x) > 1e-12) == 2


def test_our_operator_in_their_solver(odl: ModuleType) -> None:
    """Conjugate gradients on the normal equations: the same iterates as ours."""

    class Ours(odl.Operator):
        def __init__(self, A: Any) -> None:
            self.A = A
            dims, dimsd = (odl.rn(shape, dtype=str(dtype)) for shape, dtype in A.ends)
            super().__init__(dims, dimsd, linear=True)

        def _call(self, x: Any) -> Any:
            return self.range.element(self.A.apply(x.asarray()))

        @property
        def adjoint(self) -> Any:
            return Ours(self.A.H)

    A = ip.RayTransform((8, 7), np.arange(9) * np.pi / 9, dtype="float64")
    T, b = Ours(A), A.apply(RNG.standard_normal((8, 7)))
    u, v = T.domain.element(RNG.standard_normal((8, 7))), T.range.element(b)
    assert abs(T(u).inner(v) - u.inner(T.adjoint(v))) < 1e-12 * T(u).norm() * v.norm()
    x = T.domain.zero()
    odl.solvers.conjugate_gradient_normal(T, x, T.range.element(b), niter=10)
    ours = ip.cgls(A, b, niter=10)[0]
    assert np.linalg.norm(x.asarray() - ours) < 1e-9 * np.linalg.norm(ours)
