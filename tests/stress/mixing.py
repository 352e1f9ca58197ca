"""Shared parts of the stress tests: engines of every kind, requests as plain values, comparisons.

A `Spec` holds everything that a request's result may depend on; it is hashable, and a failing test
prints it completely. Concurrent requests, order, priority, chunks and deadlines are not part of it,
because they must not matter. Every test compares with `Bench.alone`: the same request by itself in
a new executor with default settings.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.synth import write_random_ckpt, write_random_nemo
from ttsrt_rt.synth.magpie_layout import SynthModel

# (dtype of the weights, quantization, dtype of the cache).
# A step takes microseconds, and a request takes thousands of steps, or tens of thousands if it only
# occupies a slot. Cancels and closes therefore always happen while it runs.
ENDLESS = SynthModel(
    model_type="decoder_ce",
    dim=16,
    heads=1,
    encoder_layers=1,
    decoder_layers=1,
    codebooks=2,
    codebook_size=24,
    frame_stacking=1,
    text_vocab=12,
    max_positions=1 << 15,
    cross_head_dim=16,
    voices=3,
    voice_rows=5,
)

DTYPES = (
    ("float32", "none", "float32"),
    ("bfloat16", "none", "bfloat16"),
    ("bfloat16", "none", "int8"),
    ("bfloat16", "w8a16", "bfloat16"),
    ("bfloat16", "w8a8", "int8"),
    ("bfloat16", "w4a16", "bfloat16"),
    ("bfloat16", "w4a8", "bfloat16"),
)

# The limits are small, so that requests often wait for slots, rows of a launch or cache blocks.
MAX_SEQ_LEN, MAX_ROWS, MAX_BATCH_SIZE = 48, 24, 4
LIMITS = {
    "max_batch_size": MAX_BATCH_SIZE,
    "max_seq_len": MAX_SEQ_LEN,
    "max_input_len": MAX_ROWS,
    "max_encoder_input_len": MAX_ROWS,
}
TOKENS_PER_BLOCK = 16
# The most that one guided request may hold: two branches of full length and a prefix, in blocks.
SLOT_TOKENS = TOKENS_PER_BLOCK * sum(
    -(-rows // TOKENS_PER_BLOCK) for rows in (MAX_SEQ_LEN, MAX_SEQ_LEN, MAX_ROWS)
)
MAX_FRAMES = 20  # as many steps fit behind the longest context
ENDLESS_FRAMES = 4000  # in the engine whose requests hardly end
HOLDING_FRAMES = 32_000  # of a request that only occupies a slot

# A wait of this many seconds counts as a hang, and the test fails. No test comes near it otherwise.
# "reference:2" keeps two launches in flight, "cpu,cpu" has two replicas.
DEVICE = os.environ.get("TTSRT_STRESS_DEVICE", NATIVE)
SINGLE_DEVICE = DEVICE.partition(",")[0]  # for tests that count on one replica's places
STUCK = 60.0

ROWED_CONTEXTS = ("codes", "text", "embeddings")  # contexts that have a number of rows
GUEST, RECORDING = "guest", "recording"  # voices that tests add, from embeddings and from codes
NAMED = "named"  # voices that traces add and remove: `named_voice` has their content
TEXT_CONTEXT_IDS = 10  # fewer than the rows of any model's table


@dataclass(frozen=True)
class Kind:
    """A checkpoint, the kinds of context that its requests may have, and its local transformer."""

    name: str
    contexts: tuple[str, ...]
    local: str = ""


KINDS = (
    Kind("tinyhf", ("voice", "guest", "embeddings"), "autoregressive"),
    Kind("tiny2512", ("voice", "guest", "embeddings"), "autoregressive"),
    Kind("tiny2503", ("codes", "recording", "guest", "embeddings")),
    Kind("tiny2503lt", ("codes", "embeddings"), "autoregressive"),
    Kind("tinyfork", ("codes",)),
    Kind("tinyce", ("codes", "recording", "embeddings"), "autoregressive"),
    Kind("tinycetext", ("codes", "recording", "text"), "autoregressive"),
    Kind("tinycelegacy", ("codes", "text", "guest"), "autoregressive"),
    Kind("tinymaskgit1", ("codes",), "maskgit"),
    Kind("tinymaskgit2", ("codes", "recording", "embeddings"), "maskgit"),
    Kind("tinymulti", ("codes", "recording")),
    Kind("tinyold", ("codes", "recording", "guest")),
    Kind("random.nemo", ("voice", "embeddings"), "autoregressive"),
    Kind("random.ckpt", ("codes", "embeddings")),
)

CONTEXTS = {kind.name: kind.contexts for kind in KINDS}


@dataclass(frozen=True)
class Spec:
    """A request as plain values.

    Attributes:
        text: "ids", "features" or "output" (of the encoder), and how many rows.
        context: "voice" and its index; "guest" or "recording", which are added voices, and 0; or
            another kind and how many rows.
        content: Seed of the arrays; equal seeds give texts and contexts with common beginnings.
        options: The other fields of `Request`, except those that must not matter.
    """

    text: tuple[str, int]
    context: tuple[str, int]
    content: int = 0
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def is_guided(self) -> bool:
        """Whether the request may have an unconditional branch, because guidance is not off."""
        return dict(self.options).get("cfg_scale") != 1.0

    def request(self, info: Any, **fields: Any) -> rt.Request:
        """Returns the request for an engine with this `info`, with additional fields."""
        return rt.Request(
            **_text(self.text, self.content, info),
            **_context(self.context, self.content, info),
            **dict(self.options),
            **fields,
        )


def _rows(rows: int, seed: int, dim: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)


def _text(text: tuple[str, int], seed: int, info: Any) -> dict[str, Any]:
    kind, rows = text
    if kind == "ids":
        return {"text_ids": np.random.default_rng(seed).integers(0, info.text_vocab, rows)}
    return {
        "text_features" if kind == "features" else "encoder_output": _rows(rows, seed, info.dim)
    }


def _context(context: tuple[str, int], seed: int, info: Any) -> dict[str, Any]:
    kind, rows = context
    if kind == "voice":
        return {"voice": rows % info.num_voices}
    if kind == NAMED:
        return {"voice": f"{NAMED}{rows}"}
    if kind in (GUEST, RECORDING):
        return {"voice": kind}
    if kind == "embeddings":
        return {"context_embeddings": _rows(rows, seed + 2, info.dim)}
    if kind == "text":
        ids = np.random.default_rng(seed + 1).integers(0, TEXT_CONTEXT_IDS, rows)
        return {"context_text_ids": ids}
    return {"context_codes": _codes(rows, seed + 1, info)}


def named_voice(kind: str, index: int, info: Any) -> tuple[str, dict[str, Any]]:
    """Returns the name of an added voice, which alone fixes its content, and that content."""
    rows = 1 + index % MAX_ROWS
    if GUEST in CONTEXTS[kind]:
        return f"{NAMED}{index}", {"embeddings": _rows(rows, 500 + index, info.dim)}
    return f"{NAMED}{index}", {"codes": _codes(rows, 500 + index, info)}


def _codes(rows: int, seed: int, info: Any) -> NDArray[np.int64]:
    shape = (rows, info.codebooks)
    return np.random.default_rng(seed).integers(0, info.codebook_vocab, shape)


@dataclass
class Bench:
    """Engines, each built when it is first used, and the results that requests give alone."""

    folder: Path
    checkpoint_of: Callable[[str], Path]
    results: dict[tuple[Path, Spec, str], rt.Result] = field(default_factory=dict, repr=False)
    caches: dict[Path, str] = field(default_factory=dict, repr=False)

    def engine(
        self,
        kind: str,
        dtype: tuple[str, str, str] = DTYPES[0],
        max_batch_size: int = MAX_BATCH_SIZE,
    ) -> Path:
        """Returns the engine of a kind of checkpoint, with `LIMITS` except the number of slots."""
        folder = self.folder / "-".join((kind, *dtype, str(max_batch_size)))
        if not folder.exists():
            options: dict[str, Any] = {**LIMITS, "max_batch_size": max_batch_size}
            if dtype[1] != "none":
                options["quantization"] = dtype[1]
            rt.build(self._checkpoint(kind), folder, dtype=dtype[0], **options)
            self.caches[folder] = dtype[2]
        return folder

    def _checkpoint(self, kind: str) -> Path:
        if not kind.startswith("random."):
            return self.checkpoint_of(kind)
        folder = self.folder / f"checkpoint-{kind}"
        if not folder.exists():
            ending = kind.rpartition(".")[2]
            write = {"nemo": write_random_nemo, "ckpt": write_random_ckpt}[ending]
            rt.convert(write(self.folder / kind, "tiny", seed=5), folder, progress=False)
        return folder

    def executor(self, engine: Path, **options: Any) -> rt.Executor:
        """Returns an executor on the device under test, with the engine's kind of cache and the
        added voices that its model supports.
        """
        options.setdefault("device", DEVICE)
        options.setdefault("kv_cache_dtype", self.caches.get(engine, DTYPES[0][2]))
        executor = rt.Executor(engine, **options)
        info = executor.engine.info
        for name, rows in ((GUEST, _rows(9, 77, info.dim)), (RECORDING, _codes(7, 78, info))):
            contexts = CONTEXTS.get(engine.name.partition("-")[0], (GUEST,))
            if name in contexts:
                executor.add_voice(name, **{"embeddings" if name == GUEST else "codes": rows})
        return executor

    def alone(self, engine: Path, spec: Spec, device: str = DEVICE) -> rt.Result:
        """Returns the result of a request by itself in a new executor with default settings."""
        key = (engine, spec, device)
        if key not in self.results:
            with self.executor(engine, device=device) as executor:
                info = executor.engine.info
                if spec.context[0] == NAMED:
                    kind = engine.name.partition("-")[0]
                    name, content = named_voice(kind, spec.context[1], info)
                    executor.add_voice(name, **content)
                request = spec.request(info)
                self.results[key] = executor.submit(request).result(STUCK)
        return self.results[key]


def bits(array: NDArray[Any] | None) -> bytes:
    """Returns the bytes that must be equal in two arrays; None counts as an array without rows."""
    return b"" if array is None else array.tobytes()


def expect_same(result: rt.Result, whole: rt.Result) -> None:
    """Checks that codes, end, focus and alignment are equal, bit by bit."""
    assert result.finish_reason == whole.finish_reason, result.error
    assert result.codes.tolist() == whole.codes.tolist()
    assert bits(result.focus) == bits(whole.focus)
    assert bits(result.alignment) == bits(whole.alignment)
    assert result.metrics.steps == whole.metrics.steps


def expect_beginning(result: rt.Result, whole: rt.Result) -> None:
    """Checks that the result of a request that ended early is the beginning of the whole result."""
    assert result.error is None
    assert result.codes.shape[1] == whole.codes.shape[1]
    assert result.codes.tolist() == whole.codes[: len(result.codes)].tolist()
    assert bits(whole.focus).startswith(bits(result.focus))
    assert bits(whole.alignment).startswith(bits(result.alignment))
    assert result.metrics.steps <= whole.metrics.steps


def expect_events(events: list[rt.Event], result: rt.Result, chunk_frames: int) -> None:
    """Checks that the streamed events are exactly the result, cut into chunks."""
    assert [event.is_last for event in events] == [False] * (len(events) - 1) + [True]
    assert [event.finish_reason for event in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1].finish_reason == result.finish_reason
    frames = 0
    for event in events:
        assert event.first_frame == frames
        assert event.is_last or len(event.codes) >= chunk_frames
        frames += len(event.codes)
    assert np.concatenate([event.codes for event in events]).tolist() == result.codes.tolist()


def expect_idle(executor: rt.Executor, specs: Iterable[Spec]) -> None:
    """Checks that no request is in flight, that every request was counted once, and that the only
    blocks in use belong to the prefixes kept for guided requests: on each replica one for each
    context length.
    """
    stats = executor.stats()
    ended = stats.num_completed + stats.num_cancelled + stats.num_failed
    assert (stats.num_active_requests, stats.num_queued_requests) == (0, 0)
    assert list(stats.requests) == []
    assert ended == stats.num_submitted
    contexts = {spec.context for spec in specs if spec.is_guided}
    rows = [count if kind in ROWED_CONTEXTS else MAX_ROWS for kind, count in contexts]
    cache = stats.kv_cache_stats
    most = sum(-(-count // cache.tokens_per_block) for count in rows)
    assert all(replica.kv_cache_stats.used_num_blocks <= most for replica in stats.replicas)
    assert cache.used_num_blocks + cache.free_num_blocks == cache.max_num_blocks


def endless_specs() -> list[Spec]:
    """Returns requests for the engine whose requests hardly end: each produces all its frames."""
    long = (("max_frames", ENDLESS_FRAMES), ("min_frames", ENDLESS_FRAMES))
    return [
        Spec(
            ("ids", 3 + seed), ("voice", seed), seed, (("cfg_scale", scale), ("seed", seed), *long)
        )
        for seed, scale in enumerate((1.0, 2.0, 1.0))
    ] + [Spec(("ids", 5), ("embeddings", 20), 4, (("cfg_scale", 2.0), *long))]


def holding(spec: Spec) -> Spec:
    """Returns the same request with a length of seconds; its result begins in the same way."""
    long = {"max_frames": HOLDING_FRAMES, "min_frames": HOLDING_FRAMES}
    return replace(spec, options=tuple({**dict(spec.options), **long}.items()))


def end_of(handle: rt.Handle) -> rt.Result:
    """Returns the result of a request, which must end in time."""
    return handle.wait(STUCK)
