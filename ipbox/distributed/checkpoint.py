"""Checkpoints of a solve that ranks share: each writes its own state, and all have one of the same step."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ipbox.checks import check_count, check_type
from ipbox.distributed.communicator import RANKS, HasCommunicator
from ipbox.files import check_writable
from ipbox.keywords import answering
from ipbox.solvers.core.run import Run


class RankFiles:
    """Files of which each rank has its own: ``stem.k.r.npz`` of step k and rank r.

    Those of the step before are removed once all ranks have written theirs, so that whenever a rank dies, the files of
    one step are complete.

    Parameters
    ----------
    ranks : Ranks
    path : path
        ``stem.npz``.
    name : str
        Of the argument, in errors.
    """

    def __init__(self, ranks: Any, path: str | Path, name: str = "path") -> None:
        self.ranks, self.path, self.name = ranks, Path(path), name
        check_writable(self.file(0), name=name)

    def file(self, k: int) -> Path:
        """This rank's, of step k."""
        return self.path.with_name(f"{self.path.stem}.{k}.{self.ranks.rank}{self.path.suffix}")

    def steps(self) -> set[int]:
        """The steps of which this rank has a file."""
        return {k for k, rank in _found(self.path) if rank == self.ranks.rank}

    def write(self, k: int, save: Callable[[Path], None]) -> None:
        """Have ``save`` write this rank's file of step k, and remove the others when all ranks have theirs."""
        save(self.file(k))
        self.ranks.comm.wait()
        for other in self.steps() - {k}:
            self.file(other).unlink()

    def newest(self) -> Path | None:
        """This rank's file of the last step of which all ranks have one; None where no rank has any.

        Raises
        ------
        FileNotFoundError
            on every rank, where there are files, but no step of which all have one.
        ValueError
            on every rank, where there is one file in their place, which one process has written.
        """
        told = self.ranks.comm.told((self.steps(), self.path.is_file()))
        steps = [own for own, _ in told]
        if any(alone for _, alone in told):
            raise ValueError(f"{self.name} is {self.path}, of one process; expected those of {self.ranks.size} ranks")
        if common := set.intersection(*steps):
            return self.file(max(common))
        if any(steps):
            raise FileNotFoundError(
                f"{self.name} is {self.path}; there is no step of which all ranks have a checkpoint"
            )
        return None


def of_ranks(path: str | Path, name: str) -> None:
    """Refuse the path of a checkpoint of one process where ranks have left theirs.

    Raises
    ------
    ValueError
    """
    if found := _found(Path(path)):
        raise ValueError(f"{name} is {path}, of {len({rank for _, rank in found})} ranks; expected as many, or another")


def _found(path: Path) -> set[tuple[int, int]]:
    """The steps and ranks of which there are files."""
    form = re.compile(rf"{re.escape(path.stem)}\.(\d+)\.(\d+){re.escape(path.suffix)}")
    matches = (form.fullmatch(other.name) for other in path.parent.iterdir())
    return {(int(match[1]), int(match[2])) for match in matches if match}


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
        self._files = RankFiles(self.ranks, self.path)
        self.every = check_count(every, "every")

    def __call__(self, run: Run) -> None:
        over = run.stop is not None and (not isinstance(run.stop, list) or all(run.stop))
        if run.k % self.every == 0 and run.k > run.k0 or over:
            self._files.write(run.k, run.whole_state().save)

    def newest(self) -> Path:
        """This rank's file of the last step of which all ranks have one.

        Raises
        ------
        FileNotFoundError
            on every rank, where there is none.
        """
        found = self._files.newest()
        if found is None:
            raise FileNotFoundError(f"path is {self.path}; there is no step of which all ranks have a checkpoint")
        return found
