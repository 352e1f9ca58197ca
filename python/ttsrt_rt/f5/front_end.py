"""What an engine says of its front end: how text becomes ids, sound a spectrogram, and how long
chunks are.

`convert` writes it and `build` copies it (docs/format.md); the library does not look at it, so it
is checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ttsrt_rt.errors import FormatError
from ttsrt_rt.f5.rules import RULES, FrontEndRules
from ttsrt_rt.f5.spectra import Spectra
from ttsrt_rt.quoting import show
from ttsrt_rt.text.f5_tokenizer import KINDS, F5Tokenizer

__all__ = ["FrontEnd", "read_front_end"]

MEL_KINDS = ("vocos", "bigvgan")


@dataclass(frozen=True)
class FrontEnd:
    """The front end of an engine.

    Attributes:
        spectra: how its spectrograms are made.
        rules: its limits, and what it does with the result.
        tokenizer: None if the model was converted without a vocabulary.
    """

    spectra: Spectra
    rules: FrontEndRules
    tokenizer: F5Tokenizer | None


def read_front_end(description: Mapping[str, Any], where: str) -> FrontEnd:
    """Returns the front end that engine.json describes; without one, that of F5-TTS without a
    vocabulary.

    Args:
        description: the contents of engine.json.
        where: names the engine in messages.

    Raises:
        FormatError: a value is of another kind, or the vocabulary is of another size than the
            model's.
    """
    block = description.get("front_end")
    if block is None:
        block = {}
    if not isinstance(block, Mapping):
        raise FormatError(f"{where}: front_end: expected an object, got {show(block)}")
    rules = RULES[_word(block, "rules", tuple(RULES), where)]
    model = description["model"]
    spectra = Spectra(
        sample_rate=model["sample_rate"],
        hop=model["hop"],
        kind=_word(block, "mel", MEL_KINDS, where),
        bands=model["mel_bins"],
    )
    kind: Any = _word(block, "tokenizer", KINDS, where)
    if kind == "byte":
        return FrontEnd(spectra, rules, F5Tokenizer((), kind))
    vocab = block.get("vocab")
    if vocab is None:
        return FrontEnd(spectra, rules, None)
    if not isinstance(vocab, list) or not all(isinstance(token, str) for token in vocab):
        raise FormatError(f"{where}: front_end.vocab: expected a list of texts, got {show(vocab)}")
    size = model["text_vocab"]
    if len(vocab) != size:
        raise FormatError(
            f"{where}: front_end.vocab: expected {size} tokens, as the model has, got {len(vocab)}"
        )
    return FrontEnd(spectra, rules, F5Tokenizer(vocab, kind))


def _word(block: Mapping[str, Any], name: str, known: tuple[str, ...], where: str) -> str:
    """Returns a word of the block, the first known one if it has none."""
    word = block.get(name, known[0])
    if not isinstance(word, str) or word not in known:
        raise FormatError(
            f"{where}: front_end.{name}: expected one of {', '.join(known)}, got {show(word)}"
        )
    return word
