"""Warm starts of images that are visited in turn, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array


class WarmStarts:
    """What was last found for each of n images: several arrays, of ``keep`` images at most.

    An image that is not kept starts from zero; where there is no room left, those go that were not visited for the
    longest time.

    Parameters
    ----------
    keep : int
        Images that there is room for.

    Examples
    --------
    >>> starts = WarmStarts(keep=2)
    >>> starts.put(np.array([0, 4]), u=np.array([[1.0], [2.0]]))
    >>> starts.put(np.array([3]), u=np.array([[5.0]]))
    >>> starts.get("u", np.array([0, 3, 4]), np.zeros((3, 1))).ravel()
    array([0., 5., 2.])
    """

    def __init__(self, keep: int) -> None:
        self.image = np.full(keep, -1)  # whose are the rows; -1: of none
        self.visit = np.zeros(keep, dtype=int)  # when
        self.visits = 0
        self.arrays: dict[str, Array] = {}

    def get(self, name: str, index: np.ndarray, zeros: Array) -> Array:
        """The arrays ``name`` of the images ``index``, written into ``zeros`` where they are kept."""
        if name in self.arrays:
            found = [(k, int(rows[0])) for k, i in enumerate(index) if (rows := np.flatnonzero(self.image == i)).size]
            if found:
                there, rows = (np.array(column) for column in zip(*found, strict=True))
                zeros[there] = self.arrays[name][rows]
        return zeros

    def put(self, index: np.ndarray, **found: Array) -> None:
        """Keep what was found for the images ``index``, the last of them where there is not room for all."""
        index, found = index[-len(self.image) :], {name: v[-len(self.image) :] for name, v in found.items()}
        rows = self._rows(index)
        for name, values in found.items():
            if name not in self.arrays:
                shape = (len(self.image), *values.shape[1:])
                self.arrays[name] = backend.array_module(values).zeros(shape, dtype=values.dtype)
            self.arrays[name][rows] = values

    def _rows(self, index: np.ndarray) -> np.ndarray:
        """The rows of these images, their own where they have some."""
        self.visits += 1
        own = np.isin(self.image, index)
        self.visit[own] = self.visits
        new = index[~np.isin(index, self.image)]
        oldest = np.argsort(self.visit, kind="stable")[: len(new)]
        self.image[oldest], self.visit[oldest] = new, self.visits
        return np.array([int(np.flatnonzero(self.image == i)[0]) for i in index])

    def get_state(self) -> dict[str, Any]:
        """All that is kept, to be saved."""
        return {"image": self.image, "visit": self.visit, "visits": self.visits, "arrays": self.arrays}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave."""
        self.image, self.visit = np.array(state["image"]), np.array(state["visit"])
        self.visits, self.arrays = int(state["visits"]), dict(state["arrays"])
