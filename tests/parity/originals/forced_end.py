"""Runs NeMo 3.0.0 on `tinyeos` with special ids that its configuration forces, and writes what it
drew to `forced_end.json`: codes per run, with the configuration and the codec's number of codes.

    python -m originals.forced_end --source FOLDER --out DATA

The weights are those of `tinyeos.nemo`, whose tables have 32 rows and favour id 25.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from . import tiny
from .cases import LAYERS_12
from .cases_eos import TINYEOS
from .original import Original
from .runs import Run, execute

VOCAB = 32


def _forced(audio_eos: int) -> dict[str, int]:
    return {
        "forced_num_all_tokens_per_codebook": VOCAB,
        "forced_audio_bos_id": 24,
        "forced_audio_eos_id": audio_eos,
        "forced_context_audio_bos_id": 26,
        "forced_context_audio_eos_id": 27,
        "forced_mask_token_id": 28,
    }


# Name: codes of the codec, forced end, minimum, whether the local transformer draws. With 16 codes,
# ids 16, 18 .. 23 are forbidden, and 17 before the minimum; 25 ends speech. With 24 codes, 24 and
# 26 .. 31 are forbidden, and 25 before the minimum; 27 would end speech.
RUNS = {
    "outside_min0": (16, 25, 0, True),
    "outside_min7": (16, 25, 7, True),
    "outside_min12": (16, 25, 12, False),
    "inside_min0": (24, 27, 0, True),
    "inside_min7": (24, 27, 7, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    original = Original(arguments.source)
    configuration, state = tiny.load_nemo(arguments.out / "tinyeos.nemo")
    written: dict[str, Any] = {}
    for name, (codebook_size, audio_eos, minimum, is_local) in RUNS.items():
        forced = _forced(audio_eos)
        sizes = replace(TINYEOS.sizes, codebook_size=codebook_size)
        model = original.build({**configuration, **forced}, sizes)
        run = Run(
            name,
            10,
            local_transformer=is_local,
            prior=LAYERS_12,
            parameters={"min_generated_frames": minimum},
        )
        arrays, summary = execute(original, model, state, run, TINYEOS.batch())
        lens = arrays["codes_lens"].tolist()
        written[name] = {
            "codebook_size": codebook_size,
            "forced": forced,
            "min_frames": minimum,
            "local_transformer": is_local,
            "steps": run.steps,
            "min_margin": summary["min_margin"],
            "codes": [
                codes[:, :length].T.tolist()
                for codes, length in zip(arrays["codes"], lens, strict=True)
            ],
        }
    lines = [f"{json.dumps(name)}: {json.dumps(run)}" for name, run in written.items()]
    (arguments.out / "forced_end.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
