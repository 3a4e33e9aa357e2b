"""The API by field terms: a page for each room, its sections those of the room, of all that is public."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import Any

import ipbox

# room of the package : title of its page, and what it is in a sentence
ROOMS = {
    "operators": ("Operators", "Linear operators A between arrays, with an exact adjoint and a known norm."),
    "functionals": ("Functionals", "Data fidelities D(Au, b), regularisers R(u) and constraints."),
    "solvers": ("Solvers", "min_u f_1(u) + ... + f_n(u): problems, methods, stop rules, callbacks."),
    "reconstruct": ("Reconstruction", "Reconstruction maps Φ: b ↦ u as functions."),
    "choose": ("Choice of λ", "Weights by a rule, noise levels, parameters fitted on training images."),
    "problems": ("Problems", "A, b, x and what is known about them, of real images and measurements."),
    "io": ("Files", "Files in, arrays out, and the other way round."),
    "measured": ("Measured scans", "From the counts of a scan to line integrals."),
    "learned": ("Learned methods", "R, prox and Φ from networks, and their training."),
    "bilevel": ("Bilevel learning", "Parameters θ of û(θ), learned with proved accuracy of every lower-level solve."),
    "bayes": ("Sampling", "Samples of exp(-F), posteriors that are known, diffusion by a learned score."),
    "evaluate": ("Evaluation", "How stable, how equivariant, how sure a reconstruction map is."),
    "groups": ("Groups", "Groups that act on images, and averages over them."),
    "distributed": ("Several ranks", "The ranks of MPI share samples."),
    "tools": ("Pictures, figures of merit, arrays", "What everything else uses."),
}
# rooms whose __all__ is public, as a user reaches them
PUBLIC = """operators functionals solvers callbacks stop reconstruct choose problems measured learned learned.networks
learned.networks.equivariant learned.networks.generative learned.maps learned.priors learned.priors.generative
learned.training learned.training.losses learned.training.generative bilevel bayes bayes.diffusion evaluate groups
distributed metrics backend shares""".split()
# folder or file of a room : title of the section, where it is not its name; they come in this order
SECTIONS = {
    "core": "The base, and the algebra",
    "tomography": "Tomography",
    "mri": "Magnetic resonance",
    "fourier": "Fourier transforms",
    "images": "Images and derivatives",
    "fidelities": "Data fidelities",
    "regularisers": "Regularisers",
    "total_variation": "Total variation",
    "sets": "Constraints",
    "gradient": "Gradient methods",
    "krylov": "Krylov methods",
    "proximal": "Proximal methods",
    "primal_dual": "Primal-dual methods",
    "splitting": "Splitting",
    "subsets": "Row-action, EM and stochastic methods",
    "direct": "Analytical",
    "iterative": "Iterative",
    "variational": "Variational",
    "stopping": "Stop rules: `ip.stop`",
    "callbacks": "Callbacks: `ip.callbacks`",
    "bridge": "Between arrays and torch",
    "networks": "Networks",
    "maps": "Reconstruction maps",
    "methods": "Methods",
    "priors": "Priors",
    "training": "Training",
    "weights": "Weights",
    "problem": "The problem, and its gradient",
    "terms": "Terms with parameters",
    "dfo": "Derivative-free",
    "nonsmooth": "Non-smooth lower levels",
    "stochastic": "Minibatches",
    "diffusion": "Diffusion",
    "known": "Posteriors that are known",
    "formats": "Images and volumes",
    "raw": "Measurements",
    "scans": "Scans",
    "metrics": "Figures of merit",
    "plot": "Pictures",
    "comparison": "Comparisons",
    "comparisons": "Comparisons on many problems",
    "backend": "Arrays: NumPy and CuPy",
    "shares": "Arrays that ranks share",
}


@dataclass(frozen=True)
class Name:
    """Something public: how a user writes it, and where it is documented."""

    path: str  # ipbox.TV
    value: Any
    room: str
    section: str

    @property
    def short(self) -> str:
        return self.path.replace("ipbox.", "ip.", 1)


def public() -> list[Name]:
    """All that is public, once, by the shortest path that leads to it; not modules."""
    paths = {f"ipbox.{name}": getattr(ipbox, name) for name in ipbox.__all__}
    for room in PUBLIC:
        module = getattr(ipbox, room) if room in ("callbacks", "stop") else importlib.import_module(f"ipbox.{room}")
        names = getattr(module, "__all__", None) or [n for n, v in vars(module).items() if _is_own(n, v, module)]
        paths |= {f"ipbox.{room}.{name}": getattr(module, name) for name in names}
    found: dict[int, Name] = {}
    for path, value in paths.items():
        if callable(value) and not inspect.ismodule(value) and id(value) not in found:
            found[id(value)] = Name(path, value, *_place(value))
    return sorted(found.values(), key=lambda name: name.path.rpartition(".")[2].lower())


def _is_own(name: str, value: Any, module: Any) -> bool:
    return not name.startswith("_") and callable(value) and getattr(value, "__module__", None) == module.__name__


def _place(value: Any) -> tuple[str, str]:
    """Room and section of the file that defines it."""
    parts = inspect.unwrap(value).__module__.split(".")[1:]
    if parts[0] not in ROOMS:
        return "tools", parts[0]
    if len(parts) == 1:
        return parts[0], "core"
    where = parts[1:] if len(parts) > 2 or parts[1] in SECTIONS else ["core"]
    if parts[-1] in ("stopping", "callbacks", "noise_rules"):
        where = ["callbacks" if parts[-1] == "callbacks" else "stopping"]
    return parts[0], where[0]


def pages() -> dict[str, str]:
    """File name without suffix, and text, of each page."""
    names = public()
    rooms = {room: [name for name in names if name.room == room] for room in ROOMS}
    texts = {room: _page(room, found) for room, found in rooms.items() if found}
    return {"index": _index(list(texts))} | texts


def _index(rooms: list[str]) -> str:
    rows = [f"- :doc:`{ROOMS[room][0]} <{room}>`: {_escaped(ROOMS[room][1])}" for room in rooms]
    return "\n".join(
        [
            *_title("API by field terms", "="),
            "Every name is ``ip.<name>`` after ``import ipbox as ip``, unless a room is named.",
            "",
            ".. raw:: html",
            "   :file: floor-plan.svg",
            "",
            *rows,
            "",
            ".. toctree::",
            "   :hidden:",
            "",
            *(f"   {room}" for room in rooms),
            "",
        ]
    )


def _page(room: str, names: list[Name]) -> str:
    title, sentence = ROOMS[room]
    lines = [*_title(title, "="), _escaped(sentence), "", ".. currentmodule:: ipbox", ""]
    known = list(SECTIONS)
    sections = sorted({name.section for name in names}, key=lambda s: (known.index(s) if s in known else len(known), s))
    for section in sections:
        members = [name for name in names if name.section == section]
        if len(sections) > 1:
            lines += _title(SECTIONS.get(section, section.replace("_", " ").capitalize()).replace("`", "``"), "-")
        lines += [".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   {name.path.removeprefix('ipbox.')}" for name in members] + [""]
        for name in members:
            kind = "class" if inspect.isclass(name.value) else "function"
            lines += [f".. auto{kind}:: {name.path}", *(["   :members:"] if kind == "class" else []), ""]
    return "\n".join(lines)


def _title(text: str, line: str) -> list[str]:
    return [text, line * (len(text) + 2), ""]


def _escaped(text: str) -> str:
    return text.replace("|", r"\|").replace("*", r"\*").replace("_", r"\_")
