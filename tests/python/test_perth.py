"""Perth's own detector finds our marks, where the package `resemble-perth` and what it imports are
installed.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from tests.python.text.test_t3_tokenizer import write_english
from ttsrt_rt import watermark
from ttsrt_rt.audio import read_audio
from ttsrt_rt.cli import main
from ttsrt_rt.convert import convert
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.synth import write_random_conds, write_random_s3gen, write_random_t3

_HAS_PERTH = "perth.perth_net.perth_net_implicit.perth_watermarker"
Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def perth() -> Any:
    """The original class."""
    pytest.importorskip("perth", reason="needs the package resemble-perth")
    pytest.importorskip(_HAS_PERTH, reason="needs what resemble-perth imports")
    watermark._perth.cache_clear()
    return importlib.import_module("perth").PerthImplicitWatermarker()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T3 with its S3Gen."""
    folder = tmp_path_factory.mktemp("marked")
    write_random_t3(folder / "t3_cfg.safetensors", "tiny", 1)
    write_random_s3gen(folder / "s3gen.safetensors", "tiny", 2)
    write_random_conds(folder / "conds.pt", "tiny", 4)
    write_english(folder)
    made = convert(folder, folder / "checkpoint", progress=False)
    rt.build(made, folder / "engine", max_seq_len=600, max_batch_size=2, progress=False)
    return folder / "engine"


def tone(seconds: float, rate: int) -> Samples:
    """A voiced sound: harmonics of a pitch that rises and falls, louder and softer."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * time)) / rate
    loud = 0.08 + 0.07 * np.sin(2 * np.pi * 3 * time)
    return np.asarray(sum(np.sin(h * phase) / h for h in range(1, 20)) * loud, np.float32)


def confidence(original: Any, samples: Samples, rate: int) -> float:
    """What the detector says: 0 without a mark, 1 with one."""
    return float(original.get_watermark(samples, sample_rate=rate, round=False))


@pytest.mark.parametrize("rate", [22050, 24000, 32000, 44100])
@pytest.mark.parametrize("seconds", [1.0, 1.2347])
def test_marks_are_found(perth: Any, rate: int, seconds: float) -> None:
    sound = tone(seconds, rate)
    marked = watermark.open_watermark("perth").mark(sound, rate)
    assert marked.shape == sound.shape and marked.dtype == np.float32
    assert confidence(perth, sound, rate) < 0.5 < 0.95 < confidence(perth, marked, rate)
    piece = slice(round(0.2 * rate) + 7, round(0.9 * rate))  # cut out and moved
    assert confidence(perth, marked[piece], rate) > 0.9


def test_a_mark_is_the_originals(perth: Any) -> None:
    """Sounds of Chatterbox have whole frames, so that nothing is padded."""
    sound = tone(0.96, 24000)
    expected = perth.apply_watermark(sound.copy(), sample_rate=24000)
    marked = watermark.open_watermark("perth").mark(sound, 24000)
    np.testing.assert_array_equal(marked, expected)
    assert len(perth.apply_watermark(sound[:-1].copy(), sample_rate=24000)) < len(sound) - 1


def test_short_and_silent_sounds(perth: Any) -> None:
    mark = watermark.open_watermark("perth").mark
    with pytest.raises(ConfigError, match=r"at least 0\.1 seconds of sound.*got 0\.040"):
        mark(tone(0.04, 24000), 24000)
    assert confidence(perth, mark(tone(0.1, 24000), 24000), 24000) > 0.5
    assert not mark(np.zeros(24000, np.float32), 24000).any()
    assert mark(np.zeros(0, np.float32), 24000).shape == (0,)


@pytest.mark.parametrize("mode", ["whole", "chunks"])
def test_results_and_files_are_marked(
    perth: Any,
    engine: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mode: Any,
) -> None:
    """Collected and streamed sound of both modes have one mark, which the command writes, too."""
    fields: dict[str, Any] = {"text": "hello world.", "voice": "default", "seed": 3}
    hops = (10,) if mode == "chunks" else ()
    fields |= {"max_frames": 40, "flow": rt.Flow(mode=mode, hops=hops)}
    with rt.Executor(engine, device="cpu") as executor:
        result = executor.generate(**fields)
        streamed = [event.audio for event in executor.stream(**fields) if event.audio is not None]
    assert result.audio is not None
    marked = watermark.watermarked(result, "perth")
    assert marked.audio is not None and marked.watermark == "perth"
    whole = watermark.open_watermark("perth").mark(np.concatenate(streamed), 24000)
    np.testing.assert_array_equal(marked.audio, whole)
    np.testing.assert_array_equal(
        marked.audio, perth.apply_watermark(result.audio.copy(), sample_rate=24000)
    )
    if mode == "whole":
        output = tmp_path / "said.wav"
        said = ["say", "hello world.", "--engine", str(engine), "-o", str(output), "--seed", "3"]
        watermark._perth.cache_clear()
        assert main([*said, "--max_seconds", "1.6", "--device", "cpu", "--watermark", "perth"]) == 0
        assert "PerthNet" not in capsys.readouterr().out
        np.testing.assert_allclose(read_audio(output).samples[:, 0], marked.audio, atol=1e-4)
