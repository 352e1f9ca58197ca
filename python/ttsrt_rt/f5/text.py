"""Texts for the requests of F5-TTS: ids by the vocabulary that the engine describes.

A request without `flow_text` takes one chunk, behind the text of the prompt, and says how long it
lasts. With it, a text of any length is cut and timed by the rules of the original, and each chunk
becomes a request of its own, as the model carries nothing from one to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.f5.front_end import FrontEnd, read_front_end
from ttsrt_rt.f5.plan import PlanOptions, Room, check_number, plan_speech
from ttsrt_rt.f5.rules import chunk_seed
from ttsrt_rt.quoting import show
from ttsrt_rt.request import Flow, FlowText, Request
from ttsrt_rt.spoken import SpokenText
from ttsrt_rt.text.chunks import Chunks
from ttsrt_rt.text.f5_tokenizer import F5Tokenizer
from ttsrt_rt.text.tokens import TextTokens
from ttsrt_rt.text_options import TextOptions, refuse_options

__all__ = ["F5FrontEnd", "Limits", "open_f5_front_end"]

LEAST_SECONDS, MOST_SECONDS = 0.01, 3600.0  # of a prompt


@dataclass(frozen=True)
class Limits:
    """What an engine takes: ids of a chunk and frames of a pass at most."""

    max_ids: int
    max_frames: int


@dataclass(frozen=True)
class _Heard:
    """A prompt as the plan sees it."""

    ref_frames: int
    seconds: float


class F5FrontEnd:
    """Makes ids of texts. Threads may share one.

    Attributes:
        languages: none: the model tells by the text.
        default_language: "".
    """

    def __init__(self, front: FrontEnd, tokenizer: F5Tokenizer) -> None:
        """Keeps what the engine describes, and its tokenizer."""
        self._front = front
        self._tokenizer = tokenizer
        self.languages: dict[str, str] = {}
        self.default_language = ""

    def read(self, text: str, language: str | None, options: TextOptions) -> None:
        """Texts are read at once."""

    def speak(self, text: str, language: str | None, options: TextOptions) -> SpokenText:
        """Returns the ids of a text, as one chunk.

        Raises:
            ConfigError: a language is named, the text is none or empty, or an option is of other
                models; a package is missing; or, with `strict`, a token is not in the vocabulary.
        """
        _check(language, options)
        made = Chunks(None)
        made.add(self._tokens(text), len(text))
        return made.spoken(text, "", is_strict=options.strict)

    def plan(
        self, request: Request, options: TextOptions, prompt_frames: int, limits: Limits
    ) -> tuple[list[Request], SpokenText]:
        """Returns a request for each chunk of a text, and what the text became.

        Args:
            request: with a `text` and `flow_text`.
            options: of its text.
            prompt_frames: rows of its prompt.
            limits: of the engine.

        Raises:
            ConfigError: as `speak` and `plan_speech`; or the request has no prompt, says how long
                a chunk lasts, or brings noise; or a chunk has more ids than the engine takes.
        """
        _check(request.language, options)
        text, how, flow = request.text or "", request.flow_text, request.flow or Flow()
        if not isinstance(how, FlowText):
            raise ConfigError(f"flow_text: expected FlowText, got {show(how)}")
        for name, given in (("flow.duration", flow.duration), ("noise", request.noise)):
            if given is not None:
                raise ConfigError(f"{name}: expected none with flow_text, which plans chunks")
        check_number("flow_text.gain", how.gain, 0.0, 1.0)
        rows = flow.lens if isinstance(flow.lens, int) else prompt_frames
        if rows < 2:
            raise ConfigError(
                f"flow_text: expected a prompt of at least 2 frames, got {max(rows, 0)}"
            )
        rate = self._front.spectra.frame_rate
        seconds = (rows - 1) / rate if how.ref_seconds is None else how.ref_seconds
        check_number("flow_text.ref_seconds", seconds, LEAST_SECONDS, MOST_SECONDS)
        is_cut = options.split != "never"
        chunks = plan_speech(
            text,
            how.ref_text,
            _Heard(rows - 1, seconds),
            self._front.rules,
            PlanOptions(how.speed, how.fix_duration, how.cross_fade, how.boundaries, is_cut),
            Room(rate, limits.max_frames),
        )
        made, requests = Chunks(None), []
        bare = replace(request, text=None, text_options=None, flow_text=None)
        for index, chunk in enumerate(chunks):
            tokens = self._tokens(chunk.text)
            tokens = replace(tokens, dropped=self._tokenizer.unknown_counts(chunk.own))
            made.add(tokens, len(text))
            _check_room(index, chunk.own, len(tokens.ids), limits)
            requests.append(
                replace(
                    bare,
                    text_ids=tokens.ids,
                    flow=replace(flow, duration=chunk.frames),
                    seed=_seed(request.seed, index),
                )
            )
        return requests, made.spoken(text, "", is_strict=options.strict)

    def _tokens(self, text: str) -> TextTokens:
        ids = np.array(self._tokenizer.encode(text), np.int32)
        spoken = len(ids) if text.strip() else 0
        return TextTokens(ids, None, self._tokenizer.unknown_counts(text), spoken)


def _seed(seed: Any, index: int) -> Any:
    """The seed of a chunk. The library refuses what is no seed."""
    return chunk_seed(int(seed), index) if hasattr(seed, "__index__") else seed


def _check(language: str | None, options: TextOptions) -> None:
    if language is not None:
        raise ConfigError(
            f"language: expected none, as F5-TTS tells it by the text, got {show(language)}"
        )
    refuse_options(options, "F5-TTS")


def _check_room(index: int, text: str, ids: int, limits: Limits) -> None:
    """Refuses a chunk whose ids have no room; each takes a frame at least, and one is behind them.

    Raises:
        ConfigError: there are too many.
    """
    most = min(limits.max_ids, limits.max_frames - 1)
    if ids > most:
        raise ConfigError(
            f"text: chunk {index + 1} ({show(text[:20])}): expected at most {most} ids with those "
            f'of the prompt, got {ids}; take "extended" boundaries or a shorter prompt, or build '
            "the engine with a larger max_seq_len and max_encoder_input_len"
        )


def open_f5_front_end(description: Mapping[str, Any], where: str) -> F5FrontEnd | None:
    """Opens the front end that engine.json describes; None if the model has no vocabulary.

    Raises:
        FormatError: as `read_front_end`.
    """
    front = read_front_end(description, where)
    return None if front.tokenizer is None else F5FrontEnd(front, front.tokenizer)
