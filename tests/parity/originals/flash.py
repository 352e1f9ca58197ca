"""Runs `chatterbox-flash` 0.1.0 on a tiny random model and writes `flash.json`: inputs and tokens.

    cd tests/parity
    python -m originals.flash --source SOURCE --weights t3.safetensors --out flash.json

`SOURCE` holds the unpacked wheels of `chatterbox-flash==0.1.0` and `chatterbox-tts==0.1.7`. Python
3.11 with `torch==2.13.0` (CPU), `transformers==5.2.0` and `safetensors`. The model is
`write_random_t3(..., "tiny_flash", seed=5)`, so that no weights are stored.

Two functions of the original draw random numbers, and are replaced: they take our counter-based
numbers of the same seed, block, place and step. `temperature` 0 is the original's own argmax. The
end of speech of a run in `ENDS` is a code that another run has in a later block. With the
seeds of `long` and `drawn_early`, numbers that are 2e-5 larger or smaller give the same tokens, so
that the order of float32 sums cannot change them.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
from flash_reference import CODE_DRAW, EOS, NOISE_DRAW, FlashOptions, philox

BLOCK = 16
RUNS: dict[str, dict[str, Any]] = {
    "guided": {"frames": 48},
    "plain": {"frames": 40, "weight": 0.0},
    "early": {"frames": 37, "early": 0.75, "steps": 6, "shift": 1.0, "weight": 0.5},
    "fixed": {"frames": 32, "early": 0.0, "steps": 4},
    "one_step": {"frames": 20, "steps": 1},
    "drawn": {"frames": 48, "temperature": 0.6, "noise": 1.0, "seed": 12345678901},
    "drawn_plain": {"frames": 32, "temperature": 0.9, "noise": 1.0, "seed": 3, "weight": 0.0},
    "long": {"frames": 80, "temperature": 0.6, "noise": 1.0, "seed": 1},
    "drawn_early": {
        "frames": 64,
        "temperature": 0.6,
        "noise": 1.0,
        "seed": 1,
        "early": 3.0,
        "steps": 8,
        "weight": 0.5,
    },
    "brief_text": {"frames": 32},
    "ended": {"frames": 48},
    "ended_drawn": {"frames": 80, "temperature": 0.6, "noise": 1.0, "seed": 1},
}
ENDS = {"ended": ("guided", BLOCK + 9), "ended_drawn": ("long", 3 * BLOCK + 7)}


def import_original(source: Path) -> Any:
    """The package's module, without what the packages import beside it; one of tiny widths."""
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(source))
    for name in ("chatterbox", "chatterbox.models", "chatterbox_flash"):
        package = types.ModuleType(name)
        package.__path__ = [str(source.joinpath(*name.split(".")))]
        sys.modules[name] = package
    from chatterbox.models.t3 import llama_configs
    from chatterbox.models.t3.modules import cond_enc

    llama_configs.LLAMA_CONFIGS["Llama_520M"] |= {
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 16,
    }
    cond_enc.Perceiver = functools.partial(
        cond_enc.Perceiver, embedding_dim=64, pre_attention_query_size=64
    )
    from chatterbox_flash import model

    return model


class Numbers:
    """Our random numbers in the place of the original's."""

    def __init__(self, original: Any) -> None:
        self.seed = self.step = 0
        self.passes: list[int] = []
        self._unmask = original._pmi_count_early_step_unmask
        original._pmi_count_early_step_unmask = self.unmask
        original._gumbel_sample = self.gumbel
        original._sample_at_temperature = self.sample

    def start(self, seed: int) -> None:
        self.seed, self.passes = seed, []

    def unmask(self, *args: Any, **options: Any) -> Any:
        self.step = options["k"]
        if self.step == 0:
            self.passes.append(0)
        self.passes[-1] += 1
        return self._unmask(*args, **options)

    def _of(self, count: int, kind: int) -> list[float]:
        block = len(self.passes) - 1
        return [philox(self.seed, block, place, self.step, kind) for place in range(count)]

    def gumbel(self, logits: Any, temperature: float) -> Any:
        import torch

        u = torch.tensor(self._of(len(logits), NOISE_DRAW), dtype=torch.float32)
        return logits / temperature + -torch.log(-torch.log(u + 1e-10) + 1e-10)

    def sample(self, logits: Any, temperature: float, *, sampling: str) -> Any:
        import torch

        sums = torch.softmax(logits / temperature, dim=-1).double().cumsum(-1)
        u = torch.tensor(self._of(len(logits), CODE_DRAW), dtype=torch.float64)
        return (sums > u[:, None] * sums[:, -1:]).int().argmax(-1)


def options_of(name: str, runs: dict[str, Any]) -> dict[str, Any]:
    """The options of a run, by the tokens of those before it."""
    if name not in ENDS:
        return RUNS[name]
    other, place = ENDS[name]
    return RUNS[name] | {"eos": runs[other]["tokens"][place]}


def run(source: Path, weights: Path) -> dict[str, Any]:
    """Returns the inputs, and the tokens and passes of every run."""
    original = import_original(source)
    import torch
    from chatterbox.models.t3.modules.cond_enc import T3Cond
    from chatterbox.models.t3.modules.t3_config import T3Config
    from safetensors.torch import load_file

    model = original.ChatterboxFlashT3(T3Config())
    model.load_state_dict(load_file(weights), strict=True)
    model.eval().float()
    numbers = Numbers(original)
    random = np.random.default_rng(7)
    speaker = np.abs(random.standard_normal(256)).astype(np.float32)
    speaker /= np.linalg.norm(speaker)
    prompt = random.integers(0, 6561, 24)
    text = [255, *random.integers(1, 254, 9).tolist(), 0]
    cond = T3Cond(
        speaker_emb=torch.tensor(speaker)[None],
        cond_prompt_speech_tokens=torch.tensor(prompt)[None],
        emotion_adv=0.5 * torch.ones(1, 1, 1),
    )
    made: dict[str, Any] = {
        "speaker_emb": [float(value) for value in speaker],
        "prompt": prompt.tolist(),
        "runs": {},
    }
    for name in RUNS:
        options = options_of(name, made["runs"])
        ids = [*text[:3], 0] if name == "brief_text" else text
        asked = FlashOptions(**options)
        numbers.start(asked.seed)
        model.hp.stop_speech_token = asked.eos
        model._cached_engine = None
        tokens = model.generate(
            t3_cond=cond,
            text_tokens=torch.tensor(ids)[None],
            text_token_lens=torch.tensor([len(ids)]),
            total_speech_len=asked.frames,
            num_steps=asked.steps,
            temperature=asked.temperature,
            time_shift_tau=asked.early,
            omnivoice_schedule_t_shift=asked.shift,
            cfg_scale=asked.weight,
            position_temperature=5.0 if asked.noise else 0.0,
            backend="torch",
        )
        made["runs"][name] = {
            "text_ids": ids,
            "options": options,
            "tokens": tokens[0].tolist(),
            "passes": numbers.passes,
        }
    model.hp.stop_speech_token = EOS
    prior = model._compute_uncond_block_prior(
        BLOCK, model.hp.start_speech_token, model.mask_token_id, torch.float32, "cpu"
    )
    made["prior"] = [float(value) for value in prior[:: len(prior) // 16]]
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("source", "weights", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    args.out.write_text(json.dumps(run(args.source, args.weights)) + "\n")


if __name__ == "__main__":
    main()
