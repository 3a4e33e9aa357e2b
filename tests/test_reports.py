"""What runs report as JSON: everything that JSON holds, nothing that it lacks, and the same after a round trip."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.reports import ready


@pytest.fixture(scope="module")
def problem() -> tuple:
    return ip.problem("ct", image="shepp-logan", size=32, views=20, noise=0.02, seed=3)


def round_trip(report: dict[str, Any]) -> dict[str, Any]:
    again = json.loads(json.dumps(report, allow_nan=False))
    assert again == report
    return again


def test_solution(problem: tuple) -> None:
    A, b, x_true, info = problem
    x, run = ip.cgls(A, b, noise_level=info.noise_level, x_true=x_true)
    told = round_trip(run.report())
    assert (told["solver"], told["stop"], told["niter"]) == ("CGLS", "discrepancy", run.niter)
    assert told["shape"] == [32, 32] and told["dtype"] == str(x.dtype) and told["seed"] is None
    assert [row["psnr"] for row in told["history"]] == run.history["psnr"].tolist()
    assert told["versions"]["numpy"] == np.__version__ and told["versions"]["ipbox"] == ip.__version__


def test_parameters_seed_choice_and_batches(problem: tuple) -> None:
    A, b, _, info = problem
    solver = ip.SPDHG(seed=7)
    told = round_trip(ip.tv(A, b, "discrepancy", noise_level=info.noise_level, tol=1e-2)[1].report())
    assert told["extra"]["choice"]["rule"] == "discrepancy" and told["extra"]["lam"] == told["extra"]["choice"]["lam"]
    assert set(ready(solver)) == {field.name for field in dataclasses.fields(solver)} and ready(solver)["seed"] == 7
    data = np.stack([b, 2 * b])
    batched = ip.Problem(ip.L2(A, data), batch=2)
    history = [ip.callbacks.History(1)]
    told = round_trip(ip.solve(batched, ip.CGLS(), stop=ip.stop.niter(3), callbacks=history).report())
    assert told["shape"] == [2, 32, 32] and told["stop"] == ["niter", "niter"]
    assert len(told["history"][0]["objective"]) == 2


def test_comparison_and_problem(problem: tuple) -> None:
    methods = {"fbp": ip.fbp, "cgls": lambda A, b: ip.cgls(A, b, niter=3), "own": lambda A, b: (ip.fbp(A, b)[0], None)}
    told = round_trip(ip.compare(problem, methods).report())
    assert [row["method"] for row in told["rows"]] == ["fbp", "cgls", "own"]
    assert told["runs"]["cgls"]["solver"] == "CGLS" and told["runs"]["own"] is None
    assert "versions" not in told["runs"]["fbp"] and told["unit"] == problem[3].unit
    assert round_trip(problem[3].report())["seed"] == 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.nan, "nan"),
        (-np.inf, "-inf"),
        (np.bool_(True), True),
        (np.int64(3), 3),
        (1 + 2j, [1.0, 2.0]),
        (np.array([1.0, np.inf]), [1.0, "inf"]),
        (np.array(2), 2),
        (np.zeros(1001), {"shape": [1001], "dtype": "float64"}),
        ({1: (2, None)}, {"1": [2, None]}),
        (object, "<class 'object'>"),
    ],
)
def test_values(value: Any, expected: Any) -> None:
    assert ready(value) == expected and json.loads(json.dumps(ready(value), allow_nan=False)) == expected


def test_what_has_no_end_is_told_to_a_depth() -> None:
    loop: list[Any] = []
    loop.append(loop)
    json.dumps(ready(loop))
    assert "0x" not in json.dumps(ready({"f": lambda: None, "obj": object()}))
