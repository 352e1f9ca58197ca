"""T3 against `chatterbox-tts`: equal greedy tokens, alone and in a crowd.

`tiny` is the Llama kind: guidance, a second BOS row, learned positions that restart beside a rope.
Our cfg_scale is 1 + the original's cfg_weight. Its file holds what the test reads; the tensors that
only training uses are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.parity.block_checkpoint import (
    defaults_of,
    engines_of,
    llama_stack,
    llama_tensors,
    read_tensors,
    write_checkpoint,
)

DATA = Path(__file__).resolve().parents[1] / "data" / "chatterbox"
CASES = ["tiny"]
STEPS = 30

EngineOf = Callable[[str], Path]


def convert_case(case: str, folder: Path) -> Path:
    described = json.loads((DATA / case / "case.json").read_text())
    backbone = described["backbone"]
    path = DATA / case / "model.safetensors"
    if not path.is_file():
        pytest.skip(f"needs {path}, from a checkout")
    source = read_tensors(DATA / case)
    decoder = llama_stack(backbone)
    tensors = llama_tensors(source, "tfmr.", decoder["layers"])
    tensors["text_positions"] = source["text_pos_emb.emb.weight"]
    tensors["speech_positions"] = source["speech_pos_emb.emb.weight"]
    tensors["text_embedding"] = source["text_emb.weight"]
    tensors["speech_embedding"] = source["speech_emb.weight"]
    tensors["head"] = source["speech_head.weight"]
    model = {
        "speech_vocab": len(source["speech_emb.weight"]),
        "text_vocab": len(source["text_emb.weight"]),
        "frame_rate": 25.0,
        "bos": described["hp"]["start_speech_token"],
        "eos": described["hp"]["stop_speech_token"],
        "start_rows": 2,
        "text_positions": len(tensors["text_positions"]),
        "speech_positions": len(tensors["speech_positions"]),
        "head_bias": False,
        "decoder": decoder,
    }
    return write_checkpoint(folder, "t3", model, defaults_of(1.0), tensors)


@pytest.fixture(scope="module")
def engine_of(tmp_path_factory: pytest.TempPathFactory) -> EngineOf:
    return engines_of(tmp_path_factory, convert_case, max_seq_len=160)


class Golden:
    """One case's inputs and the original's greedy runs."""

    def __init__(self, case: str) -> None:
        self.case = json.loads((DATA / case / "case.json").read_text())
        self.text_ids = np.load(DATA / case / "prefill.npz")["text_tokens"][0].tolist()
        self.prefix = np.load(DATA / case / "cond.npz")["prefix"][0]

    def request(self, run: str, steps: int = STEPS) -> rt.Request:
        options = self.case["runs"][run]["options"]
        weight = options.get("cfg_weight", 0.0)
        return rt.Request(
            text_ids=self.text_ids,
            context_embeddings=self.prefix,
            cfg_scale=1.0 + weight,
            repetition_penalty=options["repetition_penalty"],
            max_frames=steps,
            prior=None,
        )

    def tokens(self, run: str) -> list[int]:
        return list(self.case["runs"][run]["tokens"])


# Runs whose largest score temperature and filters leave the largest: the originals' draws were
# replaced by an argmax. The default run also has a repetition penalty.
GREEDY_RUNS = ["cfg0.5_greedy", "cfg0.0_greedy", "cfg0.5_default"]


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens(case: str, device: str, engine_of: EngineOf) -> None:
    golden = Golden(case)
    with rt.Executor(engine_of(case), device=device) as executor:
        for run in GREEDY_RUNS:
            result = executor.generate(golden.request(run))
            assert result.codes[:, 0].tolist() == golden.tokens(run), run


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens_in_a_crowd(case: str, device: str, engine_of: EngineOf) -> None:
    """Guided and plain requests of several lengths share the prefix while others come and go."""
    golden = Golden(case)
    wanted = [(run, STEPS - 6 * i) for i in range(4) for run in GREEDY_RUNS]
    requests = [golden.request(run, steps) for run, steps in wanted]
    with rt.Executor(engine_of(case), device=device, max_batch_size=3) as executor:
        executor.add_voice("golden", embeddings=golden.prefix)
        for (run, steps), result in zip(wanted, executor.generate(requests), strict=True):
            assert result.codes[:, 0].tolist() == golden.tokens(run)[:steps], (run, steps)


def test_bad_requests_are_refused(engine_of: EngineOf) -> None:
    golden = Golden("tiny")
    with rt.Executor(engine_of("tiny"), device="cpu") as executor:
        with pytest.raises(rt.ConfigError, match="context"):
            executor.generate(rt.Request(text_ids=golden.text_ids, prior=None))
        with pytest.raises(rt.ConfigError, match="text_ids"):
            executor.generate(rt.Request(text_ids=[704], context_embeddings=golden.prefix))
        with pytest.raises(rt.ConfigError, match="return_alignment"):
            executor.generate(
                rt.Request(
                    text_ids=golden.text_ids,
                    context_embeddings=golden.prefix,
                    prior=None,
                    return_alignment=True,
                )
            )
