"""Engines made from checkpoints once and kept: what `Executor.from_checkpoint` opens.

The cache is a folder. An engine's name in it is a hash of the contents of the checkpoint's files,
those of its codec among them, of the options and of this version, so that a changed checkpoint
makes a new engine. A file is
hashed once: `files/` keeps the hash under the file's place, size, times and inode.

Whoever makes an engine holds a lock that ends with its process, works in a folder of its own, and
renames the finished engine into place. A killed process leaves a working folder that the next one
removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from ttsrt_rt.cache_folder import VARIABLE, cache_folder
from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.options import BuildOptions, CheckpointOptions, DType, check_names, dtype_name
from ttsrt_rt.options import path_of as _path_of
from ttsrt_rt.regular_file import open_regular

if TYPE_CHECKING:
    from ttsrt_rt import _core
    from ttsrt_rt.progress import Progress

__all__ = ["cached_engine", "run_options"]

LOGGER = logging.getLogger(__name__)

MAX_FILES = 10_000  # of a checkpoint
CONVERT_OPTIONS = (
    "config",
    "generation",
    "encoder_causal",
    "codebook_size",
    "frame_rate",
    "cross_heads",
    "root",
    "variant",
    "heads",
    "conds",
    "voice_encoder",
    "sound",
    "vocab",
    "vocoder",
    "use_ema",
    "tokenizer",
    "allow_long",
    "front_end",
    "text_files",
    "dictionaries",
)
_PATH_OPTIONS = ("config", "conds", "voice_encoder", "vocab", "vocoder", "text_files")
_SOUND = "sound"  # a path, or whether what is beside the source is taken
_DICTIONARIES = "dictionaries"  # files by their names
_CODEC = "codec"  # a checkpoint of its own, which is converted as the first one is
# What converters take from the folder of a source without being told.
_BESIDE = (
    *("hparams.yaml", "conds.pt", "ve.safetensors", "ve.pt", "vocab.txt", "checkpoints/vocab.txt"),
    "config.json",
    *("tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json"),
)
SETTLED_NS = 2_000_000_000  # a file that changed since may change again without another time


def run_options(options: CheckpointOptions) -> dict[str, Any]:
    """The options of `from_checkpoint` that are an executor's."""
    made = {*CONVERT_OPTIONS, *BuildOptions.__annotations__, _CODEC}
    return {name: value for name, value in options.items() if name not in made}


def cached_engine(
    source: str | os.PathLike[str],
    options: CheckpointOptions,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: Progress = True,
) -> _core.Engine:
    """Opens the engine of a checkpoint; makes it first if it is not in the cache.

    Args:
        source: What `convert` reads, or a checkpoint that it wrote.
        options: Those of the conversion and the build count.
        cache_dir: See `cache_folder`.
        progress: As `convert` and `build` take it: True shows bars on a terminal.

    Raises:
        ConfigError, FormatError: As `convert` and `build`; or the cache cannot be written.
    """
    from ttsrt_rt import _core
    from ttsrt_rt.native_request import check_run_options

    check_names("from_checkpoint", options, CheckpointOptions.__annotations__)
    check_run_options(run_options(options))
    path, settings = _found(_path_of(source, "path")), _settings(options)
    given = [name for name in CONVERT_OPTIONS if name in settings]
    if given and _is_converted(path):
        raise ConfigError(f"{given[0]}: expected none, because {path} is converted already")
    cache = cache_folder(cache_dir)
    files = _files_of(path, settings)
    with _told(cache):
        (cache / "files").mkdir(parents=True, exist_ok=True)
        key = _key(cache, files, settings, progress)
        stem = "".join(c if c.isalnum() and c.isascii() else "-" for c in path.resolve().stem)[:40]
        engine = cache / f"{stem}-{key}"
        with contextlib.suppress(NotFoundError, FormatError):
            return _core.Engine.open(engine)
        with _locked(cache / f"{key}.lock"):
            # Another process may have made it meanwhile. What cannot be opened is made again.
            with contextlib.suppress(NotFoundError, FormatError):
                return _core.Engine.open(engine)
            _remove_leftovers(cache)
            work = cache / f"{key}.work"
            try:
                _make(path, work, settings, progress)
                if _key(cache, _files_of(path, settings), settings, False) != key:
                    raise FormatError(f"{path}: changed while its engine was made; try again")
                shutil.rmtree(engine, ignore_errors=True)  # one that could not be opened
                (work / "engine").rename(engine)
            finally:
                shutil.rmtree(work, ignore_errors=True)
            LOGGER.info("%s: made from %s", engine, path)
    return _core.Engine.open(engine)


def _settings(options: CheckpointOptions) -> dict[str, Any]:
    """The options that decide what the engine is, without those that are None."""
    names = (*CONVERT_OPTIONS, *BuildOptions.__annotations__, _CODEC)
    settings = {
        name: value for name, value in options.items() if name in names and value is not None
    }
    if "dtype" in settings:
        settings["dtype"] = dtype_name(settings["dtype"], "dtype", get_args(DType))
    for name in (*_PATH_OPTIONS, _SOUND):
        if name in settings and not isinstance(settings[name], bool):
            settings[name] = os.fspath(_path_of(settings[name], name))
    given = options.get("dictionaries")
    if given is not None:
        settings[_DICTIONARIES] = {
            name: os.fspath(_path_of(path, _DICTIONARIES)) for name, path in given.items()
        }
    if _CODEC in settings:
        settings[_CODEC] = _found(_path_of(settings[_CODEC], _CODEC))
    return settings


def _files_of(path: Path, settings: Mapping[str, Any]) -> dict[str, Path]:
    """The files whose contents decide what the engine is, by a name that is part of the key."""
    files: dict[str, Path] = {}
    if _CODEC in settings:
        of_codec = _files_of(settings[_CODEC], {})
        files |= {f"{_CODEC}={name}": file for name, file in of_codec.items()}
    if path.is_dir():
        for folder, _, names in os.walk(path, followlinks=True):
            for name in sorted(names):
                file = Path(folder, name)
                files[file.relative_to(path).as_posix()] = file
                if len(files) > MAX_FILES:
                    raise ConfigError(f"{path}: expected at most {MAX_FILES} files, got more")
    else:
        files[""] = path
        for name in (f"{path.stem}.hparams.yaml", f"{path.stem}.yaml", *_BESIDE):
            if path.suffix != ".nemo" and (path.parent / name).is_file():
                files[name] = path.parent / name
        files |= {each.name: each for each in _sounds_beside(path)}
    for name in (*_PATH_OPTIONS, _SOUND):
        if name not in settings or isinstance(settings[name], bool):
            continue
        given = Path(settings[name])
        if given.is_dir():  # of a vocoder, of dictionaries
            files |= {f"{name}={each.name}": each for each in given.iterdir() if each.is_file()}
        else:
            files[f"{name}="] = given
    for name, file in settings.get(_DICTIONARIES, {}).items():
        files[f"{_DICTIONARIES}={name}"] = Path(file)
    return files


def _sounds_beside(path: Path) -> list[Path]:
    """The files beside a T3 that make sound of its tokens."""
    from ttsrt_rt.convert.sources import S3GEN_FILE, T3_FILE

    if not T3_FILE.fullmatch(path.name):
        return []
    return [each for each in path.parent.iterdir() if S3GEN_FILE.fullmatch(each.name)]


def _found(path: Path) -> Path:
    """The checkpoint that a path means; one of ours is itself, and a file of a language model
    stands for its folder.
    """
    from ttsrt_rt.convert.llm_names import is_llm_part
    from ttsrt_rt.convert.sources import find_source

    if _is_converted(path):
        return path
    found = find_source(path)
    return found.parent if found.is_file() and is_llm_part(found) else found


def _is_converted(path: Path) -> bool:
    """Whether it is a checkpoint of ours, which is only built."""
    from ttsrt_rt.convert.checkpoint import read_config

    try:
        read_config(path)
    except FormatError:
        return False
    return True


def _key(
    cache: Path, files: Mapping[str, Path], settings: Mapping[str, Any], progress: Progress
) -> str:
    from ttsrt_rt import __version__
    from ttsrt_rt.convert.checkpoint import FORMAT_VERSION

    contents = {name: _file_hash(cache, files[name], progress) for name in sorted(files)}
    rest = {name: value for name, value in settings.items() if name not in ("config", _CODEC)}
    text = json.dumps([__version__, FORMAT_VERSION, contents, rest], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _file_hash(cache: Path, path: Path, progress: Progress) -> str:
    """The SHA-256 of a file: the one that was kept, if the file is still the same."""
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        descriptor = file.fileno()
        place = _identity(path, os.fstat(descriptor))
        kept = (
            cache / "files" / hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()
        )
        with contextlib.suppress(OSError):
            value = kept.read_text("ascii")
            if len(value) == 64:
                return value
        value = _hash(descriptor, path.name, progress)
        after = os.fstat(descriptor)
    changed = max(after.st_mtime_ns, after.st_ctime_ns)
    if _identity(path, after) == place and time.time_ns() - changed > SETTLED_NS:
        part = kept.with_name(f"{kept.name}.{secrets.token_hex(8)}.part")  # of this call
        part.write_text(value, "ascii")
        part.replace(kept)
    return value


def _identity(path: Path, status: os.stat_result) -> str:
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return f"{path.resolve()}\n{numbers}"


def _hash(descriptor: int, name: str, progress: Progress) -> str:
    from tqdm import tqdm

    digest = hashlib.sha256()
    size = os.fstat(descriptor).st_size
    hidden = None if progress is True else True  # None: shown on a terminal
    with tqdm(
        total=size, desc=f"hash {name}"[:40], unit="B", unit_scale=True, disable=hidden
    ) as bar:
        while block := os.read(descriptor, 1 << 22):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


@contextlib.contextmanager
def _told(cache: Path) -> Iterator[None]:
    """A folder that cannot be written is an error that names it and how to choose another."""
    try:
        yield
    except OSError as error:
        if isinstance(error, ConfigError):  # a NotFoundError is both
            raise
        raise ConfigError(
            f"{error.filename or cache}: {error.strerror or error}; the cache of engines is "
            f"{cache}, choose another with cache_dir= or {VARIABLE}"
        ) from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the lock of a file, which ends with the process. The file stays."""
    descriptor = _open_lock(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            LOGGER.info("%s: another process makes this engine; waiting for it", path)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _remove_leftovers(cache: Path) -> None:
    """Removes the working folders of processes that were killed: nobody holds their locks."""
    for work in cache.glob("*.work"):
        descriptor = os.open(
            work.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(work, ignore_errors=True)
        finally:
            os.close(descriptor)


def _make(source: Path, work: Path, settings: Mapping[str, Any], progress: Progress) -> None:
    """Converts, and builds `work`/engine. The caller holds the lock of `work` and removes it."""
    from ttsrt_rt.build import build
    from ttsrt_rt.convert import convert

    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    checkpoint = source
    if not _is_converted(source):
        given = {name: settings[name] for name in CONVERT_OPTIONS if name in settings}
        checkpoint = convert(source, work / "checkpoint", progress=progress, **cast(Any, given))
    given = {name: settings[name] for name in BuildOptions.__annotations__ if name in settings}
    if _CODEC in settings:
        codec = settings[_CODEC]
        is_ready = _is_converted(codec)
        given["codec_dir"] = (
            codec if is_ready else convert(codec, work / "codec", progress=progress)
        )
    build(checkpoint, work / "engine", progress=progress, **cast(Any, given))
