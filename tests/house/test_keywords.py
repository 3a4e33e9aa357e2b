"""Slips in the arguments of anything public are answered with the right keyword, or with where else there is one."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import ipbox as ip
from ipbox.keywords import answers

ROOMS = "bayes bilevel choose evaluate functionals groups learned operators reconstruct solvers"
ROOMS += (
    " learned.bridge learned.networks learned.priors learned.training learned.training.losses solvers.core.callbacks"
    " learned.networks.equivariant learned.networks.generative learned.training.generative"
)

# What users of other packages type, and the keywords of ours that it may stand for.
SLIPS = {
    "lambda_": ("lam", "damp"),
    "alpha": ("lam", "damp"),
    "reg": ("lam", "damp"),
    "maxiter": ("niter", "steps", "max_iterations", "iterations"),
    "max_iter": ("niter", "steps", "max_iterations", "iterations"),
    "n_iter": ("niter", "steps", "max_iterations", "iterations"),
    "num_iterations": ("niter", "steps", "max_iterations", "iterations"),
    "delta": ("noise_level",),
    "noiselevel": ("noise_level",),
    "noise_norm": ("noise_level",),
    "non_neg": ("nonneg",),
    "positivity": ("nonneg",),
    "callback": ("callbacks",),
    "verbose": ("progress",),
    "tolerance": ("tol", "accuracy"),
    "stopping_rule": ("stop",),
    "x_init": ("x0", "start", "theta0"),
    "ground_truth": ("x_true", "truths"),
    "sinogram": ("b", "data", "kspace"),
    "operator": ("A", "op"),
    "random_state": ("seed",),
    "pixelsize": ("pixel_size",),
}


def public() -> dict[str, Callable[..., Any]]:
    """Functions, and classes with an ``__init__`` of the package's, by the name that a user knows."""
    found = {f"ip.{name}": getattr(ip, name) for name in ip.__all__}
    for room in ROOMS.split():
        module = importlib.import_module(f"ipbox.{room}")
        names = getattr(module, "__all__", None) or [n for n, v in vars(module).items() if _is_own(v, module)]
        found |= {f"{room}.{name}": getattr(module, name) for name in names}
    found |= {f"ip.stop.{n}": v for n, v in vars(ip.stop).items() if inspect.isfunction(v) and n in ip.stop.__all__}
    known = {id(value): name for name, value in reversed(found.items())}  # the shortest way to each
    return {name: v for name, v in found.items() if known[id(v)] == name and callable(v) and _has_arguments(v)}


def _is_own(value: Any, module: Any) -> bool:
    return isinstance(value, type) and value.__module__ == module.__name__


def _has_arguments(value: Any) -> bool:
    """Not a protocol, an exception or an abstract base."""
    if not isinstance(value, type):
        return True
    owner = next(cls for cls in value.__mro__ if "__init__" in vars(cls))
    return (
        owner.__module__.startswith("ipbox")
        and not vars(value).get("_is_protocol")
        and inspect.isfunction(owner.__init__)
    )


PUBLIC = public()


def keywords(value: Callable[..., Any]) -> set[str]:
    """Those of a signature, and of the TypedDict of its options."""
    found = set()
    for name, p in inspect.signature(value).parameters.items():
        if p.kind is p.VAR_KEYWORD:
            function = inspect.unwrap(value.__init__ if isinstance(value, type) else value)
            if "Unpack[" in p.annotation:
                found |= set(function.__globals__[p.annotation[7:-1]].__annotations__)
        elif p.kind is not p.VAR_POSITIONAL:
            found.add(name)
    return found


@pytest.mark.parametrize("name", PUBLIC)
def test_slips_are_answered(name: str) -> None:
    value = PUBLIC[name]
    own = keywords(value)
    assert answers(value), f"{name} lacks @answering"
    for slip, rights in SLIPS.items():
        if slip in own or name == "ip.problem" or name.endswith(".State"):
            continue
        with pytest.raises(TypeError) as error:
            value(**{slip: 1})
        message = str(error.value)
        right = next((word for word in rights if word in own), None)
        assert message.startswith(f"{value.__name__}() has no keyword '{slip}'; expected "), message
        if right is not None:
            assert f"expected {right} (" in message, message
        assert all(word in message for word in own), message


def test_what_a_function_lacks_and_others_have() -> None:
    for call, slip, expected in [
        (ip.fbp, "lam", "lam of ip.tikhonov"),
        (ip.solve, "maxiter", "stop=ip.stop.niter(n) ("),
        (ip.solve, "tol", "stop=ip.stop.relative_change(tol)"),
        (ip.FISTA, "n_iter", "stop=ip.stop.niter(n) of ip.solve"),
        (ip.TV, "weight", "0.1|lam * ip.TV(dims)"),
        (ip.cgls, "positivity", "nonneg of ip.variational"),
        (ip.fbp, "verbose", "progress of an iterative method"),
        (ip.Problem, "lam", "f + lam * g"),
        (ip.bilevel.MAID, "maxiter", "iterations of the method's minimise"),
    ]:
        with pytest.raises(TypeError) as error:
            call(**{slip: 1})
        assert expected.split("|")[-1] in str(error.value)


def test_options_of_problems_and_of_bilevel_methods() -> None:
    with pytest.raises(TypeError, match=r"^problem 'ct' has no keyword 'n_angles'; expected views \(it takes "):
        ip.problem("ct", n_angles=60)
    with pytest.raises(TypeError, match=r"^problem\(\) is given no name; it takes name$"):
        ip.problem()


def test_options_are_those_of_what_they_are_handed_to() -> None:
    """No TypedDict names what is refused below, or forgets what is taken there."""
    from ipbox.bilevel.dfo.method import Given
    from ipbox.choose.dispatch import EVERY, OPTIONS, RuleOptions
    from ipbox.evaluate.stability import SearchOptions
    from ipbox.learned.priors.red import DenoiserOptions
    from ipbox.reconstruct.iterative.early_stopping import EarlyOptions, stopped_early
    from ipbox.reconstruct.variational.minimise import VariationalOptions
    from ipbox.solvers.core.solve import SolveOptions

    def names(value: Any) -> set[str]:
        return set(inspect.signature(value).parameters)

    solve = {"callbacks", "progress", "state"}
    assert set(SolveOptions.__annotations__) == solve == names(ip.solve) - {"problem", "solver", "x0", "stop"}
    early = names(stopped_early) - {"data", "solver", "noise_level", "niter", "R", "options"}
    assert set(EarlyOptions.__annotations__) == early | solve | {"x0"}
    assert set(RuleOptions.__annotations__) == set(EVERY).union(*OPTIONS.values())
    own = names(ip.variational) - {"A", "b", "R", "lam", "noise_level", "shape", "options"}
    assert set(VariationalOptions.__annotations__) == own | solve | set(RuleOptions.__annotations__)
    search = names(ip.evaluate.worst_perturbation) - {"phi", "b", "norm", "x_true"}
    assert set(SearchOptions.__annotations__) == search
    assert set(DenoiserOptions.__annotations__) == names(ip.Denoiser) - {"net", "sigma", "lam"}
    assert set(Given.__annotations__) == names(ip.bilevel.DFO)


def test_no_options_without_names() -> None:
    """Public ``**options`` say which, but for those of a problem, which depend on its name."""
    for name, value in PUBLIC.items():
        for p in inspect.signature(value).parameters.values():
            if p.kind is p.VAR_KEYWORD and not name.endswith(("problem", "State")):
                assert "Unpack[" in p.annotation, name
