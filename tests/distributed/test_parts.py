"""What ranks ask of each other: sums, a slice of a neighbour, checkpoints, one answer; what is refused."""

import numpy as np
import pytest
import tifffile

import ipbox as ip
from ipbox import backend, shares
from ipbox.distributed import RanksCheckpoint, cost_of_slices, cost_of_views
from tests.distributed.cases import ANGLES, ONE, SLICES, N, scan, volume
from tests.distributed.threads import on_ranks
from tests.io import scan_writers as scans


def test_sums_are_over_all_ranks():
    x = np.random.default_rng(0).standard_normal((2, 7, 3))
    y = x[::-1] + 1

    def work(ranks):
        own = ranks.own(7)
        a, b = x[:, own], y[:, own]
        with ranks.slabs():
            found = [backend.dot(a, b), backend.norm(a), backend.inner(a, b), backend.distance(a, b)]
            found += [backend.reduce_sum(a), backend.mean(a), backend.count(a), backend.largest(a), backend.smallest(a)]
            found += [backend.every(a < x.max()), backend.some(a == x.min()), shares.agreed(ranks.rank == 2)]
            each = [f(a, b, True) for f in (backend.dots, backend.inner, backend.distance)]
            each += [f(a, True) for f in (backend.sum_squares, backend.reduce_sum, backend.largest)]
            return np.array(found), np.array(each), backend.every(a < x[0].max(), True)

    d = x - y
    expected = [np.sum(x * y), np.linalg.norm(x), np.sum(x * y), np.linalg.norm(d), x.sum(), x.mean(), x.size]
    expected += [x.max(), x.min(), False, True, True]
    flat, other = x.reshape(2, -1), y.reshape(2, -1)
    products = (flat * other).sum(axis=1)
    each = [products, products, np.linalg.norm(flat - other, axis=1)]
    each += [(flat**2).sum(axis=1), flat.sum(axis=1), flat.max(axis=1)]
    found = on_ranks(3, work)
    for numbers, of_samples, every in found:
        np.testing.assert_allclose(numbers, expected, rtol=1e-13)
        np.testing.assert_allclose(of_samples, each, rtol=1e-13)
        assert every.tolist() == [False, bool((flat[1] < flat[0].max()).all())]
        assert np.array_equal(numbers, found[0][0])  # the same bits


@pytest.mark.parametrize("options", [{}, {"spacing": (2.0, 1.0, 0.5)}, {"axes": (0,)}, {"isotropic": False}])
def test_gradient_of_slabs_is_that_of_the_volume_and_its_adjoint(options):
    rng, whole, part_of = np.random.default_rng(0), ip.TV((SLICES, N, N), **options), np.ascontiguousarray
    x, y = rng.standard_normal((2, SLICES, N, N)), rng.standard_normal((2, 3, SLICES, N, N))

    def work(ranks):
        own = ranks.own(SLICES)
        with ranks.slabs():
            R = ip.TV((len(own), N, N), **options)
            K = R.gradient
            u, field, z = part_of(x[:, own]), part_of(y[:, :, own]), part_of(y[:, :, own])
            image = np.empty((2, len(own), N, N))
            K.adjoint(z, image, False)
            gradient = K.forward(u, np.empty_like(field))
            products = [backend.dot(gradient, field), backend.dot(u, image)]
            R.ascend(field, [u], 0.3, {})
            values = R.value(u, batch=True)
        parts = (gradient.swapaxes(0, 2), image.swapaxes(0, 1), field.swapaxes(0, 2))
        return [ranks.gather(part) for part in parts], products, values, K.norm

    K = whole.gradient
    gradient, image, field = K.forward(x, np.empty_like(y)), np.empty_like(x), y.copy()
    K.adjoint(y, image, False)
    whole.ascend(field, [x], 0.3, {})
    for size in (2, 4, SLICES):
        for parts, (left, right), values, norm in on_ranks(size, work):
            np.testing.assert_allclose(parts[0].swapaxes(0, 2), gradient, atol=1e-14)
            np.testing.assert_allclose(parts[1].swapaxes(0, 1), image, atol=1e-14)
            np.testing.assert_allclose(parts[2].swapaxes(0, 2), field, atol=1e-14)
            assert left == pytest.approx(right, rel=1e-12)
            np.testing.assert_allclose(values, whole.value(x, batch=True), rtol=1e-13)
            assert norm == pytest.approx(K.norm, rel=1e-14)


def test_norms_and_subsets_of_shared_views_are_those_of_all():
    x = np.random.default_rng(0).random((N, N))

    def work(ranks):
        A, b = ranks.views(ONE, scan()[1])
        D = ip.L2(A, b)
        parts = [f.grad(x) for f in D.subsets(3)]
        own = ranks.own(len(ANGLES))
        signed = ranks.vstack(ip.RayTransform((N, N), ANGLES[own], dtype="float64"))  # it has negative entries
        return A.norm(), A.norm_kind, np.array(parts), D.grad(x), signed.norm()

    parts = [f.grad(x) for f in ip.L2(ONE, scan()[1]).subsets(3)]
    exact = np.linalg.norm(ONE.todense(), 2)
    signed = np.linalg.norm(ip.RayTransform((N, N), ANGLES, dtype="float64").todense(), 2)
    for norm, kind, found, grad, other in on_ranks(4, work):
        assert kind == "bound" and exact <= norm <= 1.04 * exact
        assert signed <= other <= 1.04 * signed
        np.testing.assert_allclose(found, parts, rtol=1e-12)
        np.testing.assert_allclose(grad, sum(parts), rtol=1e-12)


SOLVERS = {"PDHG": ip.PDHG(), "FISTA": ip.FISTA(), "CGLS": ip.CGLS()}


def steps(ranks, case, first, count):
    """Bytes and messages of some steps, beyond those in which the growth of the iterates is looked at."""
    told = []

    def clock(run):
        if run.k in (first, first + count):
            told.append((ranks.sent, ranks.messages))

    rule, own = ip.stop.niter(first + count + 1), ranks.own(SLICES)
    if case[0] == "views":
        f = ip.L2(*ranks.views(ONE, scan()[1]))
    else:
        f = ip.L2(ranks.blockdiag(ip.SliceStack(ONE, len(own))), volume()[1][:, own])
    dims = tuple(f.A.dims)
    terms = {"PDHG": lambda: 0.1 * ip.TV(dims) + ip.NonNegative(), "FISTA": lambda: 0.1 * ip.L1()}
    with ranks.slabs() if case[0] == "slices" else shares.shared_by(None):
        problem = ip.Problem(f if case[1] == "CGLS" else f + terms[case[1]]())
        ip.solve(problem, SOLVERS[case[1]], stop=rule, callbacks=[clock])
    return tuple((b - a) / count for a, b in zip(*told, strict=True))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shared", ["views", "slices"])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_bytes_and_messages_of_an_iteration_are_those_of_the_cost_model(size, shared, solver):
    first, count = (2, 1) if solver == "CGLS" else (17, 10)
    found = on_ranks(size, lambda ranks: steps(ranks, (shared, solver), first, count))
    views, n_det = ONE.dimsd
    if shared == "views":
        cost = cost_of_views((N, N), views, n_det, size, solver, "float64")
    else:
        cost = cost_of_slices((SLICES, N, N), views, n_det, size, solver, "float64")
    assert max(found) == (cost.sent, cost.messages)


def test_cost_model_adds_up():
    one, four = (cost_of_slices((64, 128, 128), 60, 182, n) for n in (1, 4))
    assert (one.sent, one.messages) == (0, 0)
    assert one.flops == 4 * four.flops and one.memory == 4 * four.memory
    a, b = (cost_of_views((64, 64), 60, 91, n) for n in (1, 4))
    assert b.flops < a.flops < 4 * b.flops and b.memory > a.memory / 4  # every rank has the image
    assert b.seconds(1e9, 1e9, 0.0) == pytest.approx(b.flops / 1e9 + (8 + 1.5 * 64 * 64 * 4) / 1e9)


def test_a_callback_that_stops_one_rank_stops_all():
    def work(ranks):
        with ranks.slabs():
            problem = ip.Problem(ip.L2(b=np.ones((2, 3, 3))) + ip.TV((2, 3, 3)))
            stops = [lambda run: ranks.rank == 1 and run.k == 3]
            return ip.solve(problem, ip.PDHG(), callbacks=stops)

    assert [(sol.niter, sol.stop) for sol in on_ranks(3, work)] == [(3, "callback")] * 3


def test_checkpoints_of_one_step_are_on_all_ranks_and_go_on_bit_for_bit(tmp_path):
    def work(ranks, steps, state, seen=None):
        own, keep = ranks.own(SLICES), RanksCheckpoint(ranks, tmp_path / "run.npz", every=4)
        with ranks.slabs():
            A = ranks.blockdiag(ip.SliceStack(ONE, len(own)))
            problem = ip.Problem(ip.L2(A, volume()[1][:, own]) + 0.1 * ip.TV(A.dims) + ip.NonNegative())
            start = keep.newest() if state else None
            sol = ip.solve(problem, ip.PDHG(), state=start, stop=ip.stop.niter(steps, total=True), callbacks=[keep])
        return sol.x

    whole = on_ranks(3, lambda ranks: work(ranks, 9, False))
    assert {path.name for path in tmp_path.iterdir()} == {f"run.9.{rank}.npz" for rank in range(3)}
    for path in tmp_path.iterdir():
        path.unlink()
    on_ranks(3, lambda ranks: work(ranks, 4, False))
    for path, x in zip(range(3), on_ranks(3, lambda ranks: work(ranks, 9, True)), strict=True):
        assert np.array_equal(x, whole[path])
    (tmp_path / "run.9.1.npz").unlink()
    with pytest.raises(FileNotFoundError, match="no step of which all ranks have a checkpoint"):
        on_ranks(3, lambda ranks: work(ranks, 9, True))


def test_slabs_are_read_from_files_and_no_more_than_that(tmp_path):
    h5py = pytest.importorskip("h5py")
    b = volume()[1].astype("float32")
    with h5py.File(tmp_path / "scan.h5", "w") as f:
        f["data"] = b
    np.save(tmp_path / "scan.npy", b)
    read = []

    class Counted:
        def __init__(self, data):
            self.data, self.shape = data, data.shape

        def __getitem__(self, index):
            part = self.data[index]
            read.append(part.nbytes)
            return part

    def work(ranks):
        with h5py.File(tmp_path / "scan.h5") as f:
            part = ranks.slab(Counted(f["data"]), axis=1)
        mapped = ranks.slab(np.load(tmp_path / "scan.npy", mmap_mode="r"), axis=1)
        assert np.array_equal(part, mapped) and np.array_equal(part, b[:, ranks.own(SLICES)])
        with ranks.slabs():
            A = ranks.blockdiag(ip.SliceStack(ip.JosephTransform((N, N), ANGLES), part.shape[1]))
            return ranks.gather(ip.tv(A, part, 0.1, nonneg=True, niter=20)[0])

    (expected,) = on_ranks(1, work)
    read.clear()
    for found in on_ranks(4, work):
        assert ip.nrmse(found, expected) < 1e-5
    assert sum(read) == b.nbytes and max(read) < b.nbytes / 2


@pytest.mark.parametrize("kind", ["TIFF, mapped", "TIFF folder", "TIFF pages", "NXtomo"])
def test_slabs_of_a_scan_are_those_of_its_frames(kind, tmp_path):
    """Views by rows by columns, of which a rank reads its rows: nothing is asked of a file but these."""
    written = scans.VIEWS
    if kind == "NXtomo":
        data = ip.read_scan(scans.write_nxtomo(tmp_path / "scan.nxs")).projections
    elif kind == "TIFF folder":
        data = ip.read_scan(scans.write_tiffs(tmp_path, written)).projections
    elif kind == "TIFF pages":
        tifffile.imwrite(tmp_path / "a.tif", written, photometric="minisblack", compression="zlib")
        data = ip.read_scan(tmp_path / "a.tif").projections
    else:
        tifffile.imwrite(tmp_path / "a.tif", written, photometric="minisblack")
        data = tifffile.memmap(tmp_path / "a.tif", mode="r")
    assert tuple(data.shape) == written.shape
    asked = []

    class Asked:
        shape = data.shape

        def __getitem__(self, index):
            asked.append(data[index].shape)
            return data[index]

    def work(ranks):
        part = ranks.slab(Asked(), axis=1)
        assert type(part) is np.ndarray and np.array_equal(part, written[:, ranks.own(written.shape[1])])
        return ranks.gather(np.moveaxis(part, 1, 0))

    for whole in on_ranks(3, work):
        assert np.array_equal(np.moveaxis(whole, 0, 1), written)
    assert sum(shape[1] for shape in asked) == written.shape[1] and len(asked) == 3


def test_what_is_not_known_to_be_shared_is_refused():
    def work(ranks):
        A, b = ranks.views(ONE, scan()[1])
        with pytest.raises(ValueError, match="solver is LSQR, which is not known to run where ranks share the data"):
            ip.solve(ip.Problem(ip.L2(A, b)), ip.LSQR())
        with pytest.raises(ValueError, match="lam is 'discrepancy', and ranks share the data; expected a number"):
            ip.tv(A, b, lam="discrepancy", noise_level=1.0)
        with pytest.raises(ValueError, match="stop.ncp was given where ranks share the data"):
            ip.solve(ip.Problem(ip.L2(A, b)), ip.CGLS(), stop=ip.stop.ncp())
        with pytest.raises(ValueError, match="expected at most as many subsets as each rank has views, 6"):
            A.subsets(7)
        B = ranks.blockdiag(ip.SliceStack(ONE, 2))
        c = np.zeros(B.dimsd)
        with pytest.raises(ValueError, match=r"is of a rank's slices; expected it within: with ranks.slabs\(\)"):
            ip.tv(B, c, 0.1)
        outside = ip.TV((2, N, N))
        with ranks.slabs():
            for f in (ip.TGV((2, N, N)), outside, ip.WaveletL1((2, N, N)), ip.L2(ip.SliceStack(ONE, 2), c)):
                with pytest.raises(ValueError, match="is not known to act on slices that ranks share"):
                    ip.Problem(f, dims=(2, N, N), dtype="float64")
            R = ip.TV((2, N, N))
        with pytest.raises(RuntimeError, match="TV was made of slabs; expected its use where it was made"):
            R.value(np.zeros((2, N, N)))
        with pytest.raises(ValueError, match="A has images and dtypes"):
            ranks.vstack(ip.Identity((2 + ranks.rank, 2)))
        with pytest.raises(ValueError, match=r"data.shape\[0\] is 1; expected an integer of at least 2"):
            ranks.slab(np.zeros((1, 3)))
        with pytest.raises(TypeError, match="which has no subsets; expected an operator of views, or ranks.vstack"):
            ranks.views(ip.Identity((2, 2)), np.zeros((2, 2), "float32"))
        assert np.array_equal(ranks.slab(b := np.arange(15).reshape(3, 5), axis=-1), b[:, ranks.own(5)])
        return True

    assert all(on_ranks(2, work))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda ranks: ranks.own(-1), "n is -1; expected an integer that is not negative"),
        (lambda ranks: ranks.own(2.5), "n is 2.5; expected an integer that is not negative"),
        (lambda ranks: ranks.slab([1, 2]), "data is list; expected an array, or what has a shape"),
        (lambda ranks: ranks.slab(np.zeros((3, 4)), axis=2), "axis is 2; expected different axes of an image of 2"),
        (lambda ranks: ranks.slab(np.zeros((3, 4)), axis=1.0), "axis is 1.0; expected different axes"),
        (lambda ranks: ranks.gather([1.0]), "part is list; expected a NumPy or CuPy array"),
        (lambda ranks: ranks.gather(np.array(1.0)), "part.ndim is 0; expected a positive integer"),
        (lambda ranks: ranks.gathered(np.zeros(3), "a"), "n is 'a'; expected an integer that is not negative"),
        (lambda ranks: ranks.views(3, np.zeros(3)), "A is int; expected an ipbox, PyLops or SciPy operator"),
        (lambda ranks: ranks.views(ONE, [1.0]), "b is list; expected an array, or what has a shape"),
        (lambda ranks: ip.distributed.MPIVStack(3, np.eye(3)), r"ranks is int; expected ipbox\.distributed\.world"),
        (lambda ranks: ip.distributed.MPIBlockDiag(None, np.eye(3)), "ranks is NoneType; expected ipbox"),
        (lambda ranks: RanksCheckpoint(3, "run.npz"), "ranks is int; expected ipbox"),
        (lambda ranks: ip.distributed.Ranks(3), "comm is int; expected a communicator such as mpi4py"),
    ],
)
def test_an_error_names_the_argument(call, said):
    with pytest.raises((TypeError, ValueError), match=f"^{said}"):
        call(ip.distributed.world())


def test_below_mpiexec_without_mpi4py_no_rank_takes_itself_for_the_only_one(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mpi4py", None)
    monkeypatch.delenv("PMI_SIZE", raising=False)
    assert repr(ip.distributed.world()) == "Ranks: 0 of 1"
    monkeypatch.setenv("PMI_SIZE", "2")
    with pytest.raises(ImportError, match=r"pip install 'ipbox\[mpi\]'"):
        ip.distributed.world()
