"""Samples become requests of an engine, or an error that says what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench.dataset import Dataset, Sample
from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.requests import (
    RequestOptions,
    RequestShape,
    dataset_shape,
    random_requests,
    sample_requests,
)

EngineOf = Callable[[str], Path]


def facts_of(engine_of: EngineOf, case: str) -> EngineFacts:
    return EngineFacts.of(rt.Engine.open(str(engine_of(case))))


def dataset_of(**changes: object) -> Dataset:
    sample = Sample(
        where="set.json: samples[0]",
        output_len=3,
        text_ids=np.arange(5, dtype=np.int32),
        text_features=None,
        context_codes=np.ones((6, 4), np.int32),
        context_features=None,
    )
    return Dataset(Path("set.json"), (replace(sample, **changes),))


def test_a_request_runs_to_its_length(engine_of: EngineOf) -> None:
    facts = facts_of(engine_of, "tiny2503")
    options = RequestOptions(cfg_scale=2.0, temperature=0.5, chunk_frames=4, seed=9)
    (request,) = sample_requests(dataset_of(), facts, options)
    assert (request.max_frames, request.min_frames) == (3, 3)
    assert (request.cfg_scale, request.temperature, request.chunk_frames) == (2.0, 0.5, 4)
    assert request.seed == 9 and request.context_codes.shape == (6, 4)


def test_end_of_speech_where_it_is_asked_for(engine_of: EngineOf) -> None:
    facts = facts_of(engine_of, "tiny2503")
    (request,) = sample_requests(dataset_of(), facts, RequestOptions(eos_id=facts.eos_id))
    assert request.min_frames is None and request.max_frames == 3
    with pytest.raises(rt.ConfigError, match=f"eos_id: expected -1 .* or {facts.eos_id}"):
        sample_requests(dataset_of(), facts, RequestOptions(eos_id=1))


def test_the_forks_prior_does_not_end_an_endless_request(
    checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(checkpoint_of("tiny2503"), tmp_path / "checkpoint")
    config = json.loads((tmp_path / "checkpoint" / "config.json").read_text())
    config["defaults"]["prior"] |= {"mode": "window", "end_after": 3}
    (tmp_path / "checkpoint" / "config.json").write_text(json.dumps(config))
    rt.build(tmp_path / "checkpoint", tmp_path / "engine")
    facts = EngineFacts.of(rt.Engine.open(str(tmp_path / "engine")))
    (request,) = sample_requests(dataset_of(), facts, RequestOptions())
    assert request.prior == rt.AttentionPrior(end_after=0)  # the rest is the checkpoint's
    (request,) = sample_requests(dataset_of(), facts, RequestOptions(eos_id=facts.eos_id))
    assert request.prior == "default"


@pytest.mark.parametrize("case", ["tiny2503", "tinyhf", "tinyce", "tinymulti"])
def test_no_request_ends_early(engine_of: EngineOf, case: str) -> None:
    """Long enough that every one of them would end by itself."""
    engine = engine_of(case)
    facts = facts_of(engine_of, case)
    shape = RequestShape(text_len=6, context_len=8, frames=48)
    requests = list(islice(random_requests(facts, shape), 3))
    with rt.Executor(engine, device="cpu") as executor:
        for result in executor.generate(requests):
            assert (result.finish_reason, len(result.codes)) == ("length", 48)


def test_stacked_columns(engine_of: EngineOf) -> None:
    """A column of a step holds its frames one after the other."""
    facts = facts_of(engine_of, "tinyce")
    assert dataset_shape(facts, None).num_vocabs == 4 and dataset_shape(facts, 8).num_vocabs == 8
    columns = np.arange(16, dtype=np.int32).reshape(2, 8)
    (request,) = sample_requests(dataset_of(context_codes=columns), facts, RequestOptions())
    assert request.context_codes.tolist() == np.arange(16).reshape(4, 4).tolist()
    assert request.max_frames == 6  # three steps of two frames
    with pytest.raises(rt.ConfigError, match="num_vocabs: expected 4 or 8 for this engine, got 5"):
        dataset_shape(facts, 5)


def test_stored_voices_take_no_codes(engine_of: EngineOf) -> None:
    facts = facts_of(engine_of, "tinyhf")
    with pytest.raises(rt.ConfigError, match=r"set\.json: samples\[0\]\.context_ids.*--voice"):
        sample_requests(dataset_of(), facts, RequestOptions())
    (request,) = sample_requests(dataset_of(), facts, RequestOptions(voice="Jason"))
    assert request.voice == "Jason" and request.context_codes is None
    rows = np.zeros((4, facts.dim), np.float32)
    (request,) = sample_requests(dataset_of(context_features=rows), facts, RequestOptions())
    assert request.context_embeddings is rows


def test_features_are_encoded_already(engine_of: EngineOf) -> None:
    facts = facts_of(engine_of, "tiny2503")
    rows = np.zeros((4, facts.dim), np.float32)
    changed = dataset_of(text_ids=None, text_features=rows)
    (request,) = sample_requests(changed, facts, RequestOptions())
    assert request.encoder_output is rows and request.text_features is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text_ids": np.full(3, 30)}, r"input_ids: expected ids below 30, .*--text_vocab_size 30"),
        ({"text_ids": np.zeros(999, int)}, r"expected a text of 1 to \d+ .*, got 999"),
        ({"context_codes": np.full((2, 4), 96)}, r"below 96, .* got 96; .*--audio_vocab_size 96"),
        ({"context_codes": np.zeros((300, 4), int)}, r"at most 255 context rows .*, got 300"),
        ({"context_codes": None}, r"expected a context this engine takes, got none"),
        ({"output_len": 251}, r"output_len: expected at most 250 .*, got 251"),
    ],
)
def test_what_the_engine_cannot_do(
    engine_of: EngineOf, changes: dict[str, object], message: str
) -> None:
    facts = facts_of(engine_of, "tiny2503")
    with pytest.raises(rt.ConfigError, match=r"set\.json: samples\[0\].*" + message):
        sample_requests(dataset_of(**changes), facts, RequestOptions())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (RequestShape(text_len=400, context_len=5), "text_len: expected 1 to 256"),
        (RequestShape(context_len=300), "context_len: expected 1 to 255"),
        (RequestShape(context_len=200, frames=100), "frames: expected 1 to 56"),
        (RequestShape(context_len=5, frames=0), "frames: expected 1 to"),
    ],
)
def test_shapes_beyond_the_engine(engine_of: EngineOf, shape: RequestShape, message: str) -> None:
    with pytest.raises(rt.ConfigError, match=message):
        next(random_requests(facts_of(engine_of, "tiny2503"), shape))


def test_random_requests_differ(engine_of: EngineOf) -> None:
    facts = facts_of(engine_of, "tiny2503")
    shape = RequestShape(text_len=6, context_len=8, frames=4)
    first, second = islice(random_requests(facts, shape), 2)
    assert first.seed != second.seed
    assert not np.array_equal(first.context_codes, second.context_codes)
    again = next(random_requests(facts, shape))
    assert again.seed == first.seed and np.array_equal(again.text_ids, first.text_ids)
