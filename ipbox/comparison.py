"""Several reconstruction maps Φ on one problem: a table and a picture."""

from __future__ import annotations

import numbers
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ipbox import backend, metrics, plot, reports, summary
from ipbox.backend import Array
from ipbox.checks import shown
from ipbox.keywords import answering
from ipbox.operators import Operator, as_operator, counting
from ipbox.progress import bar

Method = Callable[[Any, Array], tuple[Array, Any]]


@dataclass(frozen=True)
class Row:
    """What one method reached; None where it is unknown.

    PSNR and SSIM of complex images are those of their magnitudes.  ``residual`` is ‖Ax - b‖/‖b‖, ``held_out`` the same
    on data that the method did not see; ``applications`` counts those of A and of A* (direct
    methods may do without: fbp filters and projects back in one Fourier transform); ``lam`` is the weight, where one
    was chosen by the rule ``lam_rule``; ``loss`` is how much PSNR falls on the noisier problem; ``seconds`` is the time
    of the call.  ``contrast`` is the `contrast_recovery` of regions by their names, ``variability`` the
    `background_variability` of their background.  ``x`` is the reconstruction, ``images[method]`` of the `Comparison`.
    """

    method: str
    psnr: float | None
    ssim: float | None
    residual: float | None
    held_out: float | None
    niter: int | None
    stop: str | None
    seconds: float
    applications: float | None = None
    lam: float | None = None
    lam_rule: str | None = None
    loss: float | None = None
    contrast: dict[str, float] = field(default_factory=dict)
    variability: float | None = None
    x: Array | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    rows : list of Row
    images : dict
        Name of a method -> its reconstruction.
    infos : dict
        Name of a method -> what it returned beside the image.
    x_true : array or None
    unit : str
        Of the images' values, where the problem's ``info`` told it.

    Examples
    --------
    >>> import ipbox as ip
    >>> result = ip.compare(ip.problem("ct", size=64, views=30), {"fbp": ip.fbp})
    >>> print(result.table().splitlines()[0])
    method  PSNR  SSIM  residual  iterations  stopped by  A and A*  seconds
    """

    rows: list[Row]
    images: dict[str, Array]
    infos: dict[str, Any]
    x_true: Array | None = None
    unit: str = ""

    def __getitem__(self, method: str) -> Row:
        """The row of ``method``."""
        for row in self.rows:
            if row.method == method:
                return row
        raise KeyError(f"method is {method!r}; expected one of {', '.join(row.method for row in self.rows)}")

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        return summary.table(self._cells())

    def table(self) -> str:
        """The rows as text; columns of which nothing is known are left out."""
        lines = self._cells()
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(_pad(line, widths)).rstrip() for line in lines)

    @property
    def _regions(self) -> list[str]:
        return list(self.rows[0].contrast)

    def _cells(self) -> list[list[str]]:
        columns = {
            "method": [row.method for row in self.rows],
            "PSNR": [_number(row.psnr, ".2f") for row in self.rows],
            "SSIM": [_number(row.ssim, ".3f") for row in self.rows],
            **{
                f"contrast, {name}": [_number(row.contrast[name], ".2f") for row in self.rows] for name in self._regions
            },
            "variability": [_number(row.variability, ".3f") for row in self.rows],
            "residual": [_number(row.residual, ".4f") for row in self.rows],
            "held out": [_number(row.held_out, ".4f") for row in self.rows],
            "iterations": [_number(row.niter or None, "d") for row in self.rows],
            "stopped by": [row.stop or "" for row in self.rows],
            "weight": [_number(row.lam, ".3g") for row in self.rows],
            "chosen by": [row.lam_rule or "" for row in self.rows],
            "A and A*": [_number(row.applications or None, ".0f") for row in self.rows],
            "dB lost": [_number(row.loss, ".2f") for row in self.rows],
            "seconds": [_number(row.seconds, ".2f") for row in self.rows],
        }
        known = {"method", "residual", "iterations", "A and A*", "seconds"}
        columns = {name: cells for name, cells in columns.items() if name in known or any(cells)}
        return [list(columns), *([c or "-" for c in line] for line in zip(*columns.values(), strict=True))]

    def report(self) -> dict[str, Any]:
        """The table and what each method reports of its run, as a dictionary that ``json.dump`` writes.

        Returns
        -------
        dict
            ``rows``, a dictionary each as `Row`; ``runs``, by the method's name what ``info.report()`` tells, else the
            fields of what it returned beside the image; ``unit`` of the images, and ``versions`` of the packages.

        Examples
        --------
        >>> import json, ipbox as ip
        >>> result = ip.compare(ip.problem("ct", size=32, views=20), {"fbp": ip.fbp})
        >>> report = json.loads(json.dumps(result.report()))
        >>> report["rows"][0]["method"], report["runs"]["fbp"]["stop"]
        ('fbp', 'direct')
        """
        return {
            "rows": reports.ready(self.rows),
            "runs": {name: _reported(info) for name, info in self.infos.items()},
            "unit": self.unit,
            "versions": reports.versions(),
        }

    def show(
        self,
        path: str | os.PathLike[str] | None = None,
        transform: Callable[[np.ndarray], np.ndarray] | None = None,
        **options: Any,
    ) -> Any:
        """The truth, where there is one, and the reconstructions on one grey scale; titles give the PSNR or residual.

        Parameters
        ----------
        path : str or path, optional
            Where to save the figure; without it a window opens where there is a screen.
        transform : callable, optional
            From an image (on the host) to what is shown, e.g. to Hounsfield units.  Of complex images the magnitude
            is taken first.
        **options
            Of `ipbox.show`: ``vmin``, ``vmax``, ``cmap``, ``scale``, ``unit`` ....  The scale is by default that of the
            truth; without one it goes from the 1st to the 99.8th percentile of the last image.

        Returns
        -------
        matplotlib.figure.Figure
        """
        images = ([] if self.x_true is None else [self.x_true]) + list(self.images.values())
        images = [backend.to_host(_magnitude(u)) for u in images]
        images = images if transform is None else [transform(u) for u in images]
        titles = ([] if self.x_true is None else ["truth"]) + [_title(row) for row in self.rows]
        if self.x_true is None:
            low, high = np.percentile(images[-1], [1.0, 99.8])
            options = {"vmin": float(low), "vmax": float(high)} | options
        options = {"unit": self.unit if transform is None else ""} | options
        return plot.show(*images, titles=titles, path=path, **options)


@answering
def compare(
    problem: tuple[Any, ...],
    methods: Mapping[str, Method],
    path: str | os.PathLike[str] | None = None,
    progress: bool = False,
    held_out: tuple[Any, Array] | None = None,
    noisier: tuple[tuple[Any, ...], Mapping[str, Method]] | None = None,
    *,
    regions: tuple[Mapping[str, Array], Array] | None = None,
    shape: tuple[int, ...] | None = None,
) -> Comparison:
    """Run several methods on one problem.

    Parameters
    ----------
    problem : tuple
        ``(A, b)``, ``(A, b, x_true)`` or ``(A, b, x_true, info)`` as `ipbox.problem` gives it; ``x_true`` may be None.
    methods : dict
        Name -> function ``(A, b) -> (x, info)``, such as `ipbox.fbp`; bind options with a lambda.  Of ``info``,
        ``niter`` and ``stop`` are shown where it has them.
    path : str or path, optional
        Where to save a figure; `Comparison.show` makes others.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    progress : bool
        Show a progress bar over the methods.
    held_out : (A, b), optional
        Operator and data for the residual on data that no method sees.
    noisier : (problem, methods), optional
        The same problem with more noise, and the same methods for it: how much PSNR they lose there is their
        sensitivity to the noise level.  They run first, so that compilation is in no time of the table.
    regions : ({name: array of bool}, array of bool), optional
        Regions and their common background, for columns with the `contrast_recovery` of each and the
        `background_variability`, pixel by pixel; asks for ``x_true``.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError, TypeError
        for a problem or methods not as above, a method that returns something else, or an image that is not finite.

    Examples
    --------
    >>> import ipbox as ip
    >>> problem = ip.problem("ct", size=64, views=30, noise=0.02, seed=0)
    >>> delta = problem[3].noise_level
    >>> methods = {"fbp": ip.fbp, "cgls": lambda A, b: ip.cgls(A, b, noise_level=delta)}
    >>> result = ip.compare(problem, methods)
    >>> result["cgls"].psnr > result["fbp"].psnr, result["cgls"].stop
    (True, 'discrepancy')
    """
    A, b, x_true = _unpack(problem)
    A = A if shape is None else as_operator(A, shape)
    _check(methods)
    _check_options(path, held_out, noisier)
    _check_regions(regions, x_true)
    lost: dict[str, Any] = {}
    if noisier is not None:
        if x_true is None or _unpack(noisier[0])[2] is None or set(noisier[1]) != set(methods):
            raise ValueError("noisier is given without x_true, or with other methods; expected the same methods there")
        lost = {row.method: row.psnr for row in compare(*noisier, progress=progress, shape=shape).rows}
    rows, images, infos = [], {}, {}
    with bar("compare", "method", len(methods), shown=progress) as shown:
        for name in methods:
            start = time.perf_counter()
            with counting(A) as count:
                x, info = _call(name, methods[name], A, b)
            size = backend.norm(x)  # also waits for the device
            seconds = time.perf_counter() - start
            if not np.isfinite(size):
                raise ValueError(
                    f"method {name!r} returned an image with NaN or infinite entries; expected finite values"
                )
            images[name], infos[name] = x, info
            rows.append(
                Row(
                    method=name,
                    x=x,
                    psnr=None if x_true is None else metrics.psnr(_magnitude(x), _magnitude(x_true)),
                    ssim=None if x_true is None else metrics.ssim(_magnitude(x), _magnitude(x_true)),
                    residual=_residual(A, x, b),
                    held_out=None if held_out is None else _residual(held_out[0], x, held_out[1]),
                    niter=_told(info, "niter", numbers.Integral),
                    stop=_told(info, "stop", str),
                    seconds=seconds,
                    applications=count.total,
                    **_weight(info),
                    **_in_regions(regions, x, x_true),
                    loss=None if name not in lost else metrics.psnr(_magnitude(x), _magnitude(x_true)) - lost[name],
                )
            )
            shown.update(1)
    info = problem[3] if len(problem) == 4 else None
    result = Comparison(rows, images, infos, x_true, _told(info, "unit", str) or "")
    if path is not None:
        result.show(path)
    return result


def _unpack(problem: tuple[Any, ...]) -> tuple[Any, Array, Array | None]:
    if not isinstance(problem, tuple | list) or len(problem) not in (2, 3, 4):
        raise TypeError("problem is not a tuple of 2 to 4; expected (A, b), (A, b, x_true) or (A, b, x_true, info)")
    A, b, x_true = (*problem, None)[:3]
    if x_true is not None and not backend.is_array(x_true):
        raise TypeError(f"x_true is {type(x_true).__name__}; expected an array, or None where it is not known")
    if x_true is not None and not bool(backend.array_module(x_true).isfinite(x_true).all()):
        raise ValueError("x_true has NaN or infinite entries; expected finite values")
    return A, b, x_true


def _check(methods: Mapping[str, Method]) -> None:
    if not isinstance(methods, Mapping) or not methods:
        raise TypeError(f"methods is {shown(methods)}; expected a dictionary, names to functions (A, b) -> (x, info)")
    for name, method in methods.items():
        if not isinstance(name, str) or not callable(method):
            raise TypeError(
                f"methods has {name!r}: {shown(method)}; expected a name and a function (A, b) -> (x, info)"
            )


def _check_options(path: Any, held_out: Any, noisier: Any) -> None:
    """What is used only after the methods have run, or long before."""
    if path is not None and not (isinstance(path, str | os.PathLike) and Path(path).parent.is_dir()):
        raise ValueError(f"path is {path!r}; expected a file in a folder that exists")
    for name, value, what in (("held_out", held_out, "(A, b)"), ("noisier", noisier, "(problem, methods)")):
        if value is not None and not (isinstance(value, tuple | list) and len(value) == 2):
            raise TypeError(f"{name} is {type(value).__name__}; expected a tuple {what}")
    if held_out is not None and (held_out[0] is None or not backend.is_array(held_out[1])):
        raise TypeError(f"held_out has {type(held_out[0]).__name__} and {type(held_out[1]).__name__}; expected (A, b)")
    if noisier is not None and not isinstance(noisier[1], Mapping):
        raise TypeError(f"noisier has {type(noisier[1]).__name__} for its methods; expected a dictionary")


def _check_regions(regions: Any, x_true: Array | None) -> None:
    """That every figure will be known, before the methods run."""
    if regions is None:
        return
    if not (isinstance(regions, tuple | list) and len(regions) == 2 and isinstance(regions[0], Mapping)):
        raise TypeError(f"regions is {type(regions).__name__}; expected ({{name: array of bool}}, array of bool)")
    if x_true is None:
        raise ValueError("regions are given and x_true is not; expected the truth, whose contrast is that to recover")
    for roi in regions[0].values():
        metrics.contrast_recovery(x_true, x_true, roi, regions[1])


def _in_regions(regions: Any, x: Array, x_true: Array | None) -> dict[str, Any]:
    if regions is None:
        return {}
    contrast = {name: metrics.contrast_recovery(x, x_true, roi, regions[1]) for name, roi in regions[0].items()}
    return {"contrast": contrast, "variability": metrics.background_variability(x, regions[1])}


def _call(name: str, method: Method, A: Any, b: Array) -> tuple[Array, Any]:
    result = method(A, b)
    if not isinstance(result, tuple) or len(result) != 2 or not backend.is_array(result[0]):
        raise TypeError(f"method {name!r} returned {type(result).__name__}; expected a tuple (x, info) with an array x")
    return result


def _magnitude(u: Array) -> Array:
    return abs(u) if u.dtype.kind == "c" else u


def _residual(A: Any, x: Array, b: Array) -> float | None:
    """None for a magnitude image (root-sum-of-squares) of a problem whose images are complex."""
    wanted = A.dtype_in if isinstance(A, Operator) else x.dtype
    return None if wanted.kind == "c" and x.dtype.kind != "c" else metrics.relative_residual(A, x, b)


def _weight(info: Any) -> dict[str, Any]:
    """λ, and the rule that chose it, where ``info`` tells them."""
    extra = _told(info, "extra", Mapping) or {}
    lam = extra.get("lam")
    if isinstance(lam, list | tuple | np.ndarray):  # of a hybrid method: one for each step
        lam = np.ravel(lam)[-1] if len(lam) else None
    lam = lam if isinstance(lam, numbers.Real) else None
    return {"lam": lam, "lam_rule": _told(extra.get("choice"), "rule", str)}


def _told(info: Any, name: str, kind: Any) -> Any:
    """What a method's ``info``, which may be anything, has under a name; None where the table cannot show it."""
    value = getattr(info, name, None)
    return value if isinstance(value, kind) else None


def _reported(info: Any) -> Any:
    """What a run tells of itself, without the versions, which the comparison tells once."""
    own = _told(info, "report", Callable)
    told = reports.ready(info if own is None else own())
    return {key: value for key, value in told.items() if key != "versions"} if isinstance(told, dict) else told


def _number(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)


def _pad(line: list[str], widths: list[int]) -> list[str]:
    """Names to the left, numbers to the right."""
    return [cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(line, widths, strict=True))]


def _title(row: Row) -> str:
    if row.psnr is not None:
        return f"{row.method}: {row.psnr:.1f} dB"
    for what, value in (("held out", row.held_out), ("residual", row.residual)):
        if value is not None:
            return f"{row.method}: {what} {value:.4f}"
    return row.method
