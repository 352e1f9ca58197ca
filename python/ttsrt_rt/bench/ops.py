"""Measures single operations of the models: time, GB/s, GFLOP/s, share of the peak.

>>> from ttsrt_rt.bench.ops import OpBench, measure_peaks
>>> bench = OpBench("linear", rows=2, outputs=3072, inputs=768, dtype="bfloat16")  # doctest: +SKIP
>>> bench.check()  # doctest: +SKIP
>>> bench.figures(bench.seconds_per_op(iterations=20), measure_peaks())  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError

__all__ = [
    "Figures",
    "OpBench",
    "Peaks",
    "barrier_seconds",
    "families",
    "measure_peaks",
    "read_bandwidth",
    "table",
]


# Families in which each op has its own weights or caches, unless they are resident.
_OWN_MEMORY = {"linear", "norm_linear", "time_conv", "self_attention", "cross_attention"}
# Families that multiply with the type of their weights.
_PRODUCTS = {"linear", "norm_linear", "time_conv", "pick_codes"}


@dataclass(frozen=True)
class Peaks:
    """What all threads of a device together reach in loops that do nothing else.

    Attributes:
        isa: Instruction set.
        num_threads: Threads that took part.
        read_gb_per_s: Reading memory in order, beyond all caches; 1e9 bytes.
        cached_gb_per_s: Reading 16 MiB again and again, from the cache that cores share.
        float32_gflop_per_s: Multiply-adds, counted as 2.
        bfloat16_gflop_per_s: Products of bfloat16 with float32 sums, by the kernels' instructions.
        int8_gop_per_s: Products of int8 with int32 sums.
    """

    isa: str
    num_threads: int
    read_gb_per_s: float
    cached_gb_per_s: float
    float32_gflop_per_s: float
    bfloat16_gflop_per_s: float
    int8_gop_per_s: float

    def __str__(self) -> str:
        return (
            f"{self.isa}, {self.num_threads} threads: read {self.read_gb_per_s:.1f} GB/s, "
            f"shared cache {self.cached_gb_per_s:.1f} GB/s, "
            f"float32 {self.float32_gflop_per_s:.0f} GFLOP/s, "
            f"bfloat16 {self.bfloat16_gflop_per_s:.0f} GFLOP/s, "
            f"int8 {self.int8_gop_per_s:.0f} GOP/s"
        )


def measure_peaks(*, device: str = "cpu", num_threads: int = 0, seconds: float = 1.0) -> Peaks:
    """The device's peaks, measured for about `seconds` (0.001 to 60). Nothing else should run.

    Raises:
        ConfigError: The device has no peaks, or an argument is out of range.
    """
    found = _core.measure_peaks(device, num_threads, seconds)
    return Peaks(**{name: getattr(found, name) for name in Peaks.__dataclass_fields__})


def read_bandwidth(
    num_bytes: int = 0, *, device: str = "cpu", num_threads: int = 0, seconds: float = 0.25
) -> float:
    """GB/s (1e9 bytes) at which all threads read at once, as the best of several passes.

    Args:
        num_bytes: The bytes read again and again, divided among the threads: this measures the
            cache that holds so many. 0 measures memory.
        device: As of an `Executor`.
        num_threads: 0 is one per core this process may use.
        seconds: How long to read (0.001 to 60).

    Raises:
        ConfigError: The device can't be measured, or an argument is out of range.
    """
    return _core.measure_read(device, num_threads, num_bytes, seconds)


def barrier_seconds(*, device: str = "cpu", num_threads: int = 0, seconds: float = 0.1) -> float:
    """Seconds that all threads take to wait for each other once, as the best of many rounds.

    Args:
        device: As of an `Executor`.
        num_threads: 0 is one per core this process may use.
        seconds: How long to measure (0.001 to 60).

    Raises:
        ConfigError: The device can't be measured, or an argument is out of range.
    """
    return _core.measure_barrier(device, num_threads, seconds)


def families() -> list[str]:
    """The names of the operations; `ttsrt/bench.h` describes the options of each."""
    return _core.op_bench_families()


@dataclass(frozen=True)
class Figures:
    """What one measurement says.

    Attributes:
        seconds: Of one op.
        gb_per_s: Bytes of weights, caches and rows over that time.
        gflop_per_s: Operations over that time.
        bound: What limits the op on this machine, "memory" or "compute": the one that takes longer
            at its peak. It is "compute" if weights and caches stay in the processor's caches.
        share: The time that `bound` alone would take, divided by the measured time.
    """

    seconds: float
    gb_per_s: float
    gflop_per_s: float
    bound: str
    share: float


class OpBench:
    """One operation at one shape over random data.

    Args:
        family: One of `families()`.
        resident: Whether one weight or cache is used again and again and stays in the processor's
            caches. Otherwise each op of an iteration has its own.
        options: The other fields of `OpBenchOptions` in `ttsrt/bench.h`: rows, outputs, inputs,
            heads, head_dim, length, layers, codebooks, vocab, dtype, cache_dtype, quantization,
            group_size, device, num_threads.

    Raises:
        ConfigError: An option is unknown or cannot be run.
    """

    def __init__(self, family: str, *, resident: bool = False, **options: str | int) -> None:
        self._options = _core.OpBenchOptions()
        for name, value in {"family": family, "resident": resident, **options}.items():
            if not hasattr(self._options, name):
                raise ConfigError(f"{name}: not an option of a benchmark")
            setattr(self._options, name, value)
        self._native = _core.OpBench(self._options)

    @property
    def num_ops(self) -> int:
        """Ops of one iteration."""
        return self._native.num_ops

    @property
    def bytes(self) -> int:
        """Bytes that one op reads and writes."""
        return self._native.bytes

    @property
    def operations(self) -> int:
        """Operations of one op; a multiply-add counts 2."""
        return self._native.operations

    def check(self) -> float:
        """Largest relative difference to the device "reference", for at most 32 rows.

        It is 1 if codes differ.
        """
        return self._native.check()

    def run(self, iterations: int = 1) -> float:
        """Seconds that so many iterations took together, 1 to 1000000."""
        return self._native.run(iterations)

    def seconds_per_op(self, iterations: int = 1) -> float:
        """Seconds of one op, averaged over so many iterations."""
        return self.run(iterations) / iterations / self.num_ops

    def _peak_of_products(self, peaks: Peaks) -> float:
        """The peak of the instructions that the op multiplies by; float32's if by none."""
        if self._options.family not in _PRODUCTS:
            return peaks.float32_gflop_per_s
        if self._options.quantization.endswith("a8"):
            return peaks.int8_gop_per_s
        is_bfloat16 = self._options.quantization != "none" or self._options.dtype == "bfloat16"
        return peaks.bfloat16_gflop_per_s if is_bfloat16 else peaks.float32_gflop_per_s

    def figures(self, seconds: float, peaks: Peaks) -> Figures:
        """Compares `seconds` of one op with the peaks."""
        reads_memory = not self._options.resident and self._options.family in _OWN_MEMORY
        peak = self._peak_of_products(peaks)
        memory = self.bytes / peaks.read_gb_per_s / 1e9 if reads_memory else 0.0
        compute = self.operations / peak / 1e9
        return Figures(
            seconds=seconds,
            gb_per_s=self.bytes / seconds / 1e9,
            gflop_per_s=self.operations / seconds / 1e9,
            bound="memory" if memory > compute else "compute",
            share=max(memory, compute) / seconds,
        )


def table(rows: Iterable[tuple[str, Figures]]) -> list[str]:
    """Lines of a Markdown table, one per named measurement."""
    lines = [
        "| op | time, us | GB/s | GFLOP/s | bound | of peak |",
        "| --- | ---: | ---: | ---: | --- | ---: |",
    ]
    for name, found in rows:
        lines.append(
            f"| {name} | {found.seconds * 1e6:.1f} | {found.gb_per_s:.1f} | "
            f"{found.gflop_per_s:.1f} | {found.bound} | {100 * found.share:.0f} % |"
        )
    return lines
