"""The card's measured rates: copying, reading, and products of bfloat16."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Card", "device_seconds", "measure_card"]

_READ_BYTES = 4 << 30  # some fifty times the card's cache
_PRODUCT = 8192
_SAMPLES = 10


@dataclass(frozen=True)
class Card:
    """A GPU.

    Attributes:
        name: As the driver says it.
        copy_gb_per_s: Bytes read and written by a copy within the card's memory.
        read_gb_per_s: Bytes read: the faster of that copy and of a sum.
        tflop_per_s: Of a large product of bfloat16 matrices.
        software: PyTorch's version, that of its CUDA, and the driver's where it is known.
    """

    name: str
    copy_gb_per_s: float
    read_gb_per_s: float
    tflop_per_s: float
    software: str = ""

    def __str__(self) -> str:
        return (
            f"{self.name}: copies {self.copy_gb_per_s:.0f} GB/s, reads {self.read_gb_per_s:.0f} "
            f"GB/s, products of bfloat16 {self.tflop_per_s:.0f} TFLOP/s; {self.software}"
        )


def device_seconds(work: Callable[[], object], samples: int, repeats: int = 1) -> list[float]:
    """Seconds of `work` on the device, by events around `repeats` runs of it in a row."""
    import torch

    event: Any = torch.cuda.Event
    found = []
    for _ in range(samples):
        begin, end = (event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(repeats):
            work()
        end.record()
        end.synchronize()
        found.append(1e-3 * float(begin.elapsed_time(end)) / repeats)
    return found


def measure_card(device: str) -> Card:
    """Measures the GPU of this name ("cuda:0"), which nothing else should use."""
    import torch

    with torch.cuda.device(device):
        copy, read = _memory_rates(device)
        product = _product_rate(device)
        torch.cuda.empty_cache()
        name = torch.cuda.get_device_name(device)
    return Card(
        name=str(name),
        copy_gb_per_s=copy,
        read_gb_per_s=max(copy, read),
        tflop_per_s=product,
        software=f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}",
    )


def _memory_rates(device: str) -> tuple[float, float]:
    """GB/s of a copy, reads and writes together, and of a sum."""
    import torch

    size = min(_READ_BYTES, torch.cuda.mem_get_info()[0] // 4)
    source = torch.zeros(size // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    source.sum()
    target.copy_(source)
    summed = min(device_seconds(source.sum, _SAMPLES))
    copied = min(device_seconds(lambda: target.copy_(source), _SAMPLES))
    return 2e-9 * size / copied, 1e-9 * size / summed


def _product_rate(device: str) -> float:
    """TFLOP/s of a large product."""
    import torch

    left = torch.randn(_PRODUCT, _PRODUCT, device=device).bfloat16()
    right = torch.randn(_PRODUCT, _PRODUCT, device=device).bfloat16()
    torch.mm(left, right)
    seconds = statistics.median(device_seconds(lambda: torch.mm(left, right), _SAMPLES))
    return 2e-12 * _PRODUCT**3 / seconds
