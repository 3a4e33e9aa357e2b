"""``python -m ipbox``."""

import sys

from ipbox.cli import main

if __name__ == "__main__":
    sys.exit(main())
