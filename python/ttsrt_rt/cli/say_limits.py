"""How long `ttsrt say` may speak, and what is told of speech that a limit cut."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.say_options import frames_of

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.result import Result

__all__ = ["Limit", "told_cut"]

_WITH_POSITIONS = "magpie"  # whose decoder tells where it is in the text
_DEMO = "the demo's own limit (1 s and 0.4 s a word, at most 30 s; --max_seconds sets another)"


class Limit:
    """How many frames all texts of a command may have together.

    Attributes:
        counts_words: Whether the words that are spoken are counted, as a limit may cut them.
    """

    def __init__(self, args: argparse.Namespace, executor: Executor, *, is_demo: bool) -> None:
        """Takes the limit of the flag."""
        self._left: int | None = None
        if args.max_seconds is not None:
            self._left = frames_of(args.max_seconds, executor)
        self._executor, self._is_demo = executor, is_demo
        self._step = max(1, executor.engine.info.frame_stacking)
        self._shares = args.stream_input
        is_cut = is_demo or args.max_seconds is not None
        self.counts_words = args.timestamps is not None or (
            is_cut and executor.engine.info.family == _WITH_POSITIONS
        )

    @property
    def name(self) -> str:
        """What sets it, for people."""
        if self.is_over or (self._left is not None and not (self.is_shared and self._is_demo)):
            return "--max_seconds"
        return _DEMO if self._is_demo else "the engine's limit"

    @property
    def is_over(self) -> bool:
        """Whether the texts before have left less than a step."""
        return self._shares and self._left is not None and self._left < self._step

    @property
    def is_shared(self) -> bool:
        """Whether several texts have one limit, so that none may be refused for it."""
        return self._shares and self._left is not None

    def fields(self, fields: Mapping[str, Any], text: str) -> dict[str, Any]:
        """The fields of the next text, with what is left for it."""
        if not self._shares or self._left is None:
            return dict(fields)
        most = self._left
        if self._is_demo:
            from ttsrt_rt.demo_speech import demo_seconds

            most = min(most, frames_of(demo_seconds(text), self._executor))
        return {**fields, "max_frames": most}

    def take(self, result: Result) -> None:
        """Counts what was spoken."""
        if self._left is not None:
            self._left -= len(result.codes)


def told_cut(
    said: Sequence[Result], limit: Limit, *, is_over: bool, timestamps: str | None
) -> str | None:
    """A line about speech that a limit cut; None where all of it was spoken.

    Args:
        said: What was spoken.
        limit: Of the command.
        is_over: Whether texts were left, that nobody read.
        timestamps: The file of the words that were spoken.
    """
    cut = [each for each in said if each.finish_reason == "length"]
    if not cut and not is_over:
        return None
    counts = [_unspoken(each) for each in cut]
    missing = sum(count for count in counts if count is not None)
    if not missing and None not in counts and not is_over and limit.name != "--max_seconds":
        return None  # a demo has no end of speech of its own
    seconds = sum(each.seconds for each in said)
    what = f"{missing} word{'' if missing == 1 else 's'} not spoken"
    if None in counts:
        what = "the end of the text may not be spoken"
    if is_over:
        what += ", nor the rest of standard input"
    where = f", nor in {timestamps}" if timestamps is not None and (missing or is_over) else ""
    return f"ttsrt: cut at {seconds:.2f} s by {limit.name}: {what}{where}"


def _unspoken(result: Result) -> int | None:
    """How many words of the text were not reached; None where nothing tells it."""
    if result.words is None or result.text is None:
        return None
    from ttsrt_rt.text.words import word_spans

    return max(0, len(word_spans(result.text)) - len(result.words))
