"""Reads `config.json` of a Hugging Face Llama or Phi: fields of old and of new releases.

Releases before transformers 5 have `rope_theta` and `rope_scaling`, later ones `rope_parameters`,
which wins. What the runtime can't compute is refused by its name; a field is never left at its
default in silence because its value is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.llm_names import CONFIG, MAX_CONFIG_BYTES
from ttsrt_rt.convert.llm_tensorrt import is_tensorrt_config, read_as_hugging_face
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import list_names, show

__all__ = ["KINDS", "MAX_POSITIONS", "LlmConfig", "LlmStack", "read_llm_config"]

KINDS = {"llama": "LlamaForCausalLM", "phi": "PhiForCausalLM"}
ACTIVATIONS = {"llama": ("silu",), "phi": ("gelu_new", "gelu_pytorch_tanh")}
ROPE_KINDS = ("default", "linear", "llama3")
LLAMA_EPSILON, PHI_EPSILON = 1e-6, 1e-5
THETA = 10000.0
PHI_ROTARY_FACTOR = 0.5
MAX_LAYERS, MAX_DIM, MAX_HEADS = 64, 1 << 14, 256
MAX_VOCAB, MAX_POSITIONS = 1 << 20, 1 << 20
MOST_ENDS = 33  # ids that end a text by themselves in the runtime


@dataclass(frozen=True)
class LlmStack:
    """The block `model.decoder` of our config.json (docs/format.md)."""

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
    rope: dict[str, Any]
    activation: str
    gated: bool
    ffn_bias: bool

    def has_bias(self, layer: str) -> bool:
        """Whether the linear layer of this original name has a bias."""
        return self.attention_bias if ".self_attn." in layer else self.ffn_bias


@dataclass(frozen=True)
class LlmConfig:
    """What config.json says of a model.

    Attributes:
        kind: "llama" or "phi".
        vocab: ids of the table, as the file says; the tensor decides.
        is_tied: whether the head is the embedding table.
        decoder: the stack.
        fields: the whole file, for what other readers take of it.
    """

    kind: str
    vocab: int
    is_tied: bool
    decoder: LlmStack
    fields: Block

    @property
    def has_head_bias(self) -> bool:
        """Whether the head has a bias."""
        return self.kind == "phi"

    def model_block(
        self, vocab: int, eos: Sequence[int], num_tokens: int | None = None
    ) -> dict[str, Any]:
        """Returns the block `model` of our config.json.

        Args:
            vocab: rows of the table.
            eos: the ids that end a text; of more than 33, the block has only the first.
            num_tokens: ids of the tokenizer, where they are fewer.
        """
        return {
            "vocab": vocab,
            **({} if num_tokens is None else {"tokens": num_tokens}),
            "eos": eos[0],
            **({"more_eos": list(eos[1:])} if 1 < len(eos) <= MOST_ENDS else {}),
            "head_bias": self.has_head_bias,
            "decoder": asdict(self.decoder),
        }


def read_llm_config(folder: Path) -> LlmConfig:
    """Reads config.json of a folder.

    Raises:
        ConfigError: it describes a model that is not converted, or a value is out of its limits.
        FormatError: it is not JSON.
    """
    path = folder / CONFIG
    values = read_json(path, max_bytes=MAX_CONFIG_BYTES)
    config = Block(values, f"{path}: ", ConfigError)
    if is_tensorrt_config(values):
        config = read_as_hugging_face(folder)
    kind = config.word("model_type", tuple(KINDS))
    _check_architecture(config, kind)
    dim = config.integer("hidden_size", 2, MAX_DIM)
    heads = config.integer("num_attention_heads", 1, MAX_HEADS)
    positions = config.integer("max_position_embeddings", 1, MAX_POSITIONS)
    head_dim = _head_dim(config, dim, heads)
    kv_heads = config.integer("num_key_value_heads", 1, heads, heads)
    if heads % kv_heads:
        raise config.fail("num_key_value_heads", f"a divisor of num_attention_heads {heads}")
    config.word("hidden_act", ACTIVATIONS[kind])
    _check_window(config, positions)
    is_phi = kind == "phi"
    if is_phi and config.flag("qk_layernorm", False):
        raise config.fail("qk_layernorm", "false, as norms of queries and keys are not supported")
    epsilon = ("layer_norm_eps", PHI_EPSILON) if is_phi else ("rms_norm_eps", LLAMA_EPSILON)
    stack = LlmStack(
        layers=config.integer("num_hidden_layers", 1, MAX_LAYERS),
        dim=dim,
        ffn_dim=config.integer("intermediate_size", 2, 4 * MAX_DIM),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        max_positions=positions,
        learned_positions=False,
        parallel=is_phi,
        norm="layer" if is_phi else "rms",
        norm_bias=is_phi,
        norm_epsilon=config.number(epsilon[0], 0.0, 1.0, epsilon[1]),
        attention_bias=is_phi or config.flag("attention_bias", False),
        attention_scale=None,
        rope=_rope(config, kind, head_dim),
        activation="gelu_tanh" if is_phi else "silu",
        gated=not is_phi,
        ffn_bias=is_phi or config.flag("mlp_bias", False),
    )
    vocab = config.integer("vocab_size", 2, MAX_VOCAB)
    return LlmConfig(kind, vocab, config.flag("tie_word_embeddings", False), stack, config)


def _check_architecture(config: Block, kind: str) -> None:
    names = config.values.get("architectures")
    if names is None:
        return
    if not isinstance(names, list) or names != [KINDS[kind]]:
        raise config.fail("architectures", f"[{KINDS[kind]!r}], as model_type is {kind}")


def _head_dim(config: Block, dim: int, heads: int) -> int:
    if config.has("head_dim"):
        return config.integer("head_dim", 2, MAX_DIM)
    if dim % heads:
        raise config.fail("num_attention_heads", f"a divisor of hidden_size {dim}, or a head_dim")
    return dim // heads


def _check_window(config: Block, positions: int) -> None:
    """A window that holds every position changes nothing; a smaller one is not supported."""
    if config.has("sliding_window") and config.integer("sliding_window", 0, 1 << 30) < positions:
        raise config.fail(
            "sliding_window",
            f"none, or at least max_position_embeddings {positions}, as windows are not supported",
        )


def _rope(config: Block, kind: str, head_dim: int) -> dict[str, Any]:
    """Returns the block `rope` of our stack."""
    at, scaling = _rope_block(config)
    named = "rope_type" if scaling.has("rope_type") else "type"
    if scaling.has("factor") and not scaling.has(named):
        raise scaling.fail("rope_type", f"one of {', '.join(ROPE_KINDS)} beside factor")
    rope_kind = scaling.word(named, ROPE_KINDS, "default")
    theta = scaling if scaling.has("rope_theta") else config
    rope: dict[str, Any] = {
        "kind": rope_kind,
        "dims": _rotated_dims(config, scaling, kind, head_dim),
        "theta": theta.number("rope_theta", 1.0, 1e12, THETA),
    }
    if rope_kind == "default":
        return rope
    rope["factor"] = scaling.number("factor", 1.0, 1e6)
    if rope_kind == "linear":
        return rope
    low = scaling.number("low_freq_factor", 1e-6, 1e6)
    high = scaling.number("high_freq_factor", 1e-6, 1e6)
    if high <= low:
        raise scaling.fail("high_freq_factor", f"more than {at}.low_freq_factor {low:g}")
    original = scaling.integer("original_max_position_embeddings", 1, 1 << 30)
    return {
        **rope,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_positions": original,
    }


def _rope_block(config: Block) -> tuple[str, Block]:
    """Returns the block with the kind of rotation, and its name."""
    for name in ("rope_parameters", "rope_scaling"):
        if config.has(name):
            block = config.block(name)
            nested = [key for key, value in block.values.items() if isinstance(value, dict)]
            if nested:
                raise ConfigError(
                    f"{block.path}: expected one rotation for all layers, got one for each of "
                    f"{list_names(nested)}"
                )
            return name, block
    return "rope_scaling", Block({}, config.place("rope_scaling"), ConfigError)


def _rotated_dims(config: Block, scaling: Block, kind: str, head_dim: int) -> int:
    name = "partial_rotary_factor"
    block = scaling if scaling.has(name) else config
    factor = block.number(name, 0.0, 1.0, PHI_ROTARY_FACTOR if kind == "phi" else 1.0)
    if kind == "llama" and factor != 1.0:
        raise block.fail(name, "1, as heads of Llama are rotated whole")
    dims = int(head_dim * factor)
    if dims < 2 or dims % 2:
        raise ConfigError(
            f"{block.place(name)}: expected an even number of rotated dimensions of head_dim "
            f"{head_dim}, got {show(dims)}"
        )
    return dims
