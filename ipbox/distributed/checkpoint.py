"""Checkpoints of a solve that ranks share: each writes its own state, and all have one of the same step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ipbox.checks import check_count, check_type
from ipbox.distributed.communicator import RANKS, HasCommunicator
from ipbox.files import check_writable
from ipbox.keywords import answering
from ipbox.solvers.core.run import Run


@answering
class RanksCheckpoint:
    """A callback that saves the state of every rank every ``every`` iterations, and where the run ends by a rule.

    The file of step k and rank r is ``stem.k.r.npz``; those of the step before are removed once all ranks have written
    theirs, so that whenever a rank dies, the files of one step are complete: `newest` finds them.

    Parameters
    ----------
    ranks : Ranks
    path : str or Path
        ``stem.npz``, in a folder that exists; on the disk that all ranks see, or each its own.
    every : int

    Examples
    --------
    >>> import tempfile, numpy as np, ipbox as ip
    >>> from ipbox.distributed import RanksCheckpoint, world
    >>> ranks = world()
    >>> b = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> with tempfile.TemporaryDirectory() as folder, ranks.slabs():
    ...     keep = RanksCheckpoint(ranks, f"{folder}/run.npz", every=10)
    ...     problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV((2, 2)))
    ...     _ = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(25), callbacks=[keep])
    ...     again = ip.solve(problem, ip.PDHG(), state=keep.newest(), stop=ip.stop.niter(1))
    >>> again.niter
    26
    """

    def __init__(self, ranks: Any, path: str | Path, every: int = 100) -> None:
        self.ranks = check_type(ranks, "ranks", HasCommunicator, RANKS)
        self.path = Path(check_type(path, "path", str | Path, "the path of a file"))
        if self.path.suffix != ".npz":
            raise ValueError(f"path is {path}; expected a file that ends in .npz")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"path is {path}; its folder does not exist")
        check_writable(self._file(0))
        self.every = check_count(every, "every")

    def _file(self, k: int) -> Path:
        return self.path.with_name(f"{self.path.stem}.{k}.{self.ranks.rank}.npz")

    def _steps(self) -> set[int]:
        """The steps of which this rank has a file."""
        form = re.compile(rf"{re.escape(self.path.stem)}\.(\d+)\.{self.ranks.rank}\.npz")
        found = (form.fullmatch(path.name) for path in self.path.parent.iterdir())
        return {int(match[1]) for match in found if match}

    def __call__(self, run: Run) -> None:
        over = run.stop is not None and (not isinstance(run.stop, list) or all(run.stop))
        if run.k % self.every == 0 and run.k > run.k0 or over:
            self._save(run)

    def _save(self, run: Run) -> None:
        run.whole_state().save(self._file(run.k))
        self.ranks.comm.wait()  # until all have theirs
        for k in self._steps() - {run.k}:
            self._file(k).unlink()

    def newest(self) -> Path:
        """This rank's file of the last step of which all ranks have one.

        Raises
        ------
        FileNotFoundError
            on every rank, where there is none.
        """
        common = set.intersection(*self.ranks.comm.told(self._steps()))
        if not common:
            raise FileNotFoundError(f"path is {self.path}; there is no step of which all ranks have a checkpoint")
        return self._file(max(common))
