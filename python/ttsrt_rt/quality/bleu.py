"""BLEU of whole sets of texts, by the package `sacrebleu` (extra `quality`)."""

from __future__ import annotations

from collections.abc import Sequence

from ttsrt_rt.errors import ConfigError

__all__ = ["SIGNATURE", "corpus_bleu", "has_bleu"]

SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp"


def has_bleu() -> bool:
    """Whether the package is installed."""
    try:
        import sacrebleu  # noqa: F401
    except ImportError:
        return False
    return True


def corpus_bleu(texts: Sequence[str], references: Sequence[str]) -> float:
    """Returns BLEU of all texts together, 0..1, with sacrebleu's usual settings (`SIGNATURE`).

    It is of the corpus: the mean over texts would be another number. A text may be empty.

    Args:
        texts: what was generated.
        references: one for each.

    Raises:
        ConfigError: the package is missing, there are no texts, or the numbers differ.
    """
    if len(texts) != len(references) or not texts:
        raise ConfigError(
            f"bleu: expected as many texts as references, and at least one; got {len(texts)} and "
            f"{len(references)}"
        )
    try:
        import sacrebleu
    except ImportError as error:
        raise ConfigError(
            "bleu: expected the package sacrebleu, got none; pip install sacrebleu"
        ) from error
    if not any(each.strip() for each in (*texts, *references)):
        return 1.0  # nothing was expected, and nothing came
    found = sacrebleu.corpus_bleu(list(texts), [list(references)])
    return float(found.score) / 100
