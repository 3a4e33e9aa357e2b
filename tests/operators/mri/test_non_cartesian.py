"""MRI along trajectories: against direct sums, the unitary DFT and the Toeplitz form; threads; bad input."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox import parallel
from ipbox.operators import FourierTransform, NonCartesianMRI, NonuniformFFT
from ipbox.problems.measuring.coils import simulate_sensitivities
from ipbox.problems.measuring.trajectories import radial_trajectory, spiral_trajectory
from tests.contracts.support import draw, host

DIMS = (14, 11)
RADIAL = radial_trajectory(9, 20, DIMS)
TOLERANCE = {"complex64": 5e-5, "complex128": 1e-8}


def direct(u: np.ndarray, k: np.ndarray, S: np.ndarray) -> np.ndarray:
    """The sum of the docstring, term by term."""
    phase = 0.0
    for a, n in enumerate(u.shape):
        r = np.arange(n) - n // 2
        phase = phase + np.multiply.outer(k[..., a], r.reshape([-1 if i == a else 1 for i in range(u.ndim)])) / n
    E = np.exp(-2j * np.pi * phase) / np.sqrt(u.size)
    return np.stack([np.tensordot(E, s * u, axes=u.ndim) for s in S])


def relative(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(host(actual) - expected) / np.linalg.norm(expected))


# ---------------------------------------------------------------- what it computes


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("real_image", [False, True])
def test_direct_sum(dtype: str, real_image: bool, rng: np.random.Generator, xp: ModuleType) -> None:
    S = simulate_sensitivities(3, DIMS, dtype=dtype)
    A = NonCartesianMRI(DIMS, RADIAL, xp.asarray(S), dtype, real_image)
    u = draw(rng, DIMS, A.dtype_in, xp)
    assert relative(A.apply(u), direct(host(u), RADIAL, S)) < TOLERANCE[dtype]


def test_direct_sum_in_three_dimensions(rng: np.random.Generator) -> None:
    dims = (5, 6, 7)
    k = rng.uniform(-2.5, 2.5, (30, 3))
    A = NonCartesianMRI(dims, k, dtype="complex128")
    u = draw(rng, dims, A.dtype_in, np)
    assert relative(A.apply(u), direct(u, k, np.ones((1, *dims)))[0]) < 1e-8


def test_tolerance_is_what_eps_asks_for(rng: np.random.Generator) -> None:
    u = draw(rng, DIMS, "complex128", np)
    expected = direct(u, RADIAL, np.ones((1, *DIMS)))[0]
    for eps in (1e-3, 1e-6, 1e-12):
        A = NonCartesianMRI(DIMS, RADIAL, dtype="complex128", eps=eps)
        assert relative(A.apply(u), expected) < 3 * eps


@pytest.mark.parametrize("dims", [(8, 6), (7, 5), (6, 9)])
def test_the_cartesian_grid_gives_the_unitary_dft(dims: tuple[int, int], rng: np.random.Generator) -> None:
    k = np.stack(np.meshgrid(*[np.arange(n) - n // 2 for n in dims], indexing="ij"), axis=-1)
    A = NonCartesianMRI(dims, k, dtype="complex128")
    u = draw(rng, dims, "complex128", np)
    assert relative(A.apply(u), FourierTransform(dims, "complex128").apply(u)) < 1e-8
    assert relative(A.apply_adjoint(A.apply(u)), u) < 1e-8
    assert 1 <= A.norm() <= 1.03


@pytest.mark.parametrize("real_image", [False, True])
def test_normal_is_adjoint_after_forward(real_image: bool, rng: np.random.Generator, xp: ModuleType) -> None:
    for S in (None, xp.asarray(simulate_sensitivities(3, DIMS, dtype="complex128"))):
        for k in (RADIAL, spiral_trajectory(2, 40, DIMS)):
            A = NonCartesianMRI(DIMS, k, S, "complex128", real_image)
            u = draw(rng, (2, *DIMS), A.dtype_in, xp)
            assert relative(A.normal().apply(u), host(A.apply_adjoint(A.apply(u)))) < 1e-7


def test_normal_in_three_dimensions(rng: np.random.Generator) -> None:
    A = NonCartesianMRI((4, 5, 3), rng.uniform(-1.5, 1.5, (20, 3)), dtype="complex128")
    u = draw(rng, (4, 5, 3), "complex128", np)
    assert relative(A.normal().apply(u), A.apply_adjoint(A.apply(u))) < 1e-7


def test_coils_without_maps_are_a_batch(rng: np.random.Generator, xp: ModuleType) -> None:
    S = xp.asarray(simulate_sensitivities(3, DIMS, dtype="complex128"))
    A = NonCartesianMRI(DIMS, RADIAL, S, "complex128")
    u, b = draw(rng, DIMS, "complex128", xp), draw(rng, (3, 9, 20), "complex128", xp)
    np.testing.assert_allclose(host(A.one_coil().apply(S * u)), host(A.apply(u)), rtol=0, atol=1e-12)
    images = A.coil_images(b)
    assert images.shape == (3, *DIMS)
    np.testing.assert_allclose(host((S.conj() * images).sum(0)), host(A.apply_adjoint(b)), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(A.sensitivities, host(S))
    assert A.one_coil().sensitivities is None and (A.coils, A.one_coil().coils) == (3, 1)


def test_subsets_add_up(rng: np.random.Generator) -> None:
    A = NonCartesianMRI(DIMS, RADIAL, simulate_sensitivities(3, DIMS, dtype="complex128"), "complex128")
    u, b = draw(rng, DIMS, "complex128", np), draw(rng, A.dimsd, "complex128", np)
    parts = [slice(0, 9, 2), slice(1, 9, 2)]
    for part in [*parts, [4, 0], np.array([7])]:
        assert relative(A.subset(part).apply(u), A.apply(u)[:, part]) < 1e-8
    total = sum(A.subset(part).apply_adjoint(b[:, part]) for part in parts)
    assert relative(total, A.apply_adjoint(b)) < 1e-8
    assert np.shares_memory(A.subset(parts[0]).trajectory, A.trajectory)
    assert A.subset(parts[0]).sensitivities is A.sensitivities


# ---------------------------------------------------------------- the same bits in any thread


def test_one_and_two_threads_give_the_same_bits(rng: np.random.Generator, monkeypatch) -> None:
    S = simulate_sensitivities(5, DIMS)
    A = NonCartesianMRI(DIMS, RADIAL, S)
    u = draw(rng, (3, *DIMS), "complex64", np)
    b = draw(rng, (3, *A.dimsd), "complex64", np)
    tasks = (lambda: A.apply(u), lambda: A.apply_adjoint(b), lambda: A.normal().apply(u))
    two = [task().tobytes() for task in tasks]
    with ThreadPoolExecutor(3) as pool:
        assert [f.result().tobytes() for f in [pool.submit(task) for task in tasks]] == two
    monkeypatch.setattr(parallel, "cpu_threads", lambda: 1)
    assert [task().tobytes() for task in tasks] == two


def test_copied_with_its_plans(rng: np.random.Generator) -> None:
    A = NonCartesianMRI(DIMS, RADIAL, simulate_sensitivities(2, DIMS))
    u = draw(rng, DIMS, "complex64", np)
    A.apply(u)
    assert copy.deepcopy(A).apply(u).tobytes() == A.apply(u).tobytes()


def test_no_warning_of_finufft(capfd, rng: np.random.Generator) -> None:
    A = NonCartesianMRI(DIMS, RADIAL)
    A.apply_adjoint(A.apply(draw(rng, DIMS, "complex64", np)))
    NonuniformFFT(DIMS, [RADIAL[..., 0].ravel(), RADIAL[..., 1].ravel()], "float32", A.eps)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_trajectory_is_copied_and_read_only() -> None:
    k = RADIAL.copy()
    A = NonCartesianMRI(DIMS, k)
    k[...] = 0
    np.testing.assert_array_equal(A.trajectory, RADIAL)
    with pytest.raises(ValueError, match="read-only"):
        A.trajectory[0] = 0


# ---------------------------------------------------------------- solvers


@pytest.mark.parametrize("real_image", [False, True])
def test_cgls_finds_the_image(real_image: bool, rng: np.random.Generator) -> None:
    dims = (16, 16)
    S = simulate_sensitivities(6, dims, dtype="complex128")
    A = NonCartesianMRI(dims, radial_trajectory(20, 32, dims), S, "complex128", real_image)
    y, x = np.mgrid[:16, :16] - 7.5
    u = np.exp(-(x**2 + 2 * y**2) / 18).astype(A.dtype_in)
    found, _ = ip.cgls(A, A.apply(u), niter=60)
    assert found.dtype == A.dtype_in
    assert relative(found, u) < 1e-4


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        ([[0.0, 0.0]], TypeError, "^trajectory is list; expected a NumPy or CuPy array"),
        (np.zeros(2), ValueError, r"^trajectory has shape \(2,\); expected \(..., 2\)"),
        (np.zeros((4, 3)), ValueError, r"^trajectory has shape \(4, 3\); expected \(..., 2\)"),
        (np.zeros((0, 2)), ValueError, r"^trajectory has shape \(0, 2\)"),
        (np.zeros((4, 2), complex), TypeError, "^trajectory has dtype complex128; expected real numbers"),
        (np.zeros((4, 2), bool), TypeError, "^trajectory has dtype bool"),
        (np.full((4, 2), np.nan), ValueError, "^trajectory has NaN or infinite entries"),
        (np.full((4, 2), np.inf), ValueError, "^trajectory has NaN or infinite entries"),
        (np.array([[0.0, 5.6]]), ValueError, "^trajectory reaches 5.6 along axis 1; .* at most 5.5 for 11 pixels"),
        (np.array([[-7.1, 0.0]]), ValueError, "^trajectory reaches 7.1 along axis 0; .* at most 7 for 14 pixels"),
    ],
)
def test_bad_trajectories_are_refused(k, error, message) -> None:
    with pytest.raises(error, match=message):
        NonCartesianMRI(DIMS, k)


def test_integer_and_single_precision_trajectories_are_taken() -> None:
    grid = np.stack(np.mgrid[-7:7, -5:6], axis=-1)
    assert NonCartesianMRI(DIMS, grid).trajectory.dtype == np.float64
    edge = np.array([[7.0, -5.5], [-7.0, 5.5]], np.float32)
    assert tuple(NonCartesianMRI(DIMS, edge).dimsd) == (2,)


def test_other_bad_arguments_are_refused() -> None:
    S = simulate_sensitivities(2, DIMS)
    with pytest.raises(ValueError, match=r"^sensitivities has shape \(2, 14, 11\); expected \(coils,\) \+ \(11, 11\)"):
        NonCartesianMRI((11, 11), np.zeros((1, 2)), S)
    with pytest.raises(TypeError, match="^sensitivities has dtype complex64; expected complex128"):
        NonCartesianMRI(DIMS, RADIAL, S, "complex128")
    with pytest.raises(ValueError, match="^sensitivities has NaN"):
        NonCartesianMRI(DIMS, RADIAL, S * np.nan)
    with pytest.raises(ValueError, match="^sensitivities vanish"):
        NonCartesianMRI(DIMS, RADIAL, 0 * S)
    for scale in (1e30, 1e-30):
        with pytest.raises(ValueError, match="^sensitivities reach .* beyond the range of complex64"):
            NonCartesianMRI(DIMS, RADIAL, S * np.float32(scale))
    for dtype in ("float32", "int64"):
        with pytest.raises(TypeError, match=f"^dtype is {dtype}"):
            NonCartesianMRI(DIMS, RADIAL, dtype=dtype)
    for dims in ((14,), (2, 2, 2, 2)):
        with pytest.raises(ValueError, match="^dims is .*expected"):
            NonCartesianMRI(dims, np.zeros((3, len(dims))))
    for eps in (0.0, -1.0, 1.0, float("nan"), "small"):
        with pytest.raises(ValueError, match="^eps is"):
            NonCartesianMRI(DIMS, RADIAL, eps=eps)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([9], "^indices reach from 9 to 9; expected those of 9 spokes"),
        ([], "expected"),
        (slice(3, 3), "leaves none of the 9 spokes"),
        ([True] * 9, "expected a slice or a vector of integers"),
        ([0.5], "expected a slice or a vector of integers"),
    ],
)
def test_bad_subsets_are_refused(indices, message) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        NonCartesianMRI(DIMS, RADIAL).subset(indices)


def test_a_batch_of_no_images() -> None:
    A = NonCartesianMRI(DIMS, RADIAL, simulate_sensitivities(2, DIMS))
    b = A.apply(np.empty((0, *DIMS), np.complex64))
    assert b.shape == (0, *A.dimsd) and A.apply_adjoint(b).shape == (0, *DIMS)
