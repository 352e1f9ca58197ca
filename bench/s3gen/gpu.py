"""The comparison on a GPU: ours and compiled PyTorch in turns, one stream and several."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.walls.tables import Case, Table, Target, spread
from ttsrt_rt.build import build
from ttsrt_rt.convert import convert
from ttsrt_rt.errors import ConfigError, InternalError
from ttsrt_rt.executor import Executor
from ttsrt_rt.request import Request

if TYPE_CHECKING:
    from bench.gpu_steps.card import Card
    from bench.s3gen.torch_sound import TorchSound

__all__ = ["Entry", "find_card", "flops_of", "make_gpu_table", "measure_gpu"]

NOMINAL_TFLOP_PER_S = 989.0  # dense bfloat16 of an H100 or H200
BUILDS = ("float32", "float16", "bfloat16")
PEERS = ("float32", "bfloat16")
SECONDS = 0.04  # of a token
_OVER_PYTORCH, _OVER_ONE_STREAM, _MOST_GB = 2.0, 10.0, 4.0
_NEAR = 1e-3  # of the largest magnitude: spectrograms of float32
_STEPS = {"cfm": 10, "meanflow": 2}


@dataclass
class Entry:
    """One line of the table.

    Attributes:
        name: For the table.
        streams: How many speak together.
        peer: Whether it is PyTorch's.
        measure: Gives a sample: seconds of all streams.
        memory: Gives bytes on the GPU.
        seconds: Samples, one per turn.
    """

    name: str
    streams: int
    is_peer: bool
    measure: Callable[[], float]
    memory: Callable[[], int]
    seconds: list[float] = field(default_factory=list)

    def rates(self, sound: float) -> list[float]:
        """Seconds of sound for each second, of streams of `sound` seconds."""
        return [self.streams * sound / seconds for seconds in self.seconds]


def flops_of(kind: str, prompt: int, tokens: int) -> float:
    """Floating-point operations of one stream: two for each product of the network's matrices,
    convolutions and attentions, of full size.

    Args:
        kind: "cfm" or "meanflow".
        prompt: Tokens of the prompt.
        tokens: New ones.
    """
    count, frames = prompt + tokens, 2 * (prompt + tokens)
    encoder = 0.113 * count + 9.0e-5 * count**2
    row = 0.132 * frames + 1.15e-4 * frames**2
    branches = 2 if kind == "cfm" else 1
    return 1e9 * (encoder + _STEPS[kind] * branches * row + 0.612 * 2 * tokens)


def find_card(device: str) -> Card:
    """The rates of the GPU, as PyTorch measures them.

    Raises:
        ConfigError: PyTorch is not installed, or sees no GPU.
    """
    if find_spec("torch") is None:
        raise ConfigError(f"--device {device}: expected PyTorch, or --no_torch, got neither")
    import torch

    from bench.gpu_steps.card import measure_card

    if not torch.cuda.is_available():
        raise ConfigError(f"--device {device}: PyTorch sees no GPU; expected one, or --no_torch")
    return measure_card(device)


def measure_gpu(
    options: argparse.Namespace,
    kind: str,
    source: Path,
    voice: dict[str, Any],
    silence: int,
    card: Card | None,
) -> Table:
    """Builds, checks and measures one kind of flow.

    Args:
        options: Of the command line.
        kind: "cfm" or "meanflow".
        source: The model's file.
        voice: Of all streams.
        silence: Tokens that the model appends.
        card: The GPU's rates, or None without PyTorch.

    Raises:
        InternalError: A request failed, or a spectrogram is not that of PyTorch.
    """
    checkpoint = source.with_name(f"{source.stem}-checkpoint")
    if not checkpoint.exists():
        convert(source, checkpoint)
    tokens = np.random.default_rng(2).integers(0, 6561, options.tokens).astype(np.int32)
    given = np.concatenate([tokens, np.full(silence, 4299, np.int32)])
    counts = sorted({1, options.streams})
    with ExitStack() as stack:
        entries: list[Entry] = []
        for name in BUILDS:
            executor = stack.enter_context(_open(options, source, checkpoint, name))
            executor.add_voice("voice", **voice)
            if name == "float32" and not options.no_torch:
                _check(executor, checkpoint, tokens, given, voice, options.device)
            entries += [_ours(executor, name, tokens, count) for count in counts]
        if not options.no_torch:
            for dtype in PEERS:
                entries += [
                    _theirs(checkpoint, given, voice, dtype, count, options.device)
                    for count in counts
                ]
        for turn in range(options.turns + 1):
            for entry in entries:
                seconds = entry.measure()
                if turn > 0:
                    entry.seconds.append(seconds)
        work = flops_of(kind, len(voice["prompt_token"]), len(given))
        return make_gpu_table(options, kind, entries, SECONDS * len(given), work, card)


def _open(options: argparse.Namespace, source: Path, checkpoint: Path, dtype: str) -> Executor:
    engine = source.with_name(f"{source.stem}-{dtype}-{options.streams}")
    if not engine.exists():
        limits: dict[str, Any] = {"dtype": dtype, "max_batch_size": options.streams}
        build(checkpoint, engine, **limits)
    return Executor(engine, device=options.device, max_batch_size=options.streams)


def _ours(executor: Executor, name: str, tokens: NDArray[np.int32], streams: int) -> Entry:
    def measure() -> float:
        requests = [Request(codes=tokens[:, None], voice="voice", seed=i) for i in range(streams)]
        begin = time.perf_counter()
        made = executor.generate(requests)
        seconds = time.perf_counter() - begin
        failed = [each.error for each in made if each.audio is None or each.error]
        if failed:
            raise InternalError(f"{name}: a request failed: {failed[0]}")
        return seconds

    def memory() -> int:
        info = executor.info
        held = info.weight_bytes + info.state_bytes + info.activation_bytes
        return int(held + info.scratch_bytes + info.graph_bytes)

    return Entry(name, streams, False, measure, memory)


def _noise(frames: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(frames, 80)).astype(np.float32)


def _peer(
    checkpoint: Path,
    given: NDArray[np.int32],
    voice: dict[str, Any],
    dtype: str,
    streams: int,
    device: str,
    *,
    is_compiled: bool,
) -> TorchSound:
    from bench.f5_peers.torch_flow import compiled, plain
    from bench.s3gen.torch_sound import TorchSound

    frames = 2 * (len(voice["prompt_token"]) + len(given))
    return TorchSound(
        checkpoint,
        given,
        voice,
        _noise(frames),
        streams=streams,
        device=device,
        dtype=dtype,
        prepare=compiled("default") if is_compiled else plain,
    )


def _check(
    executor: Executor,
    checkpoint: Path,
    tokens: NDArray[np.int32],
    given: NDArray[np.int32],
    voice: dict[str, Any],
    device: str,
) -> None:
    """Compares the spectrogram of float32 with that of PyTorch."""
    from bench.f5_peers.torch_flow import exact_products

    with exact_products():
        peer = _peer(checkpoint, given, voice, "float32", 1, device, is_compiled=False)
        expected = peer.run(peer.spectrogram)[0]
    noise = _noise(2 * (len(voice["prompt_token"]) + len(given)))
    request = Request(codes=tokens[:, None], voice="voice", noise=noise, return_spectrogram=True)
    made = executor.generate(request)
    if made.error or made.spectrogram is None:
        raise InternalError(f"float32: a request failed: {made.error}")
    if made.spectrogram.shape != expected.shape:
        raise InternalError(
            f"float32: expected a spectrogram of {expected.shape}, got {made.spectrogram.shape}"
        )
    error = float(np.abs(made.spectrogram - expected).max() / np.abs(expected).max())
    if not error < _NEAR:
        raise InternalError(f"float32: the spectrogram differs from that of PyTorch by {error:.1e}")


def _theirs(
    checkpoint: Path,
    given: NDArray[np.int32],
    voice: dict[str, Any],
    dtype: str,
    streams: int,
    device: str,
) -> Entry:
    """The whole way of so many streams, compiled, and replayed in a CUDA graph."""
    import torch

    from bench.gpu_steps.torch_peer import graph_of

    torch.compiler.reset()
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    peer = _peer(checkpoint, given, voice, dtype, streams, device, is_compiled=True)
    with torch.inference_mode(), torch.cuda.device(device):
        graph = graph_of(peer.speak, device)
    held = int(torch.cuda.max_memory_allocated(device) - before)

    def measure() -> float:
        torch.cuda.synchronize(device)
        begin = time.perf_counter()
        graph.replay()
        torch.cuda.synchronize(device)
        return time.perf_counter() - begin

    return Entry(f"PyTorch, compiled, {dtype}", streams, True, measure, lambda: held)


def make_gpu_table(
    options: argparse.Namespace,
    kind: str,
    entries: list[Entry],
    sound: float,
    work: float,
    card: Card | None,
) -> Table:
    """What was measured.

    Args:
        options: Of the command line.
        kind: "cfm" or "meanflow".
        entries: With their samples.
        sound: Seconds of a stream.
        work: Operations of a stream.
        card: The GPU's rates, or None without PyTorch.
    """
    peak = NOMINAL_TFLOP_PER_S if card is None else card.tflop_per_s
    cases = []
    for entry in entries:
        rates = entry.rates(sound)
        shares = [1e-12 * work * rate / sound / peak for rate in rates]
        gigabytes = 1e-9 * entry.memory()
        figures: dict[str, Any] = {
            "streams": entry.streams,
            "seconds": entry.seconds,
            "real_time": rates,
            "share": shares,
            "memory_gb": gigabytes,
        }
        cells = [f"{entry.streams}", spread(entry.seconds, 1, 1e3), spread(rates, 0)]
        cells += [spread(shares, 1, 100), _memory(entry, gigabytes)]
        cells += [_over_peers(entry, entries, sound, figures), _over_one(entry, entries, figures)]
        cases.append(Case(entry.name, tuple(cells), figures))
    notes = [
        f"{1e-12 * work:.2f} TFLOP of a stream; the limit is {peak:.0f} TFLOP/s, of "
        + ("the card's data sheet." if card is None else "a large product of bfloat16 in PyTorch.")
    ]
    return Table(
        key=kind,
        title=f"{kind}: {options.tokens} tokens, {sound:.1f} s of sound, {options.device}, "
        f"{options.turns} turns",
        columns=(
            *("", "streams", "ms", "x real time", "of the limit, %", "memory, GB"),
            *("times the fastest of PyTorch", "times one stream"),
        ),
        cases=cases,
        notes=notes,
    )


def _memory(entry: Entry, gigabytes: float) -> str:
    if entry.is_peer or entry.streams == 1:
        return f"{gigabytes:.2f}"
    return f"{gigabytes:.2f}, {Target(_MOST_GB, is_most=True).verdict(gigabytes)}"


def _over_peers(entry: Entry, entries: list[Entry], sound: float, figures: dict[str, Any]) -> str:
    rivals = [each for each in entries if each.is_peer and each.streams == entry.streams]
    if entry.is_peer or not rivals:
        return ""
    fastest = max(median(each.rates(sound)) for each in rivals)
    ratio = median(entry.rates(sound)) / fastest
    figures["over PyTorch"] = ratio
    if entry.streams > 1:
        return f"{ratio:.2f}"
    return f"{ratio:.2f}, {Target(_OVER_PYTORCH, is_most=False).verdict(ratio)}"


def _over_one(entry: Entry, entries: list[Entry], figures: dict[str, Any]) -> str:
    one = next(each for each in entries if each.name == entry.name and each.streams == 1)
    if entry is one:
        return ""
    ratio = median(entry.rates(1.0)) / median(one.rates(1.0))
    figures["over one stream"] = ratio
    if entry.is_peer:
        return f"{ratio:.1f}"
    return f"{ratio:.1f}, {Target(_OVER_ONE_STREAM, is_most=False).verdict(ratio)}"
