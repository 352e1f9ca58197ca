"""The logits bias of an export: one float32 for each unified id, added to the logits of a step.

A weight can't hold minus infinity, so zero rows of the head alone would let text ids be drawn. And
the stock GPT has no slot for a bias of the head. Both are the same vector, which TensorRT-LLM takes
with each request as `embedding_bias`: MASKED for ids that are no speech, the bias of the head (or
zero) for the others.
"""

from __future__ import annotations

import numpy as np

from ttsrt_rt.export.t3_checkpoint import Floats, T3Checkpoint
from ttsrt_rt.export.trtllm_layout import vocab_size

__all__ = ["MASKED", "logits_bias"]

MASKED = -1.0e9
"""Finite, so that no arithmetic of a sampler makes NaN of it; far below every logit."""


def logits_bias(checkpoint: T3Checkpoint) -> Floats:
    """Returns the bias: float32 [vocab_size].

    Raises:
        FormatError: The head has a bias and it is missing.
    """
    fields = checkpoint.fields
    bias = np.full(vocab_size(fields), MASKED, np.float32)
    begin, end = fields.text_vocab, fields.text_vocab + fields.speech_vocab
    bias[begin:end] = (
        checkpoint.floats("head_bias", fields.speech_vocab) if fields.has_head_bias else 0.0
    )
    return bias
