"""Engines kept by the contents of their checkpoints: made once, by one, again after a change."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from tests.conftest import source_of
from ttsrt_rt import engine_cache
from ttsrt_rt.cache_folder import cache_folder
from ttsrt_rt.engine_cache import cached_engine
from ttsrt_rt.options import CheckpointOptions
from ttsrt_rt.synth import write_random_f5, write_random_vocos


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "mein modell.nemo"
    shutil.copy(source_of("tinyce"), path)
    old = time.time() - 60
    os.utime(path, (old, old))
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TTSRT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in order: "hash" of a file, "make" of an engine."""
    done: list[str] = []
    for name in ("_hash", "_make"):
        original = getattr(engine_cache, name)

        def counted(*args: object, _name: str = name, _original: object = original) -> object:
            done.append(_name[1:])
            return _original(*args)  # type: ignore[operator]

        monkeypatch.setattr(engine_cache, name, counted)
    monkeypatch.setattr(engine_cache, "SETTLED_NS", 0)
    return done


def engines(cache: Path) -> list[str]:
    return sorted(path.parent.name for path in cache.glob("*/engine.json"))


def path_after(source: Path, **options: object) -> str:
    with rt.Executor.from_checkpoint(source, device="reference", **options) as executor:  # type: ignore[arg-type]
        return executor.engine.path


def test_the_second_time_nothing_is_read(source: Path, cache: Path, made: list[str]) -> None:
    first = path_after(source)
    assert made == ["hash", "make"] and Path(first).name.startswith("mein-modell-")
    assert path_after(source) == first
    assert made == ["hash", "make"] and engines(cache) == [Path(first).name]
    assert not list(cache.glob("*.work"))


def test_options_of_the_build_and_the_executor(source: Path, cache: Path, made: list[str]) -> None:
    with rt.Executor.from_checkpoint(
        source, dtype="bfloat16", max_batch_size=2, device="reference", kv_cache_dtype="float32"
    ) as executor:
        info = executor.engine.info
        assert (info.dtype, info.max_batch_size) == ("bfloat16", 2)
        assert executor.info.kv_cache_dtype == "float32" and executor.info.device == "reference"
    path_after(source, dtype="bfloat16", max_batch_size=2, quantization=None, num_threads=1)
    assert made.count("make") == 1
    path_after(source, dtype="float16", max_batch_size=2)
    assert made.count("make") == 2 and len(engines(cache)) == 2
    with pytest.raises(rt.ConfigError, match=r"from_checkpoint: expected options among .*'dtyp'"):
        path_after(source, dtyp="float16")


def test_contents_count_and_not_names(source: Path, cache: Path, made: list[str]) -> None:
    first = path_after(source)
    moved = source.rename(source.with_name("other.nemo"))
    shutil.copy(moved, source)
    assert Path(path_after(moved)).name.split("-")[-1] == Path(first).name.split("-")[-1]
    assert made.count("hash") == 2
    status = source.stat()
    with open(source, "ab") as file:  # a tar may end in zeros
        file.write(bytes(512))
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path_after(source) != first
    assert made.count("make") >= 2


def test_a_young_file_is_hashed_again(source: Path, cache: Path, made: list[str]) -> None:
    engine_cache.SETTLED_NS = 10**12
    first = path_after(source)
    assert made == ["hash", "make", "hash"]  # also behind the conversion, which takes its time
    assert path_after(source) == first and made == ["hash", "make", "hash", "hash"]


def test_a_ckpt_with_its_yaml_a_checkpoint_and_an_engine(
    tmp_path: Path, cache: Path, made: list[str], checkpoint_of: Callable[[str], Path]
) -> None:
    for name in ("tinyold.nemo",):
        shutil.copy(source_of("tinyold"), tmp_path / name)
    checkpoint = checkpoint_of("tinyce")
    first = path_after(checkpoint)
    assert path_after(checkpoint) == first and made.count("make") == 1
    assert json.loads(Path(first, "engine.json").read_text("utf-8"))["family"] == "magpie"
    with pytest.raises(rt.ConfigError, match=r"got an engine; `ttsrt run .*` runs it"):
        path_after(Path(first))
    with pytest.raises(rt.NotFoundError, match="no file or folder"):
        path_after(tmp_path / "absent.nemo")


def test_what_cannot_be_opened_is_made_again(source: Path, cache: Path, made: list[str]) -> None:
    first = path_after(source)
    Path(first, "weights.safetensors").write_bytes(b"cut")
    assert path_after(source) == first and made.count("make") == 2


def test_a_failure_leaves_nothing(source: Path, cache: Path) -> None:
    with pytest.raises(rt.ConfigError, match="max_seq_len"):
        path_after(source, max_seq_len=10**9)
    source.write_bytes(b"no archive")
    with pytest.raises((rt.FormatError, rt.ConfigError)):
        path_after(source)
    assert not engines(cache) and not list(cache.glob("*.work"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "device: expected one of auto, cpu"),
        ({"device": "cpu,gpu"}, "device: expected one of auto, cpu"),
        ({"preempt": "always"}, "preempt: expected one of none, priority"),
        ({"kv_cache_dtype": "fp8"}, "kv_cache_dtype: expected"),
        ({"num_threads": "2"}, "num_threads: expected"),
        ({"num_threads": -1}, "num_threads: expected 0 or more, got -1"),
        ({"prefill_slice_seconds": float("nan")}, "prefill_slice_seconds: expected 0 or more"),
    ],
)
def test_options_of_the_executor_are_checked_first(
    source: Path, cache: Path, made: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(rt.ConfigError, match=message):
        rt.Executor.from_checkpoint(source, **options)
    assert made == [] and not cache.exists()


def test_linked_folders(
    tmp_path: Path, cache: Path, made: list[str], checkpoint_of: Callable[[str], Path]
) -> None:
    checkpoint = checkpoint_of("tiny2503")
    (tmp_path / "link").symlink_to(checkpoint)
    (tmp_path / "files").mkdir()
    for each in checkpoint.iterdir():
        (tmp_path / "files" / each.name).symlink_to(each)
    keys = {
        Path(path_after(path)).name.split("-")[-1]
        for path in (checkpoint, tmp_path / "link", tmp_path / "files")
    }
    assert len(keys) == 1
    (tmp_path / "files" / "loop").symlink_to(tmp_path / "files")
    with pytest.raises(rt.Error):
        path_after(tmp_path / "files")


def test_a_pipe_is_refused(tmp_path: Path, cache: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nemo")
    with pytest.raises((rt.FormatError, rt.ConfigError), match="pipe"):
        path_after(tmp_path / "pipe.nemo")


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TTSRT_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache/ttsrt_rt/engines"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg/ttsrt_rt/engines"
    monkeypatch.setenv("TTSRT_CACHE_DIR", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    assert cache_folder(tmp_path / "given") == tmp_path / "given"


def test_a_cache_that_cannot_be_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(rt.ConfigError, match="choose another with cache_dir= or TTSRT_CACHE_DIR"):
        path_after(source, cache_dir=tmp_path / "file" / "cache")


CHILD = """
import sys
import ttsrt_rt as rt
with rt.Executor.from_checkpoint(sys.argv[1], device="reference") as executor:
    print(executor.engine.path)
"""


def test_two_processes_at_once_and_a_killed_one(source: Path, cache: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(source)]
    dead = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while not list(cache.glob("*.work")) and time.monotonic() < deadline and dead.poll() is None:
        time.sleep(0.001)
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    (cache / "0123.work").mkdir(parents=True)  # of another engine
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = {child.communicate(timeout=120)[0].strip() for child in both}
    assert [child.returncode for child in both] == [0, 0]
    assert [Path(path).name for path in told] == engines(cache)
    assert not list(cache.glob("*.work"))


def test_files_beside_a_source_and_given_ones_count(tmp_path: Path) -> None:
    source = write_random_f5(tmp_path / "model_1.safetensors")
    vocoder = write_random_vocos(tmp_path / "vocos")
    options: CheckpointOptions = {"variant": "v1", "vocoder": vocoder, "max_seq_len": 64}

    def made() -> str:
        engine = cached_engine(source, options, cache_dir=tmp_path / "cache", progress=False)
        return engine.path

    first = made()
    assert made() == first
    vocab = tmp_path / "vocab.txt"
    vocab.write_text(vocab.read_text("utf-8").replace("z", "\u00e9"), "utf-8")
    second = made()
    assert second != first
    write_random_vocos(vocoder, seed=1)
    assert made() not in (first, second)
