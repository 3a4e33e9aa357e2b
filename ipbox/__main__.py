"""``python -m ipbox``."""

import sys
import warnings

from ipbox.cli import main


def _one_line(message: object, category: type[Warning], *_: object, **__: object) -> str:
    """A warning as the commands' other messages: the line that led to it is always the one below."""
    return f"ipbox: {category.__name__}: {message}\n"


if __name__ == "__main__":
    warnings.formatwarning = _one_line
    sys.exit(main())
