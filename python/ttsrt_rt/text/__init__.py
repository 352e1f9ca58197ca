"""Turns text into the ids that a model reads, and ids into text."""

from __future__ import annotations

from ttsrt_rt.text.f5_tokenizer import F5Tokenizer
from ttsrt_rt.text.llm_tokenizer import LlmTokenizer
from ttsrt_rt.text.punctuation import clean_punctuation
from ttsrt_rt.text.t3_tokenizer import T3Tokenizer

__all__ = ["F5Tokenizer", "LlmTokenizer", "T3Tokenizer", "clean_punctuation"]
