"""The same models by `transformers`, as a baseline: `HfGenerator`. It needs the extra `hf`.

It runs a folder of Hugging Face as it is, by `generate` of transformers, in eager mode, with our
tokenizer and our rules of what ends a text. Nothing is downloaded, and code in the folder is not
run.
"""

from __future__ import annotations

import copy
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError, InternalError
from ttsrt_rt.llm.hf_follower import USUAL_TOKENS, Follower
from ttsrt_rt.llm.options import GenerationFields, GenerationOptions, options_of
from ttsrt_rt.llm.results import Generation, Piece
from ttsrt_rt.llm.text_model import Prompt, TextModel
from ttsrt_rt.options import path_of
from ttsrt_rt.quoting import shorten, show
from ttsrt_rt.text.llm_tokenizer import LlmTokenizer
from ttsrt_rt.text.text_stream import TextStream

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["HfGenerator", "TokenTimes"]


@dataclass
class TokenTimes:
    """When the tokens of a batch came.

    Attributes:
        submitted: before anything was done; of `time.perf_counter`.
        steps: after each token, which all prompts get together.
        ids: generated, of each prompt.
    """

    submitted: float
    steps: list[float] = field(default_factory=list)
    ids: list[list[int]] = field(default_factory=list)


class HfGenerator(TextModel):
    """A model of transformers on the CPU or a GPU."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        dtype: str = "auto",
        device: str = "cpu",
        num_threads: int = 0,
    ) -> None:
        """Loads a model.

        Args:
            folder: with `config.json` and the weights.
            dtype: "auto" for the model's own, "float32", "bfloat16" or "float16".
            device: of PyTorch: "cpu", "cuda:0".
            num_threads: of PyTorch; 0 leaves them.

        Raises:
            ConfigError: a package is missing, or transformers refuses the folder.
        """
        self._torch, transformers = _packages()
        path = path_of(folder, "model_dir")
        if not (path / "config.json").is_file():
            raise ConfigError(f"{path}: expected the folder of a model with config.json, got none")
        if num_threads:
            self._torch.set_num_threads(num_threads)
        try:
            self._model = transformers.AutoModelForCausalLM.from_pretrained(
                str(path),
                dtype=dtype,
                local_files_only=True,
                trust_remote_code=False,
                attn_implementation="eager",
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            told = shorten(str(error) or type(error).__name__)
            raise ConfigError(f"{path}: expected a model of transformers, got: {told}") from error
        self._model = self._model.eval().to(device)
        self._device = device
        self._folder = path
        self._tokenizer: LlmTokenizer | None = None
        self._stops = _stop_ids(self._model)

    @property
    def tokenizer(self) -> LlmTokenizer:
        """What turns text into ids, and ids into text.

        Raises:
            ConfigError: the folder has no tokenizer, or the package `tokenizers` is missing.
        """
        if self._tokenizer is None:
            self._tokenizer = LlmTokenizer.open(self._folder)
        return self._tokenizer

    @property
    def vocab(self) -> int:
        """Ids."""
        return int(self._model.config.vocab_size)

    @property
    def max_positions(self) -> int:
        """The most ids of prompt and text together."""
        return int(self._model.config.max_position_embeddings)

    def text_of(self, ids: Sequence[int]) -> str:
        """Returns the text of ids; nothing for a folder without a tokenizer."""
        stream = self.text_stream(GenerationOptions())
        return "" if stream is None else stream.feed(ids) + stream.finish()

    @property
    def weight_bytes(self) -> int:
        """Their bytes."""
        return sum(each.numel() * each.element_size() for each in self._model.parameters())

    @property
    def step_bytes(self) -> int:
        """Bytes of the weights that a step reads: all but the table of words, if it isn't tied."""
        table = self._model.get_input_embeddings().weight
        is_tied = self._model.get_output_embeddings().weight is table
        return self.weight_bytes - (0 if is_tied else table.numel() * table.element_size())

    @property
    def dtype(self) -> str:
        """The type of the weights: "bfloat16"."""
        return str(self._model.dtype).removeprefix("torch.")

    def close(self) -> None:
        """Forgets the model; may be called again."""
        self._model = None

    def generate(self, prompt: Prompt, **fields: Unpack[GenerationFields]) -> Generation:
        """Continues a prompt; options are those of `Generator.generate` that transformers has.

        Raises:
            ConfigError: the prompt or an option can't be served.
        """
        options = _supported(options_of(fields, "generate"))
        ids = self._ids_of(prompt, options)
        return self._run(ids, options, lambda piece: None)

    def stream(self, prompt: Prompt, **fields: Unpack[GenerationFields]) -> Iterator[Piece]:
        """Continues a prompt, and yields its text while it is made, as `Generator.stream`."""
        options = _supported(options_of(fields, "stream"))
        return self._pieces(self._ids_of(prompt, options), options)

    def logits(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Returns float32 [ids, vocab]: row t scores the id that follows ids[t]."""
        torch = self._torch
        with torch.inference_mode():
            found = self._model(torch.tensor([list(ids)], device=self._device)).logits[0]
            logits: npt.NDArray[np.float32] = found.float().cpu().numpy()
        return logits

    def times(self, prompts: Sequence[Sequence[int]], tokens: int) -> TokenTimes:
        """Generates so many tokens for each prompt, as one batch with padding, and tells when.

        Args:
            prompts: ids of each.
            tokens: of each; ids that end a text are ordinary ones.
        """
        torch = self._torch
        made = TokenTimes(time.perf_counter())
        most = max(len(each) for each in prompts)
        padded = [[0] * (most - len(each)) + list(each) for each in prompts]
        mask = [[0] * (most - len(each)) + [1] * len(each) for each in prompts]

        def told(ids: Any) -> bool:
            made.steps.append(time.perf_counter())
            return False

        sampling = {"do_sample": False}
        found = self._generate(torch.tensor(padded), torch.tensor(mask), tokens, sampling, told)
        made.ids = found[:, most:].tolist()
        return made

    def _pieces(self, ids: list[int], options: GenerationOptions) -> Iterator[Piece]:
        pieces: queue.Queue[Piece | BaseException] = queue.Queue()
        is_left = threading.Event()

        def put(piece: Piece) -> None:
            if is_left.is_set():
                raise _LeftError
            pieces.put(piece)

        def work() -> None:
            try:
                self._run(ids, options, put)
            except BaseException as error:  # raised again where pieces are taken
                pieces.put(error)

        threading.Thread(target=work, daemon=True).start()
        try:
            while True:
                piece = pieces.get()
                if isinstance(piece, BaseException):
                    raise InternalError(f"transformers: {shorten(str(piece))}") from piece
                yield piece
                if piece.is_last:
                    return
        finally:
            is_left.set()

    def _run(
        self, ids: list[int], options: GenerationOptions, tell: Callable[[Piece], None]
    ) -> Generation:
        torch = self._torch
        begin = time.perf_counter()
        follower = Follower(ids, options, self.end_ids(options), self.text_stream(options), tell)
        array = torch.tensor([ids])
        tokens = options.max_tokens or USUAL_TOKENS
        torch.manual_seed(options.seed)

        def told(found: Any) -> bool:
            return follower.take(int(found[0, -1]))

        sampling = _sampling(options)
        if options.min_tokens and follower.ends:
            sampling |= {"min_new_tokens": options.min_tokens, "eos_token_id": [*follower.ends]}
        self._generate(array, torch.ones_like(array), tokens, sampling, told)
        return follower.finish(begin)

    def _generate(
        self,
        ids: Any,
        mask: Any,
        tokens: int,
        sampling: dict[str, Any],
        told: Callable[[Any], bool],
    ) -> Any:
        """Runs `generate`; `told` gets all ids after each token and says whether it ends. Returns
        the ids, prompts included.
        """
        from transformers import StoppingCriteriaList

        torch = self._torch
        config = copy.deepcopy(self._model.generation_config)
        config.eos_token_id = None  # what ends a text is found by `told`
        config.update(**sampling)
        config.pad_token_id = 0
        config.max_new_tokens, config.max_length = tokens, None

        def criterion(found: Any, scores: Any, **others: Any) -> Any:
            return torch.full((found.shape[0],), told(found), device=found.device)

        with torch.inference_mode():
            return self._model.generate(
                ids.to(self._device),
                attention_mask=mask.to(self._device),
                generation_config=config,
                stopping_criteria=StoppingCriteriaList([criterion]),
            )

    def _ids_of(self, prompt: Prompt, options: GenerationOptions) -> list[int]:
        if isinstance(prompt, str):
            found = self.tokenizer.encode(
                prompt, special=options.special, add_special_tokens=options.add_special_tokens
            )
        else:
            found = [int(each) for each in prompt]
        vocab = self.vocab
        if not found or min(found) < 0 or max(found) >= vocab:
            raise ConfigError(f"prompt: expected ids 0..{vocab - 1}, got {show(found)}")
        return found

    def end_ids(self, options: GenerationOptions) -> frozenset[int]:
        """The ids that end a text."""
        own = frozenset() if getattr(options, "ignore_eos", False) else self._stops
        return own | frozenset(options.stop_ids)

    def text_stream(self, options: GenerationOptions) -> TextStream | None:
        """What makes text of ids; None for a folder without a tokenizer."""
        try:
            tokenizer = self.tokenizer
        except ConfigError:  # there is none, or its package is missing
            return None
        return TextStream(tokenizer, skip_special=options.skip_special, continues=options.continues)


class _LeftError(Exception):
    """The iterator of the pieces was closed."""


_NOT_OFFERED = (
    *("repetition_scope", "presence_penalty", "frequency_penalty", "logprobs", "echo"),
    *("speculation", "shared_prefix", "truncate", "priority", "deadline"),
)


def _supported(options: GenerationOptions) -> GenerationOptions:
    """Returns options of which transformers has all.

    Raises:
        ConfigError: one that it does not have differs from its default.
    """
    usual = GenerationOptions()
    for name in _NOT_OFFERED:
        if getattr(options, name) != getattr(usual, name):
            raise ConfigError(
                f"{name}: expected none with the backend hf, which does not have it, got "
                f"{show(getattr(options, name))}"
            )
    return options


def _packages() -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ConfigError(
            "hf: expected the packages torch and transformers, got none; "
            "pip install '.[hf]' in a checkout"
        ) from error
    return torch, transformers


def _stop_ids(model: Any) -> frozenset[int]:
    found = [model.generation_config.eos_token_id, model.config.eos_token_id]
    flat = [each for one in found for each in (one if isinstance(one, list) else [one])]
    return frozenset(each for each in flat if each is not None)


def _sampling(options: GenerationOptions) -> dict[str, Any]:
    """Options as transformers names them; what is not given stays the model's."""
    made: dict[str, Any] = {}
    for name in ("top_k", "top_p", "min_p", "repetition_penalty"):
        if getattr(options, name) is not None:
            made[name] = getattr(options, name)
    if options.temperature is not None:
        made["do_sample"] = options.temperature > 0
        if options.temperature > 0:
            made["temperature"] = options.temperature
    if options.bad_ids:
        made["bad_words_ids"] = [[number] for number in options.bad_ids]
    if options.logit_bias:
        made["sequence_bias"] = {(key,): float(of) for key, of in options.logit_bias.items()}
    return made
