"""The tokenizer of a T3 release, packed with its checkpoint: ids, places, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.convert import convert
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.synth import write_random_conds, write_random_t3
from ttsrt_rt.text.t3_front_end import T3FrontEnd
from ttsrt_rt.text_options import TextOptions

from .test_t3_tokenizer import write_english, write_gpt2


def opened(checkpoint: Path) -> T3FrontEnd:
    description = json.loads((checkpoint / "text" / "front_end.json").read_text("utf-8"))
    return T3FrontEnd(checkpoint / "text", description)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("t3")
    write_random_t3(folder / "t3_cfg.safetensors", "tiny", seed=1)
    write_english(folder)
    return convert(folder / "t3_cfg.safetensors", folder / "ckpt", progress=False)


def test_a_release_is_packed(checkpoint: Path) -> None:
    front_end = opened(checkpoint)
    assert front_end.languages == {"en": "t3"} and front_end.default_language == "en"
    spoken = front_end.speak("hello  world\u2026", "en-US", TextOptions())
    # "Hello world," after the clean-up: START, letters and merges, SPACE, STOP.
    assert spoken.ids.dtype == np.int32 and spoken.ids[0] == 255 and spoken.ids[-1] == 0
    assert spoken.chunks == (len(spoken.ids),) and spoken.text == "hello  world\u2026"
    assert spoken.spans is not None
    shown = [spoken.text[begin:end] for begin, end in spoken.spans]
    assert "".join(shown) == "hello  world\u2026" and shown[0] == shown[-1] == ""
    assert "  " in shown and "\u2026" in shown


def test_characters_without_an_id_are_counted(checkpoint: Path) -> None:
    front_end = opened(checkpoint)
    text = "hello \u2603 world \u2603\u6f22."
    spoken = front_end.speak(text, None, TextOptions())
    assert spoken.dropped == {"\u2603": 2, "\u6f22": 1}
    assert not front_end.speak("hello world.", None, TextOptions(strict=True)).dropped


def test_a_gpt2_release_is_packed(tmp_path: Path) -> None:
    write_random_t3(tmp_path / "t3_turbo.safetensors", "tiny_turbo", seed=1)
    write_gpt2(tmp_path)
    made = convert(tmp_path / "t3_turbo.safetensors", tmp_path / "ckpt", progress=False)
    found = json.loads((made / "text" / "front_end.json").read_text("utf-8"))
    assert found["family"] == "t3" and found["variant"] == "turbo"
    assert {*found["files"]} >= {"vocab.json", "merges.txt"}
    spoken = opened(made).speak("Hello.", None, TextOptions(split="never"))
    assert spoken.spans is not None and len(spoken.spans) == len(spoken.ids)
    assert not opened(made).speak("\u2603 \u6f22", None, TextOptions(strict=True)).dropped


@pytest.mark.parametrize(
    ("text", "language", "options", "message"),
    [
        ("", None, {}, "text has no speakable symbol"),
        (" \n", None, {}, "text has no speakable symbol"),
        ("a\ud800", None, {}, "lone surrogate"),
        (5, None, {}, "text: expected text, got 5"),
        ("a", "de", {}, "language: expected one of en, got 'de'"),
        ("a", 3, {}, "language: expected one of en, got 3"),
        (
            "a\u2603",
            None,
            {"strict": True},
            "characters that the vocabulary of en has, got .*'\u2603'",
        ),
        (
            "a",
            None,
            {"lexicon": {"a": "b"}},
            "text_options.lexicon: expected none for T3, got {'a'",
        ),
        ("a", None, {"split": "sentences"}, "split: expected auto or never for T3, got sentences"),
    ],
)
def test_what_is_refused(
    checkpoint: Path, text: Any, language: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        opened(checkpoint).speak(text, language, TextOptions(**options))


def test_a_source_without_a_tokenizer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = write_random_t3(tmp_path / "t3_cfg.safetensors", "tiny", seed=1)
    made = convert(source, tmp_path / "ckpt", progress=False)
    assert not (made / "text").exists()
    assert "no text front end, so requests need text_ids" in caplog.text
    with pytest.raises(
        ConfigError, match=r"front_end: expected a tokenizer .*tokenizer\.json is not"
    ):
        convert(source, tmp_path / "two", front_end=True, progress=False)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(FormatError, match=r"tokenizer\.json"):
        convert(source, tmp_path / "two", progress=False)
    assert not (
        convert(source, tmp_path / "two", front_end=False, progress=False) / "text"
    ).exists()


def test_a_request_with_a_text(tmp_path: Path) -> None:
    write_random_t3(tmp_path / "t3_cfg.safetensors", "tiny", seed=1)
    write_random_conds(tmp_path / "conds.pt", "tiny", seed=1)
    write_english(tmp_path)
    made = convert(tmp_path / "t3_cfg.safetensors", tmp_path / "ckpt", progress=False)
    rt.build(made, tmp_path / "engine")
    with rt.Executor(tmp_path / "engine", device="reference") as executor:
        assert executor.languages == {"en": "t3"} and executor.engine.front_end is None
        result = executor.generate(text="hello world", voice="default", max_frames=3)
        assert result.text == "hello world" and result.language == "en"
        again = executor.generate(text_ids=result.text_ids, voice="default", max_frames=3)
        assert np.array_equal(result.codes, again.codes)


def test_long_texts_are_cut_between_sentences(checkpoint: Path) -> None:
    front_end = opened(checkpoint)
    sentence = "hello world " * 10 + "hello."  # 126 characters
    text = f"{sentence} {sentence}  {sentence} " + "hello " * 60 + f"hello. {sentence}"
    spoken = front_end.speak(text, None, TextOptions())
    parts = [f"{sentence} {sentence}  ", f"{sentence} ", "hello " * 60 + "hello. ", sentence]
    assert "".join(parts) == text
    alone = [front_end.speak(part, None, TextOptions()) for part in parts]
    assert spoken.chunks == tuple(len(each.ids) for each in alone)
    np.testing.assert_array_equal(spoken.ids, np.concatenate([each.ids for each in alone]))
    assert spoken.spans is not None
    assert (np.diff(spoken.spans[:, 0])[spoken.spans[1:, 0] > 0] >= 0).all()
    assert len(front_end.speak(text, None, TextOptions(split="never")).chunks) == 1
    assert len(front_end.speak(text[:300], None, TextOptions()).chunks) == 1
