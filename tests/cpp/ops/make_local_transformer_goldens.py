"""Records what NeMo's local transformer picks, for local_transformer_test.cpp.

    python tests/cpp/ops/make_local_transformer_goldens.py NEMO_SOURCE_FOLDER

Weights come from the hash of tests/cpp/support/weights.h, so that the recording holds no weights.
The original's multinomial and noise are fed with our Philox numbers by inverse CDF, so that its
sampled codes can be compared one by one.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "parity"))
from originals import stub_imports

CODEBOOKS, FRAMES, VOCAB, CODES = 3, 2, 32, 24
DIM, WIDTH, FFN, HEADS, LAYERS = 16, 8, 32, 2, 2
PICKS = CODEBOOKS * FRAMES
SEEDS, STEP = (11, 12), 5
MASK = 2**64 - 1


def hashed(count: int, seed: int, scale: float, center: float = 0.0) -> torch.Tensor:
    values = np.empty(count, np.float32)
    for index in range(count):
        bits = ((seed + 1) * 0x9E3779B97F4A7C15 + (index + 1) * 0xD1B54A32D192ED03) & MASK
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
        bits ^= bits >> 31
        value = np.float32(np.float32(bits >> 40) * np.float32(2.0 / 16777216.0) - np.float32(1.0))
        values[index] = np.float32(center) + np.float32(scale) * value
    return torch.from_numpy(values)


def uniform(seed: int, place: int, number_of_pass: int, kind: int) -> float:
    counter, key = [STEP, place, number_of_pass, kind], [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        low = 0xFFFFFFFF
        counter = [
            (b >> 32) ^ counter[1] ^ key[0],
            b & low,
            (a >> 32) ^ counter[3] ^ key[1],
            a & low,
        ]
        key = [(key[0] + 0x9E3779B9) & low, (key[1] + 0xBB67AE85) & low]
    return float(counter[0] >> 8) / 16777216.0


class Numbers:
    """Stands for torch.multinomial and torch.rand_like."""

    def __init__(self, is_maskgit: bool) -> None:
        self.is_maskgit, self.calls, self.noises = is_maskgit, 0, 0

    def multinomial(self, probabilities: torch.Tensor, _count: int) -> torch.Tensor:
        call, self.calls = self.calls, self.calls + 1
        drawn = []
        for row, p in enumerate(probabilities.double()):
            if self.is_maskgit:
                request, place, number_of_pass = row // PICKS, row % PICKS, call
            else:
                request, place, number_of_pass = row, call, 0
            u = uniform(SEEDS[request % len(SEEDS)], place, number_of_pass, 0)
            drawn.append(int(torch.searchsorted(p.cumsum(0), u * p.sum(), right=True)))
        return torch.tensor(drawn)[:, None]

    def rand_like(self, like: torch.Tensor) -> torch.Tensor:
        call, self.noises = self.noises, self.noises + 1
        rows = [
            [uniform(SEEDS[r % len(SEEDS)], i, call, 1) for i in range(PICKS)]
            for r in range(len(like))
        ]
        return torch.tensor(rows)


def build(modules: Any, transformers: Any, is_maskgit: bool, logits: list[torch.Tensor]) -> Any:
    network = transformers.Transformer(
        n_layers=LAYERS, d_model=WIDTH, d_ffn=FFN, sa_n_heads=HEADS, kernel_size=1,
        is_causal=not is_maskgit, max_length_causal_mask=PICKS + 2, use_learnable_pos_emb=True,
    ).eval()  # fmt: skip

    def fill(parameter: torch.Tensor, seed: int, scale: float, center: float = 0.0) -> None:
        parameter.data = hashed(parameter.numel(), seed, scale, center).view(parameter.shape)

    fill(network.position_embeddings.weight, 1, 0.5)
    for index, layer in enumerate(network.layers):
        seed = 10 + 10 * index
        fill(layer.norm_self.weight, seed, 0.3, 1.0)
        fill(layer.self_attention.qkv_net.weight, seed + 1, 0.8)
        fill(layer.self_attention.o_net.weight, seed + 2, 0.8)
        fill(layer.norm_pos_ff.weight, seed + 3, 0.3, 1.0)
        fill(layer.pos_ff.proj.conv.weight, seed + 4, 0.8)
        fill(layer.pos_ff.o_net.conv.weight, seed + 5, 0.4)
    tables = [torch.nn.Embedding(VOCAB, DIM) for _ in range(PICKS)]
    stacked = hashed(PICKS * VOCAB * DIM, 2, 1.0).view(PICKS, VOCAB, DIM)
    for table, values in zip(tables, stacked, strict=True):
        table.weight.data = values
    projection = torch.nn.Linear(DIM, WIDTH)
    fill(projection.weight, 3, 0.5)
    fill(projection.bias, 4, 0.2)
    heads = [torch.nn.Linear(WIDTH, VOCAB) for _ in range(PICKS)]
    biases = hashed(PICKS * VOCAB, 5, 0.5).view(PICKS, VOCAB)
    for index, head in enumerate(heads):
        fill(head.weight, 100 + index, 0.8)
        head.bias.data = biases[index]
        head.register_forward_hook(lambda _m, _i, out: logits.append(out.detach().clone()))
    same = torch.nn.Identity()
    return modules.LocalTransformerHelper(
        network, tables, same, projection, same, heads, CODEBOOKS, FRAMES,
        audio_eos_id=CODES + 1, mask_token_id=CODES + 4, codebook_size=CODES,
    )  # fmt: skip


def record(modules: Any, transformers: Any, case: dict[str, Any]) -> dict[str, Any]:
    logits: list[torch.Tensor] = []
    helper = build(modules, transformers, case["maskgit"], logits)
    rows = 2 * len(SEEDS) if case["guided"] else len(SEEDS)
    hidden = hashed(4 * DIM, 6, 1.0).view(4, DIM)[:rows]
    numbers = Numbers(case["maskgit"])
    torch.multinomial, torch.rand_like = numbers.multinomial, numbers.rand_like
    options: dict[str, Any] = {
        "temperature": case["temperature"], "topk": 5, "use_cfg": case["guided"], "cfg_scale": 2.5,
    }  # fmt: skip
    with torch.no_grad():
        if case["maskgit"]:
            for key in ("n_steps", "noise_scale", "dynamic_cfg_scale", "sampling_type"):
                options[key] = case[key]
            codes = helper.sample_maskgit(hidden.clone(), **options)
        else:
            codes = helper.sample_autoregressive(hidden.clone(), **options)
    stacks = codes.permute(0, 2, 1).reshape(len(SEEDS), PICKS)
    last = torch.stack(logits[-PICKS:], 1)  # [rows, picks, vocab]
    values = [round(float(v), 5) for v in last.flatten()]
    return {**case, "codes": stacks.tolist(), "logits": values}


def main() -> None:
    stub_imports.install(Path(sys.argv[1]))
    prefix = "nemo.collections.tts.modules."
    modules = importlib.import_module(prefix + "magpietts_modules")
    transformers = importlib.import_module(prefix + "transformer_2501")
    cases: list[dict[str, Any]] = []
    for temperature, guided in ((0.0, True), (0.9, True), (0.9, False)):
        cases.append({"maskgit": False, "temperature": temperature, "guided": guided})
    for sampling in (None, "causal", "purity_default", "purity_causal"):
        for noise, rising in ((0.0, False), (0.8, True)):
            cases.append({
                "maskgit": True, "temperature": 0.9, "guided": True, "n_steps": 4,
                "noise_scale": noise, "dynamic_cfg_scale": rising, "sampling_type": sampling,
            })  # fmt: skip
    recorded = [record(modules, transformers, case) for case in cases]
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in recorded)
    path = Path(__file__).with_name("local_transformer_goldens.json")
    path.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
