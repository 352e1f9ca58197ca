"""Determines the special ids of one codebook table, and which of them are never sampled.

With K codec entries, the current layout has audio BOS, audio EOS, context BOS, context EOS and MASK
at K .. K+4, and V = K + 8. Older checkpoints put them at the end of a larger table: either their
configuration has `forced_*` fields, or it has `num_audio_tokens_per_codebook` (the first public
code), which makes BOS and EOS the last two ids.
"""

from __future__ import annotations

from collections.abc import Mapping

from ttsrt_rt.convert import magpie_model as m
from ttsrt_rt.convert.fields import Block
from ttsrt_rt.errors import ConfigError

SPECIALS = 8
LEGACY_VOCAB = 2048
LEGACY_CODEBOOK = 2016
FORCED_VOCAB = "forced_num_all_tokens_per_codebook"
FORCED = {
    "audio_bos": "forced_audio_bos_id",
    "audio_eos": "forced_audio_eos_id",
    "context_bos": "forced_context_audio_bos_id",
    "context_eos": "forced_context_audio_eos_id",
    "mask": "forced_mask_token_id",
}


def read_tokens(
    config: Block, kind: str, vocab: int, text_vocab: int, codebook_size: int | None, is_2503: bool
) -> m.TokenIds:
    """Returns the special ids for tables of `vocab` rows.

    `codebook_size` is the caller's K, or None. The 2503 code forbids no id; the later code forbids
    all special ids except the end of speech.

    Raises:
        ConfigError: K cannot be determined, or an id is outside the table.
    """
    oldest = config.has("num_audio_tokens_per_codebook")
    if oldest and config.values["num_audio_tokens_per_codebook"] != vocab:
        raise config.fail("num_audio_tokens_per_codebook", f"{vocab} as in the tensors")
    if config.has(FORCED_VOCAB) and config.values[FORCED_VOCAB] != vocab:
        raise config.fail(FORCED_VOCAB, f"{vocab} as in the tensors")
    base = _codebook_size(config, vocab, codebook_size, oldest)
    if oldest:
        ids = _oldest_ids(kind, vocab)
    else:
        ids = {name: base + offset for offset, name in enumerate(FORCED)}
    for name, field in FORCED.items():
        ids[name] = config.integer(field, 0, vocab - 1, min(ids[name], vocab - 1))
    forbidden: tuple[int, ...] = ()
    if not is_2503:
        # As in the later code, K decides which ids are forbidden even if the configuration moves
        # the special ids elsewhere; BOS and MASK can then be sampled.
        forbidden = tuple(i for i in range(base, base + SPECIALS) if i != base + 1 and i < vocab)
        forbidden = tuple(i for i in forbidden if i != ids["audio_eos"])
    return m.TokenIds(
        audio_bos=ids["audio_bos"],
        audio_eos=ids["audio_eos"],
        context_bos=ids["context_bos"],
        context_eos=ids["context_eos"],
        mask=ids["mask"],
        forbidden=forbidden,
        text_bos=text_vocab - 2,
        text_eos=text_vocab - 1,
    )


def _oldest_ids(kind: str, vocab: int) -> dict[str, int]:
    """Returns the ids of the first public code: BOS and EOS are the last two ids; a model with the
    context in the decoder has context BOS and EOS before them.
    """
    own_context = kind == "decoder_context_tts"
    return {
        "audio_bos": vocab - 2,
        "audio_eos": vocab - 1,
        "context_bos": vocab - 4 if own_context else vocab - 2,
        "context_eos": vocab - 3 if own_context else vocab - 1,
        "mask": max(0, vocab - 5),
    }


def _codebook_size(config: Block, vocab: int, given: int | None, oldest: bool) -> int:
    """Returns K: the caller's, else the quantizer's, else the table's rows less the special ids."""
    if given is not None:
        if not 1 <= given <= vocab:
            raise ConfigError(f"codebook_size: expected 1..{vocab}, got {given}")
        return given
    quantizer = config.values.get("vector_quantizer")
    if isinstance(quantizer, Mapping) and isinstance(
        quantizer.get("num_levels_per_group"), (list, tuple)
    ):
        levels = config.block("vector_quantizer").integers_with_repeats(
            "num_levels_per_group", 2, 1 << 16
        )
        size = 1
        for level in levels:
            size = min(size * level, vocab + 1)
        if size > vocab:
            raise config.fail("vector_quantizer", f"at most {vocab} codes as in the tensors")
        return size
    if config.has(FORCED_VOCAB) or oldest or all(config.has(field) for field in FORCED.values()):
        return LEGACY_CODEBOOK if vocab == LEGACY_VOCAB else max(1, vocab - SPECIALS)
    if vocab == LEGACY_VOCAB or vocab <= SPECIALS:
        raise ConfigError(
            f"{config.path.rstrip(': ')}: tables of {vocab} rows have the legacy layout: give its "
            "forced_* ids in the configuration, or codebook_size"
        )
    return vocab - SPECIALS
