"""The methods of `Executor` that add, show and remove voices."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ttsrt_rt.arrays import float_matrix, float_row, id_matrix, id_row
from ttsrt_rt.code_voice import is_code_voice_family, read_code_voice
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.voice_file import sound_part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ttsrt_rt import _core
    from ttsrt_rt.audio import Sound
    from ttsrt_rt.options import T3Variant
    from ttsrt_rt.request import ArrayInput
    from ttsrt_rt.voice_file import VoiceFile
    from ttsrt_rt.voice_from_audio import VoiceMaker, VoiceMakers

__all__ = ["VoiceMethods"]

_LOG = logging.getLogger("ttsrt_rt.executor")

# An embedding, speech tokens and their spectrogram.
SoundPrompt: TypeAlias = "tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32] | None]"

_SOUND = "s3gen"  # the family that uses the part for the vocoder of a voice


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
        embedding: ArrayInput | None = None,
        prompt_token: ArrayInput | None = None,
        prompt_feat: ArrayInput | None = None,
        file: str | os.PathLike[str] | None = None,
        audio: ArrayInput | str | os.PathLike[str] | None = None,
        sample_rate: int | None = None,
        voice_model: str | os.PathLike[str] | None = None,
        resampler: str = "sinc",
        variant: T3Variant | None = None,
    ) -> None:
        """Adds a voice for `Request(voice=name)`; as many as memory holds.

        Exactly one of `embeddings`, `codes`, `speaker_emb`, `embedding`, `file` and `audio` is
        given.

        Args:
            name: A name that is not in use yet.
            embeddings: Rows as the decoder takes them: floats [rows, dim].
            codes: Codec codes, special columns included: integers [frames, codebooks], as a
                request's `context_codes`. They are kept as codes, which need a hundredth of the
                memory.
            speaker_emb: Models that are conditioned on a speaker (Chatterbox T3): the voice
                encoder's embedding: floats [speaker_dim], or [1, speaker_dim].
            cond_prompt_speech_tokens: With `speaker_emb`: speech tokens of the reference: integers
                [tokens], or [1, tokens], each 0 to 6560, as those above are no sound; at most 150,
                or 375 for Turbo and Nano; None or an empty array for none.
            emotion: With `speaker_emb`: how strong the emotion is; None for the checkpoint's
                default, or with `file` for that of the file. A request may change it.
            embedding: Models that make sound of speech tokens (Chatterbox S3Gen): the speaker
                encoder's embedding: floats [speaker_dim], or [1, speaker_dim].
            prompt_token: With `embedding`: speech tokens of the reference: integers [tokens], or
                [1, tokens], each 0 to 6560; None or an empty array for none.
            prompt_feat: With `prompt_token`: the log-mel spectrogram of these tokens: floats
                [frames, mel_bins], or [1, frames, mel_bins], with two frames for each token, or one
                more in all. These three may stand beside `speaker_emb`, where an engine of T3 makes
                sound of its tokens.
            file: A voice file, as `ttsrt voice` and `convert` write it: of Chatterbox, or of codes
                for a model that takes them. S3Gen uses the part of the vocoder.
            audio: Chatterbox: a recording of the speaker, half a second (Turbo and Nano: more than
                5 seconds) to 10 minutes: a file, or floats [samples] or [samples, channels]. A
                voice of equal samples is made once.
            sample_rate: With samples as `audio`: how many there are in a second.
            voice_model: With `audio`: the checkpoint of an S3Gen, as `convert` writes it, or an
                engine of one, with which voices are made; None for this engine, whose folder
                `voice_model` has what it takes where the S3Gen had a voice encoder. It is read at
                the first voice and kept, half a gigabyte at full size.
            resampler: With `audio`: see `VoiceOptions`.
            variant: With `audio` and an engine of S3Gen, which does not say it: the T3 whose tokens
                it speaks. That of Turbo and Nano gets the recording at their loudness. None for
                "turbo" with mean flow and "english" otherwise.

        Raises:
            ConfigError: The name is in use, an array has the wrong shape, the model takes no
                context of that kind, the file is made for another variant or lacks what the model
                needs, no voice can be made of the recording, or not exactly one of the six is
                given.
            NotFoundError: A file or a folder does not exist.
            FormatError: The file is no voice file and no recording, or damaged.
            ClosedError: The executor was closed.
        """
        voices = {
            "embeddings": embeddings,
            "codes": codes,
            "speaker_emb": speaker_emb,
            "embedding": None if speaker_emb is not None else embedding,  # a part of a T3's
            "file": file,
            "audio": audio,
        }
        more = {
            "cond_prompt_speech_tokens": cond_prompt_speech_tokens,
            "emotion": emotion,
            "prompt_token": prompt_token,
            "prompt_feat": prompt_feat,
            "sample_rate": sample_rate,
            "voice_model": voice_model,
            "variant": variant,
        }
        _check_given(voices, more, embedding)
        most = self._most_numbers
        if embeddings is not None:
            self._native.add_voice(name, float_matrix(embeddings, "embeddings", most))
        elif codes is not None:
            self._native.add_voice_codes(name, id_matrix(codes, "codes", most))
        elif speaker_emb is not None:
            sound = self._sound_prompt(embedding, prompt_token, prompt_feat)
            self._add_speaker(name, speaker_emb, cond_prompt_speech_tokens, emotion, sound)
        elif embedding is not None:
            self._add_sound(name, embedding, prompt_token, prompt_feat)
        elif file is not None:
            self._add_file(name, file, emotion)
        else:
            recording = self._recording(audio, sample_rate)
            voice = self._hear_voice(recording, voice_model, resampler, variant)
            self._add_made(name, voice, "audio", emotion)
        if _LOG.isEnabledFor(logging.INFO):
            stats = self._native.stats()
            _LOG.info(
                "voice %r added: %d voices, %d bytes of those added",
                *(name, stats.num_voices, stats.voice_bytes),
            )

    def _add_file(self, name: str, file: str | os.PathLike[str], emotion: float | None) -> None:
        """Adds the voice of a file."""
        family = self._native.engine.info.family
        if is_code_voice_family(family):
            codes = id_matrix(read_code_voice(file, family), "codes", self._most_numbers)
            self._native.add_voice_codes(name, codes)
        else:
            self._add_made(name, self._read_voice(file), os.fspath(file), emotion)

    def _add_made(self, name: str, voice: VoiceFile, where: str, emotion: float | None) -> None:
        """Adds what the model takes of a voice for Chatterbox."""
        if self._native.engine.info.family == _SOUND:
            self._add_sound(name, **sound_part(voice, where))
            return
        if emotion is None and self._model.get("conditioning", {}).get("emotion"):
            emotion = voice.emotion
        sound = None
        if self._native.engine.info.has_vocoder and voice.generator:
            sound = self._sound_prompt(**sound_part(voice, where))
        self._add_speaker(name, voice.speaker_emb, voice.cond_prompt_speech_tokens, emotion, sound)

    def _add_speaker(
        self,
        name: str,
        speaker_emb: ArrayInput,
        cond_prompt_speech_tokens: ArrayInput | None,
        emotion: float | None,
        sound: SoundPrompt | None,
    ) -> None:
        """Adds a voice of a model that is conditioned on a speaker."""
        most = self._most_numbers
        tokens = np.zeros(0, np.int32)
        if cond_prompt_speech_tokens is not None:
            tokens = _prompt_codes(cond_prompt_speech_tokens, most)
        speaker = float_row(speaker_emb, "speaker_emb", most)
        self._native.add_voice_speaker(name, speaker, tokens, emotion, sound=sound)

    def _add_sound(
        self,
        name: str,
        embedding: ArrayInput,
        prompt_token: ArrayInput | None,
        prompt_feat: ArrayInput | None,
    ) -> None:
        """Adds a voice of a model that makes sound of speech tokens."""
        family = self._native.engine.info.family
        if family != _SOUND:
            beside = " or speaker_emb beside it" if self._native.engine.info.has_vocoder else ""
            raise ConfigError(
                f"add_voice: embedding: expected an engine of {_SOUND}{beside}, got {family}"
            )
        prompt = self._sound_prompt(embedding, prompt_token, prompt_feat)
        if prompt is not None:
            speaker, tokens, frames = prompt
            self._native.add_voice_speaker(name, speaker, tokens, None, frames)

    def _sound_prompt(
        self,
        embedding: ArrayInput | None,
        prompt_token: ArrayInput | None = None,
        prompt_feat: ArrayInput | None = None,
    ) -> SoundPrompt | None:
        """What makes sound of tokens takes of a voice, as the library's arrays; None without an
        embedding.
        """
        if embedding is None:
            return None
        most = self._most_numbers
        tokens, frames = np.zeros(0, np.int32), None
        if prompt_token is not None:
            tokens = id_row(prompt_token, "prompt_token", most, may_be_empty=True)
        if prompt_feat is not None:
            array = np.asarray(prompt_feat)
            if array.ndim == 3 and len(array) == 1:
                array = array[0]
            if array.size:
                frames = float_matrix(array, "prompt_feat", most)
        return float_row(embedding, "embedding", most), tokens, frames

    @property
    def _model(self) -> dict[str, Any]:
        """The engine's description of its model."""
        model: dict[str, Any] = json.loads(self._native.engine.description)["model"]
        return model

    def _read_voice(self, file: str | os.PathLike[str]) -> VoiceFile:
        from ttsrt_rt.voice_file import read_voice

        family = self._native.engine.info.family
        if family not in ("t3", _SOUND):
            raise ConfigError(f"{os.fspath(file)}: expected an engine of Chatterbox, got {family}")
        return read_voice(file, variant=self._model.get("variant"))

    def _recording(
        self, audio: ArrayInput | str | os.PathLike[str] | None, sample_rate: int | None
    ) -> Sound:
        """The recording of an argument, for an engine of Chatterbox."""
        from ttsrt_rt.voice_from_audio import sound_of

        engine = self._native.engine
        if engine.info.family not in ("t3", _SOUND):
            raise ConfigError(
                f"audio: {engine.path}: expected an engine of Chatterbox, got {engine.info.family}"
            )
        return sound_of(audio, sample_rate)

    def _hear_voice(
        self,
        recording: Sound,
        voice_model: str | os.PathLike[str] | None,
        resampler: str,
        variant: str | None,
    ) -> VoiceFile:
        """Makes a voice of a recording for the engine's variant."""
        from ttsrt_rt.voice_from_audio import VoiceOptions

        of_engine = self._model.get("variant")
        if variant is not None and of_engine not in (None, variant):
            raise ConfigError(
                f"variant: expected {of_engine}, the engine's, or None, got {variant}"
            )
        is_mean = self._model.get("flow", {}).get("kind") == "meanflow"
        usual = "turbo" if is_mean else "english"
        options = VoiceOptions(variants=(variant or of_engine or usual,), resampler=resampler)
        return self._voice_maker(voice_model).make(recording, options)

    def _voice_maker(self, folder: str | os.PathLike[str] | None) -> VoiceMaker:
        """What makes voices with a checkpoint, by default that in the engine's folder."""
        path = Path(os.fsdecode(folder or self._native.engine.path))
        return self._voice_makers.of(path.absolute())

    @cached_property
    def _voice_makers(self) -> VoiceMakers:
        """What makes voices of recordings, by the folders of checkpoints."""
        from ttsrt_rt.voice_from_audio import VoiceMakers

        return VoiceMakers()

    def _add_built_in_voices(self) -> None:
        """Adds the voice files in the engine's folder, by their names."""
        from ttsrt_rt.stored_voices import has_voice_files, stored_voice_files

        if not has_voice_files(self._native.engine.info.family):
            return
        for path in stored_voice_files(self._native.engine.path):
            self.add_voice(path.stem, file=path)

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


# What may stand beside which kind of voice.
_BESIDE = {
    "cond_prompt_speech_tokens": ("speaker_emb",),
    "emotion": ("speaker_emb", "file", "audio"),
    "prompt_token": ("embedding",),
    "prompt_feat": ("embedding",),
    "sample_rate": ("audio",),
    "voice_model": ("audio",),
    "variant": ("audio",),
}


def _check_given(
    voices: Mapping[str, object], more: Mapping[str, object], embedding: object
) -> None:
    """Checks that one kind of voice is given, and nothing that belongs to another. An embedding may
    stand beside a voice of T3.
    """
    given = [name for name, value in voices.items() if value is not None]
    if len(given) != 1:
        *names, last = voices
        raise ConfigError(
            f"add_voice: expected exactly one of {', '.join(names)} and {last}, got {len(given)}"
        )
    if embedding is not None:
        given.append("embedding")
    for name, value in more.items():
        if value is not None and not set(given) & set(_BESIDE[name]):
            raise ConfigError(f"add_voice: expected {name} only with {' or '.join(_BESIDE[name])}")


def _prompt_codes(value: ArrayInput, most: int) -> NDArray[np.int32]:
    """Speech tokens of a voice, under the rule of voice files; there may be none."""
    from ttsrt_rt.voice_file import NUM_CODES

    name = "cond_prompt_speech_tokens"
    tokens = id_row(value, name, most, may_be_empty=True)
    bad = tokens[(tokens < 0) | (tokens >= NUM_CODES)]
    if bad.size:
        raise ConfigError(f"{name}: expected ids in 0..{NUM_CODES - 1}, got {bad[0]}")
    return tokens
