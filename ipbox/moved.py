"""Where modules were before they had rooms: import paths that users met go on working, with a `DeprecationWarning`.

Consulted by Python only for modules of ipbox that do not exist.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # the name that type checkers know; typing would double the time of `import ipbox`
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# below `ipbox`: old path -> new path
MOVED = {
    "bilevel.adjoint_equation": "bilevel.problem.adjoint",
    "bilevel.first_order": "bilevel.methods.first_order",
    "bilevel.foe": "bilevel.terms.experts",
    "bilevel.problem.cost": "bilevel.problem.result",
    "capabilities": "cli.capabilities",
    "functionals.deviance": "functionals.fidelities.deviance",
    "learned.fixed_point": "learned.methods.anderson",
    "learned.gradient_step": "learned.networks.gradient_step",
    "learned.layers": "learned.networks.layers",
    "learned.losses": "learned.training.losses",
    "learned.maps.blocks": "learned.networks.blocks",
    "learned.maps.ramp": "operators.tomography.ramp",
    "learned.methods.fixed_point": "learned.methods.anderson",
    "learned.non_expansive": "learned.networks.non_expansive",
    "learned.priors.torch_derivatives": "learned.priors.parametric",
    "learned.start": "learned.methods.start",
    "learned.torch_operator": "learned.bridge.torch_operator",
    "operators.astra": "operators.tomography.astra",
    "operators.daubechies": "operators.images.daubechies",
    "operators.density": "operators.mri.density",
    "operators.held": "operators.core.held",
    "operators.nonnegative_blur": "operators.tomography.nonnegative_blur",
    "operators.nonuniform": "operators.fourier.nonuniform",
    "operators.nonuniform_real": "operators.fourier.nonuniform_real",
    "operators.norms": "operators.core.norms",
    "operators.psf": "operators.images.psf",
    "operators.sensitivities": "operators.mri.coils",
    "operators.varying_blur": "operators.images.varying_blur",
    "problems.blur": "problems.simulated.blur",
    "problems.brains": "problems.truths.brains",
    "problems.coils": "problems.measuring.coils",
    "problems.crops": "problems.truths.crops",
    "problems.ct": "problems.simulated.ct",
    "problems.datasets": "problems.truths.datasets",
    "problems.fan": "problems.simulated.fan",
    "problems.files": "io",
    "problems.files.dicom": "io.formats.dicom",
    "problems.files.fastmri": "io.raw.fastmri",
    "problems.files.folders": "io.folders",
    "problems.files.image": "io.image",
    "problems.files.ismrmrd": "io.raw.ismrmrd",
    "problems.files.kspace": "io.raw.kspace",
    "problems.files.orientation": "io.formats.orientation",
    "problems.heads": "problems.truths.heads",
    "problems.images": "problems.simulated.restoration",
    "problems.kspace_masks": "problems.measuring.kspace_masks",
    "problems.masks": "problems.measuring.masks",
    "problems.mri": "problems.simulated.mri",
    "problems.mri_radial": "problems.simulated.mri_radial",
    "problems.noise": "problems.measuring.noise",
    "problems.pairs": "problems.simulated.pairs",
    "problems.pet": "problems.simulated.pet",
    "problems.phantoms": "problems.truths.phantoms",
    "problems.photographs": "problems.truths.photographs",
    "problems.readers": "io.arrays",
    "problems.scenes": "problems.truths.scenes",
    "problems.splits": "problems.truths.slices",
    "problems.trajectories": "problems.measuring.trajectories",
    "reconstruct.backprojection": "reconstruct.direct.back_projection",
    "reconstruct.edgetaper": "reconstruct.direct.deblurring",
    "reconstruct.direct.line_integrals": "reconstruct.direct.projections",
    "reconstruct.emission": "reconstruct.direct.projections",
    "reconstruct.minimise": "reconstruct.variational.minimise",
    "reconstruct.sensitivities": "reconstruct.direct.sensitivities",
    "solvers.callbacks": "solvers.core.callbacks",
    "solvers.noise_rules": "solvers.core.noise_rules",
}


class OldPaths:
    """A finder and loader that gives the module at its new path."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.removeprefix("ipbox.") not in MOVED:
            return None
        from importlib.util import spec_from_loader

        return spec_from_loader(name, self)

    def create_module(self, spec: Any) -> ModuleType:
        import warnings
        from importlib import import_module

        new = f"ipbox.{MOVED[spec.name.removeprefix('ipbox.')]}"
        warnings.warn(f"{spec.name} is now {new}", DeprecationWarning, stacklevel=2)
        module = import_module(new)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import has put the old one there


def attributes(package: str) -> Any:
    """The ``__getattr__`` of a package: modules that were in it, as attributes."""

    def old(name: str) -> Any:
        if f"{package}.{name}".removeprefix("ipbox.") not in MOVED:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module

        return import_module(f"{package}.{name}")

    return old


def install() -> None:
    """Let Python ask here, last."""
    if not any(isinstance(finder, OldPaths) for finder in sys.meta_path):
        sys.meta_path.append(OldPaths())
