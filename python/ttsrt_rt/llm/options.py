"""The options of a generation, as keyword arguments, and what they become."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias, TypedDict

from ttsrt_rt.decoding_options import Speculation, TokenOptions
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import RepetitionScope, check_names
from ttsrt_rt.quoting import show
from ttsrt_rt.text.llm_tokenizer import SpecialMode
from ttsrt_rt.text.text_stream import check_stops

__all__ = ["GenerationFields", "GenerationOptions", "Truncate", "bias_of_json", "options_of"]

Truncate: TypeAlias = Literal["error", "left", "right"]

TRUNCATE: tuple[Truncate, ...] = ("error", "left", "right")
SPECIAL: tuple[SpecialMode, ...] = ("template", "never")
MAX_STOP_IDS = 1024
OF_THE_REQUEST = (
    *("temperature", "top_k", "top_p", "min_p", "repetition_penalty"),
    *("seed", "speculation", "shared_prefix", "priority", "deadline"),
)
OF_TOKENS = (
    *("ignore_eos", "mask_padding_ids", "repetition_scope", "presence_penalty"),
    *("frequency_penalty", "logit_bias", "bad_ids", "logprobs"),
)


class GenerationFields(TypedDict, total=False):
    """Options of `Generator.generate` and its relatives."""

    max_tokens: int | None
    max_new_tokens: int | None
    min_tokens: int
    stop: str | Sequence[str] | None
    stop_ids: Sequence[int]
    include_stop: bool
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float | None
    repetition_scope: RepetitionScope
    presence_penalty: float
    frequency_penalty: float
    logit_bias: Mapping[int, float]
    bad_ids: Sequence[int]
    ignore_eos: bool
    mask_padding_ids: bool
    logprobs: int | None
    echo: bool
    seed: int
    speculation: Speculation | Mapping[str, Any] | None
    shared_prefix: int
    special: SpecialMode
    add_special_tokens: bool
    skip_special: bool
    continues: bool
    truncate: Truncate
    priority: int
    deadline: float | None


@dataclass(frozen=True)
class GenerationOptions:
    """The options of one generation, with their defaults; `Generator.generate` explains them."""

    max_tokens: int | None = None
    min_tokens: int = 0
    stop: str | Sequence[str] | None = None
    stop_ids: Sequence[int] = ()
    include_stop: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    repetition_scope: RepetitionScope = "all"
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    bad_ids: Sequence[int] = ()
    ignore_eos: bool = False
    mask_padding_ids: bool = True
    logprobs: int | None = None
    echo: bool = False
    seed: int = 0
    speculation: Speculation | Mapping[str, Any] | None = None
    shared_prefix: int = 0
    special: SpecialMode = "template"
    add_special_tokens: bool = True
    skip_special: bool = True
    continues: bool = False
    truncate: Truncate = "error"
    priority: int = 0
    deadline: float | None = None

    def of_the_request(self) -> dict[str, Any]:
        """Returns those that the library takes as they are."""
        return {name: getattr(self, name) for name in OF_THE_REQUEST}

    def tokens(self, stop_ids: Iterable[int]) -> TokenOptions:
        """Returns those of language models.

        Args:
            stop_ids: what ends a text beside the model's own id.
        """
        return TokenOptions(
            stop_ids=tuple(stop_ids), **{name: getattr(self, name) for name in OF_TOKENS}
        )


def bias_of_json(values: Any, where: str) -> dict[int, Any]:
    """Returns `logit_bias` of an object of JSON, whose names are ids as texts.

    Raises:
        ConfigError: it is no object, or a name is no id. The library checks the numbers.
    """
    if not isinstance(values, Mapping) or not all(key.isdecimal() for key in values):
        raise ConfigError(f"{where}: expected an object with ids, got {show(values)}")
    return {int(key): value for key, value in values.items()}


def options_of(given: GenerationFields, where: str) -> GenerationOptions:
    """Returns options from keyword arguments; None stands for a default.

    Raises:
        ConfigError: a name is unknown, or a value of another kind. The library checks those that
            are its own.
    """
    check_names(where, given, GenerationFields.__annotations__)
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    most = values.pop("max_new_tokens", None)
    if most is not None:
        if values.get("max_tokens") is not None:
            raise ConfigError("max_new_tokens: expected none beside max_tokens")
        values["max_tokens"] = most
    made = GenerationOptions(**values)
    if made.max_tokens is not None:
        _check_count("max_tokens", made.max_tokens, 1)
    _check_count("min_tokens", made.min_tokens, 0)
    _check_count("shared_prefix", made.shared_prefix, 0)
    _check_word("truncate", made.truncate, TRUNCATE)
    _check_word("special", made.special, SPECIAL)
    check_stops(made.stop)
    for each in fields(made):
        value = getattr(made, each.name)
        if isinstance(each.default, bool) and not isinstance(value, bool):
            raise ConfigError(f"{each.name}: expected true or false, got {show(value)}")
    if isinstance(made.stop_ids, (str, bytes)) or not isinstance(made.stop_ids, Sequence):
        raise ConfigError(f"stop_ids: expected a list of ids, got {show(made.stop_ids)}")
    if len(made.stop_ids) > MAX_STOP_IDS:
        raise ConfigError(
            f"stop_ids: expected at most {MAX_STOP_IDS} ids, got {len(made.stop_ids)}"
        )
    for number in made.stop_ids:
        _check_count("stop_ids", number, 0)
    return made


def _check_word(name: str, value: Any, known: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in known:
        raise ConfigError(f"{name}: expected one of {', '.join(known)}, got {show(value)}")


def _check_count(name: str, value: Any, low: int) -> None:
    if type(value) is not int or not low <= value < 1 << 31:
        raise ConfigError(f"{name}: expected an integer from {low}, got {show(value)}")
