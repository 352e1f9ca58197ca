"""`F5Model`: a server's view of F5-TTS: `sample` as the original's, `decode`, and `synthesize` from
a text and a reference to sound.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ttsrt_rt import _core
from ttsrt_rt.audio.files import Sound
from ttsrt_rt.audio.rates import check_resampler
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.executor import Executor
from ttsrt_rt.f5 import rules as f5_rules
from ttsrt_rt.f5.backend import device_of
from ttsrt_rt.f5.batches import (
    Batch,
    Texts,
    conditions_of,
    float_array,
    ids_of,
    padded,
    requests_of,
)
from ttsrt_rt.f5.finish import finish
from ttsrt_rt.f5.front_end import read_front_end
from ttsrt_rt.f5.plan import Chunk, PlanOptions, Room, plan_speech
from ttsrt_rt.f5.prompt import Prompt, PromptCache
from ttsrt_rt.f5.runs import Floats, audio_of, run_all, spectrogram_of
from ttsrt_rt.f5.vocoder import Vocoder, open_vocoder
from ttsrt_rt.quoting import show
from ttsrt_rt.request import Flow, FlowText, Request
from ttsrt_rt.text.f5_tokenizer import F5Tokenizer

__all__ = ["F5Model", "Floats", "Speech"]

STEPS_VARIABLE = "TTS_NFE_STEPS"
MAX_STEPS = 128  # of the library, which says so of a request only
CROSS_FADE = 0.15


class Speech(NamedTuple):
    """Sound, as `synthesize` returns it.

    Attributes:
        samples: float32 [samples].
        sample_rate: samples per second.
    """

    samples: Floats
    sample_rate: int


class F5Model:
    """An engine of F5-TTS or IndicF5, open on a device. Thread safe; a context manager."""

    def __init__(
        self,
        engine: str | os.PathLike[str],
        *,
        backend: str | None = None,
        vocoder: str | os.PathLike[str] | None = None,
        resampler: str = "sinc",
        **options: Any,
    ) -> None:
        """Opens an engine.

        Args:
            engine: the folder that `build` wrote.
            backend: "cpu", "cuda" or "trtllm"; see `device_of`.
            vocoder: an engine of Vocos, for models that were converted without one.
            resampler: how references get the model's rate: "sinc", as the original, or "soxr".
            **options: those of `Executor`, but for `device`.

        Raises:
            ConfigError: it is an engine of another family, or an option is wrong.
            DeviceError: the device is absent.
            FormatError: the engine is damaged.
        """
        check_resampler(resampler)
        opened = _core.Engine.open(engine)
        description = json.loads(opened.description)
        if description["family"] != "f5":
            raise ConfigError(
                f"{os.fspath(engine)}: family: expected f5, got {show(description['family'])}"
            )
        device = device_of(backend)
        self._steps = _steps_of_environment()
        self._model = description["model"]
        self._max_frames = int(description["limits"]["max_seq_len"])
        front = read_front_end(description, os.fspath(engine))
        self._spectra, self._rules, self._tokenizer = front.spectra, front.rules, front.tokenizer
        self._prompts = PromptCache()
        self._resampler = resampler
        self._executor = Executor(opened, device=device, **options)
        self._vocoder: Vocoder | None = None
        try:
            if vocoder is not None:
                beside = open_vocoder(vocoder, self._model)
                self._vocoder = Vocoder(Executor(beside, device=device), beside)
            elif self._model.get("vocoder"):
                self._vocoder = Vocoder(self._executor, opened)
        except BaseException:
            self._executor.close()
            raise

    @property
    def executor(self) -> Executor:
        """What runs the requests."""
        return self._executor

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it makes."""
        return self._spectra.sample_rate

    @property
    def tokenizer(self) -> F5Tokenizer:
        """What turns text into ids.

        Raises:
            ConfigError: the model was converted without a vocabulary.
        """
        if self._tokenizer is None:
            raise ConfigError(
                "text: expected an engine with a vocabulary, got one that was converted without "
                "vocab.txt; convert it again with --vocab"
            )
        return self._tokenizer

    def close(self) -> None:
        """Ends all requests and releases the device; may be called again."""
        self._executor.close()
        if self._vocoder is not None and not self._has_own_vocoder:
            self._vocoder.executor.close()

    def __enter__(self) -> F5Model:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def sample(
        self,
        cond: npt.ArrayLike,
        text: Texts,
        duration: int | npt.ArrayLike,
        *,
        lens: int | npt.ArrayLike | None = None,
        steps: int = 32,
        cfg_strength: float = 1.0,
        sway_sampling_coef: float | None = None,
        seed: int | None = None,
        max_duration: int | None = None,
        use_epss: bool | None = None,
        no_ref_audio: bool = False,
        edit_mask: npt.ArrayLike | None = None,
        noise: npt.ArrayLike | None = None,
        method: str = "euler",
    ) -> tuple[Floats, None]:
        """Makes spectrograms, with the arguments and the defaults of the original's `CFM.sample`.

        Args:
            cond: prompts: waves [batch, samples] at the model's rate, or spectrograms [batch,
                frames, bands].
            text: ids [batch, length] with -1 behind shorter ones, or texts as strings (taken
                character by character) or lists of tokens.
            duration: frames, prompt included, of all samples or of each.
            lens: frames of each prompt that count; None: all.
            steps: evaluations.
            cfg_strength: of guidance; 0 for none.
            sway_sampling_coef: -1 in all front ends; None for none.
            seed: of the noise, the same for every sample; None: drawn anew.
            max_duration: frames that no sample exceeds; None: the engine's limit.
            use_epss: whether few steps take the grids made for them; None: as the model does.
            no_ref_audio: whether the network does not get the prompt.
            edit_mask: bool [batch, frames of the longest prompt]: prompt frames to keep.
            noise: float32 [batch, frames, bands] in place of drawn noise.
            method: "euler" or "midpoint".

        Returns:
            float32 [batch, frames, bands], zeros behind shorter samples; and None where the
            original has a trajectory.

        Raises:
            ConfigError: an argument has another shape or is out of its limits.
        """
        prompts, ids = conditions_of(cond, self._spectra), ids_of(text, self._tokenizer)
        batch = Batch(prompts, ids, duration, lens, edit_mask, noise, seed)
        flow = {
            "steps": steps,
            "cfg_strength": cfg_strength,
            "sway_sampling_coef": 0.0 if sway_sampling_coef is None else sway_sampling_coef,
            "use_epss": use_epss,
            "method": method,
            "max_duration": max_duration,
            "no_ref_audio": no_ref_audio,
        }
        results = run_all(self._executor, requests_of(batch, flow))
        return padded([spectrogram_of(result) for result in results]), None

    def decode(self, mel: npt.ArrayLike) -> Floats:
        """Turns spectrograms of any length into sound, as Vocos' `decode`.

        Args:
            mel: float32 [batch, bands, frames] or [bands, frames].

        Returns:
            float32 [batch, samples] or [samples].

        Raises:
            ConfigError: it has another shape, or there is no vocoder.
        """
        bands = self._spectra.bands
        array = float_array(mel, "mel")
        if array.ndim not in (2, 3) or array.shape[-2] != bands or not len(array):
            hint = "; transpose it" if array.ndim >= 2 and array.shape[-1] == bands else ""
            raise ConfigError(
                f"mel: expected [batch, {bands}, frames] or [{bands}, frames], got the shape "
                f"{list(array.shape)}{hint}"
            )
        batch = array[None] if array.ndim == 2 else array
        made = np.stack(self._vocoder_of().sounds_of([each.T for each in batch]))
        return made[0] if array.ndim == 2 else made

    def synthesize(
        self,
        text: str,
        ref_audio_path: str | os.PathLike[str] | bytes | Sound,
        ref_text: str,
        *,
        seed: int | None = None,
        steps: int | None = None,
        cfg_strength: float | None = None,
        sway_sampling_coef: float | None = None,
        use_epss: bool | None = None,
        speed: float = 1.0,
        fix_duration: float | None = None,
        cross_fade: float = CROSS_FADE,
        boundaries: str = "original",
        remove_silence: bool | None = None,
    ) -> Speech:
        """Speaks a text with the voice of a reference, by the rules of the model's front end.

        Args:
            text: what to say.
            ref_audio_path: a file, the bytes of one, or its samples.
            ref_text: what is said in it.
            seed: of the noise; each chunk has its own, made of it. None: drawn anew.
            steps: evaluations; None: TTS_NFE_STEPS of the environment, or the model's default.
            cfg_strength: of guidance; None: the model's default.
            sway_sampling_coef: None: the model's default; 0 for none.
            use_epss: whether 5, 6, 7, 10, 12 and 16 steps take the grids made for so few; None:
                the model's default, true but for IndicF5.
            speed: of the speech.
            fix_duration: seconds of prompt and speech, in place of an estimate.
            cross_fade: seconds in which chunks overlap.
            boundaries: "original" cuts long texts where F5-TTS does; "extended" at the danda and
                other scripts' punctuation too, and sentences that are too long between words.
            remove_silence: whether to take long silence out of the result; None: as the model's
                front end.

        Raises:
            ConfigError: a text is empty, the reference is silent or too long, or a chunk is longer
                than the engine takes.
            FormatError: the reference is damaged.
        """
        prompt = self._prompt(ref_audio_path)
        options = PlanOptions(speed, fix_duration, cross_fade, boundaries)
        chunks = plan_speech(text, ref_text, prompt, self._rules, options, self._room())
        flow = {
            "steps": self._steps if steps is None else steps,
            "cfg_strength": cfg_strength,
            "sway_sampling_coef": sway_sampling_coef,
            "use_epss": use_epss,
        }
        used = secrets.randbits(62) if seed is None else seed
        requests = [
            self._request(chunk, prompt, f5_rules.chunk_seed(used, index), flow)
            for index, chunk in enumerate(chunks)
        ]
        gain = np.float32(prompt.gain)
        waves = [wave * gain for wave in self._waves(requests, prompt)]
        joined = f5_rules.join_waves(waves, cross_fade, self.sample_rate)
        finished = finish(Sound(joined[:, None], self.sample_rate), self._rules, remove_silence)
        return Speech(finished, self.sample_rate)

    def request(
        self,
        text: str,
        ref_audio_path: str | os.PathLike[str] | bytes | Sound,
        ref_text: str,
        *,
        seed: int | None = None,
        flow: Flow | None = None,
        **how: Any,
    ) -> Request:
        """Returns the request that speaks a text, for `executor.stream` and its like.

        It gives the samples of `synthesize`, but for the rules that a front end has for the silence
        and the level of a whole result. Its chunks run one behind the other, so that its first
        sound takes as long as that of the first chunk; those of `synthesize` run together.

        Args:
            text: as for `synthesize`, as are `ref_audio_path`, `ref_text` and `seed`.
            flow: options of the model; TTS_NFE_STEPS of the environment counts for None only.
            **how: other fields of `FlowText`: `speed`, `cross_fade` and so on.

        Raises:
            ConfigError, FormatError: the reference can't be read, or a field is unknown.
        """
        prompt = self._prompt(ref_audio_path)
        given = dict[str, Any](ref_text=ref_text, ref_seconds=prompt.seconds, gain=prompt.gain)
        return Request(
            text=text,
            context_embeddings=prompt.mel,
            seed=secrets.randbits(62) if seed is None else seed,
            flow=Flow(steps=self._steps) if flow is None else flow,
            flow_text=FlowText(**(given | how)),
        )

    def _room(self) -> Room:
        return Room(self._spectra.frame_rate, self._max_frames)

    def _prompt(self, ref_audio: str | os.PathLike[str] | bytes | Sound) -> Prompt:
        return self._prompts.get(
            ref_audio, self._rules, spectra=self._spectra, resampler=self._resampler
        )

    def _request(self, chunk: Chunk, prompt: Prompt, seed: int, flow: dict[str, Any]) -> Request:
        has_own = self._has_own_vocoder
        return Request(
            text_ids=self.tokenizer.encode(chunk.text),
            context_embeddings=prompt.mel,
            seed=seed,
            flow=Flow(duration=chunk.frames, **flow),
            return_audio=has_own,
            return_spectrogram=not has_own,
            audio_start=prompt.ref_frames if has_own else None,
        )

    def _waves(self, requests: Sequence[Request], prompt: Prompt) -> list[Floats]:
        vocoder = self._vocoder_of()
        results = run_all(self._executor, requests)
        if self._has_own_vocoder:
            return [audio_of(result) for result in results]
        return vocoder.sounds_of([spectrogram_of(each)[prompt.ref_frames :] for each in results])

    @property
    def _has_own_vocoder(self) -> bool:
        return self._vocoder is not None and self._vocoder.executor is self._executor

    def _vocoder_of(self) -> Vocoder:
        if self._vocoder is None:
            raise ConfigError(
                "vocoder: expected an engine with a vocoder, or one of Vocos beside it, got none; "
                "convert the model with --vocoder, or pass vocoder="
            )
        return self._vocoder


def _steps_of_environment() -> int | None:
    given = os.environ.get(STEPS_VARIABLE)
    if not given:
        return None
    if not given.isascii() or not given.isdigit() or not 1 <= int(given[:9]) <= MAX_STEPS:
        raise ConfigError(f"{STEPS_VARIABLE}: expected 1 to {MAX_STEPS}, got {show(given)}")
    return int(given)
