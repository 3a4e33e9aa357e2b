"""Public names that do not exist are answered with those that do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection

# What other packages and textbooks call it: what is typed here.
ALIASES = {
    "art": "ip.kaczmarz",
    "chambolle_pock": "ip.PDHG",
    "ct": 'ip.problem("ct")',
    "deconvwnr": "ip.wiener",
    "deconvolution_wiener": "ip.wiener",
    "denoise_tv_chambolle": "ip.tv(None, b, lam)",
    "em": "ip.mlem",
    "fanbeam": "ip.FanBeamTransform",
    "fdk": "ip.fbp",
    "ifanbeam": "ip.fbp",
    "imread": "ip.read_image",
    "imshow": "ip.show",
    "iradon": "ip.fbp",
    "ista": "ip.ForwardBackward",
    "least_squares": "ip.L2",
    "matrix": "ip.as_operator",
    "non_negativity": "ip.NonNegative",
    "phantom": 'ip.problem("ct", image="shepp-logan")',
    "poisson": "ip.KL",
    "prblur": 'ip.problem("blur")',
    "prdeblur": 'ip.problem("blur")',
    "primal_dual": "ip.PDHG",
    "proximal_gradient": "ip.ForwardBackward",
    "prtomo": 'ip.problem("ct")',
    "radon": "ip.RayTransform",
    "shepp_logan": 'ip.problem("ct", image="shepp-logan")',
    "sart": "ip.sirt or ip.kaczmarz",
    "total_variation": "ip.TV or ip.tv",
    "tsvd": "ip.truncated_inverse or ip.pseudo_inverse",
}
CLOSE = 0.7  # ratio of difflib from which two names may be one, mistyped


def no_attribute(
    module: str, name: str, names: Collection[str], use: Callable[[str], str] = lambda found: ""
) -> AttributeError:
    """The error for ``module.name``, of the ``names`` that there are; ``use`` tells how what was found is used.

    Examples
    --------
    >>> from ipbox.names import no_attribute
    >>> no_attribute("ipbox", "RayTransfrom", ["RayTransform", "TV"])
    AttributeError("module 'ipbox' has no attribute 'RayTransfrom'; expected ip.RayTransform")
    """
    message = f"module {module!r} has no attribute {name!r}"
    if not name.startswith("_") and (found := _nearest(module, name, names, use)):
        message += f"; expected {found}"
    return AttributeError(message, name=name)


def _nearest(module: str, name: str, names: Collection[str], use: Callable[[str], str]) -> str:
    """What ``name`` may have been meant to be, as it is typed; empty where nothing is like it."""
    prefix = module.replace("ipbox", "ip")
    plain = _plain(name)
    same = [f"{prefix}.{known}" for known in names if _plain(known) == plain]
    flat = plain.removeprefix("ir")  # IRcgls of IR Tools
    same = same or [f"{prefix}.{known}" for known in names if _plain(known) == flat]
    if not same and (alias := {_plain(word): what for word, what in ALIASES.items()}.get(plain)):
        return alias
    if not same:
        close = difflib.get_close_matches(plain, {_plain(known) for known in names}, 1, CLOSE)
        same = [f"{prefix}.{known}" for word in close for known in names if _plain(known) == word]
    return " or ".join(same) + (use(same[0].rpartition(".")[2]) if len(same) == 1 else "")


def _plain(word: str) -> str:
    return word.lower().replace("_", "")
