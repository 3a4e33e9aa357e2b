"""Matrices, flat operators and pairs of functions know no image: with its shape they do as an operator on images."""

import numpy as np
import pylops
import pytest
import scipy.sparse
import scipy.sparse.linalg

import ipbox as ip
from ipbox import backend, choose
from ipbox.evaluate import Variational, recovered_contrast
from ipbox.functionals.core.composition import check_data

pytestmark = pytest.mark.filterwarnings("ignore:.*ended by niter")

SHAPE, N = (6, 5), 30
MATRIX = np.abs(np.random.default_rng(0).standard_normal((24, N))) + 0.1
TRUTH = np.zeros(SHAPE)
TRUTH[1:4, 2:] = 1.0
B = MATRIX @ TRUTH.reshape(-1) + 0.01 * np.random.default_rng(1).standard_normal(24)
ON_IMAGES = ip.operator(
    lambda u: MATRIX @ u.reshape(-1), lambda v: (MATRIX.T @ v).reshape(SHAPE), SHAPE, (24,), name="on images"
)

FLAT = {
    "matrix": MATRIX,
    "sparse": scipy.sparse.csr_array(MATRIX),
    "coo": scipy.sparse.coo_matrix(MATRIX),
    "scipy": scipy.sparse.linalg.aslinearoperator(MATRIX),
    "pylops": pylops.MatrixMult(MATRIX),
    "wrapped": ip.as_operator(MATRIX),
    "scaled": 1.0 * ip.as_operator(MATRIX),
}
PAIR = (lambda u: MATRIX @ u.reshape(-1), lambda v: (MATRIX.T @ v).reshape(SHAPE))

FEW = dict(tol=1e-7, niter=300)  # the same steps on the same problem, which need not end
FUNCTIONS = {
    "tikhonov": lambda A, **o: ip.tikhonov(A, B, 0.1, tol=1e-12, **o)[0],
    "tikhonov of the gradient": lambda A, **o: ip.tikhonov(A, B, 0.1, gradient=True, tol=1e-12, **o)[0],
    "tv": lambda A, **o: ip.tv(A, B, 0.1, **FEW, **o)[0],
    "tgv": lambda A, **o: ip.tgv(A, B, 0.1, **FEW, **o)[0],
    "wavelet": lambda A, **o: ip.wavelet(A, B, 0.1, wavelet="haar", **FEW, **o)[0],
    "variational": lambda A, **o: ip.variational(A, B, ip.TV(SHAPE), 0.1, **FEW, **o)[0],
    "pseudo_inverse": lambda A, **o: ip.pseudo_inverse(A, B, **o)[0],
    "analytic": lambda A, **o: ip.analytic(A, B, **o)[0],
    "landweber": lambda A, **o: ip.landweber(A, B, niter=20, tau=1e-3, **o)[0],
    "cgls": lambda A, **o: ip.cgls(A, B, niter=5, **o)[0],
    "lsqr": lambda A, **o: ip.lsqr(A, B, niter=5, **o)[0],
    "hybrid_lsqr": lambda A, **o: ip.hybrid_lsqr(A, B, 0.1, niter=5, **o)[0],
    "bregman": lambda A, **o: ip.bregman(A, B, lam=1.0, niter=2, tol=1e-9, **o)[0],
    "linearised_bregman": lambda A, **o: ip.linearised_bregman(A, B, regulariser="wavelet", lam=1.0, niter=20, **o)[0],
    "red": lambda A, **o: ip.red(A, B, _smooth, 0.5, niter=5, x0=np.zeros(SHAPE), **o)[0],
    "pnp": lambda A, **o: ip.pnp(A, B, _smooth, method="forward_backward", tau=1e-3, niter=5, x0=np.zeros(SHAPE), **o)[
        0
    ],
    "tv_weight": lambda A, **o: choose.tv_weight(A, B, 0.1, **o),
    "compare": lambda A, **o: ip.compare((A, B), {"cgls": lambda A, b: ip.cgls(A, b, niter=5)}, **o).images["cgls"],
    "discrepancy": lambda A, **o: choose.discrepancy(_ridge, A, B, 0.3, **o).x,
    "evaluate": lambda A, **o: Variational(A, ip.SmoothedTV(SHAPE, eps=0.1), tol=1e-10, **o)(B),
    "contrast": lambda A, **o: recovered_contrast(lambda b: (MATRIX.T @ b).reshape(SHAPE), A, TRUTH, TRUTH, **o),
    "L2": lambda A, **o: ip.L2(A, B, **o).grad(TRUTH),
    "KL": lambda A, **o: ip.KL(A, np.abs(B), background=0.5, **o).grad(TRUTH + 1),
    "Huber": lambda A, **o: ip.Huber(A, B, delta=0.1, **o).grad(TRUTH),
    "WeightedL2": lambda A, **o: ip.WeightedL2(A, B, np.ones(24), **o).grad(TRUTH),
}


def _smooth(u):
    return 0.5 * u + 0.25 * (np.roll(u, 1, axis=0) + np.roll(u, 1, axis=1))


def _ridge(lam):
    x = np.linalg.solve(MATRIX.T @ MATRIX + lam * np.eye(N), MATRIX.T @ B)
    return x.reshape(SHAPE), None


@pytest.fixture(scope="module")
def expected():
    return {name: function(ON_IMAGES) for name, function in FUNCTIONS.items()}


@pytest.mark.parametrize("A", ["matrix", "pylops", "pair"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_with_the_shape_as_on_images(name, A, expected):
    found = FUNCTIONS[name](PAIR if A == "pair" else FLAT[A], shape=SHAPE)
    assert np.shape(found) == np.shape(expected[name])
    np.testing.assert_allclose(found, expected[name], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("A", [*FLAT, "pair"])
def test_every_kind_of_flat_operator(A):
    op = PAIR if A == "pair" else FLAT[A]
    if A == "scaled":  # one of ours, which was made without a shape
        with pytest.raises(ValueError, match=r"^shape is \(6, 5\); expected that of 1 "):
            ip.as_operator(op, SHAPE)
        return
    op = ip.as_operator(op, SHAPE)
    assert (tuple(op.dims), tuple(op.dimsd), op.is_flat) == (SHAPE, (24,), False)
    np.testing.assert_allclose(op.apply(TRUTH), MATRIX @ TRUTH.reshape(-1))
    np.testing.assert_allclose(op.apply_adjoint(B), (MATRIX.T @ B).reshape(SHAPE))
    assert ip.as_operator(op) is op
    np.testing.assert_allclose(ip.tv(op, B, 0.1, **FEW)[0], ip.tv(ON_IMAGES, B, 0.1, **FEW)[0], atol=1e-5)


NEEDS_AN_IMAGE = {
    "tikhonov": lambda A: ip.tikhonov(A, B, 0.1, gradient=True),
    "tv": lambda A: ip.tv(A, B, 0.1),
    "tgv": lambda A: ip.tgv(A, B, 0.1),
    "wavelet": lambda A: ip.wavelet(A, B, 0.1),
    "bregman": lambda A: ip.bregman(A, B),
    "linearised_bregman": lambda A: ip.linearised_bregman(A, B, regulariser="wavelet"),
    "pnp": lambda A: ip.pnp(A, B, _smooth, noise_level=0.1),
    "red": lambda A: ip.red(A, B, _smooth, 0.5),
}


@pytest.mark.parametrize("A", FLAT)
@pytest.mark.parametrize("name", NEEDS_AN_IMAGE)
def test_no_image_is_guessed(name, A):
    with pytest.raises(
        ValueError, match=r"^A is flat, of 30 numbers, .*expected shape=\(rows, columns\), or shape=\(30,\)"
    ):
        NEEDS_AN_IMAGE[name](FLAT[A])


def test_a_signal_is_said_to_be_one():
    x = ip.tv(MATRIX, B, 0.1, shape=(N,), **FEW)[0]
    y = ip.variational(MATRIX, B, ip.TV((N,)), 0.1, **FEW)[0]
    np.testing.assert_allclose(x, y, atol=1e-9)
    assert np.abs(x.reshape(SHAPE) - ip.tv(MATRIX, B, 0.1, shape=SHAPE)[0]).max() > 0.01


def test_where_no_image_is_needed_flat_operators_go_on():
    for f in (ip.cgls, ip.landweber, ip.sirt, ip.kaczmarz, ip.lsqr):
        assert f(MATRIX, B, niter=3)[0].shape == (N,)
    assert ip.bregman(MATRIX, B, regulariser="l1", niter=1)[0].shape == (N,)


@pytest.mark.parametrize(
    "A, given, message",
    [
        (MATRIX, dict(shape=(5, 5)), r"^shape is \(5, 5\); expected a shape of 30 entries$"),
        (MATRIX, dict(data_shape=(5, 5)), r"^data_shape is \(5, 5\); expected a shape of 24 entries$"),
        (MATRIX, dict(shape=(6, -5)), r"^shape is \(6, -5\); expected positive integers$"),
        (ON_IMAGES, dict(shape=(5, 6)), r"^shape is \(5, 6\); expected that of on images, \(6, 5\)$"),
        (pylops.FirstDerivative((6, 5)), dict(shape=(30,)), r"^shape is \(30,\); expected that of D?\w*, \(6, 5\)$"),
        (PAIR, {}, r"^shape is None and A is a pair of functions; expected the image's shape$"),
        ((PAIR[0], lambda v: v[0] * TRUTH), dict(shape=SHAPE), r"^adjoint is not that of forward"),
    ],
)
def test_shapes_that_do_not_fit(A, given, message):
    with pytest.raises(ValueError, match=message):
        ip.as_operator(A, **given)


def test_shape_without_an_operator():
    for f in (ip.tv, ip.tgv, ip.wavelet):
        with pytest.raises(ValueError, match=r"^shape is \(3, 3\) and A is None"):
            f(None, TRUTH, 0.1, shape=(3, 3))


# ---------------------------------------------------------------- rows, sums, views


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array, scipy.sparse.csc_array])
def test_row_action_methods_with_a_shape(make):
    A = make(MATRIX)
    for f in (ip.kaczmarz, ip.sirt, ip.cimmino):
        flat, image = (f(A, B, niter=3, **o)[0] for o in ({}, {"shape": SHAPE}))
        np.testing.assert_array_equal(image, flat.reshape(SHAPE))
    counts = np.round(MATRIX @ TRUTH.reshape(-1) * 10)
    for f, o in ((ip.mlem, {}), (ip.osem, {"subsets": 4})):
        flat, image = (f(A, counts, niter=3, **o, **s)[0] for s in ({}, {"shape": SHAPE}))
        np.testing.assert_array_equal(image, flat.reshape(SHAPE))


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
def test_data_of_several_axes_have_views_as_subsets(make):
    A = ip.as_operator(make(MATRIX), SHAPE, data_shape=(6, 4))
    b = B.reshape(6, 4)
    np.testing.assert_allclose(A.apply(TRUTH), (MATRIX @ TRUTH.reshape(-1)).reshape(6, 4))
    for part, taken in (([4, 1], b[[4, 1]]), (slice(1, None, 2), b[1::2])):
        S = A.subset(part)
        assert (tuple(S.dims), tuple(S.dimsd)) == (SHAPE, taken.shape)
        rows = np.arange(24).reshape(6, 4)[part].reshape(-1)
        np.testing.assert_allclose(S.apply(TRUTH).reshape(-1), MATRIX[rows] @ TRUTH.reshape(-1))
    assert A.entry_sums(1, rows=True).shape == (6, 4)
    np.testing.assert_allclose(A.entry_sums(1, rows=False), MATRIX.sum(axis=0).reshape(SHAPE))
    expected = ip.cimmino(MATRIX, B, niter=5)[0].reshape(SHAPE)
    np.testing.assert_allclose(ip.cimmino(A, b, niter=5)[0], expected)
    np.testing.assert_allclose(ip.sirt(A, b, niter=5)[0], ip.sirt(MATRIX, B, niter=5)[0].reshape(SHAPE))
    found = ip.kaczmarz(A, b, niter=200)[0]
    assert np.linalg.norm(MATRIX @ found.reshape(-1) - B) < 0.05 * np.linalg.norm(B)


def test_sums_and_compositions_keep_saying_that_they_are_flat():
    flat, told = ip.as_operator(MATRIX), ip.as_operator(MATRIX, SHAPE)
    for A, expected in ((flat, True), (told, False)):
        made = [2 * A, A + A, -A, A.H @ A, A.N, np.eye(24) @ A, ip.VStack([A, A]), ip.as_operator(A)]
        assert [op.is_flat for op in made] == [expected] * len(made)
    assert not (ip.Identity((24,), "float64") + np.eye(24)).is_flat  # a signal, by its operator
    assert not ip.VStack([flat, ip.Identity(SHAPE, "float64")]).is_flat
    assert not ip.VStack([flat, told]).is_flat


def test_flat_operators_on_the_device(xp):
    matrix, b = (backend.to_device(v, xp) for v in (MATRIX, B))
    check_data(b)
    for f, o in ((ip.tv, {"lam": 0.1}), (ip.kaczmarz, {"niter": 3}), (ip.sirt, {"niter": 3})):
        found = f(matrix, b, shape=SHAPE, **o)[0]
        np.testing.assert_allclose(backend.to_host(found), f(MATRIX, B, shape=SHAPE, **o)[0], atol=1e-9)
