"""Sound in and out: files, levels, silence. Spectrograms and other rates are the core's."""

from __future__ import annotations

from ttsrt_rt.audio.files import (
    MEDIA_TYPES,
    Sound,
    audio_bytes,
    check_format,
    check_output,
    is_sound_file,
    read_audio,
    sample_bytes,
    wav_bytes,
    wav_head,
    write_audio,
    write_wav,
)
from ttsrt_rt.audio.rates import to_rate
from ttsrt_rt.audio.silence import remove_silence, split_on_silence, trim_silence

__all__ = [
    "MEDIA_TYPES",
    "Sound",
    "audio_bytes",
    "check_format",
    "check_output",
    "is_sound_file",
    "read_audio",
    "remove_silence",
    "sample_bytes",
    "split_on_silence",
    "to_rate",
    "trim_silence",
    "wav_bytes",
    "wav_head",
    "write_audio",
    "write_wav",
]
