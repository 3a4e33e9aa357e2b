"""min_u f_1(u) + ... + f_n(u): a sum of functionals, and which role each term plays in a solver."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import backend, scratch, shares, summary
from ipbox.backend import Array
from ipbox.checks import as_dtype
from ipbox.functionals import (
    Composition,
    DualTerm,
    Functional,
    PyProximalFunctional,
    Sum,
    Zero,
    as_functional,
    terms_of,
)
from ipbox.functionals.fidelities.l2 import Fidelity
from ipbox.operators.core.base import check_dims

ROLES = ("smooth", "prox", "dual")


@dataclass
class Parts:
    """A problem as a solver sees it: min_u smooth(u) + prox(u) + Σ_i dual_i(u), dual_i = g_i∘K_i.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.ones((4, 4))) + 0.1 * ip.TV((4, 4)))
    >>> parts = problem.assign(("smooth", "dual"))
    >>> parts.describe()
    'smooth: L2; dual: 0.1·TV'
    """

    problem: Problem
    smooth: Functional
    prox: Functional
    dual: list[Any]
    labels: dict[str, list[str]] = field(default_factory=dict)

    @property
    def batch(self) -> int | None:
        return self.problem.batch

    @property
    def xp(self) -> Any:
        return self.problem.xp

    @property
    def lead(self) -> tuple[int, ...]:
        """The axis that arrays have before those of one sample: the batch's, or none."""
        return () if self.batch is None else (self.batch,)

    def describe(self) -> str:
        """E.g. ``prox: Box; dual: L2∘RayTransform, 0.02·TV``."""
        return "; ".join(f"{role}: {', '.join(names)}" for role, names in self.labels.items() if names)


class Problem:
    """The problem min_u Σ f_i(u).

    Parameters
    ----------
    objective : Functional
        A functional or a sum; PyProximal operators are adapted.
    batch : int, optional
        Number of samples solved at once: arrays then have one leading axis, and objectives, step sizes, stops and
        certificates are per sample.
    dims, dtype, xp : optional
        Image shape, dtype and library, where the terms do not tell them.
    roles : dict, optional
        Overrides the assignment: index of a term -> ``"smooth"``, ``"prox"`` or ``"dual"``.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.ones((8, 8), "float32")
    >>> problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV((8, 8)) + ip.Box(0, 1))
    >>> problem.assign(("prox", "dual")).describe()
    'prox: (L2 + Box); dual: 0.1·TV'
    """

    def __init__(
        self,
        objective: Any,
        batch: int | None = None,
        dims: tuple[int, ...] | None = None,
        dtype: Any = None,
        xp: str | None = None,
        roles: dict[int, str] | None = None,
    ) -> None:
        for name, given in (("batch", batch), ("dims", dims)):
            if isinstance(given, Functional):
                raise TypeError(
                    f"{name} is {given.name}, a functional; expected one objective, their sum: ip.Problem(f + g)"
                )
        self.terms: list[Functional] = terms_of(as_functional(objective))
        if batch is not None:
            batch = check_dims(batch, "batch")[0]
        self.batch = batch
        self.roles = dict(roles or {})
        for i, role in self.roles.items():
            if role not in ROLES or i not in range(len(self.terms)):
                raise ValueError(
                    f"roles has {i}: {role!r}; expected an index below {len(self.terms)} and one of {ROLES}"
                )
        for f in self.terms:
            self._check_foreign(f)
            self._check_shared(f)
        data = [f for f in self.terms if isinstance(f, Fidelity) and f.b is not None]
        for f in data:
            self._check_batch(f)
        self.fidelity: Fidelity | None = next((f for f in data if f.A is not None), data[0] if data else None)
        self.dims = check_dims(self._find("dims", dims, data), "dims")
        self.dtype = np.dtype(self._find("dtype", dtype, data))
        backend.real_dtype(self.dtype)
        self._library = xp or (backend.array_module(data[0].b).__name__ if data else "numpy")
        backend.as_module(self._library)

    @property
    def D(self) -> Any:
        """The data fidelity, of solvers and rules that have seen that there is one, and of what kind.

        Raises
        ------
        ValueError
            where there is none.
        """
        if self.fidelity is None:
            raise ValueError("the problem has no data fidelity; expected one, such as ip.L2(A, b)")
        return self.fidelity

    def _find(self, what: str, given: Any, data: list[Fidelity]) -> Any:
        """Shape or dtype of the image, from the first term that knows it."""
        found = [given] if given is not None else []
        if what == "dims":
            found += [f.dims for f in self.terms if f.dims is not None]
            found += [f.b.shape[1:] if self.batch else f.b.shape for f in data if f.A is None]
        else:
            found += [f.A.dtype_in for f in self.terms if isinstance(f, Fidelity) and f.A is not None]
            found += [f.K.dtype_in for f in self.terms if isinstance(f, DualTerm) and f.K is not None]
            found += [f.b.dtype for f in data if f.A is None]
        if not found:
            raise ValueError(f"{what} is not given and no term of the objective tells it; expected {what}=...")
        if any(v != found[0] for v in found[1:]):
            raise ValueError(f"{what} of the terms are {', '.join(str(v) for v in found)}; expected one for all")
        return found[0]

    def _check_foreign(self, f: Functional) -> None:
        """Foreign ones take one image, PyProximal's a flat one: in a batch it must be known where a sample ends."""
        inner = f.g if isinstance(f, Composition) else f
        if self.batch is not None and inner.foreign and inner.dims is None:
            how = "as_functional(f" if isinstance(inner, PyProximalFunctional) else "functional(..."
            raise ValueError(f"{inner.name} stands in a batch without dims; expected {how}, dims=...)")

    @staticmethod
    def _check_shared(f: Functional) -> None:
        """Of slices that ranks share, functionals have to be known to act on them, and only within that block."""
        A = f.A if isinstance(f, Fidelity) else f.K if isinstance(f, Composition) else None
        if shares.sharing() is None and A is not None and A.by_slabs:
            raise ValueError(f"{f.name} is of a rank's slices; expected it within: with ranks.slabs()")
        if shares.sharing() is not None and not f.by_slabs:
            raise ValueError(
                f"{f.name} is not known to act on slices that ranks share; expected ranks.blockdiag(A), bounds, L1 or "
                "TV made within ranks.slabs()"
            )

    def _check_batch(self, f: Fidelity) -> None:
        """Data with a batch axis must have one entry per sample; without an operator they must have that axis."""
        has_axis = self.batch is not None if f.A is None else f.b.ndim > len(f.A.dimsd)
        if has_axis and (self.batch is None or f.b.ndim < 2 or f.b.shape[0] != self.batch):
            raise ValueError(f"b has shape {f.b.shape}, and batch is {self.batch}; expected batch as its first axis")

    def __repr__(self) -> str:
        samples = "" if self.batch is None else f", {self.batch} samples"
        return summary.shortened(f"Problem: min {Sum(self.terms).formula()}, u: {self.dims} {self.dtype}{samples}")

    _repr_html_ = summary.as_html

    # ------------------------------------------------------------ values

    @property
    def xp(self) -> Any:
        """The array library; held by its name, since modules can be neither copied nor pickled."""
        return backend.as_module(self._library)

    @property
    def ranks(self) -> shares.Sharing | None:
        """Who work on it together: those that share its data, or slices."""
        return next((f.ranks for f in self.terms if f.ranks is not None), shares.sharing())

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the unknown, with the batch axis where there is one."""
        return self.dims if self.batch is None else (self.batch,) + self.dims

    def objective(self, x: Array) -> Any:
        """Σ f_i(x): a float, or one per sample; None where a term is implicit and so has no value."""
        if not all(f.explicit for f in self.terms):
            return None
        return Sum(self.terms).value(x, self.batch is not None)

    def residual_norm(self, x: Array) -> Any:
        """‖Au - b‖ of the data fidelity, a float or one per sample."""
        if self.fidelity is None:
            raise ValueError("the objective has no data fidelity, as L2(A, b), so no residual; use another stop rule")
        r = self.fidelity.residual(x)
        with shares.shared_by(self.fidelity.ranks):
            return np.sqrt(backend.sum_squares(r, self.batch is not None))

    def start(self, x0: Array | None) -> Array:
        """A copy of ``x0``, checked, or zeros."""
        if x0 is None:
            return scratch.zeros(self.shape, self.dtype, self.xp)
        if backend.array_module(backend.check_array(x0, "x0")) is not self.xp:
            raise TypeError(f"x0 is an array of {type(x0).__module__}; expected one of {self.xp.__name__}, as b is")
        if x0.dtype != self.dtype:
            raise TypeError(f"x0 has dtype {x0.dtype}; expected {self.dtype}{as_dtype('x0', x0.dtype, self.dtype, '')}")
        if x0.shape != self.shape:
            raise ValueError(f"x0 has shape {x0.shape}; expected {self.shape}")
        if not backend.every(self.xp.isfinite(x0)):
            raise ValueError("x0 has NaN or infinite entries; expected finite numbers")
        return scratch.copied(self.xp.ascontiguousarray(x0))

    def take(self, index: np.ndarray) -> Problem:
        """The problem of a part of the samples of the batch."""
        return Problem(
            Sum([f.take(index) for f in self.terms]), len(index), self.dims, self.dtype, self.xp.__name__, self.roles
        )

    # ------------------------------------------------------------ roles

    def assign(self, takes: tuple[str, ...], who: str = "the solver") -> Parts:
        """Give each term a role among ``takes``, by what it offers.

        A term g∘K goes to dual where there is such a role; else a term with a gradient to smooth, and one with a prox
        to prox (where two have a prox together they are merged, otherwise the later one becomes dual).

        Raises
        ------
        ValueError
            with the reason, where a term fits no role.
        """
        smooth: list[Functional] = []
        prox: Functional = Zero()
        dual: list[Any] = []
        for i, f in enumerate(self.terms):
            wanted = (self.roles[i],) if i in self.roles else takes
            if i in self.roles and self.roles[i] not in takes:
                raise ValueError(f"roles has {i}: {self.roles[i]!r}; {who} has only the roles {takes}")
            if f.explicit and not f.is_convex and "smooth" not in wanted:
                raise ValueError(f"{f.name} is not convex; {who} expects convex terms")
            merged = (prox.merge(f) or f.merge(prox)) if "prox" in wanted and f.has_prox else None
            if "dual" in wanted and isinstance(f, DualTerm) and f.as_dual(self) is not None:
                dual.append(f.as_dual(self))
            elif "smooth" in wanted and f.has_grad:
                smooth.append(f)
            elif merged is not None:
                prox = merged
            elif "dual" in wanted and f.as_dual(self) is not None:
                dual.append(f.as_dual(self))
            else:
                raise ValueError(f"{f.name} fits no role of {who} ({', '.join(wanted)}): {self._why(f, wanted, prox)}")
        total = Zero() if not smooth else smooth[0] if len(smooth) == 1 else Sum(smooth)
        labels = {
            "smooth": [f.name for f in smooth],
            "prox": [] if isinstance(prox, Zero) else [prox.name],
            "dual": [t.name for t in dual],
        }
        return Parts(self, total, prox, dual, labels)

    @staticmethod
    def _why(f: Functional, wanted: tuple[str, ...], prox: Functional) -> str:
        reasons = []
        if "smooth" in wanted:
            reasons.append(f.why_no_grad)
        if "prox" in wanted:
            reasons.append("it has no prox" if not f.has_prox else f"it has no common prox with {prox.name}")
        if "dual" in wanted:
            reasons.append("it is not of the form g∘K with a prox of g")
        return " and ".join(reasons)
