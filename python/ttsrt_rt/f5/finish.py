"""The last rules of a front end: silence inside the result, and its level."""

from __future__ import annotations

import numpy as np

from ttsrt_rt.audio.files import Samples, Sound
from ttsrt_rt.audio.silence import SilenceRule, remove_silence
from ttsrt_rt.f5.rules import FrontEndRules

__all__ = ["finish"]

RESULT_SILENCE = SilenceRule(1000, -50.0, 500)


def finish(sound: Sound, rules: FrontEndRules, removes: bool | None) -> Samples:
    """Returns the samples of a result, float32 [samples].

    Args:
        sound: the joined chunks, one channel.
        rules: those of the front end.
        removes: whether to take long silence out; None: as the front end does.
    """
    made = sound
    if rules.removes_silence if removes is None else removes:
        made = remove_silence(made, RESULT_SILENCE)
    samples = made.samples[:, 0]
    if rules.level is None or not len(samples):
        return samples
    rms = float(np.sqrt(np.mean(np.square(samples.astype(np.float64)))))
    if rms == 0.0:
        return samples
    louder: Samples = (samples * np.float32(10 ** (rules.level / 20) / rms)).clip(-1.0, 1.0)
    return louder
