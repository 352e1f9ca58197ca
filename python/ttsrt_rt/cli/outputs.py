"""Checks the files that a command will write, before it works.

Each command tells its parser which arguments name files to read (`reads`) and to write (`writes`).
Then one check holds for all commands: an output can be written, is named only once, and is none of
the inputs. A file that a flag names is replaced; one with a default name is not.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ttsrt_rt.cli.streams import is_closed
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.writing import writing

__all__ = ["check_outputs", "make_folder"]

# The files of our folders: an output that replaces one of them destroys the input.
_OUR_FILES = ("engine.json", "weights.safetensors", "config.json", "model.safetensors")

Identity = tuple[int, int] | str
"""Device and inode of a regular file that exists, the whole path of another one."""


def check_outputs(args: argparse.Namespace) -> None:
    """Checks all outputs of a parsed command, and fills in default names.

    Raises:
        ConfigError: One can't be written, is the same file as another one or as an input, or has a
            default name and exists.
    """
    if getattr(args, "json", False):
        _check_standard_output("json")
    files: dict[str, str] = {}
    for name, kind in args.parser.outputs.items():
        value = getattr(args, name)
        if value is None and kind.default is not None:
            value = kind.default(args)
            if value is not None:
                _refuse_existing(name, value)
                setattr(args, name, value)
        if value == "-" and not kind.takes_stdout:
            raise ConfigError(f"--{name}: expected the name of a file, got - for standard output")
        if value is not None:
            files[name] = value
    taken: dict[Identity, str] = {}
    for name, value in files.items():
        if value == "-":
            _check_standard_output(name)
        else:
            _check_writable(f"--{name}", value)
        for identity in _identities(value, sys.stdout):
            if identity in taken:
                raise ConfigError(
                    f"--{name}: expected another file than {taken[identity]}, got {value} for both"
                )
            taken[identity] = f"--{name}"
    _check_inputs(args, files)


def _check_inputs(args: argparse.Namespace, files: dict[str, str]) -> None:
    read: dict[Identity, str] = {}
    for name in args.parser.inputs:
        value = getattr(args, name)
        # A positional argument is named in words, a flag by itself.
        label = f"--{name}" if f"--{name}" in args.parser.flags() else f"the {name}"
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if each is not None:
                read.update(dict.fromkeys(_inputs(os.fspath(each)), label))
    for name, value in files.items():
        for identity in _identities(value, sys.stdout):
            if identity in read:
                raise ConfigError(
                    f"--{name}: expected another file than {read[identity]}, which would be lost; "
                    f"got {value} for both"
                )


def _inputs(text: str) -> Iterator[Identity]:
    """The files behind FILE, FILE:KEY, a folder, or `-` for standard input."""
    names = [text] if text == "-" or os.path.exists(text) else [text, text.rpartition(":")[0]]
    for name in names:
        if os.path.isdir(name):
            for each in _OUR_FILES:
                yield from _identities(os.path.join(name, each), sys.stdin)
        elif name:
            yield from _identities(name, sys.stdin)


def _identities(name: str, stream: Any) -> Iterator[Identity]:
    """What tells whether two names are of one file; nothing for devices and pipes, which many may
    use.
    """
    try:
        status = os.fstat(stream.fileno()) if name == "-" else os.stat(name)
    except (OSError, ValueError, AttributeError):  # no file of this name yet, or no stream of files
        if name != "-":
            yield os.path.realpath(name)
        return
    if stat.S_ISREG(status.st_mode):
        yield status.st_dev, status.st_ino


def _refuse_existing(name: str, value: str) -> None:
    if value != "-" and os.path.lexists(value):
        raise ConfigError(
            f"--{name}: {os.path.abspath(value)} exists already, and only a file that the flag "
            f"names is replaced; pass --{name} {value} to replace it, or another name"
        )


def _check_standard_output(name: str) -> None:
    if is_closed(sys.stdout):
        raise ConfigError(f"--{name}: expected standard output to be open, got a closed one")


def _check_writable(flag: str, name: str) -> None:
    """Checks that a file can be written there."""
    if not name:
        raise ConfigError(f"{flag}: expected the name of a file, got an empty name")
    real, shown = Path(os.path.realpath(name)), os.path.abspath(name)
    with writing(name, flag):
        is_there = _is_there(real)
        if not real.parent.is_dir():
            raise ConfigError(
                f"{flag}: {shown}: expected a folder that exists, got {real.parent}, which does not"
            )
        if is_there and not (real.is_file() or real.is_char_device()):
            raise ConfigError(f"{flag}: {shown}: expected a file to write, got {kind_of(real)}")
    if is_there:
        if not os.access(real, os.W_OK):
            raise ConfigError(f"{flag}: {shown}: can't be written: no permission")
        return
    with writing(name, flag):
        descriptor, made = tempfile.mkstemp(prefix=".ttsrt-", dir=real.parent)
        os.close(descriptor)
        os.unlink(made)


def _is_there(path: Path) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def make_folder(flag: str, path: str | os.PathLike[str]) -> Path:
    """Makes the folder that a flag names, where it is absent, and returns it.

    Raises:
        ConfigError: The name is empty, a file is in the way, or there is no permission.
    """
    name = os.fspath(path)
    if not name:
        raise ConfigError(f"{flag}: expected the name of a folder, got an empty name")
    try:
        os.makedirs(name, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        at = Path(error.filename or name)
        raise ConfigError(
            f"{flag}: {os.path.abspath(at)}: expected a folder, or a name that is free; got "
            f"{'a file' if at.is_file() else 'something else'}"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{flag}: {os.path.abspath(name)}: expected a folder that can be made: {error.strerror}"
        ) from error
    if not os.access(name, os.W_OK | os.X_OK):
        raise ConfigError(f"{flag}: {os.path.abspath(name)}: can't be written: no permission")
    return Path(name)


def kind_of(path: Path) -> str:
    """A word for what is there, if it is no file."""
    if path.is_dir():
        return "a folder"
    return "a pipe" if path.is_fifo() else "a device or socket"
