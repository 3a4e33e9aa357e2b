"""Times of a benchmark's processes are counted where one of them has ended by itself."""

from __future__ import annotations

import subprocess
import sys

from tests.bench.machine import own_seconds


def test_a_process_that_has_ended_is_no_error() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as child:
        child.wait()
    assert own_seconds([child.pid]) > 0.0
