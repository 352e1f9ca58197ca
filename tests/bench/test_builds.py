"""The comparison of two builds: where they are, their cases, and a run of one beside itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench import builds
from bench.walls.tables import Case
from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError

PACKAGES = Path(builds.__file__).resolve().parents[1] / "python"


def test_where_builds_are(tmp_path: Path) -> None:
    module, libraries = tmp_path / "python" / "bindings", tmp_path / "cpp" / "src"
    for folder in (module, libraries):
        folder.mkdir(parents=True)
    with pytest.raises(ConfigError, match="found 0"):
        builds.build_at(tmp_path)
    (module / "_core.cpython-311.so").touch()
    assert builds.build_at(tmp_path) == builds.Build(
        module / "_core.cpython-311.so", None, PACKAGES
    )
    (libraries / "libttsrt.so").touch()
    (libraries / "libttsrt.so.0.1").touch()
    found = builds.build_at(tmp_path)
    assert found.libraries == libraries
    assert found.environment()["LD_LIBRARY_PATH"].split(":")[0] == str(libraries)
    (tmp_path / "libttsrt.so").touch()
    with pytest.raises(ConfigError, match="one libttsrt"):
        builds.build_at(tmp_path)
    (tmp_path / "_core.so").touch()
    with pytest.raises(ConfigError, match="found 2"):
        builds.build_at(tmp_path)
    (tmp_path / "ttsrt_rt").mkdir()
    (tmp_path / "ttsrt_rt" / "__init__.py").touch()
    assert builds.build_at(tmp_path) == builds.Build(None, None, tmp_path)


def test_the_cases() -> None:
    assert len(builds.cases_of(builds.PARTS, builds.KINDS, [1, 2])) == 6 * 2 + 2 * 6 + 9 + 3 + 4
    found = builds.cases_of(["crowds", "first", "phase"], ["w8a8", "w4a8"], [])
    assert [sample.name for sample in found] == [
        "2503 w8a8, a frame of 1 requests",
        "2503 w8a8, a frame of 8 requests",
        "2503 w8a8, a frame of 32 requests",
        "2503 w8a8, first frames of 8 arrivals",
        "2503 w8a8, encoding and prefill",
    ]


def test_what_is_slower() -> None:
    cases = [Case(name, (), {"ratio": ratio}) for name, ratio in (("a", 1.04), ("b", 1.02))]
    assert builds.slower(cases, 1.03) == ["a"]


def test_a_build_beside_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _core.__file__ is not None
    build = tmp_path / "build"
    build.mkdir()
    (build / Path(_core.__file__).name).symlink_to(Path(_core.__file__).resolve())
    output = tmp_path / "builds.json"
    arguments = ["--before", str(build), "--after", str(build), "--folder", str(tmp_path)]
    arguments += ["--kinds", "w8a8", "--rows", "1", "--turns", "2", "--threads", "1"]
    code = builds.main(["products", *arguments, "--most", "1000", "--json", str(output)])
    assert code == 0
    (case,) = json.loads(output.read_text())["cases"]
    assert case["case"] == "w8a8, product of 1 rows"
    assert len(case["before"]) == len(case["after"]) == 2 and min(case["before"]) > 0
    assert "0 of 1 are slower." in capsys.readouterr().out
    assert builds.main(["products", *arguments, "--most", "1e-9"]) == 1
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert builds.main(["products", *arguments]) == 2


def test_arguments_without_meaning(tmp_path: Path) -> None:
    builds_of = ["--before", str(tmp_path), "--after", str(tmp_path)]
    for bad in (["speed"], ["--turns", "0"], ["--kinds", "w2a2"]):
        with pytest.raises(SystemExit):
            builds.main([*builds_of, *bad])
    assert builds.main(builds_of) == 2
