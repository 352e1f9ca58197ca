"""Requests with a text: the codes of their ids, what the result tells, what is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.conftest import source_of
from ttsrt_rt.spoken import SpokenText
from ttsrt_rt.synth import write_random_nemo
from ttsrt_rt.text.lexicon import Lexicon, LexiconEntry

TEXT = "Hello world, 5 quick%% dog."


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("front_end")
    source = write_random_nemo(folder / "tiny.nemo", "tiny")
    checkpoint = rt.convert(source, folder / "ckpt", progress=False)
    rt.build(checkpoint, folder / "engine", max_batch_size=4)
    return folder / "engine"


@pytest.fixture(scope="module")
def executor(engine: Path) -> Iterator[rt.Executor]:
    with rt.Executor(engine, device="cpu", num_threads=1) as opened:
        yield opened


def said(executor: rt.Executor, result: rt.Result) -> str:
    """The symbols of a result's ids."""
    front_end = executor.engine.front_end
    assert front_end is not None and result.text_ids is not None
    tokens = [*front_end.tokens("english_phoneme"), "<bos>", "<eos>"]
    return "".join(tokens[each] for each in result.text_ids)


def test_a_text_gives_the_codes_of_its_ids(executor: rt.Executor) -> None:
    result = executor.generate(text=TEXT, voice=0, seed=3, max_frames=12)
    assert result.text_ids is not None and result.text_ids.dtype == np.int32
    again = executor.generate(text_ids=result.text_ids, voice=0, seed=3, max_frames=12)
    assert np.array_equal(result.codes, again.codes) and len(result.codes)
    assert again.text is None and again.text_ids is None and not again.metrics.dropped_text


def test_the_result_tells_what_was_spoken(executor: rt.Executor) -> None:
    result = executor.generate(text=TEXT, voice=0, max_frames=4)
    assert result.text == TEXT and result.language == "en" and result.normalized_text is None
    assert said(executor, result) == "H\u0259\u02c8LO \u02c8W\u0259LD,  \u02c8KWIK \u02c8DOG.<eos>"
    assert result.metrics.dropped_text == {"5": 1, "%": 2}
    spans = result.text_spans
    assert (
        result.text_ids is not None
        and spans is not None
        and spans.shape == (result.text_ids.size, 2)
    )
    shown = [TEXT[begin:end] for begin, end in spans]
    assert shown[0] == "Hello" and shown[5] == " " and shown[-2:] == [".", ""]


def test_streams_and_handles_know_the_text(executor: rt.Executor) -> None:
    handle = executor.submit(text="Hello world.", voice=0, max_frames=6)
    spoken = handle.spoken
    assert spoken is not None and spoken.chunks == (len(spoken.ids),) and spoken.language == "en"
    assert sum(len(event.codes) for event in handle) == 6
    assert handle.result().text_ids is spoken.ids
    assert executor.submit(text_ids=spoken.ids, voice=0, max_frames=2).spoken is None


def test_times_have_that_of_the_text(
    executor: rt.Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    front_end = executor._texts.front_end
    assert front_end is not None
    speak = front_end.speak

    def slow(text: str, language: str | None, options: rt.TextOptions) -> SpokenText:
        time.sleep(0.3)
        return speak(text, language, options)

    monkeypatch.setattr(front_end, "speak", slow)
    begin = time.perf_counter()
    result = executor.generate(text="Hello dog.", voice=0, max_frames=6)
    whole = time.perf_counter() - begin
    times, frames = result.metrics, len(result.codes)
    assert 0.3 <= times.queue_seconds <= times.first_frame_seconds <= times.total_seconds <= whole
    assert times.first_audio_seconds == 0
    assert times.frames_per_second == pytest.approx(frames / times.total_seconds)
    rate = executor.engine.info.frame_rate
    assert times.rtf == pytest.approx(times.total_seconds * rate / frames)
    assert times.x_real_time == pytest.approx(1 / times.rtf)


def test_many_texts_at_once(executor: rt.Executor) -> None:
    requests = [
        rt.Request(text=text, voice=0, max_frames=4) for text in ("Hello.", "%", "The dog.")
    ]
    results = executor.generate(requests)
    assert [each.finish_reason for each in results] == ["length", "error", "length"]
    assert "text has no speakable symbol" in (results[1].error or "")


def test_languages(executor: rt.Executor) -> None:
    assert executor.languages == {"en": "english_phoneme"}
    ids = [
        executor.generate(text="Hello.", language=language, voice=0, max_frames=2).text_ids
        for language in (None, "en", "en-US", "en_GB", "english_phoneme")
    ]
    assert all(np.array_equal(ids[0], each) for each in ids[1:])
    for wrong in ("de", "english", "", "e"):
        with pytest.raises(rt.ConfigError, match=r"language.*en"):
            executor.generate(text="Hello.", language=wrong, voice=0)


def test_a_lexicon_is_of_the_language_of_the_text(executor: rt.Executor) -> None:
    def ids(language: str | None, spoken: str | None) -> list[int]:
        entry = LexiconEntry("dog", "\u02c8G\u0259D")
        options = rt.TextOptions(lexicon=Lexicon((entry,), language))
        request = rt.Request(text="Dog", language=spoken, text_options=options)
        return executor.read_text(request).ids.tolist()

    assert (
        ids(None, None) == ids("en-US", None) == ids("en", "en_GB") == ids("en", "english_phoneme")
    )
    for language in ("de", "de-DE", "english", ""):
        with pytest.raises(
            rt.ConfigError, match="lexicon: expected one of the language en, got xml:la"
        ):
            ids(language, None)


def test_chunks_that_are_too_long(executor: rt.Executor) -> None:
    most = executor.engine.info.max_encoder_input_len
    text = "Hello dog. " + "hello dog " * most
    for voice in (0, "nobody"):
        with pytest.raises(
            rt.ConfigError,
            match=rf"^text: chunk 2 \('hello dog hello dog '…\): expected at most {most} ids "
            r'\(max_encoder_input_len\), got \d+; split="phrases" makes shorter chunks$',
        ):
            executor.submit(text=text, voice=voice)
    with pytest.raises(rt.ConfigError, match="text: chunk 1 "):
        whole = rt.TextOptions(split="never")
        executor.submit(text=text, text_options=whole, voice=0)


def test_texts_that_nothing_speaks(executor: rt.Executor) -> None:
    for wrong in ("", "   ", "\u00a0\t", "\U0001f600", "42"):
        with pytest.raises(rt.ConfigError, match="text has no speakable symbol"):
            executor.generate(text=wrong, voice=0)
    with pytest.raises(rt.ConfigError, match="lone surrogate at 1"):
        executor.generate(text="a\ud800b", voice=0)
    with pytest.raises(rt.ConfigError, match="text: expected text, got 3"):
        executor.generate(text=3, voice=0)  # type: ignore[arg-type]
    with pytest.raises(
        rt.ConfigError, match="text: expected exactly one text, got text and text_ids"
    ):
        executor.generate(text="Hello.", text_ids=[1, 2], voice=0)
    with pytest.raises(rt.ConfigError, match="language: expected none without text"):
        executor.generate(text_ids=[1, 2], language="en", voice=0)


def test_options(executor: rt.Executor) -> None:
    def run(text: str, **options: object) -> rt.Result:
        made = rt.TextOptions(**options)  # type: ignore[arg-type]
        return executor.generate(text=text, text_options=made, voice=0, max_frames=2)

    with pytest.raises(rt.ConfigError, match=r"text: expected characters that the vocab.*en has"):
        run(TEXT, strict=True)
    ended = run("Hello dog", terminal_punctuation=True)
    assert said(executor, ended).endswith("G.<eos>")
    assert ended.text == "Hello dog" and ended.text_spans is not None
    assert ended.text_spans.max() == len("Hello dog")
    assert said(executor, run("Hello!", terminal_punctuation=True)).endswith("O!<eos>")
    assert said(executor, run("A", short_text="pad")) == "A<pad><pad><pad><eos>"
    assert said(executor, run("A", short_text="keep")) == "A<eos>"
    spoken = run("Dog", lexicon={"dog": "\u02c8G\u0259D"})
    assert said(executor, spoken) == "\u02c8G\u0259D<eos>"


def test_texts_that_are_too_long(executor: rt.Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ttsrt_rt.front_end.most_numbers", lambda info: 40)
    whole = rt.TextOptions(split="sentences")
    with pytest.raises(
        rt.ConfigError, match=r"text: expected one of at most 40 ids .*, got 4\d of"
    ):
        executor.generate(text="Hello. " * 6, text_options=whole, voice=0)
    monkeypatch.setattr("ttsrt_rt.front_end.TextResolver._read", None)  # it isn't read
    with pytest.raises(rt.ConfigError, match=r"text: expected at most 80 characters .* got 84;"):
        executor.generate(text="Hello. " * 12, voice=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "maybe"}, "text_options.split: expected one of auto, never, sentences, phrases"),
        ({"strict": 1}, "text_options.strict: expected True or False, got 1"),
        ({"normalize": "all"}, "text_options.normalize: expected one of off, numbers, nemo"),
        ({"lexicon": 3}, "text_options.lexicon: expected"),
    ],
)
def test_wrong_options(executor: rt.Executor, options: dict[str, object], message: str) -> None:
    with pytest.raises(rt.ConfigError, match=message):
        made = rt.TextOptions(**options)  # type: ignore[arg-type]
        assert "lexicon" in options  # others are refused at once
        executor.generate(text="Hello.", text_options=made, voice=0)
    with pytest.raises(rt.ConfigError, match="text_options: expected TextOptions, got"):
        executor.generate(text="Hello.", text_options={"split": "auto"}, voice=0)  # type: ignore[arg-type]
    with pytest.raises(rt.ConfigError, match="TextOptions: expected options among strict"):
        rt.TextOptions(spilt="auto")  # type: ignore[call-arg]


def test_an_engine_without_a_front_end(tmp_path: Path) -> None:
    checkpoint = rt.convert(source_of("tinyce"), tmp_path / "ckpt", progress=False)
    rt.build(checkpoint, tmp_path / "engine")
    with rt.Executor(tmp_path / "engine", device="reference") as executor:
        assert executor.languages == {} and executor.engine.front_end is None
        with pytest.raises(
            rt.ConfigError, match=r"text: this engine carries no front end\. A text"
        ):
            executor.generate(text="Hello.", voice=0)


def test_a_damaged_front_end_names_its_file(engine: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "engine"
    shutil.copytree(engine, copy)
    (copy / "text" / "front_end.json").write_text("{}")
    with (
        pytest.raises(rt.FormatError, match=r"front_end\.json"),
        rt.Executor(copy, device="reference") as executor,
    ):
        executor.generate(text="Hello.", voice=0)


def test_the_command_line_speaks_texts(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ttsrt_rt.cli import main

    output = str(tmp_path / "codes.npy")
    flags = ["--voice", "0", "--max_frames", "4", "--device", "cpu", "--output", output]
    assert main(["run", str(engine), "--text", "Hello 5%", *flags]) == 0
    told = capsys.readouterr().err
    assert (
        "text: 6 ids in the language en; left out, as the vocabulary lacks them: '%', '5'" in told
    )
    assert len(np.load(output)) == 4
    assert main(["run", str(engine), "--text", "Hello", "--language", "xx", *flags]) == 2
    assert "language" in capsys.readouterr().err


def test_events_tell_words_as_they_end(executor: rt.Executor) -> None:
    request = rt.Request(text=TEXT, voice=0, seed=3, max_frames=24, return_positions=True)
    handle = executor.submit(request)
    events = list(handle)
    words = [word for event in events for word in event.words]
    whole = handle.result().words
    assert whole is not None and [each.text for each in words] == [each.text for each in whole]
    assert [each.text for each in words] == ["Hello", "world", "5", "quick", "dog"]
    assert not any(event.words for event in executor.stream(text=TEXT, voice=0, max_frames=4))
