"""One block of a Llama or a Phi as the search of AWQ runs it: by the library's own Programs
(`_core.LlmLayer`), in float32, over the rows of several texts, with the inputs of its linear layers
at hand, and with other weights in their place. Threads change no bit of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt

from ttsrt_rt import _core
from ttsrt_rt.convert.llm_config import LlmStack

__all__ = ["Floats", "Layer", "LayerRunner", "Sites", "Taps", "sites_of"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Site:
    """Linear layers that read the same rows and share the scales of these.

    Attributes:
        name: "attn_in", ...
        linears: their names.
        fold: what takes the inverse scales: a norm, a linear layer's rows, or None for nothing,
            where only rounding is possible.
        tap: the input that they read.
        function: what of the block the loss is measured on: "attention", "mlp", "both" or the name
            of a linear layer.
    """

    name: str
    linears: tuple[str, ...]
    fold: str | None
    tap: str
    function: str


Sites = tuple[Site, ...]
QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


def sites_of(stack: LlmStack) -> Sites:
    """Returns the sites of a block. The values of several query heads share the rows of one key
    head where there are fewer of these, so that their output can't fold scales into them.
    """
    values = QKV[2] if stack.heads == stack.kv_heads else None
    if stack.parallel:
        out, fc1, fc2 = "self_attn.dense", "mlp.fc1", "mlp.fc2"
        sites = [Site("block_in", (*QKV, fc1), "input_layernorm", "attn_in", "both")]
        sites += [Site("attn_out", (out,), values, "attn_out", out)] if values else []
        return (*sites, Site("mlp_out", (fc2,), None, "mlp_out", fc2))
    out, gate, up, down = "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"
    sites = [Site("attn_in", QKV, "input_layernorm", "attn_in", "attention")]
    sites += [Site("attn_out", (out,), values, "attn_out", out)] if values else []
    return (
        *sites,
        Site("mlp_in", (gate, up), "post_attention_layernorm", "mlp_in", "mlp"),
        Site("mlp_out", (down,), up, "mlp_out", down),
    )


@dataclass
class Taps:
    """Inputs of linear layers by name, each a list of float32 [rows, width], one for each text."""

    values: dict[str, list[Floats]] = field(default_factory=dict)

    def add(self, name: str, rows: Floats) -> None:
        """Keeps the rows of one more text."""
        self.values.setdefault(name, []).append(rows)


class LayerRunner:
    """What computes blocks of one shape, one block at a time."""

    def __init__(
        self, stack: LlmStack, positions: int, *, device: str = "cpu", num_threads: int = 0
    ) -> None:
        """Opens the device.

        Args:
            stack: the shape of the blocks.
            positions: rows of a text at most.
            device: "cpu" or "reference".
            num_threads: as of `Executor`.

        Raises:
            ConfigError: it is another device, or a number is out of its limits.
        """
        self.stack = stack
        config = json.dumps(asdict(stack))
        self._native = _core.LlmLayer(config, positions, device, num_threads)
        self._sources = {name: _sources_of(name, stack) for name in self._native.weights()}
        self._loaded: dict[str, tuple[Floats, ...]] = {}

    def run(self, part: str, rows: Floats, weights: Mapping[str, Floats]) -> dict[str, Floats]:
        """Runs a part of a block.

        Args:
            part: "layer", "attention", "mlp", "both", "self_out" or "ffn_out".
            rows: float32 [rows, width], of one text.
            weights: of the block, by their names inside it. An array that was changed in place
                since the last call is not read again.

        Returns:
            "out", and of "layer" the inputs of its linear layers.
        """
        for name, sources in self._sources.items():
            wanted = tuple(weights[source] for source in sources)
            loaded = self._loaded.get(name, ())
            if len(loaded) == len(wanted) and all(map(_is_same, loaded, wanted)):
                continue
            joined = np.concatenate(wanted)
            self._native.set(name, joined if joined.ndim == 2 else joined[None])
            self._loaded[name] = wanted
        return self._native.run(part, rows)


def _is_same(one: Floats, other: Floats) -> bool:
    return one is other


def _sources_of(name: str, stack: LlmStack) -> tuple[str, ...]:
    """The original names of what becomes one weight of the library."""
    linears = {
        "self_norm": ("input_layernorm",),
        "self_qkv": QKV,
        "self_out": (_out_of(stack),),
        "ffn_norm": ("post_attention_layernorm",),
        "ffn_in": ("mlp.gate_proj", "mlp.up_proj") if stack.gated else ("mlp.fc1",),
        "ffn_out": (_down_of(stack),),
    }[name.removesuffix("_bias")]
    kind = "bias" if name.endswith("_bias") else "weight"
    return tuple(f"{linear}.{kind}" for linear in linears)


def _out_of(stack: LlmStack) -> str:
    return "self_attn.dense" if stack.parallel else "self_attn.o_proj"


def _down_of(stack: LlmStack) -> str:
    return "mlp.down_proj" if stack.gated else "mlp.fc2"


class Layer:
    """A block with its weights.

    Attributes:
        weights: float32 matrices [outputs, inputs], biases and norms by their names inside the
            block, such as "mlp.fc1.weight". They may be replaced by other arrays, but not changed
            in place.
    """

    def __init__(self, runner: LayerRunner, weights: Mapping[str, Floats]) -> None:
        """Keeps the weights.

        Args:
            runner: what computes; it may be shared with other blocks of the same shape.
            weights: as above.
        """
        self.stack = runner.stack
        self.weights = dict(weights)
        self._runner = runner

    def run(self, rows: Floats, taps: Taps) -> Floats:
        """Runs the rows of one text through the block.

        Args:
            rows: float32 [rows, dim], no more than the positions of the runner.
            taps: takes the inputs of the linear layers: "attn_in" and "mlp_in" [rows, dim],
                "attn_out" [rows, heads * head_dim] and "mlp_out" [rows, ffn_dim].

        Returns:
            float32 [rows, dim].
        """
        made = self._runner.run("layer", rows, self.weights)
        behind = made.pop("out")
        for name, values in made.items():
            taps.add(name, values)
        return behind

    def function(self, name: str, rows: Floats, changed: Mapping[str, Floats]) -> Floats:
        """Returns what a site's loss is measured on, of the rows of one text.

        Args:
            name: `Site.function`.
            rows: the input of the site, float32 [rows, inputs].
            changed: matrices that stand in for the block's own, by the names of their layers.

        Returns:
            float32 [rows, outputs], of the function.
        """
        parts = {_out_of(self.stack): "self_out", _down_of(self.stack): "ffn_out"}
        other = {f"{linear}.weight": weight for linear, weight in changed.items()}
        weights = {**self.weights, **other} if other else self.weights
        return self._runner.run(parts.get(name, name), rows, weights)["out"]
