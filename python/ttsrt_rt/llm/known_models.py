"""The language models that this package was made for, and their sizes by their shapes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KNOWN_MODELS", "MODES", "KnownModel"]

MODES = ("float32", "16-bit", "int8", "int4", "int4, head int8")
_GROUP = 128
_SCALE, _ZERO = 2, 0.5  # bytes of a scale and of a zero point of 4 bits
_ROW_SCALE = 4


@dataclass(frozen=True)
class KnownModel:
    """A model's shape.

    Attributes:
        name: as its makers call it.
        kind: "llama" or "phi".
        layers, dim, ffn_dim, heads, kv_heads, head_dim, vocab: its sizes.
        max_positions: ids of prompt and text.
    """

    name: str
    kind: str
    layers: int
    dim: int
    ffn_dim: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    max_positions: int

    @property
    def rows(self) -> int:
        """Outputs of the linear layers of a block."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        ffn = self.ffn_dim if self.kind == "phi" else 2 * self.ffn_dim
        return q + 2 * kv + self.dim + ffn + self.dim

    @property
    def linears(self) -> int:
        """Weights of the linear layers of all blocks."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        ffn = 2 if self.kind == "phi" else 3
        return self.layers * self.dim * (2 * q + 2 * kv + ffn * self.ffn_dim)

    @property
    def table(self) -> int:
        """Weights of the table of words, and of the head."""
        return self.vocab * self.dim

    @property
    def rest(self) -> int:
        """Norms and biases."""
        if self.kind == "phi":
            biases = self.layers * self.rows + self.vocab
            return 2 * self.dim * (self.layers + 1) + biases
        return self.dim * (2 * self.layers + 1)

    @property
    def parameters(self) -> int:
        """All weights."""
        return self.linears + 2 * self.table + self.rest

    @property
    def cache_bytes(self) -> int:
        """Bytes of a position in a cache of 16 bits."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_dim

    def weight_bytes(self, mode: str) -> float:
        """Bytes of the weights in one of `MODES`; groups of 4 bits have 128 weights, a half scale
        and a zero point.
        """
        if mode == "float32":
            return 4.0 * self.parameters
        wide = 2.0 * (2 * self.table + self.rest)
        if mode == "16-bit":
            return 2.0 * self.linears + wide
        if mode == "int8":
            return self.linears + _ROW_SCALE * self.layers * self.rows + wide
        narrow = self.linears * (0.5 + (_SCALE + _ZERO) / _GROUP) + wide
        if mode == "int4":
            return narrow
        return narrow - 2.0 * self.table + self.table + _ROW_SCALE * self.vocab


KNOWN_MODELS = (
    KnownModel("TinyLlama-1.1B", "llama", 22, 2048, 5632, 32, 4, 64, 32000, 2048),
    KnownModel("Phi-2", "phi", 32, 2560, 10240, 32, 32, 80, 51200, 2048),
    KnownModel("Llama-2-7B", "llama", 32, 4096, 11008, 32, 32, 128, 32000, 4096),
)
