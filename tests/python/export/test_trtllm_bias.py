"""The logits bias."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.python.export.t3_random import TEXT_VOCAB, t3_model, t3_tensors, write_t3
from ttsrt_rt.export.t3_checkpoint import open_t3
from ttsrt_rt.export.trtllm_bias import MASKED, logits_bias


@pytest.mark.parametrize("variant", ["english", "turbo"])
def test_text_is_masked_and_speech_has_the_bias_of_the_head(variant: str, tmp_path: Path) -> None:
    bias = logits_bias(open_t3(write_t3(tmp_path / "checkpoint", variant)))
    assert bias.dtype == np.float32
    assert (bias[:TEXT_VOCAB] == MASKED).all()
    assert np.isfinite(bias).all()
    if variant == "turbo":
        assert np.array_equal(bias[TEXT_VOCAB:], t3_tensors(t3_model(variant), 5)["head_bias"])
    else:
        assert not bias[TEXT_VOCAB:].any()


def test_rows_that_only_the_table_has_are_masked(tmp_path: Path) -> None:
    source = open_t3(write_t3(tmp_path / "checkpoint", "english", speech_rows=98))
    bias = logits_bias(source)
    assert bias[-3] == 0
    assert (bias[-2:] == MASKED).all()
