"""What a conversion decided for the build and for executors, as the checkpoint and then the engine
carry it: `source.build` and `source.run` of their JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ttsrt_rt.convert.checkpoint import CONFIG_NAME, read_config
from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import show
from ttsrt_rt.writing import write_text

__all__ = ["store_options", "stored_build_options", "stored_run_options"]

BUILD_KINDS: dict[str, type] = {
    "dtype": str,
    "quantization": str,
    "group_size": int,
    "zero_points": bool,
    "wide_heads": bool,
    "head_quantization": str,
    "exclude_modules": list,
}
RUN_KINDS: dict[str, type] = {"kv_cache_dtype": str}


def store_options(
    checkpoint: str | os.PathLike[str],
    build: Mapping[str, Any],
    run: Mapping[str, Any],
    notes: Mapping[str, Any],
) -> None:
    """Writes options into a checkpoint that was just converted.

    Args:
        checkpoint: its folder.
        build: options of `build`, which take effect where its caller leaves them out.
        run: options of an executor, likewise.
        notes: what people may want to know, which has no effect.
    """
    config = read_config(checkpoint)
    blocks = {"build": dict(build), "run": dict(run), **notes}
    config["source"] = {**config["source"], **{key: of for key, of in blocks.items() if of}}
    write_text(Path(checkpoint) / CONFIG_NAME, json.dumps(config, indent=1))


def stored_build_options(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Returns the options of `build` that config.json of a checkpoint carries.

    Raises:
        FormatError: they are damaged.
    """
    return _stored(config, "build", BUILD_KINDS, where)


def stored_run_options(description: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Returns the options of an executor that engine.json carries.

    Raises:
        FormatError: they are damaged.
    """
    return _stored(description, "run", RUN_KINDS, where)


def _stored(
    values: Mapping[str, Any], block: str, kinds: Mapping[str, type], where: str
) -> dict[str, Any]:
    source = values.get("source")
    found = source.get(block, {}) if isinstance(source, Mapping) else {}
    if not isinstance(found, Mapping):
        raise FormatError(f"{where}: source.{block}: expected options, got {show(found)}")
    for key, value in found.items():
        if key not in kinds or type(value) is not kinds[key]:
            raise FormatError(
                f"{where}: source.{block}: expected some of {', '.join(kinds)}, got {show(key)}: "
                f"{show(value)}"
            )
    return dict(found)
