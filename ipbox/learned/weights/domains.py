"""Where the shipped networks are at home: statistics of what they were trained on, read from ``data/domains.json``."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ipbox.problems.truths import datasets
from ipbox.reconstruct.domain import Domain, DomainStatistics, ImageDomain

__all__ = ["FILE", "domain_of"]

FILE, SHA256 = "domains.json", "77b3825679574be4acb6fc97c2df494bc10ea6eb7aa7a56dfaad23b0de2439a4"


def domain_of(name: str) -> Domain | ImageDomain | None:
    """The domain of the network shipped under ``name``; None where none is recorded.

    Raises
    ------
    FileNotFoundError
        where the file is missing.
    ValueError
        where its SHA-256 is not the recorded one.

    Examples
    --------
    >>> from ipbox.learned.weights.domains import domain_of
    >>> domain_of("unrolled_ct").dims, domain_of("drunet").sigma
    ((128, 128), 0.25)
    """
    path = datasets.find(FILE)
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise ValueError(f"{path} has SHA-256 {found}; expected {SHA256}: the file is damaged or another one")
    stored = json.loads(content).get(name)
    if stored is None:
        return None
    if "sigma" in stored:
        return ImageDomain(name, stored["words"], stored["sigma"], tuple(stored["scale"]))
    statistics = DomainStatistics(stored["mean"], stored["std"], stored["samples"])
    pairs: dict[str, Any] = {key: tuple(stored[key]) for key in ("dims", "pixel_size", "coils") if key in stored}
    numbers: dict[str, Any] = {key: stored[key] for key in ("gap", "acceleration") if key in stored}
    return Domain(name, stored["words"], statistics, **pairs, **numbers)
