"""How fast this machine reads memory: the wall that a decoder step is measured against."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

__all__ = ["read_bandwidth"]

_BYTES_PER_THREAD = 256 << 20  # beyond every cache


def read_bandwidth(num_threads: int = 0, seconds: float = 0.5) -> float:
    """Plain reading of large arrays by all threads at once.

    Args:
        num_threads: 0 is one per core this process may use.
        seconds: how long to read.

    Returns:
        GB/s (1e9 bytes), the best of the passes made in that time.
    """
    threads = num_threads or len(os.sched_getaffinity(0))
    arrays = [np.ones(_BYTES_PER_THREAD // 8, np.int64) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or best == 0.0:
            started = time.perf_counter()
            list(pool.map(np.bitwise_or.reduce, arrays))
            best = max(best, threads * _BYTES_PER_THREAD / (time.perf_counter() - started) / 1e9)
    return best
