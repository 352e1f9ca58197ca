"""Voices of recordings for Chatterbox: what the original's `prepare_conditionals` makes, in NumPy.

`VoiceMaker` makes a `VoiceFile` of a `Sound` with the voice parts of a converted S3Gen: the speaker
encoder, the tokenizer of speech and the voice encoder. Nothing here imports PyTorch.
"""

from __future__ import annotations

from ttsrt_rt.voice_from_audio.maker import (
    MAX_SECONDS,
    MIN_SECONDS,
    VoiceMaker,
    VoiceMakers,
    VoiceOptions,
    sound_of,
)

__all__ = ["MAX_SECONDS", "MIN_SECONDS", "VoiceMaker", "VoiceMakers", "VoiceOptions", "sound_of"]
