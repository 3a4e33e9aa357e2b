"""Parameters that are fitted on training images: known optima, and what is refused."""

import math

import numpy as np
import pytest

import ipbox as ip
from ipbox.choose import fit_parameters
from ipbox.solvers.core.divergence import Diverged

RNG = np.random.default_rng(0)
X = RNG.random((8, 8))
B = X + 0.3 * RNG.standard_normal(X.shape)
A = ip.Identity((8, 8))


def shrunk(A, b, lam):
    return b / (1 + lam)


def test_known_optimum_of_one_parameter() -> None:
    """b/(1 + λ) is nearest to x for 1 + λ = ‖b‖²/<b, x>, from a start that is far off."""
    fitted = fit_parameters(shrunk, [(A, B, X)], {"lam": 20.0}, evaluations=60)
    assert fitted.values["lam"] == pytest.approx((B**2).sum() / (B * X).sum() - 1, rel=2e-3)
    assert fitted.quality == ip.psnr(shrunk(A, B, **fitted.values), X) == max(r["quality"] for r in fitted.history)


def test_known_optimum_of_two_parameters_over_two_problems() -> None:
    """x = 0.2 b + 3 b², which has no error at its optimum: of very different sizes, and quality has its own sign."""
    problems = [(A, b, 0.2 * b + 3 * b**2, None) for b in (B, X)]

    def model(A, b, first, second):
        return first * b + second * b**2, "info"

    fitted = fit_parameters(
        model, problems, {"first": 1.0, "second": 0.5}, evaluations=200, quality=lambda x, t: -((x - t) ** 2).sum()
    )
    assert fitted.values == pytest.approx({"first": 0.2, "second": 3.0}, rel=0.02)


def test_inputs_stay_and_the_budget_is_kept() -> None:
    b, x = B.copy(), X.copy()
    fitted = fit_parameters(shrunk, [(A, b, x)], {"lam": 1.0}, evaluations=5)
    assert len(fitted.history) <= 5 and (b == B).all() and (x == X).all()
    again = fit_parameters(shrunk, [(A, b, x)], {"lam": 1.0}, evaluations=5)
    assert again.history == fitted.history


def test_divergence_is_infinitely_bad() -> None:
    def fragile(A, b, lam):
        if lam > 2:
            raise Diverged("too large", None, 0)
        return shrunk(A, b, lam)

    fitted = fit_parameters(fragile, [(A, B, X)], {"lam": 1.0})
    assert fitted.values["lam"] <= 2 and min(r["quality"] for r in fitted.history) == -math.inf
    with pytest.raises(ValueError, match="no parameters near it gave a finite quality"):
        fit_parameters(fragile, [(A, B, X)], {"lam": 1e6}, evaluations=4)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"problems": []}, "problems is empty; expected at least one"),
        ({"problems": [(A, B)]}, r"expected \(A, b, x_true\)"),
        ({"problems": [(A, B, None)]}, "x_true an array"),
        ({"problems": [(A, B, X * math.nan)]}, "x_true with values that are not finite"),
        ({"start": {}}, "start is empty"),
        ({"start": {"lam": -1.0}}, r"start\['lam'\] is -1.0"),
        ({"start": [1.0]}, "start is list"),
        ({"reconstruct": 3}, "reconstruct is int"),
        ({"quality": "psnr"}, "quality is str"),
        ({"factor": 1.0}, "factor is 1.0"),
        ({"evaluations": 1}, "evaluations is 1"),
    ],
)
def test_refused(changed, sentence) -> None:
    good = {"reconstruct": shrunk, "problems": [(A, B, X)], "start": {"lam": 1.0}}
    with pytest.raises((TypeError, ValueError), match=sentence):
        fit_parameters(**good | changed)
