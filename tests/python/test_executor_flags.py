"""Every option of an executor is a flag of every command that runs requests with one."""

from __future__ import annotations

import argparse

import pytest

from ttsrt_rt.cli import _parser
from ttsrt_rt.cli.executor_flags import add_executor_flags, executor_options, options_over
from ttsrt_rt.cli.parser import Parser
from ttsrt_rt.options import ExecutorOptions

# What commands set themselves, have no way to show, or take for each request.
NO_FLAGS = {"iter_stats_max_iterations", "profile", "trace", "speculation"}


def test_every_option_arrives() -> None:
    parser = Parser(prog="x")
    add_executor_flags(parser)
    names = set(ExecutorOptions.__annotations__) - NO_FLAGS
    assert {flag.removeprefix("--") for flag in parser.flags()} - {"help"} == names
    assert executor_options(parser.parse_args([])) == {}
    given = parser.parse_args(["--pin_threads", "--preempt", "priority", "--max_batch_size", "2"])
    assert executor_options(given) == {
        "pin_threads": True,
        "preempt": "priority",
        "max_batch_size": 2,
    }


@pytest.mark.parametrize("name", ["run", "crowd", "overload", "priority", "share"])
def test_commands_have_them(name: str) -> None:
    def commands(parser: argparse.ArgumentParser) -> list[Parser]:
        found = []
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += [choice for key, choice in action.choices.items() if key == name]
                for choice in action.choices.values():
                    found += commands(choice)
        return found

    found = commands(_parser())
    assert found
    for command in found:
        assert {f"--{each}" for each in ExecutorOptions.__annotations__} - {
            f"--{each}" for each in NO_FLAGS
        } <= set(command.flags())


def test_a_draft_engine_that_is_named_guesses() -> None:
    parser = Parser(prog="x")
    add_executor_flags(parser)
    config = {"device": "cpu", "speculation": {"mode": "ngram", "max_ngram": 2}}
    assert options_over(config, parser.parse_args([])) == config
    given = parser.parse_args(["--draft_engine", "small", "--device", "reference"])
    assert options_over(config, given) == {
        "device": "reference",
        "draft_engine": "small",
        "speculation": {"mode": "draft", "max_ngram": 2},
    }
    assert options_over({}, given) == {"device": "reference", "draft_engine": "small"}
