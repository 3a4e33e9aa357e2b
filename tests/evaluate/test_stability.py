"""Worst-case perturbations, inserted details, more samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.evaluate import (
    Variational,
    as_differentiable,
    more_samples,
    recovered_contrast,
    stability_table,
    worst_image_perturbation,
    worst_perturbation,
)
from ipbox.learned.maps.direct import PostProcessing


@pytest.fixture
def B(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((5, 7))


def test_worst_perturbation_of_a_linear_map_is_the_top_singular_vector(B: np.ndarray) -> None:
    found = worst_perturbation(B, np.ones(7), norm=0.5, niter=500)
    U, s, Vt = np.linalg.svd(B)
    assert found.gain == pytest.approx(s[0], rel=1e-4)
    assert abs(found.e @ Vt[0]) == pytest.approx(0.5, rel=1e-2)
    assert np.linalg.norm(found.e) == pytest.approx(0.5, rel=1e-9)
    assert all(later > earlier for earlier, later in zip(found.history, found.history[1:], strict=False))


def test_image_perturbation_grows_along_the_top_singular_vector(B: np.ndarray) -> None:
    A = np.random.default_rng(1).standard_normal((7, 4))
    found = worst_image_perturbation(B, A, np.ones(4), lam=1e-3, eta=1e-3, niter=300)
    _, _, Vt = np.linalg.svd(B @ A)
    assert abs(found.r @ Vt[0]) == pytest.approx(np.linalg.norm(found.r), rel=1e-3)
    np.testing.assert_allclose(found.e, A @ found.r)


def test_image_perturbation_that_grows_without_bounds(B: np.ndarray) -> None:
    with pytest.raises(FloatingPointError, match="smaller one"), np.errstate(over="ignore", invalid="ignore"):
        worst_image_perturbation(B, np.eye(7), np.ones(7), eta=1e3, niter=1000)


# ---------------------------------------------------------------- derivatives


@pytest.mark.parametrize("nonneg", [False, True])
def test_pull_back_of_a_variational_method_is_that_of_differences(rng: np.random.Generator, nonneg: bool) -> None:
    A = ip.RayTransform((6, 5), np.linspace(0, 3, 7), dtype="float64")
    phi = Variational(A, 0.1 * ip.SmoothedTV((6, 5), eps=0.3) + 0.01 * ip.L2(), 1e-11, 5000, nonneg)
    b, w, d = rng.standard_normal(A.dimsd), rng.standard_normal(A.dims), rng.standard_normal(A.dimsd)
    x, pullback = phi.pull_back(b)
    difference = (phi(b + 1e-4 * d) - phi(b - 1e-4 * d)) / 2e-4
    assert np.vdot(pullback(w), d) == pytest.approx(np.vdot(w, difference), rel=1e-5)
    np.testing.assert_allclose(x, phi(b))
    assert ((x == 0).sum() > 3) == nonneg


def test_pull_back_of_a_module_is_that_of_differences(rng: np.random.Generator) -> None:
    A = ip.RayTransform((6, 5), np.linspace(0, 3, 7), dtype="float64")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = PostProcessing(A, width=2, depth=2).double()
    phi = as_differentiable(net.train())
    b, w, d = rng.standard_normal(A.dimsd), rng.standard_normal(A.dims), rng.standard_normal(A.dimsd)
    x, pullback = phi.pull_back(b)
    difference = (phi(b + 1e-6 * d) - phi(b - 1e-6 * d)) / 2e-6
    assert np.vdot(pullback(w), d) == pytest.approx(np.vdot(w, difference), rel=1e-5)
    np.testing.assert_allclose(x, net.reconstruct(b)[0])
    assert net.training


def test_a_map_that_does_not_react_has_no_worst_case() -> None:
    """Its derivative is 0: there is no direction to go, and every perturbation is as bad as another."""
    found = worst_perturbation(np.zeros((2, 3)), np.ones(3), norm=0.1)
    assert found.gain == 0 and np.linalg.norm(found.e) == pytest.approx(0.1)


def test_zero_start_is_refused() -> None:
    with pytest.raises(ValueError, match="starts has a perturbation that is zero everywhere"):
        worst_perturbation(np.eye(3), np.ones(3), norm=0.1, starts=[np.zeros(3)])


def test_evaluate_of_an_unknown_map_is_refused() -> None:
    with pytest.raises(ValueError, match="evaluate has B; expected names of maps: A"):
        stability_table({"A": np.eye(3)}, np.ones(3), np.ones(3), 0.1, evaluate={"B": lambda b: b})


def test_a_function_has_no_derivative() -> None:
    with pytest.raises(TypeError, match="expected an operator"):
        worst_perturbation(lambda b: b, np.ones(3), 0.1)


# ---------------------------------------------------------------- several maps


def test_each_map_is_worst_under_its_own_perturbation(B: np.ndarray, rng: np.random.Generator) -> None:
    maps = {"B": B, "C": rng.standard_normal((5, 7)), "half": 0.5 * B}
    found = stability_table(maps, np.ones(7), np.ones(5), 0.3, niter=500)
    gains = found.changes / 0.3
    assert (gains <= gains.diagonal()[:, None] * (1 + 0.3)).all()  # of ‖·‖ - ‖clean‖ the truth is the target
    norms = [np.linalg.norm(M, 2) for M in maps.values()]
    assert (gains <= np.array(norms)[:, None] * (1 + 1e-9)).all()
    own = [found.loss(name) for name in maps]
    for i in range(3):
        assert (found.errors[i] - found.clean[i] <= own[i] * (1 + 1e-3)).all()
    assert found.table().count("\n") == 3


def test_what_stands_for_a_map_is_evaluated(B: np.ndarray) -> None:
    found = stability_table({"B": B}, np.ones(7), np.ones(5), 0.3, evaluate={"B": lambda b: 0 * b[:5]})
    assert found.changes[0, 0] == 0


# ---------------------------------------------------------------- details and samples


def test_contrast_of_an_exact_inverse_is_one_and_of_its_half_a_half(rng: np.random.Generator) -> None:
    A, x = rng.standard_normal((6, 6)), rng.standard_normal(6)
    inverse, d = np.linalg.inv(A), np.eye(6)[2]
    assert recovered_contrast(lambda b: inverse @ b, A, x, d) == pytest.approx(1)
    assert recovered_contrast(lambda b: inverse @ b / 2, A, x, d) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="zero everywhere"):
        recovered_contrast(lambda b: b, A, x, 0 * d)


def test_more_views_help_tikhonov() -> None:
    problems = [ip.problem("ct", image="shepp-logan", size=32, views=n, noise=0.01) for n in (5, 10, 20, 40)]
    curve = more_samples(lambda A, b: ip.tikhonov(A, b, 1e-2), problems)
    assert [m for m, _ in curve] == [b.size for _, b, _, _ in problems]
    assert all(later > earlier for (_, earlier), (_, later) in zip(curve, curve[1:], strict=False))


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(norm=0.0), "norm is"),
        (dict(norm=1.0, niter=0), "niter is 0"),
        (dict(norm=1.0, restarts=0), "restarts is 0"),
        (dict(norm=1.0, starts=[np.ones(3)]), "starts has shape"),
        (dict(norm=1.0, x_true=np.ones(4)), "x_true has shape"),
    ],
)
def test_bad_input(B: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        worst_perturbation(B, np.ones(7), **options)


def test_nan_is_refused() -> None:
    class Broken:
        def __call__(self, b: np.ndarray) -> np.ndarray:
            return b

        def pull_back(self, b: np.ndarray) -> tuple:
            return b * np.nan, lambda w: w

    with pytest.raises(FloatingPointError, match="not finite"):
        worst_perturbation(Broken(), np.ones(3), 0.1)


def test_a_functional_without_hessian() -> None:
    with pytest.raises(ValueError, match="expected a convex functional with a Hessian"):
        Variational(ip.Identity((4, 4)), ip.TV((4, 4)))


class Net(torch.nn.Module):
    """A torch module that does to its data what ``f`` does."""

    def __init__(self, f: Callable) -> None:
        super().__init__()
        self.f, self.w = f, torch.nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, b: torch.Tensor) -> object:
        return self.f(self.w, b)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda w, b: torch.zeros_like(b), "no derivative by the data"),
        (lambda w, b: w * b.detach(), "no derivative by the data"),  # one by the parameters does not help
        (lambda w, b: (w * b, b), "which gives tuple; expected a torch tensor"),
        (lambda w, b: None, "which gives NoneType"),
    ],
)
def test_modules_that_are_no_maps_with_a_derivative(f: Callable, message: str) -> None:
    for search in (
        lambda phi: worst_perturbation(phi, np.ones(2), 0.1),
        lambda phi: worst_image_perturbation(phi, np.eye(2), np.ones(2)),
        lambda phi: stability_table({"net": phi, "A": np.eye(2)}, np.ones(2), np.ones(2), 0.1),
    ):
        with pytest.raises(TypeError, match=f"^phi is Net, .*{message}"):
            search(Net(f))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's, while it compiles
def test_modules_that_work_in_place_are_frozen_or_compiled() -> None:
    b = np.ones(2)
    for net in (
        Net(lambda w, b: b.mul_(2 * w)),
        Net(lambda w, b: 2 * w * b).requires_grad_(False),
        torch.compile(Net(lambda w, b: 2 * w * b), backend="eager"),
    ):
        assert worst_perturbation(net, b, 0.1).gain == pytest.approx(2)
        assert recovered_contrast(net, np.eye(2), b, np.array([0.0, 1.0])) == pytest.approx(2)
    np.testing.assert_array_equal(b, 1)


def test_a_derivative_of_zero_ends_the_search() -> None:
    """Rounding has it almost everywhere, although the images differ; so has a dead ReLU."""
    for f in (lambda w, b: w * b.round(), lambda w, b: torch.relu(w * b - 100)):
        found = worst_perturbation(Net(f), np.ones(2), 0.1, x_true=np.zeros(2))
        assert found.gain == 0 and np.linalg.norm(found.e) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(b=[1.0, 1.0]), TypeError, "b is list; expected a NumPy"),
        (dict(b=torch.ones(2)), TypeError, "b is Tensor; expected a NumPy"),
        (dict(b=np.ones(2, int)), TypeError, "b has dtype int64"),
        (dict(b=np.array([1.0, np.nan])), ValueError, "b has NaN"),
        (dict(b=np.ones(0)), ValueError, "b has shape"),
        (dict(norm=np.nan), ValueError, "norm is nan"),
        (dict(seed=-1), ValueError, "seed is -1"),
        (dict(x_true=[1.0, 1.0]), TypeError, "x_true is list"),
        (dict(starts=[[1.0, 0.0]]), TypeError, "starts is list"),
        (dict(starts=[np.ones(2, "float32")]), TypeError, "starts has dtype float32; expected float64"),
    ],
)
def test_bad_arrays_and_numbers(change: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        worst_perturbation(**{"phi": np.eye(2), "b": np.ones(2), "norm": 0.1, **change})


def test_numpy_numbers() -> None:
    found = worst_perturbation(
        np.diag([3.0, 1.0]), np.ones(2), np.float32(0.1), niter=np.int64(30), restarts=np.int8(1), seed=np.int64(2)
    )
    assert found.gain == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(maps=[np.eye(2)]), TypeError, "maps is list; expected a dictionary"),
        (dict(maps={}), ValueError, "maps has the names \\[\\]; expected strings, one at least"),
        (dict(maps={1: np.eye(2)}), ValueError, "maps has the names \\[1\\]"),
        (dict(nitr=3), TypeError, "no keyword 'nitr'; expected niter"),
        (dict(evaluate=[1]), TypeError, "evaluate is list"),
        (dict(evaluate={"A": 3}), TypeError, "evaluate\\['A'\\] is int; expected a function"),
        (dict(evaluate={"A": lambda b: (b, 1)}), TypeError, "the image of evaluate\\['A'\\] is tuple"),
    ],
)
def test_bad_tables(change: dict, error: type, message: str) -> None:
    given = {"maps": {"A": np.eye(2)}, "b": np.ones(2), "x_true": np.ones(2), "norm": 0.1, **change}
    with pytest.raises(error, match=message):
        stability_table(**given)


def test_the_loss_of_an_unknown_map() -> None:
    found = stability_table({"A": np.eye(2)}, np.ones(2), np.ones(2), 0.1, evaluate={"A": 2 * np.eye(2)})
    assert found.changes[0, 0] == pytest.approx(0.2)  # a matrix stands for the map as well
    with pytest.raises(ValueError, match="name is 'B'; expected one of 'A'"):
        found.loss("B")
