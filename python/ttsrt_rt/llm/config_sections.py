"""The sections of a language model's configuration: names, bounds, defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ttsrt_rt.llm.config_fields import flag, name, names, number, numbers, real, word
from ttsrt_rt.text.text_stream import check_stops

__all__ = [
    "DTYPE_OF_MODE",
    "MODES",
    "BenchmarkConfig",
    "EngineConfig",
    "GenerationConfig",
    "OutputConfig",
    "QuantizationConfig",
    "SpeculationConfig",
]

# Spellings of a mode, and the quantization of the engine that each stands for.
MODES: dict[str, str] = {
    **dict.fromkeys(("none", "fp16", "float16", "bfloat16", "int8_kv"), "none"),
    **dict.fromkeys(("int8", "int8_weight_only", "w8a16"), "w8a16"),
    **dict.fromkeys(("int4", "int4_weight_only", "w4a16", "int4_awq"), "w4a16"),
    **{each: each for each in ("w8a8", "w4a8")},
}
DTYPE_OF_MODE = {"fp16": "float16", "float16": "float16", "bfloat16": "bfloat16"}
_GROUPS = (32, 64, 128)
_MOST = 1 << 20  # of lengths; an engine's own limits are checked when it is built


@dataclass(frozen=True)
class OutputConfig:
    """Folders that are written.

    Attributes:
        checkpoint_dir: what convert writes.
        engine_dir: what build writes.
    """

    checkpoint_dir: str | None = name()
    engine_dir: str | None = name()


@dataclass(frozen=True)
class QuantizationConfig:
    """How weights and cache are stored.

    Attributes:
        mode: one of `MODES`.
        use_awq: whether codes of 4 bits are chosen by what activations need (AWQ).
        awq_block_size: weights that share a scale, with AWQ.
        group_size: the same without AWQ; -1 for a whole row, which no mode of 4 bits has.
        symmetric: whether there are no zero points.
        lm_head: quantization of the head: "none" or "w8a16".
        calibration_samples, calibration_length: blocks of text for AWQ, and their ids.
        calibration_file: the text.
        apply_clip: whether AWQ also searches where weights are clipped.
        kv_cache: "int8", or "none" for a cache of the engine's type.
    """

    mode: str = word("none", MODES)
    use_awq: bool = flag(False)
    awq_block_size: int = number(128, 32, 32, others=_GROUPS[1:])
    group_size: int = number(64, -1, -1, others=_GROUPS)
    symmetric: bool = flag(False)
    lm_head: str = word("none", ("none", "w8a16"))
    calibration_samples: int = number(128, 1, 1 << 16)
    calibration_length: int = number(512, 8, 4096)
    calibration_file: str | None = name()
    apply_clip: bool = flag(True)
    kv_cache: str = word("none", ("none", "int8"))


@dataclass(frozen=True)
class EngineConfig:
    """What the engine is built for.

    Attributes:
        max_batch_size: requests in flight.
        max_input_len: ids of a prompt.
        max_output_len: ids that are generated.
        max_seq_len: both together; None for their sum.
        max_num_tokens: rows of one launch.
        use_paged_kv_cache: false reserves every request's longest text, whatever
            `max_cache_bytes` says; results are the same.
        tokens_per_block: as other runtimes name it; blocks hold 16 positions here.
        kv_cache_free_gpu_mem_fraction: of a GPU's free memory, for the cache; on a CPU it says
            nothing.
        max_cache_bytes: the most that the cache takes; None for what all requests may need.
        backend: "native"; "tensorrt" is refused for language models.
    """

    max_batch_size: int = number(8, 1, 4096)
    max_input_len: int = number(1024, 1, _MOST)
    max_output_len: int = number(512, 1, _MOST)
    max_seq_len: int | None = number(None, 1, _MOST)
    max_num_tokens: int | None = number(None, 1, _MOST)
    use_paged_kv_cache: bool = flag(True)
    tokens_per_block: int = number(16, 8, 8, others=(16, 32, 64, 128))
    kv_cache_free_gpu_mem_fraction: float | None = real(None, 0.001, 1.0)
    max_cache_bytes: int | None = number(None, 1 << 16, 1 << 50)
    backend: str = word("native", ("native", "tensorrt"))

    @property
    def seq_len(self) -> int:
        """Positions of a request."""
        return self.max_seq_len or self.max_input_len + self.max_output_len


@dataclass(frozen=True)
class SpeculationConfig:
    """Drafts that are verified together.

    Attributes:
        mode: "none", "ngram" or "draft".
        num_draft_tokens: ids of a draft.
        max_ngram: ids that must be equal for a continuation to be copied.
        match: which of several earlier places is copied from, the "last" or the "first".
        draft_engine: the folder of the engine that drafts.
        speculate_below: requests from which on nothing is drafted.
    """

    mode: str = word("none", ("none", "ngram", "draft"))
    num_draft_tokens: int = number(4, 1, 8)
    max_ngram: int = number(3, 1, 16)
    match: str = word("last", ("last", "first"))
    draft_engine: str | None = name()
    speculate_below: int = number(8, 1, 4096)


@dataclass(frozen=True)
class GenerationConfig:
    """Defaults of what is generated; None leaves the model's own."""

    max_tokens: int | None = number(None, 1, _MOST)
    temperature: float | None = real(None, 1e-6, 100.0, or_zero=True)
    top_k: int | None = number(None, 0, 1 << 24)
    top_p: float | None = real(None, 1e-37, 1.0)
    min_p: float | None = real(None, 0.0, 1.0)
    repetition_penalty: float | None = real(None, 0.01, 100.0)
    seed: int | None = number(None, 0, (1 << 63) - 1)
    stop: tuple[str, ...] = names(check_stops)

    def fields(self) -> dict[str, Any]:
        """Those that are given, as `Generator.generate` takes them."""
        found = {each: getattr(self, each) for each in self.__dataclass_fields__}
        return {key: value for key, value in found.items() if value not in (None, ())}


@dataclass(frozen=True)
class BenchmarkConfig:
    """What `ttsrt bench llm` measures.

    Attributes:
        prompts: "builtin", "random:IN:OUT", or a file.
        batch_sizes: requests at once.
        input_len, output_len: ids of "random" prompts and of what is generated.
        iterations, warmup: runs that count, and that don't.
    """

    prompts: str = name("builtin")
    batch_sizes: tuple[int, ...] = numbers((1,), 1, 4096)
    input_len: int = number(128, 1, _MOST)
    output_len: int = number(128, 1, _MOST)
    iterations: int = number(10, 1, 10_000)
    warmup: int = number(2, 0, 1000)
