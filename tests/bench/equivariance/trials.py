"""Networks that learn from few images: competitors by number of images and by seed, a record of each training."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.learned.training.fit import FitResult

BUILD = Path(__file__).resolve().parents[3] / "build" / "equivariance"
COMPETITORS = ("ordinary", "copies", "equivariant")
OBLIQUE = 30  # degrees, interpolated
TURNS = (90, 180, 270)  # exact on the grid of pixels
TESTS = {"upright": (0,), "turned": TURNS, "oblique": (OBLIQUE,)}  # degrees

Row = tuple[str, float, str, float, str]


@dataclass(frozen=True)
class Trials:
    """Trainings of one experiment.

    Attributes
    ----------
    name : str
        Of the files in ``build/``.
    sizes, seeds : tuple of int
        Images to learn from, and of what is drawn.
    train : callable
        ``train(competitor, n, seed, checkpoint)`` gives the network and what `fit` returned.
    tested : callable
        The figures of a trained network, by the names of `TESTS`.
    """

    name: str
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    train: Callable[[str, int, int, Path], tuple[torch.nn.Module, FitResult]]
    tested: Callable[[torch.nn.Module], dict[str, float]]

    def compute(self) -> list[dict[str, Any]]:
        """A record of every trained network, those in ``build/`` among them; all of a seed before the next."""
        torch.set_num_threads(1)
        return [self.record(c, n, seed) for seed in self.seeds for n in self.sizes for c in COMPETITORS]

    def record(self, competitor: str, n: int, seed: int) -> dict[str, Any]:
        """What one network learned, with the seconds of one core that it took: trained and tested, or read if done."""
        BUILD.mkdir(parents=True, exist_ok=True)
        path = BUILD / f"{self.name}_{competitor}_{n}_{seed}.json"
        if path.is_file():
            return json.loads(path.read_text())
        start = time.process_time()
        model, result = self.train(competitor, n, seed, path.with_suffix(".safetensors"))
        seconds = time.process_time() - start
        found = {"competitor": competitor, "n": n, "seed": seed, "steps": result.steps, "best_step": result.best_step}
        found |= {"seconds": seconds, "validation": -result.best, **self.tested(model)}
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(found))
        temporary.replace(path)
        return found

    def gathered(self, runs: list[dict[str, Any]], competitor: str, what: str) -> np.ndarray:
        """(sizes, seeds) of a figure."""
        of = {(r["n"], r["seed"]): r[what] for r in runs if r["competitor"] == competitor}
        return np.array([[of[n, seed] for seed in self.seeds] for n in self.sizes])

    def rows(self, runs: list[dict[str, Any]], unit: str, required: bool = True) -> list[Row]:
        """The table: the gain at the smallest sizes over its standard error, losses on turned images, all means."""
        upright, turned, oblique = ({c: self.gathered(runs, c, test) for c in COMPETITORS} for test in TESTS)
        table: list[Row] = []
        for k, n in enumerate(self.sizes):
            gain = upright["equivariant"][k] - upright["ordinary"][k]
            error = gain.std(ddof=1) / np.sqrt(len(gain))
            note = f"dB {gain.mean():.2f}, standard error {error:.2f}, of {len(self.seeds)} seeds"
            asked = 2.0 if required and k < 2 else np.inf
            name = f"{n} {unit}: equivariant above ordinary, standard errors"
            table.append((name, asked, ">=", gain.mean() / error, note))
        for c, asked, sense in (("equivariant", 0.1, "<="), ("ordinary", 0.4, ">="), ("copies", np.inf, "<=")):
            asked = asked if required else np.inf
            for test, limit, of in (("turned", asked, turned), ("oblique", np.inf, oblique)):
                lost = (upright[c] - of[c]).mean(axis=1)
                worst = lost.max() if sense == "<=" else lost.min()
                note = f"by size {', '.join(f'{v:.2f}' for v in lost)}"
                name = f"{c}: lost on {test} {unit}, dB"
                table.append((name, limit, sense, float(worst), note))
        for c in COMPETITORS:
            for k, n in enumerate(self.sizes):
                u, t = upright[c][k], turned[c][k]
                steps, seconds = (self.gathered(runs, c, what)[k].mean() for what in ("steps", "seconds"))
                note = f"± {u.std(ddof=1):.2f}; turned {t.mean():.2f} ± {t.std(ddof=1):.2f}; {steps:.0f} steps, "
                table.append((f"{c}, {n} {unit}: PSNR, dB", np.inf, ">=", u.mean(), f"{note}{seconds:.0f} s"))
        return table


def psnr(u: np.ndarray, x: np.ndarray) -> float:
    """Mean PSNR of images."""
    return float(np.mean([ip.psnr(ui, xi) for ui, xi in zip(u, x, strict=True)]))


def chosen(slices: tuple[int, ...], n: int, seed: int) -> tuple[int, ...]:
    """``n`` of the slices to learn from, the same for every competitor."""
    return tuple(sorted(np.random.default_rng(seed).choice(slices, n, replace=False).tolist()))
