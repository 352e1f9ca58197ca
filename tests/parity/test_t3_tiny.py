"""T3 against `chatterbox-tts`: equal greedy tokens, alone and in a crowd.

`tiny` is the Llama kind: guidance, a second BOS row, learned positions that restart beside a rope.
`tiny_turbo` is the GPT-2 kind: one branch, one BOS row, learned positions over the whole row. Our
cfg_scale is 1 + the original's cfg_weight.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.parity.block_checkpoint import (
    Tensors,
    defaults_of,
    llama_stack,
    llama_tensors,
    read_tensors,
    write_checkpoint,
)

DATA = Path(__file__).resolve().parents[1] / "data" / "chatterbox"
CASES = ["tiny", "tiny_turbo"]
STEPS = 30

EngineOf = Callable[[str], Path]


def gpt2_stack(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "layers": config["n_layer"],
        "dim": config["n_embd"],
        "ffn_dim": 4 * config["n_embd"],
        "heads": config["n_head"],
        "kv_heads": config["n_head"],
        "head_dim": config["n_embd"] // config["n_head"],
        "max_positions": config["n_positions"],
        "learned_positions": True,
        "parallel": False,
        "norm": "layer",
        "norm_bias": True,
        "norm_epsilon": config["layer_norm_epsilon"],
        "attention_bias": True,
        "attention_scale": None,
        "rope": None,
        "activation": "gelu_tanh",
        "gated": False,
        "ffn_bias": True,
    }


def gpt2_tensors(source: Tensors, layers: int) -> Tensors:
    names = {
        "self_norm": "ln_1",
        "self_qkv": "attn.c_attn",
        "self_out": "attn.c_proj",
        "ffn_norm": "ln_2",
        "ffn_in": "mlp.c_fc",
        "ffn_out": "mlp.c_proj",
    }
    tensors: Tensors = {"decoder.positions": source["tfmr.wpe.weight"]}
    for layer in range(layers):
        for ours, theirs in names.items():
            name = f"decoder.layers.{layer}.{ours}"
            # Their matrices are [inputs, outputs]; a norm's vector is its own transpose.
            tensors[name] = np.ascontiguousarray(source[f"tfmr.h.{layer}.{theirs}.weight"].T)
            tensors[f"{name}_bias"] = source[f"tfmr.h.{layer}.{theirs}.bias"]
    tensors["decoder.norm_out"] = source["tfmr.ln_f.weight"]
    tensors["decoder.norm_out_bias"] = source["tfmr.ln_f.bias"]
    return tensors


def convert_case(case: str, folder: Path) -> Path:
    described = json.loads((DATA / case / "case.json").read_text())
    backbone = described["backbone"]
    path = DATA / case / "model.safetensors"
    if not path.is_file():
        pytest.skip(f"needs {path}, from a checkout")
    source = read_tensors(DATA / case)
    is_gpt2 = backbone["model_type"] == "gpt2"
    if is_gpt2:
        decoder = gpt2_stack(backbone)
        tensors = gpt2_tensors(source, decoder["layers"])
        tensors["head_bias"] = source["speech_head.bias"]
    else:
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
        "start_rows": 1 if is_gpt2 else 2,
        "text_positions": 0 if is_gpt2 else len(tensors["text_positions"]),
        "speech_positions": 0 if is_gpt2 else len(tensors["speech_positions"]),
        "head_bias": is_gpt2,
        "decoder": decoder,
    }
    return write_checkpoint(folder, "t3", model, defaults_of(1.0), tensors)


@pytest.fixture(scope="module")
def engine_of(tmp_path_factory: pytest.TempPathFactory) -> EngineOf:
    made: dict[str, Path] = {}

    def make(case: str) -> Path:
        if case not in made:
            folder = tmp_path_factory.mktemp(case)
            checkpoint = convert_case(case, folder / "checkpoint")
            rt.build(checkpoint, folder / "engine", dtype="float32", max_seq_len=160)
            made[case] = folder / "engine"
        return made[case]

    return make


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


def greedy_runs(case: str) -> list[str]:
    """Runs whose largest score temperature and filters leave the largest.

    The originals' draws were replaced by an argmax; the default run also has a repetition penalty.
    """
    return ["cfg0.5_greedy", "cfg0.0_greedy", "cfg0.5_default"] if case == "tiny" else ["greedy"]


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens(case: str, device: str, engine_of: EngineOf) -> None:
    golden = Golden(case)
    with rt.Executor(engine_of(case), device=device) as executor:
        for run in greedy_runs(case):
            result = executor.generate(golden.request(run))
            assert result.codes[:, 0].tolist() == golden.tokens(run), run


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens_in_a_crowd(case: str, device: str, engine_of: EngineOf) -> None:
    """Guided and plain requests of several lengths share the prefix while others come and go."""
    golden = Golden(case)
    wanted = [(run, STEPS - 6 * i) for i in range(4) for run in greedy_runs(case)]
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
