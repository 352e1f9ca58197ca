"""Converts a `Request` to the library's, and checks types and shapes. The library checks values."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar, get_args

from ttsrt_rt import _core
from ttsrt_rt.arrays import (
    MAX_NUMBERS,
    flag_vector,
    float_matrix,
    float_row,
    id_matrix,
    id_vector,
    place_of,
)
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.gpu_arrays import gpu_rows
from ttsrt_rt.options import (
    DEVICES,
    CacheDType,
    ExecutorOptions,
    Preempt,
    check_names,
    dtype_name,
)
from ttsrt_rt.quoting import show
from ttsrt_rt.request import (
    AttentionPrior,
    BlockDiffusion,
    Flow,
    MaskGit,
    Request,
    Speculation,
    TokenOptions,
)
from ttsrt_rt.text.checks import check_text

__all__ = [
    "check_run_options",
    "native_executor_options",
    "set_options",
    "speculation_options",
    "to_native",
    "warn_of_threads",
]

_LOG = logging.getLogger(__name__)

Options = TypeVar(
    "Options",
    _core.BuildOptions,
    _core.ExecutorOptions,
    _core.MemoryOptions,
    _core.PlanOptions,
)

MAX_NAME = 256  # characters of a voice, a mode, a device
MAX_ITEMS = 4096  # of a list of layers or passes; the library's own limits are smaller

_ARRAYS = {
    "text_ids": id_vector,
    "text_chunks": id_vector,
    "text_silences": id_vector,
    "text_features": float_matrix,
    "encoder_output": float_matrix,
    "context_codes": id_matrix,
    "context_embeddings": float_matrix,
    "context_text_ids": id_vector,
    "prompt_embeddings": float_matrix,
    "unconditional_embeddings": float_matrix,
    "forced_codes": id_matrix,
    "noise": float_matrix,
    "edit_mask": flag_vector,
    "mel": float_matrix,
    "codes": id_matrix,
    "samples": float_row,
}
# Python puts ids in the place of a text before.
_RESOLVED = ("text", "language", "text_options", "flow_text")
_STRUCTS: dict[str, tuple[type, type]] = {
    "maskgit": (MaskGit, _core.MaskGit),
    "block": (BlockDiffusion, _core.BlockDiffusion),
    "flow": (Flow, _core.Flow),
    "tokens": (TokenOptions, _core.TokenOptions),
}


def to_native(request: Request, most: int = MAX_NUMBERS, device: str = "cpu") -> _core.Request:
    """Converts a request to the library's.

    Args:
        request: Of any content.
        most: How many numbers one of its arrays may have.
        device: Where it will run, "cuda:0" or "cpu": rows of floats may be there, too.

    Raises:
        ConfigError: A field has the wrong type or shape, or is in the memory of another device; the
            message says which.
    """
    if not isinstance(request, Request):
        raise ConfigError(f"request: expected a Request, got {type(request).__name__}")
    native = _core.Request()
    for field in fields(request):
        if field.name in _RESOLVED:
            continue
        value = getattr(request, field.name)
        if field.name in _ARRAYS:
            if value is not None:
                convert = _ARRAYS[field.name]
                if convert is float_matrix and place_of(value):
                    setattr(native, field.name, gpu_rows(value, field.name, device, most))
                else:
                    setattr(native, field.name, convert(value, field.name, most))
        elif field.name == "context_text":
            if value is not None:
                native.context_text = check_text(value, "context_text")
        elif field.name == "text_voices":
            if value is not None:
                native.text_voices = _voices(value, most)
        elif field.name == "prior":
            _set_prior(native, value)
        elif field.name == "speculation":
            if value is not None:
                native.speculation = speculation_options(value)
        elif field.name in _STRUCTS:
            if value is not None:
                kind, made = _STRUCTS[field.name]
                setattr(native, field.name, _to_native_struct(value, kind, made(), field.name))
        else:
            _set(native, field.name, value, field.name)
    return native


def set_options(native: Options, **values: object) -> Options:
    """Sets the options that are not None; the others keep the library's defaults.

    Raises:
        ConfigError: A value has the wrong type, or is an unknown name.
    """
    for name, value in values.items():
        if value is not None:
            _set(native, name, value, name)
    return native


def native_executor_options(call: str, options: Mapping[str, Any]) -> _core.ExecutorOptions:
    """The library's options of an executor.

    Raises:
        ConfigError: As `set_options`, or an option is unknown.
    """
    check_names(call, options, ExecutorOptions.__annotations__)
    values = dict(options)
    if values.get("kv_cache_dtype"):
        known = get_args(CacheDType)
        values["kv_cache_dtype"] = dtype_name(values["kv_cache_dtype"], "kv_cache_dtype", known)
    if values.get("speculation") is not None:
        values["speculation"] = speculation_options(values["speculation"])
    return set_options(_core.ExecutorOptions(), **values)


def warn_of_threads(num_threads: int, device: str) -> None:
    """Warns if the replicas of an executor have many more threads than there are cores.

    Args:
        num_threads: Of each replica on the CPU.
        device: The devices of the replicas.
    """
    num_threads *= max(device.split(",").count("cpu"), 1)
    cores = _core.usable_cores()
    if num_threads > 2 * cores:
        _LOG.warning(
            "num_threads: %d threads on the %d cores that this process may use are slower than %d",
            *(num_threads, cores, cores),
        )


def check_run_options(options: Mapping[str, Any]) -> None:
    """Checks what can be known of an executor's options without its engine, before one is made.

    Raises:
        ConfigError: As `native_executor_options`, or a word is unknown, or a number negative.
    """
    native = native_executor_options("from_checkpoint", options)
    devices = [re.sub(r":[0-9]+$", ":N", device) for device in native.device.split(",")]
    for name, values, known in (
        ("device", devices, DEVICES),
        ("preempt", [native.preempt], get_args(Preempt)),
    ):
        for value in values:
            if value not in known:
                raise ConfigError(f"{name}: expected one of {', '.join(known)}, got {show(value)}")
    for name, value in options.items():
        if isinstance(value, (int, float)) and not value >= 0:
            raise ConfigError(f"{name}: expected 0 or more, got {value}")


def speculation_options(given: Any) -> _core.Speculation:
    """The library's options of speculation, of a `Speculation` or a mapping of its fields.

    Raises:
        ConfigError: As `Speculation.of`, or a value has the wrong type.
    """
    of = Speculation.of(given)
    made: _core.Speculation = _to_native_struct(of, Speculation, _core.Speculation(), "speculation")
    return made


def _set_prior(native: _core.Request, prior: object) -> None:
    native.use_default_prior = isinstance(prior, str) and prior == "default"
    if not native.use_default_prior and prior is not None:
        native.prior = _to_native_struct(prior, AttentionPrior, _core.AttentionPrior(), "prior")


def _voices(value: Any, most: int) -> list[int | str | None]:
    """The voices of chunks, of which no more are read than there can be chunks."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ConfigError(f"text_voices: expected a list of voices, got {show(value)}")
    if len(value) > most:
        raise ConfigError(f"text_voices: expected at most {most} voices, got {len(value)}")
    for index, voice in enumerate(value):
        is_index = isinstance(voice, int) and not isinstance(voice, bool)
        is_name = isinstance(voice, str) and len(voice) <= MAX_NAME
        if not (voice is None or is_index or is_name):
            raise ConfigError(
                f"text_voices[{index}]: expected the index or the name of a voice, or None, got "
                f"{show(voice)}"
            )
    return list(value)


def _to_native_struct(value: Any, kind: type, native: Any, where: str) -> Any:
    if not isinstance(value, kind):
        raise ConfigError(f"{where}: expected {kind.__name__}, got {show(value)}")
    for field in fields(value):  # type: ignore[arg-type]
        item = getattr(value, field.name)
        if item is not None and str(field.type).startswith("Sequence"):
            item = _short_list(item, f"{where}.{field.name}")
        if isinstance(item, Mapping):
            item = dict(item)
        _set(native, field.name, item, f"{where}.{field.name}")
    return native


def _short_list(value: Any, where: str) -> list[Any]:
    """Its items, of which no more are read than a list of layers or passes can have."""
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError("text is no list of numbers")
        items = list(itertools.islice(iter(value), MAX_ITEMS + 1))
    except Exception as error:  # whatever an iterator of the caller's raises
        raise ConfigError(f"{where}: expected a list of integers, got {show(value)}") from error
    if len(items) > MAX_ITEMS:
        raise ConfigError(f"{where}: expected at most {MAX_ITEMS} integers, got more")
    return items


def _set(native: object, name: str, value: object, where: str) -> None:
    if isinstance(value, str) and len(value) > MAX_NAME:
        raise ConfigError(
            f"{where}: expected at most {MAX_NAME} characters, got {len(value)}: {show(value)}"
        )
    if isinstance(value, (bytes, bytearray)):  # the bindings would take them for text
        raise ConfigError(f"{where}: expected text or a number, got bytes: {show(value)}")
    try:
        setattr(native, name, value)
    except ConfigError as error:  # begins with the name
        raise ConfigError(f"{where}{str(error).removeprefix(name)}") from None
    except Exception as error:  # whatever a conversion of the caller's raises
        raise ConfigError(f"{where}: expected another kind of value, got {show(value)}") from error
