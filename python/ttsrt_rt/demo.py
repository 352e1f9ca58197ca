"""Runs everything on a random model: original layout, checkpoint, engine, requests at once.

The weights are random, so the codes are noise. The architecture, the files and the work are those
of a real model, at a size that a small machine runs in seconds.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from ttsrt_rt.build import build
from ttsrt_rt.convert import convert
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.executor import Executor
from ttsrt_rt.request import Request
from ttsrt_rt.synth import write_random_nemo

if TYPE_CHECKING:
    from tqdm import tqdm

    from ttsrt_rt._core import EngineInfo
    from ttsrt_rt.options import DType
    from ttsrt_rt.result import Result

__all__ = ["DemoOptions", "generate_together", "make_engine", "make_requests"]


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """The model and the requests of the demo; the flags of `ttsrt demo` describe them."""

    size: str = "mid"
    dtype: DType = "bfloat16"
    num_requests: int = 8
    max_frames: int = 160
    cfg_scale: float = 2.5
    seed: int = 7


def make_engine(folder: Path, options: DemoOptions, *, overwrite: bool = False) -> Path:
    """Writes a random `.nemo` in `folder`, converts and builds it; returns the engine's folder.

    Raises:
        ConfigError: `folder` has one of the three already, and `overwrite` is false.
    """
    source = folder / "demo.nemo"
    for made in (source, folder / "checkpoint", folder / "engine"):
        if os.path.lexists(made) and not overwrite:
            raise ConfigError(
                f"output_dir: {made.absolute()} exists already; pass overwrite to replace it"
            )
    write_random_nemo(source, options.size, options.seed)
    convert(source, folder / "checkpoint", overwrite=overwrite, progress=False)
    build(
        folder / "checkpoint",
        folder / "engine",
        dtype=options.dtype,
        max_batch_size=options.num_requests,
        overwrite=overwrite,
    )
    return folder / "engine"


def make_requests(info: EngineInfo, options: DemoOptions) -> list[Request]:
    """Guided requests of different lengths, voices and seeds.

    Raises:
        ConfigError: The engine has no stored voices to speak with.
    """
    if info.num_voices == 0:
        raise ConfigError("demo: expected an engine with stored voices, got none")
    random = np.random.default_rng(options.seed)
    longest = min(info.max_encoder_input_len, 120)
    return [
        Request(
            text_ids=random.integers(
                0, info.text_vocab - 2, size=max(1, longest - 4 * (index % 8))
            ),
            voice=index % info.num_voices,
            cfg_scale=options.cfg_scale,
            seed=options.seed + index,
            max_frames=options.max_frames,
        )
        for index in range(options.num_requests)
    ]


def generate_together(
    executor: Executor, requests: list[Request], bar: tqdm[NoReturn]
) -> list[Result]:
    """Submits all requests at once and counts their frames on `bar` as they arrive."""

    async def follow(request: Request) -> Result:
        handle = executor.submit(request)
        async for event in handle:
            bar.update(len(event.codes))
        result = handle.result()
        bar.total = (bar.total or 0) + len(result.codes) - (request.max_frames or 0)
        return result

    async def follow_all() -> list[Result]:
        return await asyncio.gather(*(follow(request) for request in requests))

    return asyncio.run(follow_all())
