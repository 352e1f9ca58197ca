"""Shows where a result of the original depends on its batch, and writes `company.json`: what it
makes of a request alone, which is what we make of it in any company, and in a batch.

    python -m originals.company --source nemo_3_0_0 --out DATA
    python -m originals.company --source nemo_2_3_0 --out DATA --only_encoder

With NeMo 3.0.0: stored voices of unequal length (`tiny2512`, whose voices get 9, 5 and 9 rows).
With nemo_toolkit 2.3.0, whose transformer is that of the 2503 release: a text encoder that is not
causal and texts of unequal length (`tinyfork`).
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import stub_imports, tiny
from .cases_eos import TINY2512
from .original import Original
from .runs import Run, execute

STEPS = 16
SHORT = 5  # rows of the shorter voice
FORK_LENGTHS = (40, 23)


def _item(batch: dict[str, Any], index: int, lengths: dict[str, str]) -> dict[str, Any]:
    """One item of a batch, without its padding."""
    alone = {name: value[index : index + 1] for name, value in batch.items()}
    for name, length in lengths.items():
        alone[name] = alone[name][:, : int(alone[length][0])]
    return alone


def _compare(
    original: Original, model: Any, states: tuple[Any, Any], run: Run, batch: Any
) -> dict[str, Any]:
    """Runs item 1 behind item 0 with the first weights, and alone with the second."""
    together, _ = execute(original, model, states[0], run, batch)
    single = _item(batch, 1, {"text": "text_lens"})
    alone, _ = execute(original, model, states[1], run, single)
    rows = int(batch["text_lens"][1])
    steps = min(len(together["dec_hidden"]), len(alone["dec_hidden"]))
    hidden = [arrays["dec_hidden"][:steps, item] for arrays, item in ((together, 1), (alone, 0))]
    encoded = [arrays["encoder_out"][item, :rows] for arrays, item in ((together, 1), (alone, 0))]
    return {
        "text_ids": batch["text"][1, :rows].tolist(),
        "encoder_difference": float(np.abs(encoded[0] - encoded[1]).max()),
        "hidden_difference_at_step_0": float(np.abs(hidden[0][0] - hidden[1][0]).max()),
        "alone": alone["codes"][0, :, : int(alone["codes_lens"][0])].T.tolist(),
        "together": together["codes"][1, :, : int(together["codes_lens"][1])].T.tolist(),
    }


def voices(original: Original, data: Path, *, is_cached: bool) -> dict[str, Any]:
    """Speakers 0 (9 rows) and 1 (5 rows) of a model with stored voices, texts of one length.

    Alone, the shorter voice fails in the original, whose mask then has fewer columns than the
    table; so it stands in a table of its own length.
    """
    configuration, state = tiny.load_nemo(data / "tiny2512.nemo")
    table = state["baked_context_embedding.weight"]
    state["baked_context_embedding_len"] = torch.tensor([9, SHORT, 9])
    short = {
        **state,
        "_baked_embedding_T": torch.tensor(SHORT),
        "baked_context_embedding_len": torch.tensor([SHORT] * 3),
        "baked_context_embedding.weight": table[:, : SHORT * tiny.DIM],
    }
    model = original.build(configuration, TINY2512.sizes)
    batch = {**TINY2512.batch(), "speaker_indices": np.arange(2)}
    batch["text"], batch["text_lens"] = batch["text"][:, :9], np.array([9, 9])
    run = Run("voices", STEPS, cfg_scale=2.0, local_transformer=True, kv_cache=is_cached)
    run.parameters["eos_detection_method"] = "argmax_any"
    return {"voice": 1, "rows": SHORT, **_compare(original, model, (state, short), run, batch)}


def encoder(source: Path, data: Path) -> dict[str, Any]:
    """A short text behind a longer one, through a text encoder that is not causal.

    Only the transformer is taken from the older package: `SelfAttention.compute_qkv_and_mask` masks
    by query row, so that padded keys, which are zeros, keep a score of 0 and a probability.
    """
    stub_imports.install(source)
    module = importlib.import_module("nemo.collections.tts.modules.transformer_2501")
    configuration, state = tiny.load_ckpt(data / "tinyfork.ckpt")
    name = "encoder" if "encoder" in configuration else "t5_encoder"
    stack = module.Transformer(**configuration[name]).eval()
    prefix = f"{name}."
    stack.load_state_dict(
        {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    )
    with np.load(data / "tinyfork.cfg_forkprior_kv.npz") as golden:
        text = torch.as_tensor(golden["text"])
        columns = golden["context_audio_codes"][1].T.tolist()
    embedded = torch.nn.functional.embedding(text, state["text_embedding.weight"])
    mask = torch.arange(text.shape[1])[None] < torch.tensor(FORK_LENGTHS)[:, None]
    rows = FORK_LENGTHS[1]
    with torch.no_grad():
        together = stack(embedded, mask)["output"][1, :rows]
        alone = stack(embedded[1:, :rows], mask[1:, :rows])["output"][0]
    return {
        "text_ids": text[1, :rows].tolist(),
        "longer_ids": text[0, : FORK_LENGTHS[0]].tolist(),
        "context_codes": columns,
        "encoder_difference": float((together - alone).abs().max()),
        "last_row_alone": [round(value, 5) for value in alone[-1].tolist()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only_encoder", action="store_true", help="from nemo_toolkit 2.3.0")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path = arguments.out / "company.json"
    written = json.loads(path.read_text()) if path.is_file() else {}
    if arguments.only_encoder:
        written["encoder_2503"] = encoder(arguments.source, arguments.out)
    else:
        original = Original(arguments.source)
        written["voices_cached"] = voices(original, arguments.out, is_cached=True)
        written["voices_uncached"] = voices(original, arguments.out, is_cached=False)
    lines = [f"{json.dumps(name)}: {json.dumps(case)}" for name, case in written.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
