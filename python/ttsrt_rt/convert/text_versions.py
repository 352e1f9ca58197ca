"""Defaults of text tokenizers that changed after checkpoints had been released.

A configuration that leaves such a field unset is older than the field, or means today's default;
the version of NeMo that it is stamped with decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["VERSIONED_FIELDS", "versioned_defaults"]

CHANGED_IN = (2, 8, 0)
_MODULE = "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers"
_HINDI, _ARABIC, _IPA = (
    f"{_MODULE}.{name}" for name in ("HindiCharsTokenizer", "ArabicCharsTokenizer", "IPATokenizer")
)
# The field, its value before CHANGED_IN, and since then.
_CHARSET = ("charset_version", 1, 2)
_PUNCT = ("punct_version", 1, 2)
_LOCALE_PUNCT = ("locale_specific_punct", False, True)
VERSIONED_FIELDS = tuple(name for name, _, _ in (_CHARSET, _PUNCT, _LOCALE_PUNCT))
# Versions as PEP 440 has them; only the numbers of the release count.
_VERSION = re.compile(
    r"\s*v?(?:\d+!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?:alpha|beta|preview|pre|a|b|c|rc)[-_.]?\d*)?"
    r"(?:-\d+|[-_.]?(?:post|rev|r)[-_.]?\d*)?"
    r"(?:[-_.]?dev[-_.]?\d*)?"
    r"(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?\s*",
    re.IGNORECASE | re.ASCII,
)
MAX_STAMP = 100


def versioned_defaults(tokenizer: Mapping[str, Any], stamp: object) -> dict[str, int | bool]:
    """The fields that a tokenizer's configuration leaves unset and that its age decides.

    Args:
        tokenizer: its configuration.
        stamp: `nemo_version` of the model's configuration, or None. One that cannot be read stands
            for the current version, as in the original.
    """
    target = tokenizer.get("_target_")
    applicable = []
    if target in (_HINDI, _ARABIC) and tokenizer.get("chars") is None:
        applicable.append(_CHARSET)
    if tokenizer.get("non_default_punct_list") is None:
        if target == _HINDI:
            applicable.append(_PUNCT)
        elif target == _IPA and tokenizer.get("locale") == "pt-BR":
            applicable.append(_LOCALE_PUNCT)
    is_old = _is_old(stamp)
    return {
        name: before if is_old else since
        for name, before, since in applicable
        if tokenizer.get(name) is None
    }


def _is_old(stamp: object) -> bool:
    match = None if stamp is None else _VERSION.fullmatch(str(stamp)[: MAX_STAMP + 1])
    if match is None:
        return False
    return tuple(int(part) for part in match["release"].split(".")) < CHANGED_IN
