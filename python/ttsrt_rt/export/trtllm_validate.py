"""`validate_trtllm`: compares an export with its checkpoint, in its files and in what it generates.

A check that fails does not end the others: the report has one line for each.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ttsrt_rt.errors import Error
from ttsrt_rt.export.magpie_validate import CHECKS, is_magpie_export, open_magpie_export
from ttsrt_rt.export.t3_checkpoint import open_t3
from ttsrt_rt.export.trtllm_checks import (
    Exported,
    check_bias,
    check_embeddings,
    check_integrity,
    check_prompt_table,
    check_voices,
    check_weights,
)
from ttsrt_rt.export.trtllm_generation import check_generation
from ttsrt_rt.export.trtllm_metadata import read_metadata
from ttsrt_rt.options import path_of
from ttsrt_rt.quoting import shorten

__all__ = ["CheckReport", "validate_trtllm"]


@dataclass(frozen=True)
class CheckReport:
    """What one check found.

    Attributes:
        check: Its name.
        is_ok: Whether the export passed.
        detail: What was compared, or what is wrong.
    """

    check: str
    is_ok: bool
    detail: str


_CHECKS: tuple[tuple[str, Callable[[Exported], str]], ...] = (
    ("export_integrity", check_integrity),
    ("weights", check_weights),
    ("embedding_equivalence", check_embeddings),
    ("logits_bias", check_bias),
    ("prompt_table", check_prompt_table),
    ("voice_prefix", check_voices),
    ("generation_equivalence", check_generation),
)


def validate_trtllm(
    folder: str | os.PathLike[str],
    checkpoint_dir: str | os.PathLike[str],
    *,
    prompt_table: str | os.PathLike[str] | None = None,
) -> list[CheckReport]:
    """Runs every check of an export.

    Args:
        folder: What `export_trtllm` wrote.
        checkpoint_dir: The checkpoint that it was made from.
        prompt_table: A prompt table to check instead of the folder's, of T3.

    Returns:
        A report for each check, in the order in which to look at them.

    Raises:
        ConfigError, FormatError: `folder` is no export, or `checkpoint_dir` no checkpoint of the
            family "t3" or "magpie", whichever the export is of.
    """
    path = path_of(folder, "trtllm")
    checkpoint = path_of(checkpoint_dir, "checkpoint_dir")
    if is_magpie_export(path):
        magpie = open_magpie_export(path, checkpoint, prompt_table)
        return [_run(name, partial(of_magpie, magpie)) for name, of_magpie in CHECKS]
    read_metadata(path)
    table = None if prompt_table is None else path_of(prompt_table, "prompt_table")
    export = Exported(path, open_t3(checkpoint), table)
    return [_run(name, partial(check, export)) for name, check in _CHECKS]


def _run(name: str, check: Callable[[], str]) -> CheckReport:
    try:
        return CheckReport(name, True, check())
    except Error as problem:
        return CheckReport(name, False, str(problem))
    except (ArithmeticError, LookupError, TypeError, ValueError) as problem:  # of damaged values
        return CheckReport(name, False, f"{type(problem).__name__}: {shorten(str(problem))}")
