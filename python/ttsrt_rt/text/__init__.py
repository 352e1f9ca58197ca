"""Turns text into the ids that a model reads."""

from __future__ import annotations

from ttsrt_rt.text.f5_tokenizer import F5Tokenizer
from ttsrt_rt.text.punctuation import clean_punctuation
from ttsrt_rt.text.t3_tokenizer import T3Tokenizer

__all__ = ["F5Tokenizer", "T3Tokenizer", "clean_punctuation"]
