"""The sdist leaves out every file over 1 MB, and its exclusions name only existing files."""

from __future__ import annotations

import re

from .house import ROOT, files, name_of

MAX_BYTES = 1_000_000


def excluded() -> list[str]:
    """Returns `sdist.exclude` of pyproject.toml. Python 3.10 has no tomllib."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    listed = re.search(r"^sdist\.exclude = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    assert listed is not None
    return re.findall(r'"([^"]+)"', listed.group(1))


def test_every_large_file_is_excluded_by_its_name() -> None:
    large = {name_of(path) for path in files() if path.stat().st_size > MAX_BYTES}
    named = {name for name in excluded() if "." in name.rpartition("/")[2] and "/" in name}
    assert named == large


def test_the_rest_is_small_enough_to_ship() -> None:
    left = [path for path in files() if name_of(path) not in excluded()]
    assert sum(path.stat().st_size for path in left) < 25_000_000
