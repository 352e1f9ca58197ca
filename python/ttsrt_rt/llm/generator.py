"""`Generator`: an engine of a language model with its tokenizer, from text to text."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt import _core
from ttsrt_rt.convert.stored_options import stored_run_options
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.executor import Executor
from ttsrt_rt.llm.batch import run_batch
from ttsrt_rt.llm.front_end import read_llm_front_end
from ttsrt_rt.llm.options import GenerationFields, GenerationOptions, options_of
from ttsrt_rt.llm.results import Generation, Piece
from ttsrt_rt.llm.run import Ends, Run
from ttsrt_rt.llm.text_model import Prompt, TextModel
from ttsrt_rt.options import ExecutorOptions
from ttsrt_rt.quoting import show
from ttsrt_rt.request import Request
from ttsrt_rt.text.llm_tokenizer import LlmTokenizer
from ttsrt_rt.text.text_stream import check_stops

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Generator", "Prompt"]

MOST_RESULTS = 1024
MOST_STOP_IDS = 32  # of a request, beside the engine's own


class Generator(TextModel):
    """An engine of a language model, open on a device. Thread safe; a context manager."""

    def __init__(self, engine: str | os.PathLike[str], **options: Unpack[ExecutorOptions]) -> None:
        """Opens an engine, which may carry a default of `kv_cache_dtype`.

        Args:
            engine: the folder that `build` wrote.
            **options: those of `Executor`, such as `device`, `max_batch_size`, `speculation` and
                `draft_engine`.

        Raises:
            ConfigError: it is an engine of another family, or an option is wrong.
            DeviceError: the device is absent.
            FormatError: the engine is damaged.
        """
        self._engine = _core.Engine.open(engine)
        description = json.loads(self._engine.description)
        where = os.fspath(engine)
        front = read_llm_front_end(description, where)
        self._tokenizer: LlmTokenizer | None = None
        self._no_tokenizer = (
            f"{where}: expected an engine with a tokenizer, got one that was converted without "
            "tokenizer.json; pass ids, or convert it again with that file in its folder"
        )
        try:
            self._tokenizer = front.tokenizer(where)
        except ConfigError as error:  # a package or tokenizer.json is missing: ids work without
            self._no_tokenizer = str(error)
        bos = None if self._tokenizer is None else self._tokenizer.special.bos_token
        self._bos = self._tokenizer.token_id(bos) if self._tokenizer and bos else None
        self._stop_ids = frozenset(front.stop_ids)
        self._limits = description["limits"]
        self._usual_tokens = int(description["defaults"]["max_frames"])
        self._vocab = int(description["model"]["vocab"])
        stored: Any = stored_run_options(description, where)
        options = {**stored, **options}
        self._executor = Executor(self._engine, **options)

    @property
    def executor(self) -> Executor:
        """What runs the requests."""
        return self._executor

    @property
    def tokenizer(self) -> LlmTokenizer:
        """What turns text into ids, and ids into text.

        Raises:
            ConfigError: the model was converted without a tokenizer, or the package `tokenizers`
                is missing.
        """
        if self._tokenizer is None:
            raise ConfigError(self._no_tokenizer)
        return self._tokenizer

    def close(self) -> None:
        """Ends all requests and releases the device; may be called again."""
        self._executor.close()

    def generate(self, prompt: Prompt, **fields: Unpack[GenerationFields]) -> Generation:
        """Continues a prompt and waits for the whole.

        Args:
            prompt: a text, or ids.
            **fields: the following; None stands for the model's default.
            max_tokens: ids to generate at most, which the engine's `max_seq_len` limits too.
            max_new_tokens: another name of `max_tokens`.
            min_tokens: ids before which nothing but the length ends the text.
            stop: texts that end it, at most 16 of 256 bytes; they are left out of the text.
            stop_ids: ids that end it, beside the model's own.
            include_stop: whether the text keeps the stop string.
            temperature: divides logits before a draw; 0 takes the largest.
            top_k, top_p, min_p: which ids are drawn among, as of `Request`.
            repetition_penalty: divides scores above 0 of ids that were there before, and multiplies
                those below.
            repetition_scope: "all" counts ids of the prompt and generated ones, "generated" these.
            presence_penalty, frequency_penalty: taken from the score of an id that was generated,
                once, and once for each time.
            logit_bias: numbers that are added to the scores of ids.
            bad_ids: ids that are never generated.
            ignore_eos: whether the model's ids of the end are ordinary ones; `stop_ids` still end
                it.
            mask_padding_ids: whether ids that the tokenizer does not have are never generated.
            logprobs: so many of the likeliest ids are told for each generated one, at most 20.
            echo: whether the text begins with that of the prompt.
            seed: of the draws; the same seed gives the same text.
            speculation: as of `Request`: {"mode": "ngram"}, "draft" or "none"; equal texts.
            shared_prefix: of the prompt's ids, so many, or all if there are fewer, begin other
                prompts, too, and are computed once for all of them.
            special: "template" takes special tokens that are written in a text for these tokens,
                "never" takes them for text.
            add_special_tokens: whether the tokenizer adds its own to the prompt.
            skip_special: whether special tokens give no text.
            continues: whether the text goes on where the prompt ended, so that a first blank stays.
            truncate: what is done with a prompt of more than `max_input_len` ids: "error", or
                "left" or "right", the side that is cut off.
            priority, deadline: as of `Request`.

        Raises:
            ConfigError: the prompt or an option can't be served.
            CapacityError: the queue is full, or the request may need more cache than there is.
            InternalError: the request failed.
        """
        options = options_of(fields, "generate")
        run = self._submit(self._ids_of(prompt, options), options)
        try:
            while not run.is_over:
                run.take()
            return run.generation()
        except BaseException:
            run.handle.cancel()
            raise

    def generate_batch(
        self, prompts: Sequence[Prompt], **fields: Unpack[GenerationFields]
    ) -> list[Generation]:
        """Continues several prompts together; each gets what it would get alone.

        Args:
            prompts: texts, or lists of ids.
            **fields: as of `generate`, for each.

        Returns:
            The generations in order. One that failed has the finish reason "error".

        Raises:
            ConfigError: a prompt or an option can't be served.
            CapacityError: the queue is full of requests of others.
        """
        if isinstance(prompts, (str, bytes)) or not isinstance(prompts, (Sequence, np.ndarray)):
            raise ConfigError(f"prompts: expected a list of prompts, got {show(prompts)}")
        options = options_of(fields, "generate_batch")
        waiting = [self._ids_of(each, options) for each in prompts]
        for ids in waiting:
            self._request_of(ids, options)
        return run_batch(waiting, lambda ids: self._submit(ids, options), lambda ids: ids)

    def generate_n(
        self, prompt: Prompt, n: int, **fields: Unpack[GenerationFields]
    ) -> list[Generation]:
        """Continues a prompt n times, with the seeds `seed`, `seed` + 1, and so on.

        Each is what `generate` returns with that seed; a greedy model says the same n times. The
        prompt is computed once, and its rows of the cache are shared.

        Args:
            prompt: as of `generate`.
            n: 1 to 1024.
            **fields: as of `generate`.

        Returns:
            The generations in the order of their seeds. One that failed has the finish reason
            "error".

        Raises:
            ConfigError: the prompt or an option can't be served.
        """
        options = options_of(fields, "generate_n")
        if type(n) is not int or not 1 <= n <= MOST_RESULTS:
            raise ConfigError(f"n: expected an integer of 1..{MOST_RESULTS}, got {show(n)}")
        ids = self._ids_of(prompt, options)
        shared = len(ids) if n > 1 else options.shared_prefix
        each = [replace(options, seed=options.seed + at, shared_prefix=shared) for at in range(n)]
        for one in (each[0], each[-1]):
            self._request_of(ids, one)
        return run_batch(each, lambda one: self._submit(ids, one), lambda _one: ids)

    def stream(self, prompt: Prompt, **fields: Unpack[GenerationFields]) -> Iterator[Piece]:
        """Continues a prompt, and yields its text while it is made.

        The pieces together are what `generate` returns. Leaving the iterator cancels the request.

        Args:
            prompt, **fields: as of `generate`.

        Raises:
            ConfigError, CapacityError: as `generate`, at once.
            InternalError: while iterating: the request failed.
        """
        options = options_of(fields, "stream")
        return _pieces(self._submit(self._ids_of(prompt, options), options))

    def start(self, prompt: Prompt, **fields: Unpack[GenerationFields]) -> Run:
        """Begins to continue a prompt: `take` of what is returned waits for the next piece, and
        `generation` gives the whole in the end.

        Args:
            prompt, **fields: as of `generate`.

        Raises:
            ConfigError, CapacityError: as `generate`.
        """
        options = options_of(fields, "start")
        return self._submit(self._ids_of(prompt, options), options)

    def score(self, prompt: Prompt) -> npt.NDArray[np.float32]:
        """Returns how unlikely the model finds each id of a text: the negative logarithm of its
        probability, given all ids before it. The first id has none.

        Args:
            prompt: a text, or at least two ids.

        Returns:
            float32 [ids - 1].

        Raises:
            ConfigError: it is shorter, or longer than `max_seq_len` + 1.
        """
        ids = self._encoded(prompt, GenerationOptions())
        self._check_range(ids)
        most = int(self._limits["max_seq_len"]) + 1
        if not 2 <= len(ids) <= most:
            raise ConfigError(f"prompt: expected 2 to {most} ids to score, got {len(ids)}")
        return self._executor.score(ids)

    def _submit(self, ids: list[int], options: GenerationOptions) -> Run:
        request = self._request_of(ids, options)
        strings = check_stops(options.stop)
        ends = Ends(
            ids=frozenset(self._stops_of(options)[MOST_STOP_IDS:]),
            strings=strings,
            include=options.include_stop,
            min_tokens=request.min_frames or 0,
            has_logprobs=options.logprobs is not None,
        )
        tokenizer = self.tokenizer if strings or options.echo else self._tokenizer
        opening = ""
        if options.echo and tokenizer is not None:
            opening = tokenizer.decode(ids, skip_special=options.skip_special)
        return Run(
            self._executor.submit(request),
            ids,
            ends,
            tokenizer,
            skip_special=options.skip_special,
            continues=options.continues or options.echo,
            opening=opening,
            warnings=self._warnings_of(ids),
        )

    def _warnings_of(self, ids: Sequence[int]) -> list[str]:
        """Returns what looks like a mistake in a prompt, which runs as it is."""
        if self._bos is None or list(ids[:2]) != [self._bos] * 2:
            return []
        return [
            f"prompt: begins with two bos, id {self._bos}: a template that writes one needs "
            "add_special_tokens=False"
        ]

    def _stops_of(self, options: GenerationOptions) -> list[int]:
        """Returns the ids that end a text beside the engine's own, if that does."""
        eos = self._engine.info.eos_id
        own: set[int] = set() if options.ignore_eos else {eos}
        of_model = frozenset() if options.ignore_eos else self._stop_ids
        found = [*sorted(of_model - own), *sorted(set(options.stop_ids) - of_model - own)]
        if options.min_tokens and len(found) > MOST_STOP_IDS:
            raise ConfigError(
                f"stop_ids: expected at most {MOST_STOP_IDS + len(own)} ids that end a text beside "
                f"min_tokens, the model's own included, got {len(found) + len(own)}"
            )
        return found

    def _request_of(self, ids: list[int], options: GenerationOptions) -> Request:
        room = int(self._limits["max_seq_len"]) - len(ids) + 1
        if room < 1:
            raise ConfigError(
                f"prompt: expected at most max_seq_len {self._limits['max_seq_len']} ids, got "
                f"{len(ids)}"
            )
        most = min(self._usual_tokens if options.max_tokens is None else options.max_tokens, room)
        return Request(
            text_ids=ids,
            max_frames=most,
            min_frames=min(options.min_tokens, most),
            prior=None,
            tokens=options.tokens(self._stops_of(options)[:MOST_STOP_IDS]),
            **{
                **options.of_the_request(),
                "shared_prefix": min(options.shared_prefix, len(ids)),
            },
        )

    def _ids_of(self, prompt: Prompt, options: GenerationOptions) -> list[int]:
        """Returns a prompt's ids, cut off as the options say."""
        check_stops(options.stop)
        ids = self._encoded(prompt, options)
        most = int(self._limits["max_input_len"])
        if len(ids) > most:
            if options.truncate == "error":
                raise ConfigError(
                    f"prompt: expected at most max_input_len {most} ids, got {len(ids)}; "
                    "truncate='left' keeps the last ones, and build takes a larger max_input_len"
                )
            ids = ids[-most:] if options.truncate == "left" else ids[:most]
        self._check_range(ids)
        return ids

    def _encoded(self, prompt: Prompt, options: GenerationOptions) -> list[int]:
        if isinstance(prompt, str):
            return self.tokenizer.encode(
                prompt, special=options.special, add_special_tokens=options.add_special_tokens
            )
        try:
            array = np.asarray(prompt)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"prompt: expected a text or ids, got {show(prompt)}") from error
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise ConfigError(f"prompt: expected a text or a list of ids, got {show(prompt)}")
        return [int(each) for each in array]

    def _check_range(self, ids: Sequence[int]) -> None:
        if not ids:
            raise ConfigError("prompt: expected at least one id, got none")
        if min(ids) < 0 or max(ids) >= self._vocab:
            wrong = next(each for each in ids if not 0 <= each < self._vocab)
            raise ConfigError(f"prompt: expected ids 0..{self._vocab - 1}, got {wrong}")


def _pieces(run: Run) -> Iterator[Piece]:
    try:
        while (piece := run.take()) is not None:
            yield piece
    finally:
        run.handle.cancel()
