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
from ttsrt_rt.convert.magpie_reading import Reading, is_2503
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


def read_tokens(reading: Reading, kind: str, vocab: int, text_vocab: int) -> m.TokenIds:
    """Returns the special ids for tables of `vocab` rows.

    The 2503 code forbids no id. The later code forbids the special ids by their place after the K
    codes, wherever the configuration moves the special ids: all of K .. K+7 except K+1, which it
    forbids before the minimum number of frames.

    Raises:
        ConfigError: K cannot be determined, or an id is outside the table.
    """
    config = reading.config
    oldest = config.has("num_audio_tokens_per_codebook")
    if oldest and config.values["num_audio_tokens_per_codebook"] != vocab:
        raise config.fail("num_audio_tokens_per_codebook", f"{vocab} as in the tensors")
    if config.has(FORCED_VOCAB) and config.values[FORCED_VOCAB] != vocab:
        raise config.fail(FORCED_VOCAB, f"{vocab} as in the tensors")
    base, is_guess = _codebook_size(config, vocab, reading.options.codebook_size, oldest)
    if oldest:
        ids = _oldest_ids(kind, vocab)
    else:
        ids = {name: base + offset for offset, name in enumerate(FORCED)}
    for name, field in FORCED.items():
        ids[name] = config.integer(field, 0, vocab - 1, min(ids[name], vocab - 1))
    forbidden: tuple[int, ...] = ()
    minimum_forbids = None
    if not is_2503(reading):
        special = range(base, min(base + SPECIALS, vocab))
        forbidden = tuple(i for i in special if i != base + 1)
        if base + 1 < vocab and base + 1 != ids["audio_eos"]:
            minimum_forbids = base + 1
        _tell_end(reading, base, ids["audio_eos"], forbidden)
    if is_guess and (forbidden or not all(config.has(field) for field in FORCED.values())):
        _tell_guess(reading, base)
    return m.TokenIds(
        audio_bos=ids["audio_bos"],
        audio_eos=ids["audio_eos"],
        context_bos=ids["context_bos"],
        context_eos=ids["context_eos"],
        mask=ids["mask"],
        forbidden=forbidden,
        minimum_forbids=minimum_forbids,
        text_bos=text_vocab - 2,
        text_eos=text_vocab - 1,
    )


def _tell_guess(reading: Reading, base: int) -> None:
    reading.remarks["codebook_size_guess"] = base
    reading.notices.append(
        f"codebook_size: the configuration moves the special ids and doesn't say how many codes a "
        f"codebook has; guessed {base}, so that ids {base} to {base + SPECIALS - 1} are special; "
        f"give codebook_size if the codec has another number"
    )


def _tell_end(reading: Reading, base: int, end: int, forbidden: tuple[int, ...]) -> None:
    """Says what follows where another id than K+1 ends speech."""
    if end == base + 1:
        return
    reading.remarks["forced_audio_eos"] = end
    never = (
        f"{end} is one of the ids that it never draws, so that speech ends only at max_frames"
        if end in forbidden
        else f"{end} may end speech before min_frames"
    )
    reading.notices.append(
        f"the configuration forces {end} as the end of speech; as in the original, min_frames "
        f"forbids id {base + 1} instead, and {never}; requests with strict_end=True go by {end}"
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


def _codebook_size(config: Block, vocab: int, given: int | None, oldest: bool) -> tuple[int, bool]:
    """Returns K, and whether it is a guess: the caller's, else the quantizer's, else the table's
    rows less the special ids, which is a guess if the configuration moves them.
    """
    if given is not None:
        if not 1 <= given <= vocab:
            raise ConfigError(f"codebook_size: expected 1..{vocab}, got {given}")
        return given, False
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
        return size, False
    if config.has(FORCED_VOCAB) or oldest or all(config.has(field) for field in FORCED.values()):
        return LEGACY_CODEBOOK if vocab == LEGACY_VOCAB else max(1, vocab - SPECIALS), True
    if vocab == LEGACY_VOCAB or vocab <= SPECIALS:
        raise ConfigError(
            f"{config.path.rstrip(': ')}: tables of {vocab} rows have the legacy layout: give its "
            "forced_* ids in the configuration, or codebook_size"
        )
    return vocab - SPECIALS, False
