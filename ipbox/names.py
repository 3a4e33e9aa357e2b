"""Public names that do not exist are answered with those that do."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ipbox.spelling import alike, close, plain

# What other packages and textbooks call it: what is typed here.
ALIASES = {
    "art": "ip.kaczmarz",
    "cav": "ip.cimmino or ip.sirt",
    "chambolle_pock": "ip.PDHG",
    "cone": "ip.ConeBeamTransform",
    "cone_vec": "ip.ConeVectorTransform",
    "ct": 'ip.problem("ct")',
    "deconvolution_wiener": "ip.wiener",
    "deconvwnr": "ip.wiener",
    "denoise_tv_chambolle": "ip.tv(None, b, lam)",
    "discrep": 'lam="discrepancy" of ip.tikhonov, or of ip.tv',
    "drop": "ip.cimmino or ip.sirt",
    "em": "ip.mlem",
    "fanbeam": "ip.FanBeamTransform",
    "fancurvedtomo": 'ip.FanBeamTransform(..., detector="curved")',
    "fanlineartomo": "ip.FanBeamTransform",
    "feldkamp": "ip.fdk",
    "gcv": 'lam="gcv" of ip.tikhonov, or of ip.tv',
    "ifanbeam": "ip.fbp",
    "imagesc": "ip.show",
    "imnoise": "noise= or photons= of ip.problem",
    "imread": "ip.read_image",
    "imshow": "ip.show",
    "iradon": "ip.fbp",
    "irconstr_ls": "ip.tikhonov, or ip.landweber with nonneg= or box=",
    "irell1": "ip.wavelet, or ip.L1 with ip.FISTA",
    "irhtv": "ip.tv",
    "irmrnsd": "ip.landweber with nonneg=True",
    "irnnfcgls": "ip.landweber with nonneg=True",
    "irset": "keywords of the function, such as ip.cgls(A, b, niter=50)",
    "ista": "ip.ForwardBackward",
    "load": "ip.read_image",
    "l_curve": 'lam="l_curve" of ip.tikhonov, or of ip.tv',
    "least_squares": "ip.L2",
    "matrix": "ip.as_operator",
    "non_negativity": "ip.NonNegative",
    "parallel3d": "ip.SliceStack",
    "parallel3d_vec": "ip.ParallelVectorTransform",
    "paralleltomo": "ip.RayTransform",
    "phantom": 'ip.problem("ct", image="shepp-logan")',
    "poisson": "ip.KL",
    "prblur": 'ip.problem("blur")',
    "prdeblur": 'ip.problem("blur")',
    "primal_dual": "ip.PDHG",
    "prnoise": "noise= of ip.problem",
    "proximal_gradient": "ip.ForwardBackward",
    "prshowb": "ip.show",
    "prtomo": 'ip.problem("ct")',
    "radon": "ip.RayTransform",
    "sart": "ip.sirt or ip.kaczmarz",
    "shepp_logan": 'ip.problem("ct", image="shepp-logan")',
    "total_variation": "ip.TV or ip.tv",
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
    same = alike(name, names) or alike(plain(name).removeprefix("ir"), names)  # IRcgls of IR Tools
    if not same and (alias := {plain(word): what for word, what in ALIASES.items()}.get(plain(name))):
        return alias
    same = same or close(name, names, CLOSE)
    return " or ".join(f"{prefix}.{found}" for found in same) + (use(same[0]) if len(same) == 1 else "")
