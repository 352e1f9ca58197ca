"""What makes ids of the text of a request: the front end that an engine carries.

A Magpie and a T3 have a folder `text` in their engine, F5-TTS a vocabulary in `engine.json`. The
front end is opened by the first request with a text.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ttsrt_rt.arrays import NEEDS_FRONT_END, most_numbers
from ttsrt_rt.errors import ConfigError, FormatError, InternalError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import list_names, quote, show
from ttsrt_rt.request import Request
from ttsrt_rt.text.checks import check_text
from ttsrt_rt.text.languages import find_language
from ttsrt_rt.text_options import TextOptions, check_text_options

if TYPE_CHECKING:
    from ttsrt_rt import _core
    from ttsrt_rt.spoken import SpokenText
    from ttsrt_rt.text.reading import LaterText, SentenceReading

__all__ = ["FrontEnd", "TextResolver", "open_front_end"]

FOLDER, DESCRIPTION = "text", "front_end.json"
FORMAT = "ttsrt.front_end"
MAX_BYTES = 64 << 20
_LETTERS_AN_ID = 2  # a text of more than so many characters for each id has too many ids
_SHOWN = 20  # characters of a chunk in a message
_OTHER_TEXTS = ("text_ids", "text_features", "encoder_output", "prompt_embeddings", "codes",
                "samples", "mel", "text_chunks", "text_silences", "text_voices")  # fmt: skip


class FrontEnd(Protocol):
    """Makes ids of texts; threads may share it."""

    @property
    def languages(self) -> Mapping[str, str]:
        """The name of the tokenizer of each language."""

    @property
    def default_language(self) -> str:
        """What is spoken where a request names no language."""

    def speak(self, text: str, language: str | None, options: TextOptions) -> SpokenText:
        """Returns the ids of a text. Raises ConfigError where it can't be spoken."""

    def read(self, text: str, language: str | None, options: TextOptions) -> SentenceReading | None:
        """Begins to read a text whose first sentence may be spoken before the rest is read; None
        for one that is read at once. Raises ConfigError where it can't be spoken.
        """


def open_front_end(engine: _core.Engine) -> FrontEnd | None:
    """Opens the front end of an engine; None if it carries none.

    Raises:
        ConfigError: a package that it needs is missing.
        FormatError: a file of it is damaged; the message names it.
    """
    folder = Path(engine.path) / FOLDER
    if not (folder / DESCRIPTION).is_file():
        description = json.loads(engine.description)
        if description.get("family") != "f5":
            return None
        from ttsrt_rt.f5.text import open_f5_front_end

        return open_f5_front_end(description, engine.path)
    description = read_json(folder / DESCRIPTION, max_bytes=MAX_BYTES)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        got = show(description.get("format")) if isinstance(description, dict) else "no object"
        raise FormatError(f"{folder / DESCRIPTION}: format: expected {FORMAT!r}, got {got}")
    family = description.get("family")
    if family == "magpie":
        from ttsrt_rt.text.magpie_front_end import MagpieFrontEnd

        return MagpieFrontEnd(folder, engine.front_end)
    if family == "t3":
        from ttsrt_rt.text.t3_front_end import T3FrontEnd

        return T3FrontEnd(folder, description)
    raise FormatError(f"{folder / DESCRIPTION}: family: expected magpie or t3, got {show(family)}")


class TextResolver:
    """Puts ids in the place of the text of requests. Thread safe."""

    def __init__(self, engine: _core.Engine) -> None:
        """Keeps the engine; nothing is opened yet."""
        self._engine = engine
        self._lock = threading.Lock()
        self._is_open = False
        self._front_end: FrontEnd | None = None

    @property
    def front_end(self) -> FrontEnd | None:
        """The engine's front end; None if it has none.

        Raises:
            ConfigError, FormatError: as `open_front_end`.
        """
        with self._lock:
            if not self._is_open:
                self._front_end = open_front_end(self._engine)
                self._is_open = True
            return self._front_end

    def resolve(
        self, request: Request, voices: Callable[[], Sequence[str]]
    ) -> tuple[Request, SpokenText | None, LaterText | None]:
        """Returns the request with ids in the place of its text, and what the text became; of a
        text that is read while it is spoken, its first sentence, and the rest.

        Args:
            request: the request.
            voices: the names that markup may name.

        Raises:
            ConfigError: it has a text and ids; the engine has no front end; the text can't be
                spoken, or is too long; or it has pauses and the engine makes no sound.
        """
        request = self._with_history(request)
        if request.text is None:
            for name in ("language", "text_options", "flow_text"):
                if getattr(request, name) is not None:
                    raise ConfigError(f"{name}: expected none without text, got one")
            return request, None, None
        begin = time.perf_counter()
        opened = self._opened(request)
        later = self._begin(request, *opened, begin)
        spoken = self._read_whole(request, *opened, begin) if later is None else later.spoken
        if any(voice is not None for voice in spoken.voices):
            _check_voices(opened[0], spoken, voices())
        if any(spoken.pauses) and not spoken.sample_rate:
            raise ConfigError(
                "text: expected markup without <break>, as this engine makes no sound; build it "
                "with codec_dir"
            )
        values: dict[str, Any] = {"text_ids": spoken.ids}
        if len(spoken.chunks) > 1:
            values["text_chunks"] = spoken.chunks
        if spoken.silences:
            values["text_silences"] = spoken.silences
        if any(voice is not None for voice in spoken.voices):
            values["text_voices"] = [_voice_of(voice) for voice in spoken.voices]
        made = replace(request, text=None, language=None, text_options=None, **values)
        return made, spoken, later

    def _with_history(self, request: Request) -> Request:
        """Returns the request with a number in the place of `text_history="checkpoint"`."""
        if not isinstance(request.text_history, str):
            return request
        if request.text_history != "checkpoint":
            raise ConfigError(
                f"text_history: expected a number of ids, or checkpoint, got "
                f"{show(request.text_history)}"
            )
        defaults = json.loads(self._engine.description).get("defaults", {})
        found = defaults.get("text_history") if isinstance(defaults, dict) else None
        if found is None:
            raise ConfigError(
                'text_history: expected None or a number of ids, got "checkpoint", and this '
                "engine's checkpoint has no history_len_heuristic"
            )
        return replace(request, text_history=found)

    def resolve_flow(
        self, request: Request, prompt_frames: int
    ) -> tuple[list[Request], SpokenText]:
        """Returns a request for each chunk of a text with `flow_text`, and what the text became.

        Args:
            request: the request.
            prompt_frames: rows of its prompt.

        Raises:
            ConfigError: it has no text, or ids, too; the model takes no `flow_text`; or as
                `F5FrontEnd.plan`.
        """
        begin = time.perf_counter()
        text, front_end, options = self._opened(request)
        if self._engine.info.family != "f5":
            raise ConfigError(
                f"flow_text: expected none, as a {self._engine.info.family} plans no durations"
            )
        from ttsrt_rt.f5.text import F5FrontEnd, Limits

        if not isinstance(front_end, F5FrontEnd):
            raise InternalError("text: expected the front end of F5-TTS")
        info = self._engine.info
        limits = Limits(info.max_encoder_input_len, info.max_seq_len)
        check_text(text, "text")
        requests, spoken = front_end.plan(request, options, prompt_frames, limits)
        return requests, replace(self._completed(spoken), seconds=time.perf_counter() - begin)

    def _begin(
        self, request: Request, text: str, front_end: FrontEnd, options: TextOptions, begin: float
    ) -> LaterText | None:
        """Reads up to the first sentence that is spoken, if others are left then."""
        if options.normalize == "off":
            return None
        reading = front_end.read(text, request.language, options)
        if reading is None:
            return None
        from ttsrt_rt.text.reading import LaterText

        while reading.left and not len(reading.read()):
            pass
        if not reading.left:
            return None
        seconds = time.perf_counter() - begin
        later = LaterText(reading, lambda spoken: replace(self._completed(spoken), seconds=seconds))
        _check_lexicon(options.lexicon, later.spoken.language, front_end)
        return later

    def read(self, request: Request) -> SpokenText:
        """Returns what becomes of the text of a request.

        Raises:
            ConfigError: it has none, or ids, too; the engine has no front end; the text can't be
                spoken; a chunk of it is too long; or the lexicon is of another language.
        """
        begin = time.perf_counter()
        return self._read(request, *self._opened(request), begin)

    def _read_whole(
        self, request: Request, text: str, front_end: FrontEnd, options: TextOptions, begin: float
    ) -> SpokenText:
        """As `_read`, of a text whose ids the array of a request can hold."""
        most = most_numbers(self._engine.info)
        if isinstance(text, str) and len(text) > _LETTERS_AN_ID * most:
            raise ConfigError(
                f"text: expected at most {_LETTERS_AN_ID * most} characters for this engine, got "
                f"{len(text)}; speak it in parts"
            )
        spoken = self._read(request, text, front_end, options, begin)
        if len(spoken.ids) > most:
            raise ConfigError(
                f"text: expected one of at most {most} ids for this engine, got {len(spoken.ids)} "
                f"of its {len(text)} characters; speak it in parts"
            )
        return spoken

    def _read(
        self, request: Request, text: str, front_end: FrontEnd, options: TextOptions, begin: float
    ) -> SpokenText:
        """What becomes of the whole text, and how long that took since `begin`."""
        spoken = self._completed(front_end.speak(text, request.language, options))
        _check_lexicon(options.lexicon, spoken.language, front_end)
        return replace(spoken, seconds=time.perf_counter() - begin)

    def _opened(self, request: Request) -> tuple[str, FrontEnd, TextOptions]:
        """The text of a request, what reads it, and how."""
        if request.text is None:
            raise ConfigError("text: expected a text, got none")
        for name in _OTHER_TEXTS:
            if getattr(request, name, None) is not None:
                raise ConfigError(f"text: expected exactly one text, got text and {name}")
        options = check_text_options(
            TextOptions() if request.text_options is None else request.text_options
        )
        front_end = self.front_end
        if front_end is None:
            raise ConfigError(f"text: {_why_none(self._engine)}. {NEEDS_FRONT_END}")
        return request.text, front_end, options

    def _completed(self, spoken: SpokenText) -> SpokenText:
        """With what the engine knows.

        Raises:
            ConfigError: a chunk is too long.
        """
        info = self._engine.info
        if info.family == "magpie":
            _check_chunks(spoken, info.max_encoder_input_len)
        return replace(
            spoken,
            frame_rate=info.frame_rate,
            frames_per_step=max(1, info.frame_stacking),
            sample_rate=(info.sample_rate or 0) if info.has_vocoder else 0,
        )


def _check_lexicon(lexicon: object, language: str, front_end: FrontEnd) -> None:
    """Refuses a lexicon whose file names another language than that of the text. A language that
    the engine has no name for is that of the tokenizer which the request names.
    """
    named = getattr(lexicon, "language", None)
    if named is None or language not in front_end.languages:
        return
    try:
        found = find_language(named, front_end.languages, front_end.default_language)
    except ConfigError:
        found = None
    if found != language:
        raise ConfigError(
            f"text_options.lexicon: expected one of the language {language}, got xml:lang="
            f"{quote(named)}"
        )


def _check_voices(text: str, spoken: SpokenText, names: Sequence[str]) -> None:
    """Refuses a voice of markup that is none, and says where it stands."""
    from ttsrt_rt.text.ssml import parse_ssml

    def check(name: str) -> None:
        voice = _voice_of(name)
        if not (voice < len(names) if isinstance(voice, int) else voice in names):
            raise ConfigError(f"expected one of {list_names(names)}, or an index, got {show(name)}")

    parse_ssml(text, language=spoken.language, check_voice=check, where="text")


def _check_chunks(spoken: SpokenText, most: int) -> None:
    """Refuses a chunk that the encoder can't take at once."""
    end = 0
    for number, count in enumerate(spoken.chunks, 1):
        begin, end = end, end + count
        if count <= most:
            continue
        shown = ""
        if spoken.spans is not None:
            places = spoken.spans[begin:end]
            shown = f" ({quote(spoken.text[places[:, 0].min() : places[:, 1].max()][:_SHOWN])}…)"
        raise ConfigError(
            f"text: chunk {number}{shown}: expected at most {most} ids (max_encoder_input_len), "
            f'got {count}; split="phrases" makes shorter chunks'
        )


def _voice_of(name: str | None) -> int | str | None:
    """A voice that markup names, by its name or its index."""
    return int(name) if name is not None and name.isascii() and name.isdecimal() else name


def _why_none(engine: _core.Engine) -> str:
    """Why an engine has no front end."""
    description = json.loads(engine.description)
    if description["family"] == "t3" and description["model"].get("variant") == "multilingual":
        return (
            "this engine is a multilingual T3, whose text needs the dictionaries of its languages "
            "and comes as ids"
        )
    return "this engine carries no front end"
