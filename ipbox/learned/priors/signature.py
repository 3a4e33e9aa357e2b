"""How a denoiser takes its noise level, read from its signature; where that does not tell, the user is asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ipbox.checks import check_flag
from ipbox.learned.bridge.arrays import name_of

__all__ = ["NoiseArgument", "check_made", "noise_argument", "unwrapped"]

LEVELS = (  # how denoisers call their noise level; ths: of thresholding, in deepinv
    "sigma",
    "sigma_n",
    "sigma_noise",
    "sigma_psd",
    "noise",
    "noise_level",
    "noise_sigma",
    "noise_std",
    "std",
    "stddev",
    "ths",
)
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_EXPECTED = "expected takes_sigma=True or False"


@dataclass(frozen=True)
class NoiseArgument:
    """Where a denoiser takes its noise level.

    Attributes
    ----------
    keyword : str, optional
        The keyword it goes by; None: as the second argument.
    axes : int, optional
        It has to be a tensor of so many axes, as for traced modules; None: a number.
    """

    keyword: str | None = None
    axes: int | None = None


def unwrapped(net: Any) -> Any:
    """The module inside what `torch.compile` and `torch.nn.DataParallel` make of it; others as they are.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.priors.signature import unwrapped
    >>> unwrapped(torch.nn.DataParallel(torch.nn.ReLU()))
    ReLU()
    """
    while isinstance(net, torch.nn.Module):
        if isinstance(net, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            net = net.module
        elif "_orig_mod" in (parts := dict(net.named_children())):
            net = parts["_orig_mod"]
        else:
            break
    return net


def check_made(net: Any) -> Any:
    """Refuse a class in the place of a denoiser that was made of it."""
    if isinstance(net, type):
        raise TypeError(f"the denoiser is the class {net.__name__}; expected one that is made, as {net.__name__}(...)")
    return net


def noise_argument(net: Callable, takes_sigma: bool | None = None, given: bool = True) -> NoiseArgument | None:
    """How ``net`` takes a noise level; None where it takes none.

    Parameters
    ----------
    net : torch.nn.Module or callable
        Also compiled, traced, scripted or wrapped in `torch.nn.DataParallel`.
    takes_sigma : bool, optional
        Whether it does, where that is known.
    given : bool
        Whether there is a noise level to give: where there is none, none can be lost.

    Raises
    ------
    TypeError
        for a class, one without arguments, and ``takes_sigma=False`` where the second argument has no default; where
        the signature does not tell: the second argument is optional, with None or a number as its default, and
        none has the name of a noise level; or the arguments have no names.

    Examples
    --------
    >>> from ipbox.learned.priors.signature import noise_argument
    >>> noise_argument(lambda x, sigma: x), noise_argument(lambda x, *, ths=0.1: x), noise_argument(lambda x: x)
    (NoiseArgument(keyword=None, axes=None), NoiseArgument(keyword='ths', axes=None), None)
    """
    if takes_sigma is not None:
        check_flag(takes_sigma, "takes_sigma")
    net = unwrapped(check_made(net))
    parameters = _parameters(net)
    if parameters is None:
        if takes_sigma is None:
            raise TypeError(f"{name_of(net)} has a signature that is not known; {_EXPECTED}")
        return NoiseArgument() if takes_sigma else None
    if not parameters:
        raise TypeError(f"{name_of(net)} takes no argument; expected a function of an image")
    first = int(bool(parameters) and parameters[0].kind in POSITIONAL)
    rest = parameters[first:]
    second = rest[0] if first and rest and rest[0].kind in POSITIONAL else None
    named = next((p for p in rest if p.name.lower() in LEVELS), None)
    if takes_sigma is False:
        if second is not None and second.default is second.empty:
            raise TypeError(
                f"takes_sigma is False, and {name_of(net)} cannot be called without {second.name}; expected True"
            )
        return None
    if second is not None and (named is second or second.default is second.empty):
        return NoiseArgument(None, _axes(net, second))
    if named is not None:
        return NoiseArgument(named.name, _axes(net, named))
    if takes_sigma:
        return _told(net, second, rest)
    unclear = not first or any(p.kind in VARIABLE or _may_be_a_level(p) for p in rest)
    if given and unclear:
        names = ", ".join(map(_shown, parameters))
        raise TypeError(f"{name_of(net)}({names}) does not tell whether it takes a noise level; {_EXPECTED}")
    return None


def _told(net: Any, second: inspect.Parameter | None, rest: list[inspect.Parameter]) -> NoiseArgument:
    """Where the level goes that the user says is taken."""
    if second is not None:
        return NoiseArgument(None, _axes(net, second))
    for p in rest:
        if p.kind in VARIABLE:
            return NoiseArgument("sigma" if p.kind is p.VAR_KEYWORD else None)
    raise TypeError(f"takes_sigma is True, and {name_of(net)} has no second argument; expected a function of x, sigma")


def _may_be_a_level(p: inspect.Parameter) -> bool:
    """Whether a noise level could be meant: not by flags and strings."""
    return p.default is not p.empty and not isinstance(p.default, bool | str)


def _shown(p: inspect.Parameter) -> str:
    stars: dict[Any, str] = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}
    return stars.get(p.kind, "") + p.name


def _parameters(net: Any) -> list[inspect.Parameter] | None:
    """The parameters of a call, None where they are not known."""
    if isinstance(net, torch.jit.ScriptModule):
        return [
            inspect.Parameter(a.name, POSITIONAL[1], default=None if a.has_default_value() else inspect.Parameter.empty)
            for a in net.forward.schema.arguments[1:]  # after the module itself
        ]
    try:
        call = net.forward if isinstance(net, torch.nn.Module) else net
        return list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):
        return None


def _axes(net: Any, p: inspect.Parameter) -> int | None:
    """How many axes the level has, where a traced or scripted module takes nothing but a tensor for it."""
    if not isinstance(net, torch.jit.ScriptModule):
        return None
    names = [a.name for a in net.forward.schema.arguments]
    kind = list(net.graph.inputs())[names.index(p.name)].type()
    if isinstance(kind, torch.OptionalType):
        kind = kind.getElementType()
    return (kind.dim() or 0) if isinstance(kind, torch.TensorType) else None
