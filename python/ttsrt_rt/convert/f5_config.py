"""Reads the configuration of an F5-TTS release: the YAML of a training run, the JSON object that a
model card gives, or `config.json` of IndicF5.

All are read as data. Flags that change what the network computes are kept; sizes are compared with
the tensors; what matters only to training is passed over. An option that is not known here is an
error, because it may change what the network computes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import list_names, show

__all__ = ["F5Config", "F5Flags", "read_f5_config"]

SIZES = (
    *("dim", "depth", "heads", "dim_head", "ff_mult", "mel_dim", "text_num_embeds", "text_dim"),
    *("conv_layers", "qk_norm", "long_skip_connection"),
)
FLAGS = ("text_mask_padding", "pe_attn_head", "text_embedding_average_upsampling")
# Of training, of another way to compute the same, or of padded batches, which do not occur here.
IGNORED = ("dropout", "checkpoint_activations", "attn_backend", "attn_mask_enabled")
MEL_KINDS = ("vocos", "bigvgan")
TOKENIZERS = ("pinyin", "char", "custom", "byte")
WINDOW = 1024


@dataclass(frozen=True)
class F5Flags:
    """What a network computes beyond what its tensors say."""

    text_mask_padding: bool
    rope_heads: int
    average_upsampling: bool


@dataclass(frozen=True)
class F5Config:
    """What a release says of its model.

    Attributes:
        name: the file's name; empty without one.
        arch: the options of the network that it states.
        mel: "vocos" or "bigvgan": how its spectrograms are made.
        tokenizer: "pinyin", "char", "custom" or "byte"; None if it does not say.
        is_indic: whether it is the configuration of IndicF5.
        sample_rate: of the sound.
        hop: samples from one frame to the next.
    """

    name: str = ""
    arch: Mapping[str, Any] = field(default_factory=dict)
    mel: str = "vocos"
    tokenizer: str | None = None
    is_indic: bool = False
    sample_rate: int = 24000
    hop: int = 256

    def flags(self, *, text_mask_padding: bool, rope_heads: int) -> F5Flags:
        """Returns the flags, from the variant's where the configuration states none.

        Raises:
            ConfigError: a value is of a wrong kind; or both flags that tell the variants apart are
                stated and are those of the other variant.
        """
        block = Block(self.arch, f"{self.name} ", ConfigError)
        mask = block.flag("text_mask_padding", text_mask_padding)
        rope = rope_heads
        if "pe_attn_head" in self.arch:
            rope = block.integer("pe_attn_head", 1, 1024, 0) if block.has("pe_attn_head") else 0
        other = (not text_mask_padding, 0 if rope_heads else 1)
        is_stated = "pe_attn_head" in self.arch and block.has("text_mask_padding")
        if is_stated and (mask, rope) == other:
            raise ConfigError(
                f"{self.name}: variant: expected {'v0' if text_mask_padding else 'v1'}, as "
                f"text_mask_padding is {str(mask).lower()} and pe_attn_head is {rope or 'null'}, "
                f"got the other one"
            )
        average = block.flag("text_embedding_average_upsampling", False)
        if average and not mask:
            raise ConfigError(
                f"{self.name}: text_embedding_average_upsampling: expected text_mask_padding with "
                "it, got false"
            )
        return F5Flags(mask, rope, average)

    def check_sizes(self, sizes: Mapping[str, Any]) -> None:
        """Compares the sizes that it states with those of the tensors.

        Raises:
            ConfigError: one differs.
        """
        for name, size in sizes.items():
            if name in self.arch and self.arch[name] != size:
                raise ConfigError(
                    f"{self.name}: {name}: expected {show(size)}, as the tensors have it, got "
                    f"{show(self.arch[name])}"
                )


def read_f5_config(path: str | os.PathLike[str]) -> F5Config:
    """Reads a configuration.

    Raises:
        ConfigError: the file does not exist or cannot be read, is of another model, or has an
            unknown option or a value of a wrong kind.
        FormatError: the file is neither YAML nor JSON, or exceeds a limit.
    """
    name = Path(path).name
    values = read_json(path) if name.endswith(".json") else Config.load(path)
    if not isinstance(values, Mapping):
        raise ConfigError(f"{name}: expected an object, got {show(values)}")
    if values.get("model_type") == "inf5":
        return F5Config(name=name, is_indic=True)
    model = values.get("model")
    if isinstance(model, Mapping):  # a training run
        return _read_run(name, model)
    arch = values.get("arch", values)
    if not isinstance(arch, Mapping):
        raise ConfigError(f"{name}: arch: expected an object, got {show(arch)}")
    return F5Config(name=name, arch=_read_arch(name, arch))


def _read_run(name: str, model: Mapping[str, Any]) -> F5Config:
    block = Block(model, f"{name} model", ConfigError)
    if (model.get("backbone") or "DiT") != "DiT":
        raise ConfigError(f"{name}: model.backbone: expected DiT, got {show(model['backbone'])}")
    arch = model.get("arch", {})
    if not isinstance(arch, Mapping):
        raise ConfigError(f"{name}: model.arch: expected a mapping, got {show(arch)}")
    tokenizer = block.word("tokenizer", TOKENIZERS) if block.has("tokenizer") else None
    mel = block.block("mel_spec") if block.has("mel_spec") else Block({}, "", ConfigError)
    for size in ("n_fft", "win_length"):
        mel.integer(size, WINDOW, WINDOW, WINDOW)
    return F5Config(
        name=name,
        arch=_read_arch(name, arch),
        mel=mel.word("mel_spec_type", MEL_KINDS, "vocos"),
        tokenizer=tokenizer,
        sample_rate=mel.integer("target_sample_rate", 8000, 96000, 24000),
        hop=mel.integer("hop_length", 1, WINDOW, 256),
    )


def _read_arch(name: str, arch: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(str(key) for key in arch if key not in (*SIZES, *FLAGS, *IGNORED))
    if unknown:
        raise ConfigError(
            f"{name}: expected options of F5-TTS's DiT, got others: {list_names(unknown)}"
        )
    return {key: arch[key] for key in arch if key in (*SIZES, *FLAGS)}
