"""Wrong values come out of the bindings as ConfigErrors, and values have a short, useful repr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt import _core

ROWS = np.zeros((2, 3), np.float32)


@pytest.fixture(scope="module")
def handle(executor: rt.Executor) -> Iterator[rt.Handle]:
    handle = executor.submit(text_ids=list(range(3, 20)), voice=0, max_frames=4)
    handle.result()
    yield handle


WRONG: dict[str, tuple[str, object]] = {
    "int from text": ("max_batch_size", "4"),
    "int from a float": ("max_batch_size", 4.0),
    "int from True": ("max_batch_size", True),
    "int from NumPy's True": ("max_batch_size", np.True_),
    "int beyond 32 bits": ("max_batch_size", 1 << 40),
    "huge int": ("max_batch_size", 10**5000),
    "bool from 1": ("trace", 1),
    "bool from text": ("trace", "no"),
    "number from text": ("prefill_slice_seconds", "0.1"),
    "number from True": ("prefill_slice_seconds", True),
    "text from bytes": ("device", b"cpu"),
    "text from a number": ("device", 0),
    "text with a surrogate": ("device", "\ud800"),
    "a list": ("num_threads", [1]),
}


@pytest.mark.parametrize("case", WRONG)
def test_options_of_a_wrong_type(case: str, engine: Path) -> None:
    name, value = WRONG[case]
    with pytest.raises(rt.ConfigError, match=f"^{name}: expected .*, got ") as caught:
        rt.Executor(engine, **{name: value})  # type: ignore[arg-type]
    assert len(str(caught.value)) < 300
    options = _core.ExecutorOptions()
    with pytest.raises(rt.ConfigError, match=f"^{name}: expected .*, got "):
        setattr(options, name, value)


def test_values_of_numpy_are_numbers() -> None:
    options = _core.ExecutorOptions()
    options.max_batch_size = np.int16(3)  # type: ignore[assignment]
    options.prefill_slice_seconds = np.float32(0.5)  # type: ignore[assignment]
    options.trace = np.True_  # type: ignore[assignment]
    assert (options.max_batch_size, options.prefill_slice_seconds, options.trace) == (3, 0.5, True)


FIELDS: dict[str, dict[str, Any]] = {
    "voice": {"voice": True},
    "voice ": {"voice": 1.5},
    " voice": {"voice": "\udcff"},
    "seed": {"seed": -1},
    "temperature": {"temperature": "warm"},
    "top_k": {"top_k": False},
    "return_alignment": {"return_alignment": 1},
    "eos_method": {"eos_method": 5},
    "chunk_frames": {"chunk_frames": None},
    "deadline": {"deadline": "soon"},
    "prior": {"prior": "off"},
    "prior.epsilon": {"prior": rt.AttentionPrior(epsilon="x")},  # type: ignore[arg-type]
    "prior.estimate_layers": {"prior": rt.AttentionPrior(estimate_layers="abc")},  # type: ignore[arg-type]
    "prior.recompute": {"prior": rt.AttentionPrior(recompute=2)},  # type: ignore[arg-type]
    "maskgit": {"maskgit": 3},
    "block": {"block": 3},
    "block.early": {"block": rt.BlockDiffusion(early="x")},  # type: ignore[arg-type]
    "maskgit.sampling": {"maskgit": rt.MaskGit(sampling=b"x")},  # type: ignore[arg-type]
    "text_ids": {"text_ids": "hello"},
    "context_codes": {"voice": None, "context_codes": object()},
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_of_a_wrong_type(name: str, executor: rt.Executor) -> None:
    fields = {"text_ids": [3, 4, 5], "voice": 0, **FIELDS[name]}
    for call in (executor.generate, executor.submit):
        with pytest.raises(rt.ConfigError, match=f"^{name.strip()}: expected "):
            call(**fields)


def test_unknown_fields_list_the_known_ones(executor: rt.Executor) -> None:
    calls: list[Callable[..., object]] = [executor.generate, executor.submit, executor.stream]
    for call in calls:
        with pytest.raises(rt.ConfigError, match=r"expected options among text, .*'textids'"):
            call(textids=[3])


def test_engines_are_opened_not_constructed(engine: Path) -> None:
    with pytest.raises(rt.ConfigError, match=r"expected Engine\.open\(path\)"):
        rt.Engine(engine)  # type: ignore[call-arg]


def test_lists_of_layers_hold_no_bools() -> None:
    prior = _core.AttentionPrior()
    prior.estimate_layers = [1, 2]
    assert prior.estimate_layers == [1, 2]
    for wrong in ([1, True], (False,), "12", b"12"):
        with pytest.raises(rt.ConfigError, match="estimate_layers: expected a list, each an integ"):
            prior.estimate_layers = wrong  # type: ignore[assignment]


def test_native_requests_refuse_wrong_arrays() -> None:
    native = _core.Request()
    for name, value in {
        "text_ids": [0.5],
        "context_text_ids": [True, 6],  # NumPy makes integers of it
        "forced_codes": [[1, 2], (3, np.True_)],
        "context_codes": [1, 2],
        "text_features": "abc",
        "context_embeddings": None,
    }.items():
        with pytest.raises(rt.ConfigError, match=f"^{name}: expected an array of "):
            setattr(native, name, value)


CALLS: dict[str, tuple[str, Callable[[rt.Executor, rt.Handle], object]]] = {
    "add_voice(None)": ("name", lambda e, _: e.add_voice(None, ROWS)),  # type: ignore[arg-type]
    "add_voice(bytes)": ("name", lambda e, _: e.add_voice(b"a", ROWS)),  # type: ignore[arg-type]
    "add_voice(surrogate)": ("name", lambda e, _: e.add_voice("\ud800", ROWS)),
    "add_voice(space)": ("add_voice: name", lambda e, _: e.add_voice("a b", ROWS)),
    "add_voice(slash)": ("add_voice: name", lambda e, _: e.add_voice("../x", ROWS)),
    "add_voice(control)": ("add_voice: name", lambda e, _: e.add_voice("a\n", ROWS)),
    "add_voice(long)": ("add_voice: name", lambda e, _: e.add_voice("x" * 65, ROWS)),
    "add_voice(codes)": (
        "add_voice: name",
        lambda e, _: e.add_voice("", codes=np.zeros((2, 8), np.int32)),
    ),
    "remove_voice(None)": ("name", lambda e, _: e.remove_voice(None)),  # type: ignore[arg-type]
    "remove_voice(surrogate)": ("name", lambda e, _: e.remove_voice("\ud800")),
    "result(text)": ("timeout", lambda _, h: h.result(timeout="x")),  # type: ignore[arg-type]
    "next(list)": ("timeout", lambda _, h: h.next(timeout=[1])),  # type: ignore[arg-type]
    "next(True)": ("timeout", lambda _, h: h.next(timeout=True)),
    "next(nan)": ("timeout", lambda _, h: h.next(timeout=float("nan"))),
}


@pytest.mark.parametrize("case", CALLS)
def test_calls_with_wrong_values(case: str, executor: rt.Executor, handle: rt.Handle) -> None:
    where, call = CALLS[case]
    voices = executor.voices()
    native = executor.submit(text_ids=[3, 4, 5], voice=0, max_frames=2)
    with pytest.raises(rt.ConfigError, match=f"^{where}: expected "):
        call(executor, native)
    assert executor.voices() == voices
    native.result()


def test_names_in_any_script(engine_of: Callable[[str], Path]) -> None:
    with rt.Executor(engine_of("tinyce"), device="reference") as executor:
        codes = np.zeros((3, executor.engine.info.codebooks), np.int32)
        for name in ("Zoë", "小明", "Ирина", "प्रिया", "a-b.c_1", "x" * 64):
            executor.add_voice(name, codes=codes)
            assert name in executor.voices()
            executor.remove_voice(name)
        with pytest.raises(rt.ConfigError, match=r"voice: expected .*; got \"a\\x0ab\""):
            executor.submit(text_ids=[3, 4], voice="a\nb")


def test_text_needs_a_front_end(executor: rt.Executor) -> None:
    for call in (executor.generate, executor.submit, executor.stream, executor.astream):
        with pytest.raises(rt.ConfigError, match=r"text needs a front end.*docs/bridge\.md"):
            call("hello")  # type: ignore[call-overload, arg-type]
    with pytest.raises(rt.ConfigError, match="text needs a front end"):
        executor.generate(["hello", "world"])  # type: ignore[list-item]


def test_an_engine_knows_its_ids(executor: rt.Executor, engine_of: Callable[[str], Path]) -> None:
    info = executor.engine.info
    tokens = json.loads(executor.engine.description)["model"]["tokens"]
    assert info.forbidden_ids == tokens.pop("forbidden")
    del tokens["minimum_forbids"]  # a rule, which names one of these ids
    assert info.special_ids == tokens
    assert info.eos_id == tokens["audio_eos"] and tokens["text_eos"] == info.text_vocab - 1
    assert info.codec == "codec-stub.nemo" and info.sample_rate is None


def test_an_engine_knows_its_codec(engine: Path, checkpoint_of: Any, tmp_path: Path) -> None:
    checkpoint = tmp_path / "ckpt"
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").symlink_to(checkpoint_of("tinyhf") / "model.safetensors")
    config = json.loads((checkpoint_of("tinyhf") / "config.json").read_text("utf-8"))
    good = {"name": "nvidia/nano-codec", "sample_rate": 22050}
    for codec, expected in (
        (good, ("nvidia/nano-codec", 22050)),
        ({}, (None, None)),
        (None, (None, None)),
    ):
        config["codec"] = codec
        (checkpoint / "config.json").write_text(json.dumps(config), "utf-8")
        rt.build(checkpoint, tmp_path / "engine", overwrite=True)
        info = rt.Engine.open(tmp_path / "engine").info
        assert (info.codec, info.sample_rate) == expected
    for codec in ({"sample_rate": 0}, {"sample_rate": "x"}, {"name": 5}, {"name": "x" * 999}, []):
        config["codec"] = codec
        (checkpoint / "config.json").write_text(json.dumps(config), "utf-8")
        with pytest.raises(rt.FormatError, match="codec"):
            rt.build(checkpoint, tmp_path / "engine", overwrite=True)


def test_reprs_are_short_and_useful(executor: rt.Executor, handle: rt.Handle) -> None:
    result = handle.result()
    request = rt.Request(text_ids=np.arange(9999), voice="Aria", seed=7, top_k=0)
    shown = {
        "Executor(Engine('": executor,
        "Engine('": executor.engine,
        "EngineInfo(family='magpie', dtype='float32'": executor.engine.info,
        "EngineTensor(name=": executor.engine.tensors()[0],
        "ExecutorInfo(device='": executor.info,
        "ExecutorStats(num_submitted=": executor.stats(),
        "KvCacheStats(max_num_blocks=": executor.stats().kv_cache_stats,
        "IterationStats(": executor.stats().iterations[-1],
        "DeviceInfo(name='": rt.list_devices()[0],
        f"Result(codes=int32{list(result.codes.shape)}, finish_reason=": result,
        "Metrics(queue_seconds=": result.metrics,
        "Request(text_ids=int64[9999], voice='Aria', top_k=0, seed=7)": request,
        "Request()": rt.Request(),
        "AttentionPrior(mode=None": _core.AttentionPrior(),
        "BuildOptions(": _core.BuildOptions(),
        "Request(": _core.Request(),
        f"Handle(id={handle.id}, done)": handle,
    }
    for start, value in shown.items():
        assert repr(value).startswith(start), repr(value)
        assert len(repr(value)) < 1500 and "\n" not in repr(value)
    event = next(iter(executor.stream(text_ids=[3, 4, 5], voice=0, max_frames=2)))
    assert repr(event).startswith("Event(codes=int32[")


def test_stats_are_plain_values(executor: rt.Executor, handle: rt.Handle) -> None:
    for value in (executor.stats(), executor.info, executor.engine.info, rt.list_devices()[0]):
        plain = value.to_dict()
        assert json.loads(json.dumps(plain)) == plain
        for name, item in plain.items():
            if not isinstance(item, (dict, list)):
                assert getattr(value, name) == item
    stats = executor.stats().to_dict()
    assert stats["iterations"][-1]["kv_cache_stats"]["tokens_per_block"] > 0
    assert stats["num_submitted"] >= 1 and isinstance(stats["requests"], list)
