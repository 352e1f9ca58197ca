"""Texts in chunks against NeMo 3.0.0's own chunked generation (`originals/magpie_chunks.py`).

Codes, steps of each chunk and the text in focus are equal, alone and in a crowd, on every backend.
The original decodes one text here, chunk after chunk; what it does to a batch of several depends on
their padding. Without an end of speech, a chunk goes on to the checkpoint's `max_decoder_steps`.

One difference: without a prior (`apply_attention_prior` false), the original still weighs every
step of a later chunk by the weights that are meant for its first one, which keeps it at the begin
of its text. Here no prior is none; the original's run was made without these weights.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import EXACT_DEVICES, NATIVE

DATA = Path(__file__).resolve().parents[1] / "data" / "magpie"
RUNS: dict[str, dict[str, Any]] = json.loads((DATA / "chunks.json").read_text())
VOCAB = 96
EngineOf = Callable[[dict[str, Any]], Path]

each_device = pytest.mark.parametrize("device", EXACT_DEVICES)
each_run = pytest.mark.parametrize("name", list(RUNS))


def add_to_head(checkpoint: Path, index: int, token: int, value: float) -> None:
    """Adds to one bias of the main head, in the file."""
    path = checkpoint / "model.safetensors"
    content = bytearray(path.read_bytes())
    size = int.from_bytes(content[:8], "little")
    entry = json.loads(content[8 : 8 + size])["final_proj_bias"]
    assert entry["dtype"] == "F32"
    begin, end = (8 + size + offset for offset in entry["data_offsets"])
    bias = np.frombuffer(content, np.float32, (end - begin) // 4, begin).copy()
    bias[index * VOCAB + token] += value
    content[begin:end] = bias.tobytes()
    path.write_bytes(content)


@pytest.fixture(scope="module")
def engine_of_run(
    checkpoint_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> EngineOf:
    """Maps a run to an engine of its weights, whose default limit is that of the run's chunks."""
    made: dict[str, Path] = {}

    def make(run: dict[str, Any]) -> Path:
        key = json.dumps([run["steps"], run["bias"]])
        if key not in made:
            folder = tmp_path_factory.mktemp("chunks")
            checkpoint = folder / "checkpoint"
            shutil.copytree(checkpoint_of("tinyhf"), checkpoint)
            config = json.loads((checkpoint / "config.json").read_text())
            config["defaults"]["max_frames"] = 2 * run["steps"]
            (checkpoint / "config.json").write_text(json.dumps(config))
            for place, value in run["bias"].items():
                _, index, token = place.split(".")
                add_to_head(checkpoint, int(index), int(token), value)
            rt.build(checkpoint, folder / "engine", dtype="float32")
            made[key] = folder / "engine"
        return made[key]

    return make


def prior_of(run: dict[str, Any]) -> rt.AttentionPrior | None:
    prior = run["prior"]
    if prior is None:
        return None
    return rt.AttentionPrior(
        mode="nemo",
        epsilon=prior["prior_epsilon"],
        lookahead=prior["lookahead_window_size"],
        estimate_layers=prior["estimate_alignment_from_layers"],
        apply_layers=prior["apply_prior_to_layers"],
        track_finish=not prior.get("ignore_finished_sentence_tracking", True),
        recompute=not run["kv_cache"],
    )


def request_of(run: dict[str, Any], **fields: Any) -> rt.Request:
    return rt.Request(
        text_ids=run["text_ids"],
        text_chunks=run["text_chunks"],
        voice=run["voice"],
        cfg_scale=run["cfg_scale"] or 1.0,
        temperature=0.0,
        top_k=20,
        min_frames=4,
        prior=prior_of(run),
        use_local_transformer=run["local_transformer"],
        **fields,
    )


def expect_run(run: dict[str, Any], result: rt.Result) -> None:
    assert result.chunk_steps is not None
    assert result.chunk_steps.tolist() == run["chunk_steps"], result.error
    if run["focus"] is not None:
        assert result.focus is not None
        assert result.focus.tolist() == run["focus"]
    np.testing.assert_array_equal(result.codes, run["codes"])
    assert result.finish_reason == ("length" if run["ends"][-1] == "limit" else "stop")


def test_runs_end_in_every_way() -> None:
    ends = {end for run in RUNS.values() for end in run["ends"][:-1]}
    assert ends == {"eos", "forced", "limit"}
    assert min(run["min_margin"] for run in RUNS.values()) > 1e-4
    before = [
        focus < begin
        for run in RUNS.values()
        if run["focus"] is not None
        for focus, begin in zip(run["focus"], window_begins(run), strict=True)
    ]
    assert any(before)  # a chunk that ended early leaves the focus before the next window


def window_begins(run: dict[str, Any]) -> list[int]:
    """The first id of the window of each step."""
    begins: list[int] = []
    reached = window = 0
    for count, steps in zip(run["text_chunks"], run["chunk_steps"], strict=True):
        history = min(count, 20, window)
        begins += [reached - history] * steps
        reached += count
        window = history + count
    return begins


@each_device
@each_run
def test_codes_are_the_originals(name: str, device: str, engine_of_run: EngineOf) -> None:
    run = RUNS[name]
    with rt.Executor(engine_of_run(run), device=device) as executor:
        expect_run(run, executor.generate(request_of(run)))


@each_device
def test_in_a_crowd(device: str, engine_of_run: EngineOf) -> None:
    """All runs of one engine at once, while ordinary texts come and go."""
    names = [name for name, run in RUNS.items() if run["steps"] == 60 and not run["bias"]]
    with rt.Executor(engine_of_run(RUNS[names[0]]), device=device, max_batch_size=6) as executor:
        short = rt.Request(text_ids=[3, 4, 5, 39], voice=0, max_frames=8, temperature=0.0)
        alone = executor.generate(short)
        requests = [request_of(RUNS[name]) for name in names]
        mixed = [each for request in requests for each in (request, short)]
        results = executor.generate(mixed)
        for name, result, other in zip(names, results[::2], results[1::2], strict=True):
            expect_run(RUNS[name], result)
            np.testing.assert_array_equal(other.codes, alone.codes)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_the_number_of_threads_changes_nothing(num_threads: int, engine_of_run: EngineOf) -> None:
    run = RUNS["four"]
    with rt.Executor(engine_of_run(run), device=NATIVE, num_threads=num_threads) as executor:
        expect_run(run, executor.generate(request_of(run)))


def test_events_and_positions(engine_of_run: EngineOf) -> None:
    run = RUNS["four"]
    with rt.Executor(engine_of_run(run), device=NATIVE) as executor:
        request = request_of(run, return_positions=True, return_alignment=True)
        whole = executor.generate(request)
        events = list(executor.stream(request))
    expect_run(run, whole)
    np.testing.assert_array_equal(np.concatenate([each.codes for each in events]), whole.codes)
    positions = [each.text_positions for each in events if each.text_positions is not None]
    assert whole.text_positions is not None
    assert whole.alignment is not None
    assert whole.chunk_offsets is not None
    np.testing.assert_array_equal(np.concatenate(positions), whole.text_positions)
    begins = window_begins(run)
    assert whole.alignment.shape == (len(begins), max(20 + n for n in run["text_chunks"]))
    assert sorted(set(begins)) == whole.chunk_offsets.tolist()
    np.testing.assert_array_equal(whole.alignment.argmax(axis=1) + begins, whole.text_positions)
