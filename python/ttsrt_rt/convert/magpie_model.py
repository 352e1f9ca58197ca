"""The `model` and `defaults` blocks of a Magpie checkpoint's config.json, as frozen values.

This module holds the values and their limits. The converter fills the values from the original
files, and the torch reference reads them back. The tensors that follow from them are declared by
the library (manifest.py).

Every field of docs/format.md is always written, `null` for None, but for the few of `ABSENT`. The
limits are those of the C++ reader (cpp/src/model/magpie/config.cpp), so that a checkpoint that
converts also builds; a test compares them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_LAYERS = 64
MAX_DIM = 16_384
MAX_FFN_DIM = 4 * MAX_DIM
MAX_HEADS = 256
MAX_KERNEL = 31
MAX_POSITIONS = 1 << 20
MAX_VOCAB = 1 << 20
MAX_CODEBOOKS = 64
MAX_STACKING = 16
MAX_TABLES = 256
MAX_FORBIDDEN = 16
MAX_VOICES = 1 << 16
MAX_COUNT = 1 << 20  # frames, steps, text positions
MAX_HISTORY = 4096  # ids of the chunks before that a later one reads again
MAX_SCALE = 100.0  # guidance, temperature
MAX_LEVELS = 1 << 16

CONTEXTS = ("codes", "encoder", "voices", "memory")
CONTEXT_TEXTS = ("none", "shared", "own")
LOCAL_KINDS = ("autoregressive", "maskgit")
PRIOR_MODES = ("nemo", "nemo_2503", "window")
SUPPRESSIONS = ("upto", "single")
ABSENT = {"absent": True}  # of a field that is not written where it is None
EOS_METHODS = tuple(
    f"{stream}_{where}"
    for where in ("any", "all", "zero_cb")
    for stream in ("argmax", "argmax_or_multinomial", "multinomial")
)


@dataclass(frozen=True)
class StackConfig:
    """One transformer stack with learned positions, pre-norm attention and convolutional
    feed-forward layers.
    """

    layers: int
    dim: int
    ffn_dim: int
    heads: int
    kernel: int
    causal: bool
    max_positions: int
    norm_out: bool


@dataclass(frozen=True)
class DecoderConfig(StackConfig):
    """The decoder: a stack whose layers cross-attend to the text, or a few to the context."""

    cross_heads: int
    cross_head_dim: int
    memory_norm: bool
    text_layers: tuple[int, ...]
    context_layers: tuple[int, ...]


@dataclass(frozen=True)
class LocalConfig:
    """The local transformer, which turns one decoder output into the codes of one step."""

    kind: str
    layers: int
    dim: int
    ffn_dim: int
    heads: int
    max_positions: int
    in_projection: bool

    @property
    def stack(self) -> StackConfig:
        """Returns it as a stack: kernel 1, causal if autoregressive, no final norm."""
        return StackConfig(
            layers=self.layers,
            dim=self.dim,
            ffn_dim=self.ffn_dim,
            heads=self.heads,
            kernel=1,
            causal=self.kind == "autoregressive",
            max_positions=self.max_positions,
            norm_out=False,
        )


@dataclass(frozen=True)
class TokenIds:
    """The special ids of a codebook table, and the two special ids of the text table.

    `minimum_forbids` is the id that the minimum number of frames forbids where it is not
    `audio_eos`, else None.
    """

    audio_bos: int
    audio_eos: int
    context_bos: int
    context_eos: int
    mask: int
    forbidden: tuple[int, ...]
    minimum_forbids: int | None
    text_bos: int
    text_eos: int


@dataclass(frozen=True)
class Quantizer:
    """How the model's codes stand for values, where that is not the codec's own way: `groups`
    codebooks, each of one code for the values of `levels`, the first of which runs fastest.
    """

    groups: int
    levels: tuple[int, ...]


@dataclass(frozen=True)
class MagpieModel:
    """The `model` block of config.json; see docs/format.md for every field."""

    dim: int
    codebooks: int
    codebook_vocab: int
    frame_stacking: int
    text_vocab: int
    frame_rate: float
    tokens: TokenIds
    context: str
    context_text: str
    context_text_vocab: int
    text_encoder: StackConfig
    context_encoder: StackConfig | None
    decoder: DecoderConfig
    local_transformer: LocalConfig | None
    speakers: Mapping[str, int]
    num_voices: int
    quantizer: Quantizer | None = field(default=None, metadata=ABSENT)

    @property
    def tables(self) -> int:
        """Returns codes per decoder step, which is the number of tables and of heads: codebooks
        times stacked frames.
        """
        return self.codebooks * self.frame_stacking


@dataclass(frozen=True)
class PriorConfig:
    """The parameters of the attention prior; docs/format.md explains each."""

    mode: str
    epsilon: float
    lookahead: int
    left: int
    right: int | None  # None: as lookahead
    estimate_layers: tuple[int, ...]
    apply_layers: tuple[int, ...]
    start_step: int
    skip_after: int
    suppress_after: int
    suppress: str
    short_text: int
    end_margin: int
    count_end: bool
    track_finish: bool
    unfinished_grace: int
    force_after: int
    end_after: int
    recompute: bool

    @property
    def reach(self) -> int:
        """Returns how many positions after the focus are favoured."""
        return self.lookahead if self.right is None else self.right


@dataclass(frozen=True)
class RequestDefaults:
    """The `defaults` block: the values of request fields that a request leaves out."""

    cfg_scale: float
    temperature: float
    top_k: int
    max_frames: int
    min_frames: int
    eos_method: str
    use_local_transformer: bool
    prior_mode: str
    prior: PriorConfig | None
    text_history: int | None = dataclasses.field(default=None, metadata=ABSENT)


def to_json(value: Any) -> Any:
    """Converts a frozen value to plain JSON values: tuples become lists, None becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            each.name: to_json(getattr(value, each.name))
            for each in dataclasses.fields(value)
            if not (each.metadata.get("absent") and getattr(value, each.name) is None)
        }
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    return value
