"""The methods of `Executor` that add, show and remove voices."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from ttsrt_rt.arrays import float_matrix, float_row, id_matrix, id_row
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ttsrt_rt import _core
    from ttsrt_rt.request import ArrayInput

__all__ = ["VoiceMethods"]

_LOG = logging.getLogger("ttsrt_rt.executor")


class VoiceMethods:
    """What an executor knows of voices, over the library's executor."""

    _native: _core.Executor
    _most_numbers: int

    def add_voice(
        self,
        name: str,
        embeddings: ArrayInput | None = None,
        *,
        codes: ArrayInput | None = None,
        speaker_emb: ArrayInput | None = None,
        cond_prompt_speech_tokens: ArrayInput | None = None,
        emotion: float | None = None,
    ) -> None:
        """Adds a voice for `Request(voice=name)`; as many as memory holds.

        Exactly one of `embeddings`, `codes` and `speaker_emb` is given.

        Args:
            name: A name that is not in use yet.
            embeddings: Rows as the decoder takes them: floats [rows, dim].
            codes: Codec codes, special columns included: integers [frames, codebooks], as a
                request's `context_codes`. They are kept as codes, which need a hundredth of the
                memory.
            speaker_emb: Models that are conditioned on a speaker (Chatterbox T3): the voice
                encoder's embedding: floats [speaker_dim], or [1, speaker_dim].
            cond_prompt_speech_tokens: With `speaker_emb`: speech tokens of the reference: integers
                [tokens], or [1, tokens]; None for none.
            emotion: With `speaker_emb`: how strong the emotion is; None for the checkpoint's
                default. A request may change it.

        Raises:
            ConfigError: The name is in use, an array has the wrong shape, the model takes no
                context of that kind, or not exactly one of the three is given.
            ClosedError: The executor was closed.
        """
        given = sum(value is not None for value in (embeddings, codes, speaker_emb))
        if given != 1:
            raise ConfigError(
                f"add_voice: expected exactly one of embeddings, codes and speaker_emb, got {given}"
            )
        if speaker_emb is None and (cond_prompt_speech_tokens is not None or emotion is not None):
            raise ConfigError(
                "add_voice: expected speaker_emb with cond_prompt_speech_tokens and emotion"
            )
        most = self._most_numbers
        if embeddings is not None:
            self._native.add_voice(name, float_matrix(embeddings, "embeddings", most))
        elif codes is not None:
            self._native.add_voice_codes(name, id_matrix(codes, "codes", most))
        elif speaker_emb is not None:
            tokens = np.zeros(0, np.int32)
            if cond_prompt_speech_tokens is not None:
                tokens = id_row(cond_prompt_speech_tokens, "cond_prompt_speech_tokens", most)
            speaker = float_row(speaker_emb, "speaker_emb", most)
            self._native.add_voice_speaker(name, speaker, tokens, emotion)
        if _LOG.isEnabledFor(logging.INFO):
            stats = self._native.stats()
            _LOG.info(
                "voice %r added: %d voices, %d bytes of those added",
                *(name, stats.num_voices, stats.voice_bytes),
            )

    def voice_embeddings(self, voice: int | str) -> NDArray[np.float32]:
        """Returns the rows of a voice as the decoder takes them, float32 [rows, dim].

        `add_voice(name, rows)` takes them again.

        Raises:
            ConfigError: There is no such voice, or it is kept as codec codes.
            ClosedError: The executor was closed.
        """
        return self._native.voice_embeddings(voice)

    def remove_voice(self, name: str) -> None:
        """Removes a voice; requests that use it continue.

        Raises:
            ConfigError: There is no such voice.
        """
        self._native.remove_voice(name)

    def voices(self) -> list[str]:
        """The names of the engine's voices and of those added."""
        return self._native.voices()
