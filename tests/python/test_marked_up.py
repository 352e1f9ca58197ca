"""Requests whose text has pauses and voices: one request, one stream, one result."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.words import word_spans

from .codec_models import RATE, SAMPLES_PER_FRAME, CodecModels, make_codec_models

SSML = rt.TextOptions(markup="ssml")
MARKUP = (
    '<speak><break time="20ms"/>Hello there <break time="40ms"/> good <voice name="{voice}">world '
    "and</voice> so on</speak>"
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> CodecModels:
    return make_codec_models(tmp_path_factory.mktemp("marked_up"))


@pytest.fixture(scope="module")
def executor(models: CodecModels) -> Iterator[rt.Executor]:
    with rt.Executor(models.spoken, device=NATIVE) as opened:
        yield opened


def request(executor: rt.Executor, seed: int = 3) -> rt.Request:
    voices = executor.voices()
    return rt.Request(
        text=MARKUP.format(voice=voices[-1]),
        text_options=SSML,
        voice=voices[0],
        seed=seed,
        max_frames=400,
        return_positions=True,
    )


def samples(milliseconds: int) -> int:
    return (milliseconds * RATE + 500) // 1000


def test_what_markup_becomes(executor: rt.Executor) -> None:
    spoken = executor.read_text(request(executor))
    assert spoken.text == "Hello there good world and so on"
    assert spoken.pauses == (20, 40, 0, 0, 0)
    assert spoken.silences == (samples(20), samples(40), 0, 0, 0)
    assert spoken.voices == (None, None, executor.voices()[-1], None)


def test_one_result(executor: rt.Executor) -> None:
    result = executor.generate(request(executor))
    assert result.chunk_frames is not None and len(result.chunk_frames) == 4
    assert result.chunk_silences is not None
    assert result.chunk_silences.tolist()[:4] == [samples(20), samples(40), 0, 0]
    assert result.audio is not None and result.words is not None
    silent = int(result.chunk_silences.sum())
    assert len(result.audio) == len(result.codes) * SAMPLES_PER_FRAME + silent
    assert result.seconds == len(result.audio) / RATE
    at = samples(20) + int(result.chunk_frames[0]) * SAMPLES_PER_FRAME
    assert not result.audio[: samples(20)].any()
    assert not result.audio[at : at + samples(40)].any()
    assert [(word.begin, word.end) for word in result.words] == word_spans(result.text or "")
    # "good" is the first word behind the second pause.
    hello, good = result.words[0], result.words[2]
    assert hello.start_seconds >= samples(20) / RATE - 1e-9
    assert good.start_seconds >= (at + samples(40)) / RATE - 1e-9
    assert result.words[1].end_seconds <= at / RATE + 1e-9


def test_a_stream_is_the_whole(executor: rt.Executor) -> None:
    for chunk_frames in (1, 7, 32):
        wanted = request(executor)
        whole = executor.generate(wanted)
        events = list(executor.stream(wanted, chunk_frames=chunk_frames))
        audio = np.concatenate([event.audio for event in events if event.audio is not None])
        assert whole.audio is not None and whole.words is not None
        np.testing.assert_array_equal(audio, whole.audio)
        words = [word for event in events for word in event.words]
        assert [(word.begin, word.end) for word in words] == word_spans(whole.text or "")
        assert words[2].start_seconds >= whole.words[1].end_seconds + 0.04 - 1e-3
        edges = [edge for word in words for edge in (word.start_seconds, word.end_seconds)]
        assert edges == sorted(edges) and edges[-1] <= whole.seconds + 1e-6


def test_alone_and_in_a_crowd(models: CodecModels, executor: rt.Executor) -> None:
    wanted = [request(executor, seed) for seed in range(4)]
    alone = [executor.generate(each) for each in wanted]
    with rt.Executor(models.spoken, device=NATIVE, max_batch_size=3) as crowd:
        for one, other in zip(alone, crowd.generate(wanted), strict=True):
            assert one.audio is not None and other.audio is not None
            np.testing.assert_array_equal(one.audio, other.audio)
            assert one.words == other.words


def test_another_voice_says_what_it_says_alone(executor: rt.Executor) -> None:
    first, last = executor.voices()[0], executor.voices()[-1]
    markup = f'<speak>Hello there <voice name="{last}">good world</voice></speak>'
    fields = {"temperature": 0.0, "seed": 1}
    both = executor.generate(text=markup, text_options=SSML, voice=first, **fields)
    parts = [
        executor.generate(text="Hello there", voice=first, **fields),
        executor.generate(text="good world", voice=last, **fields),
    ]
    np.testing.assert_array_equal(both.codes, np.concatenate([each.codes for each in parts]))


def test_later_chunks_are_checked_before_anything_sounds(executor: rt.Executor) -> None:
    """What is wrong with the third chunk is told by `submit`, not after the sound of the first."""
    begin = '<speak>Hello there <break time="40ms"/> good world <break time="40ms"/>'
    most = executor.engine.info.max_encoder_input_len
    for rest, message in (
        ('<voice name="nobody">so on</voice>', "nobody"),
        ("so on " * most, rf"text: chunk 3 .*expected at most {most} ids .*makes shorter chunks"),
        ('<lang xml:lang="xx">so on</lang>', "line 1, column .*: xml:lang: language: expected one"),
        ('<phoneme ph="\u2603">so on</phoneme>', "\u2603"),
    ):
        options = rt.TextOptions(markup="ssml", split="never")
        with pytest.raises(ConfigError, match=message):
            executor.submit(text=f"{begin}{rest}</speak>", text_options=options, voice=0)


def test_an_engine_without_sound_refuses_pauses(models: CodecModels) -> None:
    with rt.Executor(models.silent, device=NATIVE) as silent:
        with pytest.raises(ConfigError, match="text: expected markup without <break>"):
            silent.generate(request(silent))
        voices = f'<speak>Hello <voice name="{silent.voices()[-1]}">world</voice></speak>'
        assert len(silent.generate(text=voices, text_options=SSML, voice=0).codes)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text_voices": "ann"}, "text_voices: expected a list of voices"),
        ({"text_voices": [1.5]}, r"text_voices\[0\]: expected the index or the name"),
        ({"text_voices": [0, 0]}, "text_voices: expected 1 voices"),
        ({"text_silences": [1]}, "text_silences: expected 2 numbers of samples"),
        ({"text_silences": [0, -1]}, r"text_silences\[1\]: expected 0 or more"),
        ({"context_text": "calm"}, "context_text: expected none, as this engine has no tokenizer"),
        ({"context_text": 3}, "context_text: expected text"),
    ],
)
def test_refusals(executor: rt.Executor, fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        executor.generate(rt.Request(text_ids=[1, 2, 3], voice=0, **fields))  # type: ignore[arg-type]
