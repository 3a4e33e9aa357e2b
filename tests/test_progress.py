"""The one progress bar, shown and not shown."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr

from ipbox import progress


def test_a_bar_shows_its_name_and_count_and_a_hidden_one_nothing() -> None:
    for shown in (True, False):
        with redirect_stderr(io.StringIO()) as text, progress.bar("TV", "it", total=4, initial=1, shown=shown) as bar:
            bar.update(3)
            bar.set_postfix_str("stop: gap")
        assert ("TV: 100%" in text.getvalue() and "4/4" in text.getvalue() and "stop: gap" in text.getvalue()) == shown
        assert (text.getvalue() == "") != shown


def test_a_hidden_bar_counts_all_the_same_and_needs_no_tqdm() -> None:
    code = (
        "import sys; from ipbox.progress import bar; b = bar('x', shown=False); b.update(); b.update(2); b.close();"
        "print(b.n, 'tqdm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "3 False\n"
