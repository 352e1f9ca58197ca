"""The command line: `ttsrt COMMAND ...`. Each command is a module with `add_parser` and `run`.

Flags are in underscores as TensorRT-LLM named them; hyphens are accepted. What the caller did wrong
ends with exit code 2, what went wrong otherwise with 1; either is told in one line.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from ttsrt_rt import __version__
from ttsrt_rt.cli import bench, build, convert, demo, inspect, run, validate
from ttsrt_rt.errors import Error

__all__ = ["main"]

_COMMANDS = (convert, build, run, inspect, validate, demo, bench)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: Arguments without the program's name; None takes the process's.

    Returns:
        The exit code.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = _parser().parse_args([_underscored(argument) for argument in arguments])
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING, format="ttsrt: %(message)s"
    )
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:  # ConfigError and FormatError are ValueErrors
        return _fail(error, 2)
    except Error as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ttsrt", description="A runtime for speech-generation transformers."
    )
    parser.add_argument("--version", action="version", version=f"ttsrt {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log what is chosen and why")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


def _underscored(argument: str) -> str:
    """`--max-frames=5` as `--max_frames=5`."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def _fail(error: object, code: int) -> int:
    print(f"ttsrt: error: {error}", file=sys.stderr)
    return code
