"""The command line: ``python -m ipbox``."""

from ipbox.cli.parser import main

__all__ = ["main"]
