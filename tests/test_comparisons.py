"""compare_many: the rows of each problem, one after the other, by processes and by ranks; what is refused."""

from __future__ import annotations

import functools
import json

import joblib
import numpy as np
import pytest

import ipbox as ip
from tests.distributed.threads import on_ranks

FIGURES = ("psnr", "ssim", "residual", "niter", "lam")


def of_seed(seed: int) -> tuple:
    return ip.problem("ct", size=24, views=16, noise=0.05, seed=seed)


def methods(problem: tuple) -> dict:
    delta = problem[3].noise_level
    return {
        "fbp": ip.fbp,
        "cgls": lambda A, b: ip.cgls(A, b, noise_level=delta),
        "tikhonov": lambda A, b: ip.tikhonov(A, b, "gcv"),
    }


PROBLEMS = [functools.partial(of_seed, seed) for seed in range(5)]


@pytest.fixture(scope="module")
def expected() -> list:
    """By `compare`, one problem after the other."""
    return [ip.compare(problem, methods(problem)).rows for problem in map(of_seed, range(5))]


def alike(found: ip.comparisons.Comparisons, expected: list) -> None:
    assert found.methods == ["fbp", "cgls", "tikhonov"] and len(found.rows) == 5
    for rows, others in zip(found.rows, expected, strict=True):
        for row, other in zip(rows, others, strict=True):
            assert [getattr(row, name) for name in FIGURES] == [getattr(other, name) for name in FIGURES]
            assert row.x is None


def test_one_process_gives_the_rows_of_every_problem(expected: list) -> None:
    alike(ip.compare_many(PROBLEMS, methods), expected)
    alike(ip.compare_many([make() for make in PROBLEMS], methods), expected)


def test_processes_share_the_problems(expected: list) -> None:
    with joblib.parallel_config(backend="threading"):  # processes take seconds to start
        alike(ip.compare_many(PROBLEMS, methods, n_jobs=2), expected)


@pytest.mark.slow
def test_processes_of_their_own_share_the_problems(expected: list) -> None:
    alike(ip.compare_many(PROBLEMS, methods, n_jobs=2), expected)


@pytest.mark.parametrize("size", [1, 2, 8])
def test_ranks_share_the_problems_and_all_have_all_rows(size: int, expected: list) -> None:
    """Also where there are more ranks than problems."""
    for found in on_ranks(size, lambda ranks: ip.compare_many(PROBLEMS, methods, n_jobs=ranks)):
        alike(found, expected)


def test_the_table_has_means_over_the_problems(expected: list) -> None:
    result = ip.compare_many(PROBLEMS, methods)
    psnr = np.array([rows[1].psnr for rows in expected])
    np.testing.assert_array_equal(result.column("cgls", "psnr"), psnr)
    head, fbp, cgls, _ = result.table().splitlines()
    assert head.split()[:3] == ["method", "PSNR", "SSIM"] and fbp.startswith("fbp")
    assert f"{psnr.mean():.2f} ± {psnr.std():.2f}" in cgls
    assert len(json.loads(json.dumps(result.report()))["rows"]) == 5
    assert repr(result).startswith("5 problems") and "<table" in result._repr_html_()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((3, methods), "problems is int; expected a list of problems"),
        (([], methods), r"len\(problems\) is 0; expected a positive integer"),
        ((PROBLEMS, 3), "methods is int; expected a dictionary of methods"),
        ((PROBLEMS, methods, 0), "n_jobs is 0; expected a positive integer"),
        (([lambda: 3], {"fbp": ip.fbp}), "problem is not a tuple of 2 to 4"),
    ],
)
def test_what_is_refused(args: tuple, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{said}"):
        ip.compare_many(*args)


def test_methods_that_differ_are_refused() -> None:
    def by_size(problem: tuple) -> dict:
        return {f"fbp {problem[1].shape[0]}": ip.fbp}

    with pytest.raises(
        ValueError, match=r"methods gives \['fbp 8'\] for problems\[1\]; expected those of problems\[0\]"
    ):
        ip.compare_many([of_seed(0), ip.problem("ct", size=24, views=8)], by_size)
    result = ip.compare_many([of_seed(0)], {"fbp": ip.fbp})
    for wrong in (("cg", "psnr"), ("fbp", "colour")):
        with pytest.raises(KeyError, match="expected one of"):
            result.column(*wrong)
