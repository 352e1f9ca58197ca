"""Small valid files of every kind that is read, and changes that keep their containers whole.

A change of bytes of an archive mostly breaks a checksum. The changes here repair checksums and
lengths, so that they reach the code behind them.
"""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable

import numpy as np

from tests.python.convert.builders import (
    Tensor,
    entry,
    make_safetensors,
    make_tar,
    make_torch,
    small_nemo,
    small_safetensors,
    small_torch,
    stream,
    tar_member,
)
from ttsrt_rt.audio import wav_bytes

from .mutations import mutate, mutate_text

__all__ = ["CHANGES", "SEEDS"]

Change = Callable[[bytes, random.Random], bytes]

STATE = {
    "state_dict": {"w": Tensor("0", (2, 3)), "n": Tensor("1", (), "int64")},
    "hyper_parameters": {"a": [1, (2.5, "x")], "b": None},
    "epoch": 3,
}
STORAGES = {"0": np.arange(6, dtype="<f4").tobytes(), "1": np.array(7, "<i8").tobytes()}
YAML = b"""model_type: decoder_ce
dim: 768
rate: 1e-5
layers: [4, 5, '${dim}']
decoder: &d
  n_layers: 12
  d_model: ${dim}
  again: ${decoder.d_model}
other: *d
speakers: {0: Aria, b.c: "Jason"}
text: |
  two
  lines
"""
JSON = json.dumps([[1, 2, 3], [4, 5, 6]]).encode()


F5 = {
    "ema_model_state_dict": {
        "ema_model.transformer.a": Tensor("0", (2, 3)),
        "ema_model._orig_mod.transformer.b": Tensor("0", (3, 2)),
        "step": Tensor("1", (), "int64"),
    },
    "update": 3,
}
ARCH = b"""model:
  backbone: DiT
  tokenizer: pinyin
  arch: {dim: 64, ff_mult: 2, text_mask_padding: True, pe_attn_head: null, dropout: 0.1}
  mel_spec: {n_fft: 1024, hop_length: 256, mel_spec_type: vocos, target_sample_rate: 24000}
"""
SSML = """<?xml version="1.0" encoding="UTF-8"?>
<speak version="1.1" xml:lang="en-US"><p>A &amp;
<phoneme alphabet="ipa" ph="b\u02c8i">b</phoneme>.</p>
<break time="300ms"/><s>1 <say-as interpret-as="telephone">+49 30</say-as></s>
<voice name="Leo"><lang xml:lang="de">Weg</lang> <sub alias="two">2</sub></voice></speak>
""".encode()
LEXICON = """<lexicon version="1.0" alphabet="ipa" xml:lang="en-US"><!-- names -->
<lexeme case="exact"><grapheme>Polish</grapheme><phoneme>p\u02c8o</phoneme></lexeme></lexicon>
""".encode()
CSV = b'id,text,voice,language,seed\na,"Hello, world",Leo,en,7\nb,Good.,,,\n'
JSONL = b'{"id": "a", "text": "Hello.", "voice": 0, "seed": 7}\n{"text": "Good."}\n'
LLM = b"""{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 40,
 "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
 "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
 "hidden_act": "silu", "rope_scaling": {"type": "linear", "factor": 2.0}, "eos_token_id": [2, 3],
 "do_sample": true, "temperature": 0.6, "top_p": 0.9, "top_k": 50, "quantization_config":
 {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm"}}
"""
TOKENIZER = b"""{"added_tokens": [{"id": 0, "content": "<s>", "single_word": false,
 "lstrip": false, "rstrip": false, "normalized": false, "special": true}], "normalizer": null,
 "post_processor": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false,
 "trim_offsets": true, "use_regex": true}, "decoder": {"type": "ByteLevel", "add_prefix_space":
 false, "trim_offsets": true, "use_regex": true}, "model": {"type": "BPE", "vocab": {"<s>": 0,
 "r": 1, "i": 2, "v": 3, "ri": 4, "riv": 5, "A": 6}, "merges": ["r i", "ri v"]}}
"""
VOICE_HEADER = {
    "__metadata__": {
        "format": "ttsrt.voice",
        "format_version": "1",
        "family": "t3",
        "variant": "english",
    },
    "speaker_emb": entry("F32", [256], 0, 1024),
    "emotion": entry("F32", [1], 1024, 1028),
    "cond_prompt_speech_tokens": entry("I32", [3], 1028, 1040),
}
CONDS = {
    "t3": {
        "speaker_emb": Tensor("0", (1, 256)),
        "clap_emb": None,
        "cond_prompt_speech_tokens": Tensor("1", (1, 3), "int64"),
        "emotion_adv": Tensor("2", (1, 1, 1)),
    },
    "gen": {},
}
CONDS_STORAGES = {"0": bytes(1024), "1": bytes(24), "2": bytes(4)}


def npy() -> bytes:
    """Returns a `.npy` of a matrix."""
    made = io.BytesIO()
    np.save(made, np.arange(6, dtype=np.int32).reshape(2, 3))
    return made.getvalue()


def npz() -> bytes:
    """Returns a compressed `.npz` of two arrays."""
    made = io.BytesIO()
    np.savez_compressed(made, ids=np.arange(40), rows=np.ones((2, 3), np.float32))
    return made.getvalue()


SEEDS: dict[str, bytes] = {
    "torch": small_torch(),
    "nemo": small_nemo(),
    "nemo.gz": gzip.compress(small_nemo(), mtime=0),
    "safetensors": small_safetensors(),
    "yaml": YAML,
    "json": JSON,
    "npy": npy(),
    "npz": npz(),
    "voice": make_safetensors(VOICE_HEADER, bytes(1040)),
    "conds": make_torch(CONDS, CONDS_STORAGES),
    "wav": wav_bytes([[0.5, -0.5], [0.25, 0.0]], 24000, width=32),
    "vocab": " \n!\na\nzhong1\n\u0964\n".encode(),
    "f5": make_torch(F5, STORAGES),
    "arch": ARCH,
    "ssml": SSML,
    "lexicon": LEXICON,
    "csv": CSV,
    "jsonl": JSONL,
    "llm": LLM,
    "tokenizer": TOKENIZER,
    "pickle": stream(STATE),
}


def change_pickle_inside(_: bytes, numbers: random.Random) -> bytes:
    """Returns a torch archive whose pickle was changed, with its checksum."""
    return make_torch(mutate(stream(STATE, numbers.choice((2, 4))), numbers), STORAGES)


def change_tar_headers(data: bytes, numbers: random.Random) -> bytes:
    """Returns a tar of which one header was changed, with the checksum of the header."""
    made = bytearray(data)
    headers = [at for at in range(0, len(made), 512) if made[at + 257 : at + 262] == b"ustar"]
    at = numbers.choice(headers)
    block = bytearray(mutate(bytes(made[at : at + 512]), numbers)[:512].ljust(512, b"\0"))
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    made[at : at + 512] = block
    return bytes(made)


def change_members(_: bytes, numbers: random.Random) -> bytes:
    """Returns a tar with a changed configuration or changed weights, and right headers."""
    config, weights = YAML, small_torch()
    if numbers.random() < 0.5:
        config = mutate_text(config, numbers)
    else:
        weights = change_pickle_inside(weights, numbers)
    return make_tar(
        tar_member("model_config.yaml", config), tar_member("model_weights.ckpt", weights)
    )


def change_header(_: bytes, numbers: random.Random) -> bytes:
    """Returns a `.safetensors` whose header was changed as text, with its length."""
    header = {"w": entry("F32", [2, 3], 0, 24), "b": entry("BF16", [2], 24, 28)}
    return make_safetensors(mutate_text(json.dumps(header).encode(), numbers), bytes(28))


def change_voice(_: bytes, numbers: random.Random) -> bytes:
    """Returns a voice file whose header was changed as text, with its length."""
    return make_safetensors(mutate_text(json.dumps(VOICE_HEADER).encode(), numbers), bytes(1040))


def change_conds(_: bytes, numbers: random.Random) -> bytes:
    """Returns a `conds.pt` whose pickle was changed, with its checksum."""
    return make_torch(mutate(stream(CONDS, numbers.choice((2, 4))), numbers), CONDS_STORAGES)


def change_packed(data: bytes, numbers: random.Random) -> bytes:
    """Returns a gzip of a changed tar."""
    return gzip.compress(change_tar_headers(gzip.decompress(data), numbers), 1, mtime=0)


def change_f5(_: bytes, numbers: random.Random) -> bytes:
    """Returns a file of F5-TTS whose pickle was changed, with its checksum."""
    return make_torch(mutate(stream(F5, numbers.choice((2, 4))), numbers), STORAGES)


def change_sizes(data: bytes, numbers: random.Random) -> bytes:
    """Returns a WAV of which a number of the formats or a size was changed."""
    made = bytearray(data)
    at = numbers.choice((4, 16, 20, 22, 24, 28, 32, 34, 40))
    made[at : at + 2] = numbers.randbytes(2)
    return bytes(made)


CHANGES: dict[str, tuple[Change, ...]] = {
    "torch": (mutate, change_pickle_inside, change_pickle_inside),
    "nemo": (mutate, change_tar_headers, change_members),
    "nemo.gz": (mutate, change_packed),
    "safetensors": (mutate, change_header, change_header),
    "yaml": (mutate_text,),
    "json": (mutate_text,),
    "npy": (mutate,),
    "npz": (mutate,),
    "voice": (mutate, change_voice, change_voice),
    "conds": (mutate, change_conds, change_conds),
    "wav": (mutate, change_sizes),
    "vocab": (mutate,),
    "llm": (mutate_text,),
    "tokenizer": (mutate_text,),
    "f5": (mutate, change_f5),
    "arch": (mutate_text,),
    "pickle": (mutate,),
    "ssml": (mutate_text,),
    "lexicon": (mutate_text,),
    "csv": (mutate_text,),
    "jsonl": (mutate_text,),
}
