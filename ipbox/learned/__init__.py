"""Learned priors and maps: torch networks inside classical solvers, and classical operators inside networks.

Names are loaded when they are first used.

>>> import ipbox as ip
>>> net = ip.learned.pretrained("drunet")           # the same as a network of your own
>>> A, b, x_true, info = ip.problem("blur", size=64, seed=0)
>>> x, run = ip.pnp(A, b, net, noise_level=info.noise_level)
"""

from typing import Any

import lazy_loader

try:
    import torch  # noqa: F401
except ImportError as err:
    raise ModuleNotFoundError("torch is not installed: pip install 'ipbox[learned]' brings it", name="torch") from err

_load, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["bridge", "maps", "methods", "networks", "priors", "training", "weights"],
    submod_attrs={
        "bridge": ["LinearMap", "TorchOperator", "from_torch", "to_torch"],
        "maps.base": ["LearnedMap"],
        "maps.direct": ["AUTOMAP", "PostProcessing"],
        "maps.equilibrium": ["DeepEquilibrium"],
        "maps.lista": ["LISTA"],
        "maps.primal_dual": ["LearnedPrimalDual"],
        "maps.unrolled": ["LearnedProximalGradient"],
        "maps.variational_network": ["VariationalNetwork"],
        "networks": ["ConvexRidge", "DRUNet", "DnCNN", "InputConvex", "LipschitzCritic", "UNet", "WeaklyConvexRidge"],
        "networks.equivariant": ["EquivariantBlock", "EquivariantDnCNN", "EquivariantUNet", "expanded"],
        "networks.generative": ["Autoencoder", "CovarianceVAE", "Generator", "VAE", "WGAN"],
        "priors.denoiser": ["Denoiser"],
        "priors.nett": ["NETT"],
        "priors.red": ["RED"],
        "priors.regulariser": ["LearnedRegulariser"],
        "priors.functional": ["TorchFunctional"],
        "priors.score": ["as_score"],
        "methods.slicewise": ["SlicewiseDenoiser"],
        "training": ["fit", "losses"],
        "weights": ["load_weights", "pretrained", "save_weights"],
    },
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        from ipbox.names import no_attribute

        raise no_attribute(__name__, name, __all__)
    return _load(name)
