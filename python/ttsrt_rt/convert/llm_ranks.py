"""Opens the weights of a TensorRT-LLM folder: rank0.safetensors, or one file for each of several
GPUs, whose parts are put together again exactly as its converter took them apart.

Rank r is tensor-parallel part r % tp_size of pipeline stage r / tp_size. A stage has its layers,
numbered from 0; the first has the table of words, the last the final norm and the head. Of a
layer, a part has

    attention.qkv           its heads' rows of queries, then of keys, then of values; where there
                            are fewer heads of keys than parts, neighbours have the same one
    mlp.fc, mlp.gate        rows of the matrix and of the bias
    attention.dense,        columns of the matrix; the bias is in all parts
    mlp.proj
    norms                   whole, in all parts

The head is cut by rows, which are padded to a multiple of the parts; the table of words is whole
in all parts, or cut by rows or by columns (`use_parallel_embedding`). What all parts have must be
equal in all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ttsrt_rt.convert.archive import Weights
from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.convert.lazy_tensor import Array, LazyTensor
from ttsrt_rt.convert.llm_names import CONFIG, MAX_CONFIG_BYTES
from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import quote

__all__ = ["Ranks", "open_ranks", "ranks_of"]

MAX_RANKS = 256
KIND = "safetensors"
FILE = re.compile(r"rank(\d{1,6})\.safetensors")
LAYER = re.compile(r"transformer\.layers\.(\d{1,4})\.(.+)")
EMBEDDING, HEAD = "transformer.vocab_embedding.weight", ("lm_head.weight", "lm_head.bias")
QKV = ("attention.qkv.weight", "attention.qkv.bias")
BY_ROWS = ("mlp.fc.weight", "mlp.fc.bias", "mlp.gate.weight", "mlp.gate.bias")
BY_COLUMNS = ("attention.dense.weight", "mlp.proj.weight")
EQUAL = re.compile(
    r"(?:.*norm\.|transformer\.ln_f\.|attention\.dense\.|mlp\.proj\.)(?:weight|bias)"
)


@dataclass(frozen=True)
class Ranks:
    """How many parts and stages a folder has."""

    parts: int
    stages: int

    @property
    def count(self) -> int:
        """Files of the folder."""
        return self.parts * self.stages


def ranks_of(config: Block) -> Ranks:
    """Reads `mapping` of a config.json.

    Raises:
        ConfigError: its sizes do not agree, or it splits texts over GPUs (cp_size).
    """
    if not config.has("mapping"):
        return Ranks(1, 1)
    mapping = config.block("mapping")
    parts, stages = (mapping.integer(name, 1, MAX_RANKS, 1) for name in ("tp_size", "pp_size"))
    if mapping.integer("cp_size", 1, MAX_RANKS, 1) != 1:
        raise mapping.fail("cp_size", "1, as such folders are not read")
    if mapping.integer("world_size", 1, MAX_RANKS * MAX_RANKS, 1) != parts * stages:
        raise mapping.fail(
            "world_size", f"{parts * stages}, tp_size {parts} times pp_size {stages}"
        )
    if parts * stages > MAX_RANKS:
        raise mapping.fail("world_size", f"at most {MAX_RANKS}")
    return Ranks(parts, stages)


def open_ranks(files: ExitStack, folder: Path) -> dict[str, LazyTensor]:
    """Opens all files of a folder and returns whole tensors under TensorRT-LLM's names.

    Args:
        files: what closes the files.
        folder: the folder, with config.json.

    Raises:
        NotFoundError: the file of a rank does not exist.
        ConfigError: config.json does not say how the tensors were cut, or it can't have been so.
        FormatError: a file is damaged, there are more files than ranks, or parts do not fit
            together.
    """
    path = folder / CONFIG
    config = Block(read_json(path, max_bytes=MAX_CONFIG_BYTES), f"{path}: ", ConfigError)
    ranks = ranks_of(config)
    _check_files(folder, ranks.count)
    opened = [_open(files, folder / f"rank{rank}.safetensors") for rank in range(ranks.count)]
    if ranks.count == 1:
        return dict(opened[0])
    cut = _Cut.of(config, ranks.parts)
    made: dict[str, LazyTensor] = {}
    first = 0  # layer of a stage
    for stage in range(ranks.stages):
        parts = opened[stage * ranks.parts : (stage + 1) * ranks.parts]
        numbers = set()
        for name in _names_of(parts, folder, stage * ranks.parts):
            at = LAYER.fullmatch(name)
            if at is not None:
                numbers.add(int(at[1]))
            new = name if at is None else f"transformer.layers.{first + int(at[1])}.{at[2]}"
            if new in made:
                raise FormatError(f"{folder}: expected {quote(new)} in one stage, got it in two")
            made[new] = cut.whole(at[2] if at else name, [part[name] for part in parts])
        if numbers != set(range(len(numbers))):
            raise FormatError(
                f"{folder}: expected the layers of stage {stage} to be numbered from 0 without "
                f"gaps, got {len(numbers)} up to {max(numbers)}"
            )
        first += len(numbers)
    return made


def _check_files(folder: Path, count: int) -> None:
    for path in folder.iterdir():
        found = FILE.fullmatch(path.name)
        if found is not None and int(found[1]) >= count:
            raise FormatError(
                f"{path}: expected files of {count} ranks, as mapping.world_size says, got another"
            )


def _open(files: ExitStack, path: Path) -> Mapping[str, LazyTensor]:
    if not path.is_file():
        raise NotFoundError(f"{path}: expected the weights of this rank, got no file of this name")
    weights = files.enter_context(Weights(FileBytes.open(path)))
    if weights.kind != KIND:
        raise FormatError(f"{path}: expected a file of kind {KIND}, got one of kind {weights.kind}")
    return weights


def _names_of(parts: Sequence[Mapping[str, LazyTensor]], folder: Path, first: int) -> list[str]:
    """The names that all parts of a stage have."""
    names = set(parts[0])
    for rank, part in enumerate(parts[1:], first + 1):
        differing = sorted(names.symmetric_difference(part))
        if differing:
            raise FormatError(
                f"{folder}: expected the same tensors in rank {first} and rank {rank}, got "
                f"{quote(differing[0])} in one of them"
            )
    return sorted(names)


@dataclass(frozen=True)
class _Cut:
    """How the tensors of a model were cut into parts."""

    parts: int
    vocab: int
    dim: int
    heads: int
    kv_heads: int
    head_dim: int

    @staticmethod
    def of(config: Block, parts: int) -> _Cut:
        """Reads the sizes.

        Raises:
            ConfigError: the heads can't be spread evenly over the parts.
        """
        dim = config.integer("hidden_size", 2, 1 << 20)
        heads = config.integer("num_attention_heads", 1, 1 << 12)
        kv_heads = config.integer("num_key_value_heads", 1, heads, heads)
        if heads % parts:
            raise config.fail("num_attention_heads", f"a multiple of tp_size {parts}")
        if kv_heads % parts and parts % kv_heads:
            raise config.fail("num_key_value_heads", f"a multiple or a divisor of tp_size {parts}")
        head_dim = config.integer("head_size", 2, 1 << 14, dim // heads)
        vocab = config.integer("vocab_size", 2, 1 << 20)
        return _Cut(parts, vocab, dim, heads, kv_heads, head_dim)

    def whole(self, name: str, parts: Sequence[LazyTensor]) -> LazyTensor:
        """Puts a tensor together.

        Args:
            name: inside a layer, or of the whole model.
            parts: of all ranks of a stage, in order.

        Raises:
            FormatError: the parts do not fit together.
        """
        if self.parts == 1:
            return parts[0]
        if name in QKV:
            return self._heads(parts)
        if name in BY_ROWS:
            return _joined(parts, 0)
        if name in BY_COLUMNS:
            return _joined(parts, 1)
        if name in HEAD and parts[0].shape[:1] != (self.vocab,):
            return _joined(parts, 0, self._padded(parts))
        if name == EMBEDDING and parts[0].shape != (self.vocab, self.dim):
            by_columns = parts[0].shape[0] == self.vocab
            return _joined(parts, 1) if by_columns else _joined(parts, 0, self._padded(parts))
        is_equal = name in HEAD or name == EMBEDDING or EQUAL.fullmatch(name) is not None
        return _equal(parts) if is_equal else parts[0]

    def _padded(self, parts: Sequence[LazyTensor]) -> int:
        """Rows of a table whose padding is left out."""
        rows = sum(part.shape[0] if part.shape else 0 for part in parts)
        if not 0 <= rows - self.vocab < self.parts:
            raise FormatError(
                f"{parts[0].name}: expected {self.vocab} rows in all parts together, padded to a "
                f"multiple of {self.parts}, got {rows}"
            )
        return self.vocab

    def _heads(self, parts: Sequence[LazyTensor]) -> LazyTensor:
        own = max(self.kv_heads // self.parts, 1)  # heads of keys of a part
        copies = max(self.parts // self.kv_heads, 1)
        sizes = [count * self.head_dim for count in (self.heads // self.parts, own, own)]
        for part in parts:
            if not part.shape or part.shape[0] != sum(sizes):
                raise FormatError(
                    f"{part.name}: expected {sum(sizes)} rows of queries, keys and values in a "
                    f"part, got {list(part.shape)}"
                )
        rest = _same_rest(parts, 0)

        def read() -> Array:
            found = [np.split(part.read(), np.cumsum(sizes)[:-1]) for part in parts]
            for place in (1, 2):
                for rank in range(self.parts):
                    first = rank - rank % copies
                    if not np.array_equal(found[rank][place], found[first][place]):
                        raise FormatError(
                            f"{parts[rank].name}: expected the keys and values of parts {first} "
                            f"and {rank} to be equal, as they are of one head, got others"
                        )
            queries = [each[0] for each in found]
            others = [[each[place] for each in found[::copies]] for place in (1, 2)]
            return np.concatenate([*queries, *others[0], *others[1]])

        rows = (self.heads + 2 * self.kv_heads) * self.head_dim
        nbytes = parts[0].nbytes // sum(sizes) * rows
        return LazyTensor(parts[0].name, parts[0].dtype, (rows, *rest), nbytes, read)


def _same_rest(parts: Sequence[LazyTensor], axis: int) -> tuple[int, ...]:
    """The sizes beside an axis, which all parts share, as they do their type."""
    first = parts[0]
    for part in parts:
        if len(part.shape) <= axis or len(part.shape) != len(first.shape):
            raise FormatError(f"{part.name}: expected equal axes in all parts, got {part.shape}")
        same = _without(part.shape, axis) == _without(first.shape, axis)
        if not same or part.dtype != first.dtype:
            raise FormatError(
                f"{part.name}: expected {first.dtype} {list(first.shape)} but for axis {axis} in "
                f"all parts, got {part.dtype} {list(part.shape)}"
            )
    return _without(first.shape, axis)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _joined(parts: Sequence[LazyTensor], axis: int, most: int | None = None) -> LazyTensor:
    """All parts side by side along an axis, of which the first `most` places count."""
    _same_rest(parts, axis)
    first = parts[0]
    total = sum(part.shape[axis] for part in parts)
    kept = total if most is None else most
    shape = (*first.shape[:axis], kept, *first.shape[axis + 1 :])

    def read() -> Array:
        joined = np.concatenate([part.read() for part in parts], axis=axis)
        return np.ascontiguousarray(joined[:kept] if axis == 0 else joined)

    nbytes = sum(part.nbytes for part in parts) // max(total, 1) * kept
    return LazyTensor(first.name, first.dtype, shape, nbytes, read)


def _equal(parts: Sequence[LazyTensor]) -> LazyTensor:
    """What all parts have."""
    first = parts[0]
    for rank, part in enumerate(parts):
        if part.shape != first.shape or part.dtype != first.dtype:
            raise FormatError(
                f"{part.name}: expected {first.dtype} {list(first.shape)} in all parts, got "
                f"{part.dtype} {list(part.shape)} in part {rank}"
            )

    def read() -> Array:
        values = first.read()
        for rank, part in enumerate(parts[1:], 1):
            if part.read().tobytes() != values.tobytes():
                raise FormatError(
                    f"{part.name}: expected the same values in all parts, got others in part {rank}"
                )
        return values

    return LazyTensor(first.name, first.dtype, first.shape, first.nbytes, read)
