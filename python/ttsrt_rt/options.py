"""The options of `convert`, `build` and `Executor`, and the words that they take, as types.

The functions take their options as `**options: Unpack[...]` of these classes, so that a type
checker refuses a misspelt option and an unknown word. At run time the same is a ConfigError.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict, TypeVar

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import show

if TYPE_CHECKING:
    import numpy as np

    from ttsrt_rt.progress import Progress

__all__ = [
    "DEVICES",
    "BuildOptions",
    "CacheDType",
    "CheckpointOptions",
    "ConvertOptions",
    "DType",
    "DTypeObject",
    "Device",
    "EosMethod",
    "ExecutorOptions",
    "F5Tokenizer",
    "F5Variant",
    "FlowMethod",
    "FlowMode",
    "MaskGitSampling",
    "NgramMatch",
    "Preempt",
    "PriorMode",
    "Quantization",
    "RepetitionScope",
    "Speculation",
    "SpeculationMode",
    "Suppress",
    "T3Variant",
    "TextSplit",
    "check_names",
    "dtype_name",
    "named_fields",
    "path_of",
]

Made = TypeVar("Made")

DType: TypeAlias = Literal["float32", "bfloat16", "float16"]
CacheDType: TypeAlias = Literal["float32", "bfloat16", "float16", "int8"]
Quantization: TypeAlias = Literal["none", "w8a16", "w4a16", "w8a8", "w4a8"]
Device: TypeAlias = str  # one of DEVICES, or several joined by commas, as in "cpu,cpu"
Generation: TypeAlias = Literal["2503", "nemo3"]
T3Variant: TypeAlias = Literal["english", "multilingual", "turbo", "nano", "flash"]
F5Variant: TypeAlias = Literal["v0", "v1", "indicf5"]
F5Tokenizer: TypeAlias = Literal["pinyin", "char", "byte"]
PriorMode: TypeAlias = Literal["nemo", "nemo_2503", "window"]
Preempt: TypeAlias = Literal["none", "priority"]
SpeculationMode: TypeAlias = Literal["none", "ngram", "draft"]
NgramMatch: TypeAlias = Literal["last", "first"]
Suppress: TypeAlias = Literal["upto", "single"]
TextSplit: TypeAlias = Literal["auto", "never", "sentences", "phrases"]
FlowMethod: TypeAlias = Literal["euler", "midpoint"]
FlowMode: TypeAlias = Literal["whole", "chunks"]
RepetitionScope: TypeAlias = Literal["all", "generated"]
MaskGitSampling: TypeAlias = Literal["default", "causal", "purity_default", "purity_causal"]
EosMethod: TypeAlias = Literal[
    "argmax_any",
    "argmax_all",
    "argmax_zero_cb",
    "argmax_or_multinomial_any",
    "argmax_or_multinomial_all",
    "argmax_or_multinomial_zero_cb",
    "multinomial_any",
    "multinomial_all",
    "multinomial_zero_cb",
]

# Names of devices; N stands for a number.
DEVICES: tuple[str, ...] = (
    *("auto", "cpu", "cuda", "cuda:N", "cuda:all"),
    *("tensorrt", "tensorrt:N"),
    *("reference", "reference:N"),
)


class _ForeignDType(Protocol):
    """A data type of PyTorch, as far as it can be told without PyTorch."""

    @property
    def is_floating_point(self) -> bool: ...


DTypeObject: TypeAlias = "np.dtype[Any] | type[np.generic] | _ForeignDType"


class ConvertOptions(TypedDict, total=False):
    """Options of `convert`."""

    config: str | os.PathLike[str] | None
    dtype: DType | DTypeObject | None
    overwrite: bool
    progress: Progress
    generation: Generation | None
    encoder_causal: bool | None
    codebook_size: int | None
    frame_rate: float | None
    cross_heads: int | None
    root: str | None
    variant: T3Variant | F5Variant | None
    heads: int | None
    conds: str | os.PathLike[str] | None
    voice_encoder: str | os.PathLike[str] | None
    sound: str | os.PathLike[str] | bool | None
    vocab: str | os.PathLike[str] | None
    vocoder: str | os.PathLike[str] | None
    use_ema: bool | None
    tokenizer: F5Tokenizer | None
    front_end: bool | None
    text_files: str | os.PathLike[str] | None
    dictionaries: Mapping[str, str | os.PathLike[str]] | None
    allow_long: int | None


class _PackOptions(TypedDict, total=False):
    """Options of `build` that name no other checkpoint."""

    dtype: DType | DTypeObject | None
    quantization: Quantization | None
    group_size: int | None
    zero_points: bool | None
    wide_heads: bool | None
    head_quantization: str | None
    exclude_modules: Sequence[str] | None
    max_batch_size: int | None
    max_seq_len: int | None
    max_input_len: int | None
    max_encoder_input_len: int | None
    max_num_tokens: int | None


class BuildOptions(_PackOptions, total=False):
    """Options of `build`, but for `overwrite` and `progress`."""

    codec_dir: str | os.PathLike[str] | None


class _RunOptions(TypedDict, total=False):
    """Options of an executor that are not limits of its engine."""

    device: Device | None
    num_threads: int | None
    pin_threads: bool | None
    max_queue_size: int | None
    preempt: Preempt | None
    max_paused_requests: int | None
    max_tokens_in_paged_kv_cache: int | None
    kv_cache_free_gpu_mem_fraction: float | None
    prefill_slice_seconds: float | None
    kv_cache_dtype: CacheDType | DTypeObject | None
    speculation: Speculation | Mapping[str, Any] | None
    draft_engine: str | os.PathLike[str] | None
    iter_stats_max_iterations: int | None
    profile: bool | None
    trace: bool | None


class ExecutorOptions(_RunOptions, total=False):
    """Options of `Executor`."""

    max_batch_size: int | None
    max_num_tokens: int | None


class CheckpointOptions(_PackOptions, _RunOptions, total=False):
    """Options of `Executor.from_checkpoint`: of the conversion, the build and the executor."""

    codec: str | os.PathLike[str] | None
    config: str | os.PathLike[str] | None
    generation: Generation | None
    encoder_causal: bool | None
    codebook_size: int | None
    frame_rate: float | None
    cross_heads: int | None
    root: str | None
    variant: T3Variant | F5Variant | None
    heads: int | None
    conds: str | os.PathLike[str] | None
    voice_encoder: str | os.PathLike[str] | None
    sound: str | os.PathLike[str] | bool | None
    vocab: str | os.PathLike[str] | None
    vocoder: str | os.PathLike[str] | None
    use_ema: bool | None
    tokenizer: F5Tokenizer | None
    allow_long: int | None
    front_end: bool | None
    text_files: str | os.PathLike[str] | None
    dictionaries: Mapping[str, str | os.PathLike[str]] | None


_OTHER_SPELLINGS = {
    **dict.fromkeys(("fp32", "f32", "float", "single"), "float32"),
    **dict.fromkeys(("fp16", "f16", "half"), "float16"),
    **dict.fromkeys(("bf16", "bfp16"), "bfloat16"),
    **dict.fromkeys(("i8", "s8"), "int8"),
}


def dtype_name(value: object, where: str, known: Collection[str]) -> str:
    """The name of a data type: of a string, which is that name, or of a NumPy or PyTorch type.

    Args:
        value: "float32" and the like, `np.float32`, `np.dtype("float16")`, `torch.bfloat16`.
        where: The option's name, for messages.
        known: The names that the option takes.

    Raises:
        ConfigError: It is none of the known ones. Other spellings, such as "fp16", are refused with
            the right one.
    """
    name = value if isinstance(value, str) else _name_of(value)
    if name in known:
        return name
    right = _OTHER_SPELLINGS.get(name.lower(), name.lower())
    hint = f"; write {right!r}" if right in known else ""
    raise ConfigError(f"{where}: expected {_one_of(known)}, got {show(value)}{hint}")


def path_of(value: object, where: str) -> Path:
    """A path from a string, bytes or an `os.PathLike`.

    Raises:
        ConfigError: It is something else, is empty, or has a zero byte. An empty name is nothing
            that anybody means by the current folder.
    """
    try:
        name = os.fsdecode(value)  # type: ignore[arg-type]
    except TypeError:
        name = "\0"
    if "\0" in name or not name:
        raise ConfigError(f"{where}: expected a path, got {show(value)}")
    return Path(name)


def check_names(where: str, given: Mapping[str, object], known: Iterable[str]) -> None:
    """Checks the names of keyword arguments.

    Raises:
        ConfigError: One is unknown; the message lists the known ones.
    """
    names = list(known)
    for name in given:
        if name not in names:
            raise ConfigError(
                f"{where}: expected options among {', '.join(names)}; got {show(name)}"
            )


def named_fields(kind: type[Made]) -> type[Made]:
    """Makes a dataclass refuse unknown fields as `check_names` does, and not as a TypeError."""
    made = kind.__init__
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]

    @functools.wraps(made)
    def __init__(self: Made, /, **given: Any) -> None:
        check_names(kind.__name__, given, names)
        made(self, **given)

    kind.__init__ = __init__  # type: ignore[assignment]
    return kind


def _name_of(value: object) -> str:
    kind = type(value)
    if kind.__module__ == "torch" and kind.__name__ == "dtype":
        return str(value).removeprefix("torch.")
    import numpy as np

    if isinstance(value, np.dtype):
        return str(value.name)
    if isinstance(value, type) and issubclass(value, np.generic):
        return str(np.dtype(value).name)
    return ""


def _one_of(names: Iterable[str]) -> str:
    *first, last = [f'"{name}"' for name in names]
    return f"{', '.join(first)} or {last}" if first else last


@named_fields
@dataclass(frozen=True, kw_only=True)
class Speculation:
    """Speculative decoding of language models: ids that may follow are guessed, and one decoder
    step checks several of them.

    A guess counts only if the model picks that very id there, by argmax or by the draw with that
    id's own random number, so results are equal with and without, greedy or drawn. (A draft is
    accepted by equality; for drafts without probabilities this accepts as often as the rule of
    Leviathan et al., "Fast Inference from Transformers via Speculative Decoding", 2023.)

    What is None is as the executor says in a request, and as given below in an executor.

    Attributes:
        mode: "none" for off; "ngram" guesses what followed the last ids where they stood before, in
            the prompt or in the ids generated since (prompt lookup); "draft" guesses what the
            executor's `draft_engine` picks, by the request's own rules and random numbers. "draft"
            in an executor with a draft engine, else "none".
        num_draft_tokens: Ids guessed for one step, at most; 1 to 8; 4. Fewer are guessed while
            guesses fail.
        max_ngram: Last ids that are looked up together, at most; fewer where they did not stand
            together before; 1 to 16; 3.
        match: Which earlier place counts: "last", or "first" as in Hugging Face transformers.
            "last".
        min_confidence: With "draft", guessing for a step ends where the draft engine's likeliest
            id has a smaller probability; 0 to 1; 0.4.
        speculate_below: With so many requests in flight on a replica nothing is guessed; at least
            1; 8.
    """

    mode: SpeculationMode | None = None
    num_draft_tokens: int | None = None
    max_ngram: int | None = None
    match: NgramMatch | None = None
    min_confidence: float | None = None
    speculate_below: int | None = None

    @classmethod
    def of(cls, given: Speculation | Mapping[str, Any]) -> Speculation:
        """Returns the options of a mapping, as of a configuration file.

        Raises:
            ConfigError: It is no mapping, or one of its names is unknown.
        """
        if isinstance(given, cls):
            return given
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            raise ConfigError(
                f"speculation: expected a Speculation or a mapping, got {show(given)}"
            )
        return cls(**given)
