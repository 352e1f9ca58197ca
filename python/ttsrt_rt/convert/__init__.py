"""Converts checkpoints of other programs to ours: `convert`, and the data-only readers it uses.

The readers are imported where they are used, because `import ttsrt_rt` imports this module and must
stay cheap.
"""

from __future__ import annotations

import os
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import ConvertOptions, check_names, path_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ttsrt_rt.convert.archive import open_weights

__all__ = ["convert", "open_weights"]

_NOT_OF_A_FAMILY = ("source", "output_dir", "progress")
_OUR_FILES = ("engine.json", "weights.safetensors", "config.json", "model.safetensors")


def convert(
    source: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    family: str | None = None,
    **options: Unpack[ConvertOptions],
) -> Path:
    """Converts a checkpoint of another program to our format and returns the new folder.

    Args:
        source: A `.nemo` file or a `.ckpt` file with its YAML file in the same folder, of a speech
            model or a NanoCodec; a T3 or S3Gen file of Chatterbox (`t3_*`, `s3gen*.safetensors` or
            `.pt`), a file of F5-TTS (`model_*.safetensors` or `.pt`), or a folder: in the layout of
            the TensorRT-LLM fork, an unpacked `.nemo`, of IndicF5 or Vocos, of a language model
            (Llama, Phi), one with exactly one of these files, or a model in the cache of Hugging
            Face.
        output_dir: The folder to create.
        family: The name of the converter to use; None detects it from the source.
        **options: The options of that family; see
            `ttsrt_rt.convert.magpie_convert.convert_magpie`,
            `ttsrt_rt.convert.t3_convert.convert_t3`,
            `ttsrt_rt.convert.s3gen_convert.convert_s3gen`,
            `ttsrt_rt.convert.f5_convert.convert_f5`,
            `ttsrt_rt.convert.vocos_convert.convert_vocos`,
            `ttsrt_rt.convert.nanocodec_convert.convert_nanocodec` and
            `ttsrt_rt.convert.llm_convert.convert_llm`. An option of another family is refused.

    Raises:
        NotFoundError: The source does not exist.
        ConfigError: The source is an engine or converted already, the family or an option is
            unknown, the configuration is not supported, or the output folder is in use.
        FormatError: The source is damaged or holds code, or its tensors do not match its
            configuration.
        CapacityError: The disk is full.
    """
    from ttsrt_rt.convert.registry import find_converter
    from ttsrt_rt.convert.sources import find_source, refuse_ours

    check_names("convert", options, ("family", *ConvertOptions.__annotations__))
    path, folder = path_of(source, "source"), path_of(output_dir, "output_dir")
    if path.name in _OUR_FILES and path.is_file():
        refuse_ours(path.parent)
    found = find_source(path)
    converter = find_converter(found, family)
    given = {name: value for name, value in options.items() if value is not None}
    known = [name for name in signature(converter).parameters if name not in _NOT_OF_A_FAMILY]
    for name in given:
        if name not in (*known, *_NOT_OF_A_FAMILY):
            raise ConfigError(
                f"{name}: expected none for {path.name}, which takes the options {', '.join(known)}"
            )
    return converter(found, folder, **given)


def __getattr__(name: str) -> Any:
    if name != "open_weights":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ttsrt_rt.convert.archive import open_weights

    return open_weights
