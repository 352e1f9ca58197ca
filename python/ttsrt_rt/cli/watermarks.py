"""The flag that asks for a watermark in a sound."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ttsrt_rt.result import Result

__all__ = ["add_watermark_flag", "check_watermark", "marked"]


def add_watermark_flag(parser: argparse._ActionsContainer) -> None:
    """Adds the flag."""
    parser.add_argument(
        "--watermark",
        choices=("perth",),
        help="an inaudible mark that tells who made the sound; perth needs its own package "
        "(pip install 'ttsrt_rt[perth]'); default: none",
    )


def check_watermark(name: str | None) -> None:
    """Opens a watermark, so that one that cannot be had is told before anything is spoken.

    Raises:
        ConfigError: As `open_watermark`.
    """
    if name is None:
        return
    from ttsrt_rt.watermark import open_watermark

    open_watermark(name)


def marked(result: Result, name: str | None) -> Result:
    """The result with the mark, if one is asked for and there is sound.

    Raises:
        ConfigError: As `watermarked`.
    """
    if name is None or result.audio is None:
        return result
    from ttsrt_rt.watermark import watermarked

    return watermarked(result, name)
