"""Runs the chunked generation of NeMo 3.0.0 (`generate_speech`) on `tinyhf`, greedily, and writes
what it drew to `chunks.json`: the codes of all chunks, their steps and the text in focus.

    python -m originals.magpie_chunks --source FOLDER --out DATA

One text at a time, so that no padding takes part. Chunks go in as `do_tts` gives them. With its
cache, the original would go on with that of the chunk before; here each chunk gets a new one.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import tiny
from .cases import LAYERS_123
from .cases_existing import TINYHF
from .original import Original
from .recorder import Margins, greedy
from .runs import _RENAMED, apply_bias

LOG = logging.getLogger("originals")
EOS = 89  # of audio


@dataclass(frozen=True)
class ChunkRun:
    """The options of a run; `steps` is the limit on each chunk."""

    chunks: tuple[int, ...]
    steps: int = 60
    cfg_scale: float | None = 2.5
    kv_cache: bool = True
    local_transformer: bool = True
    has_prior: bool = True
    bias: dict[str, float] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    voice: int = 0
    seed: int = 1


def _heads(indices: Iterable[int], value: float) -> dict[str, float]:
    """Makes the end of speech likelier in these heads; those from 4 on are of the second frame."""
    return {f"main.{index}.{EOS}": value for index in indices}


TRACKED = {"ignore_finished_sentence_tracking": False}
RUNS = {
    "two": ChunkRun((26, 30)),
    "four": ChunkRun((30, 28, 24, 33), seed=2),
    "uncached": ChunkRun((26, 30, 22), kv_cache=False, seed=3),
    "unguided": ChunkRun((24, 27, 31), cfg_scale=None, seed=4, voice=1),
    "heads": ChunkRun((22, 25, 30), local_transformer=False, seed=20, voice=2),
    "without_prior": ChunkRun((12, 24, 26), steps=20, has_prior=False, seed=6),
    "limited": ChunkRun((30, 24, 28), steps=20, seed=7),
    "short_texts": ChunkRun((7, 5, 9, 6), seed=8),
    "short_between": ChunkRun((28, 3, 1, 27, 30), seed=9),
    "tracked": ChunkRun((24, 26, 22), parameters=TRACKED, seed=10),
    "tracked_uncached": ChunkRun((20, 31), kv_cache=False, parameters=TRACKED, seed=11),
    "early_ends": ChunkRun((50, 45, 40, 30), bias=_heads(range(8), 64.0), seed=12),
    "early_ends_uncached": ChunkRun(
        (44, 38, 52), kv_cache=False, bias=_heads(range(8), 72.0), seed=13
    ),
    "odd_ends": ChunkRun((25, 30, 22), bias=_heads(range(4, 8), 66.0), seed=15),
    "many": ChunkRun((18, 12, 41, 9, 24, 16, 30, 22), bias=_heads(range(8), 66.0), seed=14),
}


def _texts(run: ChunkRun) -> list[np.ndarray]:
    """Random ids of each chunk, which ends in the text EOS."""
    draw = np.random.default_rng(run.seed)
    return [np.append(draw.integers(0, 38, count - 1), 39) for count in run.chunks]


def _prepare(model: Any, run: ChunkRun) -> None:
    parameters = copy.copy(model.inference_parameters)
    wanted = {
        "max_decoder_steps": run.steps * model.frame_stacking_factor,
        "topk": 20,
        "cfg_scale": run.cfg_scale if run.cfg_scale is not None else 1.0,
        "apply_attention_prior": run.has_prior,
        **{_RENAMED.get(key, key): value for key, value in LAYERS_123.items()},
        **run.parameters,
    }
    for key, value in wanted.items():
        if not hasattr(parameters, key):
            raise ValueError(f"unknown inference parameter {key!r}")
        setattr(parameters, key, value)
    model.inference_parameters = parameters


def _watch_focus(model: Any, margins: Margins) -> None:
    """Notes how far the two best positions of each search are apart."""
    inner = type(model).get_most_attended_text_timestep

    def search(**kwargs: Any) -> Any:
        last = int(kwargs["last_attended_timesteps"][-1][0])
        begin = last + (kwargs["attended_timestep_counter"][0].get(last, 0) >= 8)
        begin -= kwargs["left_offset"][0]
        end = min(begin + kwargs["lookahead_window_size"], int(kwargs["text_lens"][0]) - 3)
        window = kwargs["alignment_attention_scores"][0, begin:end]
        if window.numel() > 1:
            best = window.sort(descending=True)[0]
            margins.focus = min(margins.focus, float(best[0] - best[1]))
        return inner(model, **kwargs)

    object.__setattr__(model, "get_most_attended_text_timestep", search)


@dataclass
class _Speaker:
    """Speaks the chunks of a text, one after the other."""

    model: Any
    run: ChunkRun
    margins: Margins
    state: Any
    codes: list[list[int]] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def speak(self, text: np.ndarray, is_last: bool) -> None:
        model, run = self.model, self.run
        model.decoder.reset_cache(use_cache=run.kv_cache)
        before = len(self.state.last_attended_timesteps)
        made = 0

        def count(*args: Any, **kwargs: Any) -> Any:
            nonlocal made
            made += 1
            return type(model).embed_audio_tokens(model, *args, **kwargs)

        object.__setattr__(model, "embed_audio_tokens", count)
        batch = {
            "text": torch.as_tensor(text)[None],
            "text_lens": torch.tensor([len(text)]),
            "speaker_indices": torch.tensor([run.voice]),
        }
        with (
            greedy(self.margins, model.num_all_tokens_per_codebook, model.audio_eos_id, 1),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            output = model.generate_speech(
                batch,
                chunk_state=self.state,
                end_of_text=[is_last],
                beginning_of_text=not self.steps,
                use_cfg=run.cfg_scale is not None,
                use_local_transformer_for_inference=run.local_transformer,
            )
        length = int(output.predicted_codes_lens[0])
        self.codes += output.predicted_codes[0, :, :length].T.tolist()
        self.steps.append(made)
        is_eos = length < made * model.frame_stacking_factor
        self.ends.append("eos" if is_eos else "limit" if made == run.steps else "forced")
        assert not run.has_prior or len(self.state.last_attended_timesteps) - before == made


def execute(model: Any, run: ChunkRun) -> dict[str, Any]:
    """Returns what is written of one run."""
    _prepare(model, run)
    texts = _texts(run)
    margins = Margins()
    _watch_focus(model, margins)
    if not run.has_prior:  # see tests/parity/test_magpie_chunks.py
        object.__setattr__(model, "_initialize_chunked_attn_prior", lambda *_: None)
    speaker = _Speaker(model, run, margins, model.create_chunk_state(batch_size=1))
    for index, text in enumerate(texts):
        speaker.speak(text, index == len(texts) - 1)
    focus = [int(each[0]) for each in speaker.state.last_attended_timesteps[1:]]
    return {
        "text_ids": [int(each) for text in texts for each in text],
        "text_chunks": list(run.chunks),
        "voice": run.voice,
        "steps": run.steps,
        "cfg_scale": run.cfg_scale,
        "kv_cache": run.kv_cache,
        "local_transformer": run.local_transformer,
        "prior": {**LAYERS_123, **run.parameters} if run.has_prior else None,
        "bias": run.bias,
        "ends": speaker.ends,
        "min_margin": round(margins.logits, 5),
        "min_eos_margin": round(margins.eos, 5),
        "min_focus_margin": round(margins.focus, 7) if margins.focus < np.inf else None,
        "chunk_steps": speaker.steps,
        "focus": focus if run.has_prior else None,
        "codes": speaker.codes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--run", nargs="*", choices=list(RUNS))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    original = Original(arguments.source)
    # What pads the windows of a batch, whose file needs other packages: a single one needs no
    # padding.
    original.module.__dict__["stack_tensors"] = lambda tensors, max_lens: torch.stack(tensors)
    configuration, state = tiny.load_nemo(arguments.out / "tinyhf.nemo")
    written: dict[str, Any] = {}
    for name, run in RUNS.items():
        if arguments.run and name not in arguments.run:
            continue
        model = original.build(configuration, TINYHF.sizes)
        model.load_state_dict({key: value.clone() for key, value in state.items()})
        model.use_kv_cache_for_inference = run.kv_cache
        apply_bias(model, run.bias)
        written[name] = execute(model, run)
        shown = {k: v for k, v in written[name].items() if k not in ("text_ids", "codes", "focus")}
        LOG.info("%s %s", name, shown)
    if arguments.run:
        return
    lines = [
        f"{json.dumps(name)}: {json.dumps(run, separators=(',', ':'))}"
        for name, run in written.items()
    ]
    (arguments.out / "chunks.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
