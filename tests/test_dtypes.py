"""Data of another dtype, and arguments in another's place: the error names the call that makes them fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.checks import shown

ANGLES = np.linspace(0, np.pi, 5, endpoint=False)
A = ip.RayTransform((8, 8), ANGLES)
X = np.ones((8, 8))
B = np.ones(A.dimsd)
MASK = np.ones((8, 8), bool)


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (
            lambda x: A.apply(x),
            "x has dtype float64; RayTransform expects float32: x.astype('float32'), or an operator",
        ),
        (lambda x: ip.fbp(A, B), "gives float32: b.astype('float32'), or an operator made with dtype='float64'"),
        (lambda x: ip.tv(A, B, 0.1), "gives float32: b.astype('float32'), or an operator made with dtype='float64'"),
        (lambda x: ip.tv(None, (255 * x).astype("uint8"), 0.1), ": b.astype('float32')"),
        (lambda x: ip.cgls(A, B.astype("f"), x0=x), "x0 has dtype float64; expected float32: x0.astype('float32')"),
        (lambda x: ip.CartesianMRI(MASK).apply(x), "expects complex64: x.astype('complex64')"),
        (lambda x: A.apply(x.astype("F")), "RayTransform expects float32: x.real, or its magnitude abs(x)"),
        (lambda x: ip.WeightedL2(A, B.astype("f"), B), "as b: weights.astype('float32')"),
    ],
)
def test_dtypes_that_do_not_fit(call: Callable[[np.ndarray], Any], advice: str) -> None:
    with pytest.raises(TypeError) as error:
        call(X)
    assert advice in str(error.value)


def test_the_advice_helps() -> None:
    double = ip.RayTransform((8, 8), ANGLES, dtype="float64")
    assert ip.fbp(double, B)[0].dtype == np.float64
    assert ip.fbp(A, B.astype("float32"))[0].dtype == np.float32


def test_operators_made_of_double_maps_are_double() -> None:
    maps = np.ones((2, 8, 8), complex)
    trajectory = np.zeros((4, 2)) + np.arange(4)[:, None] / 2
    for made, single in (
        (ip.CartesianMRI(MASK, maps), ip.CartesianMRI(MASK, maps.astype("F"))),
        (ip.NonCartesianMRI((8, 8), trajectory, maps), ip.NonCartesianMRI((8, 8), trajectory)),
    ):
        assert (made.dtype_out, single.dtype_out) == (np.complex128, np.complex64)
    with pytest.raises(
        TypeError, match=r"expected complex64: sensitivities.astype\('complex64'\), or an operator made"
    ):
        ip.CartesianMRI(MASK, maps, dtype="complex64")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ip.Problem(ip.L2(b=X), ip.TV((8, 8))), r"^batch is TV, a functional; .* ip.Problem\(f \+ g\)$"),
        (lambda: ip.Problem(ip.L2(b=X), None, ip.TV((8, 8))), "^dims is TV, a functional"),
        (lambda: ip.L2(A), r"^b is None and A is RayTransform, which measures; expected its data too: ip.L2\(A, b\)$"),
        (lambda: ip.Huber(A, delta=1.0), r"ip.Huber\(A, b\)$"),
        (lambda: ip.L1(0.1), r"^dims is \(0.1,\); expected positive integers$"),
        (lambda: ip.TV(X), r"^dims is an array of shape \(8, 8\); expected positive integers$"),
        (lambda: ip.Box(X), r"^lo is an array of shape \(8, 8\) and hi is inf; expected real numbers$"),
        (lambda: ip.tv(None, X, X), r"^lam is an array of shape \(8, 8\); expected a positive number"),
    ],
)
def test_arguments_in_anothers_place(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_values_are_shown_in_a_few_words() -> None:
    assert shown((1, "a", np.ones((3, 4)))) == "(1, 'a', an array of shape (3, 4))"
    assert (shown([2.5]), shown((3,)), shown(None)) == ("[2.5]", "(3,)", "None")
    assert shown({"key": "x" * 100}) == "of type dict"
