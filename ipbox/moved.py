"""Where modules were before they had rooms: import paths that users met go on working, with a `DeprecationWarning`.

Consulted by Python only for modules of ipbox that do not exist.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the name that type checkers know; typing would double the time of `import ipbox`
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# old room -> new room of files that keep their names
_ROOMS = {
    ("learned", "learned"): {"networks": "gradient_step layers non_expansive"},
    ("learned.networks", "learned.networks"): {"experts": "filter_bank splines"},
    ("operators", "operators"): {
        "core": "held norms",
        "fourier": "nonuniform nonuniform_real",
        "images": "daubechies psf varying_blur",
        "tomography": "astra nonnegative_blur",
    },
    ("problems", "problems"): {
        "measuring": "coils kspace_masks masks noise trajectories",
        "simulated": "blur ct fan mri mri_radial pairs pet",
        "truths": "brains crops datasets heads phantoms photographs scenes",
    },
    ("problems.files", "io"): {"formats": "dicom orientation", "raw": "fastmri ismrmrd kspace"},
    ("solvers", "solvers"): {"core": "callbacks noise_rules"},
}
# below `ipbox`: old path -> new path
MOVED = {
    f"{old}.{name}": f"{new}.{room}.{name}"
    for (old, new), rooms in _ROOMS.items()
    for room, names in rooms.items()
    for name in names.split()
} | {
    "problems.files.folders": "io.folders",
    "problems.files.image": "io.image",
    "bilevel.adjoint_equation": "bilevel.problem.adjoint",
    "bilevel.first_order": "bilevel.methods.first_order",
    "bilevel.foe": "bilevel.terms.experts",
    "bilevel.problem.cost": "bilevel.problem.result",
    "capabilities": "cli.capabilities",
    "evaluate.domain": "reconstruct.domain",
    "functionals.deviance": "functionals.fidelities.deviance",
    "learned.fixed_point": "learned.methods.anderson",
    "learned.losses": "learned.training.losses",
    "learned.maps.blocks": "learned.networks.blocks",
    "learned.maps.ramp": "operators.tomography.ramp",
    "learned.methods.fixed_point": "learned.methods.anderson",
    "learned.priors.torch_derivatives": "learned.priors.parametric",
    "learned.start": "learned.methods.start",
    "learned.torch_operator": "learned.bridge.torch_operator",
    "operators.density": "operators.mri.density",
    "operators.sensitivities": "operators.mri.coils",
    "problems.files": "io",
    "problems.images": "problems.simulated.restoration",
    "problems.readers": "io.arrays",
    "problems.splits": "problems.truths.slices",
    "reconstruct.backprojection": "reconstruct.direct.back_projection",
    "reconstruct.direct.line_integrals": "reconstruct.direct.projections",
    "reconstruct.edgetaper": "reconstruct.direct.deblurring",
    "reconstruct.emission": "reconstruct.direct.projections",
    "reconstruct.minimise": "reconstruct.variational.minimise",
    "reconstruct.sensitivities": "reconstruct.direct.sensitivities",
}


class OldPaths:
    """A finder and loader that gives the module at its new path."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.removeprefix("ipbox.") not in MOVED:
            return None
        from importlib.util import spec_from_loader

        return spec_from_loader(name, self)  # type: ignore[arg-type]  # all that a loader needs

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
            import sys

            from ipbox.names import no_attribute

            raise no_attribute(package, name, sys.modules[package].__all__)
        from importlib import import_module

        return import_module(f"{package}.{name}")

    return old
