"""Weights of networks in safetensors files, with all that is needed to rebuild the network; never pickle."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from ipbox.checks import check_choice, check_flag, check_type, shown
from ipbox.keywords import answering
from ipbox.learned.priors.signature import unwrapped
from ipbox.learned.weights import tensor_files
from ipbox.learned.weights.domains import domain_of
from ipbox.operators import Operator, as_operator
from ipbox.problems.truths import datasets

__all__ = ["CLASSES", "SHIPPED", "load_weights", "pretrained", "save_weights"]

# class name -> module; only these classes are ever built from a file
CLASSES: dict[str, str] = {
    "DnCNN": "ipbox.learned.networks.denoisers",
    "DRUNet": "ipbox.learned.networks.denoisers",
    "NonExpansive": "ipbox.learned.networks.non_expansive",
    "GradientStep": "ipbox.learned.networks.gradient_step",
    "UNet": "ipbox.learned.networks.denoisers",
    "ScoreUNet": "ipbox.learned.networks.denoisers",
    "ConvexRidge": "ipbox.learned.networks.ridge",
    "WeaklyConvexRidge": "ipbox.learned.networks.ridge",
    "FieldsOfExperts": "ipbox.learned.networks.experts.fields",
    "InputConvex": "ipbox.learned.networks.convex",
    "LipschitzCritic": "ipbox.learned.networks.critic",
    "EquivariantDnCNN": "ipbox.learned.networks.equivariant.denoisers",
    "EquivariantUNet": "ipbox.learned.networks.equivariant.denoisers",
    "ConvBlock": "ipbox.learned.networks.layers",
    "LISTA": "ipbox.learned.maps.lista",
    "LearnedProximalGradient": "ipbox.learned.maps.unrolled",
    "LearnedPrimalDual": "ipbox.learned.maps.primal_dual",
    "VariationalNetwork": "ipbox.learned.maps.variational_network",
    "AUTOMAP": "ipbox.learned.maps.direct",
    "PostProcessing": "ipbox.learned.maps.direct",
    "DeepEquilibrium": "ipbox.learned.maps.equilibrium",
    "Autoencoder": "ipbox.learned.networks.generative.autoencoders",
    "VAE": "ipbox.learned.networks.generative.autoencoders",
    "CovarianceVAE": "ipbox.learned.networks.generative.covariance",
    "WGAN": "ipbox.learned.networks.generative.adversarial",
}

WIDER = {(torch.float16, torch.float32), (torch.float16, torch.float64), (torch.float32, torch.float64)}


@dataclass(frozen=True)
class Shipped:
    """A file of weights in ``data/``: its SHA-256, and the script that trained it."""

    file: str
    sha256: str
    script: str


_TRAINED = {  # script -> name -> SHA-256
    "train_plug_and_play.py": {"drunet_fine": "29b5a1f3113eb4a49292b3c023a003f8f052975487aff18e2e1b22541581ca0f"},
    "train_regularisers.py": {
        "adversarial": "552e27f92be20a2914e8715c73742a0f2821947eec64086f92450745f0ed299b",
        "convex_ridge": "4577af76e13d972bcef583bbe2e625d0a7ec3009ba646cdb84a432ec8adb2552",
        "input_convex": "96847eaaa52bd5ebe1d64d024a7535ec17c008f2d6968aed42c36c5242ea7af5",
        "weakly_convex_ridge_ct": "1970770b7bfff021ecaf675c9bc231dbb95c74853238d431aaaf41960207d3d2",
        "weakly_convex_ridge": "be4d2db82b4d627c1f42a4f3c98966e464105d613187536b5091dca1ea9431c3",
    },
    "train_denoisers.py": {
        "equivariant_dncnn": "cdbacd6043831865fdb411b94d3ad05ab2b8a2bf81bf2fdeb0f2f6554c3e9cd1",
        "dncnn": "7d271d08022c01ab39aa99850ad08b1da8e07dad6c539593fb55a3a5271b73da",
        "gradient_step": "3c994d6a096d333c303530eaf965daf38813555ce8dc434ee14b8863d179bcf1",
        "non_expansive": "e2eb16efe599b76da66fbd1da0f62dbe9dcc5e9ca3e93159b95f4216016fcf94",
        "drunet": "746c8beec6ac212aeb474ae256ce34d660e2861f21555724c41a0cf2a5a26b92",
    },
    "train_post_processing.py": {
        "post_processing_ct_noiseless": "e59e7cf5b55455fe48ca431f00bc9e851e2187a7739fab93ff60a2e795f70b22",
        "post_processing_ct": "bebcf85ca35c9a2333b9e89d8cf74007d8962d68901fc74b0288038ffa5ccbec",
    },
    "train_equilibrium.py": {
        "equilibrium_ct": "22036c1bd53a7927ec15cace2c2f614b0981b143a7d79d1b332ec136961d995b",
        "unrolled_shared_ct": "9b3959f930fd982afe21f4f6f1805048a395145d6bd5c837f8b216dd09fa1335",
    },
    "train_mri.py": {"unrolled_mri": "a56c2b8371ac6a2655f9089af6ed4621f77a4ea211b43f359c6c2cb5cd32cf22"},
    "train_generative.py": {
        "autoencoder": "7ac6d71e95402d869a34a78c2ff2b2bf1f8c3b65b97482aee398be0fa3ce3875",
        "vae": "e1fcf68f78c8b98861234a916b606259881dec8e73b979876250d2817693dd44",
        "wgan": "f65a38c819b0c2b1dab751d7a804e63c00ba68ae338eb290352c24c2506a0ddc",
        "covariance_identity": "9adf69673b9959c33281a088af783a124b2b0bc180c6dc4d164538b3add1b7d6",
        "covariance_diagonal": "1b9ee742a96674936c1bae356673f93ddca425c21600ad3ab042474b46571ded",
        "covariance_3x3": "5666963d7353a06dae589dfdf77c8a7350743b9b0c7010a3786479727780df09",
        "covariance_5x5": "a3b64b768194e43c06e3624c5eb83304870581cdfa8a98a422d9c12c85757cec",
    },
    "train_unrolled.py": {"unrolled_ct": "a36f48e1471db7896b6f4e7028e71f939b76365c6afb6a460e04358f616dce7e"},
}
SHIPPED: dict[str, Shipped] = {
    name: Shipped(f"{name}.safetensors", sha256, f"tests/bench/learned/{script}")
    for script, files in _TRAINED.items()
    for name, sha256 in files.items()
}
SHIPPED["score_ct"] = Shipped(
    "score_ct.safetensors",
    "37874686a1330132ebe967bef83c78c2b03e31f0b84a76b63ac76d8693312a1f",
    "tests/bench/diffusion/train_score.py",
)


@runtime_checkable
class Configured(Protocol):
    """A module that keeps its constructor's arguments, from which it can be built again."""

    config: dict[str, Any]


def config_of(module: torch.nn.Module) -> Any:
    """The constructor's arguments; None where the module does not keep them."""
    return module.config if isinstance(module, Configured) else None


@answering
def save_weights(path: str | Path, module: torch.nn.Module, about: dict[str, Any], half: bool = False) -> str:
    """Write the parameters and buffers of a module, its class name and its ``config``, atomically.

    Parameters
    ----------
    path : str or Path
        A file that ends in .safetensors, in a folder that exists.
    module : torch.nn.Module
        Also a compiled one.  `load_weights` can rebuild it where its class is in `CLASSES` and it
        has a dictionary ``config`` with the constructor's arguments; other modules can only be filled.
    about : dict
        Where the weights come from: the training script, data, settings; anything JSON can hold.
    half : bool
        Store float32 tensors as float16, in half the space; they lose 13 of 24 bits, once.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    TypeError
        where ``module`` is no module, or ``about`` or ``config`` is no dictionary that JSON can hold.
    ValueError
        where weights are not finite, or overflow in float16; where the path does not end in .safetensors.

    Examples
    --------
    >>> import tempfile, torch
    >>> from pathlib import Path
    >>> from ipbox.learned.weights.modules import load_weights, save_weights
    >>> net = torch.nn.Conv2d(1, 4, 3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sha256 = save_weights(Path(folder) / "conv.safetensors", net, {"script": "none, random"})
    ...     other = load_weights(Path(folder) / "conv.safetensors", torch.nn.Conv2d(1, 4, 3), sha256=sha256)
    >>> bool(torch.equal(net.weight, other.weight))
    True
    """
    check_type(module, "module", torch.nn.Module, "a torch.nn.Module"), check_flag(half, "half")
    module = unwrapped(module)
    tensors = dict(module.state_dict())
    _check_finite({k: t.half() if half and t.dtype == torch.float32 else t for k, t in tensors.items()}, "module")
    metadata = {
        "format": "ipbox weights 1",
        "class": type(module).__name__,
        "config": _json("config", {} if (config := config_of(module)) is None else config),
        "about": _json("about", about),
    }
    return tensor_files.write(path, tensors, metadata, half)


@answering
def load_weights(
    path: str | Path, module: torch.nn.Module | None = None, sha256: str | None = None, A: Any = None
) -> torch.nn.Module:
    """Rebuild the module that `save_weights` wrote, or fill a given one.

    Tensors stored as float16 become float32, exactly as they are stored: float16 saves space in the file, and nothing
    is computed in it; either becomes float64 in a map whose operator computes so.  Every other dtype must be that of
    the module.

    Parameters
    ----------
    path : str or Path
    module : torch.nn.Module, optional
        Filled in place, on its device; by default a new module of the class and ``config`` in the file, on the CPU, in
        evaluation mode.
    sha256 : str, optional
        What the file's SHA-256 must be.
    A : Operator, optional
        The first argument of classes that are made for an operator, such as `LearnedMap`; files do not hold it.

    Returns
    -------
    torch.nn.Module
        ``module``, or the new one.

    Raises
    ------
    FileNotFoundError
        where there is no file.
    ValueError
        where the SHA-256 is another; where the file is a pickle, or no safetensors file; where names, shapes or dtypes
        do not fit the module, or values are not finite; where its class is not in `CLASSES`, or does not take the
        stored arguments.
    TypeError
        where ``module`` is no module.

    Examples
    --------
    >>> import tempfile, torch
    >>> from pathlib import Path
    >>> from ipbox.learned import load_weights, save_weights
    >>> net = torch.nn.Conv2d(1, 4, 3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sha256 = save_weights(Path(folder) / "conv.safetensors", net, {"script": "none, random"})
    ...     other = load_weights(Path(folder) / "conv.safetensors", torch.nn.Conv2d(1, 4, 3), sha256=sha256)
    >>> torch.equal(net.weight, other.weight)
    True
    """
    check_type(module, "module", torch.nn.Module | None, "a torch.nn.Module or None")
    if sha256 is not None and not (isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256)):
        raise ValueError(f"sha256 is {shown(sha256)}; expected 64 hexadecimal digits")
    if A is not None:
        A = as_operator(A)
    tensors, metadata = tensor_files.read(path, sha256)
    built = _build(metadata, A, path) if module is None else unwrapped(module)
    wanted = built.state_dict()
    missing, unexpected = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    if missing or unexpected:
        raise ValueError(
            f"{path} does not fit {type(built).__name__}: {len(missing)} tensors are missing{_first(missing)}, "
            f"{len(unexpected)} unexpected{_first(unexpected)}"
        )
    for name, t in wanted.items():
        found = tensors[name]
        if found.shape != t.shape:
            raise ValueError(f"{path} has {name} of shape {tuple(found.shape)}; the module's is {tuple(t.shape)}")
        if found.dtype != t.dtype and (found.dtype, t.dtype) not in WIDER:
            raise ValueError(f"{path} has {name} of dtype {found.dtype}; the module's is {t.dtype}")
    _check_finite(tensors, str(path))
    built.load_state_dict(tensors)
    return built


@answering
def pretrained(name: str, A: Any = None) -> torch.nn.Module:
    """A network with the weights shipped under ``name``, after a check of the file's SHA-256.

    Parameters
    ----------
    name : str
        One of `SHIPPED`, which names the script that trained each.
    A : Operator, optional
        The operator, for reconstruction maps.

    Returns
    -------
    torch.nn.Module
        On the CPU, in evaluation mode.  Its attribute ``domain`` states where it is at home (see Notes).

    Notes
    -----
    Each is at home where it was trained.  The denoisers: images in [0, 1], σ up to 0.25, photographs and slices of CT
    and MRI.  The maps ``..._ct``: chests that fill the field as in ``ip.problem("ct", size=128, views=40)``, 1 % noise
    (none for ``_noiseless``), attenuation near 0.02/mm; ``unrolled_mri``: heads as in ``ip.problem("mri", coils=8)``,
    where it is faster than total variation and not as good.  On a zoomed field of view, on other anatomy, noise or
    units they may be worse than total variation, and paint texture that looks like tissue.  So ``domain`` has the
    statistics of samples that were held out from training (`ipbox.evaluate.Domain`), and `reconstruct` compares: the
    image's shape, its pixels' width and the views, or coils and acceleration; noise of a reading, scale, fill, edge and
    roughness of A†b, and how well the image fits the data.  What is off is warned of once
    (`ipbox.evaluate.OutsideDomain`), and every finding is in ``info.parameters["domain"]``.  `pnp` and `red` compare
    scale and noise level of denoisers.  ``net.domain = None`` leaves all unchecked.

    Raises
    ------
    ValueError
        for an unknown name, or a file whose SHA-256 is not the recorded one.
    FileNotFoundError
        where the file is missing.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.weights.modules import pretrained
    >>> net = pretrained("non_expansive")
    >>> with torch.no_grad():
    ...     net(torch.zeros(1, 1, 16, 16), 0.1).shape
    torch.Size([1, 1, 16, 16])
    >>> net.domain.words
    'images in [0, 1] with noise up to 0.25: photographs and slices of CT and MR'
    """
    check_choice(name, "name", SHIPPED)
    if name.endswith("_mri") and isinstance(A, Operator) and A.dtype_in.kind != "c":
        raise TypeError(f"A is {type(A).__name__}, of real images; {name} expects complex ones, as of ip.CartesianMRI")
    net = load_weights(datasets.find(SHIPPED[name].file), sha256=SHIPPED[name].sha256, A=A)
    net.domain = domain_of(name)
    return net


def _build(metadata: dict[str, str], A: Any, path: str | Path) -> torch.nn.Module:
    name = metadata.get("class")
    if name not in CLASSES:
        raise ValueError(f"{path} holds class {name!r}; expected one of {', '.join(CLASSES)}, or the argument module")
    cls = getattr(importlib.import_module(CLASSES[name]), name)
    config, is_map = tensor_files.json_of(metadata, "config", path), ".maps." in CLASSES[name]
    if is_map and A is None:
        raise ValueError(f"A is None, and {path} holds {name}, a reconstruction map; expected the operator of the data")
    if not is_map and A is not None:
        raise ValueError(f"A is {type(A).__name__}, and {path} holds {name}, which has no operator; expected None")
    with torch.random.fork_rng():  # initial weights that are overwritten should not move the caller's generator
        try:
            return cls(*([] if A is None else [A]), **config).eval()
        except (TypeError, ValueError, RuntimeError, OverflowError) as err:
            if A is not None and str(err).startswith("A "):
                raise
            raise ValueError(f"{path} holds arguments that make no {name}: {err}; expected those of its class") from err


def _check_finite(tensors: dict[str, torch.Tensor], where: str) -> None:
    for name, t in tensors.items():
        if not bool(torch.isfinite(t).all()):
            raise ValueError(f"{where} has values in {name} that are not finite (in {t.dtype}); expected finite ones")


def _json(name: str, value: Any) -> str:
    check_type(value, name, dict, "a dictionary that JSON can hold")
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as err:
        raise TypeError(f"{name} is not what JSON can hold: {err}") from err


def _first(names: list[str]) -> str:
    return f" ({names[0]}, ...)" if len(names) > 1 else f" ({names[0]})" if names else ""
