"""How the spectrograms of a model are made of sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["USUAL", "Mel", "Spectra"]

Mel = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Spectra:
    """The log-mel spectrograms that a model continues. The defaults are those of F5-TTS.

    Attributes:
        sample_rate: samples per second of the sound.
        hop: samples from one frame to the next.
        kind: "vocos" or "bigvgan".
        bands: values of a frame.
    """

    sample_rate: int = 24000
    hop: int = 256
    kind: str = "vocos"
    bands: int = 100

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    def of(self, samples: npt.ArrayLike) -> Mel:
        """Returns the spectrogram of samples at the model's rate, float32 [frames, bands].

        Raises:
            ConfigError: they are too few, or have another shape.
        """
        from ttsrt_rt import _core

        return _core.log_mel(
            samples, kind=self.kind, sample_rate=self.sample_rate, hop=self.hop, bands=self.bands
        )


USUAL = Spectra()
