"""`ttsrt say`: one text to a file, a pipe or a loudspeaker; voices, words, codes, markup."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.audio import read_audio, sample_bytes, wav_bytes, wav_head
from ttsrt_rt.cli import main
from ttsrt_rt.demo_speech import _makers_hash, demo_seconds

from .codec_models import RATE, SAMPLES_PER_FRAME, CodecModels, make_codec_models
from .say_commands import SECONDS, TEXT, command_of, generated, run


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> CodecModels:
    return make_codec_models(tmp_path_factory.mktemp("say"))


@pytest.fixture
def command(models: CodecModels) -> list[str]:
    """`ttsrt say` of 24 frames at most, without a text and an output."""
    return command_of(models.spoken)


def test_a_file(
    command: list[str], models: CodecModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "hello.wav"
    assert main([*command, *TEXT.split(" "), "-o", str(out)]) == 0
    whole = generated(models.spoken)
    assert whole.audio is not None
    assert out.read_bytes() == wav_bytes(whole.audio, RATE)
    assert f"{out}: {len(whole.audio) / RATE:.2f} s" in capsys.readouterr().out


def test_formats(command: list[str], models: CodecModels, tmp_path: Path) -> None:
    whole = generated(models.spoken)
    assert whole.audio is not None
    assert main([*command, TEXT, "-o", str(tmp_path / "a.pcm")]) == 0
    assert main([*command, TEXT, "-o", str(tmp_path / "a.raw"), "--format", "pcm"]) == 0
    assert (tmp_path / "a.pcm").read_bytes() == sample_bytes(whole.audio)
    assert (tmp_path / "a.raw").read_bytes() == sample_bytes(whole.audio)


@pytest.mark.parametrize("ending", ["wav", "pcm"])
def test_a_growing_file_ends_as_a_whole_one(
    command: list[str], models: CodecModels, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"a.{ending}"
    assert main([*command, TEXT, "--stream", "-o", str(out)]) == 0
    whole = generated(models.spoken)
    assert whole.audio is not None
    head = wav_bytes(whole.audio, RATE) if ending == "wav" else sample_bytes(whole.audio)
    assert out.read_bytes() == head


def test_the_default_name(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command, TEXT]) == 0
    assert read_audio("speech.wav").sample_rate == RATE
    assert main([*command, TEXT]) == 2


def test_a_pipe(command: list[str], models: CodecModels) -> None:
    done = run([*command, TEXT, "-o", "-"])
    whole = generated(models.spoken)
    assert whole.audio is not None
    assert done.returncode == 0, done.stderr
    assert done.stdout == wav_head(RATE) + sample_bytes(whole.audio)
    raw = run([*command, TEXT, "-o", "-", "--format", "pcm"])
    assert raw.stdout == sample_bytes(whole.audio)
    assert f"{RATE} samples per second" in raw.stderr.decode()


def test_a_closed_pipe_ends_quietly(command: list[str]) -> None:
    text = " ".join(["hello world"] * 20)
    long = [*command, "--max_seconds", "0.3", text, "-o", "-"]
    whole = [sys.executable, "-m", "ttsrt_rt", *long]
    with subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(44) == wav_head(RATE)
        process.stdout.close()
        told = process.stderr.read()
        assert process.wait(60) == 0
    assert told == b""


def test_a_terminal_is_refused(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main([*command, TEXT, "-o", "-"]) == 2


def test_standard_input_and_files(command: list[str], tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        given = [TEXT] if name == "a.wav" else ["-"] if name == "b.wav" else []
        (tmp_path / "text.txt").write_text(TEXT)
        more = [] if given else ["--file", str(tmp_path / "text.txt")]
        done = run([*command, *given, *more, "-o", str(tmp_path / name)], input=TEXT.encode())
        assert done.returncode == 0, done.stderr
    one, two, three = ((tmp_path / name).read_bytes() for name in ("a.wav", "b.wav", "c.wav"))
    assert one == two == three


def test_sentences_are_spoken_as_they_come(
    command: list[str], models: CodecModels, tmp_path: Path
) -> None:
    out = tmp_path / "a.wav"
    given = b"Hello world. Good\nmorning! The fox\n\n"
    more = ["--stream_input", "-o", str(out), "--max_seconds", "9"]  # more than one may have
    done = run([*command, "-", *more], input=given)
    assert done.returncode == 0, done.stderr
    parts = [
        generated(models.spoken, text, max_frames=400).audio
        for text in ("Hello world.", "Good morning!", "The fox")
    ]
    assert out.read_bytes() == wav_bytes(np.concatenate([p for p in parts if p is not None]), RATE)


def test_words(command: list[str], tmp_path: Path) -> None:
    out = str(tmp_path / "a.wav")
    for ending in ("json", "srt", "vtt"):
        name = str(tmp_path / f"words.{ending}")
        more = ["--timestamps", name, "--max_seconds", "0.3"]  # so that it comes to its end
        assert main([*command, TEXT, "-o", out, *more]) == 0
    made = json.loads((tmp_path / "words.json").read_text())
    assert made["text"] == TEXT
    assert [word["text"] for word in made["words"]] == ["Hello", "world", "Good", "morning"]
    seconds = read_audio(out).seconds
    at = 0.0
    for word in made["words"]:
        assert at <= word["start_seconds"] <= word["end_seconds"] <= seconds + 1e-6
        at = word["end_seconds"]
    assert (tmp_path / "words.vtt").read_text().startswith("WEBVTT\n\n00:00:0")
    assert (tmp_path / "words.srt").read_text().count("-->") == 4


def test_words_of_a_text_that_a_limit_cut(models: CodecModels) -> None:
    text = " ".join(["hello world"] * 9)
    with rt.Executor(models.spoken, device=NATIVE) as executor:
        step = executor.engine.info.frame_stacking
        request = rt.Request(text=text, voice=0, seed=3, max_frames=3 * step)
        result = executor.generate(request, return_positions=True)
        events = list(executor.stream(request, return_positions=True))
    assert result.finish_reason == "length" and result.text_spans is not None
    assert result.text_positions is not None and len(result.text_positions) == 3
    reached = result.text_spans[result.text_positions][:, 1].max()
    assert reached < len(text)
    for words in (result.words, [each for event in events for each in event.words]):
        assert words is not None and all(word.begin < reached for word in words)


def test_words_of_chunks(models: CodecModels) -> None:
    text = "Hello world. Good morning. The quick fox. "
    options = rt.TextOptions(split="sentences")
    with rt.Executor(models.spoken, device=NATIVE) as executor:
        request = rt.Request(text=text, text_options=options, voice=0, seed=3, max_frames=400)
        result = executor.generate(request, return_positions=True)
        stacking, rate = executor.engine.info.frame_stacking, executor.engine.info.frame_rate
    assert result.chunk_steps is not None and result.chunk_frames is not None
    assert len(result.chunk_steps) == 3 and result.chunk_frames.sum() == len(result.codes)
    assert (result.chunk_frames <= result.chunk_steps * stacking).all()
    assert result.words is not None
    edges = [0, *np.cumsum(result.chunk_frames) / rate]
    chunks = [result.words[:2], result.words[2:4], result.words[4:]]
    for words, first, last in zip(chunks, edges, edges[1:], strict=False):
        for word in words:
            assert first - 1e-9 <= word.start_seconds <= word.end_seconds <= last + 1e-9


def test_codes(command: list[str], models: CodecModels, tmp_path: Path) -> None:
    out, codes = str(tmp_path / "a.wav"), str(tmp_path / "codes.npz")
    assert main([*command, TEXT, "-o", out, "--codes", codes]) == 0
    whole = generated(models.spoken)
    with np.load(codes) as arrays:
        np.testing.assert_array_equal(arrays["codes"], whole.codes)
        assert whole.text_ids is not None
        np.testing.assert_array_equal(arrays["text_ids"], whole.text_ids)


def ssml(command: list[str], inside: str, out: Path, *more: str) -> None:
    assert main([*command, "--ssml", f"<speak>{inside}</speak>", "-o", str(out), *more]) == 0


def test_breaks_are_exact_silence(command: list[str], models: CodecModels, tmp_path: Path) -> None:
    out = tmp_path / "a.wav"
    inside = '<break time="10ms"/>Hello <break time="300ms"/>world<break strength="weak"/>'
    ssml(command, inside, out, "--max_seconds", "0.3")
    plain = chunks_of(models.spoken, ["Hello", "world"], max_frames=400)
    assert plain.finish_reason == "stop" and plain.audio is not None
    assert plain.chunk_frames is not None
    edge = int(plain.chunk_frames[0]) * SAMPLES_PER_FRAME
    silence = [np.zeros((RATE * ms + 500) // 1000, np.float32) for ms in (10, 300, 200)]
    whole = [silence[0], plain.audio[:edge], silence[1], plain.audio[edge:], silence[2]]
    assert out.read_bytes() == wav_bytes(np.concatenate(whole), RATE)


def chunks_of(engine: Path, texts: list[str], **fields: Any) -> rt.Result:
    """Texts as the chunks of one request."""
    with rt.Executor(engine, device=NATIVE) as executor:
        ids = [executor.read_text(rt.Request(text=text)).ids for text in texts]
        return executor.generate(
            text_ids=np.concatenate(ids),
            text_chunks=[len(each) for each in ids],
            **{"voice": executor.voices()[0], "seed": 5, **fields},
        )


def test_the_limit_is_of_all_parts(command: list[str], tmp_path: Path) -> None:
    out = tmp_path / "a.wav"
    ssml(command, 'Hello<break time="1s"/>world<break time="1s"/>fox' * 20, out)
    sound = read_audio(out).samples
    spoken = np.count_nonzero(np.abs(sound) > 0)
    assert 0 < spoken <= 24 * SAMPLES_PER_FRAME
    assert len(sound) < 40 * RATE  # the rest is not spoken, nor are its pauses


def test_words_of_markup_lie_behind_their_pauses(command: list[str], tmp_path: Path) -> None:
    out, name = tmp_path / "a.wav", tmp_path / "words.json"
    inside = '<break time="1s"/>Hello <break time="2s"/> good <sub alias="morning">M</sub>'
    ssml(command, inside, out, "--timestamps", str(name), "--max_seconds", "0.3")
    made = json.loads(name.read_text())
    assert made["text"] == "Hello good morning"
    one, two, three = made["words"]
    assert 1 <= one["start_seconds"] <= one["end_seconds"] < 1.4
    assert one["end_seconds"] + 2 <= two["start_seconds"] + 0.3
    assert 3 <= two["start_seconds"] <= three["start_seconds"] <= read_audio(out).seconds


def test_voices_of_markup(command: list[str], models: CodecModels, tmp_path: Path) -> None:
    with rt.Executor(models.spoken, device=NATIVE) as executor:
        names = executor.voices()
        frames = int(SECONDS * executor.engine.info.frame_rate)
        expected = executor.generate(text="Hello", voice=names[-1], seed=5, max_frames=frames).audio
    assert expected is not None
    out = tmp_path / "a.wav"
    ssml(command, f'<voice name="{names[-1]}">Hello</voice>', out)
    assert out.read_bytes() == wav_bytes(expected, RATE)
    nobody = "<speak><voice name='nobody'>a</voice></speak>"
    assert main([*command, "--ssml", nobody, "-o", str(out)]) == 2


def test_lists(
    models: CodecModels, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTSRT_ENGINE", str(models.spoken))
    assert main(["say", "--list_voices"]) == 0
    with rt.Executor(models.spoken) as executor:
        names = executor.voices()
    assert capsys.readouterr().out.splitlines() == [f"{i}\t{n}" for i, n in enumerate(names)]
    assert main(["say", "--list_languages"]) == 0
    assert capsys.readouterr().out == "en\tenglish_phoneme (default)\n"


def test_play(command: list[str], models: CodecModels, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[np.ndarray[Any, Any]] = []
    ends: list[str] = []

    class OutputStream:
        def __init__(self, **options: Any) -> None:
            assert options == {"samplerate": RATE, "channels": 1, "dtype": "float32"}

        def start(self) -> None: ...

        def write(self, samples: np.ndarray[Any, Any]) -> None:
            heard.append(samples[:, 0].copy())

        def stop(self) -> None:
            ends.append("stop")

        def close(self) -> None:
            ends.append("close")

    fake = types.ModuleType("sounddevice")
    fake.OutputStream = OutputStream  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    assert main([*command, TEXT, "--play"]) == 0
    whole = generated(models.spoken)
    assert whole.audio is not None
    np.testing.assert_array_equal(np.concatenate(heard), whole.audio)
    assert len(heard) > 1 and ends == ["stop", "close"]


def test_the_limit_is_rounded_down(models: CodecModels, tmp_path: Path) -> None:
    out, text = tmp_path / "a.wav", " ".join(["hello world"] * 9)
    with rt.Executor(models.spoken, device=NATIVE) as executor:
        step = executor.engine.info.frame_stacking
    for frames in (step, 20 * step, 21 * step - 0.5):
        flags = ["--engine", str(models.spoken), "--device", NATIVE]
        seconds = repr(frames * SAMPLES_PER_FRAME / RATE)
        assert main(["say", *flags, text, "-o", str(out), "--max_seconds", seconds]) == 0
        assert 0 < len(read_audio(out).samples) <= frames * SAMPLES_PER_FRAME


def test_a_lexicon(command: list[str], models: CodecModels, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("hello W O R L D\n")
    out = tmp_path / "a.npz"
    more = ["-o", str(tmp_path / "a.wav"), "--codes", str(out)]
    assert main([*command, "hello", *more, "--lexicon", str(tmp_path / "names.txt")]) == 0
    options = rt.TextOptions(lexicon={"hello": "W O R L D"})
    with rt.Executor(models.spoken) as executor:
        ids = executor.read_text(rt.Request(text="hello", text_options=options)).ids
        plain = executor.read_text(rt.Request(text="hello")).ids
    with np.load(out) as arrays:
        np.testing.assert_array_equal(arrays["text_ids"], ids)
    assert ids.tolist() != plain.tolist()


def test_a_checkpoint_is_an_engine_too(
    models: CodecModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTSRT_CACHE_DIR", str(tmp_path / "cache"))
    flags = ["--engine", str(models.nemo), "--codec", str(models.codec_nemo), "--device", NATIVE]
    flags += ["--max_seconds", str(SECONDS), "--seed", "5"]
    assert main(["say", *flags, TEXT, "-o", str(tmp_path / "a.wav")]) == 0
    whole = generated(models.spoken)
    assert whole.audio is not None
    assert (tmp_path / "a.wav").read_bytes() == wav_bytes(whole.audio, RATE)


def test_the_demo_speaks_where_nobody_names_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTSRT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TTSRT_ENGINE", raising=False)
    out = tmp_path / "hello.wav"
    stale = tmp_path / "cache" / f"demo-speech-mid-{rt.__version__}-0123456789ab"
    stale.mkdir(parents=True)
    (stale / "engine.json").write_text("{}")
    for _ in range(2):
        assert main(["say", "Hello there.", "-o", str(out)]) == 0
        told = capsys.readouterr().err
        assert "weights are random" in told
    seconds = demo_seconds("Hello there.")
    assert 0 < read_audio(out).seconds <= seconds + 0.1
    (made,) = (tmp_path / "cache").iterdir()
    assert made.name.startswith(f"demo-speech-mid-{rt.__version__}-") and made != stale


def test_the_demo_is_made_anew_by_other_sources(tmp_path: Path) -> None:
    library = tmp_path / "core.so"
    library.write_bytes(b"1")
    (tmp_path / "synth").mkdir()
    (tmp_path / "convert").mkdir()
    sources = [tmp_path / name for name in ("build.py", "demo_speech.py", "synth/a.py")]
    for file in sources:
        file.write_text("pass")
    first = _makers_hash(tmp_path, library)
    assert _makers_hash(tmp_path, library) == first
    for file in [*sources, library]:
        before = file.read_bytes()
        file.write_bytes(b"other")
        assert _makers_hash(tmp_path, library) != first
        file.write_bytes(before)
