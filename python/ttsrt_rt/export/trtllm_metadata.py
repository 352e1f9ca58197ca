"""`t3_metadata.json`: what a driver of the exported engine must know, and what `validate` checks.

The ids are unified ids. A request is the rows of a voice (virtual ids of the prompt table), the
text, `start_rows` times the BOS, and then what is drawn, until the EOS.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.errors import FormatError
from ttsrt_rt.export.t3_checkpoint import T3Fields
from ttsrt_rt.export.t3_prefix import Voice, voice_hash
from ttsrt_rt.export.trtllm_bias import MASKED
from ttsrt_rt.export.trtllm_layout import is_gpt, vocab_size
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import show

__all__ = [
    "BIAS",
    "CONFIG",
    "FORMAT",
    "FORMAT_VERSION",
    "METADATA",
    "POSITIONS",
    "PROMPT_TABLE",
    "SCRIPT",
    "SPEECH_POSITIONS",
    "TEXT_POSITIONS",
    "VOICES",
    "WEIGHTS",
    "metadata_of",
    "read_metadata",
]

FORMAT = "ttsrt.trtllm_export"
FORMAT_VERSION = 1

METADATA = "t3_metadata.json"
CONFIG = "config.json"
WEIGHTS = "rank0.safetensors"
PROMPT_TABLE = "prompt_table.npz"
VOICES = "voices.safetensors"
BIAS = "logits_bias.npy"
POSITIONS = "positions.safetensors"
SCRIPT = "build_engine.sh"

TEXT_POSITIONS = "transformer.text_position_embedding.weight"
SPEECH_POSITIONS = "transformer.speech_position_embedding.weight"

_STOCK_EXACT = (
    "The stock engine computes this model exactly, given the rows of a voice and the logits bias."
)
_STOCK_LACKS = (
    "The stock engine adds no learned positions. The driver can give text and BOS rows with their "
    "positions as rows of a prompt table, but a token that is fed back needs an embedding with its "
    "position: a plugin before the first layer, or an engine that takes embeddings."
)


def metadata_of(
    fields: T3Fields,
    voices: Sequence[Voice],
    lengths: Sequence[int],
    *,
    dtype: str,
    conditioning_hash: str,
) -> dict[str, Any]:
    """Returns the contents of the file.

    Args:
        fields: The model.
        voices: The voices, in the order of their tasks.
        lengths: The rows of each.
        dtype: Of the exported weights.
        conditioning_hash: Of the checkpoint.
    """
    offset = fields.text_vocab
    restarts = fields.text_positions > 0
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "variant": fields.variant,
        "architecture": "GPTForCausalLM" if is_gpt(fields) else "LlamaForCausalLM",
        "dtype": dtype,
        "frame_rate": fields.frame_rate,
        "ids": {
            "vocab_size": vocab_size(fields),
            "text": [0, offset],
            "speech": [offset, offset + fields.speech_vocab],
            "speech_offset": offset,
            "text_start": fields.text_start,
            "text_stop": fields.text_stop,
            "bos": offset + fields.bos,
            "eos": offset + fields.eos,
        },
        "start_rows": fields.start_rows,
        "positions": {
            "file": POSITIONS if restarts else None,
            "text": TEXT_POSITIONS if restarts else None,
            "speech": SPEECH_POSITIONS if restarts else None,
            "first_text": 0,
            "bos": 0,
            "first_generated": 1,
            "prefix": None,
        },
        "guidance": {
            "is_used": fields.conditioning.queries > 0,
            "rule": "logits = cond + cfg_weight * (cond - uncond)",
            "unconditional_text": "zeros, to which the learned text positions are added",
        },
        "logits_bias": {
            "file": BIAS,
            "masked": MASKED,
            "has_head_bias": fields.has_head_bias,
            "use": "added to the logits before anything else; embedding_bias of a request",
        },
        "prompt": _prompt_of(fields, voices, lengths, conditioning_hash),
        "stock_engine": _STOCK_LACKS if restarts else _STOCK_EXACT,
    }


def _prompt_of(
    fields: T3Fields, voices: Sequence[Voice], lengths: Sequence[int], conditioning_hash: str
) -> dict[str, Any]:
    return {
        "file": PROMPT_TABLE,
        "first_virtual_id": vocab_size(fields),
        "rows_per_task": max(lengths),
        "row": "id - first_virtual_id + task * rows_per_task",
        "emotion_row": "the last of a voice" if fields.conditioning.has_emotion else None,
        "voices_file": VOICES,
        "voices": [
            {
                "name": voice.name,
                "task": task,
                "rows": length,
                "emotion": voice.emotion,
                "hash": voice_hash(conditioning_hash, voice),
            }
            for task, (voice, length) in enumerate(zip(voices, lengths, strict=True))
        ],
    }


def read_metadata(folder: Path) -> Block:
    """Reads the file of an export.

    Raises:
        ConfigError: It does not exist.
        FormatError: It is not that of an export.
    """
    path = folder / METADATA
    block = Block(read_json(path), f"{path}: ")
    if block.values.get("format") != FORMAT:
        raise FormatError(
            f"{path}: format: expected {FORMAT!r}, got {show(block.values.get('format'))}"
        )
    block.integer("format_version", FORMAT_VERSION, FORMAT_VERSION)
    return block
