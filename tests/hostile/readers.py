"""Reads one file to its end, as users of the package do, and says how that ended."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ttsrt_rt.array_file import NpzFile, read_npy
from ttsrt_rt.audio import read_audio
from ttsrt_rt.cli.files import load_array
from ttsrt_rt.cli.say_rows import read_rows
from ttsrt_rt.convert import open_weights
from ttsrt_rt.convert.f5_config import read_f5_config
from ttsrt_rt.convert.f5_source import F5Source, split_names
from ttsrt_rt.convert.f5_vocab import read_vocab
from ttsrt_rt.convert.llm_config import read_llm_config
from ttsrt_rt.convert.llm_front_end import eos_of_tokenizer
from ttsrt_rt.convert.llm_generation import read_defaults, read_generation, read_stop_ids
from ttsrt_rt.convert.llm_quantization import read_quantization
from ttsrt_rt.convert.pickle_machine import read_pickle
from ttsrt_rt.convert.t3_voice import read_conds
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.errors import ConfigError, Error, FormatError
from ttsrt_rt.text import LlmTokenizer
from ttsrt_rt.text.lexicon import read_lexicon
from ttsrt_rt.text.ssml import parse_ssml
from ttsrt_rt.voice_file import read_voice

__all__ = ["outcome"]

MAX_MESSAGE = 700


def read_weights(path: Path) -> None:
    """Reads all names, tensors and artifacts."""
    with open_weights(path) as weights:
        for tensor in weights.values():
            assert tensor.read().shape == tensor.shape
        if weights.kind == "nemo":
            walk(weights.config)
            for name in weights.artifacts:
                weights.artifact(name)


def read_yaml(path: Path) -> None:
    """Reads all values; a reference that leads nowhere is an error only where it is read."""
    walk(Config.load(path))


def walk(config: Config) -> None:
    """Reads every value of a configuration."""
    for name in config:
        try:
            value = config[name]
        except ConfigError:
            continue
        if isinstance(value, Config):
            walk(value)


def read_npz(path: Path) -> None:
    """Reads every array."""
    dict(NpzFile(path))


def read_f5(path: Path) -> None:
    """Sorts the tensors of a file of F5-TTS and reads them."""
    with F5Source(path, root=None, use_ema=None) as source:
        names = split_names(source.tensors)
        for tensor in (*names.network.values(), *names.vocoder.values()):
            assert tensor.read().shape == tensor.shape


def read_flags(path: Path) -> None:
    """Reads a configuration of F5-TTS and its flags."""
    config = read_f5_config(path)
    config.flags(text_mask_padding=True, rope_heads=0)
    config.check_sizes({"dim": 64, "ff_mult": 2.0})


def read_ssml(path: Path) -> None:
    """Parses marked-up text; the parts of the speech are its text."""
    speech = parse_ssml(path.read_bytes().decode("utf-8", "surrogateescape"))
    assert len(speech.origins) == len(speech.text)
    for chunk in speech.chunks:
        for part in chunk.parts:
            assert speech.text[part.begin : part.end] == part.shown


def read_table(path: Path) -> None:
    """Reads all rows of texts; a row that can't be read says so."""
    for row in read_rows(str(path)):
        assert row.error is None or (row.error and not row.text)


def read_llm(path: Path) -> None:
    """Reads a configuration of a language model, its quantization and its defaults."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("config.json", "generation_config.json"):
            shutil.copy(path, Path(folder, name))
        config = read_llm_config(Path(folder))
        read_quantization(Path(folder), config.fields)
        generation = read_generation(Path(folder))
        read_defaults(generation, config)
        read_stop_ids(generation, config, config.vocab, None)


def read_tokenizer(path: Path) -> None:
    """Reads the tokenizer of a language model and uses it."""
    files = {"tokenizer.json": path.read_bytes()}
    eos_of_tokenizer(files, path.name)
    tokenizer = LlmTokenizer(files, path.name)
    for number in tokenizer.encode("A river, caf\u00e9"):
        tokenizer.bytes_of(number)


READERS: dict[str, Callable[[Path], Any]] = {
    "torch": read_weights,
    "nemo": read_weights,
    "nemo.gz": read_weights,
    "safetensors": read_weights,
    "yaml": read_yaml,
    "json": lambda path: load_array(str(path)),
    "npy": read_npy,
    "npz": read_npz,
    "voice": read_voice,
    "conds": lambda path: read_conds(path, ["english"]),
    "wav": read_audio,
    "vocab": read_vocab,
    "f5": read_f5,
    "arch": read_flags,
    "ssml": read_ssml,
    "lexicon": read_lexicon,
    "csv": read_table,
    "jsonl": read_table,
    "llm": read_llm,
    "tokenizer": read_tokenizer,
    "pickle": lambda path: read_pickle(path.read_bytes(), path.name),
}


def outcome(kind: str, data: bytes, folder: Path) -> str:
    """Reads a file of these bytes; returns "read" or the error.

    Raises:
        AssertionError: the error is not of the package's kinds, quotes too much, or the reader left
            a file behind. Other exceptions of the reader are passed on.
    """
    path = folder / f"x.{kind.partition('.')[0]}"
    path.write_bytes(data)
    found = "read"
    try:
        READERS[kind](path)
    except Error as error:
        assert isinstance(error, (ConfigError, FormatError)), type(error)
        found = f"{type(error).__name__}: {error}"
        assert len(found) < MAX_MESSAGE, found
        assert all(letter.isprintable() for letter in found), found
    path.unlink()
    left = os.listdir(folder)
    assert not left, left
    return found
