"""The `model` block of a T3 checkpoint's config.json, told from names and shapes.

T3's files carry no configuration, so everything comes from the tensors: the kind of the backbone
from its names, the variant from the rows of the tables, all sizes from shapes. Three facts have no
tensor and are stated here, as the original code states them: the special ids, the rope of the Llama
backbone, and the heads.

Heads: every published model has heads of 64, so a width that is a larger multiple of 64 is divided
by 64. Miniature models of width 64 or less exist only for tests, and one head would test little, so
their heads have 16. `heads=` says it for models of other shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.options import T3Variant
from ttsrt_rt.quoting import show

__all__ = [
    "VARIANTS",
    "Analyzer",
    "CausalStack",
    "Conditioning",
    "Rope",
    "T3Model",
    "T3Options",
    "read_model",
]

VARIANTS: tuple[str, ...] = get_args(T3Variant)
GPT2_VARIANTS = ("turbo", "nano")

BOS, EOS = 6561, 6562
TEXT_START, TEXT_STOP = 255, 0
FRAME_RATE = 25.0
NORM_EPSILON = 1e-5
LLAMA_POSITIONS = 131_072
CONDITIONING_HEADS = 4
MAX_PROMPT = {"english": 150, "multilingual": 150, "flash": 150, "turbo": 375, "nano": 375}
# Of the multilingual models: the original's LLAMA_ALIGNED_HEADS, [layer, head].
ALIGNMENT_HEADS = ((12, 15), (13, 11), (9, 2))
# Rows of the text table. The first multilingual release has 2352.
ENGLISH_TEXT, MULTILINGUAL_TEXT, FIRST_MULTILINGUAL_TEXT = 704, 2454, 2352
BLOCK_SIZE = 16  # codes that Flash's checkpoint was trained to decide together
NANO_SIZE = (12, 768)  # layers and width; every other size of its kind counts as Turbo

USUAL_HEAD_DIM, SMALL_HEAD_DIM = 64, 16
LAYER = re.compile(r"tfmr\.(layers|h)\.(\d{1,4})\.")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class T3Options:
    """What a caller says of a model where its shapes do not: see `convert_t3`."""

    variant: str | None = None
    heads: int | None = None


@dataclass(frozen=True)
class Rope:
    """Rotary positions: kind "llama3" with its rescaling of low frequencies."""

    kind: str
    dims: int
    theta: float
    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_positions: int


@dataclass(frozen=True)
class CausalStack:
    """The decoder's layers; docs/format.md explains each field."""

    layers: int
    dim: int
    ffn_dim: int
    heads: int
    kv_heads: int
    head_dim: int
    max_positions: int
    learned_positions: bool
    parallel: bool
    norm: str
    norm_bias: bool
    norm_epsilon: float
    attention_bias: bool
    attention_scale: float | None
    rope: Rope | None
    activation: str
    gated: bool
    ffn_bias: bool


@dataclass(frozen=True)
class Conditioning:
    """What makes a prefix of a voice: a projected speaker embedding; with `queries`, a perceiver of
    `heads` over the prompt tokens; with `emotion`, one row for it.
    """

    speaker_dim: int
    queries: int
    heads: int
    norm_epsilon: float
    emotion: bool
    max_prompt: int


@dataclass(frozen=True)
class Analyzer:
    """The query heads [layer, head] whose attention tells where in the text speech is."""

    heads: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class T3Model:
    """The `model` block of config.json."""

    variant: str
    speech_vocab: int
    speech_rows: int
    text_vocab: int
    frame_rate: float
    bos: int
    eos: int
    start_rows: int
    text_positions: int
    speech_positions: int
    head_bias: bool
    text_start: int | None
    text_stop: int | None
    processors: str
    analyzer: Analyzer | None
    block_size: int | None
    conditioning: Conditioning
    decoder: CausalStack


class Shapes:
    """The shapes of the original tensors by name, with errors that say what is expected."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self._shapes = shapes

    def __contains__(self, name: str) -> bool:
        return name in self._shapes

    def of(self, name: str, axes: int = 2) -> Shape:
        """Returns the shape of a tensor that must exist and have so many axes.

        Raises:
            FormatError: it is missing, or has another number of axes or none of some size.
        """
        if name not in self._shapes:
            raise FormatError(f"{name}: expected a tensor of {axes} dimensions, got nothing")
        shape = self._shapes[name]
        if len(shape) != axes or not all(shape):
            raise FormatError(f"{name}: expected {axes} dimensions, got {list(shape)}")
        return shape

    def layers(self) -> tuple[str, int]:
        """Returns the backbone's name for layers, "layers" or "h", and how many there are.

        Raises:
            FormatError: there are none, or of both kinds.
        """
        found: dict[str, set[int]] = {}
        for name in self._shapes:
            if match := LAYER.match(name):
                found.setdefault(match[1], set()).add(int(match[2]))
        if len(found) != 1:
            raise FormatError(
                "tfmr: expected layers of one kind, tfmr.layers.0 (Llama) or tfmr.h.0 (GPT-2), got "
                f"{' and '.join(sorted(found)) or 'none'}"
            )
        ((kind, numbers),) = found.items()
        return kind, max(numbers) + 1


def read_model(shapes: Shapes, options: T3Options) -> T3Model:
    """Tells the model from the names and shapes of its original tensors.

    Raises:
        ConfigError: the variant or the heads cannot be told, or an option contradicts the tensors.
        FormatError: a tensor that sizes come from is missing or has another form.
    """
    kind, layers = shapes.layers()
    dim = shapes.of("speech_emb.weight")[1]
    speech_rows = shapes.of("speech_emb.weight")[0]
    speech_vocab = shapes.of("speech_head.weight")[0]
    text_vocab = shapes.of("text_emb.weight")[0]
    if speech_vocab <= EOS:
        raise FormatError(
            f"speech_head.weight: expected more than {EOS} rows, as {EOS} ends speech, got "
            f"{speech_vocab}"
        )
    is_gpt2 = kind == "h"
    variant = _variant(
        options.variant, is_gpt2, (layers, dim), text_vocab, (speech_rows, speech_vocab)
    )
    if not is_gpt2 and text_vocab <= TEXT_START:
        raise FormatError(
            f"text_emb.weight: expected more than {TEXT_START} rows, as {TEXT_START} begins a "
            f"text, got {text_vocab}"
        )
    if is_gpt2:
        decoder = _gpt2_stack(shapes, layers, dim, options)
    else:
        decoder = _llama_stack(shapes, layers, dim, options)
    return T3Model(
        variant=variant,
        speech_vocab=speech_vocab,
        speech_rows=speech_rows,
        text_vocab=text_vocab,
        frame_rate=FRAME_RATE,
        bos=BOS,
        eos=EOS,
        start_rows=2 if variant in ("english", "multilingual") else 1,
        text_positions=0 if is_gpt2 else shapes.of("text_pos_emb.emb.weight")[0],
        speech_positions=0 if is_gpt2 else shapes.of("speech_pos_emb.emb.weight")[0],
        head_bias="speech_head.bias" in shapes,
        text_start=None if is_gpt2 else TEXT_START,
        text_stop=None if is_gpt2 else TEXT_STOP,
        processors="turbo" if is_gpt2 else "t3",
        analyzer=_analyzer(variant, decoder),
        block_size=BLOCK_SIZE if variant == "flash" else None,
        conditioning=_conditioning(shapes, variant),
        decoder=decoder,
    )


def _analyzer(variant: str, decoder: CausalStack) -> Analyzer | None:
    """Only multilingual models were published with heads that tell the alignment."""
    has_heads = all(
        layer < decoder.layers and head < decoder.heads for layer, head in ALIGNMENT_HEADS
    )
    return Analyzer(ALIGNMENT_HEADS) if variant == "multilingual" and has_heads else None


def _variant(
    asked: str | None,
    is_gpt2: bool,
    size: tuple[int, int],
    text_vocab: int,
    speech: tuple[int, int],
) -> str:
    """Returns the variant. `size` has layers and width; `speech` has rows of table and head."""
    if asked is not None and asked not in VARIANTS:
        raise ConfigError(f"variant: expected one of {', '.join(VARIANTS)}, got {show(asked)}")
    rows, vocab = speech
    extra = rows - vocab
    if extra not in (0, 1) or (is_gpt2 and extra):
        raise FormatError(
            f"speech_emb.weight: expected {vocab} rows, as the head has, "
            f"{'' if is_gpt2 else 'or one more (Flash), '}got {rows}"
        )
    known: tuple[str, ...]
    if is_gpt2:
        found, known = ("nano" if size == NANO_SIZE else "turbo"), GPT2_VARIANTS
    elif extra:
        found, known = "flash", ("flash",)
    else:
        found, known = _llama_variant(text_vocab), ("english", "multilingual")
    if asked is not None and asked not in known:
        raise ConfigError(
            f"variant: expected {' or '.join(known)} for these tensors, got {show(asked)}"
        )
    if asked is None and not found:
        raise ConfigError(
            f"text_emb.weight: expected {ENGLISH_TEXT} rows (English), {MULTILINGUAL_TEXT} or "
            f"{FIRST_MULTILINGUAL_TEXT} (multilingual), got {text_vocab}; pass variant= with "
            "english or multilingual"
        )
    return asked or found


def _llama_variant(text_vocab: int) -> str:
    if text_vocab == ENGLISH_TEXT:
        return "english"
    is_known = text_vocab in (MULTILINGUAL_TEXT, FIRST_MULTILINGUAL_TEXT)
    return "multilingual" if is_known else ""


def _heads(width: int, options: T3Options, where: str) -> tuple[int, int]:
    """Returns heads and their size for queries of this width."""
    heads = options.heads
    if heads is None:
        head_dim = USUAL_HEAD_DIM if width % USUAL_HEAD_DIM == 0 else SMALL_HEAD_DIM
        if width <= USUAL_HEAD_DIM:
            head_dim = SMALL_HEAD_DIM
        if width % head_dim:
            raise ConfigError(
                f"{where}: expected a width that is a multiple of {SMALL_HEAD_DIM}, got {width}; "
                "pass heads= with the number of attention heads"
            )
        return width // head_dim, head_dim
    if type(heads) is not int or heads < 1 or width % heads:
        raise ConfigError(f"heads: expected a divisor of the width {width}, got {show(heads)}")
    return heads, width // heads


def _llama_stack(shapes: Shapes, layers: int, dim: int, options: T3Options) -> CausalStack:
    first = "tfmr.layers.0"
    width = shapes.of(f"{first}.self_attn.q_proj.weight")[0]
    heads, head_dim = _heads(width, options, f"{first}.self_attn.q_proj.weight")
    kv_width = shapes.of(f"{first}.self_attn.k_proj.weight")[0]
    if kv_width % head_dim or heads % (kv_width // head_dim):
        raise FormatError(
            f"{first}.self_attn.k_proj.weight: expected rows for a divisor of {heads} heads of "
            f"{head_dim}, got {kv_width}"
        )
    return CausalStack(
        layers=layers,
        dim=dim,
        ffn_dim=shapes.of(f"{first}.mlp.gate_proj.weight")[0],
        heads=heads,
        kv_heads=kv_width // head_dim,
        head_dim=head_dim,
        max_positions=LLAMA_POSITIONS,
        learned_positions=False,
        parallel=False,
        norm="rms",
        norm_bias=False,
        norm_epsilon=NORM_EPSILON,
        attention_bias=False,
        attention_scale=None,
        rope=Rope("llama3", head_dim, 500_000.0, 8.0, 1.0, 4.0, 8192),
        activation="silu",
        gated=True,
        ffn_bias=False,
    )


def _gpt2_stack(shapes: Shapes, layers: int, dim: int, options: T3Options) -> CausalStack:
    first = "tfmr.h.0"
    heads, head_dim = _heads(dim, options, "speech_emb.weight")
    return CausalStack(
        layers=layers,
        dim=dim,
        ffn_dim=shapes.of(f"{first}.mlp.c_fc.weight")[1],
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        max_positions=shapes.of("tfmr.wpe.weight")[0],
        learned_positions=True,
        parallel=False,
        norm="layer",
        norm_bias=True,
        norm_epsilon=NORM_EPSILON,
        attention_bias=True,
        attention_scale=None,
        rope=None,
        activation="gelu_tanh",
        gated=False,
        ffn_bias=True,
    )


def _conditioning(shapes: Shapes, variant: str) -> Conditioning:
    query = "cond_enc.perceiver.pre_attention_query"
    queries = shapes.of(query, 3)[1] if query in shapes else 0
    return Conditioning(
        speaker_dim=shapes.of("cond_enc.spkr_enc.weight")[1],
        queries=queries,
        heads=CONDITIONING_HEADS if queries else 0,
        norm_epsilon=NORM_EPSILON,
        emotion="cond_enc.emotion_adv_fc.weight" in shapes,
        max_prompt=MAX_PROMPT[variant],
    )
