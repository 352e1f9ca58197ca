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
from ttsrt_rt.cli import (
    bench,
    build,
    convert,
    convert_voice,
    demo,
    doctor,
    export_triton,
    export_trtllm,
    f5,
    inspect,
    memory,
    quality,
    quantize,
    run,
    say,
    text,
    validate,
    voice,
)
from ttsrt_rt.cli.outputs import check_outputs
from ttsrt_rt.cli.parser import Parser, in_flags, parse, with_underscores
from ttsrt_rt.cli.signals import Terminated, raising_on_signals
from ttsrt_rt.cli.streams import drop_output, finish_output, lose_output, prepare_streams, tell
from ttsrt_rt.errors import ConfigError, Error
from ttsrt_rt.quoting import show

__all__ = ["main"]

_COMMANDS = (
    convert,
    quantize,
    build,
    run,
    say,
    inspect,
    validate,
    export_trtllm,
    export_triton,
    demo,
    f5,
    voice,
    convert_voice,
    text,
    bench,
    memory,
    quality,
    doctor,
)

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: Arguments without the program's name; None takes the process's.

    Returns:
        The exit code.
    """
    prepare_streams()
    with raising_on_signals():
        return _main(sys.argv[1:] if argv is None else list(argv))


def _main(arguments: list[str]) -> int:
    flags: list[str] = []
    try:
        arguments = with_underscores(arguments)
        args = parse(_parser(), arguments)
        flags = args.parser.flags()
        logging.basicConfig(level=_level(verbose=args.verbose), format="ttsrt: %(message)s")
        check_outputs(args)
        return finish_output(args.run(args))
    except SystemExit as end:  # of the parser: help, version, a mistake
        raise SystemExit(finish_output(end.code if isinstance(end.code, int) else 0)) from None
    except BrokenPipeError:  # the reader of the output has closed it
        drop_output()
        return 0
    except OSError as error:
        if _lost_folder():
            return _fail("the current folder was removed; change to another one", 2)
        if error.filename is None and not isinstance(error, Error):  # of print: files have names
            return lose_output(error)
        return _fail(in_flags(_text_of(error), flags, arguments), 2)
    except ValueError as error:  # ConfigError and FormatError are ValueErrors
        return _fail(in_flags(str(error), flags, arguments), 2)
    except Error as error:
        return _fail(in_flags(str(error), flags, arguments), 1)
    except MemoryError:
        return _fail("out of memory", 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Terminated as error:
        return _fail("terminated", 128 + error.number)


def _parser() -> Parser:
    parser = Parser(
        prog="ttsrt", description="A runtime for speech models and small language models."
    )
    parser.add_argument("--version", action="version", version=f"ttsrt {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log what is chosen and why")
    commands: argparse._SubParsersAction[Parser] = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND"
    )
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


def _level(*, verbose: bool) -> int:
    """What is logged: of TTSRT_LOG, and at least what is chosen with --verbose."""
    name = os.environ.get("TTSRT_LOG", "").strip().lower() or "warning"
    if name not in _LEVELS:
        raise ConfigError(
            f"TTSRT_LOG: expected one of {', '.join(_LEVELS)}, got {show(name)}, in the environment"
        )
    return min(_LEVELS[name], logging.INFO) if verbose else _LEVELS[name]


def _lost_folder() -> bool:
    """Whether there is no current folder any more, so that a relative name means nothing."""
    try:
        os.getcwd()
    except OSError:
        return True
    return False


def _text_of(error: OSError) -> str:
    """One of our messages as it is; of the system's, the path and the reason."""
    if isinstance(error, Error):
        return str(error)
    return f"{os.path.abspath(error.filename)}: {error.strerror or error}"


def _fail(error: str, code: int) -> int:
    tell(f"ttsrt: error: {' '.join(error.splitlines())}")
    return finish_output(code)
