"""What a run of `quantize_awq` has done so far, in a folder of its own beside the output folder, so
that a run that was stopped goes on at the layer where it stopped.

    state.json              the format, what must be equal to go on, the layers done, their losses
    layer_0000.safetensors  the packed tensors of a layer
    0000.rows               the inputs of the next layer: float32 [blocks, ids, dim], little-endian

Rows are read and written one block at a time. A folder without our state.json, or with other files
in it, is never touched.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from ttsrt_rt.convert import open_weights
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.errors import ConfigError, Error, FormatError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.llm.awq_layer import Floats
from ttsrt_rt.writing import write_text, writing

__all__ = ["NextRows", "SiteLoss", "Work"]

LOGGER = logging.getLogger(__name__)

FORMAT = "ttsrt.awq_work"
STATE = "state.json"
OWN_NAMES = re.compile(
    r"layer_\d{4}\.safetensors|\d{4}\.rows|state\.json|\.(layer_|ttsrt-)[\w.-]+\.tmp"
)
MAX_STATE_BYTES = 16 << 20


@dataclass(frozen=True)
class SiteLoss:
    """What a search found for layers that share their inputs.

    Attributes:
        layer: of the model.
        site: "attn_in", "attn_out", "mlp_in", "mlp_out" or "block_in".
        ratio: of the scales, in twentieths; -1 for rounding without scales.
        loss: mean squared error of what the layers are for.
        plain_loss: the same of rounding without scales.
    """

    layer: int
    site: str
    ratio: int
    loss: float
    plain_loss: float


class NextRows:
    """Takes the rows of block after block; a context manager."""

    def __init__(self, path: Path) -> None:
        """Opens the file anew."""
        self._path = path
        with writing(path):
            self._file: BinaryIO = path.open("wb")

    def add(self, rows: Floats) -> None:
        """Writes the rows of one more block, float32 [ids, dim].

        Raises:
            CapacityError, DeviceError, ConfigError: it can't be written.
        """
        with writing(self._path):
            self._file.write(np.ascontiguousarray(rows, "<f4").tobytes())

    def __enter__(self) -> NextRows:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with writing(self._path):
            self._file.close()


class Work:
    """The folder with what is done."""

    def __init__(
        self, folder: Path, signature: str, num_layers: int, shape: tuple[int, int, int]
    ) -> None:
        """Chooses the folder; nothing is read yet.

        Args:
            folder: where.
            signature: what must be equal for a run to go on.
            num_layers: of the model.
            shape: of the rows: blocks, ids, dim.
        """
        self.folder = folder
        self._signature = signature
        self._total = num_layers
        self._shape = shape
        self.losses: list[SiteLoss] = []
        self.num_layers = 0

    def start(self, block_of: Callable[[int], Floats]) -> None:
        """Goes on with what is there, or begins anew.

        Args:
            block_of: the rows of a block in front of the first layer.

        Raises:
            ConfigError: there is something that is not the work of this function.
            CapacityError: the disk is full.
        """
        if os.path.lexists(self.folder):
            self._check_ownership()
            if self._goes_on():
                LOGGER.info("%s: %d layers are done already", self.folder, self.num_layers)
                return
            self.remove()
        self.num_layers, self.losses = 0, []
        with writing(self.folder):
            self.folder.mkdir(parents=True)
        self._save("")  # the folder is ours from here on
        with NextRows(self._rows(0)) as rows:
            for block in range(self._shape[0]):
                rows.add(block_of(block))
        self._save(self._signature)

    def rows(self) -> Iterator[Floats]:
        """Yields the inputs of the next layer, block by block: float32 [ids, dim].

        Raises:
            FormatError: the file is damaged.
        """
        path, count = self._rows(self.num_layers), self._shape[1] * self._shape[2]
        with path.open("rb") as file:
            for _ in range(self._shape[0]):
                block = np.fromfile(file, "<f4", count)
                if block.size != count:
                    raise FormatError(f"{path}: expected {count} values, got {block.size}")
                yield block.reshape(self._shape[1:])

    def next_rows(self) -> NextRows:
        """Takes the rows behind the next layer."""
        return NextRows(self._rows(self.num_layers + 1))

    def finish_layer(self, tensors: Mapping[str, Any]) -> None:
        """Keeps a layer, whose rows were written before."""
        path = self._layer(self.num_layers)
        made = {name: tensor_of_array(name, values) for name, values in tensors.items()}
        write_safetensors(path, made)
        before = self._rows(self.num_layers)
        self.num_layers += 1
        self._save(self._signature)
        before.unlink(missing_ok=True)

    def layer(self, number: int) -> Mapping[str, LazyTensor]:
        """The tensors of a layer that is done, still on disk.

        Raises:
            FormatError: the file is damaged.
        """
        return open_weights(self._layer(number))

    def remove(self) -> None:
        """Removes the folder; files that are not ours stay, and so does the folder then."""
        with writing(self.folder):
            for path in sorted(self.folder.iterdir(), key=lambda path: path.name == STATE):
                if OWN_NAMES.fullmatch(path.name):
                    path.unlink()
            self.folder.rmdir()

    def _layer(self, number: int) -> Path:
        return self.folder / f"layer_{number:04}.safetensors"

    def _rows(self, number: int) -> Path:
        return self.folder / f"{number:04}.rows"

    def _check_ownership(self) -> None:
        told = f"{self.folder}: expected the work of a run that was stopped, or no such folder; got"
        if self.folder.is_symlink() or not self.folder.is_dir():
            raise ConfigError(f"{told} a file or a link; move it away or choose another output_dir")
        with writing(self.folder):
            names = sorted(path.name for path in self.folder.iterdir())
        others = [name for name in names if not OWN_NAMES.fullmatch(name)]
        if others:
            raise ConfigError(
                f"{told} a folder with {others[0]}; move it away or choose another output_dir"
            )
        if names and self._state().get("format") != FORMAT:
            raise ConfigError(
                f"{told} a folder without a {STATE} of ours; move it away or choose another "
                "output_dir"
            )

    def _goes_on(self) -> bool:
        """Takes over what is there, if it is whole and of the same run."""
        state = self._state()
        layers, losses = state.get("layers"), _losses_of(state.get("losses"))
        if state.get("signature") != self._signature or losses is None:
            return False
        if type(layers) is not int or not 0 <= layers <= self._total:
            return False
        if any(each.layer >= layers for each in losses):
            return False
        size = 4 * int(np.prod(self._shape, dtype=np.int64))
        rows = self._rows(layers)
        is_whole = rows.is_file() and rows.stat().st_size == size
        try:
            for number in range(layers):
                self.layer(number)
        except Error:
            is_whole = False
        if not is_whole:
            LOGGER.warning("%s: files are missing or damaged; it begins anew", self.folder)
            return False
        self.num_layers, self.losses = layers, losses
        return True

    def _save(self, signature: str) -> None:
        state = {
            "format": FORMAT,
            "signature": signature,
            "layers": self.num_layers,
            "losses": [asdict(each) for each in self.losses],
        }
        write_text(self.folder / STATE, json.dumps(state))

    def _state(self) -> dict[str, Any]:
        try:
            found = read_json(self.folder / STATE, max_bytes=MAX_STATE_BYTES)
        except (OSError, Error):
            return {}
        return found if isinstance(found, dict) else {}


def _losses_of(found: Any) -> list[SiteLoss] | None:
    """The losses of a state; None if they are damaged."""
    names = [each.name for each in fields(SiteLoss)]
    kinds = (int, str, int, float, float)
    if not isinstance(found, list):
        return None
    for each in found:
        if not isinstance(each, dict) or sorted(each) != sorted(names):
            return None
        if any(type(each[name]) is not kind for name, kind in zip(names, kinds, strict=True)):
            return None
    return [SiteLoss(**each) for each in found]
