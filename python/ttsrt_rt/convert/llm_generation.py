"""The defaults of a language model's requests, and the ids that end its texts.

`generation_config.json` gives both, with the fall-backs of transformers: without `do_sample` a
model is greedy whatever else the file says, and drawing takes the 50 likeliest ids unless it says
otherwise. The ids that end a text are those of that file, of config.json and of the tokenizer
together.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ttsrt_rt.convert.causal_defaults import CausalDefaults
from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.llm_config import LlmConfig
from ttsrt_rt.convert.llm_names import MAX_CONFIG_BYTES
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import show

__all__ = ["LlmDefaults", "read_defaults", "read_generation", "read_stop_ids"]

LOGGER = logging.getLogger(__name__)

GENERATION = "generation_config.json"
TOP_K = 50
MAX_TOP_K = 1 << 20
MAX_STOP_IDS = 256
MAX_TOKENS = 256
CLASS_EOS = 2  # of transformers' classes of Llama and Phi, where config.json has no such field

# Fields that change which ids transformers picks, with the values beside null that change nothing.
NOT_OFFERED: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "penalty_alpha": (0.0,),
    "dola_layers": (),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "no_repeat_ngram_size": (0,),
    "bad_words_ids": ([],),
    "force_words_ids": ([],),
    "suppress_tokens": ([],),
    "begin_suppress_tokens": ([],),
    "sequence_bias": ({}, []),
    "forced_bos_token_id": (),
    "forced_eos_token_id": ([],),
    "exponential_decay_length_penalty": (),
    "typical_p": (1.0,),
    "top_h": (1.0,),
    "epsilon_cutoff": (0.0,),
    "eta_cutoff": (0.0,),
    "guidance_scale": (1.0,),
    "encoder_repetition_penalty": (1.0,),
    "encoder_no_repeat_ngram_size": (0,),
    "remove_invalid_values": (False,),
    "watermarking_config": (),
}


@dataclass(frozen=True)
class LlmDefaults(CausalDefaults):
    """The block `defaults` of our config.json: fields of a request that it leaves out."""

    def to_json(self) -> dict[str, Any]:
        """Returns the block."""
        return asdict(self)


def read_generation(folder: Path) -> Block:
    """Reads generation_config.json; without one, the block is empty.

    Raises:
        ConfigError: it is not an object.
        FormatError: it is not JSON.
    """
    path = folder / GENERATION
    found = read_json(path, max_bytes=MAX_CONFIG_BYTES) if path.is_file() else {}
    return Block(found, f"{path}: ", ConfigError)


def read_defaults(generation: Block, config: LlmConfig) -> LlmDefaults:
    """Returns the defaults of a model.

    Raises:
        ConfigError: a value is out of its limits.
    """
    is_sampled = generation.flag("do_sample", False)
    temperature = generation.number("temperature", 0.0, 100.0, 1.0)
    _warn_of_the_rest(generation)
    return LlmDefaults(
        cfg_scale=1.0,
        temperature=temperature if is_sampled else 0.0,
        top_k=generation.integer("top_k", 0, MAX_TOP_K, TOP_K),
        top_p=generation.number("top_p", 0.0, 1.0, 1.0),
        min_p=generation.number("min_p", 0.0, 1.0, 0.0),
        repetition_penalty=generation.number("repetition_penalty", 0.01, 100.0, 1.0),
        max_frames=min(MAX_TOKENS, config.decoder.max_positions),
        min_frames=0,
    )


def _warn_of_the_rest(generation: Block) -> None:
    """Names the fields that change what transformers generates and that no request has here."""
    for name, neutral in NOT_OFFERED.items():
        value = generation.values.get(name)
        if value is not None and value not in neutral:
            LOGGER.warning(
                "%s%s %s was left out: it is not supported, so texts differ from those of "
                "transformers with this file",
                generation.path,
                name,
                show(value),
            )


def read_stop_ids(
    generation: Block, config: LlmConfig, vocab: int, of_tokenizer: int | None
) -> tuple[int, ...]:
    """Returns the ids that end a text, without repeats; the first is the one the model itself
    declares.

    Args:
        generation: generation_config.json.
        config: the model.
        vocab: rows of its table.
        of_tokenizer: the id that the tokenizer's files name, if they do.

    Raises:
        ConfigError: an id is not one of the table, or there is none.
    """
    found = [*_ids(generation, vocab), *_ids(config.fields, vocab)]
    if of_tokenizer is not None and of_tokenizer < vocab:
        found.append(of_tokenizer)
    if not found and "eos_token_id" not in config.fields.values and vocab > CLASS_EOS:
        found.append(CLASS_EOS)
    if not found:
        raise ConfigError(
            f"{config.fields.path}eos_token_id: expected an id that ends a text, got none, and "
            f"{GENERATION} and the tokenizer name none; write it into {GENERATION}"
        )
    return tuple(dict.fromkeys(found))


def _ids(block: Block, vocab: int) -> Sequence[int]:
    """Returns `eos_token_id`, one id or a list of them."""
    name = "eos_token_id"
    if not block.has(name):
        return ()
    if isinstance(block.values[name], list):
        ids = block.integers_with_repeats(name, 0, vocab - 1)
        if len(ids) > MAX_STOP_IDS:
            raise block.fail(name, f"at most {MAX_STOP_IDS} ids")
        return ids
    return (block.integer(name, 0, vocab - 1),)
