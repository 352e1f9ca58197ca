"""The engine that speaks where nobody named one: a random model with a random codec, made once.

Its weights are random, so what it says is noise of the right length. It shows that everything from
text to sound works on this machine.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path

from ttsrt_rt import __version__, _core
from ttsrt_rt.build import build
from ttsrt_rt.cache_folder import cache_folder
from ttsrt_rt.convert import convert
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.synth import write_random_codec, write_random_nemo
from ttsrt_rt.writing import writing

__all__ = ["demo_seconds", "demo_speech_engine"]

_LOG = logging.getLogger(__name__)
_SIZE = "mid"
_SECONDS_A_WORD = 0.4
_MAX_SECONDS = 30.0
_MAKERS = ("demo_speech.py", "build.py", "synth", "convert")  # of this package, with the library


def demo_speech_engine(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Returns the folder of the engine, which is made the first time and kept.

    Several processes may make it at once; one is kept.

    Args:
        cache_dir: As for `Executor.from_checkpoint`.

    Raises:
        ConfigError, CapacityError: The folder can't be written.
    """
    folder = cache_folder(cache_dir)
    stem = f"demo-speech-{_SIZE}-{__version__}"
    engine = folder / f"{stem}-{_makers_hash(Path(__file__).parent, Path(_core.__file__))}"
    if (engine / "engine.json").is_file():
        return engine
    _LOG.info("making the demo's engine: %s", engine)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".demo-", dir=folder))
    try:
        nemo = write_random_nemo(made / "demo.nemo", _SIZE, seed=7)
        codec = write_random_codec(made / "codec.nemo", _SIZE, seed=7)
        checkpoint = convert(nemo, made / "checkpoint", progress=False)
        codec_checkpoint = convert(codec, made / "codec", progress=False)
        build(checkpoint, made / "engine", codec_dir=codec_checkpoint, progress=False)
        try:
            os.rename(made / "engine", engine)
        except OSError as error:
            if not (engine / "engine.json").is_file():  # else another process was earlier
                raise ConfigError(
                    f"{engine}: expected a folder that can be made: {error.strerror}"
                ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    for old in folder.glob(f"{stem}*"):  # of another build of this version
        if old != engine:
            shutil.rmtree(old, ignore_errors=True)
    return engine


def _makers_hash(package: Path, library: Path) -> str:
    """The hash of what makes the engine, so that one that older sources made is made anew.

    Args:
        package: The folder of this package.
        library: The compiled module.
    """
    found = [package / name for name in _MAKERS]
    files = [each for path in found for each in ([path] if path.is_file() else path.glob("*.py"))]
    digest = hashlib.sha256()
    for file in [*sorted(files), library]:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def demo_seconds(text: str) -> float:
    """How long the demo speaks: a random model has no end of speech of its own."""
    return min(_MAX_SECONDS, 1.0 + _SECONDS_A_WORD * len(text.split()))
