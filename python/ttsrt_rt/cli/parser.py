"""The argument parser: errors are one line and a hint, and messages name flags."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ttsrt_rt.cli.streams import tell

__all__ = ["OutputKind", "Parser", "in_flags", "parse", "with_underscores"]


@dataclass(frozen=True)
class OutputKind:
    """What an output may be.

    Attributes:
        default: The name where none is given, from the other arguments; it, or what it returns, is
            None for no output.
        takes_stdout: Whether `-` stands for standard output.
    """

    default: Callable[[argparse.Namespace], str | None] | None = None
    takes_stdout: bool = False


class Parser(argparse.ArgumentParser):
    """Prints one line and a hint where argparse prints all flags of a command.

    A flag is not abbreviated, because a new flag would change what the short form means.

    Attributes:
        inputs: The arguments that name files or folders to read.
        outputs: The arguments that name files to write.
    """

    def __init__(self, **options: Any) -> None:
        """Takes the options of `argparse.ArgumentParser`."""
        super().__init__(**{"allow_abbrev": False, **options})
        self.inputs: list[str] = []
        self.outputs: dict[str, OutputKind] = {}

    def reads(self, *names: str) -> None:
        """Declares arguments that name files or folders to read."""
        self.inputs += names

    def writes(self, *names: str, kind: OutputKind | None = None) -> None:
        """Declares arguments that name files to write."""
        self.outputs.update(dict.fromkeys(names, kind or OutputKind()))

    def error(self, message: str) -> NoReturn:
        """Ends the process with exit code 2."""
        self._print_message(
            f"ttsrt: error: {' '.join(message.split())}\n{self._hint(message)}\n", sys.stderr
        )
        sys.exit(2)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Prints help, or a mistake. The help is output: a failure to print it is told."""
        if file is None or file is sys.stderr:
            tell(message.removesuffix("\n"))
        else:
            file.write(message)

    def flags(self) -> list[str]:
        """The long flags."""
        return [name for name in self._option_string_actions if name.startswith("--")]

    def _hint(self, message: str) -> str:
        unknown = re.search(r"unrecognized arguments: (--\w+)", message)
        near = difflib.get_close_matches(unknown[1], self.flags(), 1) if unknown else []
        hint = f"ttsrt: hint: {self.prog} --help lists what it takes"
        takes_text = any(each.dest == "text" and not each.option_strings for each in self._actions)
        if takes_text and re.search(
            r"ignored explicit argument|unrecognized arguments: -", message
        ):
            hint += "; a text that begins with - stands behind --"
        return f"{hint}; is {near[0]} meant?" if near else hint


def finish(parser: Parser) -> None:
    """Gives each command `--verbose` and the key `parser`, once all commands are added."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                finish(command)
            return
    parser.set_defaults(parser=parser)
    if "--verbose" not in parser._option_string_actions:
        parser.add_argument(
            "--verbose",
            action="store_true",
            default=argparse.SUPPRESS,  # the flag before the command counts too
            help="log what is chosen and why",
        )


def parse(parser: Parser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parses a command line `with_underscores`; errors come from the parser of the command."""
    finish(parser)
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return args


def with_underscores(arguments: Sequence[str]) -> list[str]:
    """`--max-frames=5` as `--max_frames=5`; what follows `--` stays as it is."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    changed = []
    for argument in arguments[:end]:
        name, equals, value = argument.partition("=")
        is_flag = name.startswith("--")
        changed.append(f"--{name[2:].replace('-', '_')}{equals}{value}" if is_flag else argument)
    return [*changed, *arguments[end:]]


_KEYWORD = re.compile(r"(?<![\w./'\"-])([a-z_]+)=(?:True|False|None)?(?![\w./'\"=])")
_NAME = re.compile(r"(?<![\w./'\"=:-])([a-z]+(?:_[a-z]+)+)(?![\w/'\"=-]|[.:]\w)")
_ASKED = re.compile(r"\b(pass) ([a-z_]+)(?= )")
# A name of one word is a flag only beside another one, as it may be a word of the sentence.
_LISTED = re.compile(r"(?<![\w./'\"=:-])([a-z]+)(?=(?:,| and| or) --[a-z])")
_LAST = re.compile(r"(--[a-z_]+(?:,? and|,? or|,) )([a-z]+)(?![\w/'\"=.:-])")
_HEAD = re.compile(r"([a-z_]+)(\.[a-z_]+)?(?=:)")
_BEHIND_FILE = re.compile(r"([^\s:]*[./][^\s:]*: )([a-z_]+)(?=: )")
_IS = re.compile(r"(?<![\w./'\"=:-])([a-z]+)(?= is \")")
_OPTIONS = re.compile(r"(?<=the options )[a-z_]+(?:, [a-z_]+)*")


def _flag(name: str, names: Collection[str]) -> str:
    return f"--{name}" if name in names else name


def _singular(name: str, names: Collection[str]) -> str:
    """The name of an argument, or the flag that may be given several times for it."""
    is_plural = name not in names and name.removesuffix("s") in names
    return name.removesuffix("s") if is_plural else name


def _is_file(name: str, arguments: Sequence[str]) -> bool:
    """Whether a name that messages begin with is one that the command line gives, as of a file."""
    pairs = zip(["", *arguments], arguments, strict=False)
    given = [(before, each) for before, each in pairs if not each.startswith("-")]
    given += [each.partition("=")[::2] for each in arguments if each.startswith("--")]
    return any(value == name and flag != f"--{name}" for flag, value in given)


def in_flags(message: str, flags: Sequence[str], arguments: Sequence[str] = ()) -> str:
    """Names of arguments as the flags of the command: "top_k: ..." as "--top_k: ...".

    Args:
        message: As the library tells it.
        flags: Of the command.
        arguments: The command line; an option that is part of another one's JSON stays that.
    """
    names = {flag.removeprefix("--") for flag in flags}

    def flag_of(match: re.Match[str], before: str = "") -> str:
        name = match[match.lastindex or 0]
        return f"{before}--{name}" if name in names else match[0]

    head = _HEAD.match(message)
    if head is not None and _is_file(head[0], arguments):
        return message
    shown = ""
    if head is not None:
        whole = f"--{_singular(head[0].replace('.', '_'), names)}"
        is_given = head[2] is None or any(each.partition("=")[0] == whole for each in arguments)
        if whole[2:] in names and is_given:
            shown = whole
        else:
            is_part = head[1] in names and whole[2:] in names
            shown = f"--{head[1]}: {head[0].partition('.')[2]}" if is_part else head[0]
        message = message[head.end() :]
    else:
        behind = _BEHIND_FILE.match(message)
        if behind is not None:
            shown = behind[1] + _flag(behind[2], names)
            message = message[behind.end() :]
    if "prior" in names:
        message = message.replace("prior=None", "--prior off")
    message = _KEYWORD.sub(flag_of, message)
    message = _OPTIONS.sub(
        lambda match: re.sub("[a-z_]+", lambda name: _flag(name[0], names), match[0]), message
    )
    message = _IS.sub(flag_of, message)
    message = _NAME.sub(flag_of, message)
    before = ""
    while before != message:
        before = message
        message = _LISTED.sub(flag_of, message)
        message = _LAST.sub(lambda match: flag_of(match, match[1]), message)
    return shown + _ASKED.sub(lambda match: flag_of(match, f"{match[1]} "), message)
