"""Executors of several families in one process: each request gives bit for bit the result that it
gives alone, whatever runs beside it, and a stream has the events of the whole result.

TTSRT_MIXES sets the number of mixes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ttsrt_rt as rt
from ttsrt_rt.synth import write_random_t3

from .mixing import DEVICE, DTYPES, STUCK, expect_events, expect_same

NUM_MIXES = int(os.environ.get("TTSRT_MIXES", "12"))
MODELS = ("t3", "turbo", "flash", "magpie", "llm")
LLM = Path(__file__).resolve().parents[1] / "data" / "llm" / "tiny_phi"
VOICES = ("ann", "bob")
HAVE_VOICES = ("t3", "turbo", "flash")  # that an executor is given
LIMITS = {"max_batch_size": 3, "max_seq_len": 128, "max_input_len": 40}
# Blocks of the cache that serve one guided request of full length at a time, or many short ones.
TIGHT = 16 * 24


@dataclass(frozen=True)
class Ask:
    """A request as plain values, and what must not matter to its result."""

    model: str
    text_len: int
    voice: str
    options: tuple[tuple[str, Any], ...]
    chunk_frames: int
    is_streamed: bool

    def request(self) -> rt.Request:
        content = np.random.default_rng(self.text_len)
        fields = dict(self.options)
        if self.model == "llm":
            fields = {name: fields[name] for name in fields if name not in SPEECH_ONLY}
            ids = content.integers(0, 300, self.text_len).tolist()
            return rt.Request(text_ids=ids, prior=None, **fields)
        if self.model == "magpie":
            fields = {name: fields[name] for name in fields if name not in T3_ONLY}
            voice: int | str = VOICES.index(self.voice)
        else:
            fields["prior"] = None
            voice = self.voice
        if self.model == "turbo":
            fields.pop("emotion", None)
        if self.model == "flash":
            fields.pop("repetition_penalty", None)
            fields["max_frames"] *= 3  # up to three blocks
        block = fields.pop("block", None)
        if self.model == "flash" and block is not None:
            fields["block"] = rt.BlockDiffusion(steps=block[0], early=block[1])
        ids = content.integers(0, 30, self.text_len).tolist()
        if fields.pop("mixes_rows", False):
            ids[-1] = -1
            fields["text_features"] = content.standard_normal((1, 64)).astype(np.float32)
        return rt.Request(text_ids=ids, voice=voice, **fields)


T3_ONLY = {"emotion", "repetition_penalty", "mixes_rows", "block"}
SPEECH_ONLY = {"emotion", "mixes_rows", "block", "cfg_scale"}


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    options = draw(
        st.fixed_dictionaries(
            {"max_frames": st.integers(2, 14)},
            optional={
                "cfg_scale": st.sampled_from((1.0, 1.5, 3.0)),
                "temperature": st.sampled_from((0.0, 0.8)),
                "top_k": st.sampled_from((0, 20)),
                "top_p": st.sampled_from((0.8,)),
                "min_p": st.sampled_from((0.05,)),
                "seed": st.integers(0, 3),
                "repetition_penalty": st.sampled_from((1.2, 2.0)),
                "emotion": st.sampled_from((0.25, 0.8)),
                "mixes_rows": st.just(True),
                "block": st.sampled_from(((1, 0.0), (4, 0.1), (10, 2.0))),
            },
        )
    )
    return Ask(
        model=draw(st.sampled_from(MODELS)),
        text_len=draw(st.sampled_from((1, 3, 5, 17, 30))),
        voice=draw(st.sampled_from(VOICES)),
        options=tuple(options.items()),
        chunk_frames=draw(st.sampled_from((1, 4))),
        is_streamed=draw(st.booleans()),
    )


@dataclass
class House:
    """Engines of every model and dtype, and what requests give alone."""

    folder: Path
    checkpoint_of: Callable[[str], Path]
    alone_results: dict[tuple[str, str, Ask], rt.Result] = field(default_factory=dict)

    def engine(self, model: str, dtype: tuple[str, str, str]) -> Path:
        folder = self.folder / "-".join((model, *dtype))
        if not folder.exists():
            limits: dict[str, Any] = dict(LIMITS)
            if dtype[1] != "none":
                limits["quantization"] = dtype[1]
            rt.build(self._checkpoint(model), folder, dtype=dtype[0], **limits)
        return folder

    def _checkpoint(self, model: str) -> Path:
        if model == "magpie":
            return self.checkpoint_of("tinyhf")
        folder = self.folder / f"{model}-checkpoint"
        if model == "llm" and not folder.exists():
            rt.convert(LLM, folder, progress=False)
        if not folder.exists():
            size = {"t3": "tiny", "turbo": "tiny_turbo", "flash": "tiny_flash"}[model]
            source = write_random_t3(self.folder / f"t3_{model}.safetensors", size, seed=3)
            rt.convert(source, folder, progress=False)
        return folder

    def executor(self, model: str, dtype: tuple[str, str, str], **options: Any) -> rt.Executor:
        """With the voices of `VOICES`."""
        executor = rt.Executor(
            self.engine(model, dtype), device=DEVICE, kv_cache_dtype=dtype[2], **options
        )
        for seed, name in enumerate(VOICES if model in HAVE_VOICES else ()):
            content = np.random.default_rng(seed)
            executor.add_voice(
                name,
                speaker_emb=content.standard_normal(256).astype(np.float32),
                cond_prompt_speech_tokens=content.integers(0, 6561, 3 + 20 * seed),
            )
        return executor

    def alone(self, ask: Ask, dtype: tuple[str, str, str]) -> rt.Result:
        key = (ask.model, "-".join(dtype), ask)
        if key not in self.alone_results:
            with self.executor(ask.model, dtype) as executor:
                self.alone_results[key] = executor.submit(ask.request()).result(STUCK)
        return self.alone_results[key]


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, checkpoint_of: Callable[[str], Path]
) -> Iterator[House]:
    yield House(tmp_path_factory.mktemp("families"), checkpoint_of)


@settings(max_examples=NUM_MIXES, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    wanted=st.lists(asks(), min_size=1, max_size=9),
    is_tight=st.booleans(),
    slice_seconds=st.sampled_from((0.0, 1e-9, 0.02)),
)
def test_families_do_not_disturb_each_other(
    house: House,
    dtype: tuple[str, str, str],
    wanted: list[Ask],
    is_tight: bool,
    slice_seconds: float,
) -> None:
    options: dict[str, Any] = {"prefill_slice_seconds": slice_seconds, "num_threads": 2}
    if is_tight:
        options["max_tokens_in_paged_kv_cache"] = TIGHT
    with ExitStack() as stack:
        executors = {
            model: stack.enter_context(house.executor(model, dtype, **options)) for model in MODELS
        }
        handles = []
        for ask in wanted:
            request = ask.request()
            if ask.is_streamed:
                stream = executors[ask.model].stream(request, chunk_frames=ask.chunk_frames)
                handles.append((ask, stream))
            else:
                handles.append((ask, executors[ask.model].submit(request)))
        for ask, handle in handles:
            whole = house.alone(ask, dtype)
            if isinstance(handle, rt.Handle):
                expect_same(handle.result(STUCK), whole)
            else:
                expect_events(list(handle), whole, ask.chunk_frames)
        for executor in executors.values():
            stats = executor.stats()
            assert stats.num_active_requests == 0 and stats.num_failed == 0


def test_a_voice_is_filled_once_and_shared(house: House) -> None:
    """Requests of one voice share its blocks, and those of the unconditional branch."""
    asked = {"text_ids": [1, 2, 3], "voice": "bob", "prior": None, "max_frames": 2}
    with house.executor("t3", DTYPES[0], max_tokens_in_paged_kv_cache=0) as executor:
        for emotion in (0.5, 0.9):
            executor.generate(**asked, cfg_scale=1.0, emotion=emotion)
        cache = executor.stats().kv_cache_stats
        assert cache.used_num_blocks == 3  # the 33 rows in front of the emotion
        for length in (3, 9):  # two lengths of one size of prefix
            executor.generate(**{**asked, "text_ids": [1] * length}, cfg_scale=1.5)
        cache = executor.stats().kv_cache_stats
        text_rows = min(64, executor.engine.info.max_encoder_input_len)
        assert cache.used_num_blocks == 3 + -(-(34 + text_rows) // 16)
