"""Runs everything on a random model: original layout, checkpoint, engine, requests at once.

The weights are random, so the codes are noise. The architecture, the files and the work are those
of a real model, at a size that a small machine runs in seconds.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import numpy as np

from ttsrt_rt.build import build
from ttsrt_rt.convert import convert
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.executor import Executor
from ttsrt_rt.options import DType, dtype_name
from ttsrt_rt.quoting import show
from ttsrt_rt.request import Request
from ttsrt_rt.synth import write_random_ckpt, write_random_nemo

if TYPE_CHECKING:
    from tqdm import tqdm

    from ttsrt_rt._core import EngineInfo
    from ttsrt_rt.result import Result

__all__ = [
    "SIZES",
    "DemoOptions",
    "generate_together",
    "make_engine",
    "make_requests",
    "removing_on_failure",
]

_CKPT_SIZES = {"2503": "true"}  # of those written as .ckpt, and their names in `synth`
SIZES = ("tiny", "mid", "v2607", *_CKPT_SIZES)
CONTEXT_FRAMES = 110


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """The model and the requests of the demo; the flags of `ttsrt demo` describe them."""

    size: str = "mid"
    dtype: DType = "bfloat16"
    num_requests: int = 8
    max_frames: int = 160
    cfg_scale: float = 2.5
    seed: int = 7

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ConfigError(f"size: expected one of {', '.join(SIZES)}, got {show(self.size)}")
        for name, most in (("num_requests", 4096), ("max_frames", 1 << 20)):
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise ConfigError(f"{name}: expected 1 to {most}, got {value}")
        dtype_name(self.dtype, "dtype", get_args(DType))


def kept_in(folder: Path, options: DemoOptions) -> tuple[Path, Path, Path]:
    """The files and folders that a demo keeps: the original layout, the checkpoint, the engine."""
    source = "demo.ckpt" if options.size in _CKPT_SIZES else "demo.nemo"
    return folder / source, folder / "checkpoint", folder / "engine"


def make_engine(folder: Path, options: DemoOptions, *, overwrite: bool = False) -> Path:
    """Writes a random model in `folder`, converts and builds it; returns the engine's folder.

    Raises:
        ConfigError: `folder` has one of the three already, and `overwrite` is false.
    """
    source, checkpoint, engine = kept_in(folder, options)
    for made in (source, checkpoint, engine):
        if os.path.lexists(made) and not overwrite:
            raise ConfigError(
                f"output_dir: {made.absolute()} exists already; pass overwrite to replace it"
            )
    if options.size in _CKPT_SIZES:
        write_random_ckpt(source, _CKPT_SIZES[options.size], options.seed)
    else:
        write_random_nemo(source, options.size, options.seed)
    convert(source, checkpoint, overwrite=overwrite, progress=False)
    build(
        checkpoint,
        engine,
        dtype=options.dtype,
        max_batch_size=options.num_requests,
        overwrite=overwrite,
    )
    return engine


@contextmanager
def removing_on_failure(folder: Path, options: DemoOptions) -> Iterator[None]:
    """Removes from `folder`, where the block ends early, what was not there before; and the folders
    that were made for it.
    """
    kept = (*kept_in(folder, options), folder / "demo.hparams.yaml")  # the last is of a .ckpt
    made = [each for each in kept if not os.path.lexists(each)]
    folders = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    try:
        yield
    except BaseException:
        for each in made:
            with suppress(OSError):  # there is none, or its folder is a file
                if each.is_dir():
                    shutil.rmtree(each, ignore_errors=True)
                else:
                    each.unlink()
        for each in folders:
            with suppress(OSError):  # somebody else has put something there
                each.rmdir()
        raise


def make_requests(info: EngineInfo, options: DemoOptions) -> list[Request]:
    """Guided requests of different lengths, voices and seeds. Without stored voices, their contexts
    are random codes.
    """
    random = np.random.default_rng(options.seed)
    size = (min(CONTEXT_FRAMES, info.max_input_len), info.codebooks)
    contexts: list[dict[str, Any]] = [
        {"voice": index % info.num_voices}
        if info.num_voices
        else {"context_codes": random.integers(0, info.codebook_vocab - 8, size)}
        for index in range(options.num_requests)
    ]
    longest = min(info.max_encoder_input_len, 120)
    return [
        Request(
            text_ids=random.integers(
                0, info.text_vocab - 2, size=max(1, longest - 4 * (index % 8))
            ),
            **contexts[index],
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
