"""How objects tell what they are, in Python and in notebooks: on a line or a few, without the numbers of arrays."""

from __future__ import annotations

import dataclasses
import html
import numbers
import re
from collections.abc import Mapping
from typing import Any

MOST = 400  # characters


def shortened(text: str, most: int = MOST) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def of_fields(obj: Any) -> str:
    """For ``__repr__`` of a dataclass: its fields, arrays by shape and dtype, long lists by length."""
    told = [f"{field.name}={of_value(vars(obj)[field.name])}" for field in dataclasses.fields(obj) if field.repr]
    return shortened(f"{type(obj).__name__}({', '.join(told)})")


def of_settings(obj: Any) -> str:
    """For ``__repr__`` of a configuration: the same with numbers in full."""
    values = {field.name: vars(obj)[field.name] for field in dataclasses.fields(obj) if field.repr}
    told = [f"{name}={v!r}" if isinstance(v, numbers.Real) else f"{name}={of_value(v)}" for name, v in values.items()]
    return shortened(f"{type(obj).__name__}({', '.join(told)})")


def of_value(value: Any) -> str:
    """A value on part of a line."""
    from ipbox import backend

    if backend.is_array(value):
        return f"{value.item():.4g}" if value.size == 1 else f"array {value.shape} {value.dtype}"
    if isinstance(value, numbers.Real) and not isinstance(value, bool | numbers.Integral):
        return f"{float(value):.4g}"
    if isinstance(value, Mapping | list | tuple) and len(value) > 4:
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {of_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        left, right = "[]" if isinstance(value, list) else "()"
        return left + ", ".join(map(of_value, value)) + right
    return shortened(re.sub(r" at 0x[0-9a-f]+", "", repr(value)), 100)


def as_html(obj: Any) -> str:
    """For ``_repr_html_``: what ``repr`` says, as it is."""
    return f"<pre>{html.escape(repr(obj))}</pre>"


def table(rows: list[list[str]]) -> str:
    """Rows, the first one the names of the columns, in HTML."""
    head, *body = [[html.escape(cell) for cell in row] for row in rows]
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in body]
    names = "".join(f"<th>{cell}</th>" for cell in head)
    return f"<table><tr>{names}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


# of a run: what it is called elsewhere, such as in IR Tools and AIR Tools II, in small letters without underscores
_OF_A_RUN = {
    'history["nrmse"], where x_true= was given': "errors error enrm relerr relativeerror nrmse",
    'history["psnr"], where x_true= was given': "psnr psnrs",
    'history["data_residual"], with callbacks=[ip.callbacks.History(1, data_residual=True)]': (
        "residual residuals rnrm resnorm relres residualnorm datares dataresidual"
    ),
    'history["objective"], with callbacks=[ip.callbacks.History(1)]': "objective objectives cost costs loss fun values",
    'extra["lam"], where a weight was given or chosen': "lam lambda alpha regp regparam weight",
    'extra["choice"], where a rule chose the weight': "choice curve lcurve",
    'extra["best"], where x_true= was given': "best bestreg",
    "niter": "its iter iterations nit niters iteration k",
    "stop": "stopflag status message reason converged success stopreason",
    "x": "u image solution result reconstruction",
    "seconds": "time elapsed cputime runtime",
}


def elsewhere(kind: str, name: str) -> str:
    r"""The sentence for an attribute that a run lacks, with the one that was meant.

    Examples
    --------
    >>> from ipbox.summary import elsewhere
    >>> elsewhere("Solution", "Enrm")
    'Solution has no attribute \'Enrm\'; expected history["nrmse"], where x_true= was given'
    """
    plain = name.lower().replace("_", "")
    found = next((there for there, words in _OF_A_RUN.items() if plain in words.split()), None)
    known = found is not None and not name.startswith("_")
    return f"{kind} has no attribute {name!r}" + (f"; expected {found}" if known else "")
