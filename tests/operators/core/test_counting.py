"""Counting the applications of an operator."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import ipbox as ip


def pet() -> ip.PET:
    return ip.PET(ip.JosephTransform((9, 8), np.arange(6) * np.pi / 6))


def test_batches_count_by_their_samples() -> None:
    A = pet()
    with ip.counting(A) as count:
        A.apply(np.ones((9, 8), "float32"))
        A.apply(np.ones((3, 9, 8), "float32"))
        A.apply_adjoint(np.ones(tuple(A.dimsd), "float32"))
    assert (count.forward, count.adjoint, count.total) == (4, 1, 5)
    A.apply(np.ones((9, 8), "float32"))
    assert count.total == 5


def test_subsets_count_by_their_share_and_other_operators_not_at_all() -> None:
    A, x = pet(), np.ones((9, 8), "float32")
    with ip.counting(A) as count:
        for part in A.subsets(3):
            part.apply_adjoint(part.apply(x))
        ip.Gradient((9, 8)).apply(x)
    assert count.forward == pytest.approx(1) and count.adjoint == pytest.approx(1)


def test_flat_vectors_count() -> None:
    A = pet()
    with ip.counting(A) as count:
        A.rmatvec(A.matvec(np.ones(72, "float32")))
    assert (count.forward, count.adjoint) == (1, 1)


def test_adjoints_that_are_the_forward_count_as_adjoints() -> None:
    A = ip.Mask(np.eye(3))
    with ip.counting(A) as count:
        A.apply_adjoint(np.ones((3, 3), "float32"))
    assert (count.forward, count.adjoint) == (0, 1)


def test_counts_are_nested_and_of_their_own_thread() -> None:
    A, x = pet(), np.ones((9, 8), "float32")
    with ip.counting(A) as outer:
        with ip.counting(A) as inner:
            A.apply(x)
        thread = threading.Thread(target=lambda: A.apply(x))
        thread.start()
        thread.join()
        A.apply(x)
    assert (inner.total, outer.total) == (1, 2)


def test_bad_input() -> None:
    with pytest.raises(TypeError):
        ip.counting("A").__enter__()
