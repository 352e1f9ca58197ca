"""Which tokenizer speaks a language: the checkpoint's own map, else the original's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import show

__all__ = ["default_language", "languages_of"]

MAX_LANGUAGES = 1024
MAX_NAME = 64
# The first tokenizer of a language that the model has speaks it.
TABLE: dict[str, tuple[str, ...]] = {
    "en": ("english_phoneme", "english"),
    "de": ("german_phoneme", "german"),
    "es": ("spanish_phoneme", "spanish"),
    "fr": ("french_chartokenizer", "french"),
    "it": ("italian_phoneme", "italian"),
    "vi": ("vietnamese_phoneme", "vietnamese"),
    "zh": ("mandarin_phoneme", "mandarin", "chinese"),
    "hi": ("hindi_chartokenizer", "hindi"),
    "ja": ("japanese_phoneme", "japanese"),
}


def languages_of(mapping: object, tokenizers: Sequence[str]) -> dict[str, str]:
    """Returns the tokenizer of each language.

    Args:
        mapping: the checkpoint's `language_to_tokenizer_mapping`, or None. Its values are names,
            or lists of which the first that the model has counts.
        tokenizers: the model's, by their names.

    Raises:
        ConfigError: the mapping is something else.
    """
    found: dict[str, str] = {}
    for language, usual in TABLE.items():
        _add(found, language, usual, tokenizers)
    if mapping is None:
        return found or _first(tokenizers)
    where = "language_to_tokenizer_mapping"
    if not isinstance(mapping, Mapping) or len(mapping) > MAX_LANGUAGES:
        raise ConfigError(
            f"{where}: expected at most {MAX_LANGUAGES} languages with their tokenizers, "
            f"got {show(mapping)}"
        )
    own: dict[str, str] = {}
    for language, value in mapping.items():
        names = [value] if isinstance(value, str) else value
        if (
            not isinstance(language, str)
            or not 0 < len(language) <= MAX_NAME
            or not isinstance(names, (list, tuple))
        ):
            raise ConfigError(
                f"{where}: expected languages with names of tokenizers, got {show(language)}: "
                f"{show(value)}"
            )
        _add(own, language, names, tokenizers)
    return {**found, **own} or _first(tokenizers)


def _first(tokenizers: Sequence[str]) -> dict[str, str]:
    """What a model speaks whose tokenizers have names of their own: that of its first one."""
    return {tokenizers[0]: tokenizers[0]}


def default_language(languages: Mapping[str, str]) -> str:
    """English where the model speaks it, else its first language."""
    return "en" if "en" in languages else next(iter(languages))


def _add(
    found: dict[str, str], language: str, names: Sequence[object], tokenizers: Sequence[str]
) -> None:
    for name in names:
        if isinstance(name, str) and name in tokenizers:
            found[language] = name
            return
