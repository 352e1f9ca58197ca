"""`ttsrt text COMMAND`: prepares what reads texts."""

from __future__ import annotations

import argparse
import time

from ttsrt_rt.cli.types import Subparsers

__all__ = ["add_parser"]


def add_parser(commands: Subparsers) -> None:
    """Adds the command and its subcommands."""
    parser = commands.add_parser("text", help="prepare what reads texts")
    inner = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    build = inner.add_parser(
        "build-normalizer",
        help="build the grammars of --normalize nemo before the first text",
        description="Builds the grammars of nemo_text_processing for languages and keeps them, so "
        "that the first text does not wait for them.",
    )
    build.add_argument("languages", nargs="+", metavar="LANGUAGE", help="such as en, de, es")
    build.set_defaults(run=_build_normalizer)


def _build_normalizer(args: argparse.Namespace) -> int:
    from ttsrt_rt.text.normalize import build_normalizer

    for language in args.languages:
        begin = time.perf_counter()
        folder = build_normalizer(language)
        print(f"{language}: {folder}, {time.perf_counter() - begin:.1f} s", flush=True)
    return 0
