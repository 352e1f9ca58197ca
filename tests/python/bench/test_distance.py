"""`bench distance`: distances from float32 by model and language."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench.distance import measure_distances
from ttsrt_rt.bench.step_turns import Case
from ttsrt_rt.cli import main
from ttsrt_rt.synth import write_random_t3

TEXTS = {"en": [[255, 5, 6, 0]], "de": [[255, 9, 0], [255, 7, 8, 7, 0]]}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distance")
    source = write_random_t3(folder / "t3_cfg.safetensors", "tiny", seed=2)
    return rt.convert(source, folder / "tiny", progress=False)


def test_less_precision_is_farther(checkpoint: Path) -> None:
    cases = [Case("float32"), Case("bfloat16"), Case("bfloat16", "w4a8")]
    fields = {"prompt_embeddings": None, "context_embeddings": [[0.1] * 64] * 5}
    found = measure_distances(checkpoint, cases, TEXTS, steps=4, fields=fields)
    by_case = {(each.group, each.case): each for each in found}
    assert len(found) == 6
    for group, texts in TEXTS.items():
        same, half, four = (by_case[group, case.name] for case in cases)
        assert same.steps == 4 * len(texts)
        assert same.relative == 0.0 and same.agreement == 1.0 and same.cosine > 0.999999
        assert 0.0 < half.relative < four.relative < 1.0
        assert four.cosine < half.cosine < 1.0


def test_the_command_prints_every_language(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, output = tmp_path / "texts.json", tmp_path / "distance.json"
    texts.write_text(json.dumps(TEXTS))
    command = ["bench", "distance", str(checkpoint), "--texts", str(texts), "--steps", "2"]
    command += ["--quantization", "none", "w8a8", "--output_json", str(output)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    for language in TEXTS:
        for precision in ("bfloat16", "w8a8"):
            assert f"| tiny {language} | {precision} |" in printed
    assert len(json.loads(output.read_text())) == 4
    texts.write_text('{"en": [1, 2]}')
    assert main(command) == 2
    assert "lists of texts" in capsys.readouterr().err
    assert main([*command, "--steps", "0"]) == 2
