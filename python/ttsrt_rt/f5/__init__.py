"""F5-TTS and IndicF5 for servers: `sample`, `decode` and `synthesize` with the arguments of the
original.

`F5Model` opens an engine. The functions of this module do the same for callers that keep no object:
they open the engine that `engine` or TTS_ENGINE names once, and keep it open.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING, Any

from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from ttsrt_rt.audio.files import Sound
    from ttsrt_rt.f5.batches import Texts
    from ttsrt_rt.f5.model import F5Model, Floats, Speech

__all__ = ["F5Model", "Speech", "close", "decode", "opened", "sample", "synthesize"]

VARIABLE = "TTS_ENGINE"
_LOCK = threading.Lock()
_MODELS: dict[tuple[str, str | None], F5Model] = {}


def opened(engine: str | os.PathLike[str] | None = None, backend: str | None = None) -> F5Model:
    """Returns the model of an engine, which stays open until `close`.

    Args:
        engine: its folder; None: TTS_ENGINE of the environment.
        backend: as for `F5Model`.

    Raises:
        ConfigError: no engine was named, or as `F5Model`.
    """
    from ttsrt_rt.f5.model import F5Model

    given = engine if engine is not None else os.environ.get(VARIABLE)
    if not given:
        raise ConfigError(f"engine: expected a folder, or one in {VARIABLE}, got none")
    key = (os.path.realpath(os.fspath(given)), backend)
    with _LOCK:
        if key not in _MODELS:
            _MODELS[key] = F5Model(given, backend=backend)
        return _MODELS[key]


@atexit.register
def close() -> None:
    """Closes all engines that `opened` keeps open."""
    with _LOCK:
        models = list(_MODELS.values())
        _MODELS.clear()
    for model in models:
        model.close()


def sample(
    cond: npt.ArrayLike,
    text: Texts,
    duration: int | npt.ArrayLike,
    *,
    engine: str | os.PathLike[str] | None = None,
    backend: str | None = None,
    **options: Any,
) -> tuple[Floats, None]:
    """Makes spectrograms; see `F5Model.sample` for the options and `opened` for the engine."""
    return opened(engine, backend).sample(cond, text, duration, **options)


def decode(
    mel: npt.ArrayLike,
    *,
    engine: str | os.PathLike[str] | None = None,
    backend: str | None = None,
) -> Floats:
    """Turns spectrograms into sound; see `F5Model.decode`, and `opened` for the engine."""
    return opened(engine, backend).decode(mel)


def synthesize(
    text: str,
    ref_audio_path: str | os.PathLike[str] | bytes | Sound,
    ref_text: str,
    *,
    engine: str | os.PathLike[str] | None = None,
    backend: str | None = None,
    **options: Any,
) -> Speech:
    """Speaks a text; see `F5Model.synthesize` for the options and `opened` for the engine."""
    return opened(engine, backend).synthesize(text, ref_audio_path, ref_text, **options)


def __getattr__(name: str) -> Any:
    if name not in ("F5Model", "Speech"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ttsrt_rt.f5 import model

    return getattr(model, name)
