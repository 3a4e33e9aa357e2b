"""The help of every command ends with commands to copy, which are good."""

from __future__ import annotations

import shlex

import pytest

from ipbox.cli import main, parser
from ipbox.cli.examples import EXAMPLES


def test_every_command_has_examples(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    commands = capsys.readouterr().out
    assert end.value.code == 0 and all(f"    {name} " in commands for name in EXAMPLES)
    for name, examples in EXAMPLES.items():
        with pytest.raises(SystemExit):
            main([name, "--help"])
        told = capsys.readouterr().out
        assert told.partition("examples:")[2].count("python -m ipbox") == len(examples) > 0


@pytest.mark.parametrize("words", [words for examples in EXAMPLES.values() for words, _ in examples])
def test_examples_are_understood(words: str) -> None:
    args = parser._parser().parse_args(parser._joined(shlex.split(words)))
    assert callable(args.run)


def test_names_in_examples_are_known() -> None:
    """The parser leaves to the commands which methods and samplers there are."""
    from ipbox.cli import benchmark
    from ipbox.cli.compare import SETTINGS
    from ipbox.cli.demos import learned

    assert {"tv", "tgv"} <= set(SETTINGS["ct"].methods) and {"fbp", "tv"} <= set(learned.METHODS)
    assert "ula" in benchmark.SAMPLERS
