"""A plan of memory equals, to the byte, what an executor reports."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE, NEEDS_GPU
from tests.gpu_memory import GpuBytes, free_bytes
from ttsrt_rt.cli import main
from ttsrt_rt.memory import CACHE_DTYPES, plan_memory

# Contexts of every kind; tinyold has convolutions in its decoder, tinyhf stacks frames.
CASES = ["tiny2503", "tinyhf", "tinyce", "tinycetext", "tinymulti", "tinyold", "tinymaskgit2"]


@pytest.mark.parametrize("case", CASES)
def test_plans_agree_with_executors(engine_of: Callable[[str], Path], case: str) -> None:
    for plan in plan_memory(
        engine_of(case), kv_cache_dtypes=CACHE_DTYPES, num_threads=1, device=NATIVE
    ):
        limits = {"max_batch_size": plan.max_batch_size, "kv_cache_dtype": plan.kv_cache_dtype}
        with rt.Executor(engine_of(case), device=NATIVE, num_threads=1, **limits) as executor:
            info = executor.info
        assert plan.state == info.state_bytes
        assert plan.activations == info.activation_bytes
        assert plan.weights == info.weight_bytes
        assert plan.scratch == info.scratch_bytes
        assert plan.total == plan.weights + plan.state + plan.activations + plan.scratch
        assert plan.is_served


@pytest.mark.parametrize("case", ["tiny2503", "tinyce", "tinymulti"])
def test_plans_agree_with_engines_built_anew(
    checkpoint_of: Callable[[str], Path], tmp_path: Path, case: str
) -> None:
    """Plans, from an engine for 4 requests, one for 9 requests of another length."""
    built = {"max_input_len": 40, "max_encoder_input_len": 50, "max_num_tokens": 100}
    small, large = tmp_path / "small", tmp_path / "large"
    rt.build(checkpoint_of(case), small, max_batch_size=4, max_seq_len=64, **built)
    rt.build(checkpoint_of(case), large, max_batch_size=9, max_seq_len=47, **built)
    (plan,) = plan_memory(small, batch_sizes=[9], seq_lens=[47], device=NATIVE)
    assert not plan.is_served
    with rt.Executor(large, device=NATIVE) as executor:
        assert plan.state == executor.info.state_bytes
        assert plan.activations == executor.info.activation_bytes


@pytest.mark.parametrize("case", ["tiny2503", "tinyce", "tinyold"])
def test_paused_requests_are_planned(engine_of: Callable[[str], Path], case: str) -> None:
    (none,) = plan_memory(engine_of(case), batch_sizes=[3], num_threads=1, device=NATIVE)
    assert none.max_paused_requests == 0
    for paused in (0, 1, 5):
        options = {"preempt": "priority", "max_paused_requests": paused, "num_threads": 1}
        (plan,) = plan_memory(engine_of(case), batch_sizes=[3], device=NATIVE, **options)  # type: ignore[arg-type]
        with rt.Executor(engine_of(case), device=NATIVE, max_batch_size=3, **options) as executor:
            info = executor.info
        assert plan.max_paused_requests == info.max_paused_requests == (paused or 3)
        assert plan.state == info.state_bytes and plan.total > none.total
        assert (plan.activations, plan.scratch) == (info.activation_bytes, info.scratch_bytes)
        assert plan.kv_cache == none.kv_cache * (3 + (paused or 3)) // 3


def test_int8_has_a_scale_for_each_position_and_head(engine: Path) -> None:
    model = json.loads((engine / "engine.json").read_text())["model"]["decoder"]
    head_dim = model["dim"] // model["heads"]
    half, small = plan_memory(engine, batch_sizes=[3], kv_cache_dtypes=["float16", "int8"])
    assert small.kv_cache * 2 * head_dim == half.kv_cache * (head_dim + 4)
    assert small.slots == half.slots and small.cross_memory < half.cross_memory


def test_more_requests_than_the_tokens_of_a_launch(
    checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """The plan is that of an engine whose launches hold two rows of each request."""
    rt.build(checkpoint_of("tiny2503"), tmp_path / "engine", max_batch_size=300)
    (plan,) = plan_memory(tmp_path / "engine", batch_sizes=[400], num_threads=1, device=NATIVE)
    rt.build(checkpoint_of("tiny2503"), tmp_path / "more", max_batch_size=400)
    with rt.Executor(tmp_path / "more", device=NATIVE, num_threads=1) as executor:
        assert plan.activations == executor.info.activation_bytes
        assert plan.scratch == executor.info.scratch_bytes
    assert not plan.is_served


def test_every_combination_in_order(engine: Path) -> None:
    plans = plan_memory(engine, batch_sizes=[1, 2], seq_lens=[64, 32], kv_cache_dtypes=["float32"])
    limits = [(plan.max_seq_len, plan.max_batch_size) for plan in plans]
    assert limits == [(64, 1), (64, 2), (32, 1), (32, 2)]
    assert [plan.max_batch_size for plan in plan_memory(engine)] == [1, 2, 4, 8]


@pytest.mark.parametrize("case", ["tiny2503", "tinyce"])
def test_options_that_make_it_smaller(engine_of: Callable[[str], Path], case: str) -> None:
    """Fewer rows of a launch and fewer positions are planned as an executor has them."""
    (all_of,) = plan_memory(engine_of(case), batch_sizes=[4], num_threads=1, device=NATIVE)
    least = rt.Engine.open(engine_of(case)).info
    rows = max(least.max_encoder_input_len, least.max_input_len)
    options = {"max_num_tokens": rows, "max_tokens_in_paged_kv_cache": 100, "num_threads": 1}
    (plan,) = plan_memory(engine_of(case), batch_sizes=[4], device=NATIVE, **options)  # type: ignore[arg-type]
    assert (plan.max_num_tokens, plan.cache_tokens) == (rows, 112)  # whole blocks
    assert plan.kv_cache < all_of.kv_cache and plan.cache_tokens < all_of.cache_tokens
    with rt.Executor(engine_of(case), device=NATIVE, max_batch_size=4, **options) as executor:
        info = executor.info
    assert (plan.state, plan.activations) == (info.state_bytes, info.activation_bytes)
    assert (plan.scratch, plan.weights) == (info.scratch_bytes, info.weight_bytes)


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_a_fraction_of_the_memory_of_a_gpu_needs_one(engine: Path, device: str) -> None:
    message = f"kv_cache_free_gpu_mem_fraction: expected none on device .{device}."
    with pytest.raises(rt.ConfigError, match=message):
        rt.Executor(engine, device=device, kv_cache_free_gpu_mem_fraction=0.9)
    with pytest.raises(rt.ConfigError, match=message):
        plan_memory(engine, device=device, kv_cache_free_gpu_mem_fraction=0.9)
    for wrong in (0.0, -1.0, 1.5):
        with pytest.raises(rt.ConfigError, match="fraction: expected more than 0 and at most 1"):
            rt.Executor(engine, device=device, kv_cache_free_gpu_mem_fraction=wrong)


def fill(left: int) -> list[GpuBytes]:
    """Takes the memory of the GPU but for about so many bytes."""
    taken = []
    while (spare := free_bytes() - left) > 4 << 20:
        taken.append(GpuBytes(spare // 2))
    return taken


@NEEDS_GPU
def test_the_cache_is_fitted_to_a_gpu(checkpoint_of: Callable[[str], Path], tmp_path: Path) -> None:
    """A plan says before an executor is opened how many positions its cache gets."""
    rt.build(checkpoint_of("tinyhf"), tmp_path / "engine", max_batch_size=4096)
    (whole,) = plan_memory(tmp_path / "engine", batch_sizes=[4096], device="cuda:0")
    others = whole.total - whole.kv_cache
    taken = fill(others + whole.kv_cache // 2)
    with pytest.raises(
        rt.CapacityError, match=r"device cuda:0: the executor takes \d+ MiB"
    ) as told:
        rt.Executor(tmp_path / "engine", device="cuda:0")
    for word in ("weights", "keys and values", "activations", "max_batch_size", "kv_cache_dtype"):
        assert word in str(told.value)
    options = {"device": "cuda:0", "kv_cache_free_gpu_mem_fraction": 0.5}
    (plan,) = plan_memory(tmp_path / "engine", batch_sizes=[4096], **options)  # type: ignore[arg-type]
    (free,) = [replica.free for replica in plan.replicas]
    assert others < free < whole.total
    assert 0 < plan.kv_cache <= (free - others) * 0.5
    with rt.Executor(tmp_path / "engine", **options) as executor:  # type: ignore[arg-type]
        assert executor.info.state_bytes < whole.state
        assert executor.info.cache_tokens < whole.cache_tokens
        assert executor.info.replicas[0].free_bytes < free - executor.info.state_bytes
        assert len(executor.generate(text_ids=[1, 2, 3], voice=0, max_frames=4).codes) > 0
    small = {**options, "kv_cache_free_gpu_mem_fraction": 1e-6}
    with pytest.raises(rt.CapacityError, match="that one request may need; cuda:0 has"):
        rt.Executor(tmp_path / "engine", **small)  # type: ignore[arg-type]
    taken.clear()
    with rt.Executor(tmp_path / "engine", device="cuda:0") as executor:
        assert executor.info.state_bytes == whole.state


def take_all() -> list[GpuBytes]:
    """Takes the memory of the GPU until not even 64 KiB can be had."""
    taken = []
    for size in (1 << 30, 1 << 26, 1 << 22, 1 << 16):
        with contextlib.suppress(RuntimeError):
            while True:
                taken.append(GpuBytes(size))
    return taken


@NEEDS_GPU
@pytest.mark.parametrize("case", ["tiny2503", "tinyhf", "tinymaskgit2", "tinyce", "tinyold"])
def test_requests_take_no_memory_of_a_gpu(engine_of: Callable[[str], Path], case: str) -> None:
    """Whatever number runs at once. Passes of MaskGit in an unusual number, whose graph is made as
    it first occurs, do without one.
    """
    with rt.Executor(engine_of(case), device="cuda:0") as executor:
        info = executor.engine.info
        codes = np.arange(8 * info.codebooks).reshape(8, info.codebooks) % 7
        context = {"voice": 0} if case == "tinyhf" else {"context_codes": codes}
        fields: dict[str, Any] = {"text_ids": [1, 2, 3], "max_frames": 8, **context}
        if case == "tinymaskgit2":
            fields["maskgit"] = rt.MaskGit(steps=5)
        scales = (1.0, 2.0, 2.0)  # with and without guidance
        requests = [
            rt.Request(seed=i, cfg_scale=scales[i % 3], **fields)
            for i in range(info.max_batch_size)
        ]
        taken = take_all()
        results = [executor.generate(requests[:n]) for n in range(1, len(requests) + 1)]
        taken.clear()
        for request, expected in zip(requests, executor.generate(requests), strict=True):
            assert expected.error is None
            assert executor.generate(request).codes.tolist() == expected.codes.tolist()
            for some in results:
                for result in some[request.seed : request.seed + 1]:
                    assert result.error is None
                    assert result.codes.tolist() == expected.codes.tolist()


@NEEDS_GPU
def test_graphs_that_do_not_fit_are_told_at_the_start(
    checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """The cache takes all that the plan leaves, so that nothing is left for graphs."""
    rt.build(checkpoint_of("tinyhf"), tmp_path / "engine", max_batch_size=4096)
    (plan,) = plan_memory(tmp_path / "engine", batch_sizes=[4096], device="cuda:0")
    taken = fill(plan.total - plan.kv_cache // 2)
    try:
        executor = rt.Executor(
            tmp_path / "engine", device="cuda:0", kv_cache_free_gpu_mem_fraction=1.0
        )
    except rt.CapacityError as error:
        assert "more" in str(error) and "MiB are free" in str(error)
        assert "kv_cache_free_gpu_mem_fraction" in str(error)
    else:  # the pages of CUDA had room for them
        assert len(executor.generate(text_ids=[1, 2, 3], voice=0, max_frames=4).codes) > 0
        executor.close()
    taken.clear()
    with rt.Executor(tmp_path / "engine", device="cuda:0") as executor:
        assert len(executor.generate(text_ids=[1, 2, 3], voice=0, max_frames=4).codes) > 0


@NEEDS_GPU
def test_replicas_on_one_gpu_get_equal_parts(
    checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Neither has the memory that the other leaves, whatever the fraction."""
    rt.build(checkpoint_of("tinyhf"), tmp_path / "engine", max_batch_size=4096)
    (whole,) = plan_memory(tmp_path / "engine", batch_sizes=[4096], device="cuda:0")
    others = whole.total - whole.kv_cache
    taken = fill(2 * others + whole.kv_cache)
    options = {"device": "cuda:0,cuda:0", "kv_cache_free_gpu_mem_fraction": 0.5}
    (plan,) = plan_memory(tmp_path / "engine", batch_sizes=[4096], **options)  # type: ignore[arg-type]
    first, second = plan.replicas
    assert first.cache_tokens == second.cache_tokens < whole.cache_tokens // 2
    with rt.Executor(tmp_path / "engine", **options) as executor:  # type: ignore[arg-type]
        first, second = executor.info.replicas
        assert first.cache_tokens == second.cache_tokens
        assert first.weight_bytes == second.weight_bytes == executor.info.weight_bytes // 2
        assert second.free_bytes < first.free_bytes
    taken.clear()


@NEEDS_GPU
def test_weights_are_read_once_for_all_replicas(
    checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    rt.build(checkpoint_of("tinyhf"), tmp_path / "engine")
    size = (tmp_path / "engine" / "weights.safetensors").stat().st_size

    def bytes_read(device: str) -> int:
        begin = _bytes_read()
        rt.Executor(tmp_path / "engine", device=device).close()
        return _bytes_read() - begin

    bytes_read("cuda:0")  # loads the driver's files
    assert bytes_read("cuda:0,cuda:0") < bytes_read("cuda:0") + size // 2


def _bytes_read() -> int:
    """What this process has read from files."""
    lines = Path("/proc/self/io").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("rchar:")]
    return int(line.split()[1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_sizes": [0]}, r"max_batch_size: expected 1 or more, got \[0\]"),
        ({"batch_sizes": [4097]}, "max_batch_size: expected 1 to 4096"),
        ({"seq_lens": [1 << 20]}, "max_seq_len: expected 1 to"),
        ({"max_num_tokens": 1}, "max_num_tokens: expected 0 .the engine's. or"),
        ({"max_tokens_in_paged_kv_cache": -1}, "max_tokens_in_paged_kv_cache: expected 0"),
        ({"kv_cache_dtypes": ["int3"]}, 'kv_cache_dtype: expected "float32", .* got .int3.'),
    ],
)
def test_limits_out_of_range(engine: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(rt.ConfigError, match=message):
        plan_memory(engine, **values)


def test_the_command(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--batch_size", "2", "4", "--seq_len", "32", "--kv_cache_dtype", "int8", "float32"]
    assert main(["inspect", str(engine), "--memory", "--device", "cpu", *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 4
    assert "max_batch_size" in lines[0] and lines[2].endswith("no")
    assert main(["inspect", str(engine), "--memory", "--json", "--device", NATIVE]) == 0
    plans = json.loads(capsys.readouterr().out)
    with rt.Executor(engine, device=NATIVE) as executor:
        assert plans[-1]["state"] == executor.info.state_bytes
    assert main(["inspect", str(engine.parent / "checkpoint"), "--memory"]) == 2
    assert "error" in capsys.readouterr().err
    assert main(["inspect", str(engine), "--memory", "--verify"]) == 2
    assert "--verify: expected without --memory" in capsys.readouterr().err
    flags = ["--device", NATIVE, "--max_tokens_in_paged_kv_cache", "64", "--batch_size", "2"]
    assert main(["inspect", str(engine), "--memory", "--json", *flags]) == 0
    assert [plan["cache_tokens"] for plan in json.loads(capsys.readouterr().out)] == [64]
    flags = ["--device", "reference", "--kv_cache_free_gpu_mem_fraction", "0.5"]
    assert main(["inspect", str(engine), "--memory", *flags]) == 2
    assert "kv_cache_free_gpu_mem_fraction: expected none on" in capsys.readouterr().err
    assert main(["inspect", str(engine), "--batch_size", "2"]) == 2
    assert "--batch_size: expected --memory" in capsys.readouterr().err
