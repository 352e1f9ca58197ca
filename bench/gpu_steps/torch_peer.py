"""Times of the PyTorch stack: eager or compiled, and replayed in a CUDA graph in either case."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import torch

from bench.gpu_steps.card import device_seconds
from bench.gpu_steps.cases import Case, Scale
from bench.gpu_steps.shapes import StackShape
from bench.gpu_steps.torch_stack import Attention, Decoder, LocalPicks, Rows

__all__ = ["MODES", "keep_compiled", "prompt_work", "stack_times", "step_work"]

Work: TypeAlias = Callable[[], object]
Compile: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

MODES = ("eager-graph", "compile")
_COMPILE = "max-autotune-no-cudagraphs"
_WARM_UPS = 3
_REPLAYS = 10  # in a row, for each sample


def keep_compiled(folder: Path) -> None:
    """Lets PyTorch keep what it compiles and tunes in a folder, for later runs."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "inductor")
    os.environ["TRITON_CACHE_DIR"] = str(folder / "triton")
    os.environ.setdefault("TORCHINDUCTOR_FX_GRAPH_CACHE", "1")


def compiler(mode: str) -> Compile:
    """What is done to a function before it is captured."""
    if mode == "eager-graph":
        return lambda function: function

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        made: Callable[..., Any] = torch.compile(
            function, mode=_COMPILE, fullgraph=True, dynamic=False
        )
        return made

    return compiled


def step_work(decoder: Decoder, picks: LocalPicks | None, prepare: Compile) -> Work:
    """A function that runs one step, with the picks of a local transformer where there is one."""
    step = prepare(decoder.step)
    if picks is None:
        return step
    pick, embed = prepare(picks.pick), prepare(picks.embed)
    local = picks

    def whole() -> None:
        x = step()
        for place, mask in enumerate(local.masks):
            at, head, position = local.places[place], local.heads[place], local.positions[place]
            ids = pick(x, at, mask, head, position)
            decoder.ids[:, place].copy_(ids)
            x = embed(ids, local.offsets[place])

    return whole


def prompt_work(decoder: Decoder, prepare: Compile) -> Work:
    """A function that runs a prompt as long as the caches."""
    count, dim = decoder.rows.position, decoder.shape.dim
    rows = torch.randn(1, count, dim, device=decoder.table.device).to(decoder.table.dtype)
    prompt = prepare(decoder.prompt)
    return lambda: prompt(rows)


def graph_of(work: Work, device: str) -> torch.cuda.CUDAGraph:
    """The function's kernels in a CUDA graph, after it has run a few times."""
    stream: Any = torch.cuda.Stream
    stream = stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            work()
    torch.cuda.current_stream(device).wait_stream(stream)
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def stack_times(
    shape: StackShape,
    case: Case,
    scale: Scale,
    device: str,
    *,
    mode: str,
    attention: Attention,
) -> list[float]:
    """Milliseconds of a step or of a prompt on the device, at least 50 samples.

    Args:
        shape: Of the decoder.
        case: What is measured.
        scale: Lengths.
        device: A GPU.
        mode: Of MODES.
        attention: How a step attends.
    """
    is_prompt = case.kind == "prefill"
    position = scale.prompt if is_prompt else scale.position
    rows = Rows(scale.requests_of(case), case.is_guided, position, scale.text_len)
    torch.compiler.reset()
    with torch.no_grad(), torch.cuda.device(device):
        decoder = Decoder(shape, rows, device, attention=attention)
        if is_prompt:
            work = prompt_work(decoder, compiler(mode))
        else:
            picks = None if shape.local is None else LocalPicks(decoder, shape.local, device)
            work = step_work(decoder, picks, compiler(mode))
        graph = graph_of(work, device)
        repeats = 1 if is_prompt else _REPLAYS
        device_seconds(graph.replay, _WARM_UPS, repeats)
        found = [1e3 * each for each in device_seconds(graph.replay, max(scale.least, 50), repeats)]
        del graph, work, decoder
    torch.compiler.reset()
    gc.collect()
    torch.cuda.empty_cache()
    return found
