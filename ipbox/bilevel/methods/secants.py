"""Images and adjoints at a new θ, predicted from the last steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox.backend import Array

CUTOFF = 1e-2  # singular values of the normalised steps, relative to the largest, below which they count as dependent


class Secants:
    """The last steps Δθ with the changes Δu of the images and Δq of the adjoints they made; held by ``state``.

    Parameters
    ----------
    state : dict
        Empty at first; only arrays, so that it can be saved.
    memory : int
        So many steps are kept.
    """

    def __init__(self, state: dict[str, Any], memory: int) -> None:
        self.state, self.memory = state, memory

    def add(self, theta: np.ndarray, **found: Array) -> None:
        """Append the step from the point of the last call; u, q, or whatever else is to be predicted."""
        new, last = {"theta": theta, **found}, self.state.get("last")
        if last is not None and self.memory > 0 and not np.array_equal(theta, last["theta"]):
            steps = self.state.setdefault("steps", [])
            steps.append({name: new[name] - last[name] for name in new})
            del steps[: max(0, len(steps) - self.memory)]
        self.state["last"] = new

    def predict(self, name: str, start: Array, step: np.ndarray) -> Array:
        """``start`` + Σ c_j Δ_j of this name, c the smallest least-squares solution of Σ c_j Δθ_j = ``step``."""
        start, steps = start.copy(), self.state.get("steps", [])
        if steps:
            D = np.stack([s["theta"] for s in steps], axis=1)
            size = np.linalg.norm(D, axis=0)
            c = np.linalg.lstsq(D / size, step, rcond=CUTOFF)[0] / size
            for factor, s in zip(c, steps, strict=True):
                start += float(factor) * s[name]
        return start
