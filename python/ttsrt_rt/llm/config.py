"""The configuration of a language model: where it comes from, how it is quantized, what its engine
is built for, and how it is run and measured.

`read_config` reads a YAML file, `config_of` takes the same as a dict. Names that are not known, and
values out of their bounds, are errors. `base: other.yaml` takes what a file leaves out from another
one of the same folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ttsrt_rt.convert.yaml_config import kind_of
from ttsrt_rt.convert.yaml_values import MAX_BYTES, parse_yaml
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.llm.config_fields import made_of, name, refuse_unknown, word
from ttsrt_rt.llm.config_sections import (
    DTYPE_OF_MODE,
    MODES,
    BenchmarkConfig,
    EngineConfig,
    GenerationConfig,
    OutputConfig,
    QuantizationConfig,
    SpeculationConfig,
)
from ttsrt_rt.options import path_of
from ttsrt_rt.quoting import show
from ttsrt_rt.regular_file import read_regular

__all__ = ["LlmConfigFile", "config_of", "read_config"]

_SECTIONS: dict[str, type[Any]] = {
    "output": OutputConfig,
    "quantization": QuantizationConfig,
    "engine": EngineConfig,
    "speculation": SpeculationConfig,
    "generation": GenerationConfig,
    "benchmark": BenchmarkConfig,
}


@dataclass(frozen=True)
class _Top:
    model_name: str | None = name()
    model_dir: str | None = name()
    dtype: str = word("auto", ("auto", "float32", "float16", "bfloat16"))


@dataclass(frozen=True)
class LlmConfigFile:
    """A whole configuration. Names of folders are as they stand there, relative to the current one.

    Attributes:
        where: names it in messages.
        model_name: for people, and a folder under `model_dir`, if that is none of a model.
        model_dir: the folder of the original model.
        dtype: "auto" for the model's own, "float32", "float16" or "bfloat16".
    """

    where: str
    model_name: str | None = None
    model_dir: str | None = None
    dtype: str = "auto"
    output: OutputConfig = field(default_factory=OutputConfig)
    quantization: QuantizationConfig = field(default_factory=QuantizationConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    speculation: SpeculationConfig = field(default_factory=SpeculationConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)

    @property
    def engine_quantization(self) -> str:
        """What `build` takes: "none", "w8a16", "w4a16", "w8a8" or "w4a8"."""
        return MODES[self.quantization.mode]

    @property
    def uses_awq(self) -> bool:
        """Whether codes are chosen by AWQ."""
        return self.quantization.use_awq or self.quantization.mode == "int4_awq"

    @property
    def group(self) -> int | None:
        """Weights that share a scale, of the two keys that name such a number; None where rows do
        or nothing is quantized.
        """
        if not self.engine_quantization.startswith("w4"):
            return None
        of = self.quantization
        return of.awq_block_size if self.uses_awq else of.group_size

    @property
    def kv_cache_dtype(self) -> str | None:
        """What an executor takes; None for the engine's own type."""
        is_int8 = self.quantization.kv_cache == "int8" or self.quantization.mode == "int8_kv"
        return "int8" if is_int8 else None

    @property
    def wanted_dtype(self) -> str | None:
        """The type of weights that are not quantized; None for the model's own."""
        if self.dtype != "auto":
            return self.dtype
        return DTYPE_OF_MODE.get(self.quantization.mode)

    def folder(self, which: str) -> str:
        """Returns `checkpoint_dir` or `engine_dir`.

        Raises:
            ConfigError: the file does not say it.
        """
        found: str | None = getattr(self.output, which)
        if found is None:
            raise ConfigError(f"{self.where}: output.{which}: expected a folder, got nothing")
        return found

    def source(self) -> Path:
        """Returns the folder of the original model, which is never downloaded.

        Raises:
            ConfigError: there is none.
        """
        if self.model_dir is None:
            raise ConfigError(
                f"{self.where}: model_dir: expected the folder of the model's files, got nothing; "
                "models are not downloaded"
            )
        top = path_of(self.model_dir, f"{self.where}: model_dir")
        tried = [top]
        if self.model_name is not None and ".." not in Path(self.model_name).parts:
            tried += [top / self.model_name.lstrip("/"), top / Path(self.model_name).name]
        for folder in tried:
            if (folder / "config.json").is_file():
                return folder
        shown = ", ".join(str(each) for each in tried)
        raise ConfigError(
            f"{self.where}: model_dir: expected config.json of a model in one of {shown}, got "
            "none; models are not downloaded"
        )

    def replaced(self, section: str, **values: Any) -> LlmConfigFile:
        """Returns a copy with other values in one section; those that are None change nothing.

        Raises:
            ConfigError: a value is out of its bounds.
        """
        given = {key: value for key, value in values.items() if value is not None}
        old = getattr(self, section)
        known = {each: getattr(old, each) for each in old.__dataclass_fields__}
        made = made_of(_SECTIONS[section], {**known, **given}, self.where, f"{section}.")
        return replace(self, **{section: made})


def config_of(values: Any, where: str = "config") -> LlmConfigFile:
    """Returns the configuration that a dict describes; one that was read already stays.

    Args:
        values: the sections and names of the file.
        where: names it in messages.

    Raises:
        ConfigError: a name is unknown or a value is wrong.
    """
    if isinstance(values, LlmConfigFile):
        return values
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected names and values, got {show(values)}")
    top = tuple(_Top.__dataclass_fields__)
    refuse_unknown(values, (*top, *_SECTIONS), where, "")
    head = made_of(_Top, {key: values[key] for key in top if key in values}, where)
    sections = {
        key: made_of(kind, values.get(key), where, f"{key}.") for key, kind in _SECTIONS.items()
    }
    made = LlmConfigFile(where, head.model_name, head.model_dir, head.dtype, **sections)
    _check(made)
    return made


def read_config(path: str | os.PathLike[str]) -> LlmConfigFile:
    """Reads a YAML file.

    Raises:
        ConfigError: it does not exist, a name is unknown or a value is wrong.
        FormatError: it is not YAML, or too large.
    """
    file = path_of(path, "config")
    values = _values(file)
    base = values.pop("base", None)
    if base is not None:
        values = _merged(_base(file, base), values)
    return config_of(values, str(file))


def _values(file: Path) -> dict[str, Any]:
    values = parse_yaml(read_regular(file, MAX_BYTES), str(file))
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: expected names and values, got {kind_of(values)}")
    return values


def _base(file: Path, base: Any) -> dict[str, Any]:
    if not isinstance(base, str) or Path(base).name != base or base in ("", ".", ".."):
        raise ConfigError(
            f"{file}: base: expected the name of a file of the same folder, got {show(base)}"
        )
    values = _values(file.parent / base)
    if "base" in values:
        raise ConfigError(
            f"{file}: base: expected a file without a base, got {base}, which has one"
        )
    return values


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Values of one file over those of another, section by section."""
    made = dict(below)
    for key, value in above.items():
        old = made.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        made[key] = {**old, **value} if both else value  # type: ignore[dict-item]
    return made


def _check(config: LlmConfigFile) -> None:
    """Checks values against each other."""
    of, where = config.quantization, config.where
    if config.engine.backend == "tensorrt":
        raise ConfigError(
            f"{where}: engine.backend: expected native, got tensorrt, which does not run language "
            "models"
        )
    if config.uses_awq and config.engine_quantization != "w4a16":
        raise ConfigError(
            f"{where}: quantization.use_awq: expected a mode of 4 bits beside it "
            f"(int4_weight_only), got {of.mode}"
        )
    if config.uses_awq and of.symmetric:
        raise ConfigError(
            f"{where}: quantization.symmetric: expected false beside use_awq, whose codes have "
            "zero points, got true"
        )
    if config.engine_quantization == "none" and of.lm_head != "none":
        raise ConfigError(
            f"{where}: quantization.lm_head: expected none beside the mode {of.mode}, got "
            f"{of.lm_head}"
        )
    if config.dtype != "auto" and DTYPE_OF_MODE.get(of.mode, config.dtype) != config.dtype:
        raise ConfigError(
            f"{where}: dtype: expected {DTYPE_OF_MODE[of.mode]} beside the mode {of.mode}, got "
            f"{config.dtype}"
        )
    if config.speculation.mode == "draft" and config.speculation.draft_engine is None:
        raise ConfigError(
            f"{where}: speculation.draft_engine: expected an engine beside the mode draft, got none"
        )
    if config.engine.seq_len < config.engine.max_input_len:
        raise ConfigError(
            f"{where}: engine.max_seq_len: expected at least max_input_len, "
            f"{config.engine.max_input_len}, got {config.engine.seq_len}"
        )
