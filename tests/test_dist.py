"""`make dist` refuses a version that files, or a tag of the commit, tell otherwise."""

from __future__ import annotations

import pytest

import ipbox
from tests import dist


def test_files_and_package_have_one_version() -> None:
    told = dist.versions()
    assert set(told.values()) == {ipbox.__version__} and len(told) == 3
    assert dist.check_version(told, dist.tags()) == ipbox.__version__


def test_a_tag_has_to_be_that_of_the_version() -> None:
    told = dict.fromkeys(dist.versions(), "1.2.3")
    assert dist.check_version(told, []) == dist.check_version(told, ["v1.2.3", "nightly", "v1"]) == "1.2.3"
    with pytest.raises(SystemExit, match=r"^the commit has the tag v1\.2\.4; expected v1\.2\.3, as ipbox/__init__\.py"):
        dist.check_version(told, ["v1.2.4"])
    with pytest.raises(SystemExit, match=r"^CITATION\.cff has version 1\.2; expected 1\.2\.3"):
        dist.check_version(told | {"CITATION.cff": "1.2"}, ["v1.2.3"])
