"""Writes tiny checkpoints and the arrays that the original computes from them.

    python -m originals.generate --source FOLDER --out DATA [--case NAME ...]

FOLDER holds the original's `nemo/` package: 3.0.0 for the current cases, the 2503 release for the
others; cases of the other generation are skipped, and the log names them.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import cases_context, cases_eos, cases_existing, cases_maskgit, tiny
from .cases import Case
from .maskgit_units import run_units
from .original import Original, State
from .runs import execute

CASES = (
    *cases_existing.CASES,
    *cases_context.CASES,
    *cases_maskgit.CASES,
    *cases_eos.CASES,
)
LOG = logging.getLogger("originals")


def _checkpoint(original: Original, case: Case, out: Path) -> tuple[Any, State]:
    """Returns model and weights of a case, read from its file if the case has one, else new."""
    path = out / f"{case.name}{'.nemo' if case.current else '.ckpt'}"
    if case.inputs_from:
        read = tiny.load_nemo if case.current else tiny.load_ckpt
        configuration, state = read(path)
        return original.build(configuration, case.sizes), state
    torch.manual_seed(case.seed)
    model = original.build(case.config, case.sizes)
    state = case.adjust(tiny.random_state(model, case.seed, case.sizes, case.eos_bias))
    (tiny.save_nemo if case.current else tiny.save_ckpt)(path, case.config, state)
    return model, state


def _batch(case: Case, out: Path) -> dict[str, Any]:
    if not case.inputs_from:
        return case.batch()
    names = ("text", "text_lens", "speaker_indices", "context_audio_codes")
    with np.load(out / case.inputs_from) as golden:
        batch: dict[str, Any] = {name: golden[name] for name in names if name in golden}
    if "context_audio_codes" in batch:
        items, _, columns = batch["context_audio_codes"].shape
        batch["context_audio_codes_lens"] = np.full(items, columns)
    return batch


def generate(original: Original, case: Case, out: Path) -> None:
    model, state = _checkpoint(original, case, out)
    file = out / f"{case.name}{'.more' if case.inputs_from else ''}.json"
    summary: dict[str, Any] = {
        "case": case.name,
        "nemo": "3.0.0" if case.current else "2.3.0rc0",
        "sizes": vars(case.sizes),
        "seed": case.seed,
        "runs": {},
    }
    for run in case.runs:
        arrays, result = execute(original, model, state, run, _batch(case, out))
        knobs = {
            key: value
            for key, value in vars(run).items()
            if key not in ("batch", "keep", "bias", "name")
        }
        summary["runs"][run.name] = {**result, "knobs": knobs}
        tiny.save_arrays(out / f"{case.name}.{run.name}.npz", arrays)
        LOG.info("%s.%s %s", case.name, run.name, result)
        if result["min_margin"] < 1e-3:
            LOG.warning("%s.%s: margin %s", case.name, run.name, result["min_margin"])
    if case in cases_maskgit.CASES:
        summary["units"] = run_units(model, state, case, out)
    file.write_text(json.dumps(summary, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--case", nargs="*", choices=[case.name for case in CASES])
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    original = Original(arguments.source)
    for case in CASES:
        if arguments.case and case.name not in arguments.case:
            continue
        if case.current != original.current:
            LOG.info("%s: skipped, because it is of the other generation", case.name)
            continue
        generate(original, case, arguments.out)


if __name__ == "__main__":
    main()
