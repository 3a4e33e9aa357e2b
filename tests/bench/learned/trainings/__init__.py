"""Every training of a regulariser for every architecture: scripts, and one table of work and quality."""

from tests.bench.learned.trainings.table import compute, rows

__all__ = ["compute", "rows"]
