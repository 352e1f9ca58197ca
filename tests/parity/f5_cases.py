"""The cases of F5-TTS that were run with the original (originals/f5.py): random networks, runs,
texts and sounds, all made with seeds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.audio import Sound
from ttsrt_rt.synth.f5_layout import f5_size

Floats = NDArray[np.float32]

DATA = Path(__file__).resolve().parents[1] / "data" / "f5"
SEED = 11
FRAMES, PROMPT_FRAMES, TEXT_LENGTH = 40, 14, 19
MEL_KINDS = ("vocos", "bigvgan")
RATES = (8000, 16000, 22050, 44100, 48000)
V0 = {"text_mask_padding": False, "pe_attn_head": 1}
V1 = {"text_mask_padding": True, "pe_attn_head": None}

# Networks: their size and the flags of the original. `variant` and `config` are what convert gets.
NETWORKS: dict[str, dict[str, Any]] = {
    "v0": {"size": "tiny", "flags": V0, "variant": "v0"},
    "v1": {"size": "tiny", "flags": V1, "variant": "v1"},
    "masked_v0": {"size": "tiny", "flags": {**V0, "text_mask_padding": True}, "variant": "v0"},
    "unmasked_v1": {"size": "tiny", "flags": {**V1, "text_mask_padding": False}, "variant": "v1"},
    "upsampled": {
        "size": "tiny",
        "flags": {**V1, "text_embedding_average_upsampling": True},
        "variant": "v1",
    },
    "normed": {"size": "tiny_norm", "flags": V1, "variant": "v1"},
    "normed_v0": {"size": "tiny_norm", "flags": V0, "variant": "v0"},
}

# Whole runs, without sway unless they say so.
SAMPLES: dict[str, dict[str, Any]] = {
    "guided_v0": {"network": "v0", "steps": 4, "sway": -1.0, "use_epss": False},
    "epss_16_v0": {"network": "v0", "steps": 16, "sway": -1.0},
    "masked_v0": {"network": "masked_v0", "steps": 4},
    "unmasked_v1": {"network": "unmasked_v1", "steps": 4, "sway": -1.0},
    "upsampled": {"network": "upsampled", "steps": 6, "sway": -1.0},
    "normed": {"network": "normed", "steps": 10, "sway": -1.0},
    "normed_v0": {"network": "normed_v0", "steps": 2, "method": "midpoint"},
    "epss_12": {"network": "v1", "steps": 12, "cfg": 1.0, "sway": -0.5},
    "uniform_32": {"network": "v1", "steps": 32, "cfg": 5.0, "sway": -1.0},
    "one": {"network": "v1", "steps": 1},
    "epss_7": {"network": "v1", "steps": 7, "sway": -1.0},
    "epss_5": {"network": "v1", "steps": 5},
    "uniform_7": {"network": "v1", "steps": 7, "sway": -1.0, "use_epss": False},
    "plain": {"network": "v1", "steps": 3, "cfg": 0.0},
    "strong": {"network": "v1", "steps": 3, "cfg": 3.5, "sway": 0.4},
    "midpoint": {"network": "v1", "steps": 3, "method": "midpoint", "sway": -1.0},
    "no_ref_audio": {"network": "v1", "steps": 3, "no_ref_audio": True},
    "lens": {"network": "v1", "steps": 3, "lens": 9},
    "edited": {
        "network": "v1",
        "steps": 3,
        "edit_mask": [index % 5 != 2 for index in range(PROMPT_FRAMES)],
    },
}

# A batch: samples with other texts, prompts and frames. The original runs each of them alone, as it
# gives samples of unequal lengths other results in company; `together` have equal lengths, and run
# as one batch there, too.
BATCH: dict[str, dict[str, list[int]]] = {
    "together": {"words": [19, 7, 12], "lens": [14, 9, 11], "duration": [FRAMES] * 3},
    "ragged": {"words": [19, 5, 1], "lens": [14, 3, 8], "duration": [FRAMES, 21, 5]},
}
BATCH_FLOW: dict[str, Any] = {"steps": 6, "sway": -1.0}

# Fields of `Flow` that have other names there.
FLOW_NAMES = {"cfg": "cfg_strength", "sway": "sway_sampling_coef"}


def flow_of(run: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of `Flow` of a run."""
    given = {
        FLOW_NAMES.get(key, key): value
        for key, value in run.items()
        if key not in ("network", "edit_mask")
    }
    return {"cfg_strength": 2.0, "sway_sampling_coef": 0.0, "use_epss": True} | given


# Texts of every rule of the original, and what people write.
TEXTS: list[str] = json.loads((DATA / "texts.json").read_text("utf-8"))

# References: rate, channels, and pieces of (seconds, level).
Piece = tuple[float, float]
SOUNDS: dict[str, tuple[int, int, tuple[Piece, ...]]] = {
    "short": (24000, 1, ((0.3, 0.0), (2.0, 0.3), (0.4, 0.0))),
    "quiet_stereo": (44100, 2, ((0.25, 0.001), (3.3, 0.05), (1.2, 0.0), (2.01, 0.2), (0.1, 0.0))),
    "long_gaps": (16000, 1, ((5.0, 0.3), (1.5, 0.0), (4.0, 0.3), (1.1, 0.0), (6.0, 0.2))),
    "short_gaps": (22050, 1, ((5.0, 0.3), (0.3, 0.0), (4.0, 0.3), (0.2, 0.0), (6.12, 0.2))),
    "no_gaps": (48000, 1, ((14.0, 0.2),)),
    "silent_ends": (24000, 1, ((1.5, 0.0), (3.0, 0.2), (2.5, 0.0), (2.0, 0.2), (2.0, 0.0))),
}


def inputs_of(size: str) -> dict[str, Any]:
    """Returns the inputs of a network: `x` and `cond` [frames, bins], `prompt`, `ids`, `time`."""
    random = np.random.default_rng([SEED, 1])
    model = f5_size(size)
    x = random.normal(size=(FRAMES, model.mel_bins)).astype(np.float32)
    prompt = random.normal(-2.0, 2.0, (PROMPT_FRAMES, model.mel_bins)).astype(np.float32)
    cond = np.zeros_like(x)
    cond[:PROMPT_FRAMES] = prompt
    ids = [int(each) for each in random.integers(0, model.vocab, TEXT_LENGTH)]
    return {"x": x, "cond": cond, "prompt": prompt, "ids": ids, "time": 0.3125}


def batch_of(name: str) -> dict[str, Any]:
    """Returns a batch: `prompts` [samples, frames, bins], `text` [samples, words] with -1 behind
    shorter ones, `noise` [samples, frames, bins], `frames` of each sample, `lens` and `duration`.
    """
    case, random = BATCH[name], np.random.default_rng([SEED, 2])
    model, size = f5_size("tiny"), len(BATCH[name]["words"])
    prompts = random.normal(-2.0, 2.0, (size, PROMPT_FRAMES, model.mel_bins)).astype(np.float32)
    text = random.integers(0, model.vocab, (size, max(case["words"])))
    for row, words in zip(text, case["words"], strict=True):
        row[words:] = -1
    frames = [
        max(max(words, lens) + 1, duration)
        for words, lens, duration in zip(*case.values(), strict=True)
    ]
    noise = random.normal(size=(size, max(frames), model.mel_bins)).astype(np.float32)
    return {"prompts": prompts, "text": text, "noise": noise, "frames": frames} | {
        key: case[key] for key in ("lens", "duration")
    }


def kept(values: NDArray[Any]) -> NDArray[Any]:
    """Returns what is stored of an array of the network: every fourth row and column."""
    return np.ascontiguousarray(values[::4, ::4])


def wave_of(rate: int) -> Floats:
    """Returns a third of a second of sweeping tones and noise, float32 [samples]."""
    time = np.arange(rate // 3) / rate
    noise = np.random.default_rng([SEED, rate]).normal(0, 0.02, len(time))
    sweep = np.sin(2 * np.pi * (200 * time + 3000 * time**2))
    return (0.4 * sweep + noise).astype(np.float32)


def sound_of(name: str) -> Sound:
    """Returns a reference: 16-bit values as floats."""
    rate, channels, pieces = SOUNDS[name]
    random = np.random.default_rng([SEED, len(name)])
    parts = []
    for seconds, level in pieces:
        time = np.arange(int(seconds * rate)) / rate
        tone = np.sin(2 * np.pi * 180 * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
        parts.append(level * tone + random.normal(0, level * 0.05 + 1e-5, len(time)))
    whole = np.rint(np.concatenate(parts).clip(-1, 1) * 32767) / 32768
    samples = np.repeat(whole[:, None], channels, axis=1).astype(np.float32)
    return Sound(samples, rate)
