"""Turns text into the ids that a model reads."""

from __future__ import annotations

from ttsrt_rt.text.punctuation import clean_punctuation
from ttsrt_rt.text.t3_tokenizer import T3Tokenizer

__all__ = ["T3Tokenizer", "clean_punctuation"]
