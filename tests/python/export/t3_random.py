"""Random T3 checkpoints in our layout, and voices for them, small enough for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt import voice_file
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.voice_file import VoiceFile

Floats = NDArray[np.float32]

TEXT_VOCAB, SPEECH_VOCAB, DIM, LAYERS, HEADS, FFN = 40, 96, 32, 2, 4, 48
HEAD_DIM = DIM // HEADS
SPEAKER, QUERIES, MAX_PROMPT = 256, 5, 12
BOS, EOS = 90, 91
ROPE = {
    "kind": "llama3",
    "dims": HEAD_DIM,
    "theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_positions": 64,
}


def llama_stack() -> dict[str, Any]:
    return {
        "layers": LAYERS,
        "dim": DIM,
        "ffn_dim": FFN,
        "heads": HEADS,
        "kv_heads": HEADS,
        "head_dim": HEAD_DIM,
        "max_positions": 512,
        "learned_positions": False,
        "parallel": False,
        "norm": "rms",
        "norm_bias": False,
        "norm_epsilon": 1e-5,
        "attention_bias": False,
        "attention_scale": None,
        "rope": ROPE,
        "activation": "silu",
        "gated": True,
        "ffn_bias": False,
    }


def gpt_stack() -> dict[str, Any]:
    return {
        **llama_stack(),
        "learned_positions": True,
        "norm": "layer",
        "norm_bias": True,
        "attention_bias": True,
        "rope": None,
        "activation": "gelu_tanh",
        "gated": False,
        "ffn_bias": True,
    }


def t3_model(variant: str) -> dict[str, Any]:
    """Returns `model` of config.json; "turbo" is the GPT kind, all others are the Llama kind."""
    is_gpt = variant in ("turbo", "nano")
    return {
        "variant": variant,
        "speech_vocab": SPEECH_VOCAB,
        "speech_rows": SPEECH_VOCAB + (variant == "flash"),
        "text_vocab": TEXT_VOCAB,
        "frame_rate": 25.0,
        "bos": BOS,
        "eos": EOS,
        "start_rows": 2 if variant in ("english", "multilingual") else 1,
        "text_positions": 0 if is_gpt else 60,
        "speech_positions": 0 if is_gpt else 80,
        "head_bias": is_gpt,
        "text_start": None if is_gpt else 7,
        "text_stop": None if is_gpt else 0,
        "processors": "turbo" if is_gpt else "t3",
        "conditioning": {
            "speaker_dim": SPEAKER,
            "queries": 0 if is_gpt else QUERIES,
            "heads": 0 if is_gpt else HEADS,
            "norm_epsilon": 1e-5,
            "emotion": not is_gpt,
            "max_prompt": MAX_PROMPT,
        },
        "decoder": gpt_stack() if is_gpt else llama_stack(),
    }


def t3_shapes(model: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every tensor of such a checkpoint."""
    shapes: dict[str, tuple[int, ...]] = {
        "text_embedding": (TEXT_VOCAB, DIM),
        "speech_embedding": (model["speech_rows"], DIM),
        "head": (SPEECH_VOCAB, DIM),
        "decoder.norm_out": (DIM,),
        "conditioning.speaker": (DIM, SPEAKER),
        "conditioning.speaker_bias": (DIM,),
    }
    for layer in range(LAYERS):
        where = f"decoder.layers.{layer}."
        shapes |= {
            where + "self_norm": (DIM,),
            where + "self_qkv": (3 * DIM, DIM),
            where + "self_out": (DIM, DIM),
            where + "ffn_norm": (DIM,),
            where + "ffn_in": (FFN * (2 if model["decoder"]["gated"] else 1), DIM),
            where + "ffn_out": (DIM, FFN),
        }
    if model["decoder"]["learned_positions"]:
        biased = [name for name in shapes if name.startswith("decoder.")]
        shapes |= {name + "_bias": shapes[name][:1] for name in biased}
        shapes |= {"decoder.positions": (512, DIM), "head_bias": (SPEECH_VOCAB,)}
        return shapes
    shapes |= {
        "text_positions": (model["text_positions"], DIM),
        "speech_positions": (model["speech_positions"], DIM),
        "conditioning.emotion": (DIM,),
        "conditioning.query": (QUERIES, DIM),
        "conditioning.norm": (DIM,),
        "conditioning.norm_bias": (DIM,),
        "conditioning.qkv": (3 * DIM, DIM),
        "conditioning.qkv_bias": (3 * DIM,),
        "conditioning.out": (DIM, DIM),
        "conditioning.out_bias": (DIM,),
    }
    return shapes


def t3_tensors(model: dict[str, Any], seed: int) -> dict[str, Floats]:
    """Returns random tensors, norms near 1, on a grid that float16 and bfloat16 do not hold."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in t3_shapes(model).items():
        values = random.normal(size=shape) * (0.5 if len(shape) == 2 else 0.1)
        is_norm = len(shape) == 1 and "norm" in name and not name.endswith("_bias")
        tensors[name] = (values + (1.0 if is_norm else 0.0)).astype(np.float32)
    return tensors


def write_t3(folder: Path, variant: str, *, seed: int = 5, **changes: Any) -> Path:
    """Writes a random checkpoint; `changes` replace fields of the model."""
    model = {**t3_model(variant), **changes}
    folder.mkdir(parents=True)
    config = {
        "format": "ttsrt.checkpoint",
        "format_version": 1,
        "family": "t3",
        "source": {},
        "model": model,
        "defaults": {
            "cfg_scale": 1.0,
            "temperature": 0.8,
            "top_k": 0,
            "top_p": 1.0,
            "min_p": 0.05,
            "repetition_penalty": 1.2,
            "max_frames": 60,
            "min_frames": 0,
        },
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    tensors = t3_tensors(model, seed)
    write_safetensors(
        folder / "model.safetensors",
        {name: tensor_of_array(name, values) for name, values in tensors.items()},
    )
    return folder


def write_voice(
    path: Path, variant: str, *, seed: int = 1, tokens: int = 9, emotion: float = 0.5
) -> Path:
    """Writes a random voice file."""
    random = np.random.default_rng(seed)
    voice = VoiceFile(
        variants=(variant,),
        speaker_emb=random.normal(size=SPEAKER).astype(np.float32) / 16,
        cond_prompt_speech_tokens=random.integers(0, BOS, tokens).astype(np.int32),
        emotion=emotion,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    voice_file.write_voice(path, voice)
    return path
