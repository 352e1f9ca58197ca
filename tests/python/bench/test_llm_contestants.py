"""Contestants of `ttsrt bench llm`: prompts that are too long, and threads that fail."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ttsrt_rt.bench.llm_contestants import HfContestant, OurContestant, Task
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.llm.prompts import PromptLine


def contestant(kind: type[Any], generator: object, *, max_input_len: int = 20) -> Any:
    """One that runs a double instead of a model, with 20 positions."""
    made = object.__new__(kind)
    made._generator = made._model = generator
    made.name, made.max_input_len, made.max_seq_len = "fake", max_input_len, 20
    return made


def task(ids: list[int], tokens: int) -> Task:
    return Task(line=PromptLine(ids=ids), tokens=tokens, iteration=0, batch=1)


@pytest.mark.parametrize("kind", [OurContestant, HfContestant])
def test_both_keep_the_same_end_of_a_prompt(kind: type[Any]) -> None:
    ids = list(range(100, 130))
    one = contestant(kind, SimpleNamespace())
    assert one._ids(task(ids, 5)) == ids[-16:]
    assert one._ids(task(ids, 20)) == ids[-1:]
    assert one._ids(task(ids[:3], 5)) == ids[:3]
    assert contestant(kind, SimpleNamespace(), max_input_len=4)._ids(task(ids, 5)) == ids[-4:]
    with pytest.raises(ConfigError, match="fake: expected at most 20 ids to generate"):
        one._ids(task(ids, 21))


def test_a_request_whose_thread_fails_is_not_dropped() -> None:
    class Broken:
        def start(self, *args: Any, **options: Any) -> Any:
            raise ZeroDivisionError("of the double")

    one = contestant(OurContestant, Broken())
    with pytest.raises(ZeroDivisionError, match="of the double"):
        one.run([task([1, 2], 3), task([3], 3)])
