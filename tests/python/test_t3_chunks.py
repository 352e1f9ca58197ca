"""Texts of a T3 in chunks: cut between sentences, each spoken as a text of its own."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.convert import convert
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.synth import write_random_conds, write_random_t3
from ttsrt_rt.text.t3_front_end import chunks_of

SENTENCE = "hello world " * 10 + "hello."  # 126 characters


def test_sentences_are_joined_up_to_300_characters() -> None:
    parts = [f"{SENTENCE} {SENTENCE}  ", f"{SENTENCE} ", "hello " * 60 + "hello. ", SENTENCE]
    text = "".join(parts)
    assert [text[begin:end] for begin, end in chunks_of(text)] == parts
    assert list(chunks_of(text[:300])) == [(0, 300)]
    assert list(chunks_of("")) == [(0, 0)]
    for blank in (" " * 301, "a" * 301, "a." + " " * 400):
        assert "".join(blank[begin:end] for begin, end in chunks_of(blank)).strip() == blank.strip()


@pytest.mark.parametrize("variant", ["tiny", "tiny_turbo"])
def test_chunks_are_spoken_as_texts_of_their_own(tmp_path: Path, variant: str) -> None:
    source = tmp_path / ("t3_turbo.safetensors" if "turbo" in variant else "t3_cfg.safetensors")
    write_random_t3(source, variant, seed=1)
    write_random_conds(tmp_path / "conds.pt", variant, seed=1)
    made = convert(source, tmp_path / "ckpt", front_end=False, progress=False)
    config = json.loads((made / "config.json").read_text("utf-8"))
    config["defaults"]["max_frames"] = 12  # of a chunk
    (made / "config.json").write_text(json.dumps(config), "utf-8")
    rt.build(made, tmp_path / "engine", progress=False)
    chunks = [[3, 1, 4, 1, 5], [9, 2], [6, 5, 3, 5, 8, 9, 7], [9, 3]]
    whole: dict[str, Any] = {
        "text_ids": [*chain(*chunks)],
        "text_chunks": [len(each) for each in chunks],
    }
    fields: dict[str, Any] = {"voice": "default", "temperature": 0.0}
    for device in ("reference", "cpu"):
        with rt.Executor(tmp_path / "engine", device=device) as executor:
            parts = [executor.generate(text_ids=each, **fields) for each in chunks]
            result = executor.generate(**whole, **fields)
            assert result.chunk_frames is not None and result.chunk_steps is not None
            assert result.chunk_frames.tolist() == [len(each.codes) for each in parts]
            expected = np.concatenate([each.codes for each in parts])
            np.testing.assert_array_equal(result.codes, expected)
            crowd = executor.generate(
                [rt.Request(**whole, voice="default", seed=seed) for seed in range(3)]
            )
            for seed, each in enumerate(crowd):
                alone = executor.generate(**whole, voice="default", seed=seed)
                np.testing.assert_array_equal(each.codes, alone.codes)
            limited = executor.generate(**whole, **fields, max_frames=len(expected) - 1)
            np.testing.assert_array_equal(limited.codes, expected[:-1])
            assert limited.finish_reason == "length"
            with pytest.raises(ConfigError, match="text_chunks: expected 16 ids in all"):
                executor.generate(text_ids=whole["text_ids"], text_chunks=[3, 4], **fields)
            with pytest.raises(ConfigError, match="text_chunks: expected 16 ids in all"):
                executor.generate(text_ids=whole["text_ids"], text_chunks=[3], **fields)
