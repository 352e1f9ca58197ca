"""Tiny random Magpies with a codec, and the codec alone, as engines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ttsrt_rt as rt
from ttsrt_rt.synth import write_random_ckpt, write_random_codec, write_random_nemo

SAMPLES_PER_FRAME = 16
RATE = 22050


@dataclass(frozen=True)
class CodecModels:
    """Folders of what was made.

    Attributes:
        nemo: The Magpie with stored voices, as it was released.
        codec_nemo: The codec, as it was released.
        codec: Its engine.
        spoken: The engine of the Magpie with stored voices and the codec.
        silent: The same without the codec.
        contexts: The engine of a Magpie whose contexts are codes, with the codec.
    """

    nemo: Path
    codec_nemo: Path
    codec: Path
    spoken: Path
    silent: Path
    contexts: Path


def make_codec_models(folder: Path) -> CodecModels:
    """Writes, converts and builds all of them."""
    made = CodecModels(
        nemo=write_random_nemo(folder / "magpie.nemo", "tiny", seed=1),
        codec_nemo=write_random_codec(folder / "codec.nemo", "tiny_magpie", seed=1),
        codec=folder / "codec",
        spoken=folder / "spoken",
        silent=folder / "silent",
        contexts=folder / "contexts",
    )
    codec = rt.convert(made.codec_nemo, folder / "codec.checkpoint", progress=False)
    magpie = rt.convert(made.nemo, folder / "magpie.checkpoint", progress=False)
    ckpt = write_random_ckpt(folder / "t5tts.ckpt", "tiny", seed=1)
    contexts = rt.convert(ckpt, folder / "contexts.checkpoint", progress=False)
    rt.build(codec, made.codec, progress=False)
    rt.build(magpie, made.silent, progress=False)
    rt.build(magpie, made.spoken, codec_dir=codec, progress=False)
    rt.build(contexts, made.contexts, codec_dir=codec, progress=False)
    return made
