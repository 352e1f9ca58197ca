"""Makes voices of recordings with the voice parts of a converted S3Gen."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from ttsrt_rt.audio import Sound, read_audio, to_rate
from ttsrt_rt.audio.rates import check_resampler
from ttsrt_rt.convert.checkpoint import (
    CONFIG_NAME,
    SOUND_NAME,
    WEIGHTS_NAME,
    check_checkpoint,
    open_tensors,
    read_config,
)
from ttsrt_rt.convert.s3gen_manifest import FAMILY
from ttsrt_rt.convert.t3_model import GPT2_VARIANTS, MAX_PROMPT
from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.options import T3Variant, path_of
from ttsrt_rt.quoting import quote, show
from ttsrt_rt.voice_file import USUAL_EMOTION, VoiceFile
from ttsrt_rt.voice_from_audio.features import (
    PROMPT_RATE,
    SPEECH_RATE,
    Floats,
    filterbank,
    log_mel,
    prompt_mel,
)
from ttsrt_rt.voice_from_audio.layers import Rows
from ttsrt_rt.voice_from_audio.loudness import to_loudness
from ttsrt_rt.voice_from_audio.speaker_encoder import SpeakerEncoder
from ttsrt_rt.voice_from_audio.speech_tokenizer import SpeechTokenizer
from ttsrt_rt.voice_from_audio.voice_encoder import VoiceEncoder

__all__ = ["MAX_SECONDS", "MIN_SECONDS", "VoiceMaker", "VoiceMakers", "VoiceOptions", "sound_of"]

LOGGER = logging.getLogger(__name__)

MIN_SECONDS, MAX_SECONDS = 0.5, 600.0
GPT2_SECONDS = 5.0  # more than that is what the original of Turbo asks for
GPT2_LUFS = -27.0
PROMPT_SECONDS = 10  # of the flow's prompt and of the speaker's embedding
TOKEN_RATE = 25
PARTS = ("speech_tokenizer", "speaker_encoder", "voice_encoder")
ENGINE_PART = "voice_model"  # the folder of an engine that has these parts


@dataclass(frozen=True)
class VoiceOptions:
    """How a voice is made of a recording.

    Attributes:
        variants: the variants of T3 that it is for. Those of GPT-2, Turbo and Nano, take 15 seconds
            of prompt at a loudness of -27 LUFS; the others 6 seconds as they are.
        emotion: as of `VoiceFile`.
        resampler: "sinc" or "soxr", to 24000 samples per second and from there to the 16000 that
            T3's part is made of. The original's is soxr, which needs the extra `audio`. The flow's
            part always comes from "sinc", as in the original.

    Raises:
        ConfigError: a variant or the resampler is unknown, there is no variant, some take prompts
            of Turbo and others not, or soxr is not installed.
    """

    variants: tuple[str, ...] = get_args(T3Variant)
    emotion: float = USUAL_EMOTION
    resampler: str = "sinc"

    def __post_init__(self) -> None:
        for variant in self.variants:
            if variant not in MAX_PROMPT:
                raise ConfigError(
                    f"variant: expected one of {', '.join(MAX_PROMPT)}, got {show(variant)}"
                )
        if not self.variants:
            raise ConfigError("variant: expected the variant of T3 that the voice is for, got none")
        check_resampler(self.resampler)

    @property
    def is_for_gpt2(self) -> bool:
        """Whether all variants are those of GPT-2."""
        return all(variant in GPT2_VARIANTS for variant in self.variants)

    @property
    def prompt_tokens(self) -> int:
        """How many tokens of speech T3's prompt has at most."""
        return min(MAX_PROMPT[variant] for variant in self.variants)


class VoiceMaker:
    """Makes voices with one checkpoint, whose weights are read once. Voices that were made last are
    kept by the contents of their recordings. May be used by several threads.
    """

    def __init__(self, checkpoint: str | os.PathLike[str], *, most: int = 64) -> None:
        """Reads the voice parts of a checkpoint.

        Args:
            checkpoint: the folder that `convert` wrote of an S3Gen beside its `ve.safetensors`, or
                of a release with both; or an engine that was built from one of them.
            most: voices that are kept.

        Raises:
            NotFoundError, ConfigError, FormatError: it is no such checkpoint, is damaged, or lacks
                a part.
        """
        folder = check_checkpoint(_home(checkpoint))
        config = read_config(folder)
        if config.get("family") != FAMILY:
            raise ConfigError(
                f"{folder}: expected a checkpoint of S3Gen, which makes voices of recordings, got "
                f"one of {quote(str(config.get('family')))}"
            )
        tensors = open_tensors(folder, config)
        model = config["model"]
        for part in PARTS:
            if model.get(part) is None:
                beside = ", from a ve.safetensors beside its source" if part == PARTS[2] else ""
                raise ConfigError(
                    f"{folder / WEIGHTS_NAME}: expected a {part.replace('_', ' ')}{beside}, as a "
                    "voice is made with it, got none"
                )
        self._tokenizer = SpeechTokenizer(model, tensors)
        self._speaker = SpeakerEncoder(model, tensors)
        self._voice = VoiceEncoder(model, tensors)
        self._most = most
        self._lock = threading.Lock()
        self._made: OrderedDict[bytes, VoiceFile] = OrderedDict()

    def make(self, sound: Sound, options: VoiceOptions | None = None) -> VoiceFile:
        """Returns the voice of a recording.

        The flow's part is of the first 10 seconds, the prompt of T3 of the first 6, or 15 for Turbo
        and Nano, the speaker's embedding of T3 of the whole recording.

        Args:
            sound: the recording, of any rate; several channels are mixed.
            options: see there.

        Raises:
            ConfigError: the recording is silent, not finite, shorter than half a second (5 seconds
                for Turbo and Nano) or longer than 10 minutes.
        """
        chosen = options or VoiceOptions()
        key = hashlib.sha256(np.ascontiguousarray(sound.samples).tobytes())
        key.update(repr((sound.samples.shape, sound.sample_rate, chosen)).encode())
        digest = key.digest()
        with self._lock:
            found = self._made.get(digest)
            if found is not None:
                self._made.move_to_end(digest)
                return found
        made = self._make(sound, chosen)
        with self._lock:
            self._made[digest] = made
            while len(self._made) > self._most:
                self._made.popitem(last=False)
        return made

    def speech_tokens(self, sound: Sound, *, resampler: str = "sinc") -> npt.NDArray[np.int32]:
        """Returns the speech tokens of a recording, 25 for a second: what an engine that makes
        sound of tokens speaks again in another voice.

        Args:
            sound: the recording, of any rate; several channels are mixed.
            resampler: as of `VoiceOptions`.

        Raises:
            ConfigError: the recording is silent, not finite, shorter than a token or longer than 10
                minutes, or soxr is not installed.
        """
        check_resampler(resampler)
        if not 1 / TOKEN_RATE <= sound.seconds <= MAX_SECONDS:
            raise ConfigError(
                f"audio: expected at least {1 / TOKEN_RATE:g} and at most {MAX_SECONDS:g} seconds, "
                f"got {sound.seconds:.2f}"
            )
        mono = _mono(sound)
        speech = to_rate(mono, sound.sample_rate, SPEECH_RATE, resampler=resampler)
        return self._tokenizer.tokens(log_mel(speech))

    def _make(self, sound: Sound, options: VoiceOptions) -> VoiceFile:
        samples = _prepared(sound, options)
        speech = _to_rate(samples, options.resampler)
        seconds = options.prompt_tokens // TOKEN_RATE
        prompt = log_mel(speech[: seconds * SPEECH_RATE])
        tokens = self._tokenizer.tokens(prompt, options.prompt_tokens)
        generator = self._generator(samples[: PROMPT_SECONDS * PROMPT_RATE])
        try:
            return VoiceFile(
                variants=options.variants,
                speaker_emb=self._voice.embed(speech),
                cond_prompt_speech_tokens=tokens,
                emotion=options.emotion,
                generator=generator,
            )
        except ConfigError as error:
            raise ConfigError(
                f"audio: expected a sound that a voice can be made of: {error}"
            ) from (error)

    def _generator(self, samples: Floats) -> dict[str, npt.NDArray[Any]]:
        """What the flow goes on from: two frames for each token. The original keeps an odd frame,
        and loses 480 samples of every sound by that.
        """
        mel = prompt_mel(samples)
        speech = _to_rate(samples, "sinc")
        tokens = self._tokenizer.tokens(log_mel(speech))[: len(mel) // 2]
        return {
            "prompt_token": tokens,
            "prompt_token_len": np.array([len(tokens)], np.int32),
            "prompt_feat": mel[: 2 * len(tokens)],
            "embedding": self._speaker.embed(filterbank(speech)),
        }


class VoiceMakers:
    """Makers by the folders of their checkpoints, which are read when they are asked for first. May
    be used by several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._makers: dict[Path, VoiceMaker] = {}

    def of(self, checkpoint: Path) -> VoiceMaker:
        """Returns the maker of a checkpoint.

        Raises:
            NotFoundError, ConfigError, FormatError: as for `VoiceMaker`.
        """
        with self._lock:
            maker = self._makers.get(checkpoint)
            if maker is None:
                maker = self._makers[checkpoint] = VoiceMaker(checkpoint)
            return maker


def _home(folder: str | os.PathLike[str]) -> Path:
    """Where the voice parts of an engine, or of the checkpoint of a release, are."""
    path = path_of(folder, "voice_model")
    if (path / "engine.json").is_file():
        if not (path / ENGINE_PART / CONFIG_NAME).is_file():
            raise NotFoundError(
                f"{path}: expected a folder {ENGINE_PART}, which build makes of an S3Gen with its "
                "voice encoder, as a voice of a recording is made with it, got none; name the "
                "checkpoint of such an S3Gen as voice_model"
            )
        return path / ENGINE_PART
    is_release = (path / SOUND_NAME / CONFIG_NAME).is_file()
    return path / SOUND_NAME if is_release else path


def sound_of(audio: object, sample_rate: int | None) -> Sound:
    """Returns a recording of a file, or of samples.

    Args:
        audio: a file, the bytes of one, a `Sound`, or floats [samples] or [samples, channels].
        sample_rate: of samples; None with everything else.

    Raises:
        ConfigError: the rate is missing or one too many, or samples have another shape.
        NotFoundError, FormatError: as for `read_audio`.
    """
    if isinstance(audio, (str, bytes, os.PathLike, Sound)):
        if sample_rate is not None:
            raise ConfigError("sample_rate: expected none beside a file, which says its own")
        return audio if isinstance(audio, Sound) else read_audio(audio)
    if sample_rate is None:
        raise ConfigError("sample_rate: expected that of the samples, got none")
    try:
        samples = np.asarray(audio)
    except (ValueError, OverflowError) as error:  # lists of different lengths
        raise ConfigError(f"audio: expected floats, got {show(audio)}") from error
    if samples.dtype.kind != "f" or samples.ndim not in (1, 2):
        raise ConfigError(
            "audio: expected floats [samples] or [samples, channels], got "
            f"{samples.dtype} {list(samples.shape)}"
        )
    with np.errstate(over="ignore"):
        columns = samples.reshape(len(samples), -1).astype(np.float32)
    return Sound(columns, sample_rate)


def _to_rate(samples: Floats, resampler: str) -> Rows:
    return to_rate(samples, PROMPT_RATE, SPEECH_RATE, resampler=resampler)


def _check_length(seconds: float, options: VoiceOptions) -> None:
    if options.is_for_gpt2:
        fits, least = seconds > GPT2_SECONDS, f"more than {GPT2_SECONDS:g}"
    else:
        fits, least = seconds >= MIN_SECONDS, f"at least {MIN_SECONDS:g}"
    if not fits or seconds > MAX_SECONDS:
        raise ConfigError(
            f"audio: expected {least} and at most {MAX_SECONDS:g} seconds, got {seconds:.2f}"
        )


def _mono(sound: Sound) -> Rows:
    """Returns the recording in one channel."""
    if not np.isfinite(sound.samples).all():
        raise ConfigError("audio: expected finite samples, got NaN or infinity")
    mono: Rows = sound.samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    peak = float(np.abs(mono).max())
    if peak == 0.0:
        raise ConfigError("audio: expected a sound, got silence")
    if peak > 1.0:
        LOGGER.warning("audio: its samples reach %.3g, beyond full scale", peak)
    return mono


def _prepared(sound: Sound, options: VoiceOptions) -> Rows:
    """Returns the recording in one channel at 24000 samples per second."""
    _check_length(sound.seconds, options)
    mono = _mono(sound)
    if sound.seconds > PROMPT_SECONDS:
        LOGGER.info("audio: the flow's prompt is its first %d seconds", PROMPT_SECONDS)
    samples = to_rate(mono, sound.sample_rate, PROMPT_RATE, resampler=options.resampler)
    if options.is_for_gpt2:
        samples = to_loudness(samples, PROMPT_RATE, GPT2_LUFS).astype(np.float32)
    return samples
