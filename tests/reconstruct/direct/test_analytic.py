"""analytic: the natural method of every operator, and nothing else."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.problems import names

METHODS = {
    "blur": "wiener",
    "blur-varying": "pseudo_inverse",
    "compressed-sensing": "pseudo_inverse",
    "cone": "fdk",
    "ct": "fbp",
    "denoise": "adjoint",
    "deriv2": "tsvd",
    "fan": "fbp",
    "gravity": "tsvd",
    "heat": "tsvd",
    "inpaint": "adjoint",
    "mri": "zero_filled",
    "mri-radial": "gridding",
    "pet": "fbp",
    "phillips": "tsvd",
    "shaw": "tsvd",
    "super-resolution": "pseudo_inverse",
    "tomography-measured": "fbp",
}


def test_every_problem_is_listed() -> None:
    assert set(METHODS) == set(names())


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {"tomography-measured"}))
def test_every_problem_has_its_method(name: str) -> None:
    """The result fits: it is far nearer to the data than nothing is."""
    A, b, x_true, about = ip.problem(name, size=32)
    x, info = ip.analytic(A, b, about.noise_level)
    assert info.method == METHODS[name]
    assert x.shape == x_true.shape and x.dtype == x_true.dtype
    assert ip.relative_residual(A, x, b) < 0.8
    pair, _ = ip.analytic(A, np.stack([b, b]), about.noise_level)
    assert np.allclose(pair[1], x, rtol=0, atol=1e-3 * abs(x).max())


def test_a_measured_sinogram() -> None:
    A, b, _, _ = ip.problem("tomography-measured")
    with pytest.warns(RuntimeWarning, match="the views leave out 1.% of the lines"):
        x, info = ip.analytic(A, b)
    assert (info.method, info.filter) == ("fbp", "hann") and ip.relative_residual(A, x, b) < 0.2


def test_blur_without_a_noise_level_or_a_transform(xp: ModuleType) -> None:
    A, b, x_true, _ = ip.problem("blur", size=64, xp=xp.__name__)
    assert ip.analytic(A, b)[1].method == "truncated_inverse"
    zero = ip.GaussianBlur((64, 64), 2.0, "zero")
    x, info = ip.analytic(zero, b, 1.0)
    assert zero.diagonal is None and info.method == "wiener" and x.dtype == b.dtype


def test_unitary_operators_and_matrices(rng: np.random.Generator) -> None:
    x = rng.standard_normal((16, 16))
    for A in (ip.Wavelet((16, 16), "db2", dtype="float64"), ip.FourierTransform((16, 16), "complex128")):
        b = A.apply(x.astype(A.dtype_in))
        assert np.allclose(ip.analytic(A, b)[0], x, rtol=0, atol=1e-12)
    M = rng.standard_normal((5, 7))
    assert np.allclose(ip.analytic(M, np.ones(5))[0], np.linalg.pinv(M) @ np.ones(5))


@pytest.mark.parametrize("level", [-1.0, np.nan, np.inf, "a"])
def test_bad_noise_level(level: Any) -> None:
    with pytest.raises(ValueError, match="^noise_level is"):
        ip.analytic(np.eye(2), np.ones(2), level)


def test_bad_data() -> None:
    with pytest.raises(TypeError, match="^A is str"):
        ip.analytic("A", np.ones(2))
    with pytest.raises(ValueError, match="b has shape"):
        ip.analytic(np.eye(2), np.ones(3))


def test_noisy_matrices_are_truncated() -> None:
    """The pseudo-inverse multiplies the noise by 1/σ; a level below what the data attain leaves nothing to cut."""
    A, b, x_true, info = ip.problem("shaw", size=48, noise=0.01)
    x, told = ip.analytic(A, b, info.noise_level)
    y, plain = ip.analytic(A, b)
    assert told.method == "tsvd" and plain.method == "pseudo_inverse"
    assert ip.nrmse(x, x_true) < 0.3 < 10 < ip.nrmse(y, x_true)
    M, c = np.array([[1.0], [1.0]]), np.array([0.0, 2.0])
    assert ip.analytic(M, c, 0.5)[1].method == "pseudo_inverse"  # no x comes nearer than √2
    two, batch = ip.analytic(A, np.stack([b, b]), info.noise_level)
    assert batch.parameters["k"] == 2 * [told.parameters["k"]]
    np.testing.assert_array_equal(two, np.stack([x, x]))
    assert ip.analytic(A, np.stack([b, 2 * b]), info.noise_level)[1].method == "pseudo_inverse"  # whose noise is 2 δ
    with pytest.raises(ValueError, match="noise_level is 50"):
        ip.analytic(M, c, 50.0)
