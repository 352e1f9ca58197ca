"""What decides whether a row is spoken again."""

from __future__ import annotations

import argparse
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttsrt_rt.cli.say_key import RowHash, engine_hash
from ttsrt_rt.cli.say_rows import Row
from ttsrt_rt.code_voice import write_code_voice
from ttsrt_rt.text.lexicon import parse_lexicon
from ttsrt_rt.text_options import TextOptions

ROW = Row(1, "a", "Hello.")


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    folder = tmp_path / "engine"
    for name in ("engine.json", "text/front_end.json", "text/words.table", "voices/me.safetensors"):
        write(folder / name, b"x")
    write(folder / "weights.safetensors", b"x")
    return folder


def hash_of(engine: Path, row: Row = ROW, seed: int = 1, **change: Any) -> str:
    args = argparse.Namespace(
        **{name: change.get(name) for name in ("format", "voice", "watermark")}
    )
    kinds = [types.SimpleNamespace(kind=each) for each in change.get("kinds", ["ipa"])]
    executor: Any = types.SimpleNamespace(
        engine=types.SimpleNamespace(
            path=str(engine), front_end=types.SimpleNamespace(tokenizers=lambda: kinds)
        ),
        info=types.SimpleNamespace(device=change.get("device", "cpu")),
        voices=lambda: ["Aria"],
    )
    fields = {"seed": 3, "text_options": change.get("options", TextOptions())}
    return RowHash(args, executor, fields | change.get("fields", {})).of(row, seed)


def test_files_of_the_engine(engine: Path) -> None:
    seen = {engine_hash(engine)}
    for name in ("engine.json", "text/front_end.json", "text/words.table", "voices/me.safetensors"):
        write(engine / name, b"y")
        seen.add(engine_hash(engine))
    (engine / "text" / "words.table").rename(engine / "text" / "others.table")
    seen.add(engine_hash(engine))
    (engine / "voices" / "me.safetensors").unlink()
    seen.add(engine_hash(engine))
    assert len(seen) == 7
    write(engine / "weights.safetensors", b"y")  # engine.json has their hashes
    assert engine_hash(engine) in seen


def test_each_thing_counts(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"num2words": "1", "nemo_text_processing": "1", "jieba": "1"}
    monkeypatch.setattr("importlib.metadata.version", lambda name: versions.get(name, "0"))
    ssml = TextOptions(markup="ssml")
    lexicon = TextOptions(lexicon=parse_lexicon("a b"))
    changes: list[dict[str, Any]] = [
        {},
        {"device": "cuda:0"},
        {"format": "flac"},
        {"voice": "Aria"},
        {"fields": {"top_k": 3}},
        {"seed": 2},
        {"row": Row(1, "a", "Hello!")},
        {"row": Row(1, "a", "Hello.", "Aria")},
        {"row": Row(1, "a", "Hello.", None, "de")},
        {"options": ssml},
        {"options": TextOptions(normalize="numbers")},
        {"options": TextOptions(strict=True)},
        {"options": TextOptions(terminal_punctuation=True)},
        {"options": lexicon},
        {"options": TextOptions(lexicon={"a": "c"})},
        {"watermark": "perth"},
        {"kinds": ["mandarin"]},
    ]
    seen = [hash_of(engine, **each) for each in changes]
    assert len(set(seen)) == len(changes)
    assert [hash_of(engine, **each) for each in changes] == seen
    versions["num2words"] = "2"
    assert hash_of(engine) == seen[0]
    assert hash_of(engine, options=ssml) != seen[9]
    versions["jieba"] = "2"
    assert hash_of(engine) == seen[0] and hash_of(engine, kinds=["mandarin"]) != seen[-1]
    assert hash_of(engine, options=TextOptions(lexicon={"a": "b"})) == seen[13]


def test_the_content_of_voice_files(engine: Path, tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    found = []
    for first in (0, 1):
        codes = np.arange(first, first + 8, dtype=np.int32).reshape(2, 4)
        write_code_voice(path, codes, "magpie")
        row = Row(1, "a", "Hello.", str(path))
        found += [hash_of(engine, voice=str(path)), hash_of(engine, row)]
    assert len(set(found)) == 4
