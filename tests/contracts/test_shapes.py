"""Whoever takes an operator takes the shape of its image, which matrices and flat operators do not tell."""

import importlib.util
import inspect
import re

import pytest

import ipbox
from ipbox import choose

ROOMS = ("bayes", "bilevel", "choose", "evaluate", "functionals", "learned", "operators", "reconstruct", "solvers")
TORCH = importlib.util.find_spec("torch") is not None

# who takes A and no shape, and why
PROJECTOR, MRI, BLUR = "a projector, which has images", "an MRI operator, which has images", "a blur, which has images"
WITHOUT = {
    "fbp": PROJECTOR,
    "fdk": PROJECTOR,
    "wiener": BLUR,
    "truncated_inverse": BLUR,
    "gridding": MRI,
    "gridded_kspace": MRI,
    "zero_filled": MRI,
    "root_sum_of_squares": MRI,
    "sense": MRI,
    "prewhiten": MRI,
    "pretrained": PROJECTOR,
    "load_weights": "takes the operator of the map that was saved",
    "relative_residual": "takes anything with A @ x",
    "turned_views": PROJECTOR,
    "SliceStack": PROJECTOR,
    "KnownProblem": "its images are vectors of the law's dimension",
    "resolve": "is given a reconstruct function's operator",
}


def public() -> dict[str, object]:
    found = {}
    for package in (ipbox, *(importlib.import_module(f"ipbox.{room}") for room in ROOMS if room != "learned" or TORCH)):
        for name in getattr(package, "__all__", dir(package)):
            try:
                thing = getattr(package, name)
            except ModuleNotFoundError as err:
                if err.name != "torch" or TORCH:
                    raise
                continue
            if callable(thing) and str(getattr(thing, "__module__", "")).startswith("ipbox."):
                found[name] = thing
    return found


def _parameters(thing: object) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(thing).parameters)
    except (TypeError, ValueError):  # built in
        return {}


TAKERS = {name: thing for name, thing in public().items() if "A" in _parameters(thing)}


def _takes_shape(thing: object) -> bool:
    """As a parameter, or among the options that a docstring, its own or that to which it sends, says."""
    parameters, own = _parameters(thing), thing.__doc__
    told = own + choose.weighted_gcv.__doc__ if "Parameters are those of `weighted_gcv`" in own else own
    return "shape" in parameters or ("options" in parameters and re.search(r"progress, shape\n|\n *shape : ", told))


@pytest.mark.parametrize("name", sorted(TAKERS))
def test_takes_the_shape_of_the_image(name):
    assert bool(_takes_shape(TAKERS[name])) != (name in WITHOUT), f"{name} is in the list and takes it, or neither"


def test_the_list_has_no_others():
    pytest.importorskip("torch", reason="torch is not installed")
    assert set(WITHOUT) <= set(TAKERS)
    assert len(TAKERS) > 50
