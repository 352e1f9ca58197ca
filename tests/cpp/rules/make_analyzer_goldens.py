"""Records what the original's alignment stream analyzer decides, for analyzer_test.cpp and
tests/parity/test_t3_analyzer.py.

    python tests/cpp/rules/make_analyzer_goldens.py FOLDER_OF_CHATTERBOX_TTS_0_1_7

The folder is the unpacked wheel. Scores are multiples of 2^-16, so that sums of them are exact in
float32 in any order, and they come from a generator of 32-bit integers that the tests have too, so
that the recording holds no scores.

The original raises where a text of at most 5 tokens is complete. There, its expression for
repetitions is guarded with `S > 5`; nothing else is changed.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.parity.alignment_analyzer import KINDS, Rows

SOURCE = "chatterbox/models/t3/inference/alignment_stream_analyzer.py"
END, VOCAB = 2, 5
STEPS = 56
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 14, 18, 23, 31, 40)


class Layer:
    """Stands for a layer of the transformer, which the original hooks into."""

    def __init__(self) -> None:
        self.self_attn = self

    def register_forward_hook(self, hook: object) -> None:
        """The scores are set on the analyzer instead."""


class Transformer:
    def __init__(self) -> None:
        self.layers = [Layer() for _ in range(30)]


def load_original(folder: Path) -> Any:
    text = (folder / SOURCE).read_text()
    tail = "alignment_repetition = self.complete and ("
    assert text.count(tail) == 1
    module = types.ModuleType("original")
    sys.modules["original"] = module
    exec(compile(text.replace(tail, tail[:-1] + "S > 5 and ("), SOURCE, "exec"), vars(module))
    return vars(module)["AlignmentStreamAnalyzer"]


def decide(original: Any, case: dict[str, Any]) -> str:
    length = case["text_len"]
    before = 3  # columns in front of the text
    analyzer = original(Transformer(), None, (before, before + length), eos_idx=END)
    rows = Rows(case["kind"], length, case["seed"], case["vocab"])
    decisions = ""
    token = -1  # BOS, which no draw repeats
    for step in range(STEPS):
        row = torch.zeros(before + length + 2 + step)
        row[before : before + length] = torch.from_numpy(rows.next())
        # The first step has the rows of the whole prompt, of which those behind the text count. The
        # last but one is the first start row, here full of scores that must not matter.
        attention = row[None]
        if step == 0:
            attention = torch.cat([torch.ones(before + length + 1, len(row)), row[None]])
        analyzer.last_aligned_attns = [attention] * 3
        logits = analyzer.step(torch.zeros(1, VOCAB), next_token=token)[0]
        forced = float(logits[0]) < 0
        forbidden = not forced and float(logits[END]) < 0
        decisions += "F" if forced else "n" if forbidden else "."
        token = rows.token()
    return decisions


def main() -> None:
    original = load_original(Path(sys.argv[1]))
    cases = []
    for number, length in enumerate(LENGTHS):
        for kind in KINDS:
            # Of few ids, equal ones come in a row; of many, the alignment alone decides.
            case = {
                "kind": kind,
                "text_len": length,
                "seed": 7 * number + len(cases),
                "vocab": 6 if (3 * number + len(cases)) % 5 == 0 else 5000,
            }
            cases.append({**case, "decisions": decide(original, case)})
    path = Path(__file__).with_name("analyzer_goldens.json")
    lines = ",\n".join(json.dumps(case) for case in cases)
    path.write_text(f"[\n{lines}\n]\n")


main()
