"""Model repositories: their files, and the program in them."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from tests.python.export import fake_triton
from tests.python.export.fake_triton import Request, arguments
from tests.python.export.t3_random import write_t3, write_voice
from ttsrt_rt import _core
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.export import export_triton
from ttsrt_rt.export.triton_model import Model


def files_of(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def write_rows(path: Path, rows: NDArray[np.float32]) -> Path:
    write_safetensors(path, {"rows": tensor_of_array("rows", rows)})
    return path


def dim_of(engine: Path) -> int:
    return _core.Engine.open(engine).info.dim


def test_the_repository_of_any_engine(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.ones((6, dim_of(engine)), np.float32)
    voice = write_rows(tmp_path / "anna.safetensors", rows)
    repository = export_triton(engine, tmp_path / "repository", voices=[voice], num_threads=1)
    assert files_of(repository) == [
        "ttsrt/1/model.py",
        "ttsrt/1/voices/anna.safetensors",
        "ttsrt/config.pbtxt",
        "ttsrt_triton.json",
    ]
    config = (repository / "ttsrt" / "config.pbtxt").read_text("utf-8")
    assert f'key: "engine" value {{ string_value: "{engine.resolve()}" }}' in config
    assert 'key: "num_threads" value { string_value: "1" }' in config
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", fake_triton)
    program = runpy.run_path(str(repository / "ttsrt" / "1" / "model.py"))
    made = program["TritonPythonModel"]()
    assert isinstance(made, Model)
    made.initialize(arguments(repository / "ttsrt", engine=str(engine), device="cpu"))
    request = Request(text_ids=[4, 5, 6], voice="0", max_frames=3)
    made.execute([request])
    assert np.concatenate([each.values("codes") for each in request.sender.all()]).ndim == 2
    made.finalize()


def test_with_a_codec(engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(rt.ConfigError, match="chatterbox-tts, which is not installed"):
        export_triton(engine, tmp_path / "r", codec="chatterbox", codec_dir=tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(rt.ConfigError, match="codec_dir: expected the folder of Chatterbox's"):
        export_triton(engine, tmp_path / "r", codec="chatterbox")
    with pytest.raises(rt.NotFoundError, match=r"s3gen\.pt, got none"):
        export_triton(engine, tmp_path / "r", codec="chatterbox", codec_dir=tmp_path)
    (tmp_path / "s3gen.pt").touch()
    repository = export_triton(engine, tmp_path / "r", codec="chatterbox", codec_dir=tmp_path)
    assert files_of(repository) == [
        "s3gen/1/model.py",
        "s3gen/config.pbtxt",
        "ttsrt/1/model.py",
        "ttsrt/config.pbtxt",
        "ttsrt_speech/1/model.py",
        "ttsrt_speech/config.pbtxt",
        "ttsrt_triton.json",
    ]
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", fake_triton)
    for name in ("s3gen", "ttsrt_speech"):
        assert "TritonPythonModel" in runpy.run_path(str(repository / name / "1" / "model.py"))


def test_bad_arguments(engine: Path, tmp_path: Path) -> None:
    voice = write_rows(tmp_path / "anna.safetensors", np.ones((6, dim_of(engine)), np.float32))
    t3 = write_voice(tmp_path / "t3.safetensors", "english")
    narrow = write_rows(tmp_path / "narrow.safetensors", np.ones((6, 3), np.float32))
    for options, message in [
        ({"codec": "opus"}, "codec: expected one of none, native, chatterbox, got 'opus'"),
        ({"codec_dir": tmp_path}, "codec_dir: expected none without a codec"),
        ({"voices": [voice, voice]}, "got two anna"),
        ({"voices": str(voice)}, "voices: expected a list of files"),
        ({"voices": [tmp_path / "a.npy"]}, r"expected \.safetensors files"),
        ({"voices": [tmp_path / "none.safetensors"]}, r"none\.safetensors"),
        ({"voices": [voice, t3]}, r"t3\.safetensors: expected one array of rows or codes for an"),
        ({"voices": [narrow]}, r"narrow\.safetensors: expected \[rows, \d+\], got \[6, 3\]"),
        ({"device": "tpu"}, "device: expected one of auto, cpu, .*got 'tpu'"),
        ({"device": "cpu,tpu"}, "device: expected one of auto, cpu, .*got 'tpu'"),
        ({"num_threads": -1}, "num_threads: expected 0 or more, got -1"),
    ]:
        with pytest.raises(rt.ConfigError, match=message):
            export_triton(engine, tmp_path / "repository", **options)
    with pytest.raises(rt.Error, match="no-such-engine"):
        export_triton(tmp_path / "no-such-engine", tmp_path / "repository")
    assert not (tmp_path / "repository").exists()


def test_voices_of_t3_are_checked(tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    rt.build(write_t3(tmp_path / "checkpoint", "english"), engine, max_input_len=6)
    told = {
        write_voice(tmp_path / "turbo.safetensors", "turbo"): "expected a voice for english, got",
        write_voice(
            tmp_path / "long.safetensors", "english"
        ): "at most max_input_len 6 rows, got 7",
        write_rows(tmp_path / "rows.safetensors", np.ones((7, 32), np.float32)): "6 rows, got 7",
    }
    for path, message in told.items():
        with pytest.raises(rt.ConfigError, match=rf"{path.stem}\.safetensors: .*{message}"):
            export_triton(engine, tmp_path / "repository", voices=[path])
    codes = tmp_path / "codes.safetensors"
    write_safetensors(codes, {"codes": tensor_of_array("codes", np.ones((4, 1), np.int32))})
    with pytest.raises(rt.ConfigError, match="this model takes no codes"):
        export_triton(engine, tmp_path / "repository", voices=[codes])
    assert not (tmp_path / "repository").exists()
    short = write_voice(tmp_path / "short.safetensors", "english", tokens=0)
    export_triton(engine, tmp_path / "repository", voices=[short], device="cpu,cpu")
