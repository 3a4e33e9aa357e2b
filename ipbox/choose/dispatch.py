"""``lam="discrepancy"`` and the like in a reconstruct function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict, Unpack

import numpy as np

from ipbox.backend import Array
from ipbox.checks import check_flag, check_noise_level, check_not_negative, check_positive, check_type, nearest
from ipbox.choose.corner import l_curve
from ipbox.choose.discrepancy import discrepancy
from ipbox.choose.influence import gcv, sure, weighted_gcv
from ipbox.choose.path import Map
from ipbox.choose.stability import balancing, quasi_optimality
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import Fidelity
from ipbox.keywords import answering
from ipbox.operators.core.adapters import operator_or_none
from ipbox.solvers import Solution

RULES: dict[str, Callable[..., Any]] = {
    "balancing": balancing,
    "discrepancy": discrepancy,
    "gcv": gcv,
    "l_curve": l_curve,
    "quasi_optimality": quasi_optimality,
    "sure": sure,
    "weighted_gcv": weighted_gcv,
}
INNER_TOL = 1e-3
EVERY = ("inner_tol", "lam0", "x_true")
TRACE = ("lams", "dof", "probes", "excess", "seed")
OPTIONS: dict[str, tuple[str, ...]] = {  # what each rule takes beside them
    "balancing": ("lams", "gamma"),
    "discrepancy": ("within", "max_solves", "safety"),
    "gcv": ("max_dof", *TRACE),
    "l_curve": ("lams", "corner"),
    "quasi_optimality": ("lams",),
    "sure": TRACE,
    "weighted_gcv": ("omega", "max_dof", *TRACE),
}


class RuleOptions(TypedDict, total=False):
    """What a reconstruction function hands on to the rule for λ: everything in `EVERY` and `OPTIONS`."""

    inner_tol: float | None
    lam0: float
    x_true: Array | None
    lams: np.ndarray | None
    gamma: float
    within: float
    max_solves: int
    safety: float
    corner: str
    omega: float
    max_dof: float | None
    dof: Callable[[float], float] | None
    probes: int | None
    excess: Any
    seed: int


@answering
def resolve(
    lam: Any,
    reconstruct: Map,
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    R: Callable[[Array], float] | None = None,
    seminorm: Callable[[Array], float] | None = None,
    D: Any = None,
    guess: Callable[[], float] | None = None,
    linear: bool = False,
    trace: Callable[[], dict[str, Any]] | None = None,
    tol: float | None = None,
    progress: bool = False,
    **options: Unpack[RuleOptions],
) -> tuple[Array, Any]:
    """Solve for a number λ, or for the λ of the rule of that name.

    Parameters
    ----------
    lam : float or str
        λ, or a key of `RULES`.
    reconstruct : callable
        λ -> (x, info), with the parameters ``start`` or ``x0``, ``b`` and ``tol`` as far as it can.
    A, b, noise_level
        Operator (None: the identity), data, expected norm of the noise.
    R, seminorm : callable, optional
        Value of the regulariser, and what the L-curve takes for it (‖Lu‖ for ½‖Lu‖²).
    D : Fidelity, optional
        Another data fidelity than ½‖Au - b‖².
    guess : callable, optional
        () -> where the search for λ starts; asked only where there is a search.
    linear : bool
        Whether the image is linear in the data.
    trace : callable, optional
        () -> what is known of the degrees of freedom (``dof``, ``excess``), for the rules that need them.
    tol : float, optional
        Accuracy of the last solve; inner ones begin with `INNER_TOL`.
    progress : bool
        A bar over the solves.
    **options
        Of the rule, in `OPTIONS`; with a number for λ there are none.

    Returns
    -------
    x : array
    info
        ``info.extra["choice"]`` is the `Choice` where λ was chosen.

    Raises
    ------
    ValueError
        for a λ that is neither a positive number nor a rule; whatever the rule raises.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.choose import resolve
    >>> b = np.ones(4)
    >>> x, info = resolve(0.5, lambda lam: (b / (1 + lam), None), None, b)
    >>> x.round(2)
    array([0.67, 0.67, 0.67, 0.67])
    """
    check_type(reconstruct, "reconstruct", Callable, "a function λ -> (x, info)")
    operator_or_none(A), check_data(b)
    for name, function in (("R", R), ("seminorm", seminorm), ("guess", guess), ("trace", trace)):
        check_type(function, name, Callable | None, "a function")
    check_type(D, "D", Fidelity | None, "a data fidelity such as ip.KL(A, b)")
    check_flag(linear, "linear"), check_flag(progress, "progress")
    if tol is not None:
        check_positive(tol, "tol")
    if noise_level is not None:
        check_noise_level(noise_level)
    if not isinstance(lam, str) or lam not in RULES:
        lam = check_lam(lam)
        if options:
            raise TypeError(f"{next(iter(options))} is given and lam is {lam:g}; expected it with a rule for lam only")
        x, info = reconstruct(lam)
        _note(info, lam=lam)
        return x, info
    for name in options:
        if name not in EVERY + OPTIONS[lam]:
            takes = ", ".join(sorted(EVERY + OPTIONS[lam]))
            raise TypeError(f"{name} is given and lam is {lam!r}; expected options of this rule: {takes}")
    if noise_level is not None:
        check_not_negative(noise_level, "noise_level", "a positive number")  # rules may only start from it
    given: dict[str, Any] = dict(D=D, tol=tol, progress=progress)
    if tol is not None:
        given["inner_tol"] = tol if linear else max(tol, INNER_TOL)
    if guess is not None and "lam0" not in options:
        given["lam0"] = guess()
    if lam != "l_curve":
        given["noise_level"] = noise_level
    if lam in ("gcv", "weighted_gcv", "sure"):
        given |= dict(linear=linear, **({} if trace is None else trace()))
    if lam in ("l_curve", "balancing"):
        given["R"] = seminorm if lam == "l_curve" and seminorm is not None else R
    given |= options
    choice = RULES[lam](reconstruct, A, b, **given)
    _note(choice.info, lam=choice.lam, choice=choice)
    return choice.x, choice.info


def _note(info: Any, **what: Any) -> None:
    if isinstance(info, Solution):
        info.extra.update(what)


@answering
def check_lam(lam: Any) -> float:
    """The regularisation weight as a positive float.

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.choose.check_lam(1)
    1.0
    """
    rule = nearest(lam, tuple(RULES))
    meant = "" if rule is None else f"; did you mean {rule!r}?"
    return check_positive(lam, "lam", f"a positive number, or a rule: {', '.join(map(repr, RULES))}{meant}")
