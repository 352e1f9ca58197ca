"""Requests to engines of flow matching that make no sense, end early or are odd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt

from .f5_networks import BINS, PROMPT, distance, inputs
from .f5_reference import Reference

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no text": ({"text_ids": np.zeros(0, np.int32)}, "text_ids"),
    "an id": ({"text_ids": [64]}, "text_ids[0]"),
    "a padding id": ({"text_ids": [3, -1]}, "text_ids[1]"),
    "a long text": ({"text_ids": [1] * 65}, "text_ids"),
    "no duration": ({"noise": None}, "flow.duration"),
    "a long duration": ({"noise": None, "flow": {"duration": 129}}, "flow.duration"),
    "a squeezed text": (
        {"noise": None, "flow": {"duration": 60, "max_duration": 19}},
        "flow.max_duration",
    ),
    "other noise": ({"flow": {"duration": 41}}, "noise"),
    "narrow noise": ({"noise": np.zeros((40, 99), np.float32)}, "noise"),
    "infinite noise": ({"noise": np.full((40, 100), np.inf, np.float32)}, "noise"),
    "infinite prompt": (
        {"context_embeddings": np.full((3, 100), np.nan, np.float32)},
        "context_embeddings",
    ),
    "a long prompt": (
        {"context_embeddings": np.zeros((65, 100), np.float32)},
        "context_embeddings",
    ),
    "no steps": ({"flow": {"steps": 0}}, "flow.steps"),
    "many steps": ({"flow": {"steps": 129}}, "flow.steps"),
    "many midpoints": ({"flow": {"steps": 65, "method": "midpoint"}}, "flow.steps"),
    "a method": ({"flow": {"method": "rk4"}}, "flow.method"),
    "strength": ({"flow": {"cfg_strength": -1.0}}, "flow.cfg_strength"),
    "no strength": ({"flow": {"cfg_strength": float("nan")}}, "flow.cfg_strength"),
    "sway": ({"flow": {"sway_sampling_coef": -1.5}}, "flow.sway_sampling_coef"),
    "lens": ({"flow": {"lens": 15}}, "flow.lens"),
    "a short mask": ({"edit_mask": [1] * 13}, "edit_mask"),
    "a number in a mask": ({"edit_mask": [2] * 14}, "edit_mask[0]"),
    "audio_start": ({"audio_start": 39}, "audio_start"),
    "nothing asked": ({"return_audio": False, "return_spectrogram": False}, "return_audio"),
    "temperature": ({"temperature": 0.5}, "temperature"),
    "cfg_scale": ({"cfg_scale": 2.0}, "cfg_scale"),
    "max_frames": ({"max_frames": 10}, "max_frames"),
    "text and mel": ({"mel": np.zeros((4, 100), np.float32)}, "text_ids"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_makes_no_sense_is_refused(what: str, f5_executor: rt.Executor) -> None:
    changed, field = REFUSED[what]
    fields = {**inputs(), **changed}
    fields["flow"] = rt.Flow(**fields.get("flow", {}))
    fields = {name: value for name, value in fields.items() if value is not None}
    with pytest.raises(rt.ConfigError, match=rf"^{field.replace('[', '.').replace(']', '.')}"):
        f5_executor.generate(**fields)
    assert f5_executor.generate(**inputs(), flow=rt.Flow(steps=1)).finish_reason == "stop"


@pytest.mark.parametrize("name", ["guidance_interval", "cfg_interval", "cache_steps"])
def test_guidance_is_evaluated_in_every_step(name: str, engine_of_f5: Callable[..., Path]) -> None:
    """An interval of guidance, with which few steps fall apart, is not to be had; and no step goes
    without its second branch.
    """
    with pytest.raises(rt.ConfigError, match=f"expected options among steps, .*got '{name}'"):
        rt.Flow(**{"steps": 7, name: 2})
    given = {**inputs(), "return_audio": False, "flow": rt.Flow(steps=7)}
    with rt.Executor(engine_of_f5("v1"), device="cpu", trace=True) as traced:
        trace = traced.generate(**given).trace
    velocities = [each.values for each in trace if each.name == "flow.velocity"]
    assert [len(each) for each in velocities] == [2 * len(given["noise"])] * 7


def test_more_text_than_prompt_frames(
    f5_executor: rt.Executor, checkpoint_of_f5: Callable[[str], Path]
) -> None:
    """Frames of the prompt's place are not silenced where the text has more ids than it frames."""
    given = {**inputs(words=30, seed=2), "noise": inputs()["noise"]}
    result = f5_executor.generate(**given, flow=rt.Flow(steps=3), return_audio=False)
    network = Reference(checkpoint_of_f5("v1"))
    expected = network.sample(
        given["context_embeddings"], list(given["text_ids"]), given["noise"], steps=3, sway=-1.0
    )
    assert result.spectrogram is not None
    assert distance(result.spectrogram, expected) <= 1e-3
    assert np.abs(result.spectrogram[PROMPT:30]).min() > 0


def test_a_cancelled_request_ends_alone(f5_executor: rt.Executor) -> None:
    """Requests that end between evaluations leave the others as they are."""
    fields: dict[str, Any] = {**inputs(), "flow": rt.Flow(steps=16)}
    expected = f5_executor.generate(**fields).audio
    kept = f5_executor.submit(rt.Request(**fields))
    dropped = [
        f5_executor.submit(rt.Request(**{**fields, "flow": rt.Flow(steps=128)})) for _ in "12"
    ]
    for handle in dropped:
        handle.cancel()
    np.testing.assert_array_equal(kept.result().audio, expected)
    for handle in dropped:
        assert handle.result().finish_reason in ("cancelled", "stop")
    late = f5_executor.submit(rt.Request(**{**fields, "deadline": 1e-4}))
    assert late.result().finish_reason in ("deadline", "stop")


def test_families_refuse_each_others_fields(f5_executor: rt.Executor) -> None:
    with pytest.raises(rt.ConfigError, match=r"^flow: expected none"):
        f5_executor.generate(mel=np.zeros((4, BINS), np.float32), flow=rt.Flow(steps=3))
    with pytest.raises(rt.ConfigError, match=r"^mel: expected"):
        f5_executor.generate(mel=np.zeros((1, BINS), np.float32))
