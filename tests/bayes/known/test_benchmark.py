"""The benchmark against samplers whose faults are known, and the samplers of the package against their theory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ipbox.bayes import Gaussian, KnownProblem, benchmark, known_problem
from ipbox.bayes.known.problems import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_problems_are_what_they_say(name: str) -> None:
    problem = known_problem(name)
    assert isinstance(problem.posterior, Gaussian) == name.endswith("gaussian")
    again = problem.prior.posterior(problem.A, problem.b, problem.noise_level)
    assert np.array_equal(again.mean, problem.posterior.mean)
    residual = np.linalg.norm(problem.A.apply(problem.u) - problem.b)
    assert 0.7 < residual / problem.noise_level < 1.3
    assert np.array_equal(known_problem(name).b, problem.b)
    assert not np.array_equal(known_problem(name, seed=2).b, problem.b)
    if name.endswith("mixture"):
        assert np.sort(problem.posterior.weights)[-2] > 0.05  # more than one component is probable


def shifted(problem: KnownProblem, samples: int, steps: int, seed: int) -> np.ndarray:
    """Off by one deviation in all pixels together."""
    n = problem.u.size
    return problem.posterior.sample(samples, seed) + np.sqrt(np.trace(problem.posterior.covariance) / n)


def sure(problem: KnownProblem, samples: int, steps: int, seed: int) -> np.ndarray:
    """Half the deviation."""
    m = problem.posterior.mean
    return m + 0.5 * (problem.posterior.sample(samples, seed) - m)


@pytest.mark.parametrize("name", ["blur-gaussian", "ct-mixture"])
def test_faults_are_measured(name: str) -> None:
    found = benchmark({"exact": exact, "shifted": shifted, "sure": sure}, [name], steps=[1], samples=400)
    rows = {row.sampler: row for row in found.rows}
    assert rows["exact"].w2 < 1.05 * rows["exact"].floor and rows["exact"].sliced < 0.15
    assert abs(rows["exact"].coverage - 0.9) < 0.03 and abs(rows["exact"].spread - 1) < 0.03
    assert rows["shifted"].gap == pytest.approx(3.01, abs=0.1)  # twice the squared error
    assert rows["shifted"].sliced == pytest.approx(1.0, abs=0.15)
    assert rows["shifted"].w2 > 1.2 * rows["shifted"].floor
    assert rows["sure"].spread == pytest.approx(0.25, rel=0.03) and rows["sure"].gap < 0.05
    assert rows["sure"].coverage < 0.7
    if name == "blur-gaussian":  # between Gaussians: √(1 + floor²) and ½ of the deviation
        assert rows["shifted"].w2 == pytest.approx(1.0, abs=0.1) and rows["sure"].w2 == pytest.approx(0.5, abs=0.05)


def exact(problem: KnownProblem, samples: int, steps: int, seed: int) -> np.ndarray:
    return problem.posterior.sample(samples, seed)


def test_chains_come_nearer_with_their_steps() -> None:
    found = benchmark(["ula", "pcn"], ["ct-gaussian"], steps=[100, 10], samples=200)
    for name in ("ula", "pcn"):
        few, many = found["ct-gaussian", name]
        assert (few.steps, many.steps) == (10, 100)
        assert many.w2 < few.w2 and many.gap < few.gap and many.sliced < few.sliced


def test_a_mixture_has_no_prox() -> None:
    found = benchmark(["myula"], ["inpaint-mixture", "inpaint-gaussian"], steps=[2], samples=70)
    assert [row.problem for row in found.rows] == ["inpaint-gaussian"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps"), [("ula-small", 1500), ("pcn", 1000), ("reverse", 1000)])
def test_samplers_without_bias_reach_the_closed_form(name: str, steps: int) -> None:
    """Mean within 2 per cent, variance within 5, of 4000 chains."""
    (row,) = benchmark([name], [known_problem("ct-gaussian", size=6)], steps=[steps], samples=4000).rows
    assert row.mean < 0.02 and row.variance < 0.05 and abs(row.spread - 1) < 0.02


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"samplers": ["magic"]}, ValueError, "samplers is 'magic'; expected one of 'exact'"),
        ({"samplers": "ula"}, TypeError, "samplers is str; expected names of samplers, or a dictionary of functions"),
        ({"samplers": {"mine": 3}}, TypeError, r"samplers\['mine'\] is int; expected a function of \(problem"),
        ({"samplers": {"mine": lambda *_: np.zeros((3, 8, 8))}}, ValueError, r"what mine gives has shape \(3, 8, 8\)"),
        ({"samplers": {"mine": lambda *_: np.full((70, 8, 8), np.nan)}}, FloatingPointError, "mine diverged on blur"),
        ({"problems": ["ct"]}, ValueError, "problems is 'ct'; expected one of 'blur-gaussian'"),
        ({"problems": "ct-mixture"}, TypeError, "problems is str; expected names of problems, or KnownProblems, in"),
        ({"problems": []}, ValueError, r"problems has the names \[\]; expected at least one, and each once"),
        (
            {"problems": ["ct-mixture"] * 2},
            ValueError,
            "problems has the names .*; expected at least one, and each once",
        ),
        ({"samplers": []}, ValueError, "samplers is empty; expected names of samplers"),
        (
            {"samplers": {"mine": lambda *_: np.zeros((70, 8, 8)) + 0j}},
            TypeError,
            "what mine gives has dtype complex128",
        ),
        (
            {"samplers": {"mine": lambda *_: np.ones((70, 8, 8))}},
            ValueError,
            "x has samples in a subspace of the 64 pix",
        ),
        ({"steps": 3}, TypeError, "steps is 3; expected numbers of steps"),
        ({"steps": [0]}, ValueError, "steps is 0; expected a positive integer"),
        ({"samples": 65}, ValueError, "samples is 65; expected an integer of at least 66"),
    ],
)
def test_bad_input(given: dict[str, Any], error: type[Exception], sentence: str) -> None:
    call = {"samplers": ["exact"], "problems": ["blur-gaussian"], "steps": [1], "samples": 70} | given
    with pytest.raises(error, match=sentence):
        benchmark(call.pop("samplers"), call.pop("problems"), **call)


def test_unknown_row() -> None:
    found = benchmark(["exact"], ["blur-gaussian"], steps=[1], samples=70)
    with pytest.raises(KeyError, match=r"expected one of \('blur-gaussian', 'exact'\)"):
        found["ct-gaussian", "exact"]
