"""Warnings that point at the user's line."""

from __future__ import annotations

import sys
import warnings


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line outside of ipbox that led here, however many frames of ours are in between.

    Examples
    --------
    >>> import warnings
    >>> from ipbox.warning import warn
    >>> with warnings.catch_warnings(record=True) as seen:
    ...     warnings.simplefilter("always")
    ...     warn("of no account", UserWarning)
    >>> seen[0].message
    UserWarning('of no account')
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "ipbox":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def deprecated(old: str, new: str, leaves: str) -> None:
    """Warn of what goes: what to write instead, and the version that no longer has it.

    Examples
    --------
    >>> import warnings
    >>> from ipbox.warning import deprecated
    >>> with warnings.catch_warnings(record=True) as seen:
    ...     warnings.simplefilter("always")
    ...     deprecated("Unrolled(iterations=...)", "Unrolled(lower_iterations=...)", "0.3")
    >>> seen[0].message
    DeprecationWarning('Unrolled(iterations=...) is now Unrolled(lower_iterations=...); it leaves with version 0.3')
    """
    warn(f"{old} is now {new}; it leaves with version {leaves}", DeprecationWarning)
