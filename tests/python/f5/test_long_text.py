"""Texts of F5-TTS that are longer than one pass takes, in one request: chunks, joined sound, ends.

The chunks and the cross-fade of the original are compared in tests/parity/test_f5_front_end.py;
here, one request gives what `F5Model.synthesize` gives of the same text.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.audio import write_wav
from ttsrt_rt.f5 import F5Model
from ttsrt_rt.f5.rules import chunk_seed
from ttsrt_rt.synth import write_random_f5, write_random_vocos

REF_TEXT = "what the voice says"
LONG = "this is one part, and another one. " * 3
FADE = int(0.15 * 24000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("f5")
    source = write_random_f5(made / "model_1.safetensors", "tiny", 4)
    vocos = write_random_vocos(made / "vocos-source", seed=4)
    for name, options in (("whole", {"vocoder": vocos}), ("bare", {})):
        checkpoint = rt.convert(
            source, made / f"{name}-ckpt", variant="v1", progress=False, **options
        )
        rt.build(checkpoint, made / name, max_seq_len=2400)
    tone = 0.05 * np.sin(2 * np.pi * 220 * np.arange(2 * 16000) / 16000)
    write_wav(made / "voice.wav", tone, 16000)
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[F5Model]:
    with F5Model(folder / "whole", backend=NATIVE) as made:
        yield made


def request(text: str = LONG, steps: int = 2, **fields: Any) -> rt.Request:
    """A request whose prompt leaves room for a clause in a pass, so that passes are short."""
    mel = np.random.default_rng(1).standard_normal((40, 100)).astype(np.float32)
    made: dict[str, Any] = {
        "text": text,
        "seed": 9,
        "context_embeddings": mel,
        "flow": rt.Flow(steps=steps),
        "flow_text": rt.FlowText(ref_text=REF_TEXT, ref_seconds=21.0),
    }
    return rt.Request(**(made | fields))


def test_one_request_gives_what_synthesize_gives(model: F5Model, folder: Path) -> None:
    text = "this is one part and there is another one " * 2 + "! " + "and this is a second " * 3
    for fields in (
        {"cross_fade": 0.1},
        {"speed": 1.5, "fix_duration": 9.0, "boundaries": "extended"},
    ):
        how: dict[str, Any] = fields
        voice = folder / "voice.wav"
        expected = model.synthesize(text, voice, REF_TEXT, steps=1, seed=9, **how).samples
        asked = model.request(text, voice, REF_TEXT, flow=rt.Flow(steps=1), seed=9, **how)
        result = model.executor.generate(asked)
        assert result.finish_reason == "stop" and result.audio is not None
        assert (result.text, result.sample_rate) == (text, 24000)
        np.testing.assert_array_equal(result.audio, expected)
    chunks = model.executor.generate(asked, flow_text=replace(asked.flow_text, ref_seconds=19.0))
    assert chunks.chunk_frames is not None and len(chunks.chunk_frames) > 1


def test_chunks_are_what_each_is_alone_joined_by_the_cross_fade(model: F5Model) -> None:
    asked = request(flow_text=rt.FlowText(ref_text=REF_TEXT, ref_seconds=21.0, gain=0.5))
    spoken = model.executor.read_text(asked)
    result = model.executor.generate(asked)
    assert result.chunk_frames is not None and result.audio is not None
    assert len(result.chunk_frames) == len(spoken.chunks) > 4
    waves, begin = [], 0
    for index, (count, frames) in enumerate(zip(spoken.chunks, result.chunk_frames, strict=True)):
        part = model.executor.generate(
            text_ids=spoken.ids[begin : begin + count],
            context_embeddings=asked.context_embeddings,
            seed=chunk_seed(9, index),
            flow=rt.Flow(steps=2, duration=int(frames)),
        )
        assert part.audio is not None
        waves.append(part.audio * np.float32(0.5))
        begin += count
    made = waves[0].astype(np.float64)
    for wave in waves[1:]:  # the original's formula
        n = min(FADE, len(made), len(wave))
        both = made[-n:] * np.linspace(1, 0, n) + wave[:n] * np.linspace(0, 1, n)
        made = np.concatenate([made[:-n], both, wave[n:]])
    np.testing.assert_array_equal(result.audio, made.astype(np.float32))


def test_a_stream_is_the_whole_and_begins_behind_the_first_chunk(model: F5Model) -> None:
    asked = request()
    result = model.executor.generate(asked)
    handle = model.executor.submit(asked)
    events = list(handle)
    assert result.chunk_frames is not None and result.audio is not None
    assert 1 < len(events) <= len(result.chunk_frames) + 1 and events[-1].is_last
    assert events[-1].finish_reason == "stop" and handle.is_done
    sound = [each.audio for each in events if each.audio is not None]
    np.testing.assert_array_equal(np.concatenate(sound), result.audio)
    np.testing.assert_array_equal(handle.result().audio, result.audio)
    assert len(sound[-1]) == FADE  # was held back until nothing could fade in
    metrics = result.metrics
    assert 0 < metrics.first_audio_seconds < 0.9 * metrics.total_seconds
    assert metrics.x_real_time == pytest.approx(1 / metrics.rtf)
    assert metrics.x_real_time == pytest.approx(result.seconds / metrics.total_seconds)


def test_alone_and_in_a_crowd(folder: Path, model: F5Model) -> None:
    asked = [request(LONG[17 * each :], seed=each) for each in range(4)]
    alone = [model.executor.generate(each).audio for each in asked]
    for crowd in (model.executor, None):
        if crowd is not None:
            together = crowd.generate(asked)
        else:  # a queue that is full most of the time
            options: dict[str, Any] = {"max_batch_size": 1, "max_queue_size": 2}
            with rt.Executor(folder / "whole", device=NATIVE, **options) as small:
                together = small.generate(asked)
        for one, other in zip(alone, together, strict=True):
            assert other.finish_reason == "stop", other.error
            np.testing.assert_array_equal(one, other.audio)


def test_async_and_callbacks(model: F5Model) -> None:
    asked = request()
    expected = model.executor.generate(asked).audio

    async def run() -> tuple[Any, Any]:
        sound = [each.audio async for each in model.executor.astream(asked)]
        return sound, await model.executor.agenerate(asked)

    sound, result = asyncio.run(run())
    np.testing.assert_array_equal(
        np.concatenate([each for each in sound if each is not None]), expected
    )
    np.testing.assert_array_equal(result.audio, expected)
    told = threading.Event()
    handle = model.executor.submit(asked)
    handle.add_done_callback(lambda each: told.set() if each.is_done else None)
    del handle  # a request with a callback runs to its end
    assert told.wait(60)


def test_cancel_deadline_and_dropping(model: F5Model) -> None:
    asked = request(LONG * 20, 16)
    handle = model.executor.submit(asked)
    first = handle.next()
    assert first is not None and first.audio is not None
    handle.cancel()
    result = handle.result()
    assert result.finish_reason == "cancelled" and result.audio is not None
    np.testing.assert_array_equal(result.audio[: len(first.audio)], first.audio)
    assert len(result.audio) == len(first.audio) + FADE
    seconds = result.metrics.first_audio_seconds * 1.5
    late = model.executor.generate(request(LONG * 200, 16), deadline=seconds)
    assert late.finish_reason == "deadline" and late.audio is not None and late.seconds > 0
    handle = model.executor.submit(asked)
    parts = handle._native
    del handle
    gc.collect()
    ended = parts.result(60)
    assert ended is not None and ended.finish_reason == "cancelled"


def test_what_ends_with_the_executor(folder: Path, model: F5Model) -> None:
    asked = request()
    expected = model.executor.generate(asked).audio
    executor = rt.Executor(folder / "whole", device=NATIVE)
    drained = executor.submit(asked)
    executor.close(drain=True)
    np.testing.assert_array_equal(drained.result().audio, expected)
    with pytest.raises(rt.ClosedError, match="submit: the executor is closed"):
        executor.submit(asked)
    executor = rt.Executor(folder / "whole", device=NATIVE)
    cut = executor.submit(asked)
    executor.close()
    assert cut.wait(60).finish_reason == "cancelled"


FORK = """
import gc, os, signal, sys
import numpy as np
import ttsrt_rt as rt

executor = rt.Executor(sys.argv[1], device="cpu", num_threads=1)
mel = np.ones((40, 100), np.float32)
how = rt.FlowText(ref_text="what the voice says", ref_seconds=21.0)
flow = rt.Flow(steps=4)
request = rt.Request(text="one, " * 40, context_embeddings=mel, flow=flow, flow_text=how)
handle = executor.submit(request)
child = os.fork()
if child == 0:
    signal.alarm(40)
    for use in (handle.result, handle.cancel, handle.next, lambda: executor.submit(request)):
        try:
            use()
        except rt.ClosedError as error:
            assert str(os.getppid()) in str(error) and "create a new Executor" in str(error), error
        else:
            raise AssertionError(use)
    del handle  # belongs to the parent
    executor.close()
    gc.collect()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert handle.result().finish_reason == "stop"
"""


def test_a_forked_child_is_refused_and_changes_nothing(folder: Path) -> None:
    program = [sys.executable, "-c", FORK, str(folder / "whole")]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_the_rows_of_a_spectrogram(folder: Path, model: F5Model) -> None:
    asked = request()
    with rt.Executor(folder / "bare", device=NATIVE) as executor:
        result = executor.generate(asked)
        assert result.audio is None and result.spectrogram is not None
        assert result.chunk_frames is not None
        assert len(result.spectrogram) == result.chunk_frames.sum()
        rows = [each.spectrogram for each in executor.stream(asked) if each.spectrogram is not None]
        np.testing.assert_array_equal(np.concatenate(rows), result.spectrogram)


def test_a_voice_and_what_reads_a_text(folder: Path, model: F5Model) -> None:
    asked = request()
    spoken = model.executor.read_text(asked)
    assert spoken.text == LONG and len(spoken.chunks) > 2 and spoken.chunks[0] > len(REF_TEXT)
    with rt.Executor(folder / "whole", device=NATIVE) as executor:
        executor.add_voice("me", asked.context_embeddings)
        stored = executor.generate(asked, context_embeddings=None, voice="me")
        np.testing.assert_array_equal(stored.audio, executor.generate(asked).audio)
        with pytest.raises(rt.ConfigError, match="at least 2 frames, got 0"):
            executor.generate(asked, context_embeddings=None)


def test_what_is_refused(model: F5Model) -> None:
    asked, whole = request(), rt.TextOptions(split="never")
    executor = model.executor
    for fields, message in (
        ({"flow": rt.Flow(duration=9)}, "flow.duration: expected none with flow_text"),
        ({"noise": np.zeros((9, 100))}, "noise: expected none with flow_text"),
        ({"text": " "}, "text: expected text, got none"),
        ({"text": None}, "text: expected a text, got none"),
        ({"text": None, "text_ids": [1]}, "text: expected a text, got none"),
        ({"text_ids": [1]}, "text: expected exactly one text, got text and text_ids"),
        ({"language": "en"}, "language: expected none, as F5-TTS tells it"),
        ({"flow_text": {}}, "flow_text: expected FlowText"),
        ({"flow_text": rt.FlowText()}, "ref_text: expected text, got none"),
        ({"flow_text": rt.FlowText(ref_text="a", speed=0.0)}, "speed: expected 0.05 to 20, got 0"),
        ({"flow_text": rt.FlowText(ref_text="a", gain="x")}, "gain: expected 0 to 1, got 'x'"),
        (
            {"flow_text": rt.FlowText(ref_text="a", ref_seconds=0.0)},
            "ref_seconds: expected 0.01 to",
        ),
        ({"text": LONG * 20, "text_options": whole}, "expected chunks of at most 2400 frames"),
        ({"seed": -1}, "seed"),
        ({"deadline": -1.0}, "deadline: expected seconds above 0"),
        ({"text_options": rt.TextOptions(split="phrases")}, "split: expected auto or never"),
    ):
        with pytest.raises(rt.ConfigError, match=message):
            executor.generate(asked, **fields)
    with pytest.raises(rt.ConfigError, match="timeout: expected seconds, 0 or more, got -1"):
        executor.submit(asked).result(timeout=-1)
    with pytest.raises(TimeoutError, match="not done after 0 seconds"):
        executor.submit(asked).result(timeout=0)
