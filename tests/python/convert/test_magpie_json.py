"""Reads config.json back: values are unchanged, and errors give the path of a wrong field."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from ttsrt_rt.convert import convert, magpie_json
from ttsrt_rt.convert import magpie_model as m
from ttsrt_rt.convert.checkpoint import open_checkpoint
from ttsrt_rt.convert.magpie_model import to_json
from ttsrt_rt.errors import FormatError
from ttsrt_rt.synth import write_random_nemo

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("json")
    return convert(write_random_nemo(base / "a.nemo"), base / "out", progress=False)


@pytest.fixture
def original(folder: Path) -> Any:
    path = folder / "config.json"
    text = path.read_text()
    yield json.loads(text)
    path.write_text(text)


def test_written_values_are_read_back(folder: Path, original: Any) -> None:
    checkpoint = open_checkpoint(folder)
    assert to_json(checkpoint.model) == original["model"]
    assert to_json(checkpoint.defaults) == original["defaults"]


@pytest.mark.parametrize("value", ["absent", None, -1, 2**70, 1.5, True, "x", [], {}])
@pytest.mark.parametrize(
    "path",
    [
        "model.dim",
        "model.frame_stacking",
        "model.tokens.audio_eos",
        "model.decoder.heads",
        "model.decoder.cross_head_dim",
        "model.local_transformer.layers",
        "model.num_voices",
        "defaults.top_k",
        "defaults.max_frames",
        "defaults.prior.lookahead",
    ],
)
def test_wrong_numbers(folder: Path, original: Any, path: str, value: Any) -> None:
    *parts, last = path.split(".")
    block = original
    for part in parts:
        block = block[part]
    if value == "absent":
        del block[last]
    else:
        block[last] = value
    (folder / "config.json").write_text(json.dumps(original))
    with pytest.raises(FormatError, match=path.replace(".", r"\.")):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", "other", "format"),
        ("format_version", 2, "format_version: expected 1, got 2"),
        ("family", "other", "family"),
        ("model.context", "codes", "num_voices"),
        ("model.decoder.text_layers", [0, 0], "text_layers"),
        ("model.decoder.text_layers", [9], "text_layers"),
        ("model.decoder.heads", 5, "divisor of dim 64"),
        ("model.text_encoder.dim", 128, "expected 64"),
        ("model.text_vocab", 41, "text_embedding"),
        ("model.tokens.forbidden", [96], "forbidden"),
        ("model.local_transformer.kind", "rnn", "autoregressive, maskgit"),
        ("defaults.eos_method", "never", "eos_method"),
        ("defaults.cfg_scale", float("inf"), "cfg_scale"),
        ("model.speakers", {"A": 3}, "speakers"),
        ("model.tokens.forbidden", list(range(17)), "at most 16 ids"),
    ],
)
def test_inconsistent_values(
    folder: Path, original: Any, path: str, value: Any, message: str
) -> None:
    *parts, last = path.split(".")
    block = original
    for part in parts:
        block = block[part]
    block[last] = value
    (folder / "config.json").write_text(json.dumps(original))
    with pytest.raises(FormatError, match=message):
        open_checkpoint(folder)


Bounds = dict[str, set[tuple[float, float]]]


def bounds_in(source: str, names: dict[str, Any]) -> Bounds:
    """Returns field -> (minimum, maximum) of all calls `integer("field", minimum, maximum)`."""
    found: Bounds = {}
    call = r'(?:int32|integer|number)\(\s*"(\w+)", ([^,()]+), ([^,()]+)\)'
    for field, low, high in re.findall(call, source):
        with contextlib.suppress(NameError):  # a limit that depends on another field
            limits = (eval(low, {"m": m, **names}), eval(high, {"m": m, **names}))
            found.setdefault(field, set()).add(limits)
    return found


def test_limits_are_those_of_the_library() -> None:
    """Both readers of config.json have the same limits, so a converted checkpoint also builds."""
    model = ROOT / "cpp" / "src" / "model"
    constants: dict[str, Any] = {}
    theirs = ""
    for name in (
        "config.h",
        "config.cpp",
        "magpie/config.h",
        "magpie/config.cpp",
        "magpie/defaults.cpp",
    ):
        theirs += (model / name).read_text()
    # A stack of the causal decoders is none of this family's.
    theirs = re.sub(r"\nStackConfig read_causal_stack.*?\n}\n", "\n", theirs, flags=re.DOTALL)
    for name, value in re.findall(r"constexpr std::int\w+ (k\w+) = ([^;]+);", theirs):
        constants[name] = eval(value, {})
    expected = bounds_in(theirs, constants)
    got = bounds_in(Path(magpie_json.__file__).read_text(), {})
    assert len(got) > 30
    assert got == expected
    assert f'"forbidden", 0, vocab - 1, {m.MAX_FORBIDDEN})' in theirs
    assert f"config.stack_codes() <= {m.MAX_TABLES}" in theirs


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\x00"])
def test_files_that_are_not_a_config_are_refused(folder: Path, original: Any, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(FormatError):
        open_checkpoint(folder)
