"""Where a result of the original depends on its batch, ours is the original's of the request alone.

`originals/company.py` ran the original alone and in a batch; docs/requests.md has the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.convert.checkpoint import open_checkpoint

DATA = Path(__file__).resolve().parents[1] / "data" / "magpie"
COMPANY = json.loads((DATA / "company.json").read_text())
PathOf = Callable[[str], Path]


@pytest.mark.parametrize("mode", ["cached", "uncached"])
def test_stored_voices_of_unequal_length(
    mode: str, checkpoint_of: PathOf, engine_of: PathOf
) -> None:
    golden = COMPANY[f"voices_{mode}"]
    assert golden["alone"] != golden["together"]
    assert golden["hidden_difference_at_step_0"] > 1.0
    assert golden["encoder_difference"] < 1e-5  # the texts are of one length
    voices = open_checkpoint(checkpoint_of("tiny2512")).weights["voices"].read()
    requests = [
        rt.Request(
            text_ids=golden["text_ids"],
            context_embeddings=np.asarray(voices[voice], np.float32)[:rows],
            cfg_scale=2.0,
            temperature=0.0,
            top_k=20,
            max_frames=16,
            prior=None,
            eos_method="argmax_any",
            use_local_transformer=True,
        )
        for voice, rows in ((0, 9), (golden["voice"], golden["rows"]), (2, 9))
    ]
    with rt.Executor(engine_of("tiny2512"), device=NATIVE, max_batch_size=3) as executor:
        for result in (executor.generate(requests)[1], executor.generate(requests[1])):
            np.testing.assert_array_equal(result.codes, golden["alone"])


def test_texts_of_unequal_length_through_an_encoder_that_is_not_causal(engine_of: PathOf) -> None:
    golden = COMPANY["encoder_2503"]
    assert golden["encoder_difference"] > 0.4
    requests = [
        rt.Request(text_ids=ids, context_codes=golden["context_codes"], max_frames=2, seed=1)
        for ids in (golden["longer_ids"], golden["text_ids"])
    ]
    with rt.Executor(
        engine_of("tinyfork"), device=NATIVE, max_batch_size=2, trace=True
    ) as executor:
        for result in (executor.generate(requests)[1], executor.generate(requests[1])):
            encoded = next(each.values for each in result.trace if each.name == "encoder_out")
            np.testing.assert_allclose(encoded[-1], golden["last_row_alone"], atol=2e-5, rtol=0)
