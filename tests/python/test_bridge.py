"""The code of docs/bridge.md, run from the page with stand-ins of NeMo's classes and PyTorch."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from tests.conftest import source_of
from tests.house import ROOT

SAMPLES_PER_FRAME = 4
CODEBOOKS = 4


class FakeTensor:
    """The part of a tensor that the page uses, over a NumPy array."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values
        self.shape = values.shape

    def __getitem__(self, key: Any) -> FakeTensor:
        return FakeTensor(self.values[key])

    def __int__(self) -> int:
        return int(self.values)

    def float(self) -> FakeTensor:
        return FakeTensor(self.values.astype(np.float32))

    def numpy(self) -> NDArray[Any]:
        return self.values


class FakeTokenizer:
    """As NeMo's AggregatedTTSTokenizer: a name and a text become offset ids."""

    tokenizers = {"french_chartokenizer": object(), "english_phoneme": object()}  # noqa: RUF012

    def encode(self, text: str, tokenizer_name: str | None = None) -> list[int]:
        assert tokenizer_name == "english_phoneme"
        return [1 + ord(letter) % 20 for letter in text]


class FakeCodec:
    """As NeMo's CodecHelper: [batch, codebooks, frames] and lengths."""

    def codes_to_audio(self, codes: FakeTensor, codes_len: FakeTensor) -> tuple[Any, Any, Any]:
        assert codes.values.dtype == np.int64 and codes.values.ndim == 3
        assert codes.shape[1] == CODEBOOKS and codes.shape[2] == int(codes_len[0])
        frames = codes.shape[2]
        audio = np.zeros((1, frames * SAMPLES_PER_FRAME + 3))  # padded, as a codec may
        return FakeTensor(audio), FakeTensor(np.array([frames * SAMPLES_PER_FRAME])), codes

    def audio_to_codes(
        self, audio: FakeTensor, audio_len: FakeTensor, sample_rate: int | None = None
    ) -> tuple[FakeTensor, FakeTensor]:
        assert audio.values.ndim == 2 and sample_rate == 22050
        frames = int(audio_len[0]) // SAMPLES_PER_FRAME
        codes = np.arange(CODEBOOKS * (frames + 1)).reshape(1, CODEBOOKS, frames + 1)
        return FakeTensor(codes), FakeTensor(np.array([frames]))


def nemo_modules(model: SimpleNamespace) -> dict[str, ModuleType]:
    models = ModuleType("nemo.collections.tts.models")
    restore = SimpleNamespace(restore_from=lambda path, map_location: model)
    models.MagpieTTSModel = restore  # type: ignore[attr-defined]
    utils = ModuleType("nemo.collections.tts.parts.utils.tts_dataset_utils")

    def get_tokenizer_for_language(language: str, available_tokenizers: list[str]) -> str:
        return {"en": "english_phoneme"}[language]

    utils.get_tokenizer_for_language = get_tokenizer_for_language  # type: ignore[attr-defined]
    torch = ModuleType("torch")
    torch.from_numpy = FakeTensor  # type: ignore[attr-defined]
    torch.tensor = lambda values: FakeTensor(np.array(values))  # type: ignore[attr-defined]
    made = {models.__name__: models, utils.__name__: utils, "torch": torch}
    for name in ("nemo", "nemo.collections", "nemo.collections.tts", "nemo.collections.tts.parts"):
        made[name] = ModuleType(name)
    made["nemo.collections.tts.parts.utils"] = ModuleType("nemo.collections.tts.parts.utils")
    return made


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Path) -> None:
    eos = rt.Engine.open(engine).info.special_ids["text_eos"]
    model = SimpleNamespace(
        tokenizer=FakeTokenizer(), eos_id=eos, _codec_helper=FakeCodec(), _codec_converter=None
    )
    model.eval = lambda: model
    for name, module in nemo_modules(model).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TTSRT_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "magpie.nemo").symlink_to(source_of("tinyhf"))
    page = (ROOT / "docs" / "bridge.md").read_text("utf-8")
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(compile(block, "docs/bridge.md", "exec"), names)
    assert names["ids_of"]("ab").tolist() == [1 + 97 % 20, 1 + 98 % 20, eos]
    assert len(names["sound"]) == len(names["result"].codes) * SAMPLES_PER_FRAME
    assert names["sound_of"](np.zeros((0, CODEBOOKS), np.int32)).shape == (0,)
    ids = {"context_bos": 30, "context_eos": 31}
    voice = names["voice_of"](
        np.zeros(5 * SAMPLES_PER_FRAME, np.float32), 22050, SimpleNamespace(special_ids=ids)
    )
    assert voice.shape == (7, CODEBOOKS) and voice.dtype == np.int32
    assert set(voice[0]) == {30} and set(voice[-1]) == {31} and voice[1].tolist()[1] == 6
