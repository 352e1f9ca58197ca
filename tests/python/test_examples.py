"""Builds and runs the examples with the commands in their first lines."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from tests.needs_extras import needed
from ttsrt_rt.audio import read_audio, sample_bytes, wav_head, write_wav
from ttsrt_rt.synth import write_random_codec, write_random_f5, write_random_nemo

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ENVIRONMENT = {
    **os.environ,
    "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]),
}


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_cpp_service(engine: Path, tmp_path: Path) -> None:
    for tool in ("cmake", "c++"):
        if shutil.which(tool, path=ENVIRONMENT["PATH"]) is None:
            pytest.skip(f"{tool} is missing")
    found = f"-Dttsrt_DIR={rt.get_cmake_dir()}"
    run("cmake", "-S", EXAMPLES / "cpp_service", "-B", tmp_path, found)
    run("cmake", "--build", tmp_path)
    ids = [str(i) for i in range(3, 20)]
    wrong = subprocess.run(
        [tmp_path / "cpp_service", engine, "0", "5x"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 1
    assert wrong.stderr == "cpp_service: TEXT_ID: expected an integer, got '5x'\n"
    lines = run(tmp_path / "cpp_service", engine, "0", *ids).splitlines()
    assert lines[-1].startswith("ended by ")
    with rt.Executor(engine, device="cpu") as executor:
        codes = executor.generate(
            text_ids=range(3, 20), voice=0, cfg_scale=2.5, seed=7, max_frames=16
        ).codes.tolist()
    expected = [f"frame {i}: {' '.join(map(str, frame))}" for i, frame in enumerate(codes)]
    assert lines[:-1] == expected


@pytest.fixture(scope="module")
def sound_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Magpie with its codec."""
    folder = tmp_path_factory.mktemp("sound")
    codec = write_random_codec(folder / "codec.nemo", "tiny_magpie")
    magpie = write_random_nemo(folder / "magpie.nemo", "tiny")
    rt.convert(codec, folder / "codec", progress=False)
    rt.convert(magpie, folder / "magpie", progress=False)
    rt.build(folder / "magpie", folder / "engine", codec_dir=folder / "codec", progress=False)
    return folder / "engine"


def test_wav_stream(sound_engine: Path, tmp_path: Path) -> None:
    for tool in ("cmake", "c++"):
        if shutil.which(tool, path=ENVIRONMENT["PATH"]) is None:
            pytest.skip(f"{tool} is missing")
    run(
        *("cmake", "-S", EXAMPLES / "cpp_service", "-B", tmp_path),
        f"-Dttsrt_DIR={rt.get_cmake_dir()}",
    )
    run("cmake", "--build", tmp_path, "--target", "wav_stream")
    command = [tmp_path / "wav_stream", sound_engine, "0", tmp_path / "out.wav", "3", "4", "5"]
    lines = run(*command).splitlines()
    assert lines[-1].startswith("ended by ") and len(lines) > 3
    sound = read_audio(tmp_path / "out.wav")
    with rt.Executor(sound_engine, device="cpu") as executor:
        whole = executor.generate(text_ids=[3, 4, 5], voice=0, cfg_scale=2.5, seed=7, max_frames=16)
        said = executor.generate(text="Hello", voice=0, cfg_scale=2.5, seed=7, max_frames=16)
    assert whole.audio is not None and sound.sample_rate == whole.sample_rate
    assert sample_bytes(sound.samples) == sample_bytes(whole.audio)
    run(*command[:4], "--text", "Hello")
    assert said.audio is not None
    spoken = read_audio(tmp_path / "out.wav").samples
    assert sample_bytes(spoken) == sample_bytes(said.audio)
    absent = tmp_path / "absent" / "out.wav"
    for wrong, told in (
        ([*command[:4], "7x"], "TEXT_ID: expected an integer, got '7x'"),
        ([command[0], sound_engine, "x", *command[3:]], "VOICE: expected an integer, got 'x'"),
        ([*command[:4], "--text"], "--text: expected one TEXT behind it"),
        (
            [*command[:3], absent, "3"],
            f"OUT.wav: expected a file that can be written, got '{absent}': No such file or "
            "directory",
        ),
    ):
        done = subprocess.run(wrong, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, f"wav_stream: {told}\n")


# What the example calls of sounddevice, kept in a file.
FAKE_SOUNDDEVICE = """
import numpy

class OutputStream:
    def __init__(self, *, samplerate, channels, dtype):
        assert (channels, dtype) == (1, "float32")
        self.parts = [numpy.array([[samplerate]], numpy.float32)]
    def __enter__(self):
        return self
    def __exit__(self, *error):
        numpy.save("played.npy", numpy.concatenate(self.parts))
    def write(self, samples):
        self.parts.append(samples)
        return False
"""


def test_play_stream(sound_engine: Path, engine: Path, tmp_path: Path) -> None:
    def play(*arguments: str | Path, path: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, EXAMPLES / "play_stream.py", *arguments],
            env=ENVIRONMENT
            | {"PYTHONPATH": os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    (tmp_path / "ids.json").write_text("[3, 4, 5]")
    (tmp_path / "sounddevice.py").write_text(FAKE_SOUNDDEVICE)
    done = play(sound_engine, "ids.json", "1", path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("first sound after ") and "ended by " in done.stdout
    with rt.Executor(sound_engine) as executor:
        whole = executor.generate(text_ids=[3, 4, 5], voice=1)
    played = np.load(tmp_path / "played.npy")[:, 0]
    assert played[0] == whole.sample_rate
    np.testing.assert_array_equal(played[1:], whole.audio)
    mute = play(engine, "ids.json", path=tmp_path)
    assert mute.returncode == 1 and "expected an engine with a codec" in mute.stderr
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "sounddevice.py").write_text("raise OSError('PortAudio not found')")
    silent = play(sound_engine, "ids.json", path=tmp_path / "none")
    assert silent.returncode == 1 and "--output - | aplay" in silent.stderr
    assert play(sound_engine, path=tmp_path).stderr.startswith("usage: ")


def test_asyncio_streaming(engine: Path) -> None:
    lines = run(sys.executable, EXAMPLES / "asyncio_streaming.py", engine).splitlines()
    assert "request 0: heard enough" in lines
    assert sum(": ended by " in line for line in lines) == 2
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "asyncio_streaming.py")],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and done.stderr.startswith("usage: ")


@contextlib.contextmanager
def f5_server(folder: Path) -> Iterator[str]:
    """Runs the example's server on a random model; gives its address."""
    for name in ("fastapi", "uvicorn"):
        needed(name, "serve")
    source = write_random_f5(folder / "model_1.safetensors", layout="indicf5")
    checkpoint = rt.convert(source, folder / "ckpt", variant="indicf5", progress=False)
    engine = folder / "engine"
    rt.build(checkpoint, engine, max_seq_len=1200)
    tone = 0.2 * np.sin(np.arange(48000) / 17)
    voice = write_wav(folder / "voice.wav", tone, 24000)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"TTS_ENGINE": engine, "TTS_REF_AUDIO": voice, "TTS_REF_TEXT": "what it says"}
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "--app-dir", EXAMPLES, "f5_server:app"),
            *("--port", str(port), "--log-level", "warning"),
        ],
        env=ENVIRONMENT
        | {key: str(value) for key, value in settings.items()}
        | {"TTS_BACKEND": NATIVE, "TTS_NFE_STEPS": "2"},
    )
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def test_f5_server(tmp_path: Path) -> None:
    """A real client speaks with a real server: texts, OpenAI's body, errors."""
    with f5_server(tmp_path) as address:
        assert ask(f"{address}/health") == (200, b'{"loaded":true}')
        speech = f"{address}/audio/speech"
        status, data = ask(speech, {"text": "a few words", "seed": 3})
        assert status == 200
        sound = read_audio(data)
        assert sound.sample_rate == 24000 and len(sound.samples) > 256
        spoken = {"input": "a few words", "voice": "any", "model": "f5", "seed": 3, "speed": None}
        assert ask(speech, spoken) == (200, data)
        assert ask(speech, {**spoken, "response_format": "pcm"}) == (200, data[44:])
        assert len(ask(speech, {**spoken, "speed": 2.0})[1]) < len(data)
        for wrong, told in (
            ({"text": " "}, b"text: expected text"),
            ({}, b"text: expected text"),
            ({"text": "a", "response_format": "aac"}, b"response_format: expected one of wav"),
            ({"text": "a", "stream_format": "sse"}, b"stream_format: expected audio"),
            ({"text": "a", "seed": "b"}, b"seed: expected an integer"),
            ({"text": "a", "speed": 40}, b"speed: expected 0.05 to 20"),
        ):
            status, answer = ask(speech, wrong)
            assert status == 400 and told in answer
        assert ask(speech, ["a"])[0] == 422


def test_stream_server(sound_engine: Path) -> None:
    """Chunks come while the sound is made; together they are one WAV of each sample once."""
    for name in ("fastapi", "uvicorn"):
        needed(name, "serve")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "--app-dir", EXAMPLES, "stream_server:app"),
            *("--port", str(port), "--log-level", "warning"),
        ],
        env=ENVIRONMENT | {"TTS_ENGINE": str(sound_engine)},
    )
    address = f"http://127.0.0.1:{port}/v1/audio/speech"
    body = {"text_ids": [3, 4, 5], "voice": 0, "seed": 3, "max_frames": 40}
    try:
        status, data = ask(address, body)
        with rt.Executor(sound_engine) as executor:
            whole = executor.generate(**body)
        assert whole.audio is not None and whole.sample_rate is not None
        assert (status, data) == (200, wav_head(whole.sample_rate) + sample_bytes(whole.audio))
        assert ask(address, {**body, "response_format": "pcm"}) == (200, data[44:])
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            for each in threads.map(lambda _: ask(address, body), range(8)):
                assert each == (200, data)
        for wrong, told in (
            ({**body, "response_format": "mp3"}, b"response_format: expected wav or pcm, got"),
            ({**body, "text_ids": [-5]}, b"text_ids"),
            ({**body, "speed": 2}, b"expected options among"),
        ):
            status, answer = ask(address, wrong)
            assert status == 400 and told in answer
    finally:
        server.terminate()
        server.wait(30)


def test_f5_server_with_the_client_of_openai(tmp_path: Path) -> None:
    openai = pytest.importorskip("openai", reason="needs openai: pip install openai")
    with f5_server(tmp_path) as address:
        ask(f"{address}/health")  # waits until the server has started
        client = openai.OpenAI(base_url=address, api_key="none", max_retries=0)
        given: dict[str, Any] = {"model": "f5", "voice": "alloy", "input": "a few words"}
        given |= {"response_format": "wav", "extra_body": {"seed": 3}}
        data = client.audio.speech.create(**given).content
        assert read_audio(data).sample_rate == 24000
        with client.audio.speech.with_streaming_response.create(**given) as answer:
            assert b"".join(answer.iter_bytes()) == data
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            for each in threads.map(
                lambda _: client.audio.speech.create(**given).content, range(16)
            ):
                assert each == data
        with pytest.raises(openai.BadRequestError, match="response_format: expected one of wav"):
            client.audio.speech.create(**{**given, "response_format": "aac"})


def ask(address: str, body: object = None) -> tuple[int, bytes]:
    """Status and contents of an answer; waits until the server has started."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    for _ in range(600):
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")
