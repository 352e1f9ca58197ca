"""Synthetic checkpoints in the original formats, for demos, tests and benchmarks."""

from __future__ import annotations

from ttsrt_rt.synth.f5_random import write_random_f5, write_random_vocos
from ttsrt_rt.synth.magpie_random import write_random_ckpt, write_random_nemo
from ttsrt_rt.synth.nanocodec_random import write_random_codec
from ttsrt_rt.synth.s3gen_random import write_random_s3gen, write_random_voice_encoder
from ttsrt_rt.synth.t3_random import write_random_conds, write_random_t3

__all__ = [
    "write_random_ckpt",
    "write_random_codec",
    "write_random_conds",
    "write_random_f5",
    "write_random_nemo",
    "write_random_s3gen",
    "write_random_t3",
    "write_random_vocos",
    "write_random_voice_encoder",
]
