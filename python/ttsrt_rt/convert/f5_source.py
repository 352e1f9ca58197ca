"""Opens the files of F5-TTS: which of a file's tensors are the network, and which a vocoder.

Training writes averaged weights (EMA) beside the trained ones. A `.pt` has them as the entries
`ema_model_state_dict` and `model_state_dict`, or is one of the two itself; a `.safetensors` has
one of them flat, the averages under names that begin with `ema_model.`. Wrappers of the
network (`ema_model.`, `_orig_mod.` of torch.compile, `model.`) are removed from the front of names.
IndicF5's file has a Vocos below `vocoder.`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.pickle_values import Dict, TensorRef, describe
from ttsrt_rt.convert.torch_zip import MAX_TENSORS, TorchFile
from ttsrt_rt.errors import ConfigError, Error, FormatError
from ttsrt_rt.quoting import list_names, quote

__all__ = ["F5Source", "looks_like_f5", "split_names"]

EMA, TRAINED = "ema_model_state_dict", "model_state_dict"
WRAPPERS = frozenset({"ema_model", "model", "module", "_orig_mod"})
NETWORK, VOCODER = "transformer", "vocoder"
# Counters of the average, and buffers of the spectrogram that older versions stored.
DROPPED = ("initted", "step", "update", "mel_spec.")
TOLD_BY = "input_embed.conv_pos_embed.conv1d.0.weight"


@dataclass(frozen=True)
class F5Names:
    """The tensors of a file, by names without wrappers.

    Attributes:
        network: of the diffusion transformer, without `transformer.`.
        vocoder: of the vocoder in the same file, without `vocoder.`; empty without one.
        is_averaged: whether the names say that these are averaged weights.
    """

    network: dict[str, LazyTensor]
    vocoder: dict[str, LazyTensor]
    is_averaged: bool


def split_names(tensors: Mapping[str, LazyTensor]) -> F5Names:
    """Sorts the tensors of a file.

    Raises:
        FormatError: two names are the same without wrappers, or a name belongs to neither part.
    """
    made = F5Names({}, {}, any(name.startswith("ema_model.") for name in tensors))
    others: list[str] = []
    for name, tensor in tensors.items():
        parts = name.split(".")
        while len(parts) > 1 and parts[0] in WRAPPERS:
            del parts[0]
        root, inner = parts[0], parts[1:]
        while len(inner) > 1 and inner[0] == "_orig_mod":
            del inner[0]
        short = ".".join(inner)
        if root not in (NETWORK, VOCODER) or not inner:
            if not ".".join(parts).startswith(DROPPED):
                others.append(name)
            continue
        part = made.network if root == NETWORK else made.vocoder
        if short in part:
            raise FormatError(
                f"{quote(name)}: expected a name of its own, got {quote(short)} twice without "
                "wrappers"
            )
        part[short] = tensor
    if others:
        raise FormatError(f"{len(others)} unexpected tensors: {list_names(others)}")
    if not made.network:
        raise FormatError(
            f"expected tensors of F5-TTS, transformer.*, got {list_names(tensors, 'none')}"
        )
    return made


class F5Source:
    """The tensors of one file; a context manager that keeps it open.

    Attributes:
        tensors: by the names of the file.
        entry: the entry of a `.pt` that was read; empty for the file's top.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, root: str | None, use_ema: bool | None
    ) -> None:
        """Opens a file.

        Args:
            path: the `.safetensors` or `.pt`.
            root: the entry of a `.pt` with the weights; None finds it.
            use_ema: whether to take the averaged weights of a `.pt`; None: where there are some.

        Raises:
            ConfigError: the file does not exist, or has no such weights.
            FormatError: the file is damaged or holds anything but data.
        """
        self._path = Path(path)
        file = FileBytes.open(path)
        self._close = file.close
        self.entry = ""
        self.tensors: Mapping[str, LazyTensor]
        try:
            if file.all.read(0, 4) != b"PK\x03\x04":
                file.close()
                weights = open_weights(path, root=root)
                self._close = weights.close
                self.tensors = weights
                return
            archive = TorchFile(file.all, self._path.name)
            state, self.entry = self._choose(archive.top, root, use_ema)
            self.tensors = self._read(archive, state)
        except BaseException:
            self._close()
            raise

    def _choose(self, top: object, root: str | None, use_ema: bool | None) -> tuple[Dict, str]:
        """Returns the dict of the weights and its name."""
        where = self._path.name
        if not isinstance(top, Dict):
            raise FormatError(f"{where}: expected a dict of tensors, got {describe(top)}")
        if root is not None:
            wanted = [root]
        elif use_ema is None:
            wanted = [EMA, TRAINED]
        else:
            wanted = [EMA if use_ema else TRAINED]
        for name in wanted:
            if isinstance(found := top.items.get(name), Dict):
                return found, name
        has_entries = any(isinstance(top.items.get(name), Dict) for name in (EMA, TRAINED))
        if root is None and not has_entries:
            return top, ""
        raise ConfigError(
            f"{where}: expected weights at {' or '.join(wanted)}, got the entries "
            f"{list_names(top.items, is_quoted=True)}"
        )

    def _read(self, archive: TorchFile, state: Dict) -> dict[str, LazyTensor]:
        where = f"{self._path.name}: {self.entry or 'state dict'}"
        if len(state.items) > MAX_TENSORS or state.num_others:
            raise FormatError(f"{where}: expected at most {MAX_TENSORS} tensors with text keys")
        return {
            name: archive.tensor(name, value, f"{where}[{quote(name)}]")
            for name, value in state.items.items()
            if isinstance(value, TensorRef) or name.split(".")[-1] not in DROPPED
        }

    def __enter__(self) -> F5Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()


def looks_like_f5(path: Path) -> bool:
    """Whether this converter accepts `path`: a file with the tensors of F5-TTS's network."""
    if path.is_dir():
        return False
    try:
        with F5Source(path, root=None, use_ema=None) as source:
            return any(name.endswith(TOLD_BY) for name in source.tensors)
    except Error:
        return False  # the reader of another family says what is wrong
