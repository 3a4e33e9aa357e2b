"""Which device the tests run on, which of them run there, and the fixtures they share.

A test that takes the fixture ``xp`` runs on NumPy in a normal run and on device arrays in a device run:
``--device=standin`` (the strict stand-in for CuPy and Numba's CUDA simulator) or ``--device=cupy`` (a GPU).
A device run selects only such tests and those marked ``device``.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType

WORKER = "PYTEST_XDIST_WORKER" in os.environ  # one for each core: threads of BLAS and torch only wait for each other
if WORKER:
    os.environ |= {"MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import hypothesis
import numpy as np
import pytest

# other environments; scripts; what needs the extra `docs`
collect_ignore_glob = ["bench/peers_*.py", "house/users_script.py", "user/tasks/*.py", "site/mathml.py"]

hypothesis.settings.register_profile("ipbox", deadline=None, derandomize=True, max_examples=40)
hypothesis.settings.load_profile("ipbox")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        choices=["none", "standin", "cupy"],
        default="none",
        help="run the device tests on the stand-in for CuPy, or on CuPy itself",
    )


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("MPLBACKEND", "Agg")
    device = config.getoption("device")
    if device == "standin":
        _install_standin()
    elif device == "cupy":
        _require_gpu()


def _install_standin() -> None:
    """The stand-in and the simulator, before anything that looks for CuPy or CUDA once, at its import."""
    if "numba" in sys.modules and os.environ.get("NUMBA_ENABLE_CUDASIM") != "1":
        raise pytest.UsageError("numba is already imported: run with NUMBA_ENABLE_CUDASIM=1 in the environment")
    os.environ |= {"NUMBA_ENABLE_CUDASIM": "1", "CUPY_PYLOPS": "1"}
    from tests import standin

    standin.install()


def _require_gpu() -> None:
    try:
        import cupy
    except ImportError as err:
        raise pytest.UsageError("--device=cupy needs CuPy: pip install 'ipbox[gpu]'") from err
    if not cupy.is_available():
        raise pytest.UsageError("--device=cupy needs a GPU, and CuPy finds none")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    device = config.getoption("device")
    kept, left = [], []
    for item in items:
        (kept if _belongs(item, device) else left).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept
    for item in items:
        if device == "standin" and _is_minimisation(item):
            item.add_marker(pytest.mark.slow)  # thousands of kernels, each in simulated threads
        if _is_repetition(item, device):
            item.add_marker(pytest.mark.exhaustive)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """On the stand-in kernels run thread by thread in their own tests, and everywhere else as their CPU twins."""
    if WORKER and "torch" in sys.modules:  # Numba's first parallel launch sets the threads of an OpenMP they share
        sys.modules["torch"].set_num_threads(1)
    if item.config.getoption("device") == "standin":
        from ipbox.kernels.core import launch

        launch.stand_in.simulate = "simulated" in item.keywords or "tests/kernels" in item.path.as_posix()


def _is_minimisation(item: pytest.Item) -> bool:
    """Whether ``item`` takes the prox or the value of a functional that is itself computed by a long iteration."""
    case = getattr(item, "callspec", None) and item.callspec.params.get("case")
    light = item.originalname in ("test_declarations", "test_value_is_a_float")
    return bool(getattr(case, "costly", False)) and not light


def _is_repetition(item: pytest.Item, device: str) -> bool:
    """Whether ``item`` does again, for seconds, what it does in the other precision.

    A costly prox is proved to minimise in double precision, and in single precision compared with that; kernels run
    in the simulator in single precision, in which a literal of double precision shows.
    """
    params = item.callspec.params if hasattr(item, "callspec") else {}
    if "dtype" not in params:
        return False
    double = any(name in str(params["dtype"]) for name in ("float64", "complex128"))  # of torch as well
    if item.originalname == "test_prox_minimises":
        return params["case"].costly and not double
    return double and device == "standin" and "tests/kernels" in item.path.as_posix()


def _belongs(item: pytest.Item, device: str) -> bool:
    """Whether ``item`` runs in a run on ``device``."""
    if item.get_closest_marker("gpu"):
        return device == "cupy"
    if item.get_closest_marker("device"):
        return device != "none"
    return device == "none" or "xp" in getattr(item, "fixturenames", ())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "xp" in metafunc.fixturenames:
        name = "numpy" if metafunc.config.getoption("device") == "none" else "cupy"
        metafunc.parametrize("xp", [name], indirect=True, scope="session")


@pytest.fixture(scope="session")
def xp(request: pytest.FixtureRequest) -> ModuleType:
    """The array library of this run; its ``__name__`` is what ``xp=`` arguments take."""
    return import_module(request.param)


@pytest.fixture(scope="session", params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    return np.dtype(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator on the host, with the same seed in every test."""
    return np.random.default_rng(20240229)
