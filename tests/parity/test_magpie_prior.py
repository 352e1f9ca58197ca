"""The checkpoint's prior with one option changed, on both generations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE

IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6]
FRAMES = 40


@pytest.fixture(scope="module", params=["tiny2503", "tinyhf", "tiny2512"])
def executor(
    request: pytest.FixtureRequest, engine_of: Callable[[str], Path]
) -> Iterator[rt.Executor]:
    with rt.Executor(engine_of(request.param), device=NATIVE) as opened:
        yield opened


def is_2503(executor: rt.Executor) -> bool:
    default = executor.engine.info.default_prior
    assert default is not None
    return default.mode == "nemo_2503"


def speak(executor: rt.Executor, prior: Any, **fields: Any) -> rt.Result:
    if executor.engine.info.num_voices:
        fields["voice"] = 0
    else:
        fields["context_codes"] = np.ones((8, executor.engine.info.codebooks), np.int32)
    request = rt.Request(text_ids=IDS, temperature=0.0, max_frames=FRAMES, prior=prior, **fields)
    return executor.generate(replace(request, return_alignment=True))


def expect_equal(one: rt.Result, other: rt.Result) -> None:
    np.testing.assert_array_equal(one.codes, other.codes)
    assert one.focus is not None and other.focus is not None
    np.testing.assert_array_equal(one.focus, other.focus)
    np.testing.assert_array_equal(one.alignment, other.alignment)


def test_the_checkpoints_prior_is_the_default(executor: rt.Executor) -> None:
    default = speak(executor, "default")
    for prior in (
        rt.AttentionPrior.of(executor),
        rt.AttentionPrior.of(executor.engine),
        rt.AttentionPrior(),
        rt.AttentionPrior(mode="nemo_2503" if is_2503(executor) else "nemo"),
    ):
        expect_equal(speak(executor, prior), default)


def test_one_option_changes_only_that(executor: rt.Executor) -> None:
    own = rt.AttentionPrior.of(executor)
    changed = rt.AttentionPrior.of(executor, skip_after=2)
    names = [each.name for each in dataclasses.fields(own) if each.name != "skip_after"]
    assert [getattr(changed, name) for name in names] == [getattr(own, name) for name in names]
    assert own.skip_after == 8 and changed.skip_after == 2
    expect_equal(speak(executor, changed), speak(executor, rt.AttentionPrior(skip_after=2)))


def test_the_window_follows_lookahead_where_it_does_in_the_original(executor: rt.Executor) -> None:
    """NeMo 3 has one number for the search and the window; the 2503 code has a window of 5."""
    asked = speak(executor, rt.AttentionPrior(lookahead=2))
    reach = 5 if is_2503(executor) else 2
    expect_equal(asked, speak(executor, rt.AttentionPrior(lookahead=2, right=reach)))
    expect_equal(asked, speak(executor, rt.AttentionPrior.of(executor, lookahead=2)))


def test_a_mode_has_the_quirks_of_its_generation(executor: rt.Executor) -> None:
    """Asked of the other generation's checkpoint, a mode is the same as its options one by one."""
    layers = {name: getattr(rt.AttentionPrior.of(executor), name) for name in LAYERS}
    quirks: dict[str, Any] = {"epsilon": 0.1, "lookahead": 5, "right": 5, "start_step": 0}
    quirks |= {"suppress": "upto", "count_end": True, "track_finish": False}
    mode = "nemo"
    if not is_2503(executor):
        mode = "nemo_2503"
        quirks = {"epsilon": 1e-5, "lookahead": 10, "right": 5, "start_step": 10}
        quirks |= {"suppress": "single", "count_end": False, "track_finish": True}
        quirks |= {"unfinished_grace": 10}
    spelled = rt.AttentionPrior.of(executor, **quirks)
    expect_equal(speak(executor, rt.AttentionPrior(mode=mode, **layers)), speak(executor, spelled))


LAYERS = ("estimate_layers", "apply_layers")


def test_what_cannot_be_asked(executor: rt.Executor) -> None:
    with pytest.raises(rt.ConfigError, match=r"prior\.look: no such option; expected some of mode"):
        rt.AttentionPrior.of(executor, look=3)
    with pytest.raises(rt.ConfigError, match="engine: expected an Executor or an Engine, got 3"):
        rt.AttentionPrior.of(3)  # type: ignore[arg-type]
    with pytest.raises(
        rt.ConfigError, match=r'prior\.mode: expected "nemo", "nemo_2503" or "window"'
    ):
        speak(executor, rt.AttentionPrior(mode="nemo3"))
