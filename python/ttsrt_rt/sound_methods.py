"""The methods of `Executor` that hear a recording and speak it again in another voice."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import check_names
from ttsrt_rt.request import Request, RequestFields
from ttsrt_rt.voice_methods import VoiceMethods

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ttsrt_rt.request import ArrayInput
    from ttsrt_rt.result import Result

__all__ = ["SoundMethods"]


class SoundMethods(VoiceMethods):
    """What an executor knows of recordings, over the library's executor."""

    if TYPE_CHECKING:

        def _generate_one(self, request: Request) -> Result: ...

    def speech_tokens(
        self,
        audio: ArrayInput | str | os.PathLike[str],
        *,
        sample_rate: int | None = None,
        voice_model: str | os.PathLike[str] | None = None,
        resampler: str = "sinc",
    ) -> NDArray[np.int32]:
        """The speech tokens of a recording, 25 for a second, as `Request.codes` takes them.

        Args:
            audio: A file, or floats [samples] or [samples, channels], a token to 10 minutes.
            sample_rate: Of samples; None with a file.
            voice_model: As of `add_voice`.
            resampler: As of `add_voice`.

        Returns:
            int32 [tokens, 1], each 0 to 6560.

        Raises:
            ConfigError: The engine is of another model, or no tokens can be made of the recording.
            NotFoundError: A file or a folder does not exist.
            FormatError: The file is no recording, or damaged.
        """
        recording = self._recording(audio, sample_rate)
        maker = self._voice_maker(voice_model)
        return maker.speech_tokens(recording, resampler=resampler)[:, None]

    def convert_voice(
        self,
        audio: ArrayInput | str | os.PathLike[str],
        *,
        voice: int | str,
        sample_rate: int | None = None,
        voice_model: str | os.PathLike[str] | None = None,
        resampler: str = "sinc",
        **fields: Any,
    ) -> Result:
        """Speaks a recording again in another voice: what is said and how long it takes stay.

        It is the original's `ChatterboxVC`: the tokens of the recording become sound.

        Args:
            audio, sample_rate, voice_model, resampler: As of `speech_tokens`.
            voice: Whose voice it becomes.
            **fields: Of the request: `seed`, `flow`, `return_spectrogram`, `priority` and so on.

        Raises:
            ConfigError: As `speech_tokens` and `generate`; or the engine makes no sound of tokens,
                or the recording has more of them than fit (docs/chatterbox.md#sound).
            NotFoundError, FormatError: As `speech_tokens`.
            CapacityError, ClosedError, DeviceError, InternalError: As `generate`.
        """
        engine = self._native.engine
        if engine.info.family not in ("t3", "s3gen") or not engine.info.has_vocoder:
            raise ConfigError(
                f"convert_voice: {engine.path}: expected an engine that makes sound of speech "
                f"tokens, got one of {engine.info.family} that does not"
            )
        codes = self.speech_tokens(
            audio, sample_rate=sample_rate, voice_model=voice_model, resampler=resampler
        )
        check_names("convert_voice", fields, RequestFields.__annotations__)
        return self._generate_one(Request(codes=codes, voice=voice, **fields))
