"""Slips in the arguments of public functions and classes are answered in one sentence that names the right keyword.

Only where Python itself would refuse a call, or where a function that hands options on is given one that nobody takes.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar, cast

from ipbox.spelling import alike, close, plain

F = TypeVar("F", bound=Callable[..., Any])

# The keywords of this package : what other packages and textbooks call the same thing.  A slip stands for the first
# keyword of its line that the function has; the keywords of a line stand for each other too.
SAME = (
    "lam damp lam0: lambda lambd lamb lambda1 lmbda lamda alpha mu reg reg_param reg_parameter regularization "
    "regularisation regularization_parameter regularisation_parameter regularizer_weight weight tv_weight penalty",
    "niter steps max_iterations iterations lower_iterations evaluations max_solves n points: maxiter max_iter n_iter "
    "maxit num_iter num_iterations n_iterations iters nit nits n_iters itermax iter_max iter epochs max_steps n_steps",
    "noise_level: delta noiselevel noise_norm noise_std noise eta sigma epsilon noise_sigma",
    "sigma: noise_std std",
    "noise: noise_level noise_std rel_noise relative_noise sigma",
    "nonneg: lbound non_neg positivity nonnegative non_negative nonnegativity non_negativity positive",
    "box: ubound bounds limits range constraint clip",
    "bounds: box limits",
    "callbacks callback: hooks call_back",
    "progress: verbose verbosity verb disp display show_progress progress_bar progressbar pbar quiet silent",
    "tol accuracy within: tolerance rtol atol ftol xtol gtol eps epsilon stop_tol threshold",
    "stop: stopping stop_rule stopping_rule stopping_criterion criterion stop_criterion stopcrit",
    "x0 start theta0 initial: init x_init initial_guess init_x u0 x_0 initialization initialisation warm_start guess",
    "x_true truths: truth ground_truth gt x_exact exact u_true reference x_ref xtrue x_gt target",
    "b data kspace: y sinogram measurements measurement rhs f observations",
    "A op: operator matrix K forward_op physics H projector",
    "x: image img u reconstruction recon",
    "dims shape modes size: shape_in image_shape img_shape in_shape image_size img_size im_size",
    "theta: angles angle thetas degrees",
    "angles: theta thetas theta_deg proj_angles projection_angles",
    "views: angles n_angles n_views num_angles num_views projections n_projections",
    "n_det: detectors n_detectors num_detectors det_count ndet bins n_bins",
    "det_spacing: det_width detector_spacing det_pixel_size det_size",
    "det_shift: centre center rotation_center centre_of_rotation center_of_rotation cor offset",
    "centre column: center cor rotation_center centre_of_rotation center_of_rotation rotation_axis",
    "flats flat: flat_fields whites white open_beam",
    "darks dark: dark_fields",
    "image_centre: image_center image_origin origin",
    "pixel_size spacing: voxel_size pixelsize pixel_spacing dx h",
    "source_distance: sod dso source_origin source_to_origin",
    "detector_distance: odd ddo origin_det origin_to_detector",
    "subsets blocks: n_subsets num_subsets n_blocks batches",
    "tau: step step_size stepsize lr learning_rate t",
    "lr: learning_rate step_size tau",
    "relaxation relax: omega relax_param relaxpar",
    "seed: random_state rng random_seed rand_state",
    "denoiser net module model: network prior",
    "photons: counts I0 dose n_photons num_photons incident_photons",
    "wavelet: wname wavelet_name basis",
    "levels: level n_levels scales depth",
    "boundary: mode bc padding boundary_condition pad_mode",
    "filter: filter_name filtername window",
    "kernel: psf",
    "sensitivities coils: smaps coil_maps maps csm sens coil_sensitivities",
    "mask: sampling sampling_mask pattern support",
    "trajectory: ktraj traj coords coord k_trajectory",
    "background: scatter randoms additive",
    "attenuation: mu_map mumap",
    "isotropic: iso",
    "path source: filename file file_name fname filepath save",
    "out: output outfile out_file output_file save",
    "quiet: verbose verbosity silent progress",
    "titles: title labels captions",
    "vmin lo: clim cmin low lower min lb minimum",
    "vmax hi: cmax high upper max ub maximum",
    "cmap: colormap colourmap color_map",
    "peak: data_range max_value drange",
    "radius: r eps epsilon",
    "method solver sampler: algorithm algo optimizer",
    "axes axis: dim",
    "n_jobs: workers threads n_workers num_workers",
    "objective: f functional",
    "weights: data_weights ray_weights view_weights row_weights",
)

# What a function is asked for that it lacks and others have: where it has the first keyword, or is in the room of that
# name (or always, for ""), the answer is what stands behind it.
ELSEWHERE: dict[str, tuple[tuple[str, str], ...]] = {
    "niter": (
        ("bilevel", "iterations of the method's minimise or of ip.bilevel.learn"),
        ("stop", "stop=ip.stop.niter(n)"),
        ("", "stop=ip.stop.niter(n) of ip.solve"),
    ),
    "tol": (
        ("bilevel", "tol or accuracy of the method, such as ip.bilevel.MAID(tol=...)"),
        ("stop", "stop=ip.stop.relative_change(tol), or another rule of ip.stop"),
        ("", "stop=ip.stop.relative_change(tol) of ip.solve"),
    ),
    "stop": (("", "stop= of ip.solve, with a rule of ip.stop"),),
    "noise_level": (
        ("stop", "stop=ip.stop.discrepancy(noise_level)"),
        ("", "noise_level of a method that is stopped or weighted by it, such as ip.cgls or ip.tv"),
    ),
    "lam": (
        ("objective", "the weight before its term: f + lam * g"),
        ("", "lam of ip.tikhonov, ip.tv, ip.variational ..., or a factor before a functional: lam * ip.TV(dims)"),
    ),
    "nonneg": (("", "nonneg of ip.variational, ip.tv or ip.sirt, or + ip.NonNegative() in the objective"),),
    "box": (("", "box of ip.variational or ip.tv, or + ip.Box(lo, hi) in the objective"),),
    "callbacks": (
        ("bilevel", "callback of the method's minimise or of ip.bilevel.learn"),
        ("", "callbacks of an iterative method or ip.solve"),
    ),
    "progress": (
        ("bilevel", "progress of the method's minimise or of ip.bilevel.learn"),
        ("callbacks", "callbacks=[ip.callbacks.Progress()]"),
        ("", "progress of an iterative method or ip.solve"),
    ),
    "x0": (("", "x0 of an iterative method or ip.solve"),),
    "x_true": (
        ("callbacks", "callbacks=[ip.callbacks.Metrics(x_true)]"),
        ("", "ip.psnr(x, x_true), or callbacks=[ip.callbacks.Metrics(x_true)] of an iterative method"),
    ),
    "weights": (
        ("fidelity", "fidelity=ip.WeightedL2(A, b, w)"),
        ("", "weights of ip.fbp, ip.cgls, ip.sirt ..., or ip.WeightedL2(A, b, w) in an objective"),
    ),
    "seed": (("", "seed of what draws random numbers, such as ip.problem"),),
}
CLOSE, CLOSER = 0.7, 0.85  # ratio of difflib from which a word that means nothing, and any, may be one mistyped


def answering(target: F) -> F:
    """Let a function, or a class by its ``__init__``, answer slips in its arguments.

    Signature and docstring stay, and a class stays the same object.  A function that hands ``**options`` on says which
    by ``**options: Unpack[Options]``, Options a `TypedDict`, and refuses others before it begins.

    Examples
    --------
    >>> from ipbox.keywords import answering
    >>> @answering
    ... def tikhonov(A, b, lam, niter=100):
    ...     pass
    >>> tikhonov(1, 2, reg=0.1)
    Traceback (most recent call last):
    ...
    TypeError: tikhonov() has no keyword 'reg'; expected lam (it takes A, b, lam, niter)
    """
    if isinstance(target, type):
        owner: Any = next(cls for cls in target.__mro__ if "__init__" in vars(cls))
        if inspect.isfunction(owner.__init__) and owner.__module__.startswith("ipbox") and not answers(target):
            owner.__init__ = answering(owner.__init__)
        return target
    options = inspect.getfullargspec(target).varkw
    open_ended = options is not None and "Unpack" in target.__annotations__.get(options, "")

    @functools.wraps(target)
    def answered(*args: Any, **kwargs: Any) -> Any:
        if open_ended and not kwargs.keys() <= _known(target).keys():
            raise TypeError(_sentence(target, args, kwargs))
        third = args[2 + (target.__name__ == "__init__") :]  # that of a class stands behind its instance
        if third and isinstance(third[0], Integral):
            _refuse_iterations(target, third[0])
        try:
            return target(*args, **kwargs)
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            trace = error.__traceback__
            if trace is not None and trace.tb_next is not None:  # it was called, and the error is of its body
                kind = wrong_kind(target, args, kwargs, str(error))
                if kind is None:
                    raise
                raise TypeError(kind) from error
            message = _sentence(target, args, kwargs) or str(error)
        raise TypeError(message)

    vars(answered)["__answers_slips__"] = True
    return cast(F, answered)


def answers(target: Callable[..., Any]) -> bool:
    """Whether a function, or a class by its ``__init__``, answers slips in its arguments."""
    made: Any = target
    function = made.__init__ if isinstance(target, type) else target
    while inspect.isfunction(function):
        if "__answers_slips__" in vars(function):
            return True
        function = vars(function).get("__wrapped__")
    return False


def answering_classes(namespace: Mapping[str, Any]) -> None:
    """Let the public classes of a package answer slips; its ``globals()``, with ``__all__``, are the ``namespace``."""
    for name in namespace["__all__"]:
        if isinstance(namespace[name], type):
            answering(namespace[name])


# ---------------------------------------------------------------- the sentence


def slip(who: str, unknown: Iterable[str], known: Collection[str], room: str = "") -> str:
    """``who``, of a ``room`` of the package, has no such keywords; it has the ``known`` ones.

    Examples
    --------
    >>> from ipbox.keywords import slip
    >>> slip("problem 'ct'", ["n_angles"], ["size", "views"])
    "problem 'ct' has no keyword 'n_angles'; expected views (it takes size, views)"
    """
    unknown = list(unknown)
    found = [right_word(word, known, room) for word in unknown]
    expected = ", ".join(dict.fromkeys(word for word in found if word))
    what = f"keyword{'s' * (len(unknown) > 1)} {', '.join(map(repr, unknown))}"
    takes = ", ".join(known)
    if not expected:
        return f"{who} has no {what}; expected {f'one of {takes}' if takes else 'no arguments'}"
    return f"{who} has no {what}; expected {expected} ({f'it takes {takes}' if takes else 'it takes no arguments'})"


def right_word(word: str, known: Collection[str], room: str = "") -> str | None:
    """Of the ``known`` keywords the one that ``word`` stands for; else where else it is to be found, or None.

    Examples
    --------
    >>> from ipbox.keywords import right_word
    >>> right_word("max_iter", ["A", "b", "niter"]), right_word("filtre", ["A", "b", "filter"])
    ('niter', 'filter')
    """
    if same := alike(word, known):
        return same[-1]
    table = _table()
    meanings = table.get(plain(word), [])
    meant = [name for ours in meanings for name in ours if name in known]
    if meant:
        return meant[0]
    if nearest := close(word, known, CLOSER if meanings else CLOSE):
        return nearest[-1]
    concept = next((ours[0] for ours in meanings if ours[0] in ELSEWHERE), None)
    if concept is not None:
        return next(where for needs, where in ELSEWHERE[concept] if not needs or needs == room or needs in known)
    mistyped = [] if meanings else close(word, table, CLOSER)
    return right_word(mistyped[0], known, room) if mistyped else None


# ---------------------------------------------------------------- what an argument is

_ARRAYS = ("numpy", "cupy")  # the packages whose objects may be arrays
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "Array": (
        lambda v: any(of.__module__.partition(".")[0] in _ARRAYS for of in type(v).__mro__),
        "a NumPy or CuPy array",
    ),
    "int": (lambda v: isinstance(v, Integral) and not isinstance(v, bool), "an integer"),
    "float": (lambda v: isinstance(v, Real) and not isinstance(v, bool), "a number"),
    "bool": (lambda v: type(v).__name__ in ("bool", "bool_"), "True or False"),
    "str": (lambda v: isinstance(v, str), "text"),
    "Path": (lambda v: isinstance(v, os.PathLike), "a path"),
    "Sequence": (lambda v: isinstance(v, Sequence) and not isinstance(v, str) or _KINDS["Array"][0](v), "a sequence"),
    "Iterable": (lambda v: isinstance(v, Iterable), "a sequence"),
    "Mapping": (lambda v: isinstance(v, Mapping), "a dictionary"),
    "Callable": (callable, "a function"),
    "None": (lambda v: v is None, "None"),
}
_KINDS |= {"os.PathLike": _KINDS["Path"], "dict": _KINDS["Mapping"]}
_KINDS |= dict.fromkeys(("list", "tuple"), _KINDS["Sequence"])
_OURS = re.compile(r"\w+( names| of \S+)? (is|are|has|have|gives|reach) .*expected", re.S)  # it names an argument


def wrong_kind(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: str) -> str | None:
    """After an ``error`` that names no argument, the first that is not of the kind of its annotation; None if all are.

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.psnr([1.0], [1.0])
    Traceback (most recent call last):
    ...
    TypeError: x is list; expected a NumPy or CuPy array
    """
    parameters = inspect.signature(function).parameters
    words = re.sub(r"'[^']*'", "", error)  # a list that has no attribute 'shape' is no word on the argument shape
    if _OURS.match(error) or any(re.search(rf"\b{name}\b", words) for name in parameters):
        return None
    for name, value in inspect.signature(function).bind(*args, **kwargs).arguments.items():
        if parameters[name].kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            continue
        kinds = _kinds(function, name)
        if kinds and not any(fits(value) for fits, _ in kinds):
            from ipbox.checks import held_array

            expected = dict.fromkeys(word for _, word in kinds)
            hint = held_array(value, name) if _KINDS["Array"] in kinds else ""
            return f"{name} is {type(value).__name__}; expected {' or '.join(expected)}{hint}"
    return None


@functools.cache
def _kinds(function: Callable[..., Any], name: str) -> list[tuple[Callable[[Any], bool], str]]:
    """Those of an argument's annotation; none where one of them is not known here."""
    annotation, depth, parts = inspect.signature(function).parameters[name].annotation, 0, [""]
    for letter in annotation if isinstance(annotation, str) else "":
        depth += (letter in "[(") - (letter in "])")
        if letter == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    kinds = [_kind(part.partition("[")[0].strip(), function) for part in parts]
    return [kind for kind in kinds if kind] if all(kinds) else []


def _kind(name: str, function: Callable[..., Any]) -> tuple[Callable[[Any], bool], str] | None:
    """What a name in an annotation of ``function`` stands for: one of `_KINDS`, or a class of this package."""
    found = function.__globals__.get(name)
    if name in _KINDS or not isinstance(found, type) or vars(found).get("_is_protocol"):
        return _KINDS.get(name)
    ours = found.__module__.partition(".")[0] == "ipbox"
    return (lambda v: isinstance(v, found), f"{'an' if name[0] in 'AEIOU' else 'a'} {name} of ipbox") if ours else None


@functools.cache
def _table() -> dict[str, list[list[str]]]:
    """From every word to the keywords that it may stand for, a list for each line of `SAME` that has it."""
    table: dict[str, list[list[str]]] = {}
    for line in SAME:
        ours, theirs = line.split(":")
        for word in dict.fromkeys(map(plain, f"{ours} {theirs}".split())):
            table.setdefault(word, []).append(ours.split())
    return table


@functools.cache
def _known(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keywords of a function, its options included, by name."""
    known: dict[str, inspect.Parameter] = {}
    for name, p in inspect.signature(function).parameters.items():
        if p.kind is p.VAR_KEYWORD and "Unpack" in p.annotation:
            options = function.__globals__[p.annotation.removeprefix("Unpack[").removesuffix("]")]
            known |= {k: p.replace(name=k, kind=p.KEYWORD_ONLY, default=None) for k in options.__annotations__}
        elif p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and name != "self":
            known[name] = p
    return known


def _refuse_iterations(function: Callable[..., Any], third: Any) -> None:
    """A whole number behind A and b is MATLAB's number of iterations: f(A, b, 10) does not mean a noise level of 10."""
    known = _known(function)
    name = [*known, "", "", ""][2]
    if name in ("noise_level", "lam") and known[name].default is not inspect.Parameter.empty and "niter" in known:
        asked = f"expected niter={third}, or {name}={third} by its name"
        raise TypeError(f"{function.__name__}() is given {third} in third place, which is {name}; {asked}")


def _sentence(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """What is wrong with the arguments; None where it is something that Python says as well."""
    known = _known(function)
    is_init = function.__name__ == "__init__"
    who = f"{type(args[0]).__name__ if is_init else function.__name__}()"
    if unknown := [word for word in kwargs if word not in known]:
        return slip(who, unknown, known, function.__module__.split(".")[1])
    given = len(args) - is_init
    in_order = [k for k, p in known.items() if p.kind is not p.KEYWORD_ONLY]
    missing = [k for k, p in known.items() if p.default is p.empty and k not in kwargs and k not in in_order[:given]]
    if given > len(in_order):
        rest = [k for k in known if k not in in_order]
        by_name = f", and by keyword {', '.join(rest)}" if rest else ""
        return f"{who} is given {given} arguments in order; expected at most {len(in_order)}: {', '.join(in_order)}" + (
            by_name
        )
    return f"{who} is given no {' and no '.join(missing)}; it takes {', '.join(known)}" if missing else None
