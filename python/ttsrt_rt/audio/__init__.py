"""Sound in and out: files, levels, silence. Spectrograms and other rates are the core's."""

from __future__ import annotations

from ttsrt_rt.audio.files import Sound, read_audio, wav_bytes, write_wav
from ttsrt_rt.audio.rates import to_rate
from ttsrt_rt.audio.silence import remove_silence, split_on_silence, trim_silence

__all__ = [
    "Sound",
    "read_audio",
    "remove_silence",
    "split_on_silence",
    "to_rate",
    "trim_silence",
    "wav_bytes",
    "write_wav",
]
