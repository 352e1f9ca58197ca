"""The options of an executor as flags, the same for every command that runs one."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["DEVICE_HELP", "add_executor_flags", "executor_options", "options_over"]

DEVICE_HELP = '"auto", "cpu", "cuda:0", "reference"'

_EXECUTOR: dict[str, tuple[type, str]] = {
    "device": (str, f'{DEVICE_HELP}; or several, a replica on each: "cuda:0,cuda:1", "cuda:all"'),
    "num_threads": (int, "CPU threads of a replica; 0: one per core"),
    "kv_cache_dtype": (str, "default: as the engine computes"),
    "max_batch_size": (int, "requests that run at once; default: the engine's"),
    "max_queue_size": (int, "requests that wait; one more is refused"),
    "preempt": (str, '"none", or "priority": larger priorities pause smaller ones'),
    "max_paused_requests": (int, "paused at once with --preempt priority; 0: max_batch_size"),
    "max_num_tokens": (int, "rows of one Program in one launch; default: the engine's"),
    "max_tokens_in_paged_kv_cache": (int, "positions of the cache; default: enough for all"),
    "kv_cache_free_gpu_mem_fraction": (
        float,
        "of a GPU's memory that is free beside everything else, for the cache; default: no limit",
    ),
    "draft_engine": (
        str,
        "folder of a smaller language model with the same tokenizer, which guesses ids that the "
        "engine checks; results are equal",
    ),
    "prefill_slice_seconds": (float, "for encoders and prefill while others decode; 0: no limit"),
}


def add_executor_flags(parser: argparse._ActionsContainer) -> None:
    """Adds the executor's options."""
    for name, (kind, text) in _EXECUTOR.items():
        parser.add_argument(f"--{name}", type=kind, help=text)
    parser.add_argument(
        "--pin_threads", action="store_true", default=None, help="each CPU thread on its own core"
    )


def executor_options(args: argparse.Namespace) -> dict[str, Any]:
    """The executor's options that were given on the command line."""
    names = (*_EXECUTOR, "pin_threads")
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def options_over(config: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """The executor's options of a configuration, and in their place those of the command line.

    A draft engine of the command line guesses, whatever the configuration says of guessing.
    """
    given = executor_options(args)
    if "draft_engine" in given and "speculation" in config:
        config = config | {"speculation": {**config["speculation"], "mode": "draft"}}
    return config | given
