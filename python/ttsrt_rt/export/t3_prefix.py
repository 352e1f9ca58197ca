"""The rows that a T3 decoder sees before the text: a voice as embeddings, in NumPy float32.

Models with a perceiver (the Llama variants): the speaker's row, the perceiver's rows, and the row
of the emotion. The perceiver is one attention block whose weights are used twice: its queries read
the embedded speech tokens, and then its output reads itself. Models without one (Turbo, Nano): the
speaker's row and the embedded speech tokens, whose positions the decoder adds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.export.t3_checkpoint import Conditioning, Floats, T3Checkpoint

__all__ = ["PrefixWeights", "Voice", "prefix_rows", "read_prefix_weights", "voice_hash"]


@dataclass(frozen=True, eq=False)
class Voice:
    """What a voice is made from.

    Attributes:
        name: Its name.
        speaker: float32 [speaker_dim].
        tokens: Speech tokens of the reference: int32 [n].
        emotion: Of the emotion row; without effect in a model that has none.
    """

    name: str
    speaker: Floats
    tokens: NDArray[np.int32]
    emotion: float


@dataclass(frozen=True, eq=False)
class _Perceiver:
    query: Floats  # [queries, dim]
    norm: Floats  # [dim]
    norm_bias: Floats
    qkv: Floats  # [3 * dim, dim]
    qkv_bias: Floats
    out: Floats  # [dim, dim]
    out_bias: Floats


@dataclass(frozen=True, eq=False)
class PrefixWeights:
    """The tensors that make rows from a voice; `emotion` and `positions` are None where a model has
    none."""

    conditioning: Conditioning
    speaker: Floats  # [dim, speaker_dim]
    speaker_bias: Floats  # [dim]
    speech: Floats  # [speech_rows, dim]
    positions: Floats | None  # [speech_positions, dim]
    emotion: Floats | None  # [dim]
    perceiver: _Perceiver | None


def read_prefix_weights(checkpoint: T3Checkpoint) -> PrefixWeights:
    """Reads the conditioning tensors and the tables of speech.

    Raises:
        FormatError: One is missing or has another shape.
    """
    fields = checkpoint.fields
    how, dim = fields.conditioning, fields.dim

    def read(name: str, *shape: int) -> Floats:
        return checkpoint.floats(f"conditioning.{name}", *shape)

    perceiver = None
    if how.queries:
        if dim % how.heads:
            raise ConfigError(
                f"model.conditioning.heads: expected a divisor of {dim}, got {how.heads}"
            )
        perceiver = _Perceiver(
            read("query", how.queries, dim),
            read("norm", dim),
            read("norm_bias", dim),
            read("qkv", 3 * dim, dim),
            read("qkv_bias", 3 * dim),
            read("out", dim, dim),
            read("out_bias", dim),
        )
    has_positions = fields.speech_positions > 0
    return PrefixWeights(
        conditioning=how,
        speaker=read("speaker", dim, how.speaker_dim),
        speaker_bias=read("speaker_bias", dim),
        speech=checkpoint.floats("speech_embedding", fields.speech_rows, dim),
        positions=checkpoint.floats("speech_positions", fields.speech_positions, dim)
        if has_positions
        else None,
        emotion=read("emotion", dim) if how.has_emotion else None,
        perceiver=perceiver,
    )


def prefix_rows(weights: PrefixWeights, voice: Voice) -> Floats:
    """Computes the rows of a voice: float32 [rows, dim].

    Raises:
        ConfigError: The voice has a speaker embedding of another size, or tokens that the model
            does not have.
    """
    _check(weights, voice)
    rows = [(weights.speaker @ voice.speaker + weights.speaker_bias)[None]]
    if len(voice.tokens):
        speech = weights.speech[voice.tokens]
        if weights.perceiver is None:
            rows.append(speech)
        else:
            if weights.positions is not None:
                speech = speech + weights.positions[: len(speech)]
            rows.append(_perceive(weights.perceiver, speech, weights.conditioning))
    if weights.emotion is not None:
        rows.append((np.float32(voice.emotion) * weights.emotion)[None])
    return np.concatenate(rows).astype(np.float32)


def voice_hash(conditioning_hash: str, voice: Voice) -> str:
    """Returns a SHA-256 of (checkpoint, voice, emotion), on which the rows of a voice depend.

    Args:
        conditioning_hash: Of the checkpoint.
        voice: The voice; its name is not hashed.
    """
    hashed = hashlib.sha256(conditioning_hash.encode())
    hashed.update(np.ascontiguousarray(voice.speaker, "<f4").tobytes())
    hashed.update(np.ascontiguousarray(voice.tokens, "<i4").tobytes())
    hashed.update(np.float32(voice.emotion).tobytes())
    return hashed.hexdigest()


def _check(weights: PrefixWeights, voice: Voice) -> None:
    expected = (weights.conditioning.speaker_dim,)
    if voice.speaker.shape != expected:
        raise ConfigError(
            f"voice {voice.name}: speaker_emb: expected {list(expected)}, got "
            f"{list(voice.speaker.shape)}"
        )
    if not np.isfinite(voice.speaker).all() or not np.isfinite(voice.emotion):
        raise ConfigError(f"voice {voice.name}: expected finite values, got NaN or infinity")
    most = weights.conditioning.max_prompt
    if voice.tokens.ndim != 1 or len(voice.tokens) > most:
        raise ConfigError(
            f"voice {voice.name}: cond_prompt_speech_tokens: expected at most {most} tokens, got "
            f"{list(voice.tokens.shape)}"
        )
    if len(voice.tokens) and not 0 <= int(voice.tokens.min()) <= int(voice.tokens.max()) < len(
        weights.speech
    ):
        raise ConfigError(
            f"voice {voice.name}: cond_prompt_speech_tokens: expected ids in "
            f"0..{len(weights.speech) - 1}, got {int(voice.tokens.min())}.."
            f"{int(voice.tokens.max())}"
        )


def _perceive(perceiver: _Perceiver, speech: Floats, how: Conditioning) -> Floats:
    first = _attend(perceiver, perceiver.query, speech, how)
    return _attend(perceiver, first, first, how)


def _attend(perceiver: _Perceiver, queries: Floats, memory: Floats, how: Conditioning) -> Floats:
    """One attention block: [queries, dim], [rows, dim] -> [queries, dim]."""
    dim = queries.shape[1]
    heads, head_dim = how.heads, dim // how.heads
    normed = [_layer_norm(perceiver, each, how.norm_epsilon) for each in (queries, memory, memory)]
    q, k, v = (
        (rows @ perceiver.qkv[part * dim : (part + 1) * dim].T)
        + perceiver.qkv_bias[part * dim : (part + 1) * dim]
        for part, rows in enumerate(normed)
    )
    q, k, v = (rows.reshape(-1, heads, head_dim).transpose(1, 0, 2) for rows in (q, k, v))
    scores = q @ k.transpose(0, 2, 1) / np.float32(np.sqrt(head_dim))
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed = (weights @ v).transpose(1, 0, 2).reshape(-1, dim)
    return np.asarray(queries + mixed @ perceiver.out.T + perceiver.out_bias, np.float32)


def _layer_norm(perceiver: _Perceiver, rows: Floats, epsilon: float) -> Floats:
    centred = rows - rows.mean(-1, keepdims=True)
    variance = np.square(centred).mean(-1, keepdims=True)
    scaled = centred / np.sqrt(variance + np.float32(epsilon))
    return np.asarray(scaled * perceiver.norm + perceiver.norm_bias, np.float32)
