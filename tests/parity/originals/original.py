"""Builds the original MagpieTTS model on a stand-in codec and tokenizer.

Both generations construct their networks in `MagpieTTSModel.__init__`; only the codec, the
tokenizer and the base class are replaced. The code that computes is unchanged.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from . import stub_imports

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Sizes:
    """The sizes that the original takes from codec and tokenizer, not from the configuration."""

    codebooks: int = 4
    codebook_size: int = 24  # codes of the codec; eight special ids follow
    n_text: int = 20  # rows of text_embedding, BOS and EOS included
    context_text_vocab: int = 0  # rows of the own context text table (legacy conditioning)
    context_text_offset: int = 0  # what legacy conditioning subtracts from context text ids


class _Module(torch.nn.Module):
    """Replaces ModelPT: it stores the configuration and trains nothing."""

    global_step = 0

    def __init__(self, cfg: DictConfig, trainer: object = None) -> None:
        super().__init__()
        self._cfg = cfg

    @property
    def cfg(self) -> DictConfig:
        return self._cfg


class _Codec(torch.nn.Module):
    """Replaces the audio codec: it states its sizes and returns silence."""

    sample_rate = output_sample_rate = 22050
    samples_per_frame = 1024
    vector_quantizer = None

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.num_codebooks = sizes.codebooks
        self.codebook_size = sizes.codebook_size
        self.discriminator = None

    def freeze(self) -> None:
        self.eval()

    def decode(
        self, tokens: torch.Tensor, tokens_len: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(tokens.shape[0], 1), tokens_len * self.samples_per_frame


class _NeuralModule(torch.nn.Module):
    """Replaces the base class of modules."""


class Original:
    """One generation of the original, imported from a source folder."""

    def __init__(self, source: Path) -> None:
        stub_imports.install(source)
        classes = importlib.import_module("nemo.core.classes")
        classes.__dict__["ModelPT"] = _Module
        importlib.import_module("nemo.core.classes.module").__dict__["NeuralModule"] = _NeuralModule
        self.module = importlib.import_module("nemo.collections.tts.models.magpietts")
        self.current = hasattr(self.module, "LocalTransformerHelper")  # 3.0.0, else 2503

    def build(self, config: dict[str, Any], sizes: Sizes) -> Any:
        """Returns a model in evaluation mode with the initial weights of the original."""
        codec = _Codec(sizes)
        self.module.__dict__["AudioCodecModel"] = SimpleNamespace(
            restore_from=lambda path, return_config=False, **_: {} if return_config else codec
        )
        # Legacy conditioning subtracts the number of tokens of its tokenizer from the ids.
        extra = sizes.context_text_vocab if self.current else 0
        tokenizer = SimpleNamespace(
            tokens=list(range(sizes.n_text - 2 + extra)),
            tokenizers={"context": SimpleNamespace(vocab_size=sizes.context_text_vocab)},
            tokenizer_offsets={"context": sizes.context_text_offset},
            num_tokens_per_tokenizer={"context": extra},
            vocab_size=sizes.context_text_vocab,
        )
        self.module.__dict__["setup_tokenizers"] = lambda **_: (
            tokenizer if self.current else (tokenizer, tokenizer)
        )
        return self.module.MagpieTTSModel(OmegaConf.create(config)).eval()


def current_module(name: str) -> Any:
    """Returns a module of the original that is already imported."""
    return sys.modules[f"nemo.collections.tts.{name}"]
