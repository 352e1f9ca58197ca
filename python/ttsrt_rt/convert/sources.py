"""Finds the checkpoint that a path of the user means, or says which file to pass instead.

People have a `.nemo`, a folder with one inside, a folder it was unpacked into, or a snapshot in the
cache of Hugging Face. A folder with exactly one checkpoint stands for that checkpoint. Snapshots of
Chatterbox have several models beside each other: `t3_cfg.safetensors`, `t3_mtl23ls_v3.safetensors`,
some of them as `.pt` too; the S3Gen beside them stands for its folder only where no other model
does. F5-TTS names its files by updates: `model_1250000.safetensors`. IndicF5 is a folder of
`config.json` and `model.safetensors`, a Vocos one of `config.yaml` and its weights, and a language
model one of `config.json` and weights in one file or in shards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ttsrt_rt.convert.llm_names import hint_of_foreign_llm, is_llm_folder
from ttsrt_rt.convert.nemo_archive import CONFIG, WEIGHTS
from ttsrt_rt.convert.nemo_folder import is_nemo_folder
from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import list_names

__all__ = ["find_source", "find_yaml", "is_fork_folder", "is_vocos_folder", "refuse_ours"]

MAX_ENTRIES = 10_000
ENDINGS = (".nemo", ".ckpt")
T3_FILE = re.compile(r"t3_.+\.(?:safetensors|pt)")
S3GEN_FILE = re.compile(r"s3gen(?:_.+)?\.(?:safetensors|pt)")
F5_FILE = re.compile(r"model_(?:\d+|last|best)\.(?:safetensors|pt)")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # a path has lost the second slash
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
VOCOS_CONFIG, VOCOS_WEIGHTS = "config.yaml", ("pytorch_model.bin", "model.safetensors")
FOREIGN_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json")


def is_fork_folder(path: Path) -> bool:
    """Whether a folder has the two components of the TensorRT-LLM fork's layout."""
    return all((path / part / "config.json").is_file() for part in ("encoder", "decoder"))


def is_vocos_folder(path: Path) -> bool:
    """Whether a folder has the files of a Vocos vocoder."""
    return (path / VOCOS_CONFIG).is_file() and any(
        (path / name).is_file() for name in VOCOS_WEIGHTS
    )


def _is_indic_folder(path: Path) -> bool:
    """Whether a folder is a release of IndicF5, as its config.json says or, without one, the place
    of its vocabulary.
    """
    if not (path / "model.safetensors").is_file():
        return False
    if not (path / "config.json").is_file():
        return (path / "checkpoints" / "vocab.txt").is_file()
    try:
        config = read_json(path / "config.json")
    except (ConfigError, FormatError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "inf5"


def find_source(path: Path) -> Path:
    """Returns the file to read, or a folder that is a checkpoint itself: an unpacked `.nemo`, a
    Vocos, a language model, or one in the layout of the TensorRT-LLM fork.

    Raises:
        ConfigError: the path does not exist, or is a folder without a checkpoint or with several;
            the message names what is there.
    """
    try:
        is_name = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # some surrogates stand for bytes that are not UTF-8, not all
        is_name = False
    if not is_name:
        raise ConfigError(
            f"{str(path)!r}: expected a readable file, got a name that no file can have"
        )
    if not path.exists():
        if path.is_symlink():
            raise NotFoundError(
                f"{path}: expected a checkpoint, got a link to {os.readlink(path)}, which does not "
                "exist"
            )
        raise NotFoundError(
            f"{path}: expected a checkpoint, got no file or folder of this name "
            f"(No such file or directory){_hint_of_elsewhere(str(path))}"
        )
    if not path.is_dir():
        is_part = path.name in (CONFIG, WEIGHTS) and is_nemo_folder(path.parent)
        return path.parent if is_part else path
    if is_fork_folder(path) or is_nemo_folder(path) or is_vocos_folder(path):
        return path
    refuse_ours(path)
    if _is_indic_folder(path):
        return path / "model.safetensors"
    if (path / "snapshots").is_dir():
        return find_source(_find_snapshot(path))
    names = _entries(path)
    found = [name for name in names if name.endswith(ENDINGS) and name != WEIGHTS]
    found += _model_files(names)
    found = found or _without_copies(names, S3GEN_FILE)
    if len(found) == 1 and (path / found[0]).is_file():
        return path / found[0]
    if not found and is_llm_folder(path):
        return path
    if len(found) > 1:
        raise ConfigError(
            f"{path}: expected a folder with one {', '.join(ENDINGS)}, t3_*, s3gen* or model_* "
            f"file, got {len(found)}; pass one of them: {list_names(found)}"
        )
    raise ConfigError(
        f"{path}: expected a checkpoint of a known family, got a folder {_describe(path, names)}"
    )


def find_yaml(path: Path) -> Path:
    """Returns the YAML file in the folder of a `.ckpt`.

    Raises:
        ConfigError: there is none.
    """
    names = [f"{path.stem}.hparams.yaml", f"{path.stem}.yaml", "hparams.yaml"]
    for name in names:
        if (path.parent / name).is_file():
            return path.parent / name
    raise ConfigError(
        f"{path}: expected its configuration in the same folder ({', '.join(names)}) or as config="
    )


def _model_files(names: Sequence[str]) -> list[str]:
    """Returns the models of T3 and F5-TTS among the names of files, without a `.pt` that is there
    as `.safetensors`, too.
    """
    return _without_copies(names, T3_FILE) + _without_copies(names, F5_FILE)


def _without_copies(names: Sequence[str], kind: re.Pattern[str]) -> list[str]:
    """Returns the names of a kind, without a `.pt` that is there as `.safetensors`, too."""
    found = [name for name in names if kind.fullmatch(name)]
    safe = {name.removesuffix(".safetensors") for name in found if name.endswith(".safetensors")}
    return [name for name in found if not name.endswith(".pt") or name[:-3] not in safe]


def _hint_of_elsewhere(name: str) -> str:
    """Returns what to do with an address, or a name that may be one of a model hub."""
    if ADDRESS.match(name):
        return "; nothing is downloaded here: download it first, and pass the file"
    if HUB_NAME.fullmatch(name) and not name.endswith(ENDINGS):
        return (
            "; if it is a model on Hugging Face, download it first: hf download "
            f"{name} --local-dir FOLDER, and pass FOLDER"
        )
    return ""


def refuse_ours(path: Path) -> None:
    """Refuses what `convert` and `build` wrote, and says what it is for."""
    if (path / "engine.json").is_file():
        raise ConfigError(
            f"{path}: expected a checkpoint to convert, got an engine; `ttsrt run {path}` runs it"
        )
    if not (path / "config.json").is_file() or not (path / "model.safetensors").is_file():
        return
    try:
        config = read_json(path / "config.json")
    except (ConfigError, FormatError):
        return
    if isinstance(config, dict) and config.get("format") == "ttsrt.checkpoint":
        raise ConfigError(
            f"{path}: expected a checkpoint to convert, got one that was converted; the next step "
            f"is `ttsrt build --checkpoint_dir {path} --output_dir ENGINE`"
        )


def _find_snapshot(path: Path) -> Path:
    """Returns the snapshot of a model in the cache of Hugging Face: the one that `main` names, or
    the only one.
    """
    names = _entries(path / "snapshots")
    try:
        main = (path / "refs" / "main").read_bytes()[:100].decode("ascii", "replace").strip()
    except OSError:
        main = ""
    if main in names:
        return path / "snapshots" / main
    if len(names) != 1:
        raise ConfigError(
            f"{path}: expected a cached model with one snapshot, got {list_names(names)} in "
            "snapshots; pass the folder of one"
        )
    return path / "snapshots" / names[0]


def _describe(path: Path, names: Sequence[str]) -> str:
    """Returns what a folder without a checkpoint has instead."""
    if CONFIG in names or WEIGHTS in names or "model_weights" in names:
        missing = WEIGHTS if CONFIG in names else CONFIG
        more = ""
        if (path / "model_weights").is_dir():
            more = "; distributed checkpoints (the folder model_weights) are not supported"
        return f"of an unpacked .nemo without {missing}{more}"
    told = hint_of_foreign_llm(names)
    if told is not None:
        return f"with {told}"
    foreign = [name for name in FOREIGN_WEIGHTS if name in names]
    if foreign:
        return (
            f"with {foreign[0]}, which is not a .nemo, a .ckpt, a t3_*.safetensors, a "
            "model_*.safetensors or a folder of the TensorRT-LLM fork, IndicF5, Vocos or a "
            "language model (whose config.json has a model_type)"
        )
    inside = _candidates(path, names)
    if inside:
        return f"without one; pass one of those inside: {list_names(inside)}"
    return (
        "without one: no .nemo, no .ckpt, no t3_*, s3gen* or model_*.safetensors, no "
        "model_config.yaml, no encoder/config.json; it has "
        f"{list_names(names, 'nothing')}"
    )


def _candidates(path: Path, names: Sequence[str]) -> list[str]:
    """Returns checkpoints one level below."""
    found: list[str] = []
    for name in names[:100]:
        folder = path / name
        if not folder.is_dir():
            continue
        if is_nemo_folder(folder) or is_fork_folder(folder) or (folder / "snapshots").is_dir():
            found.append(name)
        inner = _entries(folder)
        found += [f"{name}/{each}" for each in inner if each.endswith(ENDINGS)]
        found += [f"{name}/{each}" for each in _model_files(inner)]
    return found


def _entries(folder: Path) -> list[str]:
    """Returns the names in a folder, sorted; of a large folder, only some."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry, _ in zip(entries, range(MAX_ENTRIES), strict=False))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read ({error.strerror})") from error
