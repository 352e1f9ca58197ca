"""Texts that are normalized sentence by sentence while their first sentences are spoken."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from tests.python.codec_models import make_codec_models
from ttsrt_rt.errors import ConfigError, InternalError
from ttsrt_rt.text import reading

TEXT = " One fox 1. Two: 22 of them!\n Three."
SAID = " One fox one. Two: twotwo of them!\n Three."
OPTIONS = rt.TextOptions(normalize="numbers", split="sentences")


class Normalizer:
    """Words for the digits 1 and 2; waits in front of sentences with a 2 if it is told to."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.fails = False
        self.seen: list[str] = []

    def __call__(self, text: str, language: str, options: rt.TextOptions) -> str:
        assert (language, options.normalize) == ("en", "numbers")
        self.seen.append(text)
        if "2" in text:
            assert self.may_go_on.wait(30)
            if self.fails:
                raise ConfigError("text_options.normalize: no")
        if "0" in text:
            return "%"  # which is no symbol
        return text.replace("1", "one").replace("2", "two")


@pytest.fixture
def normalizer(monkeypatch: pytest.MonkeyPatch) -> Normalizer:
    made = Normalizer()
    monkeypatch.setattr(reading, "normalized", made)
    return made


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_codec_models(tmp_path_factory.mktemp("reading")).spoken


@pytest.fixture
def executor(engine: Path, normalizer: Normalizer) -> Iterator[rt.Executor]:
    assert normalizer.seen == []
    with rt.Executor(engine, device=NATIVE) as opened:
        yield opened


def request(text: str = TEXT) -> rt.Request:
    return rt.Request(
        text=text, text_options=OPTIONS, voice=0, seed=5, max_frames=900, return_positions=True
    )


def test_sentences_are_read_one_by_one(executor: rt.Executor, normalizer: Normalizer) -> None:
    spoken = executor.read_text(request())
    assert normalizer.seen == ["One fox 1.", "Two: 22 of them!", "Three."]
    assert spoken.text == spoken.normalized_text == SAID
    assert spoken.spans is not None and len(spoken.chunks) == 3
    begin = spoken.chunks[0]
    assert SAID[slice(*spoken.spans[begin])] == "T"


def test_the_first_is_spoken_before_the_rest_is_read(
    executor: rt.Executor, normalizer: Normalizer
) -> None:
    whole = executor.generate(request())
    normalizer.may_go_on.clear()
    handle = executor.submit(request())
    first = next(event for event in handle if event.audio is not None)
    assert first.audio is not None and len(first.audio)
    assert handle.spoken is not None and len(handle.spoken.chunks) == 1
    normalizer.may_go_on.set()
    handle = executor.submit(request())
    events = list(handle)
    result = handle.result()
    ids = executor.read_text(request())
    by_ids = executor.generate(
        text_ids=ids.ids, text_chunks=ids.chunks, voice=0, seed=5, max_frames=900
    )
    for other in (whole, by_ids):
        np.testing.assert_array_equal(result.codes, other.codes)
        assert result.audio is not None and other.audio is not None
        np.testing.assert_array_equal(result.audio, other.audio)
    assert result.text == SAID and result.words == whole.words
    words = [word for event in events for word in event.words]
    assert [word.text for word in words] == [word.text for word in result.words or ()]


def test_a_slow_reader_changes_nothing(executor: rt.Executor, normalizer: Normalizer) -> None:
    whole = executor.generate(request())
    normalizer.may_go_on.clear()
    handle = executor.submit(request())
    time.sleep(0.5)  # the first sentence is over long before
    assert not handle.is_done
    normalizer.may_go_on.set()
    np.testing.assert_array_equal(handle.result(30).codes, whole.codes)


def test_a_sentence_that_says_nothing_is_left_out(executor: rt.Executor) -> None:
    ids = executor.read_text(request("One 1. Zero 0! Three."))
    result = executor.generate(request("One 1. Zero 0! Three."))
    assert len(ids.chunks) == 2 and result.chunk_steps is not None
    assert len(result.chunk_steps) == 2
    alone = executor.generate(request("One 1. Zero 0! 0."))
    assert alone.chunk_steps is not None and len(alone.chunk_steps) == 1


def test_what_cannot_be_read_ends_the_request(
    executor: rt.Executor, normalizer: Normalizer
) -> None:
    normalizer.fails = True
    with pytest.raises(InternalError, match=r"text_options\.normalize: no"):
        executor.generate(request())
    with pytest.raises(ConfigError, match=r"text_options\.normalize: no"):
        executor.generate(request("Two 2. One 1."))


def test_cancelled_while_it_waits(executor: rt.Executor, normalizer: Normalizer) -> None:
    normalizer.may_go_on.clear()
    handle = executor.submit(request())
    time.sleep(0.3)
    handle.cancel()
    assert handle.result(10).finish_reason == "cancelled"
    late = executor.submit(request(), deadline=0.4)
    assert late.result(10).finish_reason == "deadline"
    normalizer.may_go_on.set()
