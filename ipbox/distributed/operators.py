"""Operators of which each rank has a part: a stack of rows, or a diagonal of blocks."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from ipbox import shares
from ipbox.backend import Array
from ipbox.checks import check_count, check_type
from ipbox.distributed.communicator import RANKS, HasCommunicator
from ipbox.operators import Operator, as_operator
from ipbox.operators.core.base import ALL_DTYPES
from ipbox.operators.core.positive import collatz_wielandt

KINDS = ("exact", "bound", "estimate")


class _Part(Operator):
    """Base: the operator ``A`` of this rank, and what all know of theirs."""

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, ranks: Any, A: Any) -> None:
        self.A, self._ranks = as_operator(A), check_type(ranks, "ranks", HasCommunicator, RANKS)
        self._check_alike()
        (dims, dtype), (dimsd, dtype_out) = self.A.ends
        super().__init__(dims, dimsd, dtype, dtype_out, name=type(self).__name__)

    def _check_alike(self) -> None:
        raise NotImplementedError("abstract")

    @property
    def nonnegative(self) -> bool:  # type: ignore[override]  # read only: that of the parts
        return self.A.nonnegative

    @property
    def has_subsets(self) -> bool:
        return self.A.has_subsets

    def _apply(self, x: Array, out: Array) -> None:
        self.A._apply(x, out)


class MPIVStack(_Part):
    r"""(A_1; ...; A_n), one A_r on each rank: images are the same on all, data are split by their first axis.

    .. math:: A^* y = \sum_r A_r^* y_r

    Views of a scan, coils of an MRI, frames of a film with one image: whatever rows of A a rank has.  Sums over the
    data, as norms of residuals, are those over all ranks.  A* adds up one image a rank: its bytes are what is sent.

    Parameters
    ----------
    ranks : Ranks
    A : Operator
        This rank's, or anything `as_operator` takes.

    Notes
    -----
    ‖A‖ is a bound where no entry is negative (Collatz and Wielandt), else an estimate (Golub and Kahan).  The data
    ``b`` are this rank's, of shape A.dimsd.

    Raises
    ------
    ValueError
        on every rank, where the images have not one shape and dtype.

    References
    ----------
    Ravasi, Gada, Vargas and Vasconcelos, PyLops-MPI, J. Open Source Softw. 10 (2025), whose operator of this name it
    agrees with.

    Examples
    --------
    Of a script that is the one rank:

    >>> import numpy as np, ipbox as ip
    >>> ranks = ip.distributed.world()
    >>> angles = np.arange(8) * np.pi / 8
    >>> A = ranks.vstack(ip.JosephTransform((8, 8), angles[ranks.own(8)]))
    >>> b = A.apply(np.ones((8, 8), "float32"))
    >>> round(float(ip.cgls(A, b, niter=20)[0].mean()), 2)
    1.0
    """

    def __init__(self, ranks: Any, A: Any) -> None:
        super().__init__(ranks, A)
        self.rows = ranks.comm.told(self.dimsd[0])

    def _check_alike(self) -> None:
        _check_one([(tuple(self.A.dims), str(dtype)) for dtype in (self.A.dtype_in, self.A.dtype_out)], self._ranks)

    @property
    def ranks(self) -> Any:  # type: ignore[override]  # read only: who made it
        return self._ranks

    @property
    def first_row(self) -> int:  # type: ignore[override]  # read only: after the ranks before
        return sum(self.rows[: self._ranks.rank])

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self.A._apply_adjoint(y, out)
        self._ranks.add(out)

    def _compute_norm(self) -> tuple[float, str]:
        if not self.nonnegative:
            return super()._compute_norm()
        return math.sqrt(self._ranks.largest(collatz_wielandt(self))), "bound"

    def subsets(self, n: int) -> list[Operator]:
        """n operators of every n-th row (view) of all; this rank's data of the k-th are ``b[(k - first_row) % n::n]``.

        Raises
        ------
        ValueError
            where a rank has fewer rows than there are subsets.
        """
        n = check_count(n, "n")
        if n > min(self.rows):
            raise ValueError(f"n is {n}; expected at most as many subsets as each rank has views, {min(self.rows)}")
        own = self.A.subsets(n)
        return [MPIVStack(self._ranks, own[(k - self.first_row) % n]) for k in range(n)]


class MPIBlockDiag(_Part):
    r"""diag(A_1, ..., A_n), one A_r on each rank: images and data are split by slices, or by frames.

    Parameters
    ----------
    ranks : Ranks
    A : Operator
        This rank's, of its slices, such as a `SliceStack`, or anything `as_operator` takes.

    Notes
    -----
    Nothing is sent.  ‖A‖ is the largest of the ‖A_r‖.  Used within ``with ranks.slabs():``, where sums are those over
    all ranks and total variation couples the slices of neighbouring ranks.

    Raises
    ------
    ValueError
        on every rank, where dtypes, or shapes but for the first axis of the images, are not the same.

    References
    ----------
    Ravasi, Gada, Vargas and Vasconcelos, PyLops-MPI, J. Open Source Softw. 10 (2025).

    Examples
    --------
    Of a script that is the one rank:

    >>> import numpy as np, ipbox as ip
    >>> ranks = ip.distributed.world()
    >>> own = ranks.own(4)
    >>> A = ranks.blockdiag(ip.SliceStack(ip.JosephTransform((8, 8), np.arange(8) * np.pi / 8), len(own)))
    >>> b = A.apply(np.ones((4, 8, 8), "float32"))
    >>> with ranks.slabs():
    ...     x, info = ip.tv(A, b, 0.01, nonneg=True)
    >>> ranks.gather(x).shape
    (4, 8, 8)
    """

    by_slabs = True

    def _check_alike(self) -> None:
        (dims, dtype_in), (_, dtype_out) = self.A.ends
        _check_one([(dims[1:], str(dtype_in)), (dims[1:], str(dtype_out))], self._ranks)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self.A._apply_adjoint(y, out)

    def _apply_normal(self, x: Array, out: Array) -> None:
        self.A._apply_normal(x, out)

    def _compute_norm(self) -> tuple[float, str]:
        with shares.unshared():  # of this rank's block alone
            found = [self.A.norm(), float(KINDS.index(self.A.norm_kind))]
        norm, kind = self._ranks.largest(np.array(found))
        return float(norm), KINDS[int(kind)]

    def subsets(self, n: int) -> list[Operator]:
        return [MPIBlockDiag(self._ranks, part) for part in self.A.subsets(n)]


def _check_one(mine: Any, ranks: Any) -> None:
    """Refuse, on every rank, parts of more than one kind."""
    told = ranks.comm.told(mine)
    if any(kind != told[0] for kind in told):
        raise ValueError(f"A has images and dtypes {[kind[0] for kind in told]} on the ranks; expected one kind")
