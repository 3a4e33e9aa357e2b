"""`learn`: what every method finds, whose checkpoints it goes on from, and what is refused."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.bilevel import (
    DFO,
    HOAG,
    ISGD,
    LBFGSB,
    MAID,
    AnalysisLower,
    AnalysisProblem,
    BilevelProblem,
    GridSearch,
    L1Penalty,
    Learned,
    LowerLevel,
    ParametricTerm,
    Penalty,
    Piggyback,
    ScalarSearch,
    SemismoothNewton,
    Unrolled,
    Weight,
    learn,
    load_theta,
)

METHODS = [DFO(), MAID(), HOAG(floor=1e-4), ISGD(), LBFGSB(accuracy=1e-6), Piggyback(), Unrolled(200), ScalarSearch()]
BOUNDS = ([-3.0], [1.0])


def named(method: Any) -> str:
    return type(method).__name__


def pairs(dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    u = np.repeat([[0.0, 0, 0, 0, 1, 1, 1, 1, 0, 0]], 4, axis=0)
    return u.astype(dtype), (u + 0.1 * np.random.default_rng(0).standard_normal(u.shape)).astype(dtype)


def weight(eps: float = 0.05) -> Weight:
    return Weight(ip.SmoothedTV((10,), eps=eps))


def learned(method: Any, given: Any = None, lower: Any = None, **options: Any) -> Learned:
    given, lower = pairs() if given is None else given, weight() if lower is None else lower
    return learn(given, lower, method, **({"theta0": [-1.0], "bounds": BOUNDS} | options))


@functools.cache
def best() -> float:
    """The least f on a fine grid."""
    return learned(GridSearch(81, accuracy=1e-7), theta0=None, bounds=([-1.5], [-1.2])).f


# ---------------------------------------------------------------- what is found


@pytest.mark.parametrize("dtypes", [("float64", "float64"), ("float32", "float32"), ("float64", "float32")])
@pytest.mark.parametrize("method", METHODS, ids=named)
def test_every_method_finds_what_a_fine_grid_finds(method: Any, dtypes: tuple[str, str]) -> None:
    u, b = pairs()
    given = u.astype(dtypes[0]), b.astype(dtypes[1])
    kept = [a.copy() for a in given]
    for a in given:
        a.flags.writeable = False
    found = learned(method, given)
    assert abs(found.f - best()) <= found.bound + 1e-5
    assert all(np.array_equal(a, before) for a, before in zip(given, kept, strict=True))
    assert found.reconstruct(given[1]).dtype == dtypes[1]


def test_pairs_may_be_a_list_and_the_lower_level_a_function() -> None:
    u, b = pairs()
    found = learned(GridSearch(5), list(zip(u, b, strict=True)), lambda data: LowerLevel(None, data, weight()))
    assert found.f == learned(GridSearch(5)).f


def test_the_fit_has_the_precision_of_the_unknown() -> None:
    u, b = pairs()
    problem = BilevelProblem(u, LowerLevel(None, b.astype("float32"), weight()))
    assert problem.fit_gradient(problem.lower.start()).dtype == np.float32


# ---------------------------------------------------------------- checkpoints


OTHERS = {
    "data": lambda u, b: {"given": (u, b + 1.0)},
    "truths": lambda u, b: {"given": (u[:, ::-1], b)},
    "order": lambda u, b: {"given": (u, b[::-1])},
    "number": lambda u, b: {"given": (u[:2], b[:2])},
    "regulariser": lambda u, b: {"lower": weight(0.5)},
    "convention": lambda u, b: {"convention": "sum"},
    "penalty": lambda u, b: {"penalty": L1Penalty(0.1)},
}


@pytest.mark.parametrize("method", [*METHODS, GridSearch(4)], ids=named)
def test_the_checkpoint_of_another_problem_is_refused(method: Any, tmp_path: Path) -> None:
    """Else its evaluations would be taken for those of this one."""

    class Killed(Exception):
        pass

    def kill(row: dict) -> None:
        if row["work"] > 0 and row.get("iteration", row.get("evaluation")) == 2:
            raise Killed

    path = tmp_path / "run.npz"
    with pytest.raises(Killed):
        learned(method, checkpoint=path, callback=kill)
    for other in OTHERS.values():
        with pytest.raises(ValueError, match="of another problem"):
            learned(method, **{"checkpoint": path} | other(*pairs()))
    whole, resumed = learned(method), learned(method, checkpoint=path)
    assert np.array_equal(resumed.theta, whole.theta) and resumed.f == whole.f


def test_the_checkpoint_of_another_number_of_iterations_is_refused(tmp_path: Path) -> None:
    u, b = pairs()
    problem, path = BilevelProblem(u, LowerLevel(None, b, weight())), tmp_path / "run.npz"
    method = DFO(accuracy=None, evaluations=3)
    method.minimise(problem.evaluator(iterations=20), [-1.0], BOUNDS, checkpoint=path)
    with pytest.raises(ValueError, match="of another problem"):
        method.minimise(problem.evaluator(iterations=200), [-1.0], BOUNDS, checkpoint=path)


@pytest.mark.parametrize("method", [*METHODS, GridSearch(4)], ids=named)
def test_the_checkpoint_of_other_bounds_is_refused(method: Any, tmp_path: Path) -> None:
    """Also where the start is the same, and the first points."""
    path = tmp_path / "run.npz"
    learned(method, checkpoint=path)
    low, high = (np.asarray(b, dtype=float) for b in BOUNDS)
    for other in ((low - 0.5, high), (low, high + 0.25), None):
        if other is not None or not isinstance(method, GridSearch | ScalarSearch):  # which need some
            with pytest.raises(ValueError, match="expected (one of .* within|that of a run of the same start, bounds)"):
                learned(method, checkpoint=path, bounds=other)


@pytest.mark.parametrize("method", [*METHODS, GridSearch(4)], ids=named)
def test_a_checkpoint_that_could_not_be_written_is_refused_at_once(method: Any, tmp_path: Path) -> None:
    called: list[dict] = []
    for path in (tmp_path / "missing" / "run.npz", tmp_path):
        with pytest.raises(ValueError, match="in a folder that is there"):
            learned(method, checkpoint=path, callback=called.append)
    with pytest.raises(TypeError, match="checkpoint is 5"):
        learned(method, checkpoint=5)
    assert not called


# ---------------------------------------------------------------- bad input


def test_arguments_of_no_use() -> None:
    u, b = pairs()
    with pytest.raises(ValueError, match="pairs is empty"):
        learned(DFO(), [])
    with pytest.raises(ValueError, match=r"\(4, 10\) truths and \(3, 10\) data"):
        learned(DFO(), (u, b[:3]))
    with pytest.raises(ValueError, match=r"truths has shape \(4, 5\)"):
        learned(DFO(), (u[:, :5], b))
    with pytest.raises(TypeError, match="truths has dtype complex128; expected .*float64"):
        learned(DFO(), (u + 0j, b))
    with pytest.raises(TypeError, match="truths has dtype object"):
        learned(DFO(), (u.astype(object), b))
    with pytest.raises(TypeError, match=r"lower is .*SmoothedTV.* no parameters; expected a term such as Weight"):
        learned(DFO(), lower=ip.SmoothedTV((10,), eps=0.1))
    said = "^DFO.minimise has no keyword 'iterations'; expected evaluations .*checkpoint"
    with pytest.raises(TypeError, match=said) as error:
        learned(DFO(), iterations=3)
    assert str(error.value).count(" work,") == 1
    with pytest.raises(TypeError, match="method is <class"):
        learned(DFO)
    with pytest.raises(TypeError, match="theta0 is 'a'; expected 1 real number"):
        learned(DFO(), theta0="a")
    with pytest.raises(TypeError, match="callback is int"):
        learned(GridSearch(3), callback=3)
    with pytest.raises(TypeError, match="b is list"):
        learned(GridSearch(3)).reconstruct([0.0])


def test_a_weight_that_overflows() -> None:
    with pytest.raises(ValueError, match="theta is 400, log10 of the weight"):
        weight().functional(np.array([400.0]))


@pytest.mark.parametrize("theta0", [-20.5, 30.0, 400.0])
def test_a_weight_in_place_of_its_logarithm(theta0: float) -> None:
    with pytest.raises(ValueError, match="theta0 has log10 weight = .*; expected -20 to 20: θ is log10 of the weight"):
        learned(DFO(), theta0=[theta0], bounds=None)


@pytest.mark.parametrize("theta0", [9.5, 12.0])
def test_a_weight_with_which_a_solve_would_take_for_ever(theta0: float) -> None:
    with pytest.raises(ValueError, match=r"theta0 is .*, where the lower level has L/μ = .*; expected smaller entries"):
        learned(DFO(), theta0=[theta0], bounds=None)


class Term(ParametricTerm):
    """A user's own, which gives what it was made with in place of what is expected."""

    names = ("log10 weight",)

    def __init__(self, **given: Any) -> None:
        self.given, self.right = given, weight()

    def functional(self, theta: np.ndarray) -> Any:
        return self.given.get("functional", self.right.functional(theta))

    def mixed(self, theta: np.ndarray, u: np.ndarray, q: np.ndarray) -> Any:
        return self.given.get("mixed", self.right.mixed(theta, u, q))

    def mixed_apply(self, theta: np.ndarray, u: np.ndarray, dtheta: np.ndarray) -> Any:
        return self.given.get("mixed_apply", self.right.mixed_apply(theta, u, dtheta))


def nan_gradient() -> Any:
    f = ip.Tikhonov((10,), order=0)
    f._grad = lambda x, out, work: out.fill(np.nan)
    return f


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({"functional": 3.0}, TypeError, "Term.functional gave float"),
        ({"functional": nan_gradient()}, FloatingPointError, "lower level gave NaN.* at theta"),
        ({"mixed": None}, ValueError, r"Term.mixed gave NoneType; expected an array of shape \(4, 1\)"),
        ({"mixed": np.zeros(4)}, ValueError, r"Term.mixed gave shape \(4,\)"),
        ({"mixed": np.full((4, 1), np.nan)}, FloatingPointError, "hypergradient has NaN .* at theta"),
        ({"mixed_apply": np.zeros((1, 10))}, ValueError, r"Term.mixed_apply gave shape \(1, 10\)"),
    ],
)
def test_a_term_of_ones_own_that_gives_something_else(given: dict, error: type[Exception], match: str) -> None:
    assert learned(LBFGSB(), lower=Term()).f == learned(LBFGSB()).f
    with pytest.raises(error, match=match):
        learned(LBFGSB(), lower=Term(**given))


def test_a_term_without_derivatives_serves_derivative_free_methods() -> None:
    class Values(ParametricTerm):
        names = ("log10 weight",)
        functional = staticmethod(weight().functional)

    assert learned(DFO(), lower=Values()).f == learned(DFO()).f
    with pytest.raises(NotImplementedError, match="Values has no mixed"):
        learned(LBFGSB(), lower=Values())

    class Text(Values):
        names = "log10 weight"

    with pytest.raises(TypeError, match="names of Text is 'log10 weight'; expected a tuple"):
        learned(DFO(), lower=Text())


class Given(Penalty):
    """A user's penalty."""

    def __init__(self, value: Any, grad: Any = None) -> None:
        self._value, self._grad = value, grad

    def value(self, theta: np.ndarray, lower: LowerLevel) -> Any:
        return self._value

    def grad(self, theta: np.ndarray, lower: LowerLevel) -> Any:
        return self._grad


@pytest.mark.parametrize(
    ("penalty", "error", "match"),
    [
        (Given(np.nan), ValueError, "penalty is nan at theta"),
        (Given(-1.0), ValueError, "penalty is -1 at theta"),
        (Given(None), TypeError, "penalty gave None at theta"),
        (Given(np.zeros(2)), TypeError, "penalty gave array"),
        (Given(1.0, None), ValueError, r"gradient is None; expected an array of shape \(1,\)"),
        (Given(1.0, np.zeros(3)), ValueError, r"expected an array of shape \(1,\)"),
        (Given(1.0, np.array([np.nan])), FloatingPointError, "(NaN|nan).* at theta"),
    ],
)
@pytest.mark.parametrize("method", [LBFGSB(), Unrolled(20)], ids=named)
def test_a_penalty_that_gives_something_else(method: Any, penalty: Penalty, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        learned(method, penalty=penalty)


def test_a_learned_result_is_saved(tmp_path: Path) -> None:
    u = np.repeat([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]], 3, axis=0)
    b = u + 0.1 * np.random.default_rng(0).standard_normal(u.shape)
    term = Weight(ip.SmoothedTV((6,), eps=0.05))
    found = learn((u, b), term, GridSearch(points=9), bounds=([-4.0], [0.0]))
    found.save(tmp_path / "weight.npz")
    for of in (term, found.problem.lower):
        np.testing.assert_array_equal(load_theta(tmp_path / "weight.npz", of), found.theta)
    with np.load(tmp_path / "weight.npz", allow_pickle=False) as file:
        assert file["f"] == found.f and file["bound"] == found.bound and file["stop"] == found.result.stop
    other = ip.bilevel.SmoothedTVRegulariser((6,))
    with pytest.raises(ValueError, match="has log10 weight; expected log10 alpha, log10 xi, log10 nu"):
        load_theta(tmp_path / "weight.npz", other)
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ValueError, match="has a; expected a file of Learned.save"):
        load_theta(tmp_path / "other.npz", term)
    with pytest.raises(ValueError, match="ends in .npz"):
        found.save(tmp_path / "weight.npy")


# ---------------------------------------------------------------- far too large, and without smoothing


@pytest.mark.parametrize("method", METHODS[:-1], ids=named)  # a search has no start
def test_a_weight_far_too_large(method: Any) -> None:
    """It is refused at once: of a condition number beyond 1/eps, solves would go on for hours."""
    with pytest.raises(ValueError, match=r"theta is \[18.\], far too large: .* no digit of its solution"):
        learned(method, theta0=[18.0], bounds=([-3.0], [19.0]))


def edges() -> tuple[np.ndarray, np.ndarray]:
    u = np.repeat([[[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]]], 3, axis=0).repeat(4, axis=1)
    return u, u + 0.1 * np.random.default_rng(0).standard_normal(u.shape)


def analysis(b: np.ndarray) -> AnalysisLower:
    return AnalysisLower(b, [np.array([[-1.0, 1.0]])])


def test_semismooth_newton_learns() -> None:
    """What a grid finds on the same problem; the lower level as a function, or one of other data."""
    u, b = edges()
    found = learn((u, b), analysis, SemismoothNewton(), theta0=[-1.0])
    assert isinstance(found, Learned) and found.names == ("log10 weight 0",)
    grid = min(AnalysisProblem(u, analysis(b)).evaluator().evaluate([t], 1e-6).f for t in GRID)
    assert found.f <= grid * (1 + 1e-6)
    again = learn([(x, d) for x, d in zip(u, b, strict=True)], analysis(b + 1), theta0=[-1.0])  # its default method
    assert again.theta == pytest.approx(found.theta) and again.f == pytest.approx(found.f)
    direct = SemismoothNewton().minimise(AnalysisProblem(u, analysis(b)).evaluator(), [-1.0])
    assert np.array_equal(direct.theta, found.theta)


GRID = np.linspace(-2.0, 0.0, 21)


def test_semismooth_newton_reconstructs_and_saves(tmp_path: Path) -> None:
    u, b = edges()
    found = learn((u, b), analysis, SemismoothNewton(), theta0=[-1.0], checkpoint=tmp_path / "run.npz")
    x = found.reconstruct(b)
    assert x.shape == u.shape and np.array_equal(found.reconstruct(b[0]), x[0])
    assert float(np.sum((x - u) ** 2)) / 3 == pytest.approx(found.f, rel=1e-2)
    found.save(tmp_path / "theta.npz")
    assert np.array_equal(load_theta(tmp_path / "theta.npz", analysis(b)), found.theta)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (
            dict(lower=lambda b: LowerLevel(None, b, weight())),
            TypeError,
            "method is SemismoothNewton, and lower is smoo",
        ),
        (dict(n_jobs=2), ValueError, "n_jobs is 2, which AnalysisLower cannot use; expected 1"),
        (dict(penalty=L1Penalty(0.1)), ValueError, "penalty is .*, which AnalysisLower cannot use"),
        (dict(lower_method=ip.Nesterov()), ValueError, "lower_method is .*, which AnalysisLower cannot use"),
        (dict(method=DFO()), TypeError, "AnalysisEvaluator"),
        (dict(lower=lambda b: None), TypeError, "lower returned NoneType; expected a LowerLevel or an AnalysisLower"),
    ],
)
def test_what_semismooth_newton_does_not_go_with(change: dict, error: type[Exception], match: str) -> None:
    given = {"lower": analysis, "method": SemismoothNewton(), "theta0": [-1.0], **change}
    with pytest.raises(error, match=match):
        learn(edges(), **given)


def test_truths_finer_than_the_data_are_not_rounded() -> None:
    """Images are float32, as the data; differences to float64 truths see what float32 cannot hold."""
    coarse, b = pairs("float32")
    coarse = coarse + np.float32(1)
    truths, b = coarse.astype("float64") + 2.0**-40, b + np.float32(1)
    problem = BilevelProblem(truths, LowerLevel(None, b, weight()))
    np.testing.assert_array_equal(problem.distances(coarse), np.full(4, 2.0**-40 * np.sqrt(10.0)))
    assert problem.fit_gradient(b).dtype == np.float32
    found = learned(MAID(), (truths, b), iterations=3)
    u = found.reconstruct(b, accuracy=1e-6)
    assert u.dtype == np.float32
    fit = ((u.astype("float64") - truths) ** 2).sum() / 4
    assert found.f == pytest.approx(fit, abs=found.bound + 1e-5 * fit)
