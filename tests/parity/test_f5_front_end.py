"""Durations, chunks, levels and joins against F5-TTS's own front end, which runs here with
stand-ins for the network and the vocoder, where it is installed.

The original's seeds are of the process; ours are of the request, so noise is not compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parity.f5_cases import sound_of
from tests.parity.f5_originals import find_originals
from ttsrt_rt.f5.plan import PlanOptions, Room, plan_speech
from ttsrt_rt.f5.prompt import clip_reference, prepare_prompt
from ttsrt_rt.f5.rules import RULES, chunk_text, end_reference, join_waves, max_chunk_bytes
from ttsrt_rt.text.f5_tokenizer import to_tokens
from ttsrt_rt.text.segments import has_han

NEEDED = ("f5_tts", "vocos", "torchaudio", "torchdiffeq", "x_transformers", "pydub", "soundfile")
HOP = 256
TEXTS = {
    "one": "A short sentence, which is one chunk.",
    "tiny": "Hi.",
    "several": " ".join(
        f"This is sentence number {i}, which says little; it goes on." for i in range(12)
    ),
    "indic": "नमस्ते दुनिया, यह एक परीक्षण है। यह दूसरा वाक्य है, ठीक? हाँ! " * 4,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "usual": {},
    "fast": {"speed": 1.3},
    "fixed": {"fix_duration": 21.5},
    "plain_joins": {"cross_fade": 0.0},
    "long_joins": {"cross_fade": 0.6},
}


class Recorder:
    """Stands for the network: remembers what it was asked, and gives each chunk its own mel."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.calls: list[dict[str, Any]] = []

    def sample(self, *, cond: Any, text: Any, duration: int, **_options: Any) -> tuple[Any, None]:
        self.calls.append({"cond": cond, "text": text[0], "duration": duration})
        mel = self.torch.arange(duration, dtype=self.torch.float32)[None, :, None]
        return mel + self.torch.zeros(1, 1, 100), None


class Vocoder:
    """Stands for the vocoder: (frames - 1) * 256 samples that tell their frame."""

    def decode(self, mel: Any) -> Any:
        return mel[:, 0, :-1].repeat_interleave(HOP, dim=1) / 1000


@pytest.fixture(scope="module")
def originals() -> Any:
    """The originals; the test is skipped where one is not installed."""
    return find_originals(NEEDED).load()


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("sound", ["short", "quiet_stereo"])
def test_a_whole_text(sound: str, name: str, option: str, originals: Any, tmp_path: Path) -> None:
    assert not has_han(TEXTS[name])
    torch, options = originals.torch, OPTIONS[option]
    clipped = clip_reference(sound_of(sound), RULES["f5"])
    ref_text = end_reference("What the voice says here")
    theirs = dict(options)
    if "cross_fade" in theirs:
        theirs["cross_fade_duration"] = theirs.pop("cross_fade")
    seconds = len(clipped.samples) / clipped.sample_rate
    speed = options.get("speed", 1.0)
    size = len(ref_text.encode())
    max_chars = int(size / seconds * (22 - seconds) * speed)
    assert max_chunk_bytes(ref_text, seconds, RULES["f5"], speed) == max_chars
    chunks = chunk_text(TEXTS[name], max_chars)
    assert chunks == originals.front_end.chunk_text(TEXTS[name], max_chars=max_chars)
    network = Recorder(torch)
    samples = torch.from_numpy(clipped.samples.T.copy())
    wave, _, _ = next(
        originals.front_end.infer_batch_process(
            (samples, clipped.sample_rate),
            ref_text,
            chunks,
            network,
            Vocoder(),
            progress=None,
            device="cpu",
            **theirs,
        )
    )
    prompt = prepare_prompt(clipped)
    room = Room(24000 / HOP, 1 << 20)
    made = plan_speech(TEXTS[name], ref_text, prompt, RULES["f5"], PlanOptions(**options), room)
    # The original's chunks run in threads; the joined sound has their order.
    assert sorted(call["duration"] for call in network.calls) == sorted(
        chunk.frames for chunk in made
    )
    spoken = {"".join(call["text"]) for call in network.calls}
    assert spoken == {"".join(to_tokens(chunk.text)) for chunk in made}
    assert len(network.calls[0]["cond"][0]) // HOP == prompt.ref_frames
    parts = [
        np.repeat(np.arange(prompt.ref_frames, chunk.frames - 1), HOP).astype(np.float32) / 1000
        for chunk in made
    ]
    gain = np.float32(prompt.gain)
    joined = join_waves([part * gain for part in parts], options.get("cross_fade", 0.15), 24000)
    assert joined.shape == wave.shape
    np.testing.assert_allclose(joined, wave, atol=1e-6)
