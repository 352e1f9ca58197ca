"""Texts of requests to F5-TTS: the ids of its vocabulary, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.f5.front_end import FrontEnd
from ttsrt_rt.f5.rules import RULES
from ttsrt_rt.f5.spectra import USUAL
from ttsrt_rt.f5.text import F5FrontEnd, open_f5_front_end
from ttsrt_rt.synth import write_random_f5
from ttsrt_rt.text import F5Tokenizer

TOKENIZER = F5Tokenizer((" ", "a", "b"))
FRONT_END = F5FrontEnd(FrontEnd(USUAL, RULES["f5"], TOKENIZER), TOKENIZER)


def test_ids() -> None:
    spoken = FRONT_END.speak("ab a", None, rt.TextOptions(split="never"))
    assert spoken.ids.tolist() == [1, 2, 0, 1] and spoken.ids.dtype == np.int32
    assert spoken.spans is None and spoken.chunks == (4,) and spoken.text == "ab a"
    unknown = FRONT_END.speak("axbx\u00e9", None, rt.TextOptions())
    assert unknown.ids.tolist() == [1, 0, 2, 0, 0] and unknown.dropped == {"x": 2, "\u00e9": 1}
    with pytest.raises(rt.ConfigError, match="text: expected characters that the vocabulary"):
        FRONT_END.speak("ax", None, rt.TextOptions(strict=True))


def test_what_is_refused() -> None:
    with pytest.raises(rt.ConfigError, match="language: expected none, as F5-TTS tells it"):
        FRONT_END.speak("a", "en", rt.TextOptions())
    with pytest.raises(rt.ConfigError, match="normalize: expected none for F5-TTS, got 'numbers'"):
        FRONT_END.speak("a", None, rt.TextOptions(normalize="numbers"))
    with pytest.raises(rt.ConfigError, match="text has no speakable symbol"):
        FRONT_END.speak(" ", None, rt.TextOptions())
    with pytest.raises(rt.ConfigError, match="lone surrogate at 0"):
        FRONT_END.speak("\ud800", None, rt.TextOptions())


def test_a_model_without_a_vocabulary_has_no_front_end() -> None:
    model = {"text_vocab": 2, "sample_rate": 22050, "hop": 300, "mel_bins": 80}
    assert open_f5_front_end({"model": model}, "engine") is None


def test_a_request(tmp_path: Path) -> None:
    source = write_random_f5(tmp_path / "model_1.safetensors", "tiny", 4)
    checkpoint = rt.convert(source, tmp_path / "ckpt", variant="v1", progress=False)
    rt.build(checkpoint, tmp_path / "engine", max_seq_len=400)
    with rt.Executor(tmp_path / "engine", device="cpu", num_threads=1) as executor:
        assert executor.languages == {}
        flow = rt.Flow(steps=2, duration=40)
        result = executor.generate(text="a few words", flow=flow, seed=3)
        again = executor.generate(text_ids=result.text_ids, flow=flow, seed=3)
        assert result.text == "a few words" and result.spectrogram is not None
        assert again.spectrogram is not None
        assert np.array_equal(result.spectrogram, again.spectrogram)
